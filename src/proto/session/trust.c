#include "proto/session/trust.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

/* Each signature is over the document's text and its bytes: no document can pass for another, whatever a key signs. */
static const char CERTIFICATE_TEXT[] = "ntm certificate";
static const char LEASE_TEXT[] = "ntm lease";
static const char NETWORK_TEXT[] = "ntm network";

enum { DOCUMENT_TEXT_MAX = sizeof(CERTIFICATE_TEXT) };

_Static_assert(sizeof(LEASE_TEXT) <= DOCUMENT_TEXT_MAX && sizeof(NETWORK_TEXT) <= DOCUMENT_TEXT_MAX, "text sizes");

/* text (with its zero) and the document without its signature, one after the other. Returns their size. */
static size_t signed_bytes(const char *text, const uint8_t *document, size_t size, uint8_t *ret)
{
	size_t text_size = strlen(text) + 1;

	memcpy(ret, text, text_size);
	memcpy(ret + text_size, document, size - SIGNATURE_SIZE);
	return text_size + size - SIGNATURE_SIZE;
}

struct signature_cache {
	size_t count;
	uint64_t hits;
	uint8_t held[][HASH_SIZE]; /* zeros: none, which is no document's hash */
};

/* Contract in the header. */
struct signature_cache *signature_cache_create(size_t count)
{
	struct signature_cache *cache = mem_alloc(1, sizeof(*cache) + count * HASH_SIZE);

	assert(count > 0 && count <= UINT16_MAX + 1 && (count & (count - 1)) == 0);
	cache->count = count;
	return cache;
}

/* Nothing in it is secret. */
void signature_cache_destroy(struct signature_cache *cache)
{
	mem_free(cache);
}

/* How often a verification was saved. */
uint64_t signature_cache_hits(const struct signature_cache *cache)
{
	return cache->hits;
}

/* The one place of what the hash is of: key, text and document, signature included, so that nothing else passes. */
static uint8_t *cache_place(struct signature_cache *cache, const char *text, struct blob document,
			    const uint8_t key[KEY_SIZE], uint8_t ret_digest[HASH_SIZE])
{
	struct blob parts[] = {{key, KEY_SIZE}, {(const uint8_t *)text, strlen(text) + 1}, document};

	hash_parts(parts, 3, ret_digest);
	return cache->held[(ret_digest[0] | (size_t)ret_digest[1] << 8) & (cache->count - 1)];
}

/* ERR_AUTH also for documents too short to hold a signature. cache may be NULL. */
static enum err signature_check(struct signature_cache *cache, const char *text, struct blob document,
				const uint8_t key[KEY_SIZE])
{
	uint8_t bytes[DOCUMENT_TEXT_MAX + NETWORK_MAX_SIZE], digest[HASH_SIZE], *place = NULL;
	enum err err;

	if (document.size < SIGNATURE_SIZE || document.size > NETWORK_MAX_SIZE)
		return ERR_AUTH;
	if (cache) {
		place = cache_place(cache, text, document, key, digest);
		if (memcmp(place, digest, HASH_SIZE) == 0) {
			cache->hits++;
			return OK;
		}
	}
	err = sign_verify(key, bytes, signed_bytes(text, document.data, document.size, bytes),
			  document.data + document.size - SIGNATURE_SIZE);
	if (err == OK && place)
		memcpy(place, digest, HASH_SIZE);
	return err;
}

static void signature_make(const char *text, const struct writer *w, const struct sign_keys *keys,
			   uint8_t ret[SIGNATURE_SIZE])
{
	uint8_t bytes[DOCUMENT_TEXT_MAX + NETWORK_MAX_SIZE];
	size_t size;
	enum err err = writer_finish(w, &size);

	assert(err == OK && size >= SIGNATURE_SIZE); /* the caller's own struct: its limits make it fit */
	sign(keys, bytes, signed_bytes(text, w->data, size, bytes), ret);
}

/* One canonical encoding: what we would write must be what came (T14). */
static enum err canonical_check(struct blob encoded, const struct writer *again)
{
	size_t size;

	if (writer_finish(again, &size) != OK || size != encoded.size || memcmp(again->data, encoded.data, size) != 0)
		return ERR_MALFORMED;
	return OK;
}

static enum err validity_check(uint64_t from_s, uint64_t until_s, uint64_t now_s)
{
	return now_s == 0 || (now_s >= from_s && now_s <= until_s) ? OK : ERR_EXPIRED;
}

/* Contract in the header. */
struct node_id node_id_of(const uint8_t identity_key[KEY_SIZE])
{
	uint8_t digest[HASH_SIZE];
	struct node_id id;

	hash(identity_key, KEY_SIZE, digest);
	memcpy(id.bytes, digest, NODE_ID_SIZE);
	return id;
}

/* Public values: no constant time needed. */
bool node_id_equal(const struct node_id *a, const struct node_id *b)
{
	return node_id_compare(a, b) == 0;
}

/* Settles collisions between two ends, so both must see the same order: bytes as unsigned numbers. */
int node_id_compare(const struct node_id *a, const struct node_id *b)
{
	return memcmp(a->bytes, b->bytes, NODE_ID_SIZE);
}

/* Contract in the header. */
struct ip node_id_v6(const struct node_id *id, const struct prefix *pool6)
{
	uint8_t bytes[16];

	memcpy(bytes, pool6->ip.bytes, 4);
	memcpy(bytes + 4, id->bytes, 12);
	return ip_from_bytes(6, bytes);
}

/* Signed with an empty signature first, because the encoding carries it at its end. */
void certificate_sign(struct certificate *certificate, const struct sign_keys *authority)
{
	uint8_t bytes[CERTIFICATE_MAX_SIZE];
	struct writer w = writer_over(bytes, sizeof(bytes));

	certificate_encode(certificate, &w);
	signature_make(CERTIFICATE_TEXT, &w, authority, certificate->signature);
}

/* Contract in the header. */
void lease_sign(struct lease *lease, const struct sign_keys *coordinator)
{
	uint8_t bytes[LEASE_MAX_SIZE];
	struct writer w = writer_over(bytes, sizeof(bytes));

	lease_encode(lease, &w);
	signature_make(LEASE_TEXT, &w, coordinator, lease->signature);
}

/* Contract in the header. */
void network_sign(struct network *network, const struct sign_keys *authority)
{
	uint8_t bytes[NETWORK_MAX_SIZE];
	struct writer w = writer_over(bytes, sizeof(bytes));

	network_encode(network, &w);
	signature_make(NETWORK_TEXT, &w, authority, network->signature);
}

/* The signature is judged before anything is made of the contents. */
enum err certificate_judge_cached(struct signature_cache *cache, struct blob encoded, const uint8_t authority[KEY_SIZE],
				  uint64_t now_s, struct certificate *ret)
{
	uint8_t bytes[CERTIFICATE_MAX_SIZE];
	struct writer again = writer_over(bytes, sizeof(bytes));
	struct reader r = reader_over(encoded.data, encoded.size);
	struct certificate certificate;
	struct node_id id;
	enum err err = signature_check(cache, CERTIFICATE_TEXT, encoded, authority);

	if (err == OK)
		err = certificate_decode(&r, &certificate);
	if (err == OK)
		err = reader_finish(&r);
	if (err)
		return err;
	certificate_encode(&certificate, &again);
	err = canonical_check(encoded, &again);
	if (err)
		return err;
	id = node_id_of(certificate.identity_key);
	if (!node_id_equal(&id, &certificate.id))
		return ERR_AUTH;
	err = validity_check(certificate.not_before_s, certificate.not_after_s, now_s);
	if (err == OK)
		*ret = certificate;
	return err;
}

/* For documents that are not expected again. */
enum err certificate_judge(struct blob encoded, const uint8_t authority[KEY_SIZE], uint64_t now_s,
			   struct certificate *ret)
{
	return certificate_judge_cached(NULL, encoded, authority, now_s, ret);
}

/* May this coordinator lease these addresses? IPv4 is scarce and may be missing. */
static enum err lease_allowed(const struct lease *lease, const struct coordinator_entry *coordinator)
{
	struct ip v6 = node_id_v6(&lease->id, &coordinator->pool6);

	if (lease->v4.family && !prefix_contains(&coordinator->pool4, &lease->v4))
		return ERR_DENIED;
	if (!prefix_contains(&coordinator->pool6, &lease->v6))
		return ERR_DENIED;
	return ip_equal(&v6, &lease->v6) ? OK : ERR_DENIED;
}

static const struct coordinator_entry *coordinator_find(const struct network *network, const uint8_t sign_key[KEY_SIZE])
{
	for (size_t i = 0; i < network->coordinator_count; i++)
		if (memcmp(network->coordinators[i].sign_key, sign_key, KEY_SIZE) == 0)
			return &network->coordinators[i];
	return NULL;
}

/*
 * The key that must have signed is inside, so a lease is decoded first; it counts only if the network document lists
 * that key.
 */
enum err lease_judge_cached(struct signature_cache *cache, struct blob encoded, const struct network *network,
			    const struct node_id *id, uint64_t now_s, struct lease *ret)
{
	uint8_t bytes[LEASE_MAX_SIZE];
	struct writer again = writer_over(bytes, sizeof(bytes));
	struct reader r = reader_over(encoded.data, encoded.size);
	const struct coordinator_entry *coordinator;
	struct lease lease;
	enum err err = lease_decode(&r, &lease);

	if (err == OK)
		err = reader_finish(&r);
	if (err)
		return err;
	lease_encode(&lease, &again);
	err = canonical_check(encoded, &again);
	if (err)
		return err;
	coordinator = coordinator_find(network, lease.coordinator_key);
	if (!coordinator)
		return ERR_DENIED;
	err = signature_check(cache, LEASE_TEXT, encoded, coordinator->sign_key);
	if (err == OK && !node_id_equal(&lease.id, id))
		err = ERR_AUTH;
	if (err == OK)
		err = lease_allowed(&lease, coordinator);
	if (err == OK)
		err = validity_check(0, lease.not_after_s,
				     now_s); /* issued_s is not judged: coordinators' clocks differ */
	if (err == OK)
		*ret = lease;
	return err;
}

/* For documents that are not expected again. */
enum err lease_judge(struct blob encoded, const struct network *network, const struct node_id *id, uint64_t now_s,
		     struct lease *ret)
{
	return lease_judge_cached(NULL, encoded, network, id, now_s, ret);
}

/* Not limited in time: a network stays what it is while its account server is down. */
enum err network_judge(struct blob encoded, const uint8_t authority[KEY_SIZE], struct network *ret)
{
	uint8_t bytes[NETWORK_MAX_SIZE];
	struct writer again = writer_over(bytes, sizeof(bytes));
	struct reader r = reader_over(encoded.data, encoded.size);
	struct network network;
	enum err err = signature_check(NULL, NETWORK_TEXT, encoded, authority);

	if (err == OK)
		err = network_decode(&r, &network);
	if (err == OK)
		err = reader_finish(&r);
	if (err)
		return err;
	network_encode(&network, &again);
	err = canonical_check(encoded, &again);
	if (err == OK)
		*ret = network;
	return err;
}

/* Short enough to be typed inside a join code; a second preimage still costs 2^128. */
void authority_pin(const uint8_t authority[KEY_SIZE], uint8_t ret[JOIN_PIN_SIZE])
{
	uint8_t digest[HASH_SIZE];

	hash(authority, KEY_SIZE, digest);
	memcpy(ret, digest, JOIN_PIN_SIZE);
}

/* Static to static, hence derived under a label of its own: the same pair of keys also does handshakes. */
enum err ticket_key(const uint8_t own_secret[KEY_SIZE], const uint8_t peer_public[KEY_SIZE], uint8_t ret[KEY_SIZE])
{
	uint8_t shared[KEY_SIZE];
	enum err err = dh(own_secret, peer_public, shared);

	if (err == OK)
		derive_key(shared, "ntm ticket", NULL, 0, ret);
	wipe(shared, sizeof(shared));
	return err;
}

/* nonce is random: 2^32 tickets of one coordinator for one relay leave a collision at 2^-32. */
void ticket_seal(const struct ticket *ticket, const uint8_t key[KEY_SIZE], const uint8_t coordinator_public[KEY_SIZE],
		 const uint8_t nonce[12], uint8_t ret[TICKET_SEALED_SIZE])
{
	uint8_t plaintext[TICKET_SIZE];
	struct writer w = writer_over(plaintext, sizeof(plaintext));
	size_t size;
	enum err err;

	ticket_encode(ticket, &w);
	err = writer_finish(&w, &size);
	assert(err == OK && size == TICKET_SIZE);
	memcpy(ret, coordinator_public, KEY_SIZE);
	memcpy(ret + KEY_SIZE, nonce, AEAD_NONCE_SIZE);
	chacha_seal(key, nonce, ret, KEY_SIZE, plaintext, sizeof(plaintext), ret + KEY_SIZE + AEAD_NONCE_SIZE);
	wipe(plaintext, sizeof(plaintext));
}

/* Contract in the header. */
enum err ticket_open(struct blob sealed, const uint8_t key[KEY_SIZE], struct ticket *ret)
{
	uint8_t plaintext[TICKET_SIZE] = {0};
	struct reader r = reader_over(plaintext, sizeof(plaintext));
	struct ticket ticket = {0};
	const uint8_t *nonce;
	enum err err;

	if (sealed.size != TICKET_SEALED_SIZE)
		return ERR_MALFORMED;
	nonce = sealed.data + KEY_SIZE;
	err = chacha_open(key, nonce, sealed.data, KEY_SIZE, nonce + AEAD_NONCE_SIZE, sizeof(plaintext), plaintext);
	if (err == OK)
		err = ticket_decode(&r, &ticket);
	if (err == OK)
		err = reader_finish(&r);
	if (err == OK)
		*ret = ticket;
	wipe(plaintext, sizeof(plaintext));
	wipe(&ticket, sizeof(ticket));
	return err;
}
