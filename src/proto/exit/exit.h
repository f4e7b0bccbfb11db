/*
 * exit.h: the way out to general hosts, which know nothing of the overlay, as a pure machine. Inner packets of nodes go
 * in and come out with the exit's address and a port that is in use only once; what comes back is given to the node
 * again. It never includes node/: whoever drives it says whose certificate stands behind a packet.
 *
 * RFC 4787, 5382 and 5508: mapping endpoint-independent, filtering address- and port-dependent, timeouts as there.
 * Memory is fixed at creation. A node that takes more than its share loses its own oldest flows, never another's.
 */
#pragma once

#include "base/packet.h"
#include "base/time.h"
#include "proto/exit/policy.h"
#include "proto/session/env.h"
#include "wire/inner.h"

enum {
	EXIT_PORT_MIN = 10000, /* below what kernels choose from for sockets of their own */
	EXIT_PORT_MAX = 29999,
	EXIT_FLOWS_MAX = 65536,
	EXIT_NODE_FLOWS_MAX = 4096,
	EXIT_NODES_MAX = 1024,
};
#define EXIT_UDP_IDLE_US (300 * USEC_PER_SEC)
#define EXIT_TCP_IDLE_US (7440 * USEC_PER_SEC)	    /* RFC 5382 REQ-5: 2 hours and 4 minutes */
#define EXIT_TCP_TRANSITORY_US (240 * USEC_PER_SEC) /* opening, closing, reset */
#define EXIT_ECHO_IDLE_US (60 * USEC_PER_SEC)

struct exit_machine;

/* Zero means the value above. */
struct exit_config {
	struct ip v4, v6; /* what flows leave from; family 0: that family is refused */
	uint16_t port_min, port_max;
	uint32_t flows_max, node_flows_max, nodes_max;
	int64_t udp_idle_us;
	struct exit_policy policy;
};

/* Who sent an inner packet, by its authenticated source. */
struct exit_guest {
	const struct certificate *certificate;
	uint16_t mtu; /* of the tunnel to it */
};

enum exit_verdict {
	EXIT_DROPPED,  /* counted */
	EXIT_PASSED,   /* the packet was rewritten and goes on */
	EXIT_ANSWERED, /* it goes nowhere; the answer goes back to where it came from */
	EXIT_KEPT      /* a fragment that came before the first one of its datagram */
};

/* What a refused packet is answered with; room around it as every packet has. */
struct exit_answer {
	struct packet packet;
	uint8_t buffer[PACKET_ROOM + INNER_ICMP_MAX + PACKET_ROOM];
};

struct exit_machine *exit_create(const struct exit_config *config, const struct random_source *random,
				 struct time_us now);
void exit_destroy(struct exit_machine *machine); /* accepts NULL */

/* From a node, towards a general host. guest NULL: nobody answers for the source, dropped. */
must_use enum exit_verdict exit_input_inner(struct exit_machine *machine, struct time_us now,
					    const struct exit_guest *guest, struct packet *packet,
					    struct exit_answer *ret_answer);
/* From a general host, towards the node that asked for it. Never answered: strangers meet silence. */
must_use enum exit_verdict exit_input_outer(struct exit_machine *machine, struct time_us now, struct packet *packet);
/* What was kept and may go now, rewritten: pull after each packet that passed. is_outward: towards general hosts.
 * Borrowed until the next input. */
bool exit_next_kept(struct exit_machine *machine, bool is_outward, struct packet *ret);
/* Forgets what has expired. */
void exit_input_time(struct exit_machine *machine, struct time_us now);
struct time_us exit_next_deadline(const struct exit_machine *machine);

/* What a node has used of its day: kept by whoever drives the machine, so that a restart begins no new day. */
struct exit_usage {
	struct node_id id;
	char name[NAME_MAX_SIZE + 1]; /* first label, for people */
	int64_t age_us;		      /* of its day */
	uint64_t bytes;
};
/* The next one at or behind *index, which goes on behind it; false at the end. Days that are over are left out. */
bool exit_next_usage(const struct exit_machine *machine, struct time_us now, size_t *index, struct exit_usage *ret);
/* Before its first packet. Nothing when it is too old, or too many are known. */
void exit_restore_usage(struct exit_machine *machine, struct time_us now, const struct exit_usage *usage);

struct exit_counters {
	uint64_t tx_packets, tx_bytes; /* towards general hosts */
	uint64_t rx_packets, rx_bytes; /* back */
	uint64_t tx_fragments, rx_fragments;
	uint64_t flows_opened, flows_expired, flows_evicted;
	uint64_t refused_node, refused_destination, refused_quota, refused_rate, refused_full, refused_protocol;
	uint64_t dropped_malformed, dropped_fragment, dropped_guest;
	uint64_t dropped_stranger; /* from outside, and nobody asked for it */
	uint64_t reset_unknown;	   /* TCP that the exit does not know: answered with a reset */
	uint32_t nodes, flows, ports;
	uint32_t nodes_exhausted; /* their quota of today is used up, but for less than a packet */
};
void exit_get_counters(const struct exit_machine *machine, struct exit_counters *ret);
