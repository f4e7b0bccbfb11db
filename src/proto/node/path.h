/*
 * path.h: the ways to reach one peer: validated by Path Challenge (RFC 9000 8.2, security 1), measured, left when
 * silent, chosen among. A path is (own address, remote address), or our leg at a relay.
 */
#pragma once

#include "base/datagram.h"
#include "base/time.h"
#include "proto/node/event.h"

struct node;
struct peer;

enum { CHALLENGES_OPEN_MAX = 4 };

struct challenge {
	uint8_t bytes[CHALLENGE_SIZE];
	struct time_us at;
	bool open;
	uint16_t proves; /* inner packets of this size pass, if it is answered; 0: it was small */
};

struct path {
	bool used;
	enum path_kind kind;
	struct route route;
	bool valid;	      /* a challenge was answered, or a bound leg; and not silent since */
	bool is_known;	      /* the peer was there before and did not say that it moved: not E5's case */
	int64_t rtt_us;	      /* smoothed (RFC 6298); -1: not known */
	struct time_us heard; /* last authenticated packet over it; us 0: never */
	bool awaiting;	      /* something was sent since then */
	struct time_us awaiting_since;
	uint16_t mtu;		  /* largest inner packet that is sent over it */
	uint16_t mtu_ceiling;	  /* the smallest that is known or assumed not to pass, less one */
	struct time_us mtu_raise; /* when the ceiling is forgotten (RFC 8899 PMTU_RAISE_TIMER) */
	uint8_t large_lost;	  /* full-sized challenges unanswered in a row */
	struct challenge challenges[CHALLENGES_OPEN_MAX]; /* the last ones sent, by number: an RTT may be longer than
							     E6's interval */
	bool challenge_open;				  /* the last one has not been answered */
	struct time_us challenge_at, next_challenge;	  /* next: TIME_NEVER when none is planned */
	uint8_t unanswered;				  /* challenges in a row */
	uint8_t probes_left;				  /* while not valid: then silence (T26) */
	uint32_t challenges_tx, challenges_rx;
	uint16_t loss_permille; /* smoothed over challenges */
};

/* How long silence is normal on this path: max(3 RTT, 250 ms). */
int64_t path_silence_us(const struct path *path);

/* The peer's path with this local IP and remote address, or NULL. */
struct path *path_find(struct peer *peer, const struct route *route);
/* Finds or makes one and plans probes; NULL when the table is full of better ones. kind is PATH_RELAY for the relay's
 * address. */
struct path *path_add(struct node *node, struct peer *peer, struct time_us now, enum path_kind kind,
		      const struct route *route);
/* Paths from every usable local address to every address the peer may have. */
void path_add_all(struct node *node, struct peer *peer, struct time_us now);
void path_drop(struct node *node, struct peer *peer, struct path *path, struct time_us now);

/* Something that should be answered went over it: silence from now on is asked about. */
void path_sent(struct node *node, struct peer *peer, struct path *path, struct time_us now);
/* An authentic packet came over `route`; highest: it may suggest an address (E1). */
void path_heard(struct node *node, struct peer *peer, struct time_us now, const struct route *route, bool highest);
/* A challenge of ours came back. */
void path_answered(struct node *node, struct peer *peer, struct time_us now, const uint8_t challenge[CHALLENGE_SIZE]);
/* Sends a challenge now unless one was sent less than CHALLENGE_INTERVAL_US ago (E6). */
void path_challenge(struct node *node, struct peer *peer, struct path *path, struct time_us now);
/* Validated by other means (a bound leg, an answered handshake). */
void path_set_valid(struct node *node, struct peer *peer, struct path *path, struct time_us now, int64_t rtt_us);
/* Due challenges, silent paths; plans the peer's deadline. */
void path_run(struct node *node, struct peer *peer, struct time_us now);
/* Chooses the path that data takes and tells when that changes. */
void path_select(struct node *node, struct peer *peer, struct time_us now);
