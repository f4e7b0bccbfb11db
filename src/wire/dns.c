#include "wire/dns.h"

#include <assert.h>
#include <string.h>

enum {
	FLAG_QR = 0x8000,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_CD = 0x0010,
	OPCODE_SHIFT = 11,
	OPCODE_MASK = 0x0f,
	LABEL_POINTER = 0xc0,
	QUESTION_POINTER = 0xc000 | DNS_HEADER_SIZE,
	EDNS_DO = 0x8000,
	JUMPS_MAX = 16, /* compression pointers in one name, and other records in one query: with both, work is linear
			   in the packet's size */
	RECORDS_MAX = 16,
};

/* ASCII only: DNS compares no other letters (RFC 4343). */
static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* Bytes that stand for themselves in a text. */
static bool is_plain(uint8_t c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\';
}

/* Appends one label to a text of which `at` characters are written; there is room by DNS_TEXT_MAX. */
static size_t text_append(char *text, size_t at, const uint8_t *label, size_t size)
{
	if (at > 0)
		text[at++] = '.';
	for (size_t i = 0; i < size; i++) {
		uint8_t c = lower(label[i]);

		if (is_plain(c)) {
			text[at++] = (char)c;
			continue;
		}
		text[at++] = '\\';
		text[at++] = (char)('0' + c / 100);
		text[at++] = (char)('0' + c / 10 % 10);
		text[at++] = (char)('0' + c % 10);
	}
	return at;
}

/* Each pointer must lead before the place where the last jump landed, so the walk ends (RFC 9267 2). */
enum err dns_name_read(const uint8_t *packet, size_t size, size_t *at, uint8_t *ret_wire, size_t *ret_wire_size,
		       char *ret_text)
{
	uint8_t wire[DNS_WIRE_NAME_MAX];
	char text[DNS_TEXT_MAX + 1];
	size_t from = *at, floor = *at, after = 0, written = 0, texted = 0;
	unsigned jumps = 0;

	while (true) {
		uint8_t head;

		if (from >= size)
			return ERR_TRUNCATED;
		head = packet[from];
		if ((head & LABEL_POINTER) == LABEL_POINTER) {
			size_t target;

			if (size - from < 2)
				return ERR_TRUNCATED;
			target = (size_t)(head & ~LABEL_POINTER) << 8 | packet[from + 1];
			if (target < DNS_HEADER_SIZE || target >= floor || ++jumps > JUMPS_MAX)
				return ERR_MALFORMED;
			after = after ? after : from + 2;
			from = floor = target;
			continue;
		}
		if (head > DNS_LABEL_MAX)
			return ERR_MALFORMED;
		if (size - from < 1u + head)
			return ERR_TRUNCATED;
		if (written + 1 + head + (head ? 1 : 0) > sizeof wire)
			return ERR_MALFORMED;
		memcpy(wire + written, packet + from, 1u + head);
		written += 1u + head;
		from += 1u + head;
		if (head == 0)
			break;
		texted = text_append(text, texted, wire + written - head, head);
	}
	text[texted] = 0;
	*at = after ? after : from;
	if (ret_wire) {
		memcpy(ret_wire, wire, written);
		*ret_wire_size = written;
	}
	if (ret_text)
		memcpy(ret_text, text, texted + 1);
	return OK;
}

/* One character of a text, escaped or not; false for a bad escape. Advances *text. */
static bool text_next(const char **text, uint8_t *ret)
{
	const char *t = *text;
	unsigned value = 0;

	if (*t != '\\') {
		*ret = (uint8_t)*t;
		*text = t + 1;
		return true;
	}
	for (int i = 1; i <= 3; i++) {
		if (t[i] < '0' || t[i] > '9')
			return false;
		value = value * 10 + (unsigned)(t[i] - '0');
	}
	if (value > 255)
		return false;
	*ret = (uint8_t)value;
	*text = t + 4;
	return true;
}

/* The inverse of what dns_name_read writes as text. */
enum err dns_name_from_text(const char *text, uint8_t ret_wire[DNS_WIRE_NAME_MAX], size_t *ret_size)
{
	uint8_t wire[DNS_WIRE_NAME_MAX];
	size_t at = 0;

	while (*text) {
		size_t head = at++;
		size_t size = 0;

		while (*text && *text != '.') {
			uint8_t c;

			if (size == DNS_LABEL_MAX || at + 1 >= sizeof wire || !text_next(&text, &c))
				return ERR_MALFORMED;
			wire[at++] = c;
			size++;
		}
		if (size == 0 || (*text == '.' && text[1] == 0))
			return ERR_MALFORMED;
		wire[head] = (uint8_t)size;
		text += *text == '.';
	}
	wire[at++] = 0;
	memcpy(ret_wire, wire, at);
	*ret_size = at;
	return OK;
}

/* Reads the fixed part of OPT behind its (root) name and type (RFC 6891 6.1.2). */
static void parse_opt(struct reader *r, struct dns_query *query)
{
	uint16_t udp_size = read_u16(r);
	uint8_t extended_rcode = read_u8(r), version = read_u8(r);
	uint16_t flags = read_u16(r), data_size = read_u16(r);

	(void)extended_rcode;
	(void)read_blob(r, data_size);
	if (query->has_edns)
		reader_fail(r, ERR_MALFORMED); /* RFC 6891 6.1.1: more than one */
	query->has_edns = true;
	query->udp_size = udp_size < DNS_UDP_PLAIN ? DNS_UDP_PLAIN : udp_size;
	query->dnssec_ok = flags & EDNS_DO;
	if (version != 0)
		query->rcode = DNS_BADVERS;
}

/* Everything behind the question: only OPT means something; other records (TSIG, cookies' kin) are stepped over. */
static void parse_records(struct reader *r, struct dns_query *query, size_t count)
{
	if (count > RECORDS_MAX)
		reader_fail(r, ERR_MALFORMED);
	for (size_t i = 0; i < count && r->err == OK; i++) {
		size_t at = r->at;
		bool is_root = reader_left(r) > 0 && r->data[r->at] == 0;
		enum err err = dns_name_read(r->data, r->size, &at, NULL, NULL, NULL);

		if (err) {
			reader_fail(r, err);
			return;
		}
		r->at = at;
		if (read_u16(r) == DNS_OPT) {
			if (!is_root)
				reader_fail(r, ERR_MALFORMED);
			parse_opt(r, query);
			continue;
		}
		(void)read_blob(r, 6); /* class, TTL */
		(void)read_blob(r, read_u16(r));
	}
}

/* The one question: kept as text and as bytes to echo. */
static void parse_question(struct reader *r, struct dns_query *query)
{
	size_t at = r->at, size = 0;
	enum err err = dns_name_read(r->data, r->size, &at, query->question, &size, query->name);

	if (err) {
		reader_fail(r, err);
		return;
	}
	r->at = at;
	query->type = read_u16(r);
	query->class = read_u16(r);
	if (r->err)
		return;
	query->question[size++] = (uint8_t)(query->type >> 8);
	query->question[size++] = (uint8_t)query->type;
	query->question[size++] = (uint8_t)(query->class >> 8);
	query->question[size++] = (uint8_t)query->class;
	query->question_size = (uint16_t)size;
}

/* See dns.h. What cannot be read becomes FORMERR; what is not a QUERY becomes NOTIMP before anything else is looked at.
 */
enum err dns_query_parse(const uint8_t *packet, size_t size, struct dns_query *ret)
{
	struct reader r = reader_over(packet, size);
	struct dns_query query = {.udp_size = DNS_UDP_PLAIN};
	uint16_t flags, questions, answers, authorities, additionals;

	query.id = read_u16(&r);
	flags = read_u16(&r);
	questions = read_u16(&r);
	answers = read_u16(&r);
	authorities = read_u16(&r);
	additionals = read_u16(&r);
	if (r.err)
		return r.err;
	if (flags & FLAG_QR)
		return ERR_STATE; /* two servers answering each other would never stop */
	query.opcode = flags >> OPCODE_SHIFT & OPCODE_MASK;
	query.recursion_desired = flags & FLAG_RD;
	query.checking_disabled = flags & FLAG_CD;
	if (query.opcode != 0) {
		query.rcode = DNS_NOTIMP;
	} else if (questions != 1) {
		query.rcode = DNS_FORMERR;
	} else {
		parse_question(&r, &query);
		if (r.err == OK)
			parse_records(&r, &query, (size_t)answers + authorities + additionals);
		if (r.err)
			query.rcode = DNS_FORMERR;
	}
	*ret = query;
	return OK;
}

/* Header with counts that dns_answer_finish fills in; room for OPT is put aside. */
void dns_answer_begin(struct dns_answer *answer, const struct dns_query *query, uint8_t rcode, unsigned flags,
		      bool is_tcp, uint8_t *bytes, size_t capacity)
{
	uint16_t bits =
		(uint16_t)(FLAG_QR | query->opcode << OPCODE_SHIFT | (query->recursion_desired ? FLAG_RD : 0) |
			   (query->checking_disabled ? FLAG_CD : 0) | (flags & DNS_AUTHORITATIVE ? FLAG_AA : 0) |
			   (flags & DNS_RECURSION_AVAILABLE ? FLAG_RA : 0));
	size_t limit = is_tcp ? UINT16_MAX : query->udp_size < DNS_UDP_MAX ? query->udp_size : DNS_UDP_MAX;

	limit = limit < capacity ? limit : capacity;
	*answer = (struct dns_answer){
		.capacity = limit, .rcode = rcode, .has_edns = query->has_edns, .dnssec_ok = query->dnssec_ok};
	if (answer->has_edns)
		limit = limit > DNS_OPT_SIZE ? limit - DNS_OPT_SIZE : 0;
	answer->w = writer_over(bytes, limit);
	write_u16(&answer->w, query->id);
	write_u16(&answer->w, bits);
	write_u16(&answer->w, query->question_size ? 1 : 0);
	write_zeros(&answer->w, 6);
	write_bytes(&answer->w, query->question, query->question_size);
}

/* Our own texts only, so a bad one is our mistake; still it must not run over. */
static void write_name(struct writer *w, const char *text)
{
	uint8_t wire[DNS_WIRE_NAME_MAX];
	size_t size;

	if (dns_name_from_text(text, wire, &size) == OK)
		write_bytes(w, wire, size);
	else
		w->err = w->err == OK ? ERR_MALFORMED : w->err;
}

/* Owner to data length. Returns a writer to continue with: records are written whole or not at all. */
static struct writer record_begin(const struct dns_answer *answer, const char *owner, uint16_t type, uint32_t ttl_s,
				  size_t *ret_length_at)
{
	struct writer w = answer->w;

	if (owner)
		write_name(&w, owner);
	else
		write_u16(&w, QUESTION_POINTER);
	write_u16(&w, type);
	write_u16(&w, DNS_CLASS_IN);
	write_u32(&w, ttl_s);
	*ret_length_at = write_hole_u16(&w);
	return w;
}

/* Takes the record over, or notes that it did not fit. Once truncated nothing more goes in, so that no later section
 * looks complete. */
static void record_end(struct dns_answer *answer, enum dns_section section, struct writer *w, size_t length_at)
{
	if (answer->truncated)
		return;
	if (w->err || answer->w.err) {
		answer->truncated = section != DNS_ADDITIONAL;
		return;
	}
	write_u16_at(w, length_at, (uint16_t)(w->at - length_at - 2));
	answer->w = *w;
	answer->counts[section]++;
}

/* Both address types. */
static void add_ip(struct dns_answer *answer, enum dns_section section, const char *owner, uint16_t type,
		   uint32_t ttl_s, const struct ip *ip)
{
	size_t length_at;
	struct writer w = record_begin(answer, owner, type, ttl_s, &length_at);

	write_bytes(&w, ip->bytes, ip_size(ip));
	record_end(answer, section, &w, length_at);
}

/* IPv4 address of owner. */
void dns_answer_add_a(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
		      const struct ip *ip)
{
	assert(ip->family == 4);
	add_ip(answer, section, owner, DNS_A, ttl_s, ip);
}

/* IPv6 address of owner. */
void dns_answer_add_aaaa(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			 const struct ip *ip)
{
	assert(ip->family == 6);
	add_ip(answer, section, owner, DNS_AAAA, ttl_s, ip);
}

/* Records whose data is one name. */
static void add_name(struct dns_answer *answer, enum dns_section section, const char *owner, uint16_t type,
		     uint32_t ttl_s, const char *name)
{
	size_t length_at;
	struct writer w = record_begin(answer, owner, type, ttl_s, &length_at);

	write_name(&w, name);
	record_end(answer, section, &w, length_at);
}

/* Name of an address. */
void dns_answer_add_ptr(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			const char *target)
{
	add_name(answer, section, owner, DNS_PTR, ttl_s, target);
}

/* Server of a zone. */
void dns_answer_add_ns(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
		       const char *target)
{
	add_name(answer, section, owner, DNS_NS, ttl_s, target);
}

/* Texts of owner. */
void dns_answer_add_txt(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			const uint8_t *strings, size_t size)
{
	size_t length_at;
	struct writer w = record_begin(answer, owner, DNS_TXT, ttl_s, &length_at);

	write_bytes(&w, strings, size);
	record_end(answer, section, &w, length_at);
}

/* Start of a zone; in the authority section it makes a negative answer cacheable (RFC 2308). */
void dns_answer_add_soa(struct dns_answer *answer, enum dns_section section, const char *owner, uint32_t ttl_s,
			const struct dns_soa *soa)
{
	size_t length_at;
	struct writer w = record_begin(answer, owner, DNS_SOA, ttl_s, &length_at);

	write_name(&w, soa->mname);
	write_name(&w, soa->rname);
	write_u32(&w, soa->serial);
	write_u32(&w, soa->refresh_s);
	write_u32(&w, soa->retry_s);
	write_u32(&w, soa->expire_s);
	write_u32(&w, soa->minimum_s);
	record_end(answer, section, &w, length_at);
}

/* OPT goes last: its room was put aside at the start. */
static void write_opt(struct dns_answer *answer, struct writer *w)
{
	write_u8(w, 0);
	write_u16(w, DNS_OPT);
	write_u16(w, DNS_UDP_MAX);
	write_u8(w, answer->rcode >> 4);
	write_u8(w, 0);
	write_u16(w, answer->dnssec_ok ? EDNS_DO : 0);
	write_u16(w, 0);
}

/* Counts, codes and TC are only known now. */
size_t dns_answer_finish(struct dns_answer *answer)
{
	struct writer *w = &answer->w;
	size_t size;
	uint16_t bits;

	if (w->err || w->at < DNS_HEADER_SIZE)
		return 0;
	w->size = answer->capacity;
	if (answer->has_edns)
		write_opt(answer, w);
	bits = (uint16_t)(w->data[2] << 8 | w->data[3]);
	bits = (uint16_t)(bits | (answer->rcode & 0x0f) | (answer->truncated ? FLAG_TC : 0));
	write_u16_at(w, 2, bits);
	write_u16_at(w, 6, answer->counts[DNS_ANSWER]);
	write_u16_at(w, 8, answer->counts[DNS_AUTHORITY]);
	write_u16_at(w, 10, (uint16_t)(answer->counts[DNS_ADDITIONAL] + (answer->has_edns ? 1 : 0)));
	return writer_finish(w, &size) == OK ? size : 0;
}
