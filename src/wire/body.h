/* body.h: reading a message's fields, shared by all messages: one loop, one rule for repeated, unknown and critical fields. Private to wire/. */
#pragma once

#include "wire/field.h"

/* Reads one known field's value; leaves `value` where it ended. */
struct field_rule {
	uint8_t type;
	bool is_mandatory, may_repeat;
	void (*read)(struct reader *value, void *message);
};

/*
 * Reads all fields of r into message by the rules (at most 32). Trailing bytes in a value, a missing mandatory or a repeated singular field are
 * ERR_MALFORMED; an unknown critical field is ERR_CRITICAL; FIELD_PAD and unknown optional fields are skipped.
 */
must_use enum err body_decode(struct reader *r, const struct field_rule *rules, size_t count, void *message);

/* A name as it stands in messages and documents: lower-case letters, digits, hyphens, dots; may be empty. */
bool text_is_name(const char *text);
/* Pads so that the body, from `start` on, has at least `size` bytes. */
void body_pad(struct writer *w, size_t start, size_t size);
