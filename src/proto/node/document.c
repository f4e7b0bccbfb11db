/*
 * document.c: the network document as it is now, from our coordinator in pieces: who serves which zone, who is revoked.
 * It was signed by the account server; without it the leases of a zone that is new could not be judged.
 */
#include <string.h>

#include "base/mem.h"
#include "proto/node/machine.h"
#include "wire/network_part.h"

static void ask(struct node *node, struct time_us now)
{
	uint8_t plaintext[64];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct network_request request = {.epoch = node->document.epoch, .offset = node->document.at};

	message_header_encode(MESSAGE_NETWORK_REQUEST, ++node->transaction, &w);
	network_request_encode(&request, &w);
	link_request(node, now, MESSAGE_NETWORK_REQUEST, &w);
}

static void start(struct node *node, struct time_us now, uint64_t epoch)
{
	struct document *document = &node->document;

	if (!document->bytes)
		document->bytes = mem_alloc(NETWORK_MAX_SIZE, 1);
	document->epoch = epoch;
	document->at = 0;
	document->size = 0;
	ask(node, now);
}

/* Nothing under way any more. */
void document_finish(struct document *document)
{
	mem_free(document->bytes);
	*document = (struct document){0};
}

/* With every Keep Alive: what was given up before begins anew then. */
void document_told(struct node *node, struct time_us now, uint64_t epoch)
{
	if (epoch > node->network->epoch)
		start(node, now, epoch);
}

/* Who left need not be measured anew, who came has to be. */
static bool has_other_relays(const struct network *before, const struct network *after)
{
	for (uint8_t i = 0; i < after->relay_count; i++) {
		bool is_known = false;

		for (uint8_t k = 0; k < before->relay_count; k++)
			is_known |= memcmp(before->relays[k].static_key, after->relays[i].static_key, KEY_SIZE) == 0;
		if (!is_known)
			return true;
	}
	return false;
}

/* Judged like the one that we joined with. Our own coordinator stays who it is until it tells us otherwise. */
static void adopt(struct node *node, struct time_us now)
{
	bool is_relisted = false;
	struct network *network = mem_alloc(1, sizeof *network);
	struct node_event event = {.type = NODE_EVENT_NETWORK};
	const struct coordinator_entry *own;

	if (network_judge((struct blob){node->document.bytes, node->document.size}, node->authority, network) == OK &&
	    network->epoch > node->network->epoch && network->version_floor <= PROTOCOL_VERSION &&
	    (own = node_find_coordinator(network, node->certificate.fqdn)) != NULL) {
		is_relisted = has_other_relays(node->network, network);
		*node->network = *network;
		node->coordinator = &node->network->coordinators[own - network->coordinators];
		node_emit(node, &event);
	} else {
		node->counters.dropped_auth++;
	}
	mem_free(network);
	document_finish(&node->document);
	if (is_relisted)
		relay_rtt_relisted(node, now);
}

/* Pieces come in the order in which they are asked for; another epoch's begin anew. */
void document_received(struct node *node, struct time_us now, uint32_t transaction, struct reader *body)
{
	struct document *document = &node->document;
	struct network_response m;
	struct request asked;

	if (network_response_decode(body, &m) != OK) {
		node->counters.dropped_malformed++;
		return;
	}
	if (!request_done(&node->link.requests, transaction, &asked) || !document->bytes)
		return;
	if (m.epoch != document->epoch || (document->size && m.size != document->size)) {
		document_finish(document);
		document_told(node, now, m.epoch);
		return;
	}
	if (m.offset != document->at)
		return;
	document->size = m.size;
	memcpy(document->bytes + document->at, m.data.data, m.data.size);
	document->at = (uint16_t)(document->at + m.data.size);
	if (document->at == document->size)
		adopt(node, now);
	else
		ask(node, now);
}
