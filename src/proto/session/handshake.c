#include "proto/session/handshake.h"

#include <string.h>

#include "crypto/aead.h"
#include "crypto/hash.h"

static const char PROTOCOL_NAME[] = "Noise_IKpsk1_25519_ChaChaPoly_BLAKE2s";

enum {
	SEALED_STATIC_SIZE = KEY_SIZE + TAG_SIZE,
	REQUEST_PAYLOAD_AT = HEADER_SIZE + KEY_SIZE + SEALED_STATIC_SIZE,
	RESPONSE_PAYLOAD_AT = HEADER_SIZE + KEY_SIZE,
	MACS_SIZE = 2 * MAC_SIZE,
};

/* Noise's SymmetricState and CipherState in one. In this pattern every key seals once, so the nonce is always zero. */
struct symmetric {
	uint8_t chaining_key[HASH_SIZE], hash[HASH_SIZE], key[KEY_SIZE];
};

static const uint8_t NONCE_ZERO[AEAD_NONCE_SIZE];

static void mix_hash(struct symmetric *s, const void *data, size_t size)
{
	struct blob parts[2] = {{s->hash, HASH_SIZE}, {data, size}};

	hash_parts(parts, 2, s->hash);
}

static void mix_key(struct symmetric *s, const uint8_t *input)
{
	hkdf(s->chaining_key, input, KEY_SIZE, s->chaining_key, s->key, NULL);
}

/* Token psk: MixKeyAndHash. */
static void mix_psk(struct symmetric *s, const uint8_t *psk)
{
	static const uint8_t none[KEY_SIZE];
	uint8_t mixed[HASH_SIZE];

	hkdf(s->chaining_key, psk ? psk : none, KEY_SIZE, s->chaining_key, mixed, s->key);
	mix_hash(s, mixed, HASH_SIZE);
	wipe(mixed, sizeof(mixed));
}

/*
 * Token e: in patterns with a psk the ephemeral key also goes into the key (Noise rev 34, 9.2), so that no key depends
 * on the psk alone.
 */
static void mix_ephemeral(struct symmetric *s, const uint8_t *ephemeral)
{
	mix_hash(s, ephemeral, KEY_SIZE);
	mix_key(s, ephemeral);
}

/* Tokens ee, es, se, ss. */
static enum err mix_dh(struct symmetric *s, const uint8_t *secret, const uint8_t *public)
{
	uint8_t shared[KEY_SIZE];
	enum err err = dh(secret, public, shared);

	if (err == OK)
		mix_key(s, shared);
	wipe(shared, sizeof(shared));
	return err;
}

/* The same with one of our secrets, when what comes out may be known already. */
static enum err mix_pair(struct symmetric *s, const struct static_pair *known, const uint8_t *secret,
			 const uint8_t *public)
{
	if (!known || memcmp(known->remote_static, public, KEY_SIZE) != 0)
		return mix_dh(s, secret, public);
	mix_key(s, known->shared);
	return OK;
}

/* What of a pair is prepared. */
static const struct static_pair *prepared_pair(const struct handshake_setup *setup)
{
	return setup->prepared ? &setup->prepared->pair : NULL;
}

/* Writes size + TAG_SIZE bytes. */
static void seal_and_hash(struct symmetric *s, const uint8_t *in, size_t size, uint8_t *out)
{
	chacha_seal(s->key, NONCE_ZERO, s->hash, HASH_SIZE, in, size, out);
	mix_hash(s, out, size + TAG_SIZE);
}

/* Reads size + TAG_SIZE bytes. in and out do not overlap. */
static enum err open_and_hash(struct symmetric *s, const uint8_t *in, size_t size, uint8_t *out)
{
	enum err err = chacha_open(s->key, NONCE_ZERO, s->hash, HASH_SIZE, in, size, out);

	if (err == OK)
		mix_hash(s, in, size + TAG_SIZE);
	return err;
}

/*
 * Prologue and pre-message. first is the header of the first datagram: what a relay or an attacker could alter in it is
 * bound too.
 */
static void symmetric_start(struct symmetric *s, const uint8_t *first, const uint8_t *responder_static)
{
	uint8_t prologue[sizeof(HANDSHAKE_PROLOGUE) - 1 + HEADER_SIZE];

	memcpy(prologue, HANDSHAKE_PROLOGUE, sizeof(HANDSHAKE_PROLOGUE) - 1);
	memcpy(prologue + sizeof(HANDSHAKE_PROLOGUE) - 1, first, HEADER_SIZE);
	hash(PROTOCOL_NAME, sizeof(PROTOCOL_NAME) - 1, s->hash); /* longer than a hash, hence hashed */
	memcpy(s->chaining_key, s->hash, HASH_SIZE);
	mix_hash(s, prologue, sizeof(prologue));
	mix_hash(s, responder_static, KEY_SIZE);
}

/* Noise's Split, and the psk of the handshake that follows. */
static void split(const struct symmetric *s, struct session_keys *ret)
{
	hkdf(s->chaining_key, NULL, 0, ret->to_responder, ret->to_initiator, NULL);
	derive_key(s->chaining_key, "rekey", NULL, 0, ret->rekey_psk);
}

/* Fills in the header of a datagram to be written. */
static enum err header_put(const struct handshake_setup *setup, uint8_t *datagram)
{
	struct header header = {.type = setup->type, .path_id = setup->path_id};
	struct writer w = writer_over(datagram, HEADER_SIZE);
	size_t size;

	header_encode(&header, &w);
	return writer_finish(&w, &size);
}

/* Accepts only what header_put makes: everything else would be a second encoding of the same handshake. */
static enum err header_get(const uint8_t *datagram, struct header *ret)
{
	struct reader r = reader_over(datagram, HEADER_SIZE);
	enum err err = header_decode(&r, ret);

	if (err == OK && (ret->type >= PACKET_SEALED || ret->path != 0 || ret->counter != 0))
		return ERR_MALFORMED;
	return err;
}

/* mac1 over all before it, mac2 zero. */
static void macs_put(uint8_t *datagram, size_t size, const uint8_t *mac1_key)
{
	mac(mac1_key, datagram, size, datagram + size);
	memset(datagram + size + MAC_SIZE, 0, MAC_SIZE);
}

static enum err pair_make(const uint8_t *secret, const uint8_t *remote_static, struct static_pair *ret)
{
	enum err err = dh(secret, remote_static, ret->shared);

	if (err == OK)
		memcpy(ret->remote_static, remote_static, KEY_SIZE);
	return err;
}

/* Contract in the header. */
enum err static_pair_make(const struct dh_keys *local_static, const uint8_t remote_static[KEY_SIZE],
			  struct static_pair *ret)
{
	return pair_make(local_static->secret, remote_static, ret);
}

/* Contract in the header. */
enum err handshake_prepare(const uint8_t ephemeral_seed[KEY_SIZE], const uint8_t remote_static[KEY_SIZE],
			   struct handshake_prepared *ret)
{
	dh_keys_from_seed(ephemeral_seed, &ret->ephemeral);
	return pair_make(ret->ephemeral.secret, remote_static, &ret->pair);
}

static void ephemeral_take(const struct handshake_setup *setup, struct dh_keys *ret)
{
	if (setup->prepared)
		*ret = setup->prepared->ephemeral;
	else
		dh_keys_from_seed(setup->ephemeral_seed, ret);
}

/* Contract in the header. */
void handshake_mac1_key(const uint8_t static_key[KEY_SIZE], const uint8_t *nego_key, uint8_t ret[KEY_SIZE])
{
	static const uint8_t none[KEY_SIZE];

	derive_key(nego_key ? nego_key : none, "ntm mac1", static_key, KEY_SIZE, ret);
}

/* One way: a relay that is given NegoKey learns nothing of TempKey. */
void nego_key_derive(const uint8_t temp_key[KEY_SIZE], uint8_t ret[KEY_SIZE])
{
	derive_key(temp_key, "ntm nego", NULL, 0, ret);
}

/* Two hashes, one of the datagram: no Diffie-Hellman for a stranger. */
enum err handshake_mac1_holds(const uint8_t *datagram, size_t size, const uint8_t mac1_key[KEY_SIZE])
{
	uint8_t expected[MAC_SIZE];

	if (size < HANDSHAKE_OVERHEAD_RESPONSE)
		return ERR_TRUNCATED;
	if (size > MESSAGE_MAX)
		return ERR_SIZE;
	mac(mac1_key, datagram, size - MACS_SIZE, expected);
	return equal_mac(expected, datagram + size - MACS_SIZE) ? OK : ERR_AUTH;
}

/* What no cookie was given for has no second encoding. */
enum err handshake_mac1_check(const uint8_t *datagram, size_t size, const uint8_t mac1_key[KEY_SIZE])
{
	static const uint8_t none[MAC_SIZE];
	enum err err = handshake_mac1_holds(datagram, size, mac1_key);

	if (err)
		return err;
	return memcmp(datagram + size - MAC_SIZE, none, MAC_SIZE) == 0 ? OK : ERR_MALFORMED;
}

/* Everything of the first datagram but its MACs, into datagram. */
static enum err request_write(struct symmetric *s, const struct handshake_setup *setup, const struct dh_keys *ephemeral,
			      struct blob payload, uint8_t *datagram)
{
	enum err err = header_put(setup, datagram);

	if (err)
		return err;
	symmetric_start(s, datagram, setup->remote_static);
	memcpy(datagram + HEADER_SIZE, ephemeral->public, KEY_SIZE);
	mix_ephemeral(s, ephemeral->public);
	err = mix_pair(s, prepared_pair(setup), ephemeral->secret, setup->remote_static); /* es */
	if (err)
		return err;
	seal_and_hash(s, setup->local_static->public, KEY_SIZE, datagram + HEADER_SIZE + KEY_SIZE);
	err = mix_pair(s, setup->known, setup->local_static->secret, setup->remote_static); /* ss */
	if (err)
		return err;
	mix_psk(s, setup->psk);
	seal_and_hash(s, payload.data, payload.size, datagram + REQUEST_PAYLOAD_AT);
	return OK;
}

/* Built in a local, so that ret_datagram is untouched on failure. */
enum err handshake_begin(struct handshake *h, const struct handshake_setup *setup, struct blob payload,
			 uint8_t *ret_datagram, size_t *ret_size)
{
	uint8_t datagram[MESSAGE_MAX];
	size_t signed_size = REQUEST_PAYLOAD_AT + payload.size + TAG_SIZE;
	struct symmetric s;
	enum err err;

	if (payload.size > HANDSHAKE_PAYLOAD_MAX)
		return ERR_SIZE;
	*h = (struct handshake){.path_id = setup->path_id, .type = setup->type};
	memcpy(h->remote_static, setup->remote_static, KEY_SIZE);
	ephemeral_take(setup, &h->ephemeral);
	err = request_write(&s, setup, &h->ephemeral, payload, datagram);
	if (err == OK) {
		macs_put(datagram, signed_size, setup->mac1_key);
		memcpy(h->chaining_key, s.chaining_key, HASH_SIZE);
		memcpy(h->hash, s.hash, HASH_SIZE);
		memcpy(ret_datagram, datagram, signed_size + MACS_SIZE);
		*ret_size = signed_size + MACS_SIZE;
	} else {
		wipe(h, sizeof(*h));
	}
	wipe(&s, sizeof(s));
	return err;
}

/* The first datagram up to its payload, on locals of the caller. */
static enum err request_read(struct symmetric *s, struct handshake *h, const struct handshake_setup *setup,
			     const uint8_t *datagram, size_t payload_size, uint8_t *payload)
{
	const struct dh_keys *local_static = setup->local_static;
	const uint8_t *ephemeral = datagram + HEADER_SIZE;
	enum err err;

	symmetric_start(s, datagram, local_static->public);
	memcpy(h->remote_ephemeral, ephemeral, KEY_SIZE);
	mix_ephemeral(s, ephemeral);
	err = mix_dh(s, local_static->secret, ephemeral); /* es */
	if (err == OK)
		err = open_and_hash(s, ephemeral + KEY_SIZE, KEY_SIZE, h->remote_static);
	if (err == OK)
		err = mix_pair(s, setup->known, local_static->secret, h->remote_static); /* ss */
	if (err)
		return err;
	mix_psk(s, setup->psk);
	return open_and_hash(s, datagram + REQUEST_PAYLOAD_AT, payload_size, payload);
}

/* Contract in the header. */
enum err handshake_accept(struct handshake *h, const struct handshake_setup *setup, const uint8_t *datagram,
			  size_t size, uint8_t *ret_payload, size_t *ret_payload_size)
{
	uint8_t payload[MESSAGE_MAX];
	struct header header;
	struct symmetric s;
	size_t payload_size;
	enum err err;

	memset(h, 0, sizeof(*h));
	if (size < HANDSHAKE_OVERHEAD_REQUEST)
		return ERR_TRUNCATED;
	if (size > MESSAGE_MAX)
		return ERR_SIZE;
	err = header_get(datagram, &header);
	if (err)
		return err;
	h->path_id = header.path_id;
	h->type = header.type;
	payload_size = size - HANDSHAKE_OVERHEAD_REQUEST;
	err = request_read(&s, h, setup, datagram, payload_size, payload);
	if (err == OK) {
		memcpy(h->chaining_key, s.chaining_key, HASH_SIZE);
		memcpy(h->hash, s.hash, HASH_SIZE);
		memcpy(ret_payload, payload, payload_size);
		*ret_payload_size = payload_size;
	} else {
		wipe(h, sizeof(*h));
	}
	wipe(&s, sizeof(s));
	wipe(payload, payload_size);
	return err;
}

/* Everything of the answer but its MACs. */
static enum err response_write(struct symmetric *s, const struct handshake *h, const struct handshake_setup *setup,
			       const struct dh_keys *ephemeral, struct blob payload, uint8_t *datagram)
{
	enum err err = header_put(setup, datagram);

	memcpy(datagram + HEADER_SIZE, ephemeral->public, KEY_SIZE);
	mix_ephemeral(s, ephemeral->public);
	if (err == OK)
		err = mix_dh(s, ephemeral->secret, h->remote_ephemeral); /* ee */
	if (err == OK)
		err = mix_pair(s, prepared_pair(setup), ephemeral->secret, h->remote_static); /* se */
	if (err == OK)
		seal_and_hash(s, payload.data, payload.size, datagram + RESPONSE_PAYLOAD_AT);
	return err;
}

/* The struct is done with afterwards, whatever the outcome. */
enum err handshake_answer(struct handshake *h, const struct handshake_setup *setup, struct blob payload,
			  uint8_t *ret_datagram, size_t *ret_size, struct session_keys *ret)
{
	uint8_t datagram[MESSAGE_MAX];
	size_t signed_size = RESPONSE_PAYLOAD_AT + payload.size + TAG_SIZE;
	struct dh_keys ephemeral;
	struct symmetric s;
	enum err err;

	if (payload.size > MESSAGE_MAX - HANDSHAKE_OVERHEAD_RESPONSE)
		return ERR_SIZE;
	if (setup->path_id != h->path_id || setup->type != h->type + 1)
		return ERR_STATE;
	memcpy(s.chaining_key, h->chaining_key, HASH_SIZE);
	memcpy(s.hash, h->hash, HASH_SIZE);
	ephemeral_take(setup, &ephemeral);
	err = response_write(&s, h, setup, &ephemeral, payload, datagram);
	if (err == OK) {
		macs_put(datagram, signed_size, setup->mac1_key);
		split(&s, ret);
		memcpy(ret_datagram, datagram, signed_size + MACS_SIZE);
		*ret_size = signed_size + MACS_SIZE;
	}
	wipe(&s, sizeof(s));
	wipe(&ephemeral, sizeof(ephemeral));
	wipe(h->chaining_key, HASH_SIZE);
	return err;
}

/* The answer, on locals of the caller: h stays as it is until the tag has verified. */
static enum err response_read(struct symmetric *s, const struct handshake *h, const struct dh_keys *local_static,
			      const uint8_t *datagram, size_t payload_size, uint8_t *payload)
{
	const uint8_t *ephemeral = datagram + HEADER_SIZE;
	enum err err;

	memcpy(s->chaining_key, h->chaining_key, HASH_SIZE);
	memcpy(s->hash, h->hash, HASH_SIZE);
	mix_ephemeral(s, ephemeral);
	err = mix_dh(s, h->ephemeral.secret, ephemeral); /* ee */
	if (err == OK)
		err = mix_dh(s, local_static->secret, ephemeral); /* se */
	if (err == OK)
		err = open_and_hash(s, datagram + RESPONSE_PAYLOAD_AT, payload_size, payload);
	return err;
}

/* Contract in the header. */
enum err handshake_finish(struct handshake *h, const struct dh_keys *local_static, const uint8_t *datagram, size_t size,
			  uint8_t *ret_payload, size_t *ret_payload_size, struct session_keys *ret)
{
	uint8_t payload[MESSAGE_MAX];
	struct header header;
	struct symmetric s;
	size_t payload_size;
	enum err err;

	if (size < HANDSHAKE_OVERHEAD_RESPONSE)
		return ERR_TRUNCATED;
	if (size > MESSAGE_MAX)
		return ERR_SIZE;
	err = header_get(datagram, &header);
	if (err)
		return err;
	if (header.path_id != h->path_id || header.type != h->type + 1)
		return ERR_STATE;
	payload_size = size - HANDSHAKE_OVERHEAD_RESPONSE;
	err = response_read(&s, h, local_static, datagram, payload_size, payload);
	if (err == OK) {
		split(&s, ret);
		memcpy(ret_payload, payload, payload_size);
		*ret_payload_size = payload_size;
		wipe(h->chaining_key, HASH_SIZE);
		wipe(&h->ephemeral, sizeof(h->ephemeral));
		h->type = 0; /* a second answer finds nothing that it could fit */
	}
	wipe(&s, sizeof(s));
	wipe(payload, payload_size);
	return err;
}
