#include "wire/relay_probe.h"

enum { LOAD_SIZE = 4 * 4 + 1, PADDING_SIZE = KEY_SIZE - LOAD_SIZE, FLAG_DRAINING = 1 };

static void write_outer(uint8_t type, uint64_t nonce, struct writer *w)
{
	header_encode(&(struct header){.type = type, .path_id = nonce}, w);
}

static uint64_t read_outer(struct reader *r, uint8_t type)
{
	struct header header = {0};

	if (header_decode(r, &header) == OK && (header.type != type || header.counter != 0))
		reader_fail(r, ERR_MALFORMED);
	return header.path_id;
}

static uint8_t read_asker(struct reader *r)
{
	uint8_t asker = read_u8(r);

	if (asker > RELAY_ASKER_COORDINATOR)
		reader_fail(r, ERR_MALFORMED);
	return asker;
}

/* RELAY_PROBE_SIZE - MAC_SIZE bytes. */
void relay_probe_encode_unsigned(const struct relay_probe *m, struct writer *w)
{
	write_outer(PACKET_RELAY_PROBE, m->nonce, w);
	write_u8(w, m->asker);
	write_bytes(w, m->static_key, KEY_SIZE);
}

/* The MAC is the caller's to check; a node tells no key. */
enum err relay_probe_decode(struct reader *r, struct relay_probe *ret)
{
	struct relay_probe m = {.nonce = read_outer(r, PACKET_RELAY_PROBE)};
	uint8_t told = 0;
	enum err err;

	m.asker = read_asker(r);
	read_bytes(r, m.static_key, KEY_SIZE);
	read_bytes(r, m.mac, MAC_SIZE);
	for (unsigned i = 0; i < KEY_SIZE; i++)
		told |= m.static_key[i];
	if (m.asker == RELAY_ASKER_NODE && told)
		reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}

/* Never larger than what it answers. */
void relay_probed_encode_unsigned(const struct relay_probed *m, struct writer *w)
{
	write_outer(PACKET_RELAY_PROBED, m->nonce, w);
	write_u8(w, m->asker);
	write_u32(w, m->load.pairs);
	write_u32(w, m->load.pairs_max);
	write_u32(w, m->load.kbps);
	write_u32(w, m->load.kbps_max);
	write_u8(w, m->load.is_draining ? FLAG_DRAINING : 0);
	write_zeros(w, PADDING_SIZE);
}

/* The MAC is the caller's to check. */
enum err relay_probed_decode(struct reader *r, struct relay_probed *ret)
{
	struct relay_probed m = {.nonce = read_outer(r, PACKET_RELAY_PROBED)};
	struct blob padding;
	uint8_t flags, beyond;
	enum err err;

	m.asker = read_asker(r);
	m.load.pairs = read_u32(r);
	m.load.pairs_max = read_u32(r);
	m.load.kbps = read_u32(r);
	m.load.kbps_max = read_u32(r);
	flags = read_u8(r);
	m.load.is_draining = flags & FLAG_DRAINING;
	beyond = flags & ~FLAG_DRAINING;
	padding = read_blob(r, PADDING_SIZE);
	for (size_t i = 0; i < padding.size; i++)
		beyond |= padding.data[i];
	if (beyond)
		reader_fail(r, ERR_MALFORMED);
	read_bytes(r, m.mac, MAC_SIZE);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}

/* RELAY_ANNOUNCE_SIZE - MAC_SIZE bytes. */
void relay_announce_encode_unsigned(const struct relay_announce *m, struct writer *w)
{
	write_outer(PACKET_RELAY_ANNOUNCE, m->nonce, w);
	write_bytes(w, m->static_key, KEY_SIZE);
	write_u64(w, m->network_epoch);
}

/* Whether it is a relay of the network is the caller's to find out. */
enum err relay_announce_decode(struct reader *r, struct relay_announce *ret)
{
	struct relay_announce m = {.nonce = read_outer(r, PACKET_RELAY_ANNOUNCE)};
	enum err err;

	read_bytes(r, m.static_key, KEY_SIZE);
	m.network_epoch = read_u64(r);
	read_bytes(r, m.mac, MAC_SIZE);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}
