/*
 * forward.c: what comes in, cut into what is decided at once: trains into runs of one pair, and datagrams that come one
 * by one from one leg taken together again.
 */
#include <string.h>

#include "proto/relay/state.h"

enum { SEGMENTS_AT_ONCE = 4 };

static enum err relay_refuse(struct relay *relay, enum relay_verdict verdict, uint32_t packets)
{
	switch (verdict) {
	case RELAY_DROP_SOURCE: relay->counters.dropped_source += packets; return ERR_DENIED;
	case RELAY_DROP_UNBOUND: relay->counters.dropped_unbound += packets; return ERR_STATE;
	case RELAY_DROP_RATE: relay->counters.dropped_rate += packets; return ERR_FULL;
	default: relay->counters.dropped_cap += packets; return ERR_EXHAUSTED;
	}
}

/* What was hashed beforehand. */
struct relay_ahead {
	uint64_t path_id, hash;
};

static uint64_t path_id_of(const uint8_t *bytes)
{
	const uint8_t *b = bytes + HEADER_SIZE - 8;

	/* In a row, so that the compiler sees one load in it. */
	return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 | (uint64_t)b[3] << 32 |
	       (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 | (uint64_t)b[6] << 8 | (uint64_t)b[7];
}

/* In place: what is put together elsewhere and copied is waited for by the copy. */
static void set_addr(struct addr *ret, const struct relay_endpoint *endpoint)
{
	memcpy(ret->ip.bytes, endpoint->ip, sizeof ret->ip.bytes);
	ret->ip.family = endpoint->family;
	ret->port = endpoint->port;
}

static void set_route(struct route *ret, const struct relay_endpoint *local, const struct relay_endpoint *remote)
{
	set_addr(&ret->local, local);
	ret->ifindex = 0;
	set_addr(&ret->remote, remote);
}

/* run: packets datagrams of one pair, back to back in the caller's bytes, which leave as they came. */
static enum err relay_forward(struct relay *relay, const struct datagram *run, uint32_t packets,
			      const struct relay_ahead *ahead)
{
	uint64_t path_id = path_id_of(run->bytes);
	uint64_t hash = path_id == ahead->path_id ? ahead->hash : pair_table_hash(&relay->table, path_id);
	struct relay_endpoint src = relay_endpoint_of(&run->route.remote);
	const struct relay_endpoint *remote, *local;
	struct pair *pair = pair_table_find_hashed(&relay->table, path_id, hash);
	enum relay_verdict verdict;
	struct datagram *out;
	bool is_express;

	if (!pair) {
		relay->counters.dropped_unknown += packets;
		return ERR_UNKNOWN;
	}
	if (relay->out_count == RELAY_OUT_MAX) {
		relay->counters.dropped_queue += packets;
		return ERR_FULL;
	}
	is_express = relay->express.count && pair->express;
	if (is_express)
		express_pull(relay, pair);
	verdict = relay_flow_forward(&pair->flow, &src, packets, run->size, relay->now.us, &remote, &local);
	if (is_express)
		express_push(relay, pair);
	if (verdict == RELAY_DROP_UNBOUND)
		relay_remember_early(relay, pair, &src, run, packets);
	if (verdict != RELAY_FORWARD)
		return relay_refuse(relay, verdict, packets);
	out = relay_out(relay);
	set_route(&out->route, local, remote);
	out->bytes = run->bytes;
	out->size = run->size;
	out->segment_size = packets > 1 ? run->segment_size : 0;
	relay->counters.forwarded += packets;
	relay->counters.forwarded_bytes += run->size;
	relay->express.units++;
	if (!relay_remember(relay, pair, remote, out) && relay->express.list)
		express_join(relay, pair);
	return OK;
}

static enum err relay_control(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size)
{
	switch (bytes[0]) {
	case PACKET_RELAY_BIND: return relay_input_bind(relay, route, bytes, size);
	case PACKET_RELAY_ANSWER: return relay_input_answer(relay, route, bytes, size);
	case PACKET_RELAY_PROBE: return relay_input_probe(relay, route, bytes, size);
	default: relay->counters.dropped_malformed++; return ERR_MALFORMED;
	}
}

/* Of another pair or type than a run's first segment: not zero. */
static uint64_t difference(const uint8_t *segment, uint64_t path_id, uint8_t type)
{
	uint64_t other;

	memcpy(&other, segment + HEADER_SIZE - 8, 8);
	return (other ^ path_id) | (uint64_t)(segment[0] ^ type);
}

/* SEGMENTS_AT_ONCE of them, without a branch for each. */
static bool are_alike(const uint8_t *segment, size_t step, uint64_t path_id, uint8_t type)
{
	const uint8_t *third = segment + 2 * step;

	return (difference(segment, path_id, type) | difference(segment + step, path_id, type) |
		difference(third, path_id, type) | difference(third + step, path_id, type)) == 0;
}

/*
 * Where the run ends that begins at `at`: all of it is of one pair and of what a relay carries. Once for each segment
 * of everything that is forwarded, so it reads no more of one than it must.
 */
static size_t run_end(const struct datagram *datagram, size_t at, size_t step, uint32_t *ret_packets)
{
	const uint8_t *bytes = datagram->bytes, *first = bytes + at;
	size_t size = datagram->size, many = SEGMENTS_AT_ONCE * step;
	uint64_t path_id;
	uint32_t packets = 1;

	memcpy(&path_id, first + HEADER_SIZE - 8, 8); /* compared, never read: any order of bytes will do */
	for (at += step; at + many <= size && are_alike(bytes + at, step, path_id, first[0]); at += many)
		packets += SEGMENTS_AT_ONCE;
	for (; at + HEADER_SIZE <= size; at += step, packets++) {
		const uint8_t *segment = bytes + at;

		if (difference(segment, path_id, segment[0]) ||
		    (segment[0] != first[0] && !packet_is_end_to_end(segment[0])))
			break;
	}
	*ret_packets = packets;
	return at < size ? at : size;
}

/* Cuts the train into runs of one pair; a train of one pair is one run. */
static enum err relay_train(struct relay *relay, const struct datagram *datagram, const struct relay_ahead *ahead)
{
	size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;
	enum err err = OK;

	for (size_t at = 0, end; at < datagram->size; at = end) {
		const uint8_t *first = datagram->bytes + at;
		size_t size = datagram->size - at < step ? datagram->size - at : step;
		uint32_t packets = 1;
		enum err one;

		end = at + size;
		if (size < HEADER_SIZE) {
			relay->counters.dropped_malformed++;
			one = ERR_TRUNCATED;
		} else if (!packet_is_end_to_end(first[0])) {
			one = relay_control(relay, &datagram->route, first, size);
		} else {
			struct datagram run = *datagram;

			end = run_end(datagram, at, step, &packets);
			run.bytes = first;
			run.size = end - at;
			one = relay_forward(relay, &run, packets, ahead);
		}
		relay->counters.datagrams += packets;
		relay->counters.bytes += end - at;
		if (one != OK)
			err = one;
	}
	return err;
}

/* One alone: there is nothing to look ahead to. */
enum err relay_input_datagram(struct relay *relay, struct time_us now, const struct datagram *datagram)
{
	struct relay_ahead ahead = {0};

	if (datagram->size >= HEADER_SIZE)
		ahead.path_id = path_id_of(datagram->bytes);
	ahead.hash = pair_table_hash(&relay->table, ahead.path_id);
	relay_turn(relay, now);
	return relay_train(relay, datagram, &ahead);
}

/* The pair of each one's first segment, so that all of them are on their way from memory when the first is read. */
static void look_ahead(const struct relay *relay, const struct datagram *datagrams, size_t count,
		       struct relay_ahead ret[RELAY_BATCH_MAX])
{
	struct relay_ahead before = {.hash = pair_table_hash(&relay->table, 0)};

	for (size_t i = 0; i < count; i++) {
		uint64_t path_id = datagrams[i].size < HEADER_SIZE ? before.path_id : path_id_of(datagrams[i].bytes);

		if (path_id != before.path_id) {
			before.path_id = path_id;
			before.hash = pair_table_hash(&relay->table, path_id);
			pair_table_expect_slot(&relay->table, before.hash);
		}
		ret[i] = before;
	}
	for (size_t i = 0; i < count; i++)
		if (i == 0 || ret[i].path_id != ret[i - 1].path_id)
			pair_table_expect_pair(&relay->table, ret[i].hash);
}

static bool is_single(const struct datagram *datagram)
{
	return datagram->size >= HEADER_SIZE && packet_is_end_to_end(datagram->bytes[0]) &&
	       (datagram->segment_size == 0 || datagram->segment_size >= datagram->size);
}

/* How many from here on are datagrams of one pair from one address, each by itself; at least 1. */
static size_t count_alike(const struct datagram *datagrams, size_t count, const struct relay_ahead *ahead)
{
	size_t alike = 1;

	if (!is_single(datagrams))
		return 1;
	while (alike < count && ahead[alike].path_id == ahead->path_id && is_single(&datagrams[alike]) &&
	       addr_equal(&datagrams[alike].route.remote, &datagrams->route.remote))
		alike++;
	return alike;
}

/*
 * All of them by one decision, where each alone would be decided likewise: nobody is moving, and rate and cap allow
 * them all. False, and nothing has happened, where it is not so.
 */
static bool forward_alike(struct relay *relay, const struct datagram *datagrams, size_t count,
			  const struct relay_ahead *ahead)
{
	struct pair *pair = pair_table_find_hashed(&relay->table, ahead->path_id, ahead->hash);
	struct relay_endpoint src = relay_endpoint_of(&datagrams->route.remote);
	const struct relay_endpoint *remote, *local;
	uint64_t size = 0;

	if (!pair || pair->flow.legs[0].candidate.family || pair->flow.legs[1].candidate.family || relay->express.list)
		return false;
	for (size_t i = 0; i < count; i++)
		size += datagrams[i].size;
	if (relay_flow_forward(&pair->flow, &src, (uint32_t)count, size, relay->now.us, &remote, &local) !=
	    RELAY_FORWARD)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct datagram *out = &relay->out[relay->out_count++];

		set_route(&out->route, local, remote);
		out->bytes = datagrams[i].bytes;
		out->size = datagrams[i].size;
		out->segment_size = 0;
		(void)relay_remember(relay, pair, remote, out);
	}
	relay->counters.datagrams += count;
	relay->counters.bytes += size;
	relay->counters.forwarded += count;
	relay->counters.forwarded_bytes += size;
	relay->express.units += count;
	return true;
}

/* For a train, or for a whole batch. What a leg that moved is to get again goes before what follows: the turn ends. */
static bool has_room(const struct relay *relay)
{
	return !relay->replay_first && relay->out_count + RELAY_TRAIN_MAX <= RELAY_OUT_MAX;
}

/* Contract in the header. */
size_t relay_input_datagrams(struct relay *relay, struct time_us now, const struct datagram *datagrams, size_t count)
{
	struct relay_ahead ahead[RELAY_BATCH_MAX];
	size_t done = 0;

	if (count > RELAY_BATCH_MAX)
		count = RELAY_BATCH_MAX;
	relay_turn(relay, now);
	look_ahead(relay, datagrams, count, ahead);
	while (done < count && has_room(relay)) {
		size_t alike = count_alike(datagrams + done, count - done, ahead + done), end = done + alike;

		if (alike > 1 && forward_alike(relay, datagrams + done, alike, &ahead[done])) {
			done = end;
			continue;
		}
		for (; done < end; done++)
			(void)relay_train(relay, &datagrams[done], &ahead[done]);
	}
	return done;
}
