#include "wire/body.h"

/* Case is folded before names reach the wire: one spelling per name. */
bool text_is_name(const char *text)
{
	for (; *text; text++)
		if (!((*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || *text == '-' || *text == '.'))
			return false;
	return true;
}

/* FIELD_PAD holds at most 65,535 zeros, far more than any message. */
void body_pad(struct writer *w, size_t start, size_t size)
{
	size_t begun, used = w->at - start;

	if (w->err != OK || used + 3 > size)
		return;
	begun = field_begin(w, FIELD_PAD);
	write_zeros(w, size - used - 3);
	field_end(w, begun);
}

static const struct field_rule *find_rule(const struct field_rule *rules, size_t count, uint8_t type, size_t *ret_index)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].type == type) {
			*ret_index = i;
			return &rules[i];
		}
	return NULL;
}

static enum err read_known(const struct field_rule *rule, struct reader *value, bool seen, void *message)
{
	if (seen && !rule->may_repeat)
		return ERR_MALFORMED;
	rule->read(value, message);
	return reader_finish(value);
}

/* The first error is the answer; the message is then in an unspecified state and must not be used. */
enum err body_decode(struct reader *r, const struct field_rule *rules, size_t count, void *message)
{
	uint32_t seen = 0;
	uint8_t type;
	bool critical;
	struct reader value;

	while (field_next(r, &type, &critical, &value)) {
		size_t index = 0;
		const struct field_rule *rule = find_rule(rules, count, type, &index);
		enum err err = OK;

		if (rule)
			err = read_known(rule, &value, seen >> index & 1, message);
		else if (critical && type != FIELD_PAD)
			err = ERR_CRITICAL;
		if (err != OK)
			return err;
		if (rule)
			seen |= UINT32_C(1) << index;
	}
	for (size_t i = 0; i < count; i++)
		if (rules[i].is_mandatory && !(seen >> i & 1))
			reader_fail(r, ERR_MALFORMED);
	return reader_finish(r);
}
