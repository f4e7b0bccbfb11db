/*
 * probe.c: how far is this relay and how busy? An answer costs one MAC, keeps nothing and is as large as the question;
 * whoever does not know the relay's public key meets silence.
 */
#include <string.h>

#include "proto/relay/state.h"
#include "proto/session/probe.h"

#define LOAD_WINDOW_US (1 * USEC_PER_SEC)

/* What was forwarded since the last window ended; a busy asker does not make it shorter. */
static uint32_t measure_kbps(struct relay *relay)
{
	int64_t age_us = time_since(relay->now, relay->load_since);
	uint64_t bytes = relay->counters.forwarded_bytes - relay->load_bytes;

	if (age_us >= LOAD_WINDOW_US) {
		relay->load_kbps = (uint32_t)(bytes * 8000 / (uint64_t)age_us);
		relay->load_since = relay->now;
		relay->load_bytes = relay->counters.forwarded_bytes;
	}
	return relay->load_kbps;
}

static struct relay_load load_of(struct relay *relay)
{
	return (struct relay_load){
		.pairs = relay->table.count,
		.pairs_max = relay->table.pairs_max,
		.kbps = measure_kbps(relay),
		.kbps_max = relay->config.kbps_max,
		.is_draining = relay->is_draining,
	};
}

static const uint8_t *find_key(const struct relay *relay, const struct relay_probe *probe)
{
	if (probe->asker == RELAY_ASKER_NODE)
		return relay->probe_key;
	for (unsigned i = 0; i < relay->coordinator_count; i++)
		if (!memcmp(relay->coordinators[i].public, probe->static_key, KEY_SIZE))
			return relay->coordinators[i].probe_key;
	return NULL;
}

/* Nodes' questions are limited by prefix as tickets are: the answer goes where the question seems to come from. */
enum err relay_input_probe(struct relay *relay, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct relay_probe probe;
	struct relay_probed probed = {0};
	uint8_t answer[RELAY_PROBE_SIZE];
	const uint8_t *key;

	if (size != RELAY_PROBE_SIZE || relay_probe_decode(&r, &probe) != OK) {
		relay->counters.dropped_malformed++;
		return ERR_MALFORMED;
	}
	key = find_key(relay, &probe);
	if (!key || !probe_holds(bytes, size, key)) {
		relay->counters.dropped_auth++;
		return ERR_AUTH;
	}
	if (probe.asker == RELAY_ASKER_NODE && relay_is_limited(relay, &route->remote)) {
		relay->counters.dropped_limited++;
		return ERR_FULL;
	}
	probed.nonce = probe.nonce;
	probed.asker = probe.asker;
	if (probe.asker == RELAY_ASKER_COORDINATOR)
		probed.load = load_of(relay);
	probed_write(&probed, key, answer);
	relay->counters.probes++;
	relay_reply(relay, route, answer, sizeof answer);
	return OK;
}

/* To every address of every coordinator that the document lists and whose key is in force. */
void relay_announce(struct relay *relay, struct time_us now, const struct network *network)
{
	struct relay_announce announce = {.network_epoch = network->epoch};
	uint8_t bytes[RELAY_ANNOUNCE_SIZE];

	relay_turn(relay, now);
	memcpy(announce.static_key, relay->config.static_keys.public, KEY_SIZE);
	for (uint8_t i = 0; i < network->coordinator_count; i++) {
		const struct coordinator_entry *entry = &network->coordinators[i];
		struct relay_probe as = {.asker = RELAY_ASKER_COORDINATOR};
		const uint8_t *key;

		memcpy(as.static_key, entry->static_key, KEY_SIZE);
		key = find_key(relay, &as);
		for (uint8_t k = 0; key && k < entry->addresses.count; k++) {
			struct route route = {.remote = entry->addresses.list[k]};

			random_fill(&relay->env.random, &announce.nonce, sizeof announce.nonce);
			announce_write(&announce, key, bytes);
			relay_reply(relay, &route, bytes, sizeof bytes);
		}
	}
}

/* Coordinators hear of it with their next question, and give its pairs other relays. */
void relay_set_draining(struct relay *relay, bool is_draining)
{
	relay->is_draining = is_draining;
}
