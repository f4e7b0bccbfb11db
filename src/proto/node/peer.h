/* peer.h: what a node knows about one other node: who it is, the session with it, the paths to it, the direction being
 * carried out. */
#pragma once

#include "proto/node/keys.h"
#include "proto/node/outbox.h"
#include "proto/node/path.h"
#include "proto/node/punch.h"
#include "proto/node/roster.h"
#include "proto/session/leg.h"
#include "proto/session/request.h"
#include "proto/session/session.h"
#include "wire/direction.h"
#include "wire/tunnel.h"

/* What a contact needs room for while it lasts. */
struct attempt {
	struct handshake_prepared prepared; /* for our request or our answer, whichever comes first */
	struct handshake handshake;	    /* of our request */
	uint16_t early_size;		    /* of the inner packet that rides in it */
	uint8_t early[EARLY_MAX];
	size_t request_size;
	uint8_t request[MESSAGE_MAX];
};

enum { OVERTAKING_MAX = 4, OVERTAKING_SIZE = 1472 };

/* Sealed datagrams that came before the answer which makes their keys. */
struct overtaking {
	uint8_t count;
	struct {
		struct route route;
		uint16_t size;
		uint8_t bytes[OVERTAKING_SIZE];
	} list[OVERTAKING_MAX];
};

/* A Route Direction being carried out: both ends start at once, the lower NodeID's request wins (design 7). */
struct contact {
	bool used;
	uint64_t path_id;
	uint8_t temp_key[KEY_SIZE], nego_key[KEY_SIZE];
	uint8_t own_mac1_key[KEY_SIZE]; /* of datagrams to us */
	enum suite suite;
	struct time_us started, next_try, next_probe;
	int64_t interval_us;
	uint8_t tries, probes_left;
	uint64_t probe_number;
	bool asked;		   /* by us: our request goes out at once, the other end's only when none has come */
	struct time_us prepare_at; /* TIME_NEVER: done */
	bool is_prepared;	   /* and not used yet */
	bool initiating;	   /* there is a request of ours */
	struct attempt *attempt;   /* not NULL while used */
	struct overtaking *early;  /* NULL: nothing has come */
	/* The relay leg of the tunnel to be; it becomes the peer's when the handshake ends. */
	bool has_relay, leg_was_bound;
	struct leg leg;
	char relay_name[NAME_MAX_SIZE + 1];
	uint8_t relay_cause;
};

/*
 * An answered first message: the same bytes again get the same answer, never a second session (design 4). Forgotten
 * when the session is idle, as the other end has the answer then.
 */
struct answered {
	uint64_t path_id;
	uint8_t request_hash[32];
	uint8_t *response; /* NULL: none */
	size_t response_size;
};

/* What has come of the peer's data, and when it is told (liveness.c). */
struct receiving {
	struct receipt seen;
	struct time_us due;   /* TIME_NEVER: all is told */
	size_t bytes;	      /* not told yet */
	struct time_us heard; /* the last of it */
	int64_t pause_us;     /* usual time between two, smoothed */
	struct time_us quiet; /* when to ask why nothing comes; TIME_NEVER: not */
	struct time_us asked; /* when that was last done */
	struct route route;   /* where the last of it came from */
};

/* A move in progress: until the first packet from the peer on a new path. */
struct moving {
	bool active;
	struct handover report;	     /* so far */
	struct time_us heard_before; /* last packet on the old path */
	bool kept;		     /* the peer's move, and its old address is still there */
	bool was_known;		     /* the peer was certainly at the other end of it */
};

/* Nothing is asked and no keys are made while nothing is said (rest.c). */
struct rest {
	bool is_agreed;	  /* the peer keeps keys over a rest as well */
	bool keys, paths; /* rest now; paths only with keys */
	struct time_us keys_ended, paths_ended;
};

/* A second leg: at the relay that is to take over, or at the one before until it is quiet (relay_change.c). */
struct relay_beside {
	bool used, is_newer, was_bound;
	uint8_t cause; /* enum relay_cause */
	struct leg leg;
	char name[NAME_MAX_SIZE + 1];
	struct time_us until; /* it goes then */
};

/* Of its certificate, in as few bytes as there are. */
struct peer_identity {
	uint64_t serial, not_before_s, not_after_s;
	uint8_t static_key[KEY_SIZE];
	uint8_t group_count;
	char text[]; /* FQDN, account and groups, each ended by a zero */
};

/* A path of one that sleeps: what cannot be found out anew in a round trip. */
struct path_kept {
	enum path_kind kind;
	struct route route;
	uint16_t mtu, mtu_proved, mtu_ceiling, loss_permille;
	uint32_t challenges_tx, challenges_rx;
	int64_t rtt_us, rtt_var_us;
	struct time_us heard, proved, mtu_raise;
};

/* What a peer needs room for while there is something to do. */
struct peer_awake {
	struct time_us since;		/* when it was last woken */
	struct certificate certificate; /* judged: without its signature and identity key */
	char complained_of[NAME_MAX_SIZE + 1];
	struct contact contact;
	bool is_known; /* known holds; it may be of a certificate before the present one */
	struct static_pair known;
	struct answered answered;
	struct rekeying rekeying;
	struct relay_beside beside;
	struct path paths[NODE_PATHS_MAX];
	struct outbox_owner sending;
	struct receiving receiving;
	struct moving moving;
};

struct peer {
	struct peer_awake *awake; /* NULL: it sleeps (sleep.c) */
	struct path_kept *kept;	  /* then: its paths */
	uint8_t kept_count;
	struct node_id id;
	struct peer_identity *identity;
	bool is_foreign; /* of another network */
	struct ip v4, v6;
	enum node_peer_state state;
	uint8_t last_reason;

	struct session *session; /* NULL until the first handshake has ended */
	struct rest rest;
	struct request_table *requests; /* NULL: none waits; an idle peer has no room for them */

	bool has_relay, leg_was_bound; /* bound in some generation: the relay knows the pair */
	struct leg leg;
	char relay_name[NAME_MAX_SIZE + 1];
	uint8_t relay_cause;	  /* enum relay_cause */
	struct time_us leg_asked; /* the first Bind that is not answered; us 0: there is none */
	struct time_us complained;
	uint32_t complaint; /* its transaction; 0: none is under way */
	uint8_t complaints; /* about this silence */

	struct candidates candidates; /* the peer's, from its coordinator or itself */
	struct addr observed;
	struct addr registered; /* as its coordinator sees it: nobody else's word */
	struct punch_record punch;
	uint32_t move_epoch;		  /* the peer's, highest authenticated */
	struct time_us suggestions_until; /* E1: unknown addresses have been asked so often that none is for a while */
	size_t burst_left;		  /* E5: bytes that may still go to an unvalidated address */

	int active, second;    /* indices of paths that data takes; -1: none. second: only during moves and doubts */
	enum path_cause cause; /* why the active one was chosen */
	bool second_is_new;    /* nothing has been heard over it since data goes there too */
	uint64_t route_tag;    /* changes whenever the routes of data do */
	struct time_us held_since, held_until; /* packets are sealed and kept: an upgrade must not reorder; us 0: not */
	uint32_t handovers;
	struct handover *last_handover; /* NULL: none yet */

	struct roster_place place;     /* its deadline: when peer_run has something to do */
	struct time_us last_data;      /* inner packets, either way */
	struct time_us last_direction; /* when one was last asked for; us 0: never */
	struct time_us lost_since;     /* no path is valid since then; us 0: one is */
	struct time_us lost_next;      /* when to look for a way again */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
};

struct node;

/* sleep.c: a pair that rests needs little room. */
/* Has all its room again. To be called before anything else is done with one that a packet of ours, an authentic one of
 * the peer's or the coordinator's word is about: never on a stranger's. */
void peer_wake(struct node *node, struct peer *peer);
/* Gives most of it back, if it rests and nothing is under way. */
void peer_sleep(struct node *node, struct peer *peer);
/* Its leg is bound again and nothing else. False: it is awake, or now it is, as there is more to do. */
bool peer_run_asleep(struct node *node, struct peer *peer, struct time_us now);
void peer_forget_awake(struct node *node, struct peer *peer);
/* identity.c: what is kept of a judged certificate. */
struct peer_identity *peer_identity_create(const struct certificate *certificate);
void peer_identity_fill(const struct peer *peer, struct certificate *ret);
bool peer_is_in_group(const struct peer *peer, const char *group);
/* The rest of ret stays as it is. */
void peer_get_fqdn(const struct peer *peer, char ret[FQDN_MAX_SIZE + 1]);

/* One of its paths as if it were awake. */
struct path peer_path_kept(const struct peer *peer, uint8_t index);

/* By NodeID; NULL. */
struct peer *peer_by_id(struct node *node, const struct node_id *id);
/* By inner destination: 4 or 16 bytes. */
struct peer *peer_by_inner(struct node *node, uint8_t version, const uint8_t *address);
/* By label or FQDN. */
struct peer *peer_by_name(struct node *node, const char *name);
/* Finds or makes the peer of a judged certificate and lease, evicting the longest idle one when full; NULL when none
 * may go. */
struct peer *peer_obtain(struct node *node, const struct certificate *certificate, const struct lease *lease);
void peer_destroy(struct node *node, struct peer *peer);
void peer_set_state(struct node *node, struct peer *peer, struct time_us now, enum node_peer_state state,
		    uint8_t reason);
/* As before a session: paths, what is in flight, moves. */
void peer_forget_paths(struct peer *peer);
/* Keys are wiped, paths forgotten; the peer is known still. */
void peer_end_session(struct node *node, struct peer *peer, struct time_us now, uint8_t reason);
/* The peer must be looked at no later than `at`. */
void peer_plan(struct node *node, struct peer *peer, struct time_us at);
/* Everything of the peer that time drives. */
void peer_run(struct node *node, struct peer *peer, struct time_us now);
/* Is this one of the addresses of the peer's relay? */
bool peer_is_relay(const struct peer *peer, const struct addr *remote);
/* How to reach a relay from here: false when we lack its address families. */
bool peer_relay_route(const struct node *node, struct leg *leg, struct route *ret);
/* What the leg has to say to the relay goes out. */
void peer_run_leg(struct node *node, struct peer *peer, struct time_us now);
/* None is repeated any more. */
void peer_forget_requests(struct peer *peer);
/* No inner packets for a while: its session needs no room to be fast. */
bool peer_is_idle(const struct peer *peer, struct time_us now);
/* Is there a way for data right now? */
bool peer_has_path(const struct peer *peer);
/* "direct" and "relay" separately numbered counter spaces. */
static inline uint8_t path_number(enum path_kind kind)
{
	return kind == PATH_RELAY ? 1 : 0;
}

/* Seals a control message and sends it over one route, or over all routes of data when route is NULL. False when
 * nothing could be sent. */
bool peer_send(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
	       struct blob plaintext);
/* Sends a message until it is acknowledged. */
void peer_request(struct node *node, struct peer *peer, struct time_us now, uint8_t type, uint32_t transaction,
		  struct blob plaintext);
