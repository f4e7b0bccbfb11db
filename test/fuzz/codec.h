/*
 * codec.h: every encoder and decoder of wire/ in one table, with samples, so that unit tests, fuzz targets and the
 * corpus maker say the same of all of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cursor.h"

enum { CODEC_BYTES_MAX = 65536, CODEC_MESSAGE_MAX = 65536 };

struct codec {
	const char *name;
	bool is_canonical;   /* whatever decodes has one encoding: encoding it again gives the same bytes */
	size_t message_size; /* of the struct */
	unsigned samples;
	/* Sample number `index` into a zeroed struct. */
	void (*sample)(unsigned index, void *message);
	void (*encode)(const void *message, struct writer *w);
	enum err (*decode)(struct reader *r, void *ret);
};

extern const struct codec codecs[];
extern const size_t codec_count;

/* NULL when there is none of this name. */
const struct codec *codec_find(const char *name);
