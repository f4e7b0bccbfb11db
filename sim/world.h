/*
 * world.h: virtual time, hosts, nets and the packets between them. One seed makes one run: same seed, same trace hash.
 * What must never happen is checked all the while; the first violation stops the run and is told by world_failure.
 */
#pragma once

#include "heap.h"
#include "host.h"
#include "net.h"
#include "trace.h"

enum { WORLD_NETS_MAX = 220, WORLD_HOSTS_MAX = 220 };

/* A copy of every datagram that enters the core, for attackers (security A1 to A3); they answer with world_inject. */
struct world_tap {
	void *ctx;
	void (*see)(void *ctx, struct time_us now, const struct addr *src, const struct addr *dst, const uint8_t *bytes,
		    size_t size);
};

/* What becomes of a datagram in the hands of one who stands on its way. */
struct world_verdict {
	bool drops, doubles;
	int64_t delay_us;
	struct addr divert; /* family 0: it goes where it should */
};

/* On the way through the core, for attackers A3 and A6; the tap sees all of it before. */
struct world_middle {
	void *ctx;
	struct world_verdict (*judge)(void *ctx, const struct addr *src, const struct addr *dst);
};

struct world_counters {
	uint64_t sent, delivered, duplicated;
	uint64_t lost, too_big, queue_full, filtered, unroutable, silent, nobody;
};

struct world {
	uint64_t seed;
	struct time_us now;
	struct heap heap;
	struct trace trace;
	struct net nets[WORLD_NETS_MAX + 1]; /* by number */
	uint8_t net_count;
	struct host *hosts[WORLD_HOSTS_MAX + 1];
	uint8_t host_count;
	int64_t core_delay_us[WORLD_NETS_MAX + 1][WORLD_NETS_MAX + 1];
	struct world_tap tap;
	struct world_middle middle;
	struct world_counters counters;
	uint64_t moves; /* of nodes: each may cost a burst to an address that has proved nothing (E5) */
	bool failed;
	char failure[256];
};

struct world *world_create(uint64_t seed);
void world_destroy(struct world *world);
/* Returns its number. */
uint8_t world_add_net(struct world *world, const struct net_config *config);
/* Both ways, in addition to the nets' own lines. */
void world_set_core_delay(struct world *world, uint8_t a, uint8_t b, int64_t delay_us);
/* The host owns machine from now on and calls ops->destroy at the end. Machine NULL: to be set later. */
struct host *world_add_host(struct world *world, const char *name, const struct machine_ops *ops, void *machine,
			    uint16_t port);

/* Calls run(ctx) at that instant; for scenarios. */
void world_call_at(struct world *world, struct time_us at, void (*run)(void *ctx), void *ctx);
/* Until then, or until a failure. True when nothing failed. */
bool world_run_until(struct world *world, struct time_us until);
/* Until done(ctx) holds after some event; false when it does not in time, or on failure. */
bool world_run_while(struct world *world, struct time_us until, bool (*goes_on)(void *ctx), void *ctx);

/* A host sends. Cut into segments; each meets its own fate. */
void world_send(struct world *world, struct host *from, const struct datagram *datagram);
/* Enters the core with a forged source. */
void world_inject(struct world *world, const struct addr *src, const struct addr *dst, const uint8_t *bytes,
		  size_t size);
/* The first failure counts. */
void world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For the diagram and the hash. */
void world_note(struct world *world, const char *about, const char *format, ...) __attribute__((format(printf, 3, 4)));
