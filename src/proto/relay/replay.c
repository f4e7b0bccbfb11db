/*
 * replay.c: a leg is elsewhere, so what went to its old address since it was last heard there is sent again. The relay
 * sees only sealed bytes: the node behind the leg drops what had arrived, by its replay window.
 */
#include "base/cursor.h"
#include "proto/relay/state.h"

/*
 * What one change of address brings back at most, and how far it is looked for. A datagram is sent again at most twice,
 * so that a leg which goes to and fro makes three times the bytes of its peer, and no more.
 */
enum { REPLAY_BYTES_MAX = 512 * 1024, REPLAY_STEPS_MAX = 1024, REPLAY_AGAIN_MAX = 2 };

/* No address of a leg has this number. */
enum { PLACE_NOWHERE = 0 };

/* Without a measured round trip, or with a short one, this much before the last packet from the old address. */
#define REPLAY_MIN_US (60 * USEC_PER_MSEC)

/* The address it goes to, as far as the plan knows: only its copy of one of the leg's two. */
static const struct relay_endpoint *place_of(const struct relay_leg *leg, uint8_t place,
					     const struct relay_endpoint **ret_local)
{
	bool is_candidate = leg->candidate.family && leg->candidate.place == place;

	*ret_local = is_candidate ? &leg->candidate_local : &leg->remote_local;
	return is_candidate ? &leg->candidate : &leg->remote;
}

/* Beside the decision: what goes to the leg at `remote`, one of its two endpoints in the pair. */
bool relay_remember(struct relay *relay, struct pair *pair, const struct relay_endpoint *remote,
		    const struct datagram *run)
{
	struct relay_leg *legs = pair->flow.legs;
	uint8_t number = remote == &legs[1].remote || remote == &legs[1].candidate;
	uint64_t before = legs[number].newest;

	if (!relay->memory.bytes)
		return false;
	legs[number].newest = memory_keep(&relay->memory, relay->now, before, run, number, remote->place);
	relay->counters.not_remembered += legs[number].newest == before;
	return legs[number].newest != before;
}

/*
 * Two ends that go over to another relay do not reach it in the same instant. What the first one sends has a key
 * holder's Bind before it as anything that is forwarded, and pays for what it is given out, not for what is kept.
 */
void relay_remember_early(struct relay *relay, struct pair *pair, const struct relay_endpoint *src,
			  const struct datagram *run, uint32_t packets)
{
	struct relay_leg *legs = pair->flow.legs;
	bool is_proven;
	const struct relay_leg *from = relay_flow_leg_at(&pair->flow, src, relay->now.us, &is_proven);
	uint8_t number = from == &legs[0];
	struct datagram kept = *run;

	if (!relay->memory.bytes || !from)
		return;
	kept.segment_size = packets > 1 ? run->segment_size : 0;
	legs[number].newest =
		memory_keep(&relay->memory, relay->now, legs[number].newest, &kept, number, PLACE_NOWHERE);
}

/*
 * What the leg's old address may not have got: everything since one round trip before it was heard last, with a margin
 * for queues that grew since it was measured.
 */
struct time_us relay_replay_since(const struct relay *relay, const struct pair *pair, unsigned number)
{
	int64_t rtt_us = pair->rtt_4ms[number] * 4 * USEC_PER_MSEC, span_us = rtt_us + rtt_us / 4 + 10 * USEC_PER_MSEC;
	int64_t oldest_us = relay->now.us - MEMORY_AGE_MAX_US, since_us;

	if (span_us < REPLAY_MIN_US)
		span_us = REPLAY_MIN_US;
	since_us = pair->flow.legs[number].heard_us - span_us;
	return (struct time_us){since_us > oldest_us ? since_us : oldest_us};
}

/* The newest that `room` is enough for, linked from the oldest on: its number, 0 for none. */
static uint64_t choose(const struct relay *relay, const struct relay_leg *leg, uint8_t place, struct time_us since,
		       uint64_t room)
{
	struct memory_entry *entry;
	uint64_t oldest = 0, at = leg->newest;

	for (unsigned i = 0; i < REPLAY_STEPS_MAX; i++, at = entry->older) {
		entry = memory_at(&relay->memory, at);
		if (!entry || entry->kept_us < since.us)
			break;
		if (entry->place == place || entry->again == REPLAY_AGAIN_MAX)
			continue;
		if (entry->size > room)
			break;
		room -= entry->size;
		entry->newer = oldest;
		oldest = at;
	}
	return oldest;
}

static void append(struct relay *relay, uint64_t number, struct memory_entry *entry)
{
	struct memory_entry *last = memory_at(&relay->memory, relay->replay_last);

	entry->newer = 0;
	if (relay->replay_first)
		last->newer = number;
	else
		relay->replay_first = number;
	relay->replay_last = number;
}

/* Plans it; relay_replay_next gives it out, behind the reply to what caused it. */
void relay_replay(struct relay *relay, struct pair *pair, unsigned number, bool to_candidate, struct time_us since)
{
	struct relay_leg *leg = &pair->flow.legs[number];
	uint8_t place = to_candidate ? leg->candidate.place : leg->remote.place;
	uint64_t room =
		to_candidate && leg->candidate_budget < REPLAY_BYTES_MAX ? leg->candidate_budget : REPLAY_BYTES_MAX;
	uint64_t at = choose(relay, leg, place, since, room), newer;

	relay->counters.replays += at != 0;
	for (; at; at = newer) {
		struct memory_entry *entry = memory_at(&relay->memory, at);
		uint32_t packets =
			entry->segment_size ? (entry->size + entry->segment_size - 1) / entry->segment_size : 1;

		newer = entry->newer;
		if (relay_flow_again(&pair->flow, number, to_candidate, packets, entry->size, relay->now.us) !=
		    RELAY_FORWARD)
			break;
		entry->place = place;
		entry->again++;
		append(relay, at, entry);
		relay->counters.replayed += packets;
		relay->counters.replayed_bytes += entry->size;
	}
}

/* Oldest first. The PathID in the bytes tells whose they are: the pair may have gone since it was planned. */
bool relay_replay_next(struct relay *relay, struct datagram *ret)
{
	struct memory_entry *entry;

	while ((entry = memory_at(&relay->memory, relay->replay_first))) {
		struct reader r = reader_over(memory_bytes(entry) + HEADER_SIZE - 8, 8);
		const struct pair *pair = pair_table_find(&relay->table, read_u64(&r));
		const struct relay_endpoint *remote = NULL, *local;

		relay->replay_first = entry->newer;
		if (pair)
			remote = place_of(&pair->flow.legs[entry->leg], entry->place, &local);
		if (!remote || remote->place != entry->place)
			continue;
		*ret = (struct datagram){
			.route = {.local = relay_addr_of(local), .remote = relay_addr_of(remote)},
			.bytes = memory_bytes(entry),
			.size = entry->size,
			.segment_size = entry->segment_size,
		};
		return true;
	}
	relay->replay_first = 0;
	return false;
}
