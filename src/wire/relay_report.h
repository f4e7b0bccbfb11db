/*
 * relay_report.h: how a node sees the relays of its network, told to its coordinator, which chooses by it; and why a
 * relay was chosen. Bodies only: message.h has the header.
 */
#pragma once

#include "wire/field.h"

#define RELAY_NO_ANSWER UINT32_MAX

/* Why a tunnel has the relay that it has. */
enum relay_cause {
	RELAY_CAUSE_NONE,
	RELAY_CAUSE_SPREAD, /* nothing is measured: pairs are spread over all relays */
	RELAY_CAUSE_NEAR,   /* the shortest way between the two */
	RELAY_CAUSE_SILENT, /* the one before does not answer any more */
	RELAY_CAUSE_BETTER, /* the one before is much farther, or loses more */
	RELAY_CAUSE_LOAD,   /* the one before is full or about to stop */
	RELAY_CAUSE_GONE,   /* the one before is no relay of this network any more */
	RELAY_CAUSES
};

/* One relay, by the first bytes of its static key. */
struct relay_seen {
	uint32_t tag;
	uint32_t rtt_us; /* RELAY_NO_ANSWER: it was asked in vain */
	uint8_t lost_percent;
};

struct relay_sight {
	uint8_t count;
	struct relay_seen list[RELAY_SEEN_MAX];
};

/* From a node: its sight, or a relay that it asks to be replaced in all its tunnels. From a coordinator: that relay, in
 * one tunnel. */
struct relay_report {
	struct relay_sight sight;
	bool has_silent;
	uint32_t silent_tag; /* 0: whichever the tunnel has */
	uint32_t silent_ms;
	uint64_t path_id; /* the tunnel; 0: none */
};

/* Never 0. */
uint32_t relay_tag(const uint8_t static_key[KEY_SIZE]);
/* NULL: it was not measured. */
const struct relay_seen *relay_sight_find(const struct relay_sight *sight, uint32_t tag);
/* FIELD_RELAY_SEEN for each; shared by all messages that carry them. */
void relay_sight_encode(const struct relay_sight *sight, struct writer *w);
/* Reads one of them while decoding; one too many fails the value's reader. */
void relay_sight_take(struct relay_sight *sight, struct reader *value);
void relay_report_encode(const struct relay_report *m, struct writer *w);
must_use enum err relay_report_decode(struct reader *r, struct relay_report *ret);
