#include "wire/field.h"

#include <string.h>

/* Length follows when the value is written. */
size_t field_begin(struct writer *w, uint8_t type)
{
	write_u8(w, type);
	return write_hole_u16(w);
}

/* Fills in the length. */
void field_end(struct writer *w, size_t begun)
{
	if (w->err == OK)
		write_u16_at(w, begun, (uint16_t)(w->at - begun - 2));
}

/* One byte. */
void field_put_u8(struct writer *w, uint8_t type, uint8_t value)
{
	field_put_bytes(w, type, &value, 1);
}

/* Two bytes. */
void field_put_u16(struct writer *w, uint8_t type, uint16_t value)
{
	write_u8(w, type);
	write_u16(w, 2);
	write_u16(w, value);
}

/* Four bytes. */
void field_put_u32(struct writer *w, uint8_t type, uint32_t value)
{
	write_u8(w, type);
	write_u16(w, 4);
	write_u32(w, value);
}

/* Eight bytes. */
void field_put_u64(struct writer *w, uint8_t type, uint64_t value)
{
	write_u8(w, type);
	write_u16(w, 8);
	write_u64(w, value);
}

/* As they are. */
void field_put_bytes(struct writer *w, uint8_t type, const void *bytes, size_t size)
{
	size_t begun = field_begin(w, type);

	write_bytes(w, bytes, size);
	field_end(w, begun);
}

/* Type, length and content vary with the seed; the critical bit is never set. */
void field_put_unknown(struct writer *w, uint32_t seed)
{
	uint8_t bytes[8] = {0x6e, 0x74, 0x6d};
	uint8_t span = 0x80 - FIELD_FIRST_FREE;

	field_put_bytes(w, (uint8_t)(FIELD_FIRST_FREE + seed % span), bytes, seed / span % (sizeof bytes + 1));
}

/* Family, port, bytes. */
void write_addr(struct writer *w, const struct addr *addr)
{
	write_u8(w, addr->ip.family);
	write_u16(w, addr->port);
	write_bytes(w, addr->ip.bytes, ip_size(&addr->ip));
}

static struct ip read_ip_bytes(struct reader *r, uint8_t family)
{
	struct ip ip = {.family = family};

	if (family != 4 && family != 6) {
		reader_fail(r, ERR_MALFORMED);
		return (struct ip){0};
	}
	read_bytes(r, ip.bytes, ip_size(&ip));
	return r->err == OK ? ip : (struct ip){0};
}

/* Family "none" is not an address. */
struct addr read_addr(struct reader *r)
{
	uint8_t family = read_u8(r);
	uint16_t port = read_u16(r);
	struct addr addr = {.ip = read_ip_bytes(r, family), .port = port};

	return r->err == OK ? addr : (struct addr){0};
}

/* Family, bytes. */
void write_ip(struct writer *w, const struct ip *ip)
{
	write_u8(w, ip->family);
	write_bytes(w, ip->bytes, ip_size(ip));
}

/* The other way. */
struct ip read_ip(struct reader *r)
{
	return read_ip_bytes(r, read_u8(r));
}

/* At most 255 bytes. */
void write_text(struct writer *w, const char *text)
{
	size_t size = strlen(text);

	if (size > 255) {
		w->err = w->err == OK ? ERR_SIZE : w->err;
		return;
	}
	write_u8(w, (uint8_t)size);
	write_bytes(w, text, size);
}

/* Zero-terminated in any case. */
void read_text(struct reader *r, char *ret, size_t max)
{
	struct blob text = read_blob(r, read_u8(r));

	memset(ret, 0, max + 1);
	if (text.size > max || (text.size && memchr(text.data, 0, text.size))) {
		reader_fail(r, ERR_MALFORMED);
		return;
	}
	if (text.size)
		memcpy(ret, text.data, text.size);
}

/* Length is checked against what is left before the value is looked at. */
bool field_next(struct reader *r, uint8_t *ret_type, bool *ret_critical, struct reader *ret_value)
{
	uint8_t type;

	if (reader_left(r) == 0)
		return false;
	type = read_u8(r);
	*ret_value = read_part(r, read_u16(r));
	if (r->err != OK)
		return false;
	*ret_type = type & (uint8_t)~FIELD_CRITICAL;
	*ret_critical = type & FIELD_CRITICAL;
	return true;
}
