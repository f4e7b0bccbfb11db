/*
 * tunnel.h: two ends of a tunnel: Tunnel Request/Response payloads, Move, Path Challenge/Response, Echo, Rekey,
 * Close, Hole Punching.
 */
#pragma once

#include "wire/header.h"
#include "wire/registration.h"

/* Payload of both handshake messages between nodes: who I am is proved by the handshake's static key. */
struct tunnel_hello {
	uint32_t move_epoch;
	uint32_t features;
	uint64_t
		held_path_id; /* of the session with the receiver that the sender has, until this one stands; 0: none */
	struct blob data; /* request only: an inner packet that need not wait for the answer, borrowed; may be empty */
	size_t padded_size; /* encoder only, as in registration_request */
};

struct move {
	uint32_t move_epoch;	      /* rises with every real move of the sender, never falls */
	struct candidates candidates; /* the sender's, new */
	struct addr observed;	      /* the sender's reflexive address where it knows it; may be unset */
	bool kept;		      /* where it was before it is still: make before break */
};

/* Counters [first, end). */
struct span {
	uint64_t first, end;
};

/* What has come in one counter space. */
struct receipt_space {
	uint64_t next; /* the highest counter of data, and one; 0: nothing yet */
	uint8_t missing_count;
	struct span missing[MISSING_MAX]; /* below it, newest first; there may be more, older ones */
};

/*
 * What has come of the other end's data (sealed packets without SEALED_CONTROL), by counter space. The newest says it
 * all: receipts are not repeated and may get lost.
 */
struct receipt {
	struct receipt_space spaces[PATHS_MAX];
};

struct path_challenge {
	uint8_t challenge[CHALLENGE_SIZE];
};

struct path_response {
	uint8_t challenge[CHALLENGE_SIZE];
	struct addr observed; /* where the challenge came from */
};

struct echo {
	struct blob data; /* at most ECHO_MAX bytes, borrowed, returned as it came */
};

struct rekey {
	uint8_t epoch;	       /* the epoch that this makes */
	struct blob handshake; /* Noise message without outer header and MACs, borrowed */
};

struct close {
	uint8_t reason;
};

void tunnel_hello_encode(const struct tunnel_hello *m, struct writer *w);
must_use enum err tunnel_hello_decode(struct reader *r, struct tunnel_hello *ret);
void move_encode(const struct move *m, struct writer *w);
must_use enum err move_decode(struct reader *r, struct move *ret);
void receipt_encode(const struct receipt *m, struct writer *w);
must_use enum err receipt_decode(struct reader *r, struct receipt *ret);
void path_challenge_encode(const struct path_challenge *m, struct writer *w);
must_use enum err path_challenge_decode(struct reader *r, struct path_challenge *ret);
void path_response_encode(const struct path_response *m, struct writer *w);
must_use enum err path_response_decode(struct reader *r, struct path_response *ret);
void echo_encode(const struct echo *m, struct writer *w);
must_use enum err echo_decode(struct reader *r, struct echo *ret);
void rekey_encode(const struct rekey *m, struct writer *w);
must_use enum err rekey_decode(struct reader *r, struct rekey *ret);
void close_encode(const struct close *m, struct writer *w);
must_use enum err close_decode(struct reader *r, struct close *ret);

/*
 * Hole Punching is a whole datagram: header (counter = number of this probe), u8 flags (1: answer, do not answer
 * again), 15 bytes nonce, 16 bytes MAC over all before it under NegoKey. An answer is as long as what it answers.
 */
enum { HOLE_PUNCHING_SIZE = HEADER_SIZE + 1 + 15 + MAC_SIZE, HOLE_PUNCHING_ANSWER = 1 };
struct hole_punching {
	uint64_t path_id, counter;
	uint8_t flags;
	uint8_t nonce[15];
	uint8_t mac[MAC_SIZE];
};
void hole_punching_encode(const struct hole_punching *m, struct writer *w);
must_use enum err hole_punching_decode(struct reader *r, struct hole_punching *ret);
