#include "base/cursor.h"

#include <string.h>

/* Starts at the first byte. */
struct reader reader_over(const void *data, size_t size)
{
	return (struct reader){.data = data, .size = size};
}

/* The first failure is the one worth telling. */
void reader_fail(struct reader *r, enum err err)
{
	if (r->err == OK)
		r->err = err;
}

/* Advances by size and returns where it stood, or NULL. */
static const uint8_t *take(struct reader *r, size_t size)
{
	const uint8_t *p;

	if (r->err != OK)
		return NULL;
	if (r->size - r->at < size) {
		r->err = ERR_TRUNCATED;
		return NULL;
	}
	p = r->data + r->at;
	r->at += size;
	return p;
}

/* Big-endian number of `size` bytes. */
static uint64_t read_number(struct reader *r, size_t size)
{
	const uint8_t *p = take(r, size);
	uint64_t value = 0;

	for (size_t i = 0; p && i < size; i++)
		value = value << 8 | p[i];
	return value;
}

/* One byte; 0 after a failure. */
uint8_t read_u8(struct reader *r)
{
	return (uint8_t)read_number(r, 1);
}

/* Two bytes. */
uint16_t read_u16(struct reader *r)
{
	return (uint16_t)read_number(r, 2);
}

/* Four bytes. */
uint32_t read_u32(struct reader *r)
{
	return (uint32_t)read_number(r, 4);
}

/* Six bytes: packet counters. */
uint64_t read_u48(struct reader *r)
{
	return read_number(r, 6);
}

/* Eight bytes. */
uint64_t read_u64(struct reader *r)
{
	return read_number(r, 8);
}

/* Copies, or zeros the output. */
void read_bytes(struct reader *r, void *ret, size_t size)
{
	const uint8_t *p = take(r, size);

	if (p)
		memcpy(ret, p, size);
	else
		memset(ret, 0, size);
}

/* A view, no copy. */
struct blob read_blob(struct reader *r, size_t size)
{
	const uint8_t *p = take(r, size);

	return p ? (struct blob){p, size} : (struct blob){0};
}

/* A failure of the outer reader is inherited. */
struct reader read_part(struct reader *r, size_t size)
{
	struct blob blob = read_blob(r, size);
	struct reader part = reader_over(blob.data, blob.size);

	part.err = r->err;
	return part;
}

/* Trailing bytes are an error: one encoding per meaning. */
enum err reader_finish(const struct reader *r)
{
	if (r->err != OK)
		return r->err;
	return r->at == r->size ? OK : ERR_MALFORMED;
}

/* Starts at the first byte. */
struct writer writer_over(void *data, size_t size)
{
	return (struct writer){.data = data, .size = size};
}

/* Advances by size and returns where it stood, or NULL. */
static uint8_t *room(struct writer *w, size_t size)
{
	uint8_t *p;

	if (w->err != OK)
		return NULL;
	if (w->size - w->at < size) {
		w->err = ERR_SIZE;
		return NULL;
	}
	p = w->data + w->at;
	w->at += size;
	return p;
}

/* Big-endian; a value too large for its field is an error, not a truncation. */
static void write_number(struct writer *w, uint64_t value, size_t size)
{
	uint8_t *p;

	if (size < 8 && value >> (8 * size)) {
		w->err = w->err == OK ? ERR_SIZE : w->err;
		return;
	}
	p = room(w, size);
	for (size_t i = 0; p && i < size; i++)
		p[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

/* One byte. */
void write_u8(struct writer *w, uint8_t value)
{
	write_number(w, value, 1);
}

/* Two bytes. */
void write_u16(struct writer *w, uint16_t value)
{
	write_number(w, value, 2);
}

/* Four bytes. */
void write_u32(struct writer *w, uint32_t value)
{
	write_number(w, value, 4);
}

/* Six bytes; larger values fail. */
void write_u48(struct writer *w, uint64_t value)
{
	write_number(w, value, 6);
}

/* Eight bytes. */
void write_u64(struct writer *w, uint64_t value)
{
	write_number(w, value, 8);
}

/* Copies bytes in. */
void write_bytes(struct writer *w, const void *bytes, size_t size)
{
	uint8_t *p = room(w, size);

	if (p && size)
		memcpy(p, bytes, size);
}

/* Padding and reserved fields. */
void write_zeros(struct writer *w, size_t size)
{
	uint8_t *p = room(w, size);

	if (p)
		memset(p, 0, size);
}

/* For a length that is known later. */
size_t write_hole_u16(struct writer *w)
{
	size_t at = w->at;

	write_u16(w, 0);
	return at;
}

/* Fills the hole; harmless after a failure. */
void write_u16_at(struct writer *w, size_t offset, uint16_t value)
{
	if (w->err != OK)
		return;
	w->data[offset] = (uint8_t)(value >> 8);
	w->data[offset + 1] = (uint8_t)value;
}

/* One check for all that was written. */
enum err writer_finish(const struct writer *w, size_t *ret_size)
{
	if (w->err == OK)
		*ret_size = w->at;
	return w->err;
}
