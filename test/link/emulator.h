/*
 * emulator.h: wires. Each is a pair of interfaces; frames that enter one leave the other, forward from the first to the
 * second and in reverse, later, fewer, more or in another order, as the plan of their class has it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "histogram.h"
#include "plan.h"
#include "port.h"

enum {
	EMULATOR_WIRES_MAX = 32,
	EMULATOR_CLASSES_MAX = 64, /* of one way of a wire */
	EMULATOR_NAME_MAX = 16,
};

enum { WAY_FORWARD, WAY_REVERSE, WAYS };

/* Packets from one prefix to another have a plan of their own. The first class takes all that no other matches. */
struct way_class {
	struct prefix from, to;
	struct plan plan;
};

struct way_counts {
	uint64_t received, sent;
	uint64_t neighbours; /* of them: passed at once, whatever the plan */
	uint64_t oversized;  /* longer than a frame may be: the sender's offloads are on */
	uint64_t no_slot, refused;
	uint64_t answered, doubled;
	uint64_t fates[PLAN_FATES];
};

struct way {
	struct port *in, *out;
	unsigned class_count;
	struct way_class classes[EMULATOR_CLASSES_MAX];
	struct way_counts counts;
	struct histogram lateness;
};

struct wire {
	char name[EMULATOR_NAME_MAX];
	struct port ports[WAYS];
	struct way ways[WAYS];
};

struct emulator {
	uint64_t seed;
	struct depot *depot;
	unsigned wire_count;
	struct wire *wires[EMULATOR_WIRES_MAX];
};

/* NULL without memory. */
struct emulator *emulator_create(uint64_t seed);
void emulator_destroy(struct emulator *emulator);

/* ERR_EXISTS, ERR_FULL, ERR_SIZE (the name), ERR_IO (an interface; errno tells). */
must_use enum err emulator_add(struct emulator *emulator, const char *name, const char *one, const char *other);

/* NULL: no wire of that name. */
struct wire *emulator_wire(struct emulator *emulator, const char *name);

/* The class of exactly these prefixes, made if there is none. ERR_FULL. */
must_use enum err emulator_class(struct emulator *emulator, struct way *way, const struct prefix *from,
				 const struct prefix *to, struct way_class **ret);

/* All dice begin anew. */
void emulator_seed(struct emulator *emulator, uint64_t seed);

/* Counts and lateness begin anew. */
void emulator_reset(struct emulator *emulator);

/* Takes what a port has, up to a batch. Ports are counted through: i is port i % WAYS of wire i / WAYS. */
void emulator_receive(struct emulator *emulator, unsigned port_index);

/* Sends what is due. Returns when the next frame is, or UINT64_MAX. */
uint64_t emulator_send_due(struct emulator *emulator);
