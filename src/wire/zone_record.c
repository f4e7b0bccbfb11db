#include "wire/zone_record.h"

#include <string.h>

#include "wire/dns.h"

enum {
	STRING_MAX = 255,
	RECORDS_MAX = 32,
	FLAG_RESPONSE = 0x8000,
	FLAG_TRUNCATED = 0x0200,
	RCODE_MASK = 0x000f,
	FLAG_RECURSION_DESIRED = 0x0100
};

static const char VERSION[] = "v=ntm1";

static void put_string(struct writer *w, const char *tag, const char *value)
{
	write_u8(w, (uint8_t)(strlen(tag) + strlen(value)));
	write_bytes(w, tag, strlen(tag));
	write_bytes(w, value, strlen(value));
}

static void put_hex(struct writer *w, const char *tag, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * KEY_SIZE + 1] = {0};

	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	put_string(w, tag, text);
}

/* The version first, so that a later one may mean anything by the rest. */
void zone_record_encode(const struct zone_record *record, struct writer *w)
{
	put_string(w, VERSION, "");
	put_hex(w, "net=", record->pin, JOIN_PIN_SIZE);
	put_hex(w, "key=", record->static_key, KEY_SIZE);
	for (uint8_t i = 0; i < record->addresses.count && i < SERVER_ADDRESSES_MAX; i++) {
		char text[ADDR_TEXT_MAX];

		put_string(w, "at=", addr_format(&record->addresses.list[i], text));
	}
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(const char *text, uint8_t *ret, size_t size)
{
	if (strlen(text) != 2 * size)
		return false;
	for (size_t i = 0; i < size; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Each at most once but for addresses. */
static bool take_string(struct zone_record *record, const char *text, unsigned *seen)
{
	struct addr addr;

	if (strncmp(text, "net=", 4) == 0 && !(*seen & 1)) {
		*seen |= 1;
		return take_hex(text + 4, record->pin, JOIN_PIN_SIZE);
	}
	if (strncmp(text, "key=", 4) == 0 && !(*seen & 2)) {
		*seen |= 2;
		return take_hex(text + 4, record->static_key, KEY_SIZE);
	}
	if (strncmp(text, "at=", 3) != 0)
		return strncmp(text, "net=", 4) != 0 && strncmp(text, "key=", 4) != 0;
	if (record->addresses.count == SERVER_ADDRESSES_MAX || addr_parse(text + 3, 0, &addr) != OK || addr.port == 0)
		return false;
	record->addresses.list[record->addresses.count++] = addr;
	return true;
}

/* From anybody: everything is checked, nothing is believed. */
enum err zone_record_decode(struct reader *r, struct zone_record *ret)
{
	struct zone_record record = {0};
	unsigned seen = 0, count = 0;

	while (r->err == OK && reader_left(r) > 0) {
		char text[STRING_MAX + 1] = {0};
		struct blob string = read_blob(r, read_u8(r));

		if (r->err != OK || (string.size && memchr(string.data, 0, string.size)))
			return ERR_MALFORMED;
		if (string.size)
			memcpy(text, string.data, string.size);
		if (count++ == 0 ? strcmp(text, VERSION) != 0 : !take_string(&record, text, &seen))
			return count == 1 ? ERR_UNSUPPORTED : ERR_MALFORMED;
	}
	if (reader_finish(r) != OK || seen != 3 || record.addresses.count == 0)
		return ERR_MALFORMED;
	*ret = record;
	return OK;
}

/* Fails the writer for a zone that is no name. */
static void put_name(struct writer *w, const char *zone, const uint8_t letters[ZONE_CASE_SIZE])
{
	char name[sizeof ZONE_RECORD_LABEL + ZONE_MAX_SIZE] = ZONE_RECORD_LABEL;
	uint8_t wire[DNS_WIRE_NAME_MAX];
	size_t size = 0;

	memcpy(name + strlen(name), zone, strnlen(zone, ZONE_MAX_SIZE));
	if (dns_name_from_text(name, wire, &size) != OK) {
		w->err = w->err == OK ? ERR_MALFORMED : w->err;
		return;
	}
	for (size_t i = 0; i < size && i < 8 * (size_t)ZONE_CASE_SIZE; i++)
		if (wire[i] >= 'a' && wire[i] <= 'z' && letters[i / 8] >> i % 8 & 1)
			wire[i] = (uint8_t)(wire[i] - 'a' + 'A'); /* lengths of labels are below all letters */
	write_bytes(w, wire, size);
}

/* One question, recursion desired, with EDNS: the answer may be longer than 512 bytes. */
void zone_question_encode(const char *zone, uint16_t id, const uint8_t letters[ZONE_CASE_SIZE], struct writer *w)
{
	write_u16(w, id);
	write_u16(w, FLAG_RECURSION_DESIRED);
	write_u16(w, 1);
	write_u16(w, 0);
	write_u16(w, 0);
	write_u16(w, 1);
	put_name(w, zone, letters);
	write_u16(w, DNS_TXT);
	write_u16(w, DNS_CLASS_IN);
	write_u8(w, 0);
	write_u16(w, DNS_OPT);
	write_u16(w, DNS_UDP_MAX);
	write_zeros(w, 6);
}

/* The question comes back as it was, letter by letter; leaves r behind it. */
static bool repeats(struct reader *r, struct blob question)
{
	struct reader asked = reader_over(question.data, question.size);
	uint16_t id = read_u16(&asked);
	struct blob rest, again;

	(void)read_part(&asked, DNS_HEADER_SIZE - 2);
	if (asked.err != OK || reader_left(&asked) < DNS_OPT_SIZE || read_u16(r) != id)
		return false;
	rest = read_blob(&asked, reader_left(&asked) - DNS_OPT_SIZE);
	(void)read_part(r, DNS_HEADER_SIZE - 2);
	again = read_blob(r, rest.size);
	return r->err == OK && asked.err == OK && memcmp(rest.data, again.data, rest.size) == 0;
}

/* Is there an answer at all in it? OK, ERR_DENIED: the name does not exist. */
static enum err check_header(const uint8_t *packet, size_t size, uint16_t *ret_answers)
{
	struct reader r = reader_over(packet, size);
	uint16_t flags, questions;

	(void)read_u16(&r);
	flags = read_u16(&r);
	questions = read_u16(&r);
	*ret_answers = read_u16(&r);
	if (r.err != OK || !(flags & FLAG_RESPONSE) || (flags & FLAG_TRUNCATED) || questions != 1)
		return ERR_UNKNOWN;
	if ((flags & RCODE_MASK) == DNS_NXDOMAIN)
		return ERR_DENIED;
	return (flags & RCODE_MASK) == DNS_NOERROR ? OK : ERR_UNKNOWN;
}

/* One resource record; is it the wanted one? */
static bool take_record(struct reader *r, const uint8_t *packet, size_t size, const char *wanted,
			struct zone_record *ret, uint32_t *ret_ttl_s)
{
	char owner[DNS_TEXT_MAX + 1];
	struct reader data;
	uint16_t type;
	uint32_t ttl_s;

	if (dns_name_read(packet, size, &r->at, NULL, NULL, owner) != OK) {
		reader_fail(r, ERR_MALFORMED);
		return false;
	}
	type = read_u16(r);
	(void)read_u16(r);
	ttl_s = read_u32(r);
	data = read_part(r, read_u16(r));
	if (r->err != OK || type != DNS_TXT || strcmp(owner, wanted) != 0 || zone_record_decode(&data, ret) != OK)
		return false;
	*ret_ttl_s = ttl_s;
	return true;
}

/* The first usable TXT record of the name itself; at most RECORDS_MAX are looked at. */
enum err zone_answer_decode(const uint8_t *packet, size_t size, struct blob question, const char *zone,
			    struct zone_record *ret, uint32_t *ret_ttl_s)
{
	struct reader r = reader_over(packet, size);
	char wanted[sizeof ZONE_RECORD_LABEL + ZONE_MAX_SIZE] = ZONE_RECORD_LABEL;
	uint16_t answers;
	enum err err = check_header(packet, size, &answers);

	if (err == ERR_UNKNOWN || !repeats(&r, question))
		return ERR_UNKNOWN;
	memcpy(wanted + strlen(wanted), zone, strnlen(zone, ZONE_MAX_SIZE));
	for (unsigned i = 0; err == OK && i < answers && i < RECORDS_MAX && r.err == OK; i++)
		if (take_record(&r, packet, size, wanted, ret, ret_ttl_s))
			return OK;
	return r.err == OK ? ERR_DENIED : ERR_UNKNOWN;
}
