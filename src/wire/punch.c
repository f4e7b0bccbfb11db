#include "wire/punch.h"

#include "wire/field.h"

/* Kind, then the ports that probes to the sender go to. */
void punch_message_encode(const struct punch_message *m, struct writer *w)
{
	size_t begun = field_begin(w, FIELD_MAPPING | FIELD_CRITICAL);

	write_u8(w, m->kind);
	for (unsigned i = 0; i < m->port_count && i < PUNCH_PORTS_MAX; i++)
		write_u16(w, m->ports[i]);
	field_end(w, begun);
	field_put_bytes(w, FIELD_TEMP_KEY | FIELD_CRITICAL, m->key, KEY_SIZE);
	field_put_unknown(w, m->kind);
}

/* Each kind has its number of ports, none of them 0. */
static void take_mapping(struct punch_message *m, struct reader *value)
{
	static const uint8_t least[MAPPING_KINDS] = {0, 1, 1, 0}, most[MAPPING_KINDS] = {0, 1, PUNCH_PORTS_MAX, 0};

	m->kind = read_u8(value);
	while (value->err == OK && value->at < value->size && m->port_count < PUNCH_PORTS_MAX) {
		m->ports[m->port_count] = read_u16(value);
		if (m->ports[m->port_count++] == 0)
			reader_fail(value, ERR_MALFORMED);
	}
	if (m->kind >= MAPPING_KINDS || m->port_count < least[m->kind] || m->port_count > most[m->kind])
		reader_fail(value, ERR_MALFORMED);
}

static bool take_punch(void *message, uint8_t type, struct reader *value)
{
	struct punch_message *m = message;

	switch (type) {
	case FIELD_MAPPING: take_mapping(m, value); return true;
	case FIELD_TEMP_KEY: read_bytes(value, m->key, KEY_SIZE); return true;
	default: return false;
	}
}

/* Whose address the ports belong to is not the sender's to say. */
enum err punch_message_decode(struct reader *r, struct punch_message *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_MAPPING | 1ull << FIELD_TEMP_KEY,
						 .take = take_punch};
	struct punch_message m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}
