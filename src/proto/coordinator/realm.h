/*
 * realm.h: networks of other account servers that ours trusts: where DNS says that a zone of theirs is (directory.c),
 * and their document, signed by their account server, without which nothing of them counts (realm.c). For the files of
 * this folder only.
 */
#pragma once

#include "proto/coordinator/foreign.h"

enum {
	LOOKUPS_PER_S = 10,
	LOOKUPS_BURST = 32,
	ZONE_TTL_MIN_S = 5,
	ZONE_TTL_MAX_S = 3600, /* nobody's word in DNS counts for longer */
};

#define LOOKUP_US (6 * USEC_PER_SEC)	    /* the driver answers before */
#define ZONE_ABSENT_US (10 * USEC_PER_SEC)  /* before DNS is asked again for what it did not have */
#define ZONE_IDLE_US (60 * USEC_PER_SEC)    /* one that neither answers nor is needed is forgotten */
#define ZONE_REFUSED_US (30 * USEC_PER_SEC) /* before one that did not hold what DNS promised is tried again */

/* One network, for one zone and all below it. */
struct realm {
	struct trusted_entry trusted;
	struct network *network; /* NULL: its document has not come yet */
	uint8_t *bytes;		 /* the same, encoded: for our nodes */
	size_t size;
	/* Its document on the way, from one of its coordinators. */
	struct foreign *from; /* NULL: none is on its way */
	uint8_t *part;
	uint64_t part_epoch;
	uint16_t part_at, part_size;
};

struct realms {
	struct realm *list[TRUSTED_MAX];
	uint8_t count;
	struct bucket lookups;
};

/* directory.c */
/* The coordinator of that zone of another network, as far as it is known: DNS is asked when need be. NULL with the
 * reason when there is none, or it is not to be trusted. */
struct foreign *directory_obtain(struct coordinator *c, const char *zone, uint8_t *ret_reason);
/* Somebody needs it, and it does not answer: it may be elsewhere by now. */
void directory_refresh(struct coordinator *c, struct foreign *f);
/* It is not what DNS promised: nothing is said to it for a while, and whoever asked for its nodes is refused. */
void directory_refuse(struct coordinator *c, struct foreign *f, uint8_t reason);
/* True when it has been forgotten. */
bool directory_run(struct coordinator *c, struct foreign *f);

/* realm.c */
/* The document has changed: whoever is not trusted any more is forgotten. Before the rest of foreign_set_network. */
void realm_set_network(struct coordinator *c);
void realm_destroy_all(struct coordinator *c);
/* NULL: no trusted network has that zone. */
struct realm *realm_find(const struct coordinator *c, const char *zone);
/* A link to one of its coordinators stands, or tells of a newer document: fetched unless it is on its way. */
void realm_fetch(struct coordinator *c, struct foreign *f);
/* That coordinator is gone, or does not answer. */
void realm_forget_from(struct foreign *f);
/* MESSAGE_NETWORK_REQUEST and MESSAGE_NETWORK_RESPONSE of another network's coordinator. */
enum err realm_input_request(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
enum err realm_input_response(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
/* A relay is used only if their document names it: whoever answers binds is told by them (T26). */
bool realm_has_relay(const struct realm *realm, const struct relay_grant *grant);
