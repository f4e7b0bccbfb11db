#include <assert.h>
#include <intel-ipsec-mb.h>
#include <stdalign.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/aead_backend.h"
#include "crypto/hash.h"

/* The library's manager is a table of functions for this processor; the direct calls used here keep nothing in it. */
struct ipsec_mb_provider {
	struct aead_provider provider;
	IMB_MGR *manager;
};

struct gcm_key {
	struct aead_key key;
	IMB_MGR *manager;
	alignas(64) struct gcm_key_data schedule;
	struct gcm_context_data context; /* scratch of one call */
};

struct chacha_key {
	struct aead_key key;
	IMB_MGR *manager;
	uint8_t bytes[AEAD_KEY_SIZE];
	alignas(64) struct chacha20_poly1305_context_data context; /* scratch of one call */
};

static void gcm_seal(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size, const uint8_t *in,
		     size_t size, uint8_t *out)
{
	struct gcm_key *k = (struct gcm_key *)key;

	IMB_AES256_GCM_ENC(k->manager, &k->schedule, &k->context, out, in, size, nonce, aad, aad_size, out + size,
			   AEAD_TAG_SIZE);
}

/* The library decrypts and gives the tag that would be right; comparing is left to us. */
static enum err gcm_open(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size,
			 const uint8_t *in, size_t size, uint8_t *out)
{
	struct gcm_key *k = (struct gcm_key *)key;
	uint8_t tag[AEAD_TAG_SIZE];

	IMB_AES256_GCM_DEC(k->manager, &k->schedule, &k->context, out, in, size, nonce, aad, aad_size, tag,
			   AEAD_TAG_SIZE);
	return equal_secret(tag, in + size, AEAD_TAG_SIZE) ? OK : ERR_AUTH;
}

static void gcm_key_destroy(struct aead_key *key)
{
	wipe(key, sizeof(struct gcm_key));
	mem_free(key);
}

static struct aead_key *gcm_key_create(IMB_MGR *manager, const uint8_t key[AEAD_KEY_SIZE])
{
	struct gcm_key *k = mem_alloc_aligned(sizeof(*k));

	k->key = (struct aead_key){gcm_key_destroy, gcm_seal, gcm_open};
	k->manager = manager;
	IMB_AES256_GCM_PRE(manager, key, &k->schedule);
	return &k->key;
}

static void chacha_key_seal(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size,
			    const uint8_t *in, size_t size, uint8_t *out)
{
	struct chacha_key *k = (struct chacha_key *)key;

	IMB_CHACHA20_POLY1305_INIT(k->manager, k->bytes, &k->context, nonce, aad, aad_size);
	IMB_CHACHA20_POLY1305_ENC_UPDATE(k->manager, k->bytes, &k->context, out, in, size);
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(k->manager, &k->context, out + size, AEAD_TAG_SIZE);
}

static enum err chacha_key_open(struct aead_key *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_size,
				const uint8_t *in, size_t size, uint8_t *out)
{
	struct chacha_key *k = (struct chacha_key *)key;
	uint8_t tag[AEAD_TAG_SIZE];

	IMB_CHACHA20_POLY1305_INIT(k->manager, k->bytes, &k->context, nonce, aad, aad_size);
	IMB_CHACHA20_POLY1305_DEC_UPDATE(k->manager, k->bytes, &k->context, out, in, size);
	IMB_CHACHA20_POLY1305_DEC_FINALIZE(k->manager, &k->context, tag, AEAD_TAG_SIZE);
	return equal_secret(tag, in + size, AEAD_TAG_SIZE) ? OK : ERR_AUTH;
}

static void chacha_key_destroy(struct aead_key *key)
{
	wipe(key, sizeof(struct chacha_key));
	mem_free(key);
}

static struct aead_key *chacha_key_create(IMB_MGR *manager, const uint8_t key[AEAD_KEY_SIZE])
{
	struct chacha_key *k = mem_alloc_aligned(sizeof(*k));

	k->key = (struct aead_key){chacha_key_destroy, chacha_key_seal, chacha_key_open};
	k->manager = manager;
	memcpy(k->bytes, key, AEAD_KEY_SIZE);
	return &k->key;
}

static struct aead_key *ipsec_mb_key_create(struct aead_provider *provider, enum aead_algorithm algorithm,
					    const uint8_t key[AEAD_KEY_SIZE])
{
	IMB_MGR *manager = ((struct ipsec_mb_provider *)provider)->manager;

	assert(algorithm == AEAD_AES256_GCM || algorithm == AEAD_CHACHA20_POLY1305);
	return algorithm == AEAD_AES256_GCM ? gcm_key_create(manager, key) : chacha_key_create(manager, key);
}

static void ipsec_mb_destroy(struct aead_provider *provider)
{
	free_mb_mgr(((struct ipsec_mb_provider *)provider)->manager);
	mem_free(provider);
}

/* Without AES instructions the library emulates them in software, slower than OpenSSL: not usable then. */
struct aead_provider *aead_ipsec_mb_create(void)
{
	struct ipsec_mb_provider *provider;
	IMB_ARCH arch = IMB_ARCH_NONE;
	IMB_MGR *manager;

	if (!aead_has_fast_aes())
		return NULL;
	manager = alloc_mb_mgr(0);
	if (!manager)
		return NULL;
	init_mb_mgr_auto(manager, &arch);
	if (imb_get_errno(manager) != 0 || arch == IMB_ARCH_NONE || !(manager->features & IMB_FEATURE_SELF_TEST_PASS)) {
		free_mb_mgr(manager);
		return NULL;
	}
	provider = mem_alloc(1, sizeof(*provider));
	provider->provider = (struct aead_provider){"ipsec-mb", ipsec_mb_destroy, ipsec_mb_key_create};
	provider->manager = manager;
	return &provider->provider;
}
