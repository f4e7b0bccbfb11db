/*
 * document.c: network documents as they are now, from our coordinator in pieces: who serves which zone, who is revoked,
 * and the same of networks that ours trusts. Each was signed by its account server; without it the leases of its zones
 * could not be judged.
 */
#include <string.h>

#include "base/mem.h"
#include "proto/node/machine.h"
#include "proto/session/abroad.h"
#include "wire/network_part.h"

#define WANT_AGAIN_US (2 * USEC_PER_SEC) /* another network's document; ours is told of by every Keep Alive */

static void ask(struct node *node, struct time_us now)
{
	uint8_t plaintext[64 + ZONE_MAX_SIZE];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct network_request request = {.epoch = node->document.epoch, .offset = node->document.at};

	memcpy(request.zone, node->document.zone, sizeof request.zone);
	message_header_encode(MESSAGE_NETWORK_REQUEST, ++node->transaction, &w);
	network_request_encode(&request, &w);
	link_request(node, now, MESSAGE_NETWORK_REQUEST, &w);
}

static void start(struct node *node, struct time_us now, uint64_t epoch, const char *zone)
{
	struct document *document = &node->document;

	if (!document->bytes)
		document->bytes = mem_alloc(NETWORK_MAX_SIZE, 1);
	memset(document->zone, 0, sizeof document->zone);
	memcpy(document->zone, zone, strlen(zone));
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
		start(node, now, epoch, "");
}

/* --- networks that ours trusts --- */

/* By our own document alone. */
const struct trusted_entry *document_abroad(const struct node *node, const char *fqdn)
{
	return abroad_find(node->network, fqdn);
}

static struct abroad *find_abroad(const struct node *node, const char *zone)
{
	for (int i = 0; i < TRUSTED_MAX; i++)
		if (node->abroad[i] && strcmp(node->abroad[i]->trusted.zone, zone) == 0)
			return node->abroad[i];
	return NULL;
}

/* See document.h. */
const struct network *document_of(const struct node *node, const struct trusted_entry *entry)
{
	const struct abroad *abroad = find_abroad(node, entry->zone);

	return abroad ? abroad->network : NULL;
}

static struct abroad *enter_abroad(struct node *node, const struct trusted_entry *entry)
{
	struct abroad *abroad = find_abroad(node, entry->zone);

	for (int i = 0; i < TRUSTED_MAX && !abroad; i++)
		if (!node->abroad[i]) {
			abroad = node->abroad[i] = mem_alloc(1, sizeof *abroad);
			abroad->trusted = *entry;
		}
	return abroad;
}

/* Our own comes first: it says whom to trust. */
void document_want(struct node *node, struct time_us now, const struct trusted_entry *entry)
{
	struct abroad *abroad = enter_abroad(node, entry);
	bool is_busy = node->document.bytes && strcmp(node->document.zone, entry->zone) != 0;

	if (!abroad || is_busy || (abroad->asked.us && time_since(now, abroad->asked) < WANT_AGAIN_US))
		return;
	abroad->asked = now;
	start(node, now, 0, entry->zone);
}

static void destroy_abroad(struct abroad **at)
{
	if (*at)
		mem_free((*at)->network);
	mem_free(*at);
	*at = NULL;
}

/* See document.h. */
void document_forget_all(struct node *node)
{
	for (int i = 0; i < TRUSTED_MAX; i++)
		destroy_abroad(&node->abroad[i]);
}

static bool is_trusted_still(const struct node *node, const struct trusted_entry *old)
{
	for (uint8_t i = 0; i < node->network->trusted_count; i++) {
		const struct trusted_entry *entry = &node->network->trusted[i];

		if (strcmp(entry->zone, old->zone) == 0 && memcmp(entry->authority, old->authority, KEY_SIZE) == 0)
			return true;
	}
	return false;
}

/* Whoever is not trusted any more loses its tunnels with us at once. */
static void review_trust(struct node *node)
{
	for (int i = 0; i < TRUSTED_MAX; i++)
		if (node->abroad[i] && !is_trusted_still(node, &node->abroad[i]->trusted))
			destroy_abroad(&node->abroad[i]);
	for (size_t i = node->roster.count; i-- > 0;) {
		struct peer *peer = node->roster.all[i];
		const struct trusted_entry *entry =
			peer->is_foreign ? document_abroad(node, peer->identity->text) : NULL;

		if (peer->is_foreign && (!entry || !document_of(node, entry)))
			peer_destroy(node, peer);
	}
}

/* Whom their account server has revoked: as their coordinator would tell, if it did. */
static void drop_revoked(struct node *node, const struct network *network, const char *zone)
{
	for (size_t i = 0; i < node->roster.count; i++) {
		struct peer *peer = node->roster.all[i];

		if (!peer->is_foreign || !dns_name_in_zone(peer->identity->text, zone) ||
		    !abroad_is_revoked(network, &peer->id))
			continue;
		contact_stop(node, peer);
		peer_end_session(node, peer, node->now, REASON_REVOKED);
	}
}

/* --- the whole document is here --- */

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
static bool adopt_own(struct node *node, struct time_us now, const struct network *network)
{
	struct node_event event = {.type = NODE_EVENT_NETWORK};
	const struct coordinator_entry *own = node_find_coordinator(network, node->certificate.fqdn);
	bool is_relisted;

	if (!own || network->epoch <= node->network->epoch)
		return false;
	is_relisted = has_other_relays(node->network, network);
	*node->network = *network;
	node->coordinator = &node->network->coordinators[own - network->coordinators];
	review_trust(node);
	node_emit(node, &event);
	if (is_relisted)
		relay_rtt_relisted(node, now);
	return true;
}

/* Contract in document.h. What is being fetched may be older. */
bool document_take(struct node *node, struct time_us now, const struct network *network)
{
	if (network->version_floor > PROTOCOL_VERSION || !adopt_own(node, now, network))
		return false;
	if (node->document.bytes && !node->document.zone[0])
		document_finish(&node->document);
	return true;
}

/* An older one than we have undoes no revocation. */
static bool adopt_abroad(struct node *node, struct abroad *abroad, const struct network *network)
{
	if (abroad->network && network->epoch < abroad->network->epoch)
		return false;
	if (!abroad->network)
		abroad->network = mem_alloc(1, sizeof *abroad->network);
	*abroad->network = *network;
	drop_revoked(node, network, abroad->trusted.zone);
	return true;
}

static void adopt(struct node *node, struct time_us now)
{
	struct network *network = mem_alloc(1, sizeof *network);
	struct abroad *abroad = node->document.zone[0] ? find_abroad(node, node->document.zone) : NULL;
	const uint8_t *authority = abroad ? abroad->trusted.authority : node->authority;
	bool is_good =
		network_judge((struct blob){node->document.bytes, node->document.size}, authority, network) == OK &&
		network->version_floor <= PROTOCOL_VERSION;

	if (is_good && node->document.zone[0])
		is_good = abroad && adopt_abroad(node, abroad, network);
	else if (is_good)
		is_good = adopt_own(node, now, network);
	node->counters.dropped_auth += !is_good;
	mem_free(network);
	document_finish(&node->document);
}

/* Another epoch's pieces begin anew. Of another network's document the first piece tells the epoch. */
static bool has_changed(const struct document *document, const struct network_response *m)
{
	if (document->zone[0] && document->at == 0)
		return false;
	return m->epoch != document->epoch || (document->size && m->size != document->size);
}

static void begin_again(struct node *node, struct time_us now, uint64_t epoch)
{
	char zone[ZONE_MAX_SIZE + 1];

	memcpy(zone, node->document.zone, sizeof zone);
	document_finish(&node->document);
	if (zone[0])
		start(node, now, 0, zone);
	else
		document_told(node, now, epoch);
}

/* Pieces come in the order in which they are asked for. */
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
	if (has_changed(document, &m)) {
		begin_again(node, now, m.epoch);
		return;
	}
	if (m.offset != document->at)
		return;
	document->epoch = m.epoch;
	document->size = m.size;
	memcpy(document->bytes + document->at, m.data.data, m.data.size);
	document->at = (uint16_t)(document->at + m.data.size);
	if (document->at == document->size)
		adopt(node, now);
	else
		ask(node, now);
}
