/*
 * cursor.h: bounds-checked reading and writing of network-order bytes, with a sticky error: after the first
 * failure reads give zeros, writes do nothing, and one check at the end suffices. Never casts, never overruns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Borrowed bytes; the lender says how long they live. */
struct blob {
	const uint8_t *data;
	size_t size;
};

struct reader {
	const uint8_t *data;
	size_t size, at;
	enum err err; /* OK until the first failure, then that failure */
};

struct writer {
	uint8_t *data;
	size_t size, at;
	enum err err; /* OK, or ERR_SIZE once something did not fit */
};

struct reader reader_over(const void *data, size_t size);
static inline size_t reader_left(const struct reader *r)
{
	return r->err == OK ? r->size - r->at : 0;
}
/* Records the first failure only. */
void reader_fail(struct reader *r, enum err err);
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u48(struct reader *r);
uint64_t read_u64(struct reader *r);
/* Copies size bytes; zeros them on failure. */
void read_bytes(struct reader *r, void *ret, size_t size);
/* A view of the next size bytes, inside the reader's own memory; {NULL, 0} on failure. */
struct blob read_blob(struct reader *r, size_t size);
/* A reader over the next size bytes, for a length-prefixed part. */
struct reader read_part(struct reader *r, size_t size);
/* OK only when nothing failed and nothing is left over (trailing bytes are ERR_MALFORMED). */
must_use enum err reader_finish(const struct reader *r);

struct writer writer_over(void *data, size_t size);
void write_u8(struct writer *w, uint8_t value);
void write_u16(struct writer *w, uint16_t value);
void write_u32(struct writer *w, uint32_t value);
void write_u48(struct writer *w, uint64_t value);
void write_u64(struct writer *w, uint64_t value);
void write_bytes(struct writer *w, const void *bytes, size_t size);
void write_zeros(struct writer *w, size_t size);
/* Leaves a hole for a length; write_u16_at fills it. Returns its offset. */
size_t write_hole_u16(struct writer *w);
void write_u16_at(struct writer *w, size_t offset, uint16_t value);
/* OK when everything fitted; *ret_size is then the number of bytes written. */
must_use enum err writer_finish(const struct writer *w, size_t *ret_size);
