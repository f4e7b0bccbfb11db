/*
 * node.h: one overlay node as a pure machine (design 3): datagrams, inner packets, DNS queries, local addresses and
 * time go in; datagrams, packets, DNS answers, records and the next deadline come out. It never blocks, sends, reads a
 * clock or logs. Several live in one process.
 *
 * A driver's turn: node_input_* for what has arrived, then pull node_next_* until each is empty, then wait until
 * node_next_deadline or input.
 *
 * All calls of one node are made one after the other. Where several threads share one, each has a lane: it takes its
 * lock, says node_use_lane, puts in, pulls, gives the lock back, and then sends and writes what it has pulled, beside
 * the calls of the others. What is sealed on the way out and opened on the way in lies in the lane of the caller and is
 * pulled there, in order; lanes have no order between them, so a flow that must keep its order keeps to one.
 */
#pragma once

#include "base/datagram.h"
#include "base/packet.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "crypto/keys.h"
#include "proto/node/event.h"
#include "proto/node/exits.h"
#include "proto/session/env.h"
#include "wire/credential.h"
#include "wire/direction.h"

struct node;

struct node_env {
	struct random_source random;
	void *ctx;
	void (*event)(void *ctx, const struct node_event *event); /* must not re-enter the node; may be NULL */
};

enum { NODE_PEERS_MAX = 16384, NODE_LOCALS_MAX = 16, NODE_MAPPED_MAX = 4, NODE_LANES_MAX = 9 };

/* Everything is copied. */
struct node_config {
	struct dh_keys static_keys;
	uint8_t authority[KEY_SIZE];   /* account server's Ed25519 key: what certificates are judged by */
	struct blob certificate;       /* own, encoded */
	struct blob lease;	       /* last known, encoded; empty on first start */
	const struct network *network; /* verified network document */
	struct aead_provider *aead;    /* borrowed; outlives the node */
	bool is_exit;		       /* carries packets of general hosts; the certificate must say so too */
	bool join_udp;		       /* the packet consumer takes UDP superpackets (USO) */
	bool is_plain;		       /* it takes neither superpackets nor unfinished checksums */
	bool avoid_aes;		       /* says that AES does not run on instructions here */
	uint16_t listen_port;	       /* own UDP port, for host candidates */
	unsigned lane_count;	       /* at most NODE_LANES_MAX; 0: one */
	uint32_t move_epoch;	       /* start value: must not fall across restarts; 0 is fine for a new PathID */
};

/* One usable local address, most preferred first. */
struct node_local {
	struct ip ip;
	uint32_t ifindex;
	uint32_t mtu;	 /* of the interface, bytes */
	bool is_default; /* the kernel would use it towards the internet */
	char ifname[16];
};

/* What a NAT before one of our addresses has opened for our port. */
struct node_mapped {
	struct ip local;
	struct addr external;
};

/* What is to be opened, and what to be closed; either may be 0. */
struct node_ports {
	uint16_t open;	/* so many more; answered by node_input_ports */
	uint16_t close; /* this port */
};

/* ERR_AUTH, ERR_MALFORMED or ERR_DENIED when certificate or network do not hold. */
must_use enum err node_create(const struct node_config *config, const struct node_env *env, struct time_us now,
			      struct node **ret);
void node_destroy(struct node *node); /* wipes keys; accepts NULL */

/* --- in --- */

/* The local addresses have changed, or are told for the first time: a move, if the active ones are concerned. */
void node_input_locals(struct node *node, struct time_us now, const struct node_local *locals, size_t count);
/* All mapped addresses there are now, most preferred first: candidates, no more. Not a move. */
void node_input_mapped(struct node *node, struct time_us now, const struct node_mapped *mapped, size_t count);
/* A datagram or a GRO train. Dropped and counted unless authentic. Pull node_next_packet before the next call. */
void node_input_datagram(struct node *node, struct time_us now, const struct datagram *datagram);
/* One more of the same batch: packets that wait since the one before still do, and grow where it continues them. */
void node_input_another(struct node *node, struct time_us now, const struct datagram *datagram);
/* An inner packet or superpacket from the TUN device; the buffer is scribbled on (PACKET_ROOM). */
void node_input_packet(struct node *node, struct time_us now, struct packet *packet);
void node_input_time(struct node *node, struct time_us now);
/* More UDP ports on this machine, IPv4, as node_next_ports has asked for: those that could be opened, maybe none. */
void node_input_ports(struct node *node, struct time_us now, const uint16_t *ports, size_t count);
/* The kernel refused a datagram of this size on this route (EMSGSIZE). */
void node_input_too_big(struct node *node, struct time_us now, const struct route *route, size_t size);
/* That datagram or train itself, after the former: who sent what is in it is told. Its bytes are ours. */
void node_input_oversized(struct node *node, struct time_us now, const struct datagram *refused);
/* The kernel refuses superpackets of this kind: no more of them are made. */
void node_input_refused(struct node *node, enum packet_gso gso);
/*
 * A newer certificate for the same device, from the account server: the coordinator gets it at once, beside the session
 * with it; tunnels go on. ERR_AUTH, ERR_DENIED (another device's), ERR_REPLAY (not newer): the one before stays.
 */
must_use enum err node_input_certificate(struct node *node, struct time_us now, struct blob encoded);
/* A verified network document from the account server; older ones than ours change nothing. */
void node_input_network(struct node *node, struct time_us now, const struct network *network);
/* A DNS query to the stub resolver; token comes back with the answer. At most 512 wait, the oldest is dropped. */
void node_input_dns(struct node *node, struct time_us now, uint64_t token, const uint8_t *query, size_t size);

/* --- lanes --- */

/* What follows is of this lane. Datagrams that were pulled from it have been sent; packets stay until the next input
 * for it. It begins with lane 0; a node with one lane need not be told. */
void node_use_lane(struct node *node, unsigned lane);
/* A bit for each lane that has datagrams to pull, whoever made them: a move sends again what others have sealed. */
uint32_t node_ready_lanes(const struct node *node);

/* --- out: pull until false --- */

/* Bytes live until the next node_input_* call for the same lane. */
bool node_next_datagram(struct node *node, struct datagram *ret);
bool node_next_packet(struct node *node, struct packet *ret);
/* More UDP ports are wanted for a while, or one of them no longer; hard NATs. Pull before node_next_datagram. */
bool node_next_ports(struct node *node, struct node_ports *ret);
/* ret_answer has room for 512 bytes. */
bool node_next_dns(struct node *node, uint64_t *ret_token, uint8_t *ret_answer, size_t *ret_size);
struct time_us node_next_deadline(const struct node *node);

/* --- what people ask for --- */

/* Begin to direct a tunnel to a name (FQDN, or label of the own zone). ERR_UNKNOWN: not a name of this network.
 * Outcome: events, node_peer_*. */
must_use enum err node_contact(struct node *node, struct time_us now, const char *name);
/* Echo over the tunnel; NODE_EVENT_ECHO carries token and sequence. ERR_STATE: no session yet (call node_contact
 * first). */
must_use enum err node_ping(struct node *node, struct time_us now, const char *name, uint64_t token, uint32_t sequence);
/* Prefer the addresses of this interface from now on (0: none): moves all tunnels. ERR_UNKNOWN: it has no address. */
must_use enum err node_prefer_interface(struct node *node, struct time_us now, uint32_t ifindex);
/* Say good-bye to peers and coordinator; pull datagrams once more, then destroy. */
void node_leave(struct node *node, struct time_us now);

void node_get_status(const struct node *node, struct time_us now, struct node_status *ret);
/* Whose this inner address is: the certificate of that peer, and its tunnel's inner MTU (0: it has no path now). NULL:
 * nobody's that we know. Valid until the next input. */
const struct certificate *node_holder(struct node *node, uint8_t version, const uint8_t *address, uint16_t *ret_mtu);
/* How many it knows; indices change with the next input. */
size_t node_peer_count(const struct node *node);
/* False where there is none. */
bool node_get_peer(const struct node *node, struct time_us now, size_t index, struct node_peer_status *ret);
/* Linear in peers, and cheap. */
struct node_ways node_count_ways(const struct node *node);
/* Our own certificate in force. */
const struct certificate *node_get_certificate(const struct node *node);
/* The current lease, encoded, for the next start; empty before registration. */
struct blob node_get_lease(const struct node *node);
/* The network document in force. */
const struct network *node_get_network(const struct node *node);
