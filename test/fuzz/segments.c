/*
 * segments.c: packets as a peer may send them, joined and cut again. Against the plain reference, one packet at a time:
 * what comes out are the same packets in the same order, but for IP identification and checksums. Input: u8 flags, u16
 * size, bytes; again.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/node/cut.h"
#include "proto/node/join.h"

enum { PACKETS_MAX = 64, IS_PARTIAL = 1, IS_FORGED = 2 };

struct reference {
	uint8_t *bytes[PACKETS_MAX];
	size_t size[PACKETS_MAX];
	bool partial[PACKETS_MAX];
	size_t count, at;
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* What a superpacket cannot keep. */
static void blank(uint8_t *bytes, size_t size, bool partial)
{
	struct inner inner;

	require(inner_parse(bytes, size, &inner) == OK);
	if (inner.version == 4) {
		memset(bytes + 4, 0, 2);
		memset(bytes + 10, 0, 2);
	}
	if (partial && inner_header_size(&inner, bytes) > 0)
		memset(bytes + inner.network_size + inner_checksum_offset(inner.protocol), 0, 2);
}

static void expect(struct reference *reference, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size), *wanted = reference->bytes[reference->at];
	bool partial = reference->partial[reference->at];

	require(reference->at < reference->count && reference->size[reference->at] == size);
	memcpy(copy, bytes, size);
	blank(copy, size, partial);
	blank(wanted, size, partial);
	require(memcmp(copy, wanted, size) == 0);
	free(copy);
	reference->at++;
}

static void feed(struct join *join, struct reference *reference, uint8_t flags, const uint8_t *bytes, size_t size)
{
	uint8_t *place = size > 0 ? join_place(join, size) : NULL;
	struct inner inner;

	if (!place)
		return;
	memcpy(place, bytes, size);
	if ((flags & IS_FORGED) || inner_parse(place, size, &inner) != OK || inner.total_size != size ||
	    reference->count == PACKETS_MAX) {
		join_cancel(join);
		return;
	}
	reference->bytes[reference->count] = malloc(size);
	memcpy(reference->bytes[reference->count], bytes, size);
	reference->size[reference->count] = size;
	reference->partial[reference->count++] = flags & IS_PARTIAL;
	join_accept(join, &inner, flags & IS_PARTIAL);
}

static void check(struct join *join, struct reference *reference)
{
	struct packet packet;
	struct inner inner;
	struct cut cut;
	uint8_t *segment;
	size_t size;

	while (join_next(join, &packet)) {
		require(inner_parse(packet.bytes, packet.size, &inner) == OK && inner.total_size == packet.size);
		require(cut_begin(&cut, &packet, &inner) == OK);
		while (cut_next(&cut, &segment, &size))
			expect(reference, segment, size);
	}
	require(reference->at == reference->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reference reference = {0};
	struct join join;
	size_t at = 0;

	join_init(&join, size > 0 && (data[0] & 4));
	while (size - at >= 3) {
		size_t left = size - at - 3, wanted = (size_t)data[at + 1] << 8 | data[at + 2];

		wanted = wanted < left ? wanted : left;
		feed(&join, &reference, data[at], data + at + 3, wanted);
		at += 3 + wanted;
	}
	check(&join, &reference);
	for (size_t i = 0; i < reference.count; i++)
		free(reference.bytes[i]);
	join_finish(&join);
	return 0;
}
