/* machine.h: the insides of a node, shared by the files of this folder and by nobody else. */
#pragma once

#include "base/map.h"
#include "proto/node/document.h"
#include "proto/node/general.h"
#include "proto/node/join.h"
#include "proto/node/keepalive.h"
#include "proto/node/link.h"
#include "proto/node/names.h"
#include "proto/node/node.h"
#include "proto/node/outbox.h"
#include "proto/node/peer.h"
#include "proto/node/relay_rtt.h"
#include "proto/session/trust.h"

enum {
	WAITING_MAX = 64, /* inner packets held while their tunnel is being directed */
	WAITING_PACKET_MAX = 2048,
};

/* Inner packets of peers without a path yet. */
struct waiting {
	bool used;
	struct time_us at;
	bool checksum_partial;
	uint8_t lane; /* it leaves by the one by which it would have left at once */
	uint16_t size;
	uint8_t bytes[PACKET_ROOM + WAITING_PACKET_MAX + PACKET_ROOM];
};

/* What is known of one of our own addresses. */
struct local_state {
	struct time_us proved; /* when something sent from there was last answered */
	bool is_suspect;       /* others are preferred: nothing sent from there is answered */
	/* spare.c */
	struct addr observed; /* as the coordinator sees it; unset: not known */
	struct time_us next_ask;
	uint8_t asks; /* since it is there */
	/* rhythm.c */
	struct addr seen; /* as the coordinator saw it last */
	struct keepalive keepalive;
};

struct node {
	struct node_env env;
	struct dh_keys static_keys;
	uint8_t authority[KEY_SIZE];
	struct certificate certificate;
	uint8_t certificate_bytes[CERTIFICATE_MAX_SIZE];
	size_t certificate_size;
	struct lease lease;
	uint8_t lease_bytes[LEASE_MAX_SIZE];
	size_t lease_size;
	bool addressed;
	struct network *network;
	const struct coordinator_entry *coordinator;
	struct document document;
	struct abroad *abroad[TRUSTED_MAX]; /* networks that ours trusts, as far as they were needed */
	char zone[ZONE_MAX_SIZE + 1], name[NAME_MAX_SIZE + 1];
	struct aead_provider *aead;
	struct signature_cache *signatures; /* of peers' documents */
	uint16_t listen_port;
	uint32_t features;

	struct node_local locals[NODE_LOCALS_MAX];
	size_t local_count;
	struct local_state local_states[NODE_LOCALS_MAX];
	bool is_measuring; /* how long one of them may be silent: what leaves is of interest */
	bool must_settle;  /* a suspect has been heard of again */
	int best_local[2]; /* index for IPv4 and IPv6, -1: none */
	uint32_t preferred_ifindex;
	struct node_mapped mapped[NODE_MAPPED_MAX];
	size_t mapped_count;
	uint32_t move_epoch;

	struct link link;
	struct names names;
	struct roster roster;
	struct map by_path_id, by_v4, by_v6, by_id;
	uint8_t v6_seed[16];
	struct outbox outbox;
	struct join joins[NODE_LANES_MAX], *join; /* by lane; that of the present one */
	struct waiting waiting[WAITING_MAX];
	struct general general;
	struct punch punch;
	struct relay_meter meter;

	struct time_us now, since, deadline;
	uint32_t transaction;
	bool leaving;
	struct node_counters counters;
};

/* Events: each fills what it knows and hands it to the driver. */
void node_emit(struct node *node, struct node_event *event);
void node_emit_peer(struct node *node, struct peer *peer, enum node_event_type type);
void node_emit_path(struct node *node, struct peer *peer, enum node_event_type type, const struct path *path);
void node_emit_selected(struct node *node, struct peer *peer, const struct path *path, enum path_cause cause);

/* Every entry from outside: time never goes back, packets handed out before are gone. */
void node_enter(struct node *node, struct time_us now);
/* The node must run no later than `at`. */
void node_plan(struct node *node, struct time_us at);
/* Time in the network, seconds since 1970; 0 before a coordinator has told it. */
uint64_t node_network_time(const struct node *node);
/* Index into locals of the address to use towards this family, or -1. */
int node_local_for(const struct node *node, uint8_t family);
/* From the best address of that family; false when we have none. */
bool node_route_to(const struct node *node, const struct addr *remote, struct route *ret);
/* The same to where a peer may be: never to virtual or special addresses (T26). */
bool node_route_to_candidate(const struct node *node, const struct addr *remote, struct route *ret);
/* The interface that has this address now; none: otherwise. */
uint32_t node_ifindex_of(const struct node *node, const struct ip *local, uint32_t otherwise);
/* Something that was sent from this local address has been answered. */
void node_proved_on(struct node *node, struct time_us now, const struct ip *local);
/* Data from there is not acknowledged: when nothing at all was answered on its interface since then, another one takes
 * over, if there is one. That is a move. */
void node_suspect_local(struct node *node, struct time_us now, const struct ip *local, struct time_us since);
/* Host candidates, most preferred first. */
void node_candidates(const struct node *node, struct candidates *ret);
/* mapped.c: appends what a NAT has opened for us. */
void mapped_candidates(const struct node *node, struct candidates *ret);
bool node_is_suspect(const struct node *node, const struct ip *local);
/* A suspect address has proved to work again: back to it, as a move. */
void node_settle_locals(struct node *node);
/* Is ip one of the virtual addresses of this network? */
bool node_is_virtual(const struct node *node, const struct ip *ip);
/* Is it a name of one of the network's zones, or the zone itself? */
/* Who serves the zone that the name lies in, one label below; NULL. */
const struct coordinator_entry *node_find_coordinator(const struct network *network, const char *fqdn);
bool node_has_zone_of(const struct node *node, const char *name, bool *ret_is_apex);

/* spare.c: own addresses that carry no data now. */
/* Is this one of them? Index into locals. */
bool node_is_spare(const struct node *node, size_t index);
void spare_run(struct node *node, struct time_us now);
/* The coordinator's answer to what was asked from there. */
void spare_answered(struct node *node, struct time_us now, const struct ip *local, const struct addr *observed);
/* Appends how they are seen from outside. */
void spare_candidates(const struct node *node, struct candidates *ret);

/* From one of our addresses to the coordinator; false: it has none of that family. */
bool spare_route(const struct node *node, size_t index, struct route *ret);
/* How are we seen there, now or after a silence? The question has node->transaction. */
bool spare_ask(struct node *node, struct time_us now, const struct route *route, uint32_t delay_ms);

/* rhythm.c: keep-alives, measured and together. */
int64_t rhythm_interval_us(const struct node *node, const struct ip *local);
/* When something has to be said from there, if it is said now. */
struct time_us rhythm_next(const struct node *node, struct time_us now, const struct ip *local);
void rhythm_begin(struct node *node, struct time_us now);
void rhythm_spoke(struct node *node, struct time_us now, const struct ip *local);
/* The same for a leg at a relay. */
struct time_us rhythm_bind(const struct node *node, const struct peer *peer, struct time_us now,
			   const struct ip *local);
void rhythm_rest(struct node *node, struct time_us now, const struct ip *local);
void rhythm_sent(struct node *node, struct time_us now, const struct ip *local);
void rhythm_answered(struct node *node, struct time_us now, const struct ip *local, uint32_t transaction);
void rhythm_seen(struct node *node, struct time_us now, const struct ip *local, const struct addr *observed);
void rhythm_run(struct node *node, struct time_us now);

/* rest.c: pairs that have nothing to say. */
/* An inner packet passed, or is about to: keys and paths are wanted as fresh as ever. */
void rest_end(struct node *node, struct peer *peer, struct time_us now);
/* The paths alone, for one end: it or its relay has moved. */
void rest_end_paths(struct node *node, struct peer *peer, struct time_us now);
/* The peer asked for one of its paths. */
void rest_asked(struct node *node, struct peer *peer, struct time_us now);
/* Are the keys, made when all had been said, to be kept until they are used? */
bool rest_of_keys(struct node *node, struct peer *peer, struct time_us now);
/* Whether the paths go to rest now, or must not any longer. */
void rest_run(struct node *node, struct peer *peer, struct time_us now);

/* status.c: a bare label is of our own zone. ERR_UNKNOWN: of no zone of the network. */
enum err node_full_name(const struct node *node, const char *name, char ret[FQDN_MAX_SIZE + 1]);

/* direction.c: Route Direction and its relatives, told by the coordinator. */
/* False: its network's document has to come first; it is not lost, as it was not acknowledged. */
bool direction_is_judgeable(struct node *node, struct time_us now, const struct route_direction *direction);
void direction_received(struct node *node, struct time_us now, const struct route_direction *direction);
void direction_refused(struct node *node, struct time_us now, const struct direction_refusal *refusal);
void direction_updated(struct node *node, struct time_us now, const struct route_update *update);

/* contact.c: carrying a direction out. */
void contact_start(struct node *node, struct peer *peer, struct time_us now, const struct route_direction *direction);
void contact_run(struct node *node, struct peer *peer, struct time_us now);
struct time_us contact_deadline(const struct peer *peer);
void contact_request_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			      const uint8_t *bytes, size_t size);
void contact_response_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			       const uint8_t *bytes, size_t size);
void contact_probe_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			    const uint8_t *bytes, size_t size);
void contact_stop(struct node *node, struct peer *peer);
/* A sealed datagram of the session to be, whose keys are on their way: it waits for them. False: it is not one. */
bool contact_hold(struct peer *peer, const struct route *route, const uint8_t *bytes, size_t size);
/* The answer to the request that made the session; repetitions of that meet silence from now on. */
void contact_forget_answer(struct peer *peer);
/* There is an inner packet for the peer: our request need not wait for one. */
void contact_data_waits(struct node *node, struct peer *peer, struct time_us now);

/* relay_change.c */
/* Another relay for this tunnel: bound beside the one that it has. */
void relay_granted(struct node *node, struct peer *peer, struct time_us now, const struct route_update *update);
/* An answer to that leg? */
bool relay_beside_received(struct node *node, struct peer *peer, struct time_us now, const struct route *arrived,
			   const uint8_t *bytes, size_t size);
/* The peer has answered over this path. */
void relay_validated(struct node *node, struct peer *peer, struct time_us now, const struct path *path);
/* Has our leg at the relay of this path ever been bound? Then it forwards what we send. */
bool relay_knows_us(const struct peer *peer, const struct path *path);
/* Is it by the relay that another one takes over from? */
bool relay_is_superseded(const struct peer *peer, const struct path *path);
bool relay_is_listed(const struct node *node, const struct addr *remote);
const char *relay_name_at(const struct peer *peer, const struct addr *remote);
/* A Bind has gone to the tunnel's own relay; it has answered one. */
void relay_asked(struct peer *peer, struct time_us now);
void relay_heard(struct node *node, struct peer *peer);
void relay_forget_beside(struct peer *peer);
/* The coordinator was away: relays may have been, too, most of all one in the same process, and are asked whether they
 * still know us. */
void relay_ask_all(struct node *node, struct time_us now);
void relay_run(struct node *node, struct peer *peer, struct time_us now);

/* control.c: sealed messages between nodes. */
void control_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		      const uint8_t *bytes, size_t size);

/* mtu.c: path MTU by probing (RFC 8899): challenges as large as the data they stand for. */
void mtu_init(const struct node *node, struct path *path);
/* How large the next challenge should be, as an inner packet; 0: small. */
uint16_t mtu_next_size(struct path *path, struct time_us now);
void mtu_answered(struct node *node, struct peer *peer, struct path *path, struct time_us now,
		  const struct challenge *answered);
/* The kernel refused a datagram that carries inner packets of this size. */
void mtu_refused(struct path *path, struct time_us now, size_t size);

/* move.c */
void move_own(struct node *node, struct time_us now, enum path_cause cause);
void move_peer(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
	       const struct move *move);
/* The first packet on a new path ends the move. */
void move_heard(struct node *node, struct peer *peer, struct time_us now, struct path *path);
/* Starts the report; a second cause before the first has ended continues it. */
void move_begin_report(struct peer *peer, struct time_us now, const struct path *from, bool by_peer,
		       enum path_cause cause);
/* Replays over the path what was sealed since `since` and has not been acknowledged; is_loss: counted as such. */
void move_replay(struct node *node, struct peer *peer, struct time_us now, struct path *path, struct time_us since,
		 bool is_loss);

/* outbound.c */
void outbound_packet(struct node *node, struct time_us now, struct packet *packet);

/* waiting.c: inner packets without a way. */
void waiting_hold(struct node *node, struct time_us now, const struct packet *packet);
/* What waited for this peer and may go now goes out. */
void waiting_release(struct node *node, struct peer *peer, struct time_us now);
/* The oldest one for this peer, if it has at most `max` bytes, with a complete checksum; it goes on waiting. Empty:
 * there is none. */
struct blob waiting_first(struct node *node, const struct peer *peer, size_t max);
/* It has been sent by other means. */
void waiting_forget(struct node *node, const uint8_t *bytes, size_t size);
/* Answers waiting packets for this destination with "unreachable" and drops them. */
void waiting_refuse(struct node *node, const struct ip *destination);

/* rescue.c: what the peer has not acknowledged under a session that it has forgotten waits for the new one. */
void rescue_sealed(struct node *node, const struct peer *peer, struct session *old, struct time_us now);

/* inbound.c */
/* An inner packet that came with a handshake: checked as any other. */
void inbound_early(struct node *node, struct peer *peer, struct time_us now, struct blob packet);
/* One that had to wait. */
void inbound_held(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size);
void inbound_datagram(struct node *node, struct time_us now, const struct datagram *datagram);
/* A packet made here goes to the TUN: the start of the join buffer is used, so nothing may be pending there. */
void inbound_local(struct node *node, const uint8_t *bytes, size_t size);
