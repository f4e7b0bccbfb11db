/*
 * relays.c: the relay of a pair: RTT(A,R) + RTT(R,B), loss and load, with hysteresis (design 7). Nodes measure and
 * report; the coordinator asks relays itself how busy they are. A relay that a node calls silent is left for that
 * node's tunnels at once, for all when several say so or our own questions stay unanswered.
 */
#include "proto/coordinator/relays.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/coordinator/foreign.h"
#include "proto/session/probe.h"

#define ASK_US (10 * USEC_PER_SEC)
#define ASK_AGAIN_US (100 * USEC_PER_MSEC)
#define ASK_AGAIN_MIN_US (30 * USEC_PER_MSEC)
#define ASK_SILENT_US (2 * USEC_PER_SEC)
#define SEVERAL_US (5 * USEC_PER_SEC)	    /* complaints of two nodes within this belong together */
#define GRANT_US (10 * USEC_PER_SEC)	    /* as long as it is repeated with every Route Update */
#define CHANGE_MIN_US (500 * USEC_PER_MSEC) /* a complaint so soon after a change is about the relay before */
#define BETTER_MIN_US (10 * USEC_PER_MSEC)  /* hysteresis: max(this, a fifth) */
#define ALIKE_US (2 * USEC_PER_MSEC)	    /* ways that differ by less are alike: pairs are spread over them */
#define COST_UNKNOWN (INT64_MAX / 4)

enum { FULL_PERCENT = 95, BUSY_PERCENT = 75 };

/* --- judging relays --- */

static struct relay_state *find_tag(struct coordinator *c, uint32_t tag)
{
	for (uint8_t i = 0; i < c->relays.count; i++)
		if (c->relays.list[i].tag == tag)
			return &c->relays.list[i];
	return NULL;
}

/* Of what it can, in percent; 0 where it tells no limit. */
static unsigned fill_of(const struct relay_state *relay)
{
	const struct relay_load *load = &relay->load;
	uint64_t pairs = load->pairs_max ? (uint64_t)load->pairs * 100 / load->pairs_max : 0;
	uint64_t rate = load->kbps_max ? (uint64_t)load->kbps * 100 / load->kbps_max : 0;

	return (unsigned)(pairs > rate ? pairs : rate);
}

static bool is_overloaded(const struct relay_state *relay)
{
	return relay->load.is_draining || fill_of(relay) >= FULL_PERCENT;
}

/* How far from that member: COST_UNKNOWN when it has not measured, -1 when it had no answer. */
static int64_t distance(const struct member *member, uint32_t tag, unsigned *lost_percent)
{
	const struct relay_seen *seen = member ? relay_sight_find(&member->sight, tag) : NULL;

	if (!seen)
		return COST_UNKNOWN;
	if (seen->rtt_us == RELAY_NO_ANSWER)
		return -1;
	*lost_percent += seen->lost_percent;
	return seen->rtt_us;
}

/*
 * RTT(A,R) + RTT(R,B); each percent of loss counts as two more of it, and so does each percent of load beyond
 * BUSY_PERCENT. -1: useless for these two.
 */
static int64_t cost_of(const struct relay_state *relay, const struct member *a, const struct member *b)
{
	unsigned lost = 0, fill = fill_of(relay);
	int64_t to_a = distance(a, relay->tag, &lost), to_b = b ? distance(b, relay->tag, &lost) : 0, sum;

	if (to_a < 0 || to_b < 0)
		return -1;
	if (to_a == COST_UNKNOWN || to_b == COST_UNKNOWN)
		return COST_UNKNOWN;
	sum = to_a + to_b;
	return sum + sum * lost / 50 + (fill > BUSY_PERCENT ? sum * (fill - BUSY_PERCENT) / 50 : 0);
}

static bool is_candidate(const struct coordinator *c, uint8_t index)
{
	const struct relay_state *relay = &c->relays.list[index];

	return relay->is_usable && c->network->relays[index].addresses.count > 0;
}

/* In good order as far as we know. */
static bool is_sound(const struct relay_state *relay)
{
	return !relay->is_silent && !is_overloaded(relay);
}

static uint64_t rank_of(const struct coordinator *c, uint64_t seed, uint8_t index)
{
	uint8_t bytes[sizeof seed + KEY_SIZE];

	memcpy(bytes, &seed, sizeof seed);
	memcpy(bytes + sizeof seed, c->relays.list[index].static_key, KEY_SIZE);
	return siphash(c->hash_key, bytes, sizeof bytes);
}

/* The shortest measured way; of those that are alike the one that the seed prefers. */
static struct relay_choice choose_near(const struct coordinator *c, const struct member *a, const struct member *b,
				       uint64_t seed, uint32_t avoid)
{
	struct relay_choice choice = {.cause = RELAY_CAUSE_NEAR};
	int64_t least = COST_UNKNOWN, costs[RELAYS_MAX];
	uint64_t best = 0;

	for (uint8_t i = 0; i < c->relays.count; i++) {
		const struct relay_state *relay = &c->relays.list[i];

		costs[i] = is_candidate(c, i) && is_sound(relay) && relay->tag != avoid ? cost_of(relay, a, b) : -1;
		if (costs[i] >= 0 && costs[i] < least)
			least = costs[i];
	}
	for (uint8_t i = 0; least < COST_UNKNOWN && i < c->relays.count; i++) {
		uint64_t rank = rank_of(c, seed, i);

		if (costs[i] < 0 || costs[i] > least + ALIKE_US || (choice.has && rank < best))
			continue;
		best = rank;
		choice.has = true;
		choice.index = i;
	}
	return choice;
}

/* Not measured, or nothing that is measured is in order. How much is wrong with it: the least wrong ones are rotated.
 */
static unsigned flaws_of(const struct relay_state *relay, const struct member *a, const struct member *b,
			 uint32_t avoid)
{
	return (relay->is_silent ? 8 : 0) + (cost_of(relay, a, b) < 0 ? 4 : 0) + (relay->tag == avoid ? 2 : 0) +
	       (is_overloaded(relay) ? 1 : 0);
}

/* Turn: whoever needs another direction may need another relay, as the one before may be dead; after the last one the
 * first comes again. */
static struct relay_choice choose_spread(const struct coordinator *c, const struct member *a, const struct member *b,
					 uint64_t seed, unsigned turn, uint32_t avoid)
{
	struct relay_choice choice = {.cause = RELAY_CAUSE_SPREAD};
	unsigned fewest = UINT8_MAX, alike = 0;
	uint64_t below = UINT64_MAX;

	for (uint8_t i = 0; i < c->relays.count; i++) {
		unsigned flaws = is_candidate(c, i) ? flaws_of(&c->relays.list[i], a, b, avoid) : UINT8_MAX;

		alike = flaws < fewest ? 1 : alike + (flaws == fewest);
		fewest = flaws < fewest ? flaws : fewest;
	}
	for (unsigned round = 0; fewest < UINT8_MAX && round <= turn % alike; round++) {
		uint64_t best = 0;

		for (uint8_t i = 0; i < c->relays.count; i++) {
			uint64_t rank = rank_of(c, seed, i);

			if (!is_candidate(c, i) || flaws_of(&c->relays.list[i], a, b, avoid) != fewest ||
			    rank >= below || rank < best)
				continue;
			best = rank;
			choice.has = true;
			choice.index = i;
		}
		below = best;
	}
	return choice;
}

/* Contract in the header. */
struct relay_choice relays_choose(const struct coordinator *c, const struct member *a, const struct member *b,
				  uint64_t seed, unsigned turn, uint32_t avoid)
{
	struct relay_choice choice = choose_near(c, a, b, seed, avoid);

	return choice.has ? choice : choose_spread(c, a, b, seed, turn, avoid);
}

/* As the pair remembers it. */
uint32_t relays_tag(const struct coordinator *c, const struct relay_choice *choice)
{
	return choice->has ? c->relays.list[choice->index].tag : 0;
}

/* --- a pair's relay --- */

/* Between two zones whoever was asked by its node decides, so that both ends hear one opinion. */
static bool is_ours(const struct pair *pair)
{
	return pair->is_asked || (!pair->ends[0].member->home && !pair->ends[1].member->home);
}

/* It is told no more. */
void relays_forget_grant(struct pair *pair)
{
	delay_stop(&pair->relay.grant_age);
	direction_forget(pair->relay.grant);
	pair->relay.grant = NULL;
}

static uint64_t seed_of(const struct coordinator *c, const struct pair *pair)
{
	uint8_t key[2 * NODE_ID_SIZE];

	memcpy(key, pair->ends[0].member->id.bytes, NODE_ID_SIZE);
	memcpy(key + NODE_ID_SIZE, pair->ends[1].member->id.bytes, NODE_ID_SIZE);
	return siphash(c->hash_key, key, sizeof key);
}

/* Both ends get a grant beside the relay that they have: keys and PathID of the tunnel stay. */
static void change(struct coordinator *c, struct pair *pair, struct relay_choice choice, uint8_t cause)
{
	relays_forget_grant(pair);
	choice.cause = cause;
	pair->relay.grant = direction_make(c, pair->path_id, &choice);
	pair->relay.tag = relays_tag(c, &choice);
	pair->relay.cause = cause;
	pair->relay.since = c->now;
	delay_start(&c->relays.grants, &pair->relay.grant_age, c->now);
	for (int i = 0; i < 2; i++)
		pair_deliver(c, &pair->ends[i], DELIVER_UPDATE, coordinator_random_u32(c));
	c->counters.relay_changes[cause]++;
	coordinator_tell(c, COORDINATOR_RELAY_CHANGED, pair->ends[0].member, pair->ends[1].member, cause);
}

/* Another one than it has, if there is any that may do better. is_lost: a node says that the one it has is of no use,
 * so that one which did not answer either, a while ago, is worth a try. */
static void leave(struct coordinator *c, struct pair *pair, uint8_t cause, bool is_lost)
{
	struct relay_choice choice = relays_choose(c, pair->ends[0].member, pair->ends[1].member, seed_of(c, pair),
						   pair->turn, pair->relay.tag);
	const struct relay_state *other = &c->relays.list[choice.index];
	int64_t cost = choice.has ? cost_of(other, pair->ends[0].member, pair->ends[1].member) : -1;

	if (!choice.has || (cost < 0 && !is_lost) || other->tag == pair->relay.tag || other->is_silent ||
	    (cause == RELAY_CAUSE_LOAD && is_overloaded(other)))
		return;
	change(c, pair, choice, cause);
}

/* Hysteresis: a living pair changes only for what it will notice. */
static bool is_much_better(int64_t cost, int64_t than)
{
	int64_t least = than / 5 > BETTER_MIN_US ? than / 5 : BETTER_MIN_US;

	return cost < COST_UNKNOWN && than < COST_UNKNOWN && cost + least <= than;
}

/* Contract in the header. */
void relays_judge(struct coordinator *c, struct pair *pair)
{
	const struct member *a = pair->ends[0].member, *b = pair->ends[1].member;
	const struct relay_state *own = pair->relay.tag ? find_tag(c, pair->relay.tag) : NULL;
	struct relay_choice choice;

	if (!is_ours(pair) || !pair->relay.tag || !c->network)
		return;
	if (!own || own->is_silent || own->load.is_draining) {
		leave(c, pair, !own ? RELAY_CAUSE_GONE : own->is_silent ? RELAY_CAUSE_SILENT : RELAY_CAUSE_LOAD, false);
		return;
	}
	if (cost_of(own, a, b) < 0) {
		leave(c, pair, RELAY_CAUSE_SILENT, false);
		return;
	}
	choice = choose_near(c, a, b, seed_of(c, pair), 0);
	if (!choice.has || c->relays.list[choice.index].tag == own->tag)
		return;
	if (is_much_better(cost_of(&c->relays.list[choice.index], a, b), cost_of(own, a, b)))
		change(c, pair, choice, RELAY_CAUSE_BETTER);
}

/* After it has measured. Another zone's coordinator that decides hears of it. */
void relays_judge_member(struct coordinator *c, struct member *member)
{
	for (struct pair_end *end = member->ends; end; end = end->next) {
		struct pair_end *other = &end->pair->ends[end == &end->pair->ends[0]];

		if (other->member->home && !is_ours(end->pair))
			pair_deliver(c, other, DELIVER_UPDATE, coordinator_random_u32(c));
		else
			relays_judge(c, end->pair);
	}
}

/* Every pair once: that of its first end. */
static void judge_all(struct coordinator *c)
{
	for (uint32_t i = 0; i < c->counters.nodes; i++)
		for (struct pair_end *end = c->members[i]->ends; end; end = end->next)
			relays_judge(c, end->pair);
}

/* --- complaints --- */

/* Until it measures again: nothing comes back to that member from there. */
static void note_silence(struct member *member, uint32_t tag)
{
	struct relay_sight *sight = &member->sight;

	for (uint8_t i = 0; i < sight->count; i++)
		if (sight->list[i].tag == tag) {
			sight->list[i].rtt_us = RELAY_NO_ANSWER;
			return;
		}
	if (sight->count < RELAY_SEEN_MAX)
		sight->list[sight->count++] = (struct relay_seen){.tag = tag, .rtt_us = RELAY_NO_ANSWER};
}

/* Asked at once: does it answer us? */
static void doubt(struct coordinator *c, struct relay_state *relay, const struct member *member)
{
	if (relay->complainer && relay->complainer != member && time_since(c->now, relay->complained) < SEVERAL_US)
		relay->are_several = true;
	relay->complainer = member;
	relay->complained = c->now;
	if (relay->unanswered == 0)
		relay->next = c->now;
}

/* It counts for the tunnels of whoever complains, and for all when others agree. The tunnel that is named has this
 * relay: one that we gave it since then has not come to work. */
static void complain(struct coordinator *c, struct member *member, uint32_t tag, uint64_t path_id)
{
	struct relay_state *relay = find_tag(c, tag);

	c->counters.relay_complaints++;
	note_silence(member, tag);
	if (relay)
		doubt(c, relay, member);
	for (struct pair_end *end = member->ends; end; end = end->next) {
		struct pair *pair = end->pair;

		if (!is_ours(pair) || time_since(c->now, pair->relay.since) < CHANGE_MIN_US)
			continue;
		if (pair->path_id == path_id)
			pair->relay.tag = tag;
		if (pair->relay.tag == tag)
			leave(c, pair, RELAY_CAUSE_SILENT, true);
	}
}

/* The tunnel's relay is another coordinator's choice: it has to know. Once: the node says it again. */
static void hand_on(struct coordinator *c, const struct pair *pair, struct foreign *f, const struct relay_report *told)
{
	struct relay_report report = {.has_silent = true,
				      .silent_tag = told->silent_tag,
				      .silent_ms = told->silent_ms,
				      .path_id = pair->path_id};
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	message_header_encode(MESSAGE_RELAY_REPORT, coordinator_random_u32(c), &w);
	relay_report_encode(&report, &w);
	foreign_send(c, f, &w);
}

static void tell_others(struct coordinator *c, const struct member *member, const struct relay_report *report)
{
	for (struct pair_end *end = member->ends; end; end = end->next) {
		const struct member *peer = end->pair->ends[end == &end->pair->ends[0]].member;

		if (peer->home && !is_ours(end->pair) &&
		    (report->silent_tag ? end->pair->relay.tag == report->silent_tag
					: end->pair->path_id == report->path_id))
			hand_on(c, end->pair, peer->home, report);
	}
}

static uint32_t tag_of_path(const struct member *member, uint64_t path_id)
{
	for (const struct pair_end *end = member->ends; end; end = end->next)
		if (end->pair->path_id == path_id)
			return end->pair->relay.tag;
	return 0;
}

/* Contract in the header. */
enum err relays_input_report(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body)
{
	struct member *member = channel->member;
	uint8_t bytes[16];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct relay_report report;
	enum err err = relay_report_decode(body, &report);

	if (err)
		return err;
	message_header_encode(MESSAGE_ACK, transaction, &w);
	channel_send(c, channel, &w, true);
	if (report.has_silent) {
		if (!report.silent_tag)
			report.silent_tag = tag_of_path(member, report.path_id);
		if (report.silent_tag)
			complain(c, member, report.silent_tag, report.path_id);
		tell_others(c, member, &report);
		return OK;
	}
	member->sight = report.sight;
	c->counters.relay_reports++;
	relays_judge_member(c, member);
	return OK;
}

/* Contract in the header. */
enum err relays_input_foreign_report(struct coordinator *c, struct foreign *f, uint32_t transaction,
				     struct reader *body)
{
	struct relay_report report;
	struct pair *pair;
	enum err err = relay_report_decode(body, &report);

	(void)transaction;
	if (err)
		return err;
	pair = map_get(&c->by_tunnel, report.path_id);
	for (int i = 0; pair && i < 2; i++)
		if (pair->ends[i].member->home == f && report.has_silent && is_ours(pair)) {
			if (!report.silent_tag) /* a relay of ours that their network document does not have */
				report.silent_tag = pair->relay.tag;
			note_silence(pair->ends[i].member, report.silent_tag);
			if (pair->relay.tag == report.silent_tag &&
			    time_since(c->now, pair->relay.since) >= CHANGE_MIN_US)
				leave(c, pair, RELAY_CAUSE_SILENT, true);
			return OK;
		}
	return ERR_UNKNOWN;
}

/* Pointers are compared, never followed. */
void relays_forget_member(struct coordinator *c, const struct member *member)
{
	for (uint8_t i = 0; i < c->relays.count; i++)
		if (c->relays.list[i].complainer == member)
			c->relays.list[i].complainer = NULL;
}

/* --- our own questions --- */

static void ask(struct coordinator *c, uint8_t index)
{
	struct relay_state *relay = &c->relays.list[index];
	const struct server_addresses *addresses = &c->network->relays[index].addresses;
	struct relay_probe probe = {.asker = RELAY_ASKER_COORDINATOR};
	unsigned slot = relay->asked++ % RELAY_QUESTIONS;
	uint8_t bytes[RELAY_PROBE_SIZE];

	random_fill(&c->env.random, &probe.nonce, sizeof probe.nonce);
	memcpy(probe.static_key, c->config.static_keys.public, KEY_SIZE);
	probe_write(&probe, relay->probe_key, bytes);
	relay->questions[slot].nonce = probe.nonce;
	relay->questions[slot].at = c->now;
	for (uint8_t i = 0; i < addresses->count; i++)
		coordinator_send(c, &(struct route){.remote = addresses->list[i]}, bytes, sizeof bytes);
	c->counters.relay_probes++;
}

/* When the answer is overdue. */
static int64_t patience_us(const struct relay_state *relay)
{
	int64_t patience = relay->rtt_us * 3 / 2 > ASK_AGAIN_MIN_US ? relay->rtt_us * 3 / 2 : ASK_AGAIN_MIN_US;

	return relay->rtt_us < 0 || patience > ASK_AGAIN_US ? ASK_AGAIN_US : patience;
}

static void fall_silent(struct coordinator *c, struct relay_state *relay)
{
	relay->is_silent = true;
	c->counters.relays_silent++;
	judge_all(c);
}

/* One question, or the consequence of one that was not answered. */
static void run(struct coordinator *c, uint8_t index)
{
	struct relay_state *relay = &c->relays.list[index];
	bool was_blamed = relay->unanswered >= RELAY_UNANSWERED_MAX || (relay->unanswered > 0 && relay->are_several);

	if (!relay->is_silent && relay->was_heard && was_blamed)
		fall_silent(c, relay);
	ask(c, index);
	relay->unanswered += relay->unanswered < UINT8_MAX;
	relay->next = time_add(c->now, relay->unanswered <= RELAY_UNANSWERED_MAX ? patience_us(relay) : ASK_SILENT_US);
}

/* What members said about it is out of date; how far it is they will measure again. */
static void recover(struct coordinator *c, struct relay_state *relay)
{
	relay->is_silent = false;
	c->counters.relays_silent--;
	for (uint32_t i = 0; i < c->counters.nodes; i++) {
		struct relay_sight *sight = &c->members[i]->sight;

		for (uint8_t k = 0; k < sight->count; k++)
			if (sight->list[k].tag == relay->tag && sight->list[k].rtt_us == RELAY_NO_ANSWER)
				sight->list[k--] = sight->list[--sight->count];
	}
	judge_all(c); /* somebody may have had no other one to go to */
}

static enum err input_probed(struct coordinator *c, struct relay_state *relay, const struct relay_probed *probed)
{
	for (unsigned i = 0; i < RELAY_QUESTIONS; i++) {
		if (!relay->questions[i].nonce || relay->questions[i].nonce != probed->nonce)
			continue;
		relay->questions[i].nonce = 0;
		relay->rtt_us = time_since(c->now, relay->questions[i].at);
		relay->load = probed->load;
		relay->unanswered = 0;
		relay->are_several = false;
		relay->complainer = NULL;
		relay->was_heard = true;
		relay->next = time_add(c->now, ASK_US);
		if (relay->is_silent)
			recover(c, relay);
		if (relay->load.is_draining)
			judge_all(c);
		return OK;
	}
	return ERR_REPLAY;
}

/*
 * A hint, replayable: all it does is that we look. From a stranger (its key is new to us) it costs one DH, within the
 * budget of first messages.
 */
static enum err input_announce(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct relay_announce announce;
	struct relay_state *relay = NULL;
	uint8_t key[KEY_SIZE], shared[KEY_SIZE];

	if (size != RELAY_ANNOUNCE_SIZE || relay_announce_decode(&r, &announce) != OK)
		return ERR_MALFORMED;
	for (uint8_t i = 0; i < c->relays.count; i++)
		if (memcmp(c->relays.list[i].static_key, announce.static_key, KEY_SIZE) == 0)
			relay = &c->relays.list[i];
	if (relay && relay->is_usable) {
		memcpy(key, relay->probe_key, KEY_SIZE);
	} else {
		if (!admission_take(&c->admission, &route->remote.ip, c->now))
			return ERR_FULL;
		if (ticket_key(c->config.static_keys.secret, announce.static_key, shared) != OK)
			return ERR_AUTH;
		probe_key_coordinator(shared, key);
		wipe(shared, sizeof shared);
	}
	if (!probe_holds(bytes, size, key))
		return ERR_AUTH;
	if (relay && relay->unanswered == 0)
		relay->next = c->now;
	if (relay && relay->is_silent)
		relay->next = time_min(relay->next, c->now);
	if (!relay || !c->network || announce.network_epoch > c->network->epoch)
		c->counters.network_doubts++;
	return OK;
}

/* Contract in the header. */
enum err relays_input(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct relay_probed probed;
	enum err err = ERR_AUTH;

	if (bytes[0] == PACKET_RELAY_ANNOUNCE) {
		err = input_announce(c, route, bytes, size);
		c->counters.dropped_auth += err == ERR_AUTH;
		return err;
	}
	for (uint8_t i = 0; i < c->relays.count && size == RELAY_PROBE_SIZE; i++)
		if (probed_read(bytes, size, c->relays.list[i].probe_key, &probed) == OK)
			return input_probed(c, &c->relays.list[i], &probed);
	c->counters.dropped_auth++;
	return err;
}

/* Questions that are due, and grants that both ends have heard of by now. */
void relays_input_time(struct coordinator *c)
{
	struct delay *delay;

	for (uint8_t i = 0; i < c->relays.count; i++)
		if (is_candidate(c, i) && time_reached(c->now, c->relays.list[i].next))
			run(c, i);
	while ((delay = delay_take(&c->relays.grants, c->now)) != NULL) {
		struct pair_relay *relay =
			(struct pair_relay *)((char *)delay - offsetof(struct pair_relay, grant_age));

		relays_forget_grant((struct pair *)((char *)relay - offsetof(struct pair, relay)));
	}
}

/* The earliest of all. */
struct time_us relays_deadline(const struct coordinator *c)
{
	struct time_us deadline = delay_deadline(&c->relays.grants);

	for (uint8_t i = 0; i < c->relays.count; i++)
		if (is_candidate(c, i))
			deadline = time_min(deadline, c->relays.list[i].next);
	return deadline;
}

/* --- the list --- */

/* Nothing known. */
void relays_init(struct coordinator *c)
{
	delay_queue_init(&c->relays.grants, GRANT_US);
}

/* Members hear by a Route Update that the document is new: they measure and report. One of its pairs tells a member. */
static void spread_news(struct coordinator *c)
{
	for (uint32_t i = 0; i < c->counters.nodes; i++) {
		struct member *member = c->members[i];

		if (member->ends && member->live)
			pair_deliver(c, member->ends, DELIVER_UPDATE, coordinator_random_u32(c));
	}
}

static void enter(struct coordinator *c, const struct relay_entry *entry, struct relay_state *ret)
{
	*ret = (struct relay_state){.tag = relay_tag(entry->static_key), .rtt_us = -1, .next = c->now};
	memcpy(ret->static_key, entry->static_key, KEY_SIZE);
	ret->is_usable = ticket_key(c->config.static_keys.secret, entry->static_key, ret->key) == OK;
	if (ret->is_usable)
		probe_key_coordinator(ret->key, ret->probe_key);
}

/* One DH per relay that is new. */
void relays_set_network(struct coordinator *c, bool is_first)
{
	const struct network *network = c->network;
	struct relay_state list[RELAYS_MAX];
	bool has_new = false;

	for (uint8_t i = 0; i < network->relay_count; i++) {
		const struct relay_state *known = find_tag(c, relay_tag(network->relays[i].static_key));

		if (known && memcmp(known->static_key, network->relays[i].static_key, KEY_SIZE) == 0) {
			list[i] = *known;
			continue;
		}
		enter(c, &network->relays[i], &list[i]);
		has_new = true;
	}
	c->counters.relays_silent = 0;
	for (uint8_t i = 0; i < network->relay_count; i++)
		c->counters.relays_silent += list[i].is_silent;
	wipe(c->relays.list, sizeof c->relays.list);
	memcpy(c->relays.list, list, network->relay_count * sizeof *list);
	c->relays.count = network->relay_count;
	wipe(list, sizeof list);
	if (is_first)
		return;
	judge_all(c);
	if (has_new)
		spread_news(c);
}
