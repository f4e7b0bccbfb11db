/* link.h: the node's session with its coordinator: Registration, Keep Alive, NTM Update, and the way for Direction
 * Requests. */
#pragma once

#include "base/datagram.h"
#include "proto/node/keys.h"
#include "proto/session/cookie.h"
#include "proto/session/handshake.h"
#include "proto/session/request.h"
#include "proto/session/session.h"
#include "wire/direction.h"

struct node;

struct link {
	struct session *session; /* NULL before the first registration */
	bool up;		 /* the coordinator answers */
	bool was_established;	 /* once at least: what it has directed is remembered */
	struct route route;	 /* where it answered from, and our address then */
	struct rekeying rekeying;
	struct request_table requests;

	/* A registration being tried, beside a live session or not. */
	bool registering;
	struct handshake handshake;
	uint8_t request[MESSAGE_MAX];
	size_t request_size;
	struct cookie cookie; /* of a coordinator under load */
	bool is_cookied;      /* request has been sent with one */
	bool is_doubted;      /* it is there because the session does not answer */
	struct time_us request_at, next_try;
	struct time_us looking_since; /* for a coordinator; us 0: not */

	struct time_us heard, next_keepalive, keepalive_at; /* the next one, the last one */
	int64_t keepalive_us, rtt_us;			    /* rtt -1: not known */
	struct addr observed;
	uint64_t network_time_s;	/* as told ... */
	struct time_us network_time_at; /* ... at this instant */
};

void link_init(struct link *link);
void link_finish(struct link *link);
/* Starts (again) to register with every address of the coordinator at once. */
void link_register(struct node *node, struct time_us now);
/* Our location changed: tell the coordinator from the new address. */
void link_moved(struct node *node, struct time_us now);
/* Does the coordinator answer? Told to node_proved_on. */
void link_ask(struct node *node, struct time_us now);
void link_run(struct node *node, struct time_us now);
struct time_us link_deadline(const struct link *link);
/* Takes datagrams of the coordinator's PathIDs; false when it is none of them. */
bool link_input(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size);
/* Asks for a tunnel, by name or by address (the other one unset). Repeated until answered; nothing while one for the
 * same is under way. */
void link_request_direction(struct node *node, struct time_us now, const char *name, const struct ip *ip);
/* A message of ours that is repeated until answered; the header has node->transaction. */
void link_request(struct node *node, struct time_us now, uint8_t type, struct writer *w);
/* The same beside others of its type, which it does not replace. */
void link_request_more(struct node *node, struct time_us now, uint8_t type, struct writer *w);
/* A Keep Alive now: its answer tells whether our network document is out of date. At most one a second. */
void link_ask_news(struct node *node, struct time_us now);
void link_leave(struct node *node, struct time_us now);
