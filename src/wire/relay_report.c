#include "wire/relay_report.h"

enum { PERCENT_MAX = 100 };

/* Keys are random: among the 16 relays of a network two are alike once in 2^25 networks, and then share a figure. */
uint32_t relay_tag(const uint8_t static_key[KEY_SIZE])
{
	uint32_t tag = (uint32_t)static_key[0] << 24 | (uint32_t)static_key[1] << 16 | (uint32_t)static_key[2] << 8 |
		       static_key[3];

	return tag ? tag : 1;
}

/* At most RELAY_SEEN_MAX: a search is as good as a table. */
const struct relay_seen *relay_sight_find(const struct relay_sight *sight, uint32_t tag)
{
	for (uint8_t i = 0; i < sight->count; i++)
		if (sight->list[i].tag == tag)
			return &sight->list[i];
	return NULL;
}

/* Nothing when nothing was measured. */
void relay_sight_encode(const struct relay_sight *sight, struct writer *w)
{
	for (uint8_t i = 0; i < sight->count && i < RELAY_SEEN_MAX; i++) {
		size_t begun = field_begin(w, FIELD_RELAY_SEEN);

		write_u32(w, sight->list[i].tag);
		write_u32(w, sight->list[i].rtt_us);
		write_u8(w, sight->list[i].lost_percent);
		field_end(w, begun);
	}
}

/* The decoder's counterpart. */
void relay_sight_take(struct relay_sight *sight, struct reader *value)
{
	struct relay_seen seen = {.tag = read_u32(value)};

	seen.rtt_us = read_u32(value);
	seen.lost_percent = read_u8(value);
	if (sight->count == RELAY_SEEN_MAX || seen.tag == 0 || seen.lost_percent > PERCENT_MAX)
		reader_fail(value, ERR_MALFORMED);
	else
		sight->list[sight->count++] = seen;
}

/* The tunnel is critical: a complaint must not be taken for another one's. */
void relay_report_encode(const struct relay_report *m, struct writer *w)
{
	size_t from = w->at, begun;

	if (m->path_id)
		field_put_u64(w, FIELD_PATH_ID | FIELD_CRITICAL, m->path_id);
	if (m->has_silent) {
		begun = field_begin(w, FIELD_RELAY_SILENT);
		write_u32(w, m->silent_tag);
		write_u32(w, m->silent_ms);
		field_end(w, begun);
	}
	relay_sight_encode(&m->sight, w);
	field_put_unknown(w, (uint32_t)(w->at - from));
}

static bool take_relay_report(void *message, uint8_t type, struct reader *value)
{
	struct relay_report *m = message;

	switch (type) {
	case FIELD_PATH_ID: m->path_id = read_u64(value); return true;
	case FIELD_RELAY_SILENT:
		m->has_silent = true;
		m->silent_tag = read_u32(value);
		m->silent_ms = read_u32(value);
		return true;
	case FIELD_RELAY_SEEN: relay_sight_take(&m->sight, value); return true;
	default: return false;
	}
}

/* It says something. */
enum err relay_report_decode(struct reader *r, struct relay_report *ret)
{
	static const struct field_rules rules = {.repeatable = 1ull << FIELD_RELAY_SEEN, .take = take_relay_report};
	struct relay_report m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (!m.has_silent && m.sight.count == 0)
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}
