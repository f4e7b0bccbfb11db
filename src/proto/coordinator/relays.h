/*
 * relays.h: what the coordinator knows of the network's relays, and which one a pair has. For the files of this folder
 * only.
 */
#pragma once

#include "base/time.h"
#include "proto/coordinator/delay.h"
#include "wire/limits.h"
#include "wire/relay_probe.h"
#include "wire/relay_report.h"

enum { RELAY_QUESTIONS = 4, RELAY_UNANSWERED_MAX = 3 };

struct coordinator;
struct member;
struct pair;
struct direction;
struct channel;
struct foreign;
struct route;
struct reader;

/* One relay of the network document, in its place there. */
struct relay_state {
	bool is_usable; /* its key makes tickets */
	uint32_t tag;
	uint8_t static_key[KEY_SIZE];
	uint8_t key[KEY_SIZE]; /* ticket_key: one DH per relay, not per ticket */
	uint8_t probe_key[KEY_SIZE];
	/* Our own questions. A relay that never answered us is not blamed: it may be where only nodes reach it. */
	struct {
		uint64_t nonce;
		struct time_us at;
	} questions[RELAY_QUESTIONS];
	unsigned asked;
	uint8_t unanswered; /* in a row */
	bool was_heard, is_silent;
	struct time_us next;
	int64_t rtt_us; /* -1: not known */
	struct relay_load load;
	/* Complaints of members: who was the last one, and was there another one before? */
	const struct member *complainer;
	struct time_us complained;
	bool are_several;
};

struct relays {
	struct relay_state list[RELAYS_MAX];
	uint8_t count;
	struct delay_queue grants;
};

/* Which relay a pair has. */
struct pair_relay {
	uint32_t tag;  /* 0: none */
	uint8_t cause; /* enum relay_cause */
	struct time_us since;
	struct direction *grant; /* one that both ends may not have heard of yet; NULL: they have */
	struct delay grant_age;
};

struct relay_choice {
	bool has;
	uint8_t index; /* in the network document */
	uint8_t cause;
};

void relays_init(struct coordinator *c);
/* The document has changed: who is gone is left, who is new is made known to nodes that have tunnels. */
void relays_set_network(struct coordinator *c, bool is_first);
/*
 * The relay for a tunnel between a and b (NULL: not known yet): the shortest way that is measured, among equals and
 * where nothing is measured by `seed`, so that pairs are spread. avoid: the tag of the one that did not help; 0: none.
 * Turn: how often there was another direction before.
 */
struct relay_choice relays_choose(const struct coordinator *c, const struct member *a, const struct member *b,
				  uint64_t seed, unsigned turn, uint32_t avoid);
/* Tag of that relay; 0: none. */
uint32_t relays_tag(const struct coordinator *c, const struct relay_choice *choice);
/* Keeps or changes the relay of a pair that is ours to decide. */
void relays_judge(struct coordinator *c, struct pair *pair);
void relays_judge_member(struct coordinator *c, struct member *member);
/* A RELAY_REPORT of a member, and of another coordinator about a tunnel whose relay we chose. */
enum err relays_input_report(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body);
enum err relays_input_foreign_report(struct coordinator *c, struct foreign *f, uint32_t transaction,
				     struct reader *body);
/* PACKET_RELAY_PROBED and PACKET_RELAY_ANNOUNCE. */
enum err relays_input(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size);
void relays_input_time(struct coordinator *c);
struct time_us relays_deadline(const struct coordinator *c);
void relays_forget_grant(struct pair *pair);
/* It is gone: nobody's complaint any more. */
void relays_forget_member(struct coordinator *c, const struct member *member);
