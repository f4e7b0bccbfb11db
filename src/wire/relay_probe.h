/*
 * relay_probe.h: how far a relay is and how busy: Probe and its answer, of the same size; and Announce, by which a
 * relay tells coordinators that it is there. Whole datagrams.
 *
 * PathID is the asker's nonce. Nodes authenticate by the key that everybody has who knows the relay's public key (as
 * mac1), coordinators by what they share with the relay; only these hear how busy it is.
 */
#pragma once

#include "wire/header.h"

enum relay_asker { RELAY_ASKER_NODE, RELAY_ASKER_COORDINATOR };

struct relay_load {
	uint32_t pairs, pairs_max;
	uint32_t kbps, kbps_max; /* forwarded lately; 0: no limit */
	bool is_draining;	 /* about to stop: no new pairs */
};

/* header, u8 asker, coordinator's static key[32] or zeros, mac. */
enum { RELAY_PROBE_SIZE = HEADER_SIZE + 1 + KEY_SIZE + MAC_SIZE };
struct relay_probe {
	uint64_t nonce;
	uint8_t asker; /* enum relay_asker */
	uint8_t static_key[KEY_SIZE];
	uint8_t mac[MAC_SIZE];
};

/* header, u8 asker, load: 4 u32 and u8 of flags, zeros, mac: as large as the Probe. */
struct relay_probed {
	uint64_t nonce;
	uint8_t asker;
	struct relay_load load; /* zeros for nodes */
	uint8_t mac[MAC_SIZE];
};

/* header, relay's static key[32], u64 epoch of its network document, mac. PathID: random. */
enum { RELAY_ANNOUNCE_SIZE = HEADER_SIZE + KEY_SIZE + 8 + MAC_SIZE };
struct relay_announce {
	uint64_t nonce;
	uint8_t static_key[KEY_SIZE];
	uint64_t network_epoch;
	uint8_t mac[MAC_SIZE];
};

/* mac is written last, by the caller, and covers everything before it. */
void relay_probe_encode_unsigned(const struct relay_probe *m, struct writer *w);
must_use enum err relay_probe_decode(struct reader *r, struct relay_probe *ret);
void relay_probed_encode_unsigned(const struct relay_probed *m, struct writer *w);
must_use enum err relay_probed_decode(struct reader *r, struct relay_probed *ret);
void relay_announce_encode_unsigned(const struct relay_announce *m, struct writer *w);
must_use enum err relay_announce_decode(struct reader *r, struct relay_announce *ret);
