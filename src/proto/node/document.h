/* document.h: fetching a newer network document from the coordinator. */
#pragma once

#include "base/cursor.h"
#include "base/time.h"

struct node;

/* Zeroed: nothing under way. */
struct document {
	uint8_t *bytes; /* NETWORK_MAX_SIZE while it is fetched; else NULL */
	uint64_t epoch;
	uint16_t at, size;
};

void document_finish(struct document *document);
/* The coordinator has the document of this epoch: fetched when it is newer than ours. */
void document_told(struct node *node, struct time_us now, uint64_t epoch);
void document_received(struct node *node, struct time_us now, uint32_t transaction, struct reader *body);
