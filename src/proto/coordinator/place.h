/*
 * place.h: where a member is spoken to, and who may change that (security 1, E1 to E6): a place that has shown that it
 * receives is left only for one that has shown it too, and only when the member said that it moved or the old one is
 * silent.
 */
#pragma once

#include "base/datagram.h"
#include "proto/coordinator/delay.h"
#include "wire/limits.h"

enum { PLACE_RECENT = 4 }; /* datagrams whose copies are known again: what is on its way at a time */

struct coordinator;
struct channel;

/* Another address that the member's packets came from. */
struct rival {
	struct route route; /* family 0: none */
	bool is_valid;	    /* it receives too: both are spoken to until it is clear who is the member */
	struct time_us asked_at;
	int64_t credit_bytes; /* what came from there, and nothing went back for */
};

struct place {
	struct route route;
	bool is_proven;			      /* the member has shown that it receives there */
	int64_t credit_bytes;		      /* what may still go there before (E5) */
	struct time_us asked_since, asked_at; /* first and last question to it that is not answered; 0: none */
	int64_t rtt_us;
	struct rival rival;
	struct delay doubt; /* until the silence of the route is long enough */
	uint64_t recent[PLACE_RECENT];
	uint8_t next_recent;
	/* The last answer to a question to nobody we remember: whoever sends a copy of it from there has proved it. */
	uint64_t stray_tag;
	uint8_t stray[CHALLENGE_SIZE];
	/* While a message is judged: its datagram, and where it came if it may suggest an address. */
	uint64_t tag;
	const struct route *from;
};

/* A session's first sealed packet came from here. */
void place_begin(struct place *place, const struct route *route, bool is_proven);
/* A datagram that was opened. Only one with the highest counter may suggest an address (E1), and no answer to a
 * question of ours: those come by any way. */
void place_heard(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		 size_t size, bool may_suggest);
/* One that the replay window refused: the copy of what was just accepted shows another address, the rest nothing. */
void place_repeated(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		    size_t size);
/* The member says that it moved to where that message came from: it is followed at once (E4). */
void place_moved(struct coordinator *c, struct channel *channel);
/* While the place is not proven: one question for each packet from there. */
void place_ask(struct coordinator *c, struct channel *channel);
/* Path Response. ERR_STATE when it was not asked of an address that is known. */
enum err place_answered(struct coordinator *c, struct channel *channel, const uint8_t challenge[CHALLENGE_SIZE]);
void place_end(struct place *place);

/* What may go there without proof: takes that much. Answers to the member's own place may overdraw. */
bool place_spend(struct place *place, const struct route *route, size_t size, bool is_answer);

void place_init(struct coordinator *c);
void place_input_time(struct coordinator *c);
