#include "pipe.h"

#include <string.h>

#include "segment.h"

enum { PAYLOAD_HEADER = 16, ACK_FLAG = 1, WINDOW_FIRST = 10 };
enum { RTO_FIRST_US = 1000000, RTO_MIN_US = 200000, RTO_MAX_US = 5000000 }; /* Linux has 120 s: a run would only wait */

/* Number and flag, segment or next expected, time of sending in microseconds. */
static void put_header(uint8_t *payload, uint32_t number, bool is_ack, uint32_t segment, struct time_us at)
{
	segment_put(payload, number << 1 | (is_ack ? ACK_FLAG : 0));
	segment_put(payload + 4, segment);
	segment_put(payload + 8, (uint32_t)((uint64_t)at.us >> 32));
	segment_put(payload + 12, (uint32_t)at.us);
}

static struct time_us time_of(const uint8_t *payload)
{
	return (struct time_us){(int64_t)((uint64_t)segment_get(payload + 8) << 32 | segment_get(payload + 12))};
}

/* Contract in the header. */
uint32_t pipe_number(const uint8_t *payload)
{
	return segment_get(payload) >> 1;
}

static uint8_t pattern(const struct pipe *pipe, uint32_t segment, size_t at)
{
	return (uint8_t)(pipe->number * 31 + segment * 7 + at);
}

static void send_segment(struct pipe *pipe, uint32_t segment)
{
	uint8_t packet[SEGMENT_MAX];
	size_t size = (pipe->src.family == 4 ? 28 : 48) + PAYLOAD_HEADER + PIPE_BYTES;
	uint8_t *payload = segment_begin(packet, size, &pipe->src, &pipe->dst, PIPE_PORT);

	put_header(payload, pipe->number, false, segment, pipe->world->now);
	for (size_t i = 0; i < PIPE_BYTES; i++)
		payload[PAYLOAD_HEADER + i] = pattern(pipe, segment, i);
	segment_end(packet, size);
	host_input_packet(pipe->from, packet, size);
}

static void send_ack(struct pipe *pipe, const struct pipe_ack *ack)
{
	uint8_t packet[SEGMENT_MAX];
	size_t size = (pipe->src.family == 4 ? 28 : 48) + PAYLOAD_HEADER;
	uint8_t *payload = segment_begin(packet, size, &pipe->dst, &pipe->src, PIPE_PORT);

	put_header(payload, pipe->number, true, ack->delivered, ack->echo);
	segment_end(packet, size);
	host_input_packet(pipe->to, packet, size);
}

static void timer_run(void *ctx);
static void timer_set(struct pipe *pipe);

/* After a timeout from the first that is not acknowledged on, else only new ones. */
static void send_next(struct pipe *pipe)
{
	while (pipe->next < pipe->written && pipe->next - pipe->acked < pipe->window) {
		uint32_t segment = pipe->next++;

		if (segment < pipe->furthest)
			pipe->retransmits++;
		else
			pipe->furthest = pipe->next;
		if (segment == pipe->acked)
			timer_set(pipe);
		send_segment(pipe, segment);
	}
}

static void timer_set(struct pipe *pipe)
{
	pipe->timer_at = pipe->acked == pipe->next ? TIME_NEVER : time_add(pipe->world->now, pipe->rto_us);
	if (pipe->timer_runs || pipe->timer_at.us == TIME_NEVER.us)
		return;
	pipe->timer_runs = true;
	world_call_at(pipe->world, pipe->timer_at, timer_run, pipe);
}

/* RFC 6298 5.4 to 5.6. */
static void timer_run(void *ctx)
{
	struct pipe *pipe = ctx;

	pipe->timer_runs = false;
	if (pipe->timer_at.us == TIME_NEVER.us)
		return;
	if (!time_reached(pipe->world->now, pipe->timer_at)) {
		pipe->timer_runs = true;
		world_call_at(pipe->world, pipe->timer_at, timer_run, pipe);
		return;
	}
	pipe->timeouts++;
	pipe->recover = pipe->furthest;
	pipe->duplicates = 0;
	pipe->window = 1;
	pipe->next = pipe->acked;
	pipe->rto_us = pipe->rto_us * 2 < RTO_MAX_US ? pipe->rto_us * 2 : RTO_MAX_US;
	send_next(pipe);
}

static void pump(void *ctx)
{
	struct pipe *pipe = ctx;

	pipe->pumps = false;
	for (uint32_t i = 0; i < pipe->ack_count; i++)
		send_ack(pipe, &pipe->acks[i]);
	pipe->ack_count = 0;
	if (pipe->resends && pipe->acked < pipe->furthest) /* not acknowledged meanwhile */
		send_segment(pipe, pipe->acked);
	pipe->resends = false;
	send_next(pipe);
}

static void plan_pump(struct pipe *pipe)
{
	if (!pipe->pumps)
		world_call_at(pipe->world, pipe->world->now, pump, pipe);
	pipe->pumps = true;
}

static void pipe_write(void *ctx)
{
	struct pipe *pipe = ctx;

	if (!pipe->runs)
		return;
	pipe->written++;
	world_call_at(pipe->world, time_add(pipe->world->now, pipe->interval_us), pipe_write, pipe);
	send_next(pipe);
}

/* The pipe must live as long as the world runs. */
void pipe_start(struct pipe *pipe, struct world *world, struct host *from, struct host *to, const struct ip *src,
		const struct ip *dst, int64_t interval_us)
{
	uint32_t number = pipe->number;

	*pipe = (struct pipe){
		.world = world,
		.from = from,
		.to = to,
		.src = *src,
		.dst = *dst,
		.interval_us = interval_us,
		.number = number,
		.runs = true,
		.rto_us = RTO_FIRST_US,
		.window = WINDOW_FIRST,
		.timer_at = TIME_NEVER,
		.heard = world->now,
	};
	world_call_at(world, world->now, pipe_write, pipe);
}

/* Contract in the header. */
void pipe_stop(struct pipe *pipe)
{
	pipe->runs = false;
}

/* The stall that is going on counts from now. */
void pipe_mark(struct pipe *pipe)
{
	pipe->timeouts = pipe->retransmits = 0;
	pipe->stall_us = 0;
	pipe->heard = pipe->world->now;
}

static void measure(struct pipe *pipe, int64_t rtt_us)
{
	int64_t deviation = rtt_us > pipe->srtt_us ? rtt_us - pipe->srtt_us : pipe->srtt_us - rtt_us;

	if (!pipe->srtt_us) {
		pipe->srtt_us = rtt_us;
		pipe->rttvar_us = rtt_us / 2;
	} else {
		pipe->rttvar_us += (deviation - pipe->rttvar_us) / 4;
		pipe->srtt_us += (rtt_us - pipe->srtt_us) / 8;
	}
	pipe->rto_us = pipe->srtt_us + (4 * pipe->rttvar_us > RTO_MIN_US ? 4 * pipe->rttvar_us : RTO_MIN_US);
}

/* NewReno: while it recovers, each partial acknowledgement asks for the next hole (RFC 6582). */
static void input_ack(struct pipe *pipe, uint32_t acked, struct time_us echo)
{
	if (acked > pipe->furthest) {
		world_fail(pipe->world, "pipe %u: %u acknowledged, only %u sent", pipe->number, acked, pipe->furthest);
		return;
	}
	if (acked < pipe->acked || (acked == pipe->acked && pipe->acked == pipe->next))
		return;
	if (acked > pipe->acked) {
		pipe->window += acked - pipe->acked;
		if (pipe->window > PIPE_WINDOW)
			pipe->window = PIPE_WINDOW;
		pipe->acked = acked;
		if (pipe->next < acked)
			pipe->next = acked;
		pipe->duplicates = 0;
		measure(pipe, time_since(pipe->world->now, echo));
		timer_set(pipe);
	} else if (++pipe->duplicates != 3 || pipe->acked < pipe->recover) {
		return;
	} else {
		pipe->recover = pipe->furthest;
	}
	if (pipe->acked < pipe->recover && pipe->next == pipe->furthest) {
		pipe->retransmits++;
		pipe->resends = true;
	}
	plan_pump(pipe);
}

static bool is_intact(const struct pipe *pipe, uint32_t segment, const uint8_t *bytes)
{
	for (size_t i = 0; i < PIPE_BYTES; i++)
		if (bytes[i] != pattern(pipe, segment, i))
			return false;
	return true;
}

/* In order to the program; ahead of it into the window. */
static void input_data(struct pipe *pipe, uint32_t segment, struct time_us sent)
{
	int64_t stall_us = time_since(pipe->world->now, pipe->heard);

	if (segment >= pipe->delivered && segment - pipe->delivered < PIPE_WINDOW)
		pipe->early[segment % PIPE_WINDOW] = true;
	if (segment == pipe->delivered) {
		for (; pipe->early[pipe->delivered % PIPE_WINDOW]; pipe->delivered++)
			pipe->early[pipe->delivered % PIPE_WINDOW] = false;
		if (stall_us > pipe->stall_us)
			pipe->stall_us = stall_us;
		pipe->heard = pipe->world->now;
	}
	if (pipe->ack_count < PIPE_ACKS_MAX)
		pipe->acks[pipe->ack_count++] = (struct pipe_ack){pipe->delivered, sent};
	plan_pump(pipe);
}

/* The referee of the stream: right end, right bytes, nothing that was never written. */
void pipe_input(struct pipe *pipe, struct host *host, const uint8_t *payload, size_t size)
{
	bool is_ack = segment_get(payload) & ACK_FLAG;
	uint32_t segment = segment_get(payload + 4);

	if (host != (is_ack ? pipe->from : pipe->to)) {
		world_fail(pipe->world, "a packet of pipe %u came out at %s", pipe->number, host->name);
	} else if (is_ack) {
		input_ack(pipe, segment, time_of(payload));
	} else if (size != PAYLOAD_HEADER + PIPE_BYTES || segment >= pipe->furthest ||
		   !is_intact(pipe, segment, payload + PAYLOAD_HEADER)) {
		world_fail(pipe->world, "segment %u of pipe %u came out other than it went in", segment, pipe->number);
	} else {
		input_data(pipe, segment, time_of(payload));
	}
}
