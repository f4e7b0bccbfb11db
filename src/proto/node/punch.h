/*
 * punch.h: ways through NATs that give each destination another port. A pair whose data goes by relay, with no direct
 * address answering, tells each other through the relay how their NATs map (measured with the coordinator), and knocks:
 * at the one steady port, at ports that can be guessed, or, where one end is steady and the other random, at many
 * (the birthday paradox). What is found is a path as any other, validated by challenges.
 *
 * One try at a time in a node:
 *
 *   idle -> asking: how is our own socket seen by two servers?      steady ------------------+
 *        -> measuring: how are new sockets seen?                    guessable, or random -----+
 *        -> waiting: the peer has not told yet (only the end with the lower NodeID begins)   <+
 *        -> knocking -> settling: a direct path is valid -> idle
 *
 * Bounds (T26): PUNCH_SOCKETS_MAX sockets, PUNCH_GUESSES_MAX knocks of 48 bytes, PUNCH_LIMIT_US, once per pair and
 * networks, then ever more rarely, and only while data flows. All go to the one address that the coordinator itself has
 * seen the peer at, which is neither private nor ours; the peer only says which ports.
 */
#pragma once

#include "base/datagram.h"
#include "base/time.h"
#include "proto/node/event.h"
#include "proto/node/mapping.h"

enum {
	PUNCH_SOCKETS_MAX = 256,
	PUNCH_GUESSES_MAX = 1024,
	PUNCH_MEASURES = 3, /* new sockets that ask how they are seen */
	PUNCH_ASKS = 2,	    /* servers that see our own socket, beside the relay */
	PUNCH_HITS_MAX = 4, /* addresses that knocked: tried one after the other */
	PUNCH_KEPT_MAX = 32,
};

enum punch_stage { PUNCH_IDLE, PUNCH_ASKING, PUNCH_MEASURING, PUNCH_WAITING, PUNCH_KNOCKING, PUNCH_SETTLING };

struct node;
struct peer;
struct path;

/* A question to the coordinator: how am I seen? */
struct punch_ask {
	uint32_t transaction;
	struct route route;
	struct addr seen; /* unset: not answered */
};

/* A port that was found to lead to a peer. */
struct punch_kept {
	uint16_t port; /* 0: none */
	struct peer *peer;
};

struct punch {
	enum punch_stage stage;
	struct peer *peer; /* NULL: idle */
	uint32_t transaction;
	struct time_us started, next; /* next: when the stage wants to be looked at */
	bool has_asked_again, has_theirs;
	struct mapping own, theirs;
	uint8_t key_in[KEY_SIZE], key_out[KEY_SIZE];
	struct ip target;
	uint8_t ask_count;
	struct punch_ask asks[PUNCH_ASKS > PUNCH_MEASURES ? PUNCH_ASKS : PUNCH_MEASURES];
	struct port_draw draw;
	uint32_t sent, total;
	uint64_t number; /* of the last knock */
	uint8_t hits;
	struct time_us hit_at;
	/* Sockets: what the driver is to open and close. */
	uint16_t wanted; /* still to be asked for */
	bool is_opening;
	uint16_t socket_count;
	uint16_t sockets[PUNCH_SOCKETS_MAX];
	uint16_t closing_count;
	uint16_t closing[PUNCH_SOCKETS_MAX + PUNCH_KEPT_MAX];
	struct punch_kept kept[PUNCH_KEPT_MAX];
};

/* What is remembered of a peer's tries. */
struct punch_record {
	uint32_t own_epoch, peer_epoch; /* of the networks that they were made between */
	struct addr registered;
	struct time_us next; /* not before */
	struct time_us answered;
	bool is_known; /* the fields before mean something */
	uint8_t tries;
	struct node_punch_status status;
};

/* Looks whether the peer needs a try, and begins it. */
void punch_consider(struct node *node, struct peer *peer, struct time_us now);
/* What is due. */
void punch_run(struct node *node, struct time_us now);
/* The peer tells how its NAT maps. */
void punch_received(struct node *node, struct peer *peer, struct time_us now, uint32_t transaction,
		    const struct punch_message *message);
/* The coordinator's answer to a question of ours? */
bool punch_answered(struct node *node, struct time_us now, const struct route *route, uint32_t transaction,
		    const struct addr *seen);
/* A knock of the peer's (a Hole Punching datagram). False: there is no try with it. */
bool punch_knocked(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		   const uint8_t *bytes, size_t size);
/* Something authentic came from an address that no path has: true when it is what was knocked for. */
bool punch_hit(struct node *node, struct peer *peer, struct time_us now, const struct route *route);
/* The networks have changed, or the session is gone. peer NULL: whoever it is with. */
void punch_stop(struct node *node, const struct peer *peer);
/* The try is over, for this reason. */
void punch_end(struct node *node, struct time_us now, enum punch_state state);
/* The peer goes: nothing refers to it any more. */
void punch_forget(struct node *node, const struct peer *peer);

/* punch_knock.c: both ends have told each other. */
void knock_begin(struct node *node, struct time_us now);
void knock_run(struct node *node, struct time_us now);
