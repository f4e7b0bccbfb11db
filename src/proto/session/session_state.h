/* session_state.h: private to session.c and its tests, which start counters near their limits (T25). */
#pragma once

#include "proto/session/replay.h"
#include "proto/session/session.h"

/* The keys that one handshake left behind. */
struct epoch {
	struct aead_key *seal, *open; /* expanded; NULL while the session rests */
	uint8_t seal_bytes[KEY_SIZE], open_bytes[KEY_SIZE];
	uint8_t rekey_psk[KEY_SIZE];
	uint8_t number; /* modulo 256; the wire has it modulo 4 */
	bool heard;	/* a packet under it has been opened */
	struct time_us since;
	uint64_t sealed; /* packets */
};

/*
 * newest is what the last handshake made, previous what was before it and still opens. A responder seals under previous
 * until it has heard newest: until then the initiator may not have its answer.
 */
struct session {
	struct aead_provider *provider;
	enum suite suite;
	bool is_initiator;
	uint64_t path_id;
	struct epoch newest;
	struct epoch *previous;	      /* NULL: none */
	uint64_t counters[PATHS_MAX]; /* next to seal; never reset, so no nonce repeats under any key */
	struct replay windows[PATHS_MAX];
};
