#include "wire/network_part.h"

/* Of NETWORK_PART_MAX bytes, or what is left. */
bool network_part_cut(const struct network *network, const uint8_t *bytes, size_t size, uint16_t offset,
		      struct network_response *ret)
{
	size_t left = size > offset ? size - offset : 0;

	if (!network || left == 0)
		return false;
	*ret = (struct network_response){
		.epoch = network->epoch,
		.offset = offset,
		.size = (uint16_t)size,
		.data = {bytes + offset, left < NETWORK_PART_MAX ? left : NETWORK_PART_MAX},
	};
	return true;
}

/* Which document, from where on. */
void network_request_encode(const struct network_request *m, struct writer *w)
{
	field_put_u64(w, FIELD_NETWORK_EPOCH, m->epoch);
	field_put_u16(w, FIELD_OFFSET, m->offset);
	field_put_text(w, FIELD_NAME, m->zone);
	field_put_unknown(w, m->offset);
}

static bool take_network_request(void *message, uint8_t type, struct reader *value)
{
	struct network_request *m = message;

	switch (type) {
	case FIELD_NETWORK_EPOCH: m->epoch = read_u64(value); return true;
	case FIELD_OFFSET: m->offset = read_u16(value); return true;
	case FIELD_NAME: zone_name_take(value, m->zone); return true;
	default: return false;
	}
}

/* Both numbers are mandatory. */
enum err network_request_decode(struct reader *r, struct network_request *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_NETWORK_EPOCH | 1ull << FIELD_OFFSET,
						 .take = take_network_request};
	struct network_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* One piece. */
void network_response_encode(const struct network_response *m, struct writer *w)
{
	field_put_u64(w, FIELD_NETWORK_EPOCH, m->epoch);
	field_put_u16(w, FIELD_OFFSET, m->offset);
	field_put_u16(w, FIELD_SIZE, m->size);
	field_put_bytes(w, FIELD_DATA, m->data.data, m->data.size);
	field_put_unknown(w, m->offset);
}

static bool take_network_response(void *message, uint8_t type, struct reader *value)
{
	struct network_response *m = message;

	switch (type) {
	case FIELD_NETWORK_EPOCH: m->epoch = read_u64(value); return true;
	case FIELD_OFFSET: m->offset = read_u16(value); return true;
	case FIELD_SIZE: m->size = read_u16(value); return true;
	case FIELD_DATA: m->data = read_blob_rest(value, NETWORK_PART_MAX); return true;
	default: return false;
	}
}

/* A piece lies inside the document, and there is something in it. */
enum err network_response_decode(struct reader *r, struct network_response *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_NETWORK_EPOCH | 1ull << FIELD_OFFSET |
							      1ull << FIELD_SIZE | 1ull << FIELD_DATA,
						 .take = take_network_response};
	struct network_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err != OK)
		return err;
	if (m.size > NETWORK_MAX_SIZE || m.data.size == 0 || m.offset + m.data.size > m.size)
		return ERR_MALFORMED;
	*ret = m;
	return OK;
}
