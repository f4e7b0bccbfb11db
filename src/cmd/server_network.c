#include <string.h>

#include "cmd/server_state.h"
#include "io/log.h"

static void tell_relay(struct server *server)
{
	uint8_t keys[COORDINATORS_MAX][KEY_SIZE];
	size_t count = server->network.coordinator_count;

	for (size_t i = 0; i < count; i++)
		memcpy(keys[i], server->network.coordinators[i].static_key, KEY_SIZE);
	if (relay_set_coordinators(server->relay, (const uint8_t(*)[KEY_SIZE])keys, count) != OK)
		log_print(LOG_SEVERITY_ERROR, "network-coordinators",
			  "network: a coordinator's key is unusable, the former ones stay");
}

/* Epochs only rise: an old document, kept by somebody, undoes no revocation. */
void server_network_set(struct server *server, const struct network *network, struct blob encoded)
{
	if (server->network_size && network->epoch <= server->network.epoch && network != &server->network)
		return;
	if (encoded.size > sizeof(server->network_bytes))
		return;
	if (network != &server->network)
		server->network = *network;
	if (encoded.data != server->network_bytes)
		memcpy(server->network_bytes, encoded.data, encoded.size);
	server->network_size = encoded.size;
	if (server->coordinator)
		coordinator_set_network(server->coordinator, loop_now(server->loop), &server->network);
	if (server->relay) {
		tell_relay(server);
		server_relay_announce(server);
	}
	log_print(LOG_SEVERITY_DEBUG, "network-epoch", "network: epoch %llu, %u coordinators, %u relays, %u revoked",
		  (unsigned long long)network->epoch, network->coordinator_count, network->relay_count,
		  network->revoked_count);
}
