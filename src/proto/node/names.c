#include "proto/node/names.h"

#include <string.h>

#include "base/mem.h"
#include "proto/node/machine.h"

enum { NAME_TTL_S = 60 };

/* Allocates once. */
void names_init(struct names *names)
{
	*names = (struct names){
		.waiting = mem_alloc(NAMES_WAITING_MAX, sizeof *names->waiting),
		.ready = mem_alloc(NAMES_READY_MAX, sizeof *names->ready),
	};
}

/* Whoever waits asks again elsewhere. */
void names_finish(struct names *names)
{
	mem_free(names->waiting);
	mem_free(names->ready);
	*names = (struct names){0};
}

/* Room for an answer; the oldest that nobody fetched gives way. */
static struct ready_answer *next_ready(struct names *names)
{
	if (names->ready_end - names->ready_first == NAMES_READY_MAX)
		names->ready_first++;
	return &names->ready[names->ready_end++ % NAMES_READY_MAX];
}

/* Fetched by the driver. */
bool names_next(struct names *names, uint64_t *ret_token, uint8_t *ret_answer, size_t *ret_size)
{
	const struct ready_answer *ready;

	if (names->ready_first == names->ready_end)
		return false;
	ready = &names->ready[names->ready_first++ % NAMES_READY_MAX];
	*ret_token = ready->token;
	*ret_size = ready->size;
	memcpy(ret_answer, ready->bytes, ready->size);
	return true;
}

/* An answer with the addresses that fit the question (none: NODATA), or with an error. */
static void answer(struct node *node, uint64_t token, const struct dns_query *query, uint8_t rcode, const struct ip *v4,
		   const struct ip *v6, const char *pointer)
{
	struct ready_answer *ready = next_ready(&node->names);
	struct dns_answer a;

	ready->token = token;
	dns_answer_begin(&a, query, rcode, DNS_RECURSION_AVAILABLE, false, ready->bytes, sizeof ready->bytes);
	if (rcode == DNS_NOERROR && query->type == DNS_A && v4 && v4->family)
		dns_answer_add_a(&a, DNS_ANSWER, NULL, NAME_TTL_S, v4);
	if (rcode == DNS_NOERROR && query->type == DNS_AAAA && v6 && v6->family)
		dns_answer_add_aaaa(&a, DNS_ANSWER, NULL, NAME_TTL_S, v6);
	if (rcode == DNS_NOERROR && query->type == DNS_PTR && pointer)
		dns_answer_add_ptr(&a, DNS_ANSWER, NULL, NAME_TTL_S, pointer);
	ready->size = (uint16_t)dns_answer_finish(&a);
}

/* Until the coordinator has said who it is. */
static void wait(struct node *node, struct time_us now, uint64_t token, const struct dns_query *query,
		 const uint8_t *bytes, size_t size)
{
	struct waiting_query *slot = NULL;
	const struct trusted_entry *abroad;

	for (int i = 0; i < NAMES_WAITING_MAX && !slot; i++)
		if (!node->names.waiting[i].used)
			slot = &node->names.waiting[i];
	if (!slot || size > sizeof slot->query || strlen(query->name) > FQDN_MAX_SIZE) {
		answer(node, token, query, DNS_SERVFAIL, NULL, NULL, NULL);
		return;
	}
	abroad = document_abroad(node, query->name);
	if (abroad && !document_of(node, abroad))
		document_want(node, now, abroad); /* needed as soon as the coordinator answers */
	*slot = (struct waiting_query){.used = true, .token = token, .at = now, .size = (uint16_t)size};
	memcpy(slot->query, bytes, size);
	memcpy(slot->fqdn, query->name, strlen(query->name) + 1);
	node_plan(node, time_add(now, NAMES_PATIENCE_US));
	link_request_direction(node, now, query->name, NULL);
}

/* Reverse names: ourselves and the peers we know. */
static void answer_reverse(struct node *node, uint64_t token, const struct dns_query *query, const struct ip *ip)
{
	struct peer *peer = peer_by_inner(node, ip->family, ip->bytes);
	const char *name = peer ? peer->identity->text : NULL;

	if (ip_equal(ip, &node->lease.v4) || ip_equal(ip, &node->lease.v6))
		name = node->certificate.fqdn;
	answer(node, token, query, name ? DNS_NOERROR : DNS_NXDOMAIN, NULL, NULL, name);
}

/* A name of the network's zones: known at once, or after one round trip to the coordinator that directs the tunnel as
 * well. */
static void answer_name(struct node *node, struct time_us now, uint64_t token, const struct dns_query *query,
			bool is_apex, const uint8_t *bytes, size_t size)
{
	struct peer *peer = peer_by_name(node, query->name);

	if (is_apex) {
		answer(node, token, query, DNS_NOERROR, NULL, NULL, NULL);
	} else if (strcmp(query->name, node->certificate.fqdn) == 0 && node->addressed) {
		answer(node, token, query, DNS_NOERROR, &node->lease.v4, &node->lease.v6, NULL);
	} else if (peer && strchr(query->name, '.') && peer->state != NODE_PEER_UNREACHABLE) {
		if (!peer->session && !peer->awake->contact.used)
			link_request_direction(node, now, query->name, NULL);
		answer(node, token, query, DNS_NOERROR, &peer->v4, &peer->v6, NULL);
	} else {
		wait(node, now, token, query, bytes, size);
	}
}

/* Only the network's zones and addresses: ordinary names are another resolver's (design 8). */
void names_query(struct node *node, struct time_us now, uint64_t token, const uint8_t *query, size_t size)
{
	struct dns_query parsed;
	struct prefix reverse;
	bool is_apex;

	if (dns_query_parse(query, size, &parsed) != OK)
		return;
	if (parsed.rcode != DNS_NOERROR)
		answer(node, token, &parsed, parsed.rcode, NULL, NULL, NULL);
	else if (dns_reverse_parse(parsed.name, &reverse) == OK && reverse.bits == ip_size(&reverse.ip) * 8 &&
		 node_is_virtual(node, &reverse.ip))
		answer_reverse(node, token, &parsed, &reverse.ip);
	else if (node_has_zone_of(node, parsed.name, &is_apex))
		answer_name(node, now, token, &parsed, is_apex, query, size);
	else
		answer(node, token, &parsed, DNS_REFUSED, NULL, NULL, NULL);
}

static void settle(struct node *node, struct waiting_query *slot, uint8_t rcode, const struct peer *peer)
{
	struct dns_query parsed;

	slot->used = false;
	if (dns_query_parse(slot->query, slot->size, &parsed) == OK)
		answer(node, slot->token, &parsed, rcode, peer ? &peer->v4 : NULL, peer ? &peer->v6 : NULL, NULL);
}

/* Unknown names do not exist; one that is only offline exists, but its addresses are told when it is back. */
void names_resolved(struct node *node, struct time_us now, const char *fqdn, uint8_t reason)
{
	const struct peer *peer = reason == REASON_NONE ? peer_by_name(node, fqdn) : NULL;
	uint8_t rcode = reason == REASON_NONE		? DNS_NOERROR
			: reason == REASON_UNKNOWN_NAME ? DNS_NXDOMAIN
							: DNS_SERVFAIL;

	(void)now;
	for (int i = 0; i < NAMES_WAITING_MAX; i++)
		if (node->names.waiting[i].used && strcmp(node->names.waiting[i].fqdn, fqdn) == 0)
			settle(node, &node->names.waiting[i], rcode, peer);
}

/* Patience has an end before the asker's. */
void names_run(struct node *node, struct time_us now)
{
	for (int i = 0; i < NAMES_WAITING_MAX; i++)
		if (node->names.waiting[i].used && time_since(now, node->names.waiting[i].at) >= NAMES_PATIENCE_US)
			settle(node, &node->names.waiting[i], DNS_SERVFAIL, NULL);
	node_plan(node, names_deadline(&node->names));
}

/* When the first asker's patience ends. */
struct time_us names_deadline(const struct names *names)
{
	struct time_us at = TIME_NEVER;

	for (int i = 0; i < NAMES_WAITING_MAX; i++)
		if (names->waiting[i].used)
			at = time_min(at, time_add(names->waiting[i].at, NAMES_PATIENCE_US));
	return at;
}
