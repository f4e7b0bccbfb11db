#include "traffic.h"

#include <string.h>

#include "base/mem.h"
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
	for (uint32_t i = 0; i < traffic->flow_count; i++)
		mem_free(traffic->flows[i].sent_at);
	*traffic = (struct traffic){0};
}

static void put_u32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t pattern(const struct flow *flow, uint32_t number, size_t at)
{
	return (uint8_t)(flow->number * 31 + number * 7 + at);
}

static size_t write_ip_header(const struct flow *flow, uint8_t *p)
{
	if (flow->src.family == 4) {
		memcpy(p, (const uint8_t[]){0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0}, 12);
		p[2] = (uint8_t)(flow->size >> 8);
		p[3] = (uint8_t)flow->size;
		memcpy(p + 12, flow->src.bytes, 4);
		memcpy(p + 16, flow->dst.bytes, 4);
		return 20;
	}
	memcpy(p, (const uint8_t[]){0x60, 0, 0, 0, 0, 0, PROTOCOL_UDP, 64}, 8);
	p[4] = (uint8_t)((flow->size - 40) >> 8);
	p[5] = (uint8_t)(flow->size - 40);
	memcpy(p + 8, flow->src.bytes, 16);
	memcpy(p + 24, flow->dst.bytes, 16);
	return 40;
}

/* A whole UDP packet with right checksums. */
static void write_packet(const struct flow *flow, uint32_t number, uint8_t *p)
{
	size_t header = write_ip_header(flow, p), udp_size = flow->size - header;
	uint8_t *udp = p + header, *payload = udp + 8;
	struct inner inner;
	uint16_t sum;

	memset(udp, 0, 8);
	udp[1] = udp[3] = TRAFFIC_PORT;
	udp[4] = (uint8_t)(udp_size >> 8);
	udp[5] = (uint8_t)udp_size;
	memcpy(payload, magic, 8);
	put_u32(payload + 8, flow->number);
	put_u32(payload + 12, number);
	for (size_t at = TRAFFIC_HEADER; at < udp_size - 8; at++)
		payload[at] = pattern(flow, number, at);
	if (inner_parse(p, flow->size, &inner) != OK)
		return;
	inner_fix_network_checksum(p, &inner);
	sum = inner_pseudo_sum(&inner, udp_size);
	memcpy(udp + 6, &sum, sizeof sum);
	inner_complete_checksum(p, &inner);
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
	};
	flow_mark(flow);
	world_call_at(traffic->world, traffic->world->now, flow_send, flow);
	return flow;
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
	if (inner.protocol != PROTOCOL_UDP || packet->size < TRAFFIC_SIZE_MIN || memcmp(payload, magic, 8)) {
		traffic->other_packets++;
		return;
	}
	number = get_u32(payload + 12);
	flow = &traffic->flows[get_u32(payload + 8) % TRAFFIC_FLOWS_MAX];
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
