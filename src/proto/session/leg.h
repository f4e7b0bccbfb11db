/*
 * leg.h: a node's half of a relay leg: Bind, Challenge, Answer, Bound, repeated until the relay agrees (security 3).
 * To be embedded; no allocation.
 *
 * Life: unbound -> (Bind, Answer) -> bound -> (leg_move: generation + 1) -> unbound -> ...  Data may be sent through
 * the relay as soon as the first Bind of a generation is out: the relay accepts it from there at once, though it
 * sends back only within what it received until bound. Warmth: a bound leg repeats its Bind, same generation, every
 * KEEPALIVE_US. That is answered by Bound in one round trip, keeps the NAT's mapping and the relay's LEG_IDLE_US
 * alive, follows a NAT that rebound, and makes a restarted relay know the pair again, since Bind carries the ticket.
 * A relay that does not answer is asked once in HANDSHAKE_RETRY_MAX_US at least, by a spare leg ever more rarely, once
 * in KEEPALIVE_US at least.
 */
#pragma once

#include "base/time.h"
#include "wire/direction.h"
#include "wire/relay.h"

enum {
	LEG_DATAGRAM_MAX = HEADER_SIZE + 1 + 4 + 2 + TICKET_MAX_SIZE + MAC_SIZE, /* largest that leg_output writes */
	LEG_TRIES_PER_ADDRESS = 6, /* unanswered Binds before the relay's next address is tried */
};

struct leg {
	uint64_t path_id;
	uint8_t index; /* 0 or 1: which end of the pair */
	bool is_spare; /* nothing depends on it: set by whoever knows, for leg_output and leg_deadline */
	uint8_t key[KEY_SIZE];
	uint16_t ticket_size;
	uint8_t ticket[TICKET_MAX_SIZE];
	struct server_addresses addresses;
	uint8_t address; /* index of the one in use */
	uint32_t generation;
	bool bound; /* for this generation */
	bool answer_due;
	bool answered;		   /* ... this generation's Challenge, and not confirmed since */
	uint8_t cookie[16];	   /* of the Answer that is due */
	uint8_t tries;		   /* Binds since the relay was last heard */
	struct time_us sent, next; /* last and next Bind */
	struct time_us silent;	   /* since the first one that was not answered; us 0: it is not */
	int64_t rtt_us;		   /* to the relay and back; -1: not known */
	struct addr seen;	   /* where the relay sees us, as it said last; unset: not told */
};

/*
 * Everything is copied; the first Bind is due at now. ERR_MALFORMED: no address, bad leg number or ticket too large;
 * *leg is then untouched.
 */
must_use enum err leg_init(struct leg *leg, uint64_t path_id, const struct relay_grant *grant, struct time_us now);
/* Wipes the key. */
void leg_finish(struct leg *leg);
/* The node's own address changed: generation + 1, Bind due at now. */
void leg_move(struct leg *leg, struct time_us now);
/*
 * Something is wrong with this path (data unanswered): ask again at once, at most once per HANDSHAKE_RETRY_US. Same
 * generation.
 */
void leg_refresh(struct leg *leg, struct time_us now);
/*
 * A datagram of type PACKET_RELAY_CHALLENGE or PACKET_RELAY_BOUND and this PathID. ERR_AUTH, ERR_STATE (other
 * generation or leg), ERR_MALFORMED.
 */
enum err leg_input(struct leg *leg, struct time_us now, const uint8_t *bytes, size_t size);
/*
 * The next datagram for leg_relay(leg), from the address that data takes: pull until false. ret has room for
 * LEG_DATAGRAM_MAX. Times move on only here, so a driver that pulls at leg_deadline needs no input_time.
 */
bool leg_output(struct leg *leg, struct time_us now, uint8_t *ret, size_t *ret_size);
struct time_us leg_deadline(const struct leg *leg);
/* The next Bind of a bound leg, with all that is said then; not later than LEG_IDLE_US allows. */
void leg_rest(struct leg *leg, struct time_us until);
bool leg_is_bound(const struct leg *leg);
/* The relay's address in use. Answers are welcome from any of them. */
const struct addr *leg_relay(const struct leg *leg);
/* Use the relay's next address of this family (4, 6) from now on, if it has one: for nodes that lack the other. */
void leg_prefer_family(struct leg *leg, uint8_t family);
