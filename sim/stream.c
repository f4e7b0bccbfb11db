#include "stream.h"

#include <string.h>

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* The text is hashed, so that streams have names and not numbers that somebody must keep apart. */
struct stream stream_for(uint64_t seed, const char *purpose, uint64_t subject)
{
	uint64_t state = mix(seed + UINT64_C(0x9e3779b97f4a7c15));

	for (; *purpose; purpose++)
		state = mix(state ^ (uint8_t)*purpose) + 1;
	return (struct stream){mix(state ^ mix(subject + 1))};
}

/* SplitMix64: passes BigCrush, needs one word of state. */
uint64_t stream_next(struct stream *stream)
{
	stream->state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(stream->state);
}

/* Its bias of bound / 2^64 is of no concern here. */
uint64_t stream_below(struct stream *stream, uint64_t bound)
{
	return stream_next(stream) % bound;
}

/* For draws of durations and sizes. */
int64_t stream_range(struct stream *stream, int64_t low, int64_t high)
{
	return low + (int64_t)stream_below(stream, (uint64_t)(high - low) + 1);
}

/* Draws also at 0 and 1,000,000, so that changing a probability shifts nothing else. */
bool stream_chance(struct stream *stream, uint32_t ppm)
{
	return stream_below(stream, 1000000) < ppm;
}

/* Whole words; the rest of the last one is dropped. */
void stream_fill(void *ctx, void *bytes, size_t size)
{
	struct stream *stream = ctx;

	for (uint8_t *p = bytes; size;) {
		uint64_t word = stream_next(stream);
		size_t part = size < sizeof word ? size : sizeof word;

		memcpy(p, &word, part);
		p += part;
		size -= part;
	}
}
