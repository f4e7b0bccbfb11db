/*
 * handshake.h: Noise_IKpsk1_25519_ChaChaPoly_BLAKE2s as two datagrams, for every link (design 4).
 *
 *   <- s
 *   ...
 *   -> e, es, s, ss, psk
 *   <- e, ee, se
 *
 * Datagram: header(16) e(32) [sealed s(48)] sealed payload mac1(16) mac2(16). Prologue: HANDSHAKE_PROLOGUE || first
 * header. psk: TempKey, 32 zero bytes where there is none. mac1 is under a key that only invited peers know; mac2 is
 * zero, or the proof of the source that a server under load has asked for (cookie.h). Pure functions; nothing is
 * remembered but what is in the struct. After an error the struct is wiped and dead, except where said otherwise. The
 * outputs of a failed call are untouched. Every sender's datagram is judged by handshake_mac1_check before accept or
 * finish see it.
 */
#pragma once

#include "base/err.h"
#include "crypto/keys.h"
#include "wire/header.h"

#define HANDSHAKE_PROLOGUE "NTMobile v1"

struct handshake {
	uint8_t chaining_key[32], hash[32];
	struct dh_keys ephemeral;
	uint8_t remote_ephemeral[KEY_SIZE];
	uint8_t remote_static[KEY_SIZE];
	uint64_t path_id;
	uint8_t type; /* packet type of the first datagram; the answer's is the next number */
};

/* What the finished handshake leaves behind; wipe after use. */
struct session_keys {
	uint8_t to_responder[KEY_SIZE];
	uint8_t to_initiator[KEY_SIZE];
	uint8_t rekey_psk[KEY_SIZE]; /* psk of the handshake that replaces these keys; both ends have the same */
};

/* Token ss: the same in every handshake of two static keys, so it is computed once for each peer. Secret. */
struct static_pair {
	uint8_t remote_static[KEY_SIZE];
	uint8_t shared[KEY_SIZE];
};

/*
 * What one end of one handshake can do before it hears of the other, so that no datagram waits for it: the ephemeral
 * key, and with the other's static key es (initiator) or se (responder). For one handshake only; wipe after use.
 */
struct handshake_prepared {
	struct dh_keys ephemeral;
	struct static_pair pair; /* of the ephemeral key */
};

/* What both ends of one handshake bring along. All borrowed for the call. */
struct handshake_setup {
	const struct dh_keys *local_static;
	const uint8_t *remote_static;	 /* initiator only; KEY_SIZE bytes */
	const uint8_t *psk;		 /* KEY_SIZE bytes, NULL for zeros */
	const struct static_pair *known; /* NULL, or ss with local_static; ignored when it is of another remote key */
	const struct handshake_prepared *prepared; /* NULL, or in place of ephemeral_seed */
	const uint8_t *mac1_key; /* KEY_SIZE bytes: handshake_mac1_key of the receiver of the datagram to be written */
	uint8_t type;		 /* packet type of the datagram to be written */
	uint64_t path_id;
	const uint8_t *ephemeral_seed; /* KEY_SIZE fresh random bytes */
};

/* mac1 key for datagrams to the owner of static_key: nego_key NULL for servers, NegoKey between nodes. */
void handshake_mac1_key(const uint8_t static_key[KEY_SIZE], const uint8_t *nego_key, uint8_t ret[KEY_SIZE]);
/* NegoKey from TempKey (design 4). */
void nego_key_derive(const uint8_t temp_key[KEY_SIZE], uint8_t ret[KEY_SIZE]);
/* Cheapest check first (security 2): length and mac1. mac2 is for who gives cookies to judge (cookie.h). */
must_use enum err handshake_mac1_holds(const uint8_t *datagram, size_t size, const uint8_t mac1_key[KEY_SIZE]);
/* The same for who gives none: mac2 must be zero. */
must_use enum err handshake_mac1_check(const uint8_t *datagram, size_t size, const uint8_t mac1_key[KEY_SIZE]);

/* ERR_AUTH for a key of low order. */
must_use enum err static_pair_make(const struct dh_keys *local_static, const uint8_t remote_static[KEY_SIZE],
				   struct static_pair *ret);
must_use enum err handshake_prepare(const uint8_t ephemeral_seed[KEY_SIZE], const uint8_t remote_static[KEY_SIZE],
				    struct handshake_prepared *ret);

/* Initiator: writes the first datagram (at most MESSAGE_MAX bytes). payload at most HANDSHAKE_PAYLOAD_MAX. */
must_use enum err handshake_begin(struct handshake *h, const struct handshake_setup *setup, struct blob payload,
				  uint8_t *ret_datagram, size_t *ret_size);
/*
 * Initiator: consumes the answer. ret_payload has room for MESSAGE_MAX. On error h is unchanged: a forged answer ends
 * nothing. Afterwards the secrets in h are gone; remote_static and path_id stay.
 */
must_use enum err handshake_finish(struct handshake *h, const struct dh_keys *local_static, const uint8_t *datagram,
				   size_t size, uint8_t *ret_payload, size_t *ret_payload_size,
				   struct session_keys *ret);
/*
 * Responder: reads the first datagram up to its payload; afterwards h->remote_static names the sender. Of setup it uses
 * local_static, psk (may be chosen by path_id before) and known.
 */
must_use enum err handshake_accept(struct handshake *h, const struct handshake_setup *setup, const uint8_t *datagram,
				   size_t size, uint8_t *ret_payload, size_t *ret_payload_size);
/* Responder: writes the answer and yields the keys. */
must_use enum err handshake_answer(struct handshake *h, const struct handshake_setup *setup, struct blob payload,
				   uint8_t *ret_datagram, size_t *ret_size, struct session_keys *ret);
