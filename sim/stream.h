/*
 * stream.h: reproducible randomness. One stream per purpose and subject, so that one consumer more or less shifts no
 * other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
	uint64_t state;
};

/* The same seed, purpose and subject always give the same stream. */
struct stream stream_for(uint64_t seed, const char *purpose, uint64_t subject);
uint64_t stream_next(struct stream *stream);
/* 0 .. bound - 1; bound > 0. */
uint64_t stream_below(struct stream *stream, uint64_t bound);
/* low .. high, both included. */
int64_t stream_range(struct stream *stream, int64_t low, int64_t high);
/* True ppm times of a million. */
bool stream_chance(struct stream *stream, uint32_t ppm);
/* In the shape that struct random_source wants; ctx is a struct stream. */
void stream_fill(void *ctx, void *bytes, size_t size);
