/*
 * node_lanes.h: threads that move packets beside the loop, where there are processors for them. Each has a lane of the
 * node (node.h) and one source: a queue of the TUN device, or a socket of the node's port. They share one lock, which
 * is held while the node works on a batch and not while the kernel reads, writes or sends one. The loop's thread has
 * lane 0, and the lock for all it does but waiting; with one thread there is neither.
 */
#pragma once

#include "cmd/node_host.h"

enum { LANES_THREADS_MAX = NODE_LANES_MAX - 1 };

/* How many threads move packets, as the settings and this machine say; 1: the loop does it. */
unsigned lanes_threads(const struct host *host);
/* How many of them read the TUN device: its queues. */
unsigned lanes_queues(unsigned threads);

/* Opens what the threads need; while there are privileges. Without, the loop goes on alone: *host->lanes stays NULL. */
void lanes_open(struct host *host);
/* From now on the threads move the packets; without privileges that they do not need. */
void lanes_start(struct host *host);
/* They end; the loop is alone again. Harmless when there are none. */
void lanes_stop(struct host *host);

/* Keeps an event for the loop's thread; false: there are no threads, so it is handled at once. */
bool lanes_keep_event(struct host *host, const struct node_event *event);
/* The loop's thread: hands on what was kept, in order. */
void lanes_take_events(struct host *host, void (*take)(struct host *host, const struct node_event *event));
/* The loop's thread is about to sleep until then. Returns when to wake up. */
struct time_us lanes_sleep(struct host *host, struct time_us deadline);

/* What the threads' sockets and queues have counted is added, what they do without is taken away. */
void lanes_add_counters(const struct host *host, struct udp_counters *udp, struct tun_counters *tun);
void lanes_limit_abilities(const struct host *host, struct udp_abilities *udp);

struct lane_counters {
	bool is_uplink;
	unsigned number;	 /* of its kind, from 0: the queue or the socket */
	uint64_t packets, bytes; /* packets and superpackets read, or datagrams and trains received */
	uint64_t moved;		 /* packets read at another queue than the one before them in their flow */
	uint64_t turns, waits;	 /* times that it took the lock, and that it had to wait for it */
};
/* By index from 0 on; false at the end. */
bool lanes_get_counters(const struct host *host, unsigned index, struct lane_counters *ret);
/* For `ntm status --json`. The caller's. */
json_t *lanes_document(const struct host *host);
