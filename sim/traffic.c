#include "traffic.h"

#include <string.h>

#include "base/mem.h"
#include "segment.h"
#include "wire/inner.h"

enum { TRAFFIC_PORT = 9, TRAFFIC_HEADER = 16 };

static const uint8_t magic[8] = {'t', 'r', 'a', 'f', 'f', 'i', 'c', 1};

/* No flows yet. */
void traffic_init(struct traffic *traffic, struct world *world)
{
	*traffic = (struct traffic){.world = world};
}

/* Flows must not run any more: to be called after the world is gone, or before it goes on. */
void traffic_finish(struct traffic *traffic)
{
	for (uint32_t i = 0; i < traffic->flow_count; i++) {
		mem_free(traffic->flows[i].sent_at);
		mem_free(traffic->flows[i].came_at);
	}
	*traffic = (struct traffic){0};
}

static uint8_t pattern(const struct flow *flow, uint32_t number, size_t at)
{
	return (uint8_t)(flow->number * 31 + number * 7 + at);
}

/* A whole UDP packet with right checksums. */
static void write_packet(const struct flow *flow, uint32_t number, uint8_t *p)
{
	uint8_t *payload = segment_begin(p, flow->size, &flow->src, &flow->dst, TRAFFIC_PORT);
	size_t size = flow->size - (size_t)(payload - p);

	memcpy(payload, magic, 8);
	segment_put(payload + 8, flow->number);
	segment_put(payload + 12, number);
	for (size_t at = TRAFFIC_HEADER; at < size; at++)
		payload[at] = pattern(flow, number, at);
	segment_end(p, flow->size);
}

static void flow_send(void *ctx)
{
	struct flow *flow = ctx;
	struct world *world = flow->traffic->world;
	uint8_t bytes[2048];

	if (!flow->runs || flow->sent == TRAFFIC_PACKETS_MAX)
		return;
	write_packet(flow, flow->sent, bytes);
	flow->sent_at[flow->sent++] = world->now;
	flow->sent_marked++;
	world_call_at(world, time_add(world->now, flow->interval_us), flow_send, flow);
	host_input_packet(flow->from, bytes, flow->size);
}

/* The flow lives as long as its traffic. */
struct flow *traffic_start(struct traffic *traffic, struct host *from, struct host *to, const struct ip *src,
			   const struct ip *dst, int64_t interval_us, size_t size)
{
	struct flow *flow = &traffic->flows[traffic->flow_count];

	*flow = (struct flow){
		.traffic = traffic,
		.from = from,
		.to = to,
		.src = *src,
		.dst = *dst,
		.interval_us = interval_us,
		.size = size < TRAFFIC_SIZE_MIN ? TRAFFIC_SIZE_MIN : size,
		.runs = true,
		.number = traffic->flow_count++,
		.heard = traffic->world->now,
		.sent_at = mem_alloc(TRAFFIC_PACKETS_MAX, sizeof *flow->sent_at),
		.came_at = mem_alloc(TRAFFIC_PACKETS_MAX, sizeof *flow->came_at),
	};
	flow_mark(flow);
	world_call_at(traffic->world, traffic->world->now, flow_send, flow);
	return flow;
}

/* A reliable stream beside the numbered packets. */
struct pipe *traffic_start_pipe(struct traffic *traffic, struct host *from, struct host *to, const struct ip *src,
				const struct ip *dst, int64_t interval_us)
{
	struct pipe *pipe = &traffic->pipes[traffic->pipe_count];

	pipe->number = traffic->pipe_count++;
	pipe_start(pipe, traffic->world, from, to, src, dst, interval_us);
	return pipe;
}

/* What is under way may still arrive. */
void flow_stop(struct flow *flow)
{
	flow->runs = false;
}

/* The pause that is going on counts from now. */
void flow_mark(struct flow *flow)
{
	flow->marked = flow->heard = flow->traffic->world->now;
	flow->gap_us = 0;
	flow->sent_marked = flow->delivered_marked = 0;
}

/* The referee of "exactly once or accounted as lost". */
static void deliver(struct flow *flow, struct host *host, uint32_t number)
{
	struct world *world = flow->traffic->world;
	int64_t gap_us = time_since(world->now, flow->heard);

	if (host != flow->to) {
		world_fail(world, "packet %u from %s to %s came out at %s", number, flow->from->name, flow->to->name,
			   host->name);
		return;
	}
	if (number >= flow->sent || !flow->sent_at[number].us) {
		world_fail(world, "packet %u from %s to %s came out %s", number, flow->from->name, flow->to->name,
			   number < flow->sent ? "twice" : "but never went in");
		return;
	}
	flow->delivered++;
	flow->late += number < flow->youngest;
	if (number > flow->youngest)
		flow->youngest = number;
	if (flow->sent_at[number].us >= flow->marked.us)
		flow->delivered_marked++;
	flow->sent_at[number].us = 0;
	flow->came_at[number] = world->now;
	if (gap_us > flow->gap_us)
		flow->gap_us = gap_us;
	flow->heard = world->now;
}

static bool is_intact(const struct flow *flow, uint32_t number, const struct packet *packet)
{
	uint8_t expected[2048];
	size_t ttl = flow->src.family == 4 ? 8 : 7;

	write_packet(flow, number, expected);
	/* Nothing may change, hop limits included: the overlay is one link. */
	return packet->size == flow->size && packet->bytes[ttl] == expected[ttl] &&
	       !memcmp(packet->bytes + (flow->src.family == 4 ? 12 : 8), expected + (flow->src.family == 4 ? 12 : 8),
		       flow->size - (flow->src.family == 4 ? 12 : 8));
}

static void on_packet(void *ctx, struct host *host, const struct packet *packet)
{
	struct traffic *traffic = ctx;
	const uint8_t *payload;
	struct inner inner;
	struct flow *flow;
	uint32_t number;

	trace_count(&traffic->world->trace, traffic->world->now, host->name, packet->bytes, packet->size);
	if (inner_parse(packet->bytes, packet->size, &inner) != OK) {
		world_fail(traffic->world, "%s puts out something that is no IP packet", host->name);
		return;
	}
	payload = packet->bytes + inner.network_size + 8;
	if (inner.protocol == PROTOCOL_UDP && packet->size >= inner.network_size + 24u && payload[-5] == PIPE_PORT) {
		pipe_input(&traffic->pipes[pipe_number(payload) % TRAFFIC_PIPES_MAX], host, payload,
			   packet->size - inner.network_size - 8);
		return;
	}
	if (inner.protocol != PROTOCOL_UDP || packet->size < TRAFFIC_SIZE_MIN || memcmp(payload, magic, 8)) {
		traffic->other_packets++;
		return;
	}
	number = segment_get(payload + 12);
	flow = &traffic->flows[segment_get(payload + 8) % TRAFFIC_FLOWS_MAX];
	if (flow->number >= traffic->flow_count || !is_intact(flow, number, packet)) {
		world_fail(traffic->world, "packet %u came out at %s other than it went in", number, host->name);
		return;
	}
	deliver(flow, host, number);
}

/* Once per host. */
void traffic_attach(struct traffic *traffic, struct host *host)
{
	host->ctx = traffic;
	host->on_packet = on_packet;
}
