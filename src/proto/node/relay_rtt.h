/* relay_rtt.h: how far the relays of our network are: measured when we register, after each move and when there is a
 * new relay, never on a timer. */
#pragma once

#include "base/datagram.h"
#include "base/time.h"
#include "wire/relay_report.h"

struct node;

enum { RELAY_ROUNDS = 3 };

struct relay_metered {
	uint32_t tag;
	uint8_t key[KEY_SIZE]; /* of our questions to it */
	struct addr remote;
	struct {
		uint64_t nonce; /* 0: not asked, or answered */
		struct time_us at;
	} asked[RELAY_ROUNDS];
	uint8_t answered;
	int64_t rtt_us; /* least so far; -1: none */
};

struct relay_meter {
	bool is_wanted; /* as soon as the coordinator has answered from where we are */
	bool is_running;
	struct time_us begun, next;
	struct time_us later; /* too soon after the last time: then; us 0: not */
	uint8_t rounds;
	uint8_t count;
	struct relay_metered list[RELAYS_MAX];
	bool has_told;
	struct relay_sight told;
};

/* Once the coordinator answers again; it may have forgotten what it was told. */
void relay_rtt_want(struct node *node, bool is_forgotten);
/* It answers. */
void relay_rtt_begin(struct node *node, struct time_us now);
/* The network document lists others than before. */
void relay_rtt_relisted(struct node *node, struct time_us now);
/* PACKET_RELAY_PROBED. */
void relay_rtt_received(struct node *node, struct time_us now, const uint8_t *bytes, size_t size);
void relay_rtt_run(struct node *node, struct time_us now);
