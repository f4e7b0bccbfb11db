/*
 * Who may be a leg: ticket (sealed by a coordinator), leg key (MAC over the Bind), address (cookie that came back). A
 * Bind proves the first two and makes its source the leg's candidate; an Answer proves all three and binds it. A pair
 * is entered when its ticket is first seen: the Answer has no room for the leg keys. That is one entry per authentic
 * ticket, holds no address, and is the only state that is ever evicted.
 */
#include <string.h>

#include "base/cursor.h"
#include "crypto/hash.h"
#include "proto/relay/state.h"

/*
 * A leg that says nothing for this long may be rebound by its NAT without having said that it moves (security 1, E3).
 */
#define RELAY_LEG_SILENCE_US OLD_PATH_SILENCE_MIN_US

/* A burst of one superpacket train must pass at any rate; 100 ms worth at fast ones. */
enum { RELAY_BURST_BYTES = 256 * 1024, RELAY_BURST_MIN_US = 100 * 1000 };

static uint64_t min_limit(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a | b;
	return a < b ? a : b;
}

/* Token bucket over the source's /32 or /64: unknown tickets cost a decryption each (security 2). */
bool relay_is_limited(struct relay *relay, const struct addr *remote)
{
	size_t prefix_size = remote->ip.family == 4 ? 4 : 8;
	uint64_t slot = siphash(relay->limit_key, remote->ip.bytes, prefix_size) % RELAY_LIMIT_SLOTS;
	int64_t now_us = relay->now.us, full_us = relay->limit_us[slot] > now_us ? relay->limit_us[slot] : now_us;

	full_us += USEC_PER_SEC / relay->config.tickets_per_s;
	if (full_us - now_us > 2 * USEC_PER_SEC)
		return true;
	relay->limit_us[slot] = full_us;
	return false;
}

/*
 * The later of our own clock and what this coordinator's tickets prove: a clock that is behind accepts nothing stale.
 */
static uint64_t wall_now_s(const struct relay *relay, const struct relay_coordinator *coordinator)
{
	uint64_t own_s = relay->config.wall_s + (uint64_t)(time_since(relay->now, relay->started) / USEC_PER_SEC);

	return own_s > coordinator->newest_not_before_s ? own_s : coordinator->newest_not_before_s;
}

static struct relay_coordinator *coordinator_of(struct relay *relay, struct blob sealed)
{
	if (sealed.size != TICKET_SEALED_SIZE)
		return NULL;
	for (unsigned i = 0; i < relay->coordinator_count; i++)
		if (!memcmp(relay->coordinators[i].public, sealed.data, KEY_SIZE))
			return &relay->coordinators[i];
	return NULL;
}

static enum err open_ticket(struct relay *relay, const struct relay_bind *bind, const struct addr *remote,
			    struct ticket *ret, uint64_t *ret_coordinator)
{
	struct relay_coordinator *coordinator = coordinator_of(relay, bind->ticket);

	if (!coordinator) {
		relay->counters.dropped_ticket++;
		return ERR_UNKNOWN;
	}
	if (relay_is_limited(relay, remote)) {
		relay->counters.dropped_limited++;
		return ERR_FULL;
	}
	if (ticket_open(bind->ticket, coordinator->ticket_key, ret) != OK || ret->path_id != bind->path_id) {
		relay->counters.dropped_ticket++;
		return ERR_AUTH;
	}
	if (ret->not_before_s > coordinator->newest_not_before_s)
		coordinator->newest_not_before_s = ret->not_before_s;
	if (wall_now_s(relay, coordinator) > ret->not_after_s) {
		relay->counters.dropped_expired++;
		return ERR_EXPIRED;
	}
	*ret_coordinator = siphash(relay->limit_key, coordinator->public, KEY_SIZE);
	return OK;
}

static bool bind_mac_holds(const uint8_t leg_key[KEY_SIZE], const struct relay_bind *bind, const uint8_t *bytes)
{
	uint8_t tag[MAC_BYTES];

	mac(leg_key, bytes, bind->signed_size, tag);
	return equal_secret(tag, bind->mac, MAC_SIZE);
}

/* Also for a pair that exists and got a newer ticket: new keys and limits, addresses and accounting stay. */
static void pair_take_ticket(const struct relay *relay, struct pair *pair, const struct ticket *ticket,
			     uint64_t coordinator)
{
	struct relay_flow *flow = &pair->flow;
	uint64_t bytes_max = min_limit(ticket->bytes_max, relay->config.pair_bytes_max);
	uint64_t burst_us;

	memcpy(pair->leg_keys, ticket->leg_keys, sizeof pair->leg_keys);
	pair->coordinator = coordinator;
	pair->not_before_s = ticket->not_before_s;
	flow->bytes_left = bytes_max ? bytes_max : UINT64_MAX;
	flow->rate_kbps = (uint32_t)min_limit(ticket->rate_kbps_max, relay->config.leg_kbps_max);
	flow->leg_idle_us = LEG_IDLE_US;
	flow->candidate_idle_us = LEG_UNBOUND_US;
	burst_us = flow->rate_kbps ? (uint64_t)RELAY_BURST_BYTES * 8000 / flow->rate_kbps : 0;
	flow->burst_us = burst_us > RELAY_BURST_MIN_US ? (uint32_t)burst_us : RELAY_BURST_MIN_US;
}

/* Room is made only at the cost of a pair that nobody has bound yet, the oldest. */
static struct pair *pair_add(struct relay *relay, uint64_t path_id)
{
	struct time_us check = time_add(relay->now, LEG_UNBOUND_US);
	struct pair *pair = pair_table_add(&relay->table, path_id, check), *oldest;

	if (!pair && (oldest = pair_table_first(&relay->table, PAIR_UNBOUND))) {
		pair_table_remove(&relay->table, oldest);
		relay->counters.pairs_evicted++;
		pair = pair_table_add(&relay->table, path_id, check);
	}
	if (pair)
		relay->counters.pairs_made++;
	else
		relay->counters.dropped_full++;
	return pair;
}

/* No pair yet: ticket, then MAC, and only then an entry. */
static enum err pair_from_ticket(struct relay *relay, const struct route *route, const struct relay_bind *bind,
				 const uint8_t *bytes, struct pair **ret)
{
	struct ticket ticket;
	uint64_t coordinator;
	enum err err = open_ticket(relay, bind, &route->remote, &ticket, &coordinator);

	if (err != OK)
		return err;
	if (!bind_mac_holds(ticket.leg_keys[bind->leg], bind, bytes)) {
		relay->counters.dropped_auth++;
		err = ERR_AUTH;
		goto out;
	}
	*ret = pair_add(relay, bind->path_id);
	if (*ret)
		pair_take_ticket(relay, *ret, &ticket, coordinator);
	else
		err = ERR_FULL;
out:
	wipe(&ticket, sizeof ticket);
	return err;
}

/* The MAC does not hold under the keys we have: only a newer ticket of the same coordinator may change them. */
static enum err pair_renew(struct relay *relay, const struct route *route, const struct relay_bind *bind,
			   const uint8_t *bytes, struct pair *pair)
{
	struct ticket ticket;
	uint64_t coordinator;
	enum err err = open_ticket(relay, bind, &route->remote, &ticket, &coordinator);

	if (err != OK)
		return err;
	if (coordinator == pair->coordinator && ticket.not_before_s > pair->not_before_s &&
	    bind_mac_holds(ticket.leg_keys[bind->leg], bind, bytes)) {
		express_leave(relay, pair);
		pair_take_ticket(relay, pair, &ticket, coordinator);
		for (unsigned i = 0; i < 2;
		     i++) /* under other keys nodes count anew, and nothing old can be replayed */
			pair->generation[i] = pair->candidate_generation[i] = pair->burst_generation[i] = 0;
	} else {
		relay->counters.dropped_auth++;
		err = ERR_AUTH;
	}
	wipe(&ticket, sizeof ticket);
	return err;
}

/*
 * Everything that must be the same when the Answer comes back, and how often the leg was bound: no cookie binds
 * twice.
 */
static void cookie_make(const uint8_t secret[KEY_SIZE], const struct pair *pair, unsigned leg, uint32_t generation,
			const struct addr *remote, uint8_t ret[16])
{
	uint8_t text[64];
	struct writer w = writer_over(text, sizeof text);

	write_u64(&w, pair->flow.path_id);
	write_u8(&w, (uint8_t)leg);
	write_u32(&w, generation);
	write_u32(&w, pair->binds[leg]);
	write_u8(&w, remote->ip.family);
	write_bytes(&w, remote->ip.bytes, ip_size(&remote->ip));
	write_u16(&w, remote->port);
	mac(secret, text, w.at, ret);
}

/* The previous secret still counts, so that an exchange may straddle a rotation. */
static void cookie_rotate(struct relay *relay)
{
	int64_t age_us = time_since(relay->now, relay->cookie_rotated);

	if (age_us < COOKIE_SECRET_US)
		return;
	if (age_us < 2 * COOKIE_SECRET_US)
		memcpy(relay->cookie_secret[1], relay->cookie_secret[0], KEY_SIZE);
	else
		random_fill(&relay->env.random, relay->cookie_secret[1], KEY_SIZE);
	random_fill(&relay->env.random, relay->cookie_secret[0], KEY_SIZE);
	relay->cookie_rotated = relay->now;
}

static bool cookie_holds(struct relay *relay, const struct pair *pair, const struct relay_challenge *answer,
			 const struct addr *remote)
{
	uint8_t cookie[16];
	bool holds = false;

	cookie_rotate(relay);
	for (unsigned i = 0; i < 2 && !holds; i++) {
		cookie_make(relay->cookie_secret[i], pair, answer->leg, answer->generation, remote, cookie);
		holds = equal_secret(cookie, answer->cookie, sizeof cookie);
	}
	return holds;
}

static void send_reply(struct relay *relay, const struct route *route, const struct pair *pair,
		       struct relay_challenge *reply)
{
	uint8_t bytes[RELAY_CHALLENGE_SIZE], tag[MAC_BYTES];
	struct writer w = writer_over(bytes, sizeof bytes);

	reply->path_id = pair->flow.path_id;
	relay_challenge_encode_unsigned(reply, &w);
	mac(pair->leg_keys[reply->leg], bytes, w.at, tag);
	write_bytes(&w, tag, sizeof tag);
	relay_reply(relay, route, bytes, sizeof bytes);
}

static void send_challenge(struct relay *relay, const struct route *route, const struct pair *pair,
			   const struct relay_bind *bind)
{
	struct relay_challenge challenge = {
		.type = PACKET_RELAY_CHALLENGE, .leg = bind->leg, .generation = bind->generation};

	cookie_rotate(relay);
	cookie_make(relay->cookie_secret[0], pair, bind->leg, bind->generation, &route->remote, challenge.cookie);
	relay->counters.challenges++;
	send_reply(relay, route, pair, &challenge);
}

static void send_bound(struct relay *relay, const struct route *route, const struct pair *pair, unsigned leg)
{
	struct relay_challenge bound = {
		.type = PACKET_RELAY_BOUND, .leg = (uint8_t)leg, .generation = pair->generation[leg]};

	relay_seen_put(&route->remote, bound.cookie);
	send_reply(relay, route, pair, &bound);
}

/* Another number for another address, never 0; one that the leg has not left keeps its own. */
static uint8_t place_number(struct pair *pair, unsigned number, const struct relay_endpoint *remote)
{
	const struct relay_endpoint *bound = &pair->flow.legs[number].remote;

	if (relay_endpoint_equal(bound, remote))
		return bound->place;
	pair->places[number] = (uint8_t)(pair->places[number] % UINT8_MAX + 1);
	return pair->places[number];
}

/*
 * What the candidate sent is what it may get before it has proved its address (E5), and a burst once for each
 * generation: data for a node that moved must not go where it was for the round trip that the proof takes. As at the
 * nodes themselves one who copies the Bind and is faster gains that much sealed data. A generation is not always a
 * move: a node that doubts its path binds anew as well, and one who copies gives it reason to doubt. So each
 * burst to where the leg is not known to be is a quarter of the one before, until it has proved to be elsewhere. True
 * when it was given.
 */
static bool leg_set_candidate(struct relay *relay, struct pair *pair, const struct relay_bind *bind,
			      const struct route *route, size_t size)
{
	struct relay_leg *leg = &pair->flow.legs[bind->leg];
	struct pair_candidate *candidate = &pair->candidates[bind->leg];
	struct relay_endpoint remote = relay_endpoint_of(&route->remote);
	bool same = relay_leg_has_candidate(&pair->flow, leg, relay->now.us) &&
		    relay_endpoint_equal(&leg->candidate, &remote);

	express_leave(relay, pair);
	if (!same)
		leg->candidate_budget = candidate->asks = 0;
	candidate->asks += candidate->asks < PAIR_COUNT_MAX;
	remote.place = same ? leg->candidate.place : place_number(pair, bind->leg, &remote);
	leg->candidate = remote;
	leg->candidate_local = relay_endpoint_of(&route->local);
	leg->candidate_us = relay->now.us;
	leg->candidate_budget += size - RELAY_CHALLENGE_SIZE;
	pair->candidate_generation[bind->leg] = bind->generation;
	if (bind->generation <= pair->burst_generation[bind->leg])
		return false;
	pair->burst_generation[bind->leg] = bind->generation;
	if (relay_endpoint_equal(&leg->remote, &remote)) {
		leg->candidate_budget += UNVALIDATED_BURST_BYTES; /* it has proved itself before */
	} else {
		leg->candidate_budget += UNVALIDATED_BURST_BYTES >> 2 * candidate->bursts;
		candidate->bursts += candidate->bursts < PAIR_COUNT_MAX;
	}
	relay->counters.bursts++;
	return true;
}

/* An authentic Bind: repeat what is bound, or challenge. */
static enum err leg_bind(struct relay *relay, struct pair *pair, const struct relay_bind *bind,
			 const struct route *route, size_t size)
{
	struct relay_leg *leg = &pair->flow.legs[bind->leg];
	struct relay_endpoint remote = relay_endpoint_of(&route->remote);
	bool bound = relay_leg_is_bound(&pair->flow, leg, relay->now.us);
	bool has_candidate = relay_leg_has_candidate(&pair->flow, leg, relay->now.us);

	if (bind->generation < pair->generation[bind->leg] ||
	    (has_candidate && bind->generation < pair->candidate_generation[bind->leg])) {
		relay->counters.dropped_stale++;
		return ERR_REPLAY;
	}
	if (bound && bind->generation == pair->generation[bind->leg]) {
		if (!relay_endpoint_equal(&leg->remote, &remote)) {
			send_challenge(relay, route, pair, bind);
			return OK;
		}
		leg->heard_us = relay->now.us;
		send_bound(relay, route, pair, bind->leg);
		return OK;
	}
	if (leg_set_candidate(relay, pair, bind, route, size))
		relay_replay(relay, pair, bind->leg, true, relay_replay_since(relay, pair, bind->leg));
	send_challenge(relay, route, pair, bind);
	return OK;
}

/* Cheapest check first: shape, table, MAC, and only for an unknown pair the ticket. */
enum err relay_input_bind(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct relay_bind bind;
	struct pair *pair;
	enum err err = relay_bind_decode(&r, &bind);

	if (err == OK && (size < RELAY_BIND_MIN || bind.leg > 1 || bind.signed_size + MAC_SIZE != size))
		err = ERR_MALFORMED;
	if (err != OK) {
		relay->counters.dropped_malformed++;
		return err;
	}
	pair = pair_table_find(&relay->table, bind.path_id);
	if (pair && relay_check_pair(relay, pair))
		pair = NULL;
	if (!pair)
		err = pair_from_ticket(relay, route, &bind, bytes, &pair);
	else if (!bind_mac_holds(pair->leg_keys[bind.leg], &bind, bytes))
		err = pair_renew(relay, route, &bind, bytes, pair);
	return err == OK ? leg_bind(relay, pair, &bind, route, size) : err;
}

/*
 * From Challenge to Answer; rounded up, as far as a byte goes. Where a Bind was repeated, as one is behind a round trip
 * longer than its timer, the Answer may be that to the first Challenge: too long costs duplicates, too short a hole.
 */
static void leg_measure(const struct relay *relay, struct pair *pair, unsigned number)
{
	int64_t before_us = (pair->candidates[number].asks - 1) * HANDSHAKE_RETRY_US;
	int64_t took_us = relay->now.us - pair->flow.legs[number].candidate_us;
	int64_t rtt_4ms = (before_us + took_us) / (4 * USEC_PER_MSEC) + 1;

	pair->rtt_4ms[number] = (uint8_t)(rtt_4ms < UINT8_MAX ? rtt_4ms : UINT8_MAX);
}

/* The address is proved: the one place where a leg's address is written. */
static void leg_take_address(struct relay *relay, struct pair *pair, unsigned number, uint32_t generation,
			     const struct route *route)
{
	struct relay_leg *leg = &pair->flow.legs[number];
	struct relay_endpoint remote = relay_endpoint_of(&route->remote);
	bool moved = leg->remote.family != 0, was_candidate = relay_endpoint_equal(&leg->candidate, &remote);

	express_leave(relay, pair);
	if (was_candidate)
		leg_measure(relay, pair, number);
	remote.place = was_candidate ? leg->candidate.place : place_number(pair, number, &remote);
	if (!relay_endpoint_equal(&leg->remote, &remote))
		pair->candidates[number].bursts = 0;
	leg->remote = remote;
	leg->remote_local = relay_endpoint_of(&route->local);
	leg->heard_us = relay->now.us;
	if (generation >= pair->candidate_generation[number])
		leg->candidate = leg->candidate_local = (struct relay_endpoint){0};
	pair->generation[number] = generation;
	pair->binds[number]++;
	if (pair->list == PAIR_UNBOUND)
		pair_table_move(&relay->table, pair, PAIR_BOUND, time_add(relay->now, RELAY_CHECK_US));
	if (moved)
		relay->counters.moved++;
	else
		relay->counters.bound++;
	relay_tell(relay, moved ? RELAY_EVENT_LEG_MOVED : RELAY_EVENT_LEG_BOUND, pair, number);
}

/* An Answer whose MAC holds. Without a risen generation a living address is never taken from a leg. */
static enum err leg_answer(struct relay *relay, struct pair *pair, const struct relay_challenge *answer,
			   const struct route *route)
{
	struct relay_leg *leg = &pair->flow.legs[answer->leg];
	struct relay_endpoint remote = relay_endpoint_of(&route->remote);
	uint32_t generation = pair->generation[answer->leg];
	struct time_us since = relay_replay_since(relay, pair, answer->leg);

	if (answer->generation < generation) {
		relay->counters.dropped_stale++;
		return ERR_REPLAY;
	}
	if (relay_leg_is_bound(&pair->flow, leg, relay->now.us) && answer->generation == generation) {
		if (relay_endpoint_equal(&leg->remote, &remote)) {
			send_bound(relay, route, pair, answer->leg);
			return OK;
		}
		if (relay->now.us - leg->heard_us < RELAY_LEG_SILENCE_US) {
			relay->counters.dropped_alive++;
			return ERR_STATE;
		}
	}
	if (!cookie_holds(relay, pair, answer, &route->remote)) {
		relay->counters.dropped_auth++;
		return ERR_AUTH;
	}
	leg_take_address(relay, pair, answer->leg, answer->generation, route);
	send_bound(relay, route, pair, answer->leg);
	relay_replay(relay, pair, answer->leg, false, since);
	return OK;
}

/* Only for pairs that a Bind made known. */
enum err relay_input_answer(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct relay_challenge answer;
	uint8_t tag[MAC_BYTES];
	struct pair *pair;
	enum err err = relay_challenge_decode(&r, &answer);

	if (err == OK && (answer.leg > 1 || size != RELAY_CHALLENGE_SIZE))
		err = ERR_MALFORMED;
	if (err != OK) {
		relay->counters.dropped_malformed++;
		return err;
	}
	pair = pair_table_find(&relay->table, answer.path_id);
	if (!pair || relay_check_pair(relay, pair)) {
		relay->counters.dropped_unknown++;
		return ERR_UNKNOWN;
	}
	mac(pair->leg_keys[answer.leg], bytes, size - MAC_SIZE, tag);
	if (!equal_secret(tag, answer.mac, MAC_SIZE)) {
		relay->counters.dropped_auth++;
		return ERR_AUTH;
	}
	return leg_answer(relay, pair, &answer, route);
}
