/*
 * probe.h: Relay Probe, its answer and Announce as authenticated datagrams: what asker and relay must agree on, once.
 * Pure functions.
 */
#pragma once

#include "base/err.h"
#include "wire/relay_probe.h"

/* Of nodes: whoever knows the relay's public key may ask, so that strangers meet silence (security 2). */
void probe_key_node(const uint8_t relay_static[KEY_SIZE], uint8_t ret[KEY_SIZE]);
/* Of a coordinator and a relay: from what they share (ticket_key). */
void probe_key_coordinator(const uint8_t ticket_key[KEY_SIZE], uint8_t ret[KEY_SIZE]);

void probe_write(const struct relay_probe *probe, const uint8_t key[KEY_SIZE], uint8_t ret[RELAY_PROBE_SIZE]);
void probed_write(const struct relay_probed *probed, const uint8_t key[KEY_SIZE], uint8_t ret[RELAY_PROBE_SIZE]);
void announce_write(const struct relay_announce *announce, const uint8_t key[KEY_SIZE],
		    uint8_t ret[RELAY_ANNOUNCE_SIZE]);
/* Does the datagram end with its MAC under this key? */
bool probe_holds(const uint8_t *bytes, size_t size, const uint8_t key[KEY_SIZE]);
/* ERR_MALFORMED, ERR_AUTH. */
must_use enum err probed_read(const uint8_t *bytes, size_t size, const uint8_t key[KEY_SIZE], struct relay_probed *ret);
