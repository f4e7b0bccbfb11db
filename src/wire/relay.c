#include "wire/relay.h"

enum { TICKET_VERSION = 1 };

/* Sealed afterwards: nobody but the relay reads it. */
void ticket_encode(const struct ticket *ticket, struct writer *w)
{
	write_u8(w, TICKET_VERSION);
	write_u64(w, ticket->path_id);
	write_bytes(w, ticket->leg_keys, sizeof ticket->leg_keys);
	write_u64(w, ticket->not_before_s);
	write_u64(w, ticket->not_after_s);
	write_u32(w, ticket->rate_kbps_max);
	write_u64(w, ticket->bytes_max);
}

/* Another version is another format. */
enum err ticket_decode(struct reader *r, struct ticket *ret)
{
	struct ticket ticket;
	uint8_t version = read_u8(r);
	enum err err;

	ticket.path_id = read_u64(r);
	read_bytes(r, ticket.leg_keys, sizeof ticket.leg_keys);
	ticket.not_before_s = read_u64(r);
	ticket.not_after_s = read_u64(r);
	ticket.rate_kbps_max = read_u32(r);
	ticket.bytes_max = read_u64(r);
	err = reader_finish(r);
	if (err == OK && (version != TICKET_VERSION || ticket.not_after_s < ticket.not_before_s))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = ticket;
	return err;
}

/* Padded to RELAY_BIND_MIN with the MAC, so that a Challenge is never larger. */
void relay_bind_encode_unsigned(const struct relay_bind *m, struct writer *w)
{
	struct header header = {.type = PACKET_RELAY_BIND, .path_id = m->path_id};
	size_t start = w->at;

	header_encode(&header, w);
	write_u8(w, m->leg);
	write_u32(w, m->generation);
	write_u16(w, (uint16_t)m->ticket.size);
	write_bytes(w, m->ticket.data, m->ticket.size);
	if (w->at - start < RELAY_BIND_MIN - MAC_SIZE)
		write_zeros(w, RELAY_BIND_MIN - MAC_SIZE - (w->at - start));
}

static bool rest_is_zero(struct reader *r, size_t size)
{
	struct blob rest = read_blob(r, size);
	uint8_t all = 0;

	for (size_t i = 0; i < rest.size; i++)
		all |= rest.data[i];
	return all == 0;
}

/* The ticket is borrowed from r. */
enum err relay_bind_decode(struct reader *r, struct relay_bind *ret)
{
	struct header header;
	struct relay_bind m;
	size_t start = r->at;
	enum err err = header_decode(r, &header);

	if (err == OK && (header.type != PACKET_RELAY_BIND || r->size - start < RELAY_BIND_MIN))
		err = ERR_MALFORMED;
	if (err != OK)
		return err;
	m.path_id = header.path_id;
	m.leg = read_u8(r);
	m.generation = read_u32(r);
	m.ticket = read_blob(r, read_u16(r));
	if (r->err == OK && (m.leg > 1 || m.ticket.size > TICKET_MAX_SIZE || reader_left(r) < MAC_SIZE || !rest_is_zero(r, reader_left(r) - MAC_SIZE)))
		reader_fail(r, ERR_MALFORMED);
	m.signed_size = r->at - start;
	read_bytes(r, m.mac, MAC_SIZE);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}

/* Challenge, Answer and Bound have one shape. */
void relay_challenge_encode_unsigned(const struct relay_challenge *m, struct writer *w)
{
	struct header header = {.type = m->type, .path_id = m->path_id};

	header_encode(&header, w);
	write_u8(w, m->leg);
	write_u32(w, m->generation);
	write_bytes(w, m->cookie, sizeof m->cookie);
}

/* The MAC covers all but itself. */
enum err relay_challenge_decode(struct reader *r, struct relay_challenge *ret)
{
	struct header header;
	struct relay_challenge m;
	enum err err = header_decode(r, &header);

	if (err == OK && (header.type < PACKET_RELAY_CHALLENGE || header.type > PACKET_RELAY_BOUND))
		err = ERR_MALFORMED;
	if (err != OK)
		return err;
	m.type = header.type;
	m.path_id = header.path_id;
	m.leg = read_u8(r);
	m.generation = read_u32(r);
	read_bytes(r, m.cookie, sizeof m.cookie);
	read_bytes(r, m.mac, MAC_SIZE);
	err = reader_finish(r);
	if (err == OK && m.leg > 1)
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}
