#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/server_state.h"

/* RFC 3339 with microseconds, which this source does not have: zeros. */
json_t *server_instant(uint64_t wall_s)
{
	char text[64];
	time_t t = (time_t)wall_s;
	struct tm parts;

	if (wall_s == 0 || !gmtime_r(&t, &parts) ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000000Z", &parts) == 0)
		return json_null();
	return json_string(text);
}

/* Lower case. */
json_t *server_hex(const uint8_t *bytes, size_t size)
{
	char text[2 * KEY_SIZE + 1] = "";

	for (size_t i = 0; i < size && i < KEY_SIZE; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return json_string(text);
}

static json_t *ip_json(const struct ip *ip)
{
	char text[ADDR_TEXT_MAX];

	return ip->family ? json_string(ip_format(ip, text)) : json_null();
}

static json_t *addr_json(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return addr_is_set(addr) ? json_string(addr_format(addr, text)) : json_null();
}

static json_t *addresses_json(const struct server_addresses *addresses)
{
	json_t *list = json_array();

	for (uint8_t i = 0; i < addresses->count; i++)
		(void)json_array_append_new(list, addr_json(&addresses->list[i]));
	return list;
}

static json_t *prefix_json(const struct prefix *prefix)
{
	char text[ADDR_TEXT_MAX];

	return json_string(prefix_format(prefix, text));
}

static json_t *label_json(const char *fqdn)
{
	return json_stringn(fqdn, strcspn(fqdn, "."));
}

/* The part that the account server knows. */
static json_t *account_node_json(const struct account_node_info *info)
{
	return json_pack("{s:o, s:s, s:o, s:n, s:n, s:b, s:s, s:n, s:o, s:o, s:b}", "name", label_json(info->fqdn),
			 "fqdn", info->fqdn, "id", server_hex(info->id.bytes, NODE_ID_SIZE), "v4", "v6", "online", 0,
			 "state", info->revoked_s ? "revoked" : "unknown", "last_seen", "joined",
			 server_instant(info->joined_s), "expires", server_instant(info->not_after_s), "revoked",
			 info->revoked_s != 0);
}

/* The part that the coordinator knows. A state is "up", "down" or "revoked". */
static void add_coordinator_node(json_t *node, const struct coordinator_node_info *info)
{
	bool is_revoked = info->revoked || json_is_true(json_object_get(node, "revoked"));

	(void)json_object_set_new(node, "v4", ip_json(&info->v4));
	(void)json_object_set_new(node, "v6", ip_json(&info->v6));
	(void)json_object_set_new(node, "observed", addr_json(&info->observed));
	(void)json_object_set_new(node, "online", json_boolean(info->online));
	(void)json_object_set_new(node, "revoked", json_boolean(is_revoked));
	(void)json_object_set_new(node, "state", json_string(is_revoked ? "revoked" : info->online ? "up" : "down"));
	(void)json_object_set_new(node, "last_seen", server_instant(info->last_seen_s));
	(void)json_object_set_new(node, "lease_expires", server_instant(info->lease_not_after_s));
	(void)json_object_set_new(node, "tunnels", json_integer(info->tunnels));
}

static void add_leased_nodes(struct server *server, json_t *by_id, json_t *nodes)
{
	struct coordinator_node_info info;

	for (uint32_t i = 0; coordinator_node_at(server->coordinator, i, &info); i++) {
		json_t *id = server_hex(info.id.bytes, NODE_ID_SIZE);
		json_t *node = json_object_get(by_id, json_string_value(id));

		if (!node && !info.fqdn[0]) {
			json_decref(id); /* revoked before it ever came */
			continue;
		}
		if (!node) {
			node = json_pack("{s:o, s:s, s:O}", "name", label_json(info.fqdn), "fqdn", info.fqdn, "id", id);
			(void)json_array_append_new(nodes, node);
		}
		add_coordinator_node(node, &info);
		json_decref(id);
	}
}

/* Every device that was admitted, with what the coordinator here knows of it. */
json_t *server_nodes_document(struct server *server)
{
	json_t *nodes = json_array(), *by_id = json_object();
	struct account_node_info info;

	for (uint32_t i = 0; server->account && account_node_at(server->account, i, &info); i++) {
		json_t *node = account_node_json(&info);

		(void)json_object_set(by_id, json_string_value(json_object_get(node, "id")), node);
		(void)json_array_append_new(nodes, node);
	}
	if (server->coordinator)
		add_leased_nodes(server, by_id, nodes);
	json_decref(by_id);
	return json_pack("{s:s, s:o}", "schema", "ntm.nodes/1", "nodes", nodes);
}

/* As signed. */
json_t *server_network_document(struct server *server)
{
	const struct network *network = &server->network;
	json_t *coordinators = json_array(), *relays = json_array(), *revoked = json_array();

	for (uint8_t i = 0; i < network->coordinator_count; i++) {
		const struct coordinator_entry *entry = &network->coordinators[i];

		(void)json_array_append_new(coordinators,
					    json_pack("{s:s, s:o, s:o, s:o, s:o}", "zone", entry->zone, "key",
						      server_hex(entry->static_key, KEY_SIZE), "pool4",
						      prefix_json(&entry->pool4), "pool6", prefix_json(&entry->pool6),
						      "addresses", addresses_json(&entry->addresses)));
	}
	for (uint8_t i = 0; i < network->relay_count; i++) {
		const struct relay_entry *entry = &network->relays[i];

		(void)json_array_append_new(relays, json_pack("{s:s, s:o, s:o}", "name", entry->name, "key",
							      server_hex(entry->static_key, KEY_SIZE), "addresses",
							      addresses_json(&entry->addresses)));
	}
	for (uint16_t i = 0; i < network->revoked_count; i++)
		(void)json_array_append_new(revoked, server_hex(network->revoked[i].bytes, NODE_ID_SIZE));
	return json_pack("{s:s, s:I, s:o, s:i, s:o, s:o, s:o, s:o}", "schema", "ntm.network/1", "epoch",
			 (json_int_t)network->epoch, "issued", server_instant(network->issued_s), "version_floor",
			 network->version_floor, "authority", server_hex(server->authority, KEY_SIZE), "coordinators",
			 coordinators, "relays", relays, "revoked", revoked);
}

static const char *zone_of(struct server *server)
{
	if (server->account)
		return account_zone(server->account);
	for (uint8_t i = 0; i < server->network.coordinator_count; i++)
		if (memcmp(server->network.coordinators[i].static_key, server->member_keys[0].dh.public, KEY_SIZE) == 0)
			return server->network.coordinators[i].zone;
	return server->network.coordinator_count ? server->network.coordinators[0].zone : "";
}

/* What runs here and how much there is of it. */
json_t *server_status_document(struct server *server)
{
	json_t *roles = json_array();
	json_t *document =
		json_pack("{s:s, s:{s:s, s:s, s:o, s:o, s:o}}", "schema", "ntm.status/1", "server", "version",
			  NTM_VERSION, "zone", zone_of(server), "addresses", addresses_json(&server->advertised),
			  "network_epoch", json_integer((json_int_t)server->network.epoch), "roles", roles);
	json_t *about = json_object_get(document, "server");

	if (server->account) {
		struct account_counters c;

		account_get_counters(server->account, loop_now(server->loop), &c);
		(void)json_array_append_new(roles, json_string("account"));
		(void)json_object_set_new(about, "account",
					  json_pack("{s:i, s:i, s:i}", "nodes", (int)c.nodes, "revoked", (int)c.revoked,
						    "codes_open", (int)c.codes_open));
	}
	if (server->coordinator) {
		struct coordinator_counters c;

		coordinator_get_counters(server->coordinator, &c);
		(void)json_array_append_new(roles, json_string("coordinator"));
		(void)json_object_set_new(about, "coordinator",
					  json_pack("{s:i, s:i, s:i}", "nodes", (int)c.nodes, "online", (int)c.online,
						    "tunnels", (int)c.tunnels));
	}
	if (server->relay) {
		struct relay_counters c;

		relay_get_counters(server->relay, &c);
		(void)json_array_append_new(roles, json_string("relay"));
		(void)json_object_set_new(about, "relay",
					  json_pack("{s:i, s:I, s:I, s:s, s:i, s:I}", "pairs", (int)c.pairs,
						    "forwarded_bytes", (json_int_t)c.forwarded_bytes, "replayed_bytes",
						    (json_int_t)c.replayed_bytes, "forwarding", server->forwarding,
						    "xdp_pairs", (int)c.express_pairs, "xdp_forwarded_bytes",
						    (json_int_t)c.express_bytes));
	}
	return document;
}
