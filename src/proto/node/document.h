/* document.h: network documents from the coordinator, in pieces: a newer one of our own network, and those of networks
 * that ours trusts. */
#pragma once

#include "base/time.h"
#include "wire/credential.h"

struct node;

/* Zeroed: nothing under way. */
struct document {
	uint8_t *bytes; /* NETWORK_MAX_SIZE while it is fetched; else NULL */
	uint64_t epoch;
	uint16_t at, size;
	char zone[ZONE_MAX_SIZE + 1]; /* the trusted network's; empty: our own */
};

/* Another network's document, as far as it has been needed. */
struct abroad {
	struct trusted_entry trusted;
	struct network *network; /* NULL: none */
	struct time_us asked;
};

void document_finish(struct document *document);
/* The coordinator has our network's document of this epoch: fetched when it is newer than ours. */
void document_told(struct node *node, struct time_us now, uint64_t epoch);
/* From the account server itself, verified: taken when it is newer than ours. */
bool document_take(struct node *node, struct time_us now, const struct network *network);
void document_received(struct node *node, struct time_us now, uint32_t transaction, struct reader *body);

/* Which other network's node is it, by its name? NULL: one of ours. */
const struct trusted_entry *document_abroad(const struct node *node, const char *fqdn);
/* That network's document; NULL while it is not here. */
const struct network *document_of(const struct node *node, const struct trusted_entry *entry);
/* Asks for it, or for a newer one, not too often. */
void document_want(struct node *node, struct time_us now, const struct trusted_entry *entry);
void document_forget_all(struct node *node);
