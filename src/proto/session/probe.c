#include "proto/session/probe.h"

#include "crypto/hash.h"
#include "proto/session/handshake.h"

/* As the mac1 of first messages to servers. */
void probe_key_node(const uint8_t relay_static[KEY_SIZE], uint8_t ret[KEY_SIZE])
{
	handshake_mac1_key(relay_static, NULL, ret);
}

/* Another use of the same secret than tickets: another key. */
void probe_key_coordinator(const uint8_t ticket_key[KEY_SIZE], uint8_t ret[KEY_SIZE])
{
	derive_key(ticket_key, "ntm probe", NULL, 0, ret);
}

static void write_mac(struct writer *w, const uint8_t key[KEY_SIZE])
{
	uint8_t tag[MAC_BYTES];

	mac(key, w->data, w->at, tag);
	write_bytes(w, tag, sizeof tag);
}

/* Sizes are fixed, so nothing can fail. */
void probe_write(const struct relay_probe *probe, const uint8_t key[KEY_SIZE], uint8_t ret[RELAY_PROBE_SIZE])
{
	struct writer w = writer_over(ret, RELAY_PROBE_SIZE);

	relay_probe_encode_unsigned(probe, &w);
	write_mac(&w, key);
}

/* The relay's half. */
void probed_write(const struct relay_probed *probed, const uint8_t key[KEY_SIZE], uint8_t ret[RELAY_PROBE_SIZE])
{
	struct writer w = writer_over(ret, RELAY_PROBE_SIZE);

	relay_probed_encode_unsigned(probed, &w);
	write_mac(&w, key);
}

/* To one coordinator: each shares another key with the relay. */
void announce_write(const struct relay_announce *announce, const uint8_t key[KEY_SIZE],
		    uint8_t ret[RELAY_ANNOUNCE_SIZE])
{
	struct writer w = writer_over(ret, RELAY_ANNOUNCE_SIZE);

	relay_announce_encode_unsigned(announce, &w);
	write_mac(&w, key);
}

/* Constant time. */
bool probe_holds(const uint8_t *bytes, size_t size, const uint8_t key[KEY_SIZE])
{
	uint8_t tag[MAC_BYTES];

	if (size < MAC_SIZE)
		return false;
	mac(key, bytes, size - MAC_SIZE, tag);
	return equal_secret(tag, bytes + size - MAC_SIZE, MAC_SIZE);
}

/* Whether it was asked for is the caller's to know, by the nonce. */
enum err probed_read(const uint8_t *bytes, size_t size, const uint8_t key[KEY_SIZE], struct relay_probed *ret)
{
	struct reader r = reader_over(bytes, size);
	struct relay_probed probed;
	enum err err = relay_probed_decode(&r, &probed);

	if (err == OK && !probe_holds(bytes, size, key))
		err = ERR_AUTH;
	if (err == OK)
		*ret = probed;
	return err;
}
