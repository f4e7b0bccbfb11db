#include "node_host.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "world.h"

/*
 * What a node may send to an address that did not answer yet, beyond what came from there: probes and first messages to
 * each candidate at once and while it is looked for (T26), and E5's burst for each time that somebody has really moved.
 */
enum { LANE_BUSY_PPM = 50000, LANE_BUSY_MAX_US = 20000 };
enum { NODE_PROBE_BYTES = 32 * 1024, NODE_PROBE_BYTES_A_SECOND = 2048 };

static void on_event(void *ctx, const struct node_event *event)
{
	static const char *const texts[NODE_EVENT_TYPES] = {
		"addressed",	"lease",	 "coordinator up",  "coordinator down", "network",
		"refused",	"address added", "address removed", "peer up",		"peer down",
		"peer refused", "path up",	 "path down",	    "path selected",	"handover",
		"rekey",	"echo",		 "exit selected"};
	struct node_host *n = ctx;
	char remote[ADDR_TEXT_MAX];

	n->events[event->type]++;
	n->last[event->type] = *event;
	if (event->type == NODE_EVENT_PATH_UP)
		proven_add(&n->proven, &event->route.remote);
	world_note(n->host->world, n->host->name, "%s %s%s %s", texts[event->type], event->peer,
		   event->kind == PATH_RELAY ? " by relay" : "",
		   event->route.remote.port ? addr_format(&event->route.remote, remote) : "");
}

/* Randomness depends on when it starts: a restarted one makes other keys. */
struct node_host *node_host_start(struct host *host, const struct node_config *config)
{
	struct node_host *n = mem_alloc(1, sizeof *n);
	struct node_env env = {.random = {&n->random, stream_fill}, .ctx = n, .event = on_event};
	const struct network *network = config->network;
	enum err err;

	n->host = host;
	n->lane_count = config->lane_count;
	n->lane_random = stream_for(host->world->seed, "lanes", host->number);
	n->random = stream_for(host->world->seed ^ (uint64_t)host->world->now.us, "node", host->number);
	for (unsigned i = 0; i < network->coordinator_count; i++)
		for (unsigned k = 0; k < network->coordinators[i].addresses.count; k++)
			proven_add(&n->proven, &network->coordinators[i].addresses.list[k]);
	for (unsigned i = 0; i < network->relay_count; i++)
		for (unsigned k = 0; k < network->relays[i].addresses.count; k++)
			proven_add(&n->proven, &network->relays[i].addresses.list[k]);
	err = node_create(config, &env, host->world->now, &n->node);
	if (err != OK) {
		world_fail(host->world, "%s does not start: %s", host->name, err_text(err));
		mem_free(n);
		return NULL;
	}
	host->machine = n;
	host_announce(host);
	return n;
}

/* For asking it things; pull with host_turn afterwards. */
struct node *node_of(const struct host *host)
{
	return host->machine ? ((struct node_host *)host->machine)->node : NULL;
}

static void use_lane(struct node_host *n, unsigned lane)
{
	if (n->lane_count < 2)
		return;
	n->lane = lane;
	node_use_lane(n->node, lane);
}

static void lanes_return(void *ctx)
{
	struct host *host = ctx;

	if (!host->machine)
		return;
	((struct node_host *)host->machine)->lanes_busy = 0;
	host_turn(host);
}

/* Now and then a thread has not got the processor for a while: the others go on. */
static void draw_busy(struct node_host *n)
{
	if (n->lane_count < 2 || n->lanes_busy || !stream_chance(&n->lane_random, LANE_BUSY_PPM))
		return;
	n->lanes_busy = UINT32_C(1) << n->lane;
	world_call_at(n->host->world, time_add(n->host->world->now, stream_range(&n->lane_random, 1, LANE_BUSY_MAX_US)),
		      lanes_return, n->host);
}

/* Any thread: which socket gets a datagram is the kernel's decision, and moves change it. */
static void input_datagram(void *m, struct time_us now, const struct datagram *datagram)
{
	struct node_host *n = m;

	use_lane(n, n->lane_count > 1 ? (unsigned)stream_below(&n->lane_random, n->lane_count) : 0);
	node_input_datagram(((struct node_host *)m)->node, now, datagram);
}

static void input_time(void *m, struct time_us now)
{
	use_lane(m, 0);
	node_input_time(((struct node_host *)m)->node, now);
}

/* As the real driver: what is wanted is there at once. */
static void attend(void *m, struct host *host)
{
	struct node *node = ((struct node_host *)m)->node;
	struct node_ports wanted;

	while (node_next_ports(node, &wanted)) {
		uint16_t ports[HOST_SOCKETS_MAX], port;
		size_t count = 0;

		if (wanted.close)
			host_close(host, wanted.close);
		while (count < wanted.open && (port = host_open(host)) != 0)
			ports[count++] = port;
		if (wanted.open)
			node_input_ports(node, host->world->now, ports, count);
	}
}

/* Threads send side by side: each lane keeps its order, and whose turn it is is drawn. */
static bool next_datagram_of_any(struct node_host *n, struct datagram *ret)
{
	uint32_t ready;

	while ((ready = node_ready_lanes(n->node) & ~n->lanes_busy) != 0) {
		unsigned lane = (unsigned)stream_below(&n->lane_random, n->lane_count);

		if (!(ready >> lane & 1))
			continue;
		node_use_lane(n->node, lane);
		if (node_next_datagram(n->node, ret))
			return true;
	}
	node_use_lane(n->node, n->lane); /* whose packets follow */
	return false;
}

static bool next_datagram(void *m, struct time_us now, struct datagram *ret)
{
	struct node_host *n = m;

	(void)now;
	return n->lane_count > 1 ? next_datagram_of_any(n, ret) : node_next_datagram(n->node, ret);
}

static struct time_us next_deadline(const void *m)
{
	return node_next_deadline(((const struct node_host *)m)->node);
}

/* A flow has one thread, as the kernel steers it: by its port. */
static void input_packet(void *m, struct time_us now, struct packet *packet)
{
	struct node_host *n = m;
	size_t port = packet->bytes[0] >> 4 == 4 ? 23 : 43;

	use_lane(n, n->lane_count > 1 && packet->size > port ? packet->bytes[port] % n->lane_count : 0);
	draw_busy(n);
	node_input_packet(((struct node_host *)m)->node, now, packet);
}

static bool next_packet(void *m, struct packet *ret)
{
	return node_next_packet(((struct node_host *)m)->node, ret);
}

static void set_addresses(void *m, struct time_us now, const struct host_address *list, size_t count)
{
	struct node_host *n = m;
	struct node_local locals[NODE_LOCALS_MAX];

	for (size_t i = 0; i < count; i++) {
		locals[i] = (struct node_local){
			.ip = list[i].ip, .ifindex = list[i].ifindex, .mtu = list[i].mtu, .is_default = i == 0};
		(void)snprintf(locals[i].ifname, sizeof locals[i].ifname, "if%u", (unsigned)list[i].ifindex);
	}
	n->host->world->moves += n->is_placed;
	n->is_placed = true;
	use_lane(n, 0);
	node_input_locals(n->node, now, locals, count);
}

static void too_big(void *m, struct time_us now, const struct route *route, size_t size)
{
	node_input_too_big(((struct node_host *)m)->node, now, route, size);
}

/* By now: relays come later than nodes, too. */
static bool is_relay(const struct network *network, const struct addr *remote)
{
	for (unsigned i = 0; i < network->relay_count; i++)
		for (unsigned k = 0; k < network->relays[i].addresses.count; k++)
			if (addr_equal(&network->relays[i].addresses.list[k], remote))
				return true;
	return false;
}

static uint64_t allowance(const void *m, const struct host_contact *contact)
{
	const struct node_host *n = m;

	const struct world *world = n->host->world;
	uint64_t seconds = (uint64_t)(time_since(world->now, contact->since) / USEC_PER_SEC);

	if (proven_has(&n->proven, &contact->remote) || is_relay(node_get_network(n->node), &contact->remote))
		return UINT64_MAX;
	return NODE_PROBE_BYTES + seconds * NODE_PROBE_BYTES_A_SECOND + world->moves * UNVALIDATED_BURST_BYTES;
}

static void destroy(void *m)
{
	node_destroy(((struct node_host *)m)->node);
	mem_free(m);
}

const struct machine_ops node_host_ops = {
	.input_datagram = input_datagram,
	.input_time = input_time,
	.attend = attend,
	.next_datagram = next_datagram,
	.next_deadline = next_deadline,
	.input_packet = input_packet,
	.next_packet = next_packet,
	.set_addresses = set_addresses,
	.too_big = too_big,
	.allowance = allowance,
	.destroy = destroy,
};
