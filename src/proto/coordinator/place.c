/*
 * One who sees copies of a member's packets and is faster (A2) is always heard first. So an accepted datagram says
 * what, not where from: the copy that comes later, byte by byte the same, tells of another address, and both are asked.
 * A question is a function of the address, so that nothing has to be kept for each of them, and nobody can push the
 * member out of a table by sending from many.
 */
#include <stddef.h>
#include <string.h>

#include "crypto/hash.h"
#include "proto/coordinator/state.h"
#include "wire/message.h"
#include "wire/tunnel.h"

enum { QUESTION_SIZE = OVERHEAD_SIZE + 24 };

#define DOUBT_MAX_US (2 * USEC_PER_SEC) /* then a rival that does not answer is forgotten, until it is heard again */

/* See place.h. */
void place_init(struct coordinator *c)
{
	random_fill(&c->env.random, c->challenge_key, sizeof c->challenge_key);
	delay_queue_init(&c->doubts, OLD_PATH_SILENCE_MIN_US);
}

/* What an address that receives can say. Its freshness is the session's: neither way is anything opened twice. */
static void question_of(const struct coordinator *c, const struct channel *channel, const struct addr *addr,
			uint8_t ret[CHALLENGE_SIZE])
{
	uint8_t bytes[64];
	struct writer w = writer_over(bytes, sizeof bytes);

	write_u64(&w, channel->path_id);
	write_u8(&w, addr->ip.family);
	write_u16(&w, addr->port);
	write_bytes(&w, addr->ip.bytes, sizeof addr->ip.bytes);
	mac(c->challenge_key, bytes, w.at, ret);
}

static bool is_answer_of(const struct coordinator *c, const struct channel *channel, const struct addr *addr,
			 const uint8_t answer[CHALLENGE_SIZE])
{
	uint8_t expected[CHALLENGE_SIZE];

	question_of(c, channel, addr, expected);
	return addr_is_set(addr) && equal_secret(answer, expected, sizeof expected);
}

static void ask(struct coordinator *c, struct channel *channel, const struct route *route)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct path_challenge message;

	question_of(c, channel, &route->remote, message.challenge);
	message_header_encode(MESSAGE_PATH_CHALLENGE, coordinator_random_u32(c), &w);
	path_challenge_encode(&message, &w);
	(void)channel_send_to(c, channel, &w, route, true);
}

/* Its silence counts from the first question on. */
static void ask_route(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;

	if (place->asked_at.us && time_since(c->now, place->asked_at) < CHALLENGE_INTERVAL_US)
		return; /* E6 */
	place->asked_at = c->now;
	if (!place->asked_since.us)
		place->asked_since = c->now;
	ask(c, channel, &place->route);
}

static void ask_rival(struct coordinator *c, struct channel *channel)
{
	struct rival *rival = &channel->place.rival;

	if (rival->credit_bytes < QUESTION_SIZE ||
	    (rival->asked_at.us && time_since(c->now, rival->asked_at) < CHALLENGE_INTERVAL_US))
		return;
	rival->asked_at = c->now;
	ask(c, channel, &rival->route);
}

/* When it was asked last is remembered (E6). */
static void forget_rival(struct place *place)
{
	place->rival.is_valid = false;
	place->asked_since = place->asked_at = (struct time_us){0};
	delay_stop(&place->doubt);
}

/* Peers hear of it, within the member's budget of messages. */
static void publish(struct coordinator *c, struct channel *channel)
{
	struct member *member = channel->member;
	const struct addr *at = &channel->place.route.remote;

	if (addr_equal(&member->observed, at))
		return;
	c->counters.moves += addr_is_set(&member->observed);
	member->observed = *at;
	coordinator_tell(c, COORDINATOR_NODE_MOVED, member, NULL, 0);
	pair_push_updates(c, member, channel_charge(c, member));
}

static void tell_proved(const struct coordinator *c, const struct channel *channel, const struct addr *addr)
{
	const struct member *member = channel->member;
	struct coordinator_event event = {
		.type = COORDINATOR_NODE_PROVED, .id = &member->id, .fqdn = member->fqdn, .observed = *addr};

	if (c->env.event)
		c->env.event(c->env.ctx, &event);
}

static void go_to(struct coordinator *c, struct channel *channel, const struct route *route, bool is_proven)
{
	struct place *place = &channel->place;

	place->route = *route;
	place->is_proven = is_proven;
	place->credit_bytes = place->rtt_us = 0;
	forget_rival(place);
	place->rival = (struct rival){0};
	publish(c, channel);
	if (is_proven)
		pair_resend(c, channel->member);
}

/* See place.h. */
void place_begin(struct place *place, const struct route *route, bool is_proven)
{
	place->route = *route;
	place->is_proven = is_proven;
}

/* Waits nowhere any more. */
void place_end(struct place *place)
{
	delay_stop(&place->doubt);
}

/* E2: both are asked, nothing is switched. */
static void suggest(struct coordinator *c, struct channel *channel, const struct route *route, size_t size)
{
	struct place *place = &channel->place;
	struct rival *rival = &place->rival;

	if (!addr_equal(&rival->route.remote, &route->remote)) {
		if (rival->is_valid)
			return; /* one at a time: that one is decided soon */
		*rival = (struct rival){0};
	}
	rival->route = *route;
	rival->credit_bytes += (int64_t)size;
	if (rival->is_valid)
		return;
	ask_rival(c, channel);
	if (!place->is_proven)
		return;
	ask_route(c, channel);
	if (!delay_is_waiting(&place->doubt))
		delay_start(&c->doubts, &place->doubt, c->now);
}

static uint64_t tag_of(const struct coordinator *c, const uint8_t *bytes, size_t size)
{
	return siphash(c->hash_key, bytes, size) | 1;
}

/* While nobody has proved to be the member, the newest is believed: nothing better is known. */
void place_heard(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		 size_t size, bool may_suggest)
{
	struct place *place = &channel->place;
	bool is_here = addr_equal(&place->route.remote, &route->remote);

	place->tag = tag_of(c, bytes, size);
	place->from = may_suggest ? route : NULL;
	if (!may_suggest)
		return;
	place->recent[place->next_recent] = place->tag;
	place->next_recent = (uint8_t)((place->next_recent + 1) % PLACE_RECENT);
	if (!is_here && place->is_proven) {
		suggest(c, channel, route, size);
		return;
	}
	if (!is_here)
		go_to(c, channel, route, false);
	place->route = *route;
	if (!place->is_proven)
		place->credit_bytes += (int64_t)size;
	publish(c, channel);
}

/* E4 and E5. */
void place_moved(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;

	if (place->from && !addr_equal(&place->route.remote, &place->from->remote))
		go_to(c, channel, place->from, false);
	if (!place->is_proven)
		place->credit_bytes += UNVALIDATED_BURST_BYTES;
}

/* See place.h. */
void place_ask(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;

	if (place->is_proven)
		return;
	if (!place->asked_since.us)
		place->asked_since = c->now;
	ask(c, channel, &place->route);
	if (!delay_is_waiting(&place->doubt))
		delay_start(&c->doubts, &place->doubt, c->now);
}

static bool is_silent(const struct coordinator *c, const struct place *place)
{
	int64_t patience_us = 3 * place->rtt_us;

	if (patience_us < OLD_PATH_SILENCE_MIN_US)
		patience_us = OLD_PATH_SILENCE_MIN_US;
	return place->asked_since.us && time_since(c->now, place->asked_since) >= patience_us;
}

/* E3: it takes over where nobody was proved, or whoever was is silent. Until that is clear both are spoken to. */
static void judge(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;
	struct route route = place->rival.route;

	if (!place->is_proven || is_silent(c, place))
		go_to(c, channel, &route, true);
	else if (!place->asked_since.us)
		forget_rival(place); /* the old one has answered meanwhile: it lives */
}

static void rival_answered(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;
	bool is_new = !place->rival.is_valid;

	if (is_new && !place->rtt_us && place->rival.asked_at.us)
		place->rtt_us = time_since(c->now, place->rival.asked_at);
	if (is_new)
		tell_proved(c, channel, &place->rival.route.remote);
	place->rival.is_valid = true;
	judge(c, channel);
	if (is_new && place->rival.is_valid)
		pair_resend(c, channel->member);
}

static void route_answered(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;
	bool is_new = !place->is_proven;

	if (place->asked_since.us)
		place->rtt_us = time_since(c->now, place->asked_since);
	forget_rival(place);
	place->is_proven = true;
	if (!is_new)
		return;
	tell_proved(c, channel, &place->route.remote);
	pair_resend(c, channel->member);
}

/* The answer may come by any way: it proves that the question arrived where it was sent (RFC 9000 8.2.3). */
enum err place_answered(struct coordinator *c, struct channel *channel, const uint8_t challenge[CHALLENGE_SIZE])
{
	struct place *place = &channel->place;

	if (is_answer_of(c, channel, &place->route.remote, challenge)) {
		route_answered(c, channel);
		return OK;
	}
	if (is_answer_of(c, channel, &place->rival.route.remote, challenge)) {
		rival_answered(c, channel);
		return OK;
	}
	place->stray_tag = place->tag;
	memcpy(place->stray, challenge, sizeof place->stray);
	return ERR_STATE;
}

/* See place.h. */
void place_repeated(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		    size_t size)
{
	struct place *place = &channel->place;
	uint64_t tag = tag_of(c, bytes, size);

	if (addr_equal(&place->route.remote, &route->remote))
		return;
	if (place->stray_tag == tag && is_answer_of(c, channel, &route->remote, place->stray)) {
		place->rival = (struct rival){.route = *route};
		rival_answered(c, channel);
		return;
	}
	for (int i = 0; i < PLACE_RECENT; i++)
		if (place->recent[i] == tag) {
			suggest(c, channel, route, size);
			return;
		}
}

/* See place.h. */
bool place_spend(struct place *place, const struct route *route, size_t size, bool is_answer)
{
	bool is_rival = route == &place->rival.route;
	int64_t *credit = is_rival ? &place->rival.credit_bytes : &place->credit_bytes;

	if (is_rival ? place->rival.is_valid : place->is_proven)
		return true;
	if ((is_rival || !is_answer) && *credit < (int64_t)size)
		return false;
	*credit -= (int64_t)size;
	if (*credit < 0)
		*credit = 0;
	return true;
}

/* One silence has been long enough, or another question is due. */
static void run_doubt(struct coordinator *c, struct channel *channel)
{
	struct place *place = &channel->place;

	if (place->rival.is_valid && is_silent(c, place)) {
		judge(c, channel);
		return;
	}
	if (!place->asked_since.us ||
	    (!place->rival.is_valid && time_since(c->now, place->asked_since) > DOUBT_MAX_US)) {
		forget_rival(place);
		return;
	}
	if (place->is_proven)
		ask_route(c, channel);
	else if (place->credit_bytes >= QUESTION_SIZE)
		ask(c, channel, &place->route);
	if (!place->rival.is_valid)
		ask_rival(c, channel);
	delay_start(&c->doubts, &place->doubt, c->now);
}

/* Those whose time has come. */
void place_input_time(struct coordinator *c)
{
	struct delay *delay;

	while ((delay = delay_take(&c->doubts, c->now)) != NULL)
		run_doubt(c, (struct channel *)((char *)delay - offsetof(struct channel, place.doubt)));
}
