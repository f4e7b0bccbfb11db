/*
 * trust.h: signing and judging certificates, leases and network documents; sealing tickets. Design 4. Pure functions.
 */
#pragma once

#include "base/err.h"
#include "crypto/keys.h"
#include "wire/credential.h"
#include "wire/relay.h"

/* NodeID: BLAKE2s(identity key), first 16 bytes. */
struct node_id node_id_of(const uint8_t identity_key[KEY_SIZE]);
bool node_id_equal(const struct node_id *a, const struct node_id *b);
int node_id_compare(const struct node_id *a, const struct node_id *b);
/* Virtual IPv6: the pool's first 32 bits, then 96 bits of the NodeID (design 9). */
struct ip node_id_v6(const struct node_id *id, const struct prefix *pool6);

/* Each fills in signature. */
void certificate_sign(struct certificate *certificate, const struct sign_keys *authority);
void lease_sign(struct lease *lease, const struct sign_keys *coordinator);
void network_sign(struct network *network, const struct sign_keys *authority);

/*
 * Signatures that held, by the hash of key and document: one that comes again costs a hash instead of a verification,
 * which is dearer than a Diffie-Hellman. Everything else of a document is judged each time. count is a power of two,
 * at most 65536; what falls on the place of another displaces it.
 */
struct signature_cache;
struct signature_cache *signature_cache_create(size_t count);
void signature_cache_destroy(struct signature_cache *cache); /* accepts NULL */
uint64_t signature_cache_hits(const struct signature_cache *cache);

/*
 * Decode and judge encoded documents; *ret is untouched on failure. now_s is the network's time (told by the
 * coordinator), 0 when not known yet: then validity is not judged (T10). ERR_AUTH: signature or NodeID wrong.
 * ERR_EXPIRED.
 */
must_use enum err certificate_judge(struct blob encoded, const uint8_t authority[KEY_SIZE], uint64_t now_s,
				    struct certificate *ret);
/*
 * The coordinator's key must be listed in network, the address must lie in its pools, and v6 must certify itself:
 * ERR_DENIED otherwise.
 */
must_use enum err lease_judge(struct blob encoded, const struct network *network, const struct node_id *id,
			      uint64_t now_s, struct lease *ret);
/* The same; cache may be NULL. */
must_use enum err certificate_judge_cached(struct signature_cache *cache, struct blob encoded,
					   const uint8_t authority[KEY_SIZE], uint64_t now_s, struct certificate *ret);
must_use enum err lease_judge_cached(struct signature_cache *cache, struct blob encoded, const struct network *network,
				     const struct node_id *id, uint64_t now_s, struct lease *ret);
must_use enum err network_judge(struct blob encoded, const uint8_t authority[KEY_SIZE], struct network *ret);
/* First JOIN_PIN_SIZE bytes of BLAKE2s(authority key): what a join code pins. */
void authority_pin(const uint8_t authority[KEY_SIZE], uint8_t ret[JOIN_PIN_SIZE]);

/*
 * Ticket, sealed by a coordinator for a relay: coordinator's static key (32), nonce (12), ChaCha20-Poly1305 over the
 * ticket under a key derived from DH(coordinator, relay). Symmetric work only, once the DH is cached; needs no round
 * trip and no state at the relay.
 */
enum { TICKET_SEALED_SIZE = KEY_SIZE + 12 + TICKET_SIZE + TAG_SIZE };
must_use enum err ticket_key(const uint8_t own_secret[KEY_SIZE], const uint8_t peer_public[KEY_SIZE],
			     uint8_t ret[KEY_SIZE]);
void ticket_seal(const struct ticket *ticket, const uint8_t key[KEY_SIZE], const uint8_t coordinator_public[KEY_SIZE],
		 const uint8_t nonce[12], uint8_t ret[TICKET_SEALED_SIZE]);
must_use enum err ticket_open(struct blob sealed, const uint8_t key[KEY_SIZE], struct ticket *ret);
