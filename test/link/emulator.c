#include "emulator.h"

#include <stdlib.h>
#include <string.h>

#include "dice.h"

enum { SLOTS = 1 << 16, NSEC_PER_USEC = 1000 };

/* Wires come with their names. */
struct emulator *emulator_create(uint64_t seed)
{
	struct emulator *emulator = calloc(1, sizeof *emulator);

	if (!emulator)
		return NULL;
	emulator->seed = seed;
	emulator->depot = depot_create(SLOTS);
	if (!emulator->depot) {
		free(emulator);
		return NULL;
	}
	return emulator;
}

/* What is on its way is lost. NULL is nothing. */
void emulator_destroy(struct emulator *emulator)
{
	if (!emulator)
		return;
	for (unsigned i = 0; i < emulator->wire_count; i++) {
		port_finish(&emulator->wires[i]->ports[0]);
		port_finish(&emulator->wires[i]->ports[1]);
		free(emulator->wires[i]);
	}
	depot_destroy(emulator->depot);
	free(emulator);
}

static unsigned way_index(const struct emulator *emulator, const struct way *way)
{
	for (unsigned i = 0; i < emulator->wire_count; i++)
		for (unsigned w = 0; w < WAYS; w++)
			if (&emulator->wires[i]->ways[w] == way)
				return i * WAYS + w;
	return EMULATOR_WIRES_MAX * WAYS;
}

/* Each plan throws dice of its own, told apart by its place. */
static uint64_t plan_seed(const struct emulator *emulator, unsigned way, unsigned class)
{
	return dice_throw(emulator->seed, DICE_LOSS, (uint64_t)way * EMULATOR_CLASSES_MAX + class);
}

/* Both interfaces are opened, or none. */
enum err emulator_add(struct emulator *emulator, const char *name, const char *one, const char *other)
{
	struct wire *wire;
	enum err err;

	if (strlen(name) >= EMULATOR_NAME_MAX)
		return ERR_SIZE;
	if (emulator_wire(emulator, name))
		return ERR_EXISTS;
	wire = emulator->wire_count < EMULATOR_WIRES_MAX ? calloc(1, sizeof *wire) : NULL;
	if (!wire)
		return ERR_FULL;
	memcpy(wire->name, name, strlen(name));
	err = port_init(&wire->ports[0], one);
	if (err != OK)
		goto free_wire;
	err = port_init(&wire->ports[1], other);
	if (err != OK)
		goto close_first;
	for (unsigned w = 0; w < WAYS; w++) {
		wire->ways[w].in = &wire->ports[w];
		wire->ways[w].out = &wire->ports[!w];
		wire->ways[w].class_count = 1;
		plan_init(&wire->ways[w].classes[0].plan, plan_seed(emulator, emulator->wire_count * WAYS + w, 0));
	}
	emulator->wires[emulator->wire_count++] = wire;
	return OK;
close_first:
	port_finish(&wire->ports[0]);
free_wire:
	free(wire);
	return err;
}

/* There are few. */
struct wire *emulator_wire(struct emulator *emulator, const char *name)
{
	for (unsigned i = 0; i < emulator->wire_count; i++)
		if (strcmp(emulator->wires[i]->name, name) == 0)
			return emulator->wires[i];
	return NULL;
}

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && ip_equal(&a->ip, &b->ip);
}

/* In the order in which they were made: the first that matches counts. */
enum err emulator_class(struct emulator *emulator, struct way *way, const struct prefix *from, const struct prefix *to,
			struct way_class **ret)
{
	for (unsigned i = 1; i < way->class_count; i++)
		if (same_prefix(&way->classes[i].from, from) && same_prefix(&way->classes[i].to, to)) {
			*ret = &way->classes[i];
			return OK;
		}
	if (way->class_count == EMULATOR_CLASSES_MAX)
		return ERR_FULL;
	*ret = &way->classes[way->class_count];
	(*ret)->from = *from;
	(*ret)->to = *to;
	plan_init(&(*ret)->plan, plan_seed(emulator, way_index(emulator, way), way->class_count++));
	return OK;
}

/* Settings stay, also the instants that keep order. */
void emulator_seed(struct emulator *emulator, uint64_t seed)
{
	emulator->seed = seed;
	for (unsigned i = 0; i < emulator->wire_count * WAYS; i++) {
		struct way *way = &emulator->wires[i / WAYS]->ways[i % WAYS];

		for (unsigned c = 0; c < way->class_count; c++) {
			struct plan *plan = &way->classes[c].plan;

			plan->seed = plan_seed(emulator, i, c);
			plan->number = 0;
			plan->bad = false;
		}
	}
}

/* The kernel's count of overruns is read and put away. */
void emulator_reset(struct emulator *emulator)
{
	for (unsigned i = 0; i < emulator->wire_count * WAYS; i++) {
		struct way *way = &emulator->wires[i / WAYS]->ways[i % WAYS];

		way->counts = (struct way_counts){0};
		way->lateness = (struct histogram){0};
		port_overrun(way->in);
		way->in->overrun = 0;
	}
}

static bool is_in(const struct prefix *prefix, const struct ip *ip)
{
	return prefix->ip.family == 0 || prefix_contains(prefix, ip);
}

static struct plan *plan_for(struct way *way, const struct ip *from, const struct ip *to)
{
	for (unsigned i = 1; i < way->class_count; i++)
		if (is_in(&way->classes[i].from, from) && is_in(&way->classes[i].to, to))
			return &way->classes[i].plan;
	return &way->classes[0].plan;
}

/* The sender is told at once, past everything that is on its way to it. */
static void answer_too_big(struct emulator *emulator, struct way *way, const struct port_frame *frame, uint32_t mtu,
			   unsigned index)
{
	struct depot_item item = {.due_ns = frame->arrival_ns, .out = way->in, .way = (uint16_t)(index ^ 1)};
	size_t size;

	if (depot_take(emulator->depot, &item.slot) != OK)
		return;
	size = frame_too_big(depot_bytes(emulator->depot, frame->slot), frame->size_bytes, mtu,
			     depot_bytes(emulator->depot, item.slot));
	if (size == 0) {
		depot_give(emulator->depot, item.slot);
		return;
	}
	item.size_bytes = (uint16_t)size;
	way->counts.answered++;
	depot_put(emulator->depot, &item);
}

static void put_copies(struct emulator *emulator, struct way *way, const struct port_frame *frame,
		       const struct plan_verdict *verdict, unsigned index)
{
	struct depot_item item = {.out = way->out,
				  .slot = frame->slot,
				  .size_bytes = (uint16_t)frame->size_bytes,
				  .way = (uint16_t)index};

	for (unsigned i = 0; i < verdict->copies; i++) {
		if (i > 0) {
			if (depot_take(emulator->depot, &item.slot) != OK)
				return;
			memcpy(depot_bytes(emulator->depot, item.slot), depot_bytes(emulator->depot, frame->slot),
			       frame->size_bytes);
			way->counts.doubled++;
		}
		item.due_ns = verdict->due_ns[i];
		depot_put(emulator->depot, &item);
	}
}

static void decide(struct emulator *emulator, struct way *way, const struct port_frame *frame, unsigned index)
{
	struct plan_verdict verdict = {.fate = PLAN_PASSES, .copies = 1, .due_ns = {frame->arrival_ns}};
	struct ip from = {0}, to = {0};
	struct plan *plan;

	way->counts.received++;
	if (frame->size_bytes > FRAME_MAX) {
		way->counts.oversized++;
		depot_give(emulator->depot, frame->slot);
		return;
	}
	if (frame_read(depot_bytes(emulator->depot, frame->slot), frame->size_bytes, &from, &to) == FRAME_NEIGHBOUR) {
		way->counts.neighbours++;
		put_copies(emulator, way, frame, &verdict, index);
		return;
	}
	plan = plan_for(way, &from, &to);
	plan_decide(plan, frame->arrival_ns, frame->size_bytes, &verdict);
	way->counts.fates[verdict.fate]++;
	if (verdict.fate == PLAN_TOO_BIG && plan->settings.answers)
		answer_too_big(emulator, way, frame, plan->settings.mtu, index);
	if (verdict.copies > 0)
		put_copies(emulator, way, frame, &verdict, index);
	else
		depot_give(emulator->depot, frame->slot);
}

/* One batch only, so that what is due in between leaves in time. */
void emulator_receive(struct emulator *emulator, unsigned port_index)
{
	struct wire *wire = emulator->wires[port_index / WAYS];
	struct way *way = &wire->ways[port_index % WAYS];
	struct port_frame frames[PORT_BATCH];
	uint64_t dropped;
	unsigned count = port_receive(way->in, emulator->depot, frames, &dropped);

	way->counts.no_slot += dropped;
	for (unsigned i = 0; i < count; i++)
		decide(emulator, way, &frames[i], port_index);
}

/* Lateness is taken when the system call has ended: what the frame in front costs counts too. */
static void flush(struct emulator *emulator, struct port *port)
{
	while (port->count > 0) {
		unsigned sent = port_flush(port, emulator->depot), done = sent < port->count ? sent + 1 : sent;
		uint64_t now_ns = clock_now_ns();

		for (unsigned i = 0; i < done; i++) {
			const struct depot_item *item = &port->gathered[i];
			struct way *way = &emulator->wires[item->way / WAYS]->ways[item->way % WAYS];

			depot_give(emulator->depot, item->slot);
			if (i == sent) {
				way->counts.refused++;
				continue;
			}
			way->counts.sent++;
			histogram_add(&way->lateness, (now_ns - item->due_ns) / NSEC_PER_USEC);
		}
		port->count -= done;
		memmove(port->gathered, port->gathered + done, port->count * sizeof port->gathered[0]);
	}
}

/* Frames are gathered by port, so that two ways with traffic do not break each other's batches. */
uint64_t emulator_send_due(struct emulator *emulator)
{
	const struct depot_item *first = depot_first(emulator->depot);
	uint64_t now_ns = first ? clock_now_ns() : 0;
	struct port *port;

	while (first && first->due_ns <= now_ns) {
		port = first->out;
		port_gather(port, first);
		depot_remove_first(emulator->depot);
		if (port->count == PORT_BATCH)
			flush(emulator, port);
		first = depot_first(emulator->depot);
	}
	for (unsigned i = 0; i < emulator->wire_count * WAYS; i++)
		flush(emulator, &emulator->wires[i / WAYS]->ports[i % WAYS]);
	return first ? first->due_ns : UINT64_MAX;
}
