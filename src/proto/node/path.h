/*
 * path.h: the ways to reach one peer: validated by Path Challenge (RFC 9000 8.2, security 1), measured, left when
 * silent, chosen among. A path is (own address, remote address), or our leg at a relay.
 */
#pragma once

#include "base/datagram.h"
#include "base/time.h"
#include "proto/node/event.h"
#include "wire/tunnel.h"

struct node;
struct peer;

enum { CHALLENGES_OPEN_MAX = 4, PATH_MTU_MAX = 1440 }; /* bytes of an inner packet: at least the TUN's MTU */

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
	bool doubtful;	      /* data on it has not been acknowledged for longer than usual: liveness.c */
	bool asked_others;    /* in this doubt: whether the local address is to blame */
	bool was_heard;	      /* since it is probed */
	bool is_suggested;    /* by a packet that came from there; the active path is being asked */
	size_t credit;	      /* bytes that came from there while it is not valid, less those sent (E5) */
	uint64_t mirrored;    /* how far what is in flight has been sent there, too: an entry of the outbox */
	bool is_known;	      /* the peer was there before and did not say that it moved: not E5's case */
	int64_t rtt_us;	      /* smoothed (RFC 6298); -1: not known */
	int64_t rtt_var_us;   /* its mean deviation */
	struct time_us heard; /* last authenticated packet over it; us 0: never */
	bool awaiting;	      /* data was sent that is to be acknowledged */
	struct time_us awaiting_since, doubtful_since;
	int64_t waited_us;	  /* longest that a receipt was lately waited for; it fades */
	uint16_t waited_count;	  /* receipts seen, up to WAITED_ENOUGH */
	struct time_us waited_at; /* of the last one */
	struct time_us proved;	  /* when what was last known to arrive was sent */
	uint16_t mtu;		  /* largest inner packet that is sent over it */
	uint16_t mtu_proved;	  /* ... that has passed: until all has, TCP is cut to this (E7) */
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

/* The peer's path with this local IP and remote address, or NULL. */
struct path *path_find(struct peer *peer, const struct route *route);
/* Finds or makes one and plans probes; NULL when the table is full of better ones. kind is PATH_RELAY for the relay's
 * address. */
struct path *path_add(struct node *node, struct peer *peer, struct time_us now, enum path_kind kind,
		      const struct route *route);
/* Paths from the best local addresses to every address the peer may have, and path_add_spares. */
void path_add_all(struct node *node, struct peer *peer, struct time_us now);
/* Paths from the other local addresses to where the peer is known to be. */
void path_add_spares(struct node *node, struct peer *peer, struct time_us now);
void path_drop(struct node *node, struct peer *peer, struct path *path, struct time_us now);

/* Authentic packets of so many bytes came over `route`; highest: they may suggest an address (E1). */
void path_heard(struct node *node, struct peer *peer, struct time_us now, const struct route *route, size_t bytes,
		bool highest);
/* How many bytes of data may still go to an address that has not been validated (E5); NULL: it has, no limit. */
size_t *path_budget(struct peer *peer, struct path *path);
/* May so many go there now? Spends them. */
bool path_may_send(struct peer *peer, struct path *path, size_t bytes);
/* A challenge of ours came back on this route. */
void path_answered(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		   const uint8_t challenge[CHALLENGE_SIZE]);
/* Sends a challenge now unless one was sent less than CHALLENGE_INTERVAL_US ago (E6). */
void path_challenge(struct node *node, struct peer *peer, struct path *path, struct time_us now);
/* Validated by other means (a bound leg, an answered handshake). */
void path_set_valid(struct node *node, struct peer *peer, struct path *path, struct time_us now, int64_t rtt_us);
/* Not taken for granted any more: asked at once and a few times more, and carries data again when it answers. */
void path_question(struct node *node, struct peer *peer, struct path *path, struct time_us now);
/* It no longer answers: not valid any more, asked a few times more (E7). */
void path_give_up(struct node *node, struct peer *peer, struct path *path, struct time_us now, enum path_cause cause);
/* Due challenges; plans the peer's deadline. */
void path_run(struct node *node, struct peer *peer, struct time_us now);

/*
 * liveness.c: is data on the active path acknowledged? After path_patience_us without a receipt it is in doubt: data
 * goes another way as well. After path_silence_us it is dead.
 */
/* When a receipt is overdue: longer than any lately; at most RTT, half of it or 45 ms more, and four deviations. */
int64_t path_patience_us(const struct path *path);
/* When a path is dead: max(3 RTT, 250 ms). */
int64_t path_silence_us(const struct path *path);
/* Data went over it: a receipt is expected. */
void path_sent(struct node *node, struct peer *peer, struct path *path, struct time_us now);
/* What was sent over it at `at` has arrived. */
void path_proved(struct node *node, struct peer *peer, struct path *path, struct time_us now, struct time_us at);
/* Data arrived in this space; told to the sender soon. bytes: of the datagram. */
void liveness_note(struct peer *peer, uint8_t space, uint64_t counter, size_t bytes);
/* The datagram or train that was noted has ended; it came this way. */
void liveness_heard(struct node *node, struct peer *peer, struct time_us now, const struct route *route);
/* A receipt now, whether anything new has arrived or not. */
void liveness_tell(struct node *node, struct peer *peer, struct time_us now);
/* The peer tells what has arrived. */
void liveness_receipt(struct node *node, struct peer *peer, struct time_us now, const struct receipt *receipt);
/* Receipts that are due, doubts, deaths. */
void liveness_run(struct node *node, struct peer *peer, struct time_us now);

/* select.c: the path that data takes. */
/*
 * Where the peer prefers to be or its coordinator sees it; another address that it has named; one that was only seen on
 * packets, which a stranger may have forwarded (E3).
 */
enum strangeness { STRANGENESS_NONE, STRANGENESS_NAMED, STRANGENESS_SEEN };
enum strangeness path_strangeness(const struct peer *peer, const struct addr *remote);
/* Chooses it and tells when that changes; cause: why it is looked at now. */
void path_select(struct node *node, struct peer *peer, struct time_us now, enum path_cause cause);
/* Data takes this one from now on, beginning with what has not been acknowledged; that another way stays is not known.
 */
void path_use(struct node *node, struct peer *peer, struct time_us now, struct path *path, enum path_cause cause);
/* The best way beside the active one, or NULL: what data takes as well while that one is in doubt. */
struct path *path_alternative(struct node *node, struct peer *peer);
/* Data goes over `path` too from now on, beginning with what has not been acknowledged. */
void path_overlap(struct node *node, struct peer *peer, struct path *path, struct time_us now);
/* Only the active path from now on. */
void path_overlap_end(struct peer *peer);
/* What was held back at an upgrade goes out. */
void path_release(struct node *node, struct peer *peer, struct time_us now);
