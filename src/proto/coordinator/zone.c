/*
 * zone.c: the authoritative name server of the zone and of the pools' reverse names, from own state only: no recursion,
 * no referral, no transfer, and so nothing that could be poisoned (T22).
 */
#include <string.h>

#include "proto/coordinator/state.h"
#include "wire/dns.h"
#include "wire/zone_record.h"

enum { TTL_S = 60, SOA_REFRESH_S = 3600, SOA_RETRY_S = 600, SOA_EXPIRE_S = 86400 };

/* What a question is about. `exists` without records is NODATA. */
struct finding {
	bool is_ours, exists, is_apex;
	const struct member *member; /* its addresses, or its name when is_reverse */
	bool is_reverse, is_server, is_record;
	const struct coordinator_entry *delegated; /* another coordinator's zone inside ours */
	char apex[ZONE_MAX_SIZE + 1];		   /* whose SOA goes with a negative answer */
	char server[ZONE_MAX_SIZE + 4];		   /* "ns." and the zone */
};

_Static_assert((int)ZONE_MAX_SIZE >= (int)DNS_REVERSE_MAX, "a reverse apex fits");

/* A zone of another coordinator that lies inside ours. */
static const struct coordinator_entry *find_delegated(const struct coordinator *c, const char *name)
{
	for (size_t i = 0; c->network && i < c->network->coordinator_count; i++) {
		const struct coordinator_entry *entry = &c->network->coordinators[i];

		if (strcmp(entry->zone, c->config.zone) != 0 && dns_name_in_zone(entry->zone, c->config.zone) &&
		    dns_name_in_zone(name, entry->zone))
			return entry;
	}
	return NULL;
}

/* Names in the forward zone: the apex, its server, its NTM record, and one label per member; what lies deeper is
 * another coordinator's. */
static void find_forward(const struct coordinator *c, const char *name, struct finding *finding)
{
	const struct member *member;

	finding->is_ours = true;
	memcpy(finding->apex, c->config.zone, sizeof finding->apex);
	finding->is_apex = strcmp(name, c->config.zone) == 0;
	finding->is_server = strcmp(name, finding->server) == 0;
	finding->is_record = strncmp(name, ZONE_RECORD_LABEL, strlen(ZONE_RECORD_LABEL)) == 0 &&
			     strcmp(name + strlen(ZONE_RECORD_LABEL), c->config.zone) == 0;
	finding->exists = finding->is_apex || finding->is_server || finding->is_record;
	if (finding->exists || strlen(name) > FQDN_MAX_SIZE)
		return;
	member = member_find_name(c, name);
	if (member && member->has_lease && !member_is_revoked(c, &member->id)) {
		finding->member = member;
		finding->exists = true;
	}
	if (!finding->exists)
		finding->delegated = find_delegated(c, name);
}

/* Is the whole of part inside whole? */
static bool prefix_covers(const struct prefix *whole, const struct prefix *part)
{
	return part->bits >= whole->bits && prefix_contains(whole, &part->ip);
}

/* A reverse name below one of the pools. The zone's cut is at the first label boundary at or below the pool's prefix.
 */
static void find_reverse(const struct coordinator *c, const struct prefix *asked, struct finding *finding)
{
	const struct prefix *pool = asked->ip.family == 4 ? &c->config.pool4 : &c->config.pool6;
	unsigned step = asked->ip.family == 4 ? 8 : 4;
	uint8_t cut = (uint8_t)((pool->bits + step - 1) / step * step);
	const struct member *member;

	if (asked->bits < cut || !prefix_covers(pool, asked))
		return;
	finding->is_ours = true;
	finding->is_apex = asked->bits == cut;
	dns_reverse_name(&asked->ip, cut, finding->apex);
	if (asked->bits < (asked->ip.family == 4 ? 32 : 128)) {
		finding->exists = true; /* between apex and hosts: names below may exist (RFC 8020) */
		return;
	}
	member = member_find_ip(c, &asked->ip);
	if (member && member->fqdn[0] && !member_is_revoked(c, &member->id)) {
		finding->member = member;
		finding->is_reverse = true;
		finding->exists = true;
	}
	finding->exists = finding->exists || finding->is_apex;
}

/* A name below the zone's; ret has room for both. */
static void below(const struct coordinator *c, const char *label, char *ret)
{
	size_t size = strlen(label);

	memcpy(ret, label, size);
	memcpy(ret + size, c->config.zone, strlen(c->config.zone) + 1);
}

/* Own state, looked up by the question's name. */
static void find(const struct coordinator *c, const char *name, struct finding *ret)
{
	struct prefix asked;

	*ret = (struct finding){0};
	below(c, "ns.", ret->server);
	if (dns_name_in_zone(name, c->config.zone))
		find_forward(c, name, ret);
	else if (dns_reverse_parse(name, &asked) == OK)
		find_reverse(c, &asked, ret);
}

/* In the answer at an apex, else in the authority section with the negative TTL of RFC 2308. */
static void add_soa(const struct coordinator *c, struct dns_answer *answer, enum dns_section section,
		    const struct finding *finding)
{
	char rname[ZONE_MAX_SIZE + 12];
	struct dns_soa soa = {
		.mname = finding->server,
		.rname = rname,
		.serial = c->zone_serial,
		.refresh_s = SOA_REFRESH_S,
		.retry_s = SOA_RETRY_S,
		.expire_s = SOA_EXPIRE_S,
		.minimum_s = TTL_S,
	};

	below(c, "hostmaster.", rname);
	dns_answer_add_soa(answer, section, section == DNS_ANSWER ? NULL : finding->apex, TTL_S, &soa);
}

/* The server's own addresses: as answer (owner NULL) or as glue. */
static void add_server(const struct coordinator *c, struct dns_answer *answer, enum dns_section section,
		       const char *owner, bool v4, bool v6)
{
	if (v4 && c->config.ns_v4.family == 4)
		dns_answer_add_a(answer, section, owner, TTL_S, &c->config.ns_v4);
	if (v6 && c->config.ns_v6.family == 6)
		dns_answer_add_aaaa(answer, section, owner, TTL_S, &c->config.ns_v6);
}

/* Where the zone's coordinator is and by which key it is known, for coordinators that the network document has not told
 * of us. */
static void add_record(const struct coordinator *c, struct dns_answer *answer)
{
	const struct coordinator_entry *entry = coordinator_own_entry(c);
	struct zone_record record = {0};
	uint8_t bytes[ZONE_RECORD_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;

	if (!entry)
		return;
	authority_pin(c->config.authority, record.pin);
	memcpy(record.static_key, entry->static_key, KEY_SIZE);
	record.addresses = entry->addresses;
	zone_record_encode(&record, &w);
	if (writer_finish(&w, &size) == OK)
		dns_answer_add_txt(answer, DNS_ANSWER, NULL, TTL_S, bytes, size);
}

/* Whom to ask instead: the name server of a zone inside ours is at its coordinator's addresses. */
static void add_referral(struct dns_answer *answer, const struct coordinator_entry *entry)
{
	char server[ZONE_MAX_SIZE + 4] = "ns.";

	memcpy(server + 3, entry->zone, strlen(entry->zone) + 1);
	dns_answer_add_ns(answer, DNS_AUTHORITY, entry->zone, TTL_S, server);
	for (uint8_t i = 0; i < entry->addresses.count; i++) {
		const struct ip *ip = &entry->addresses.list[i].ip;

		if (ip->family == 4)
			dns_answer_add_a(answer, DNS_ADDITIONAL, server, TTL_S, ip);
		else if (ip->family == 6)
			dns_answer_add_aaaa(answer, DNS_ADDITIONAL, server, TTL_S, ip);
	}
}

/* Records of the asked type at an existing name. For ANY one set is enough (RFC 8482). */
static void add_records(const struct coordinator *c, struct dns_answer *answer, const struct finding *finding,
			uint16_t type)
{
	bool any = type == DNS_ANY;
	const struct member *member = finding->member;

	if (member && finding->is_reverse) {
		if (type == DNS_PTR || any)
			dns_answer_add_ptr(answer, DNS_ANSWER, NULL, TTL_S, member->fqdn);
	} else if (member) {
		if (type == DNS_A || any)
			dns_answer_add_a(answer, DNS_ANSWER, NULL, TTL_S, &member->lease.v4);
		else if (type == DNS_AAAA)
			dns_answer_add_aaaa(answer, DNS_ANSWER, NULL, TTL_S, &member->lease.v6);
	} else if (finding->is_record) {
		if (type == DNS_TXT || any)
			add_record(c, answer);
	} else if (finding->is_server) {
		add_server(c, answer, DNS_ANSWER, NULL, type == DNS_A || any, type == DNS_AAAA);
	}
	if (!finding->is_apex)
		return;
	if (type == DNS_SOA || any)
		add_soa(c, answer, DNS_ANSWER, finding);
	if (type == DNS_NS) {
		dns_answer_add_ns(answer, DNS_ANSWER, NULL, TTL_S, finding->server);
		add_server(c, answer, DNS_ADDITIONAL, finding->server, true, true);
	}
}

/* Is this question anything that we answer with data? DNS_NOERROR, or the code to refuse it with. */
static uint8_t judge(const struct dns_query *query)
{
	if (query->rcode != DNS_NOERROR)
		return query->rcode;
	if (query->class != DNS_CLASS_IN)
		return DNS_REFUSED;
	if (query->type == DNS_AXFR || query->type == DNS_IXFR)
		return DNS_REFUSED;
	if (query->type == 0 || query->type == DNS_OPT)
		return DNS_FORMERR;
	if (query->type > DNS_IXFR - 3 && query->type < DNS_ANY)
		return DNS_NOTIMP; /* TKEY, TSIG, MAILA, MAILB: meta types */
	return DNS_NOERROR;
}

/* Answers with nothing but a code. */
static size_t answer_code(struct coordinator *c, const struct dns_query *query, uint8_t rcode, bool is_tcp,
			  uint8_t *ret, size_t capacity)
{
	struct dns_answer answer;

	c->counters.dns_refused++;
	dns_answer_begin(&answer, query, rcode, 0, is_tcp, ret, capacity);
	return dns_answer_finish(&answer);
}

/* At most 2 Mbit/s of answers to any one victim (T6); whoever is behind a busy resolver has TCP as well. */
bool coordinator_admits_dns(struct coordinator *c, struct time_us now, const struct ip *source)
{
	static const struct bucket_rate rate = {.per_s = 200, .burst = 1000};
	bool is_admitted = admission_take_own(&c->questions, source, &rate, now);

	c->counters.dns_limited += !is_admitted;
	return is_admitted;
}

/* See coordinator.h. */
size_t coordinator_answer_dns(struct coordinator *c, struct time_us now, const uint8_t *packet, size_t size,
			      bool is_tcp, uint8_t *ret_answer, size_t capacity)
{
	struct dns_query query;
	struct dns_answer answer;
	struct finding finding;
	uint8_t rcode;

	(void)now; /* names do not age: a node keeps its own for life */
	c->counters.dns_queries++;
	if (dns_query_parse(packet, size, &query) != OK)
		return 0;
	rcode = judge(&query);
	if (rcode != DNS_NOERROR)
		return answer_code(c, &query, rcode, is_tcp, ret_answer, capacity);
	find(c, query.name, &finding);
	if (!finding.is_ours)
		return answer_code(c, &query, DNS_REFUSED, is_tcp, ret_answer, capacity);
	c->counters.dns_answers++;
	dns_answer_begin(&answer, &query, finding.exists || finding.delegated ? DNS_NOERROR : DNS_NXDOMAIN,
			 finding.delegated ? 0 : DNS_AUTHORITATIVE, is_tcp, ret_answer, capacity);
	if (finding.delegated) {
		add_referral(&answer, finding.delegated);
		return dns_answer_finish(&answer);
	}
	if (finding.exists)
		add_records(c, &answer, &finding, query.type);
	if (answer.counts[DNS_ANSWER] == 0 && !answer.truncated)
		add_soa(c, &answer, DNS_AUTHORITY, &finding);
	return dns_answer_finish(&answer);
}
