/* lan.h: two nodes, a coordinator and a relay on one network without loss, in virtual time: for tests of the node
 * machine. */
#pragma once

#include "proto/coordinator/coordinator.h"
#include "proto/node/node.h"
#include "proto/relay/relay.h"
#include "wire/tunnel.h"

enum {
	LAN_NODES = 2,
	LAN_QUEUE = 4096,
	LAN_EVENTS = 256,
	LAN_DATAGRAM = 2048,
	LAN_PORTS = 512,
	LAN_MAPPINGS = 4096,
	LAN_KNOCKS = 8192,
	LAN_IFINDEX = 1 /* the only interface: what leaves by another one is lost */
};

struct lan_datagram {
	struct time_us at;
	struct addr from, to;
	size_t size;
	uint8_t bytes[LAN_DATAGRAM];
};

/* A NAT before a node, which lets in only what answers. The node itself has its outside address, and another port. */
enum lan_nat_kind { LAN_NAT_NONE, LAN_NAT_STEADY, LAN_NAT_STEPS, LAN_NAT_RANDOM };

struct lan_mapping {
	uint16_t inside, outside;
	struct addr remote;
};

struct lan_nat {
	enum lan_nat_kind kind;
	uint16_t next;
	bool is_deaf; /* nothing comes in but from the servers */
	size_t count;
	struct lan_mapping mappings[LAN_MAPPINGS];
};

/* A Hole Punching datagram that was sent. */
struct lan_knock {
	struct time_us at;
	struct addr from, to;
	uint8_t bytes[HOLE_PUNCHING_SIZE];
};

struct lan_node {
	struct node *node;
	struct dh_keys keys;
	uint8_t certificate[CERTIFICATE_MAX_SIZE];
	size_t certificate_size;
	struct addr addr;
	struct ip v4, v6;
	bool plugged;
	bool is_exit;			 /* so says the account server */
	bool claims_exit;		 /* so says only itself; from its next start on */
	bool is_narrow;			 /* takes most of the overlay for the world outside; likewise */
	size_t received, received_bytes; /* inner packets */
	uint8_t last[2048];
	size_t last_size;
	struct node_event events[LAN_EVENTS];
	size_t event_count;
	struct lan_nat nat;
	uint16_t ports[LAN_PORTS]; /* open beside the first */
	size_t port_count, port_most;
	uint16_t next_port;
};

struct lan {
	struct time_us now;
	int64_t delay_us;
	int64_t turn_us; /* how much later than what has arrived timers are served: a program takes its time */
	struct aead_provider *aead;
	struct sign_keys authority;
	struct network network;
	struct coordinator *coordinator;
	struct relay *relay;
	struct addr coordinator_addr, relay_addr;
	struct lan_node nodes[LAN_NODES];
	struct lan_datagram *queue;
	size_t queue_size;
	bool blocks_direct;   /* node to node datagrams vanish */
	bool may_fragment;    /* lan_send: without DF */
	size_t refused_above; /* larger ones do not even leave the nodes: EMSGSIZE; 0: none */
	size_t narrow_above;  /* datagrams larger than this vanish between the nodes; 0: none */
	bool relay_is_narrow; /* ... and between them and the relay */
	bool coordinator_is_away;
	bool forwards; /* a stranger copies what A and B say to each other, faster, from an address of its own */
	struct addr forwarder;
	uint64_t forwarder_got; /* bytes of sealed packets that B sent to it */
	struct addr watched;	/* what goes there is counted, arrived or not; but not what servers say */
	size_t watched_packets, watched_bytes, watched_data;
	uint64_t sent_directly, sent_by_relay, duplicates_sealed;
	struct lan_knock *knocks;
	size_t knock_count;
	uint32_t random;
};

struct lan *lan_create(void);
/* With other keys, names and draws for each seed but 0. */
struct lan *lan_create_drawn(uint32_t seed);
/* The second node is an exit. */
struct lan *lan_create_with_exit(void);
void lan_destroy(struct lan *lan);
/* Virtual time goes on until then. */
void lan_run(struct lan *lan, int64_t duration_us);
/* The node gets this address, or none. */
void lan_plug(struct lan *lan, int node, const char *address);
/* A UDP packet between the two nodes' virtual IPv4 addresses with this payload. */
void lan_send(struct lan *lan, int from, const void *payload, size_t size);
/* The first packet of a TCP connection, its checksum complete. */
void lan_send_syn(struct lan *lan, int from, uint16_t mss);
/* TCP with so much payload, as a superpacket where that exceeds a segment. */
void lan_send_tcp(struct lan *lan, int from, size_t size, uint16_t segment);
/* The same over IPv6 behind a destination options header, the checksum unfinished as a kernel leaves it. */
void lan_send_behind_options(struct lan *lan, int from, size_t size, uint16_t segment);
/* The node's process is killed and starts again with what it had on disk; plugged in where it was. */
void lan_restart(struct lan *lan, int node);
/* Bytes from an address that nobody knows. */
void lan_strange(struct lan *lan, int to, const void *bytes, size_t size);
/* Bytes with this source, right or wrong, one way later. */
void lan_inject(struct lan *lan, const struct addr *from, int to, const void *bytes, size_t size);
/* Takes the youngest datagram from one address to another off the wire; false: there is none. */
bool lan_take(struct lan *lan, const struct addr *from, const struct addr *to, struct lan_datagram *ret);
/* Did this node report such an event? */
bool lan_had_event(const struct lan *lan, int node, enum node_event_type type);
const struct node_event *lan_last_event(const struct lan *lan, int node, enum node_event_type type);
