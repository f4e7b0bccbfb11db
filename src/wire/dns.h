/*
 * dns.h: a small bounded DNS codec (RFC 1035, EDNS0 of RFC 6891): one question in, answers from own state out. For the
 * coordinator's zone and for the node's stub resolver. Work per packet is bounded by its size; compression pointers
 * only go backwards (RFC 9267, T22).
 *
 * Names as text: lower case, without the final dot, the root is "". Bytes that a text could not carry ('.', '\\',
 * controls, non-ASCII) are escaped as \DDD, so that two different names never have the same text.
 */
#pragma once

#include <stdbool.h>

#include "base/addr.h"
#include "base/cursor.h"

enum {
	DNS_HEADER_SIZE = 12,
	DNS_LABEL_MAX = 63,
	DNS_WIRE_NAME_MAX = 255, /* with the root label */
	DNS_TEXT_MAX = 4 * 254,	 /* every byte escaped */
	DNS_REVERSE_MAX = 73,	 /* 32 nibbles and "ip6.arpa", with the terminating zero */
	DNS_UDP_PLAIN = 512,	 /* largest answer without EDNS (RFC 1035 4.2.1) */
	DNS_UDP_MAX = 1232,	 /* largest answer with EDNS: never fragmented */
	DNS_OPT_SIZE = 11,
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum { DNS_CLASS_IN = 1, DNS_CLASS_ANY = 255 };

/* BADVERS needs the OPT record's upper bits. */
enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

/* dns_answer_begin: flags. */
enum { DNS_AUTHORITATIVE = 1, DNS_RECURSION_AVAILABLE = 2 };

struct dns_query {
	uint16_t id;
	uint8_t opcode;
	bool recursion_desired, checking_disabled;
	uint8_t rcode; /* what is wrong with the query, as it should be answered; DNS_NOERROR when nothing is */
	uint16_t type, class;
	char name[DNS_TEXT_MAX + 1];
	/* The question as it goes back: uncompressed, case as asked (0x20 and RFC 4343), type, class. Size 0 when it
	 * could not be read. */
	uint8_t question[DNS_WIRE_NAME_MAX + 4];
	uint16_t question_size;
	bool has_edns, dnssec_ok;
	uint16_t udp_size; /* what the asker takes over UDP: DNS_UDP_PLAIN without EDNS */
};

/* An answer being built, in the caller's buffer. */
struct dns_answer {
	struct writer w; /* limited to what the asker takes, less room for OPT */
	size_t capacity; /* limit including OPT */
	uint16_t counts[DNS_SECTIONS];
	uint8_t rcode; /* the caller may still change it before dns_answer_finish: 8 bit, with the extended part */
	bool has_edns, dnssec_ok, truncated;
};

struct dns_soa {
	const char *mname, *rname; /* texts */
	uint32_t serial, refresh_s, retry_s, expire_s, minimum_s;
};

/*
 * OK: ret may be answered, with ret->rcode when that is not DNS_NOERROR. An error means that no answer may be sent at
 * all: too short for a header, or itself an answer.
 */
must_use enum err dns_query_parse(const uint8_t *packet, size_t size, struct dns_query *ret);

/*
 * Starts an answer to query in `bytes`: header and question. Over UDP it is limited to query->udp_size, and never over
 * DNS_UDP_MAX. Records go in in the order of their sections. One that does not fit sets TC, or is left out when it is
 * an additional one.
 */
void dns_answer_begin(struct dns_answer *answer, const struct dns_query *query, uint8_t rcode, unsigned flags,
		      bool is_tcp, uint8_t *bytes, size_t capacity);
/* owner NULL: the question's name, by a pointer to it. ip must be of family 4. */
void dns_answer_add_a(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
		      const struct ip *ip);
/* ip must be of family 6. */
void dns_answer_add_aaaa(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			 const struct ip *ip);
void dns_answer_add_ptr(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			const char *target);
void dns_answer_add_ns(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
		       const char *target);
void dns_answer_add_soa(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			const struct dns_soa *soa);
/* Strings as they stand in the record: each behind its length. */
void dns_answer_add_txt(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			const uint8_t *strings, size_t size);
/* Completes header and OPT. Returns the size; 0 when not even the header fitted. */
size_t dns_answer_finish(struct dns_answer *answer);

/*
 * Reads the name at *at of a packet, following pointers that go strictly backwards; *at moves behind it. wire
 * (DNS_WIRE_NAME_MAX bytes, may be NULL) gets it uncompressed with its case, text (DNS_TEXT_MAX + 1, may be NULL) as
 * text. ERR_TRUNCATED, ERR_MALFORMED.
 */
must_use enum err dns_name_read(const uint8_t *packet, size_t size, size_t *at, uint8_t *ret_wire,
				size_t *ret_wire_size, char *ret_text);
/* The other way; ERR_MALFORMED for an empty or too long label or name, or a bad escape. */
must_use enum err dns_name_from_text(const char *text, uint8_t ret_wire[DNS_WIRE_NAME_MAX], size_t *ret_size);
/* Is name the zone itself or below it? Both lower-case text. The root zone "" contains everything. */
bool dns_name_in_zone(const char *name, const char *zone);
/* Is text one label of a host name: letters, digits, inner hyphens, 1 to 63? */
bool dns_label_is_host(const char *text, size_t size);

/*
 * What a name under in-addr.arpa or ip6.arpa stands for: all 32 or 128 bits for a host, fewer for a name between.
 * ERR_UNKNOWN when it is no such name.
 */
must_use enum err dns_reverse_parse(const char *name, struct prefix *ret);
/* The name for the first `bits` of ip: rounded up to whole octets (IPv4) or nibbles (IPv6). */
void dns_reverse_name(const struct ip *ip, uint8_t bits, char ret[DNS_REVERSE_MAX]);
