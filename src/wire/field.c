#include "wire/field.h"

#include <string.h>

enum { FIELD_MASK_BITS = 64, UNKNOWN_MAX = 4, LABEL_MAX = NAME_MAX_SIZE };

static void fail(struct writer *w)
{
	if (w->err == OK)
		w->err = ERR_SIZE;
}

/* Opens a field; field_end closes it. */
size_t field_begin(struct writer *w, uint8_t type)
{
	write_u8(w, type);
	return write_hole_u16(w);
}

/* Fills in the length of all that was written since field_begin. */
void field_end(struct writer *w, size_t begun)
{
	size_t size;

	if (w->err != OK)
		return;
	size = w->at - begun - sizeof(uint16_t);
	if (size > UINT16_MAX)
		fail(w);
	else
		write_u16_at(w, begun, (uint16_t)size);
}

/* One byte. */
void field_put_u8(struct writer *w, uint8_t type, uint8_t value)
{
	size_t begun = field_begin(w, type);

	write_u8(w, value);
	field_end(w, begun);
}

/* Two bytes. */
void field_put_u16(struct writer *w, uint8_t type, uint16_t value)
{
	size_t begun = field_begin(w, type);

	write_u16(w, value);
	field_end(w, begun);
}

/* Four bytes. */
void field_put_u32(struct writer *w, uint8_t type, uint32_t value)
{
	size_t begun = field_begin(w, type);

	write_u32(w, value);
	field_end(w, begun);
}

/* Eight bytes. */
void field_put_u64(struct writer *w, uint8_t type, uint64_t value)
{
	size_t begun = field_begin(w, type);

	write_u64(w, value);
	field_end(w, begun);
}

/* As they are; the field's length is theirs. */
void field_put_bytes(struct writer *w, uint8_t type, const void *bytes, size_t size)
{
	size_t begun = field_begin(w, type);

	write_bytes(w, bytes, size);
	field_end(w, begun);
}

/* Nothing secret may reach the seed: the field shows it. */
void field_put_unknown(struct writer *w, uint32_t seed)
{
	uint32_t mixed = seed * UINT32_C(2654435761);
	size_t begun = field_begin(w, (uint8_t)(FIELD_TOLERANCE | mixed >> 27));

	for (uint32_t i = 0; i < (mixed >> 16) % (UNKNOWN_MAX + 1); i++)
		write_u8(w, (uint8_t)(mixed >> (4 * i)));
	field_end(w, begun);
}

/* A pad is never smaller than its own type and length, so up to two bytes more than asked may come out. */
void field_put_pad(struct writer *w, size_t from, size_t size)
{
	size_t there = w->at - from, begun;

	if (w->err != OK || there >= size)
		return;
	begun = field_begin(w, FIELD_PAD);
	there = w->at - from;
	if (there < size)
		write_zeros(w, size - there);
	field_end(w, begun);
}

/* Left out when unknown: absence is its encoding. */
void field_put_addr(struct writer *w, uint8_t type, const struct addr *addr)
{
	size_t begun;

	if (!addr_is_set(addr))
		return;
	begun = field_begin(w, type);
	write_addr(w, addr);
	field_end(w, begun);
}

/* Left out when unknown, as for transport addresses. */
void field_put_ip(struct writer *w, uint8_t type, const struct ip *ip)
{
	size_t begun;

	if (ip->family == 0)
		return;
	begun = field_begin(w, type);
	write_ip(w, ip);
	field_end(w, begun);
}

/* Left out when empty: absence is its encoding. */
void field_put_text(struct writer *w, uint8_t type, const char *text)
{
	if (text[0])
		field_put_bytes(w, type, text, strlen(text));
}

/* Family, port, address. */
void write_addr(struct writer *w, const struct addr *addr)
{
	write_u8(w, addr->ip.family);
	write_u16(w, addr->port);
	write_bytes(w, addr->ip.bytes, ip_size(&addr->ip));
}

static bool is_v4_mapped(const struct ip *ip)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return ip->family == 6 && memcmp(ip->bytes, prefix, sizeof prefix) == 0;
}

static struct ip read_ip_bytes(struct reader *r, uint8_t family)
{
	struct ip ip = {.family = family};

	if (ip_size(&ip) == 0)
		reader_fail(r, ERR_MALFORMED);
	read_bytes(r, ip.bytes, ip_size(&ip));
	if (is_v4_mapped(&ip))
		reader_fail(r, ERR_MALFORMED);
	return r->err == OK ? ip : (struct ip){0};
}

/* Family 0 and all zeros after a failure. */
struct addr read_addr(struct reader *r)
{
	struct addr addr = {0};
	uint8_t family = read_u8(r);
	uint16_t port = read_u16(r);

	addr.ip = read_ip_bytes(r, family);
	if (r->err == OK)
		addr.port = port;
	return addr;
}

/* Family, address. */
void write_ip(struct writer *w, const struct ip *ip)
{
	write_u8(w, ip->family);
	write_bytes(w, ip->bytes, ip_size(ip));
}

/* Family 0 and all zeros after a failure. */
struct ip read_ip(struct reader *r)
{
	return read_ip_bytes(r, read_u8(r));
}

/* Longer than 255 bytes fails the writer. */
void write_text(struct writer *w, const char *text)
{
	size_t size = strlen(text);

	if (size > UINT8_MAX) {
		fail(w);
		return;
	}
	write_u8(w, (uint8_t)size);
	write_bytes(w, text, size);
}

/* Printable only: these texts reach terminals and logs. */
static void read_text_of(struct reader *r, size_t size, char *ret, size_t max)
{
	struct blob text;

	if (size > max)
		reader_fail(r, ERR_MALFORMED);
	text = read_blob(r, size);
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < 0x20 || text.data[i] > 0x7e)
			reader_fail(r, ERR_MALFORMED);
	memset(ret, 0, max + 1);
	if (r->err == OK && text.size)
		memcpy(ret, text.data, text.size);
}

/* Empty after a failure. */
void read_text(struct reader *r, char *ret, size_t max)
{
	read_text_of(r, read_u8(r), ret, max);
}

/* Empty after a failure. */
void read_text_rest(struct reader *r, char *ret, size_t max)
{
	read_text_of(r, reader_left(r), ret, max);
}

/* Empty after a failure. */
void read_name(struct reader *r, char *ret, size_t max)
{
	read_text(r, ret, max);
	if (!name_is_valid(ret)) {
		reader_fail(r, ERR_MALFORMED);
		ret[0] = '\0';
	}
}

/* Zones arrive in one spelling, as names do. */
void zone_name_take(struct reader *value, char ret[ZONE_MAX_SIZE + 1])
{
	read_text_rest(value, ret, ZONE_MAX_SIZE);
	if (!name_is_valid(ret))
		reader_fail(value, ERR_MALFORMED);
}

static bool label_is_valid(const char *label, size_t size)
{
	if (size == 0 || size > LABEL_MAX || label[0] == '-' || label[size - 1] == '-')
		return false;
	for (size_t i = 0; i < size; i++)
		if (!(label[i] >= 'a' && label[i] <= 'z') && !(label[i] >= '0' && label[i] <= '9') && label[i] != '-')
			return false;
	return true;
}

/* One spelling per name: peers compare bytes. */
bool name_is_valid(const char *name)
{
	for (;;) {
		size_t size = strcspn(name, ".");

		if (!label_is_valid(name, size))
			return false;
		if (name[size] == '\0')
			return true;
		name += size + 1;
	}
}

/* A view inside the reader's memory. */
struct blob read_blob_rest(struct reader *r, size_t max)
{
	if (reader_left(r) > max)
		reader_fail(r, ERR_MALFORMED);
	return read_blob(r, reader_left(r));
}

/* Steps over one field. */
bool field_next(struct reader *r, uint8_t *ret_type, bool *ret_critical, struct reader *ret_value)
{
	struct reader value;
	uint8_t type;

	if (reader_left(r) == 0)
		return false;
	type = read_u8(r);
	value = read_part(r, read_u16(r));
	if (r->err != OK)
		return false;
	*ret_type = type & (uint8_t)~FIELD_CRITICAL;
	*ret_critical = type & FIELD_CRITICAL;
	*ret_value = value;
	return true;
}

static bool is_zeros(struct reader *value)
{
	struct blob blob = read_blob(value, reader_left(value));
	uint8_t any = 0;

	for (size_t i = 0; i < blob.size; i++)
		any |= blob.data[i];
	return any == 0;
}

static enum err field_take(const struct field_rules *rules, void *message, uint8_t type, bool critical,
			   struct reader *value, uint64_t *seen)
{
	uint64_t bit = type < FIELD_MASK_BITS ? UINT64_C(1) << type : 0;

	if (type == FIELD_PAD)
		return is_zeros(value) ? OK : ERR_MALFORMED;
	if (bit == 0 || !rules->take(message, type, value))
		return critical ? ERR_CRITICAL : OK;
	if (reader_finish(value) != OK || (*seen & bit && !(rules->repeatable & bit)))
		return ERR_MALFORMED;
	*seen |= bit;
	return OK;
}

/* One loop for all messages, so that all keep the same rules. */
enum err fields_decode(struct reader *r, const struct field_rules *rules, void *message, uint64_t *ret_seen)
{
	struct reader value;
	uint64_t seen = 0;
	uint8_t type;
	bool critical;

	while (field_next(r, &type, &critical, &value)) {
		enum err err = field_take(rules, message, type, critical, &value, &seen);

		if (err != OK)
			reader_fail(r, err);
	}
	if (r->err == OK && rules->mandatory & ~seen)
		reader_fail(r, ERR_MALFORMED);
	if (r->err != OK)
		return r->err;
	*ret_seen = seen;
	return OK;
}
