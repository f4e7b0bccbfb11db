#include "world.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"

/* A datagram, or a train whose segments share their fate so far, on its way. */
struct transit {
	struct event event;
	uint8_t from_host; /* 0: forged */
	uint8_t from_net, to_net;
	struct addr src, dst;
	size_t size;
	uint16_t segment_size;
	uint8_t bytes[];
};

/* Time starts at an odd value, so that nobody relies on zero. */
struct world *world_create(uint64_t seed)
{
	struct world *world = mem_alloc(1, sizeof *world);

	world->seed = seed;
	world->now = (struct time_us){1000 * USEC_PER_SEC + (int64_t)(seed % 1000)};
	trace_init(&world->trace);
	return world;
}

/* Accepts NULL. */
void world_destroy(struct world *world)
{
	if (!world)
		return;
	heap_finish(&world->heap);
	for (uint8_t i = 1; i <= world->host_count; i++) {
		if (world->hosts[i]->machine && world->hosts[i]->ops->destroy)
			world->hosts[i]->ops->destroy(world->hosts[i]->machine);
		mem_free(world->hosts[i]);
	}
	for (uint8_t i = 1; i <= world->net_count; i++)
		net_finish(&world->nets[i]);
	mem_free(world);
}

/* Numbers start at 1: 0 is "none" everywhere. */
uint8_t world_add_net(struct world *world, const struct net_config *config)
{
	uint8_t number = ++world->net_count;

	net_init(&world->nets[number], number, config, world->seed);
	return number;
}

/* For worlds that are not a star. */
void world_set_core_delay(struct world *world, uint8_t a, uint8_t b, int64_t delay_us)
{
	world->core_delay_us[a][b] = world->core_delay_us[b][a] = delay_us;
}

/* Unplugged, and without a timer until its first turn. */
struct host *world_add_host(struct world *world, const char *name, const struct machine_ops *ops, void *machine,
			    uint16_t port)
{
	struct host *host = mem_alloc(1, sizeof *host);

	*host = (struct host){
		.number = ++world->host_count,
		.world = world,
		.ops = ops,
		.machine = machine,
		.port = port,
		.timer_at = TIME_NEVER,
		.joins = true,
	};
	(void)snprintf(host->name, sizeof host->name, "%s", name);
	world->hosts[host->number] = host;
	return host;
}

/* Only the first: what follows may be its consequence. */
void world_fail(struct world *world, const char *format, ...)
{
	va_list args;

	if (world->failed)
		return;
	world->failed = true;
	va_start(args, format);
	(void)vsnprintf(world->failure, sizeof world->failure, format, args);
	va_end(args);
}

/* Counts as an event. */
void world_note(struct world *world, const char *about, const char *format, ...)
{
	char note[TRACE_NOTE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(note, sizeof note, format, args);
	va_end(args);
	trace_count(&world->trace, world->now, about, note, strlen(note));
	trace_note(&world->trace, world->now, about, note);
}

static const char *sender_name(const struct world *world, const struct transit *t)
{
	return t->from_host ? world->hosts[t->from_host]->name : "forger";
}

static struct host *owner_of(struct world *world, uint8_t net, const struct ip *ip)
{
	for (uint8_t i = 1; i <= world->host_count; i++) {
		const struct host_port *port = host_port_of(world->hosts[i], ip->family, ip);

		if (port && port->net == net)
			return world->hosts[i];
	}
	return NULL;
}

static void transit_end(struct world *world, struct transit *t, const char *to, bool arrived, const char *fate)
{
	char note[TRACE_NOTE];
	size_t count = t->segment_size ? (t->size + t->segment_size - 1) / t->segment_size : 1;

	(void)snprintf(note, sizeof note, "%02x %zu B x %zu%s%s", t->size ? t->bytes[0] : 0,
		       t->segment_size ? t->segment_size : t->size, count, fate[0] ? ", " : "", fate);
	trace_count(&world->trace, world->now, fate, t->bytes, t->size);
	trace_arrow(&world->trace, world->now, sender_name(world, t), to, arrived, note);
}

static void transit_drop(struct event *event)
{
	mem_free(event);
}

/* A copy of some of its bytes, to run later. */
static struct transit *transit_fork(const struct transit *t, const uint8_t *bytes, size_t size, event_run run)
{
	struct transit *copy = mem_alloc(1, sizeof *copy + size);

	*copy = *t;
	copy->event = (struct event){.run = run, .drop = transit_drop};
	copy->size = size;
	if (size <= t->segment_size)
		copy->segment_size = 0;
	memcpy(copy->bytes, bytes, size);
	return copy;
}

/* To the host itself: no line, no translation any more. */
static void transit_deliver(struct world *world, struct transit *t, uint8_t net)
{
	struct host *host = owner_of(world, net, &t->dst.ip);
	const struct host_port *port;
	struct datagram datagram;

	if (!host || !host->machine || !host_listens(host, t->dst.port)) {
		world->counters.nobody++;
		transit_end(world, t, host ? host->name : world->nets[net].config.name, false, "nobody listens");
		return;
	}
	world->counters.delivered++;
	transit_end(world, t, host->name, true, "");
	port = host_port_of(host, t->dst.ip.family, &t->dst.ip);
	datagram = (struct datagram){
		.route = {.local = t->dst, .ifindex = port->ifindex, .remote = t->src},
		.bytes = t->bytes,
		.size = t->size,
		.segment_size = t->segment_size,
	};
	host_input_datagram(host, &datagram);
}

static void transit_arrive_lan(void *ctx, struct event *event)
{
	struct transit *t = (struct transit *)event;

	transit_deliver(ctx, t, t->to_net);
	mem_free(t);
}

/* At the edge of the destination's net. */
static void transit_arrive(void *ctx, struct event *event)
{
	struct world *world = ctx;
	struct transit *t = (struct transit *)event;
	struct net *net = &world->nets[t->to_net];

	if (net->silent || net->deaf) {
		world->counters.silent++;
		transit_end(world, t, net->config.name, false, "net is silent");
	} else if (!net_translate_in(net, world->now, &t->src, &t->dst)) {
		world->counters.filtered++;
		transit_end(world, t, net->config.name, false, "filtered");
	} else {
		transit_deliver(world, t, t->to_net);
	}
	mem_free(t);
}

static void end_by_line(struct world *world, struct transit *t, enum line_fate fate)
{
	static const char *const texts[] = {"", "lost", "queue full", "too big"};

	world->counters.lost += fate == LINE_LOST;
	world->counters.queue_full += fate == LINE_FULL;
	world->counters.too_big += fate == LINE_TOO_BIG;
	transit_end(world, t, "core", false, texts[fate]);
	mem_free(t);
}

static void transit_push(struct world *world, struct transit *t, struct time_us at)
{
	t->event.at = at;
	heap_push(&world->heap, &t->event);
}

/* Segments of a train that have shared their fate so far: bytes from..to of it, due at one instant. */
struct crossing {
	size_t from, to;
	struct time_us at;
};

static void crossing_flush(struct world *world, const struct transit *t, struct crossing *run, event_run next)
{
	if (run->to > run->from)
		transit_push(world, transit_fork(t, t->bytes + run->from, run->to - run->from, next), run->at);
	run->from = run->to;
}

/* Through one line, segment by segment; neighbours that arrive together stay a train. */
static void transit_cross(struct world *world, const struct transit *t, struct line *line, int64_t extra_us,
			  event_run next)
{
	size_t step = t->segment_size ? t->segment_size : t->size, overhead = t->src.ip.family == 6 ? 48 : 28;
	int64_t late_us = line_jitter(line) + extra_us;
	struct crossing run = {0};

	for (size_t at = 0; at < t->size; at += step) {
		size_t size = t->size - at < step ? t->size - at : step;
		struct time_us arrivals[2] = {{0}};
		unsigned count = 0;
		enum line_fate fate =
			line_pass(line, world->now, late_us, (uint32_t)(size + overhead), arrivals, &count);

		if (fate != LINE_PASS || arrivals[0].us != run.at.us) {
			crossing_flush(world, t, &run, next);
			run = (struct crossing){at, at, arrivals[0]};
		}
		if (fate != LINE_PASS) {
			end_by_line(world, transit_fork(t, t->bytes + at, size, NULL), fate);
			run.from = run.to = at + size;
			continue;
		}
		run.to = at + size;
		if (count == 2) {
			world->counters.duplicated++;
			transit_push(world, transit_fork(t, t->bytes + at, size, next), arrivals[1]);
		}
	}
	crossing_flush(world, t, &run, next);
}

static void transit_pass(struct world *world, struct transit *t, const struct world_verdict *verdict)
{
	if (verdict->divert.ip.family) {
		t->dst = verdict->divert;
		t->to_net = net_number_of(&t->dst.ip);
	}
	for (int i = 0; i <= verdict->doubles; i++)
		transit_cross(world, t, &world->nets[t->to_net].down,
			      world->core_delay_us[t->from_net][t->to_net] + verdict->delay_us, transit_arrive);
}

/* Out of the uplink: whoever listens in the core sees it here, whoever stands there decides about it. */
static void transit_core(void *ctx, struct event *event)
{
	struct world *world = ctx;
	struct transit *t = (struct transit *)event;
	size_t step = t->segment_size ? t->segment_size : t->size;
	struct world_verdict verdict = {0};

	for (size_t at = 0; world->tap.see && at < t->size; at += step)
		world->tap.see(world->tap.ctx, world->now, &t->src, &t->dst, t->bytes + at,
			       t->size - at < step ? t->size - at : step);
	if (world->middle.judge)
		verdict = world->middle.judge(world->middle.ctx, &t->src, &t->dst);
	if (verdict.drops)
		transit_end(world, t, "core", false, "dropped on the way");
	else
		transit_pass(world, t, &verdict);
	mem_free(t);
}

static void transit_unroutable(struct world *world, struct transit *t, const char *why)
{
	world->counters.unroutable++;
	transit_end(world, t, "core", false, why);
}

/* Out of its net: neighbours directly, own outside address by hairpin, all else by the uplink. */
static void transit_leave(struct world *world, struct transit *t)
{
	struct net *net = &world->nets[t->from_net];
	struct time_us lan = time_add(world->now, net->config.lan_delay_us);

	if (net->silent || net->mute) {
		world->counters.silent++;
		transit_end(world, t, net->config.name, false, "net is silent");
		return;
	}
	t->to_net = t->from_net;
	if (owner_of(world, t->from_net, &t->dst.ip)) {
		if (net->config.isolates) {
			transit_unroutable(world, t, "hosts are isolated");
			return;
		}
		transit_push(world, transit_fork(t, t->bytes, t->size, transit_arrive_lan), lan);
		return;
	}
	t->to_net = net_number_of(&t->dst.ip);
	if (!t->to_net || t->to_net > world->net_count || !net_translate_out(net, world->now, &t->src, &t->dst)) {
		transit_unroutable(world, t, "no route");
		return;
	}
	if (t->to_net != t->from_net)
		transit_cross(world, t, &net->up, 0, transit_core);
	else if (net->config.has_nat && net->config.nat.hairpins)
		transit_push(world, transit_fork(t, t->bytes, t->size, transit_arrive), lan);
	else
		transit_unroutable(world, t, "no hairpin");
}

/* EMSGSIZE comes back as an input of its own, not in the middle of the machine's output. */
struct refusal {
	struct event event;
	struct host *host;
	struct route route;
	size_t size;
};

static void refusal_run(void *ctx, struct event *event)
{
	struct refusal refusal = *(struct refusal *)event;
	struct world *world = ctx;

	mem_free(event);
	if (!refusal.host->machine)
		return;
	refusal.host->ops->too_big(refusal.host->machine, world->now, &refusal.route, refusal.size);
	host_turn(refusal.host);
}

static void refuse_size(struct world *world, struct host *host, const struct route *route, size_t size)
{
	struct refusal *refusal;

	world->counters.too_big++;
	if (!host->ops->too_big)
		return;
	refusal = mem_alloc(1, sizeof *refusal);
	*refusal = (struct refusal){.event = {.at = world->now, .run = refusal_run, .drop = transit_drop},
				    .host = host,
				    .route = *route,
				    .size = size};
	heap_push(&world->heap, &refusal->event);
}

/*
 * Like a kernel: no address of that family, or one that is not ours any more, is an error to the sender, and silence
 * to the world.
 */
void world_send(struct world *world, struct host *from, const struct datagram *datagram)
{
	const struct route *route = &datagram->route;
	const struct ip *local = route->local.ip.family ? &route->local.ip : NULL;
	uint8_t family = route->remote.ip.family;
	const struct host_port *port = host_port_of(from, family, local);
	bool is_train = datagram->segment_size && datagram->segment_size < datagram->size;
	size_t segment = is_train ? datagram->segment_size : datagram->size;
	struct transit *t;

	world->counters.sent++;
	if (!port) {
		world->counters.unroutable++;
		return;
	}
	if (segment + (family == 6 ? 48 : 28) > world->nets[port->net].config.host_mtu) {
		refuse_size(world, from, route, segment);
		return;
	}
	t = mem_alloc(1, sizeof *t + datagram->size);
	*t = (struct transit){
		.event = {.drop = transit_drop},
		.from_host = from->number,
		.from_net = port->net,
		.src = {.ip = family == 6 ? port->v6 : port->v4,
			.port = route->local.port ? route->local.port : from->port},
		.dst = route->remote,
		.size = datagram->size,
		.segment_size = is_train ? datagram->segment_size : 0,
	};
	memcpy(t->bytes, datagram->bytes, datagram->size);
	transit_leave(world, t);
	mem_free(t);
}

/* Ingress filtering is not deployed everywhere: a forger is in the core and may say any source. */
void world_inject(struct world *world, const struct addr *src, const struct addr *dst, const uint8_t *bytes,
		  size_t size)
{
	struct transit *t = mem_alloc(1, sizeof *t + size);

	*t = (struct transit){.event = {.drop = transit_drop},
			      .to_net = net_number_of(&dst->ip),
			      .src = *src,
			      .dst = *dst,
			      .size = size};
	memcpy(t->bytes, bytes, size);
	if (t->to_net && t->to_net <= world->net_count)
		transit_cross(world, t, &world->nets[t->to_net].down, 0, transit_arrive);
	mem_free(t);
}

struct call {
	struct event event;
	void (*run)(void *ctx);
	void *ctx;
};

static void call_run(void *ctx, struct event *event)
{
	struct call call = *(struct call *)event;

	(void)ctx;
	mem_free(event);
	call.run(call.ctx);
}

/* Between packets, as the scenario's own hand. */
void world_call_at(struct world *world, struct time_us at, void (*run)(void *ctx), void *ctx)
{
	struct call *call = mem_alloc(1, sizeof *call);

	*call = (struct call){.event = {.at = at, .run = call_run, .drop = transit_drop}, .run = run, .ctx = ctx};
	heap_push(&world->heap, &call->event);
}

/* One event. False when there is none before until, or something failed. */
static bool world_step(struct world *world, struct time_us until)
{
	struct event *event = heap_first(&world->heap);

	if (world->failed || !event || event->at.us > until.us)
		return false;
	event = heap_pop(&world->heap);
	if (event->at.us < world->now.us)
		world_fail(world, "time went back");
	world->now = event->at;
	event->run(world, event);
	return true;
}

/* Time stands at until afterwards, events or not. */
bool world_run_until(struct world *world, struct time_us until)
{
	while (world_step(world, until))
		;
	if (!world->failed)
		world->now = until;
	return !world->failed;
}

/* Time stands at the event that did it, or at until. */
bool world_run_while(struct world *world, struct time_us until, bool (*goes_on)(void *ctx), void *ctx)
{
	while (goes_on(ctx))
		if (!world_step(world, until)) {
			if (!world->failed)
				world->now = until;
			return false;
		}
	return !world->failed;
}
