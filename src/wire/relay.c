#include "wire/relay.h"

enum { TICKET_VERSION = 1 };

/* TICKET_SIZE bytes. */
void ticket_encode(const struct ticket *ticket, struct writer *w)
{
	write_u8(w, TICKET_VERSION);
	write_u64(w, ticket->path_id);
	write_bytes(w, ticket->leg_keys[0], KEY_SIZE);
	write_bytes(w, ticket->leg_keys[1], KEY_SIZE);
	write_u64(w, ticket->not_before_s);
	write_u64(w, ticket->not_after_s);
	write_u32(w, ticket->rate_kbps_max);
	write_u64(w, ticket->bytes_max);
}

/* Whether it is valid now is the relay's to judge. */
enum err ticket_decode(struct reader *r, struct ticket *ret)
{
	struct ticket ticket = {0};
	enum err err;

	if (read_u8(r) != TICKET_VERSION)
		reader_fail(r, ERR_MALFORMED);
	ticket.path_id = read_u64(r);
	read_bytes(r, ticket.leg_keys[0], KEY_SIZE);
	read_bytes(r, ticket.leg_keys[1], KEY_SIZE);
	ticket.not_before_s = read_u64(r);
	ticket.not_after_s = read_u64(r);
	ticket.rate_kbps_max = read_u32(r);
	ticket.bytes_max = read_u64(r);
	if (ticket.not_after_s < ticket.not_before_s)
		reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = ticket;
	return err;
}

/* Padded, so that no answer of the relay is larger. */
void relay_bind_encode_unsigned(const struct relay_bind *m, struct writer *w)
{
	size_t from = w->at, size;

	header_encode(&(struct header){.type = PACKET_RELAY_BIND, .path_id = m->path_id}, w);
	write_u8(w, m->leg);
	write_u32(w, m->generation);
	write_u16(w, m->ticket.size > UINT16_MAX ? UINT16_MAX : (uint16_t)m->ticket.size);
	write_bytes(w, m->ticket.data, m->ticket.size);
	size = w->at - from;
	if (size < RELAY_BIND_MIN - MAC_SIZE)
		write_zeros(w, RELAY_BIND_MIN - MAC_SIZE - size);
}

/* Only as much padding as the encoder writes, so that every Bind has one encoding. */
static void read_padding(struct reader *r, size_t from)
{
	size_t there = r->at - from, want = there < RELAY_BIND_MIN - MAC_SIZE ? RELAY_BIND_MIN - MAC_SIZE - there : 0;
	struct blob padding = read_blob(r, want);

	for (size_t i = 0; i < padding.size; i++)
		if (padding.data[i])
			reader_fail(r, ERR_MALFORMED);
}

static void read_outer(struct reader *r, uint8_t *ret_type, uint64_t *ret_path_id)
{
	struct header header = {0};

	if (header_decode(r, &header) == OK && header.counter != 0)
		reader_fail(r, ERR_MALFORMED);
	*ret_type = header.type;
	*ret_path_id = header.path_id;
}

/* A whole datagram; the MAC is the caller's to check, over the first signed_size bytes. */
enum err relay_bind_decode(struct reader *r, struct relay_bind *ret)
{
	struct relay_bind m = {0};
	size_t from = r->at, ticket_size;
	uint8_t type;
	enum err err;

	read_outer(r, &type, &m.path_id);
	m.leg = read_u8(r);
	m.generation = read_u32(r);
	ticket_size = read_u16(r);
	if (type != PACKET_RELAY_BIND || m.leg > 1 || ticket_size > TICKET_MAX_SIZE)
		reader_fail(r, ERR_MALFORMED);
	m.ticket = read_blob(r, ticket_size);
	read_padding(r, from);
	m.signed_size = r->at - from;
	read_bytes(r, m.mac, MAC_SIZE);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}

/* RELAY_CHALLENGE_SIZE - MAC_SIZE bytes. */
void relay_challenge_encode_unsigned(const struct relay_challenge *m, struct writer *w)
{
	header_encode(&(struct header){.type = m->type, .path_id = m->path_id}, w);
	write_u8(w, m->leg);
	write_u32(w, m->generation);
	write_bytes(w, m->cookie, sizeof m->cookie);
}

/* Which of the three types makes sense here is the caller's to judge, and the MAC. */
enum err relay_challenge_decode(struct reader *r, struct relay_challenge *ret)
{
	struct relay_challenge m = {0};
	enum err err;

	read_outer(r, &m.type, &m.path_id);
	m.leg = read_u8(r);
	m.generation = read_u32(r);
	read_bytes(r, m.cookie, sizeof m.cookie);
	read_bytes(r, m.mac, MAC_SIZE);
	if (m.type < PACKET_RELAY_CHALLENGE || m.type > PACKET_RELAY_BOUND || m.leg > 1)
		reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}

/* u8 4, u16 port, 4 bytes, then zeros. */
void relay_seen_put(const struct addr *seen, uint8_t ret[16])
{
	struct writer w = writer_over(ret, 16);

	write_zeros(&w, 16);
	w.at = 0;
	if (seen->ip.family != 4)
		return;
	write_u8(&w, 4);
	write_u16(&w, seen->port);
	write_bytes(&w, seen->ip.bytes, 4);
}

/* Older relays told nothing. */
struct addr relay_seen_get(const uint8_t cookie[16])
{
	struct reader r = reader_over(cookie, 16);
	struct addr seen = {0};
	uint8_t bytes[4];

	if (read_u8(&r) != 4)
		return seen;
	seen.port = read_u16(&r);
	read_bytes(&r, bytes, sizeof bytes);
	seen.ip = ip_from_bytes(4, bytes);
	return seen;
}
