#include <stdio.h>
#include <string.h>

#include "cmd/server_state.h"
#include "io/log.h"

static void coordinator_happened(void *ctx, const struct coordinator_event *event)
{
	static const char *const texts[] = {
		[COORDINATOR_NODE_LEASED] = "addresses leased",
		[COORDINATOR_NODE_ONLINE] = "node online",
		[COORDINATOR_NODE_OFFLINE] = "node offline",
		[COORDINATOR_NODE_MOVED] = "node moved",
		[COORDINATOR_NODE_REFUSED] = "node refused",
		[COORDINATOR_NODE_REVOKED] = "node revoked",
		[COORDINATOR_NODE_RESTORED] = "node restored",
		[COORDINATOR_DIRECTED] = "tunnel directed",
		[COORDINATOR_NOT_DIRECTED] = "tunnel refused",
		[COORDINATOR_LEASE_REUSED] = "expired addresses leased anew",
		[COORDINATOR_LINK_UP] = "other zone linked",
		[COORDINATOR_LINK_DOWN] = "other zone not reachable",
		[COORDINATOR_NODE_PROVED] = "address proved",
		[COORDINATOR_RELAY_CHANGED] = "another relay for a tunnel",
		[COORDINATOR_REALM_TAKEN] = "other network taken",
		[COORDINATOR_REALM_REFUSED] = "other network refused",
	};
	char v4[ADDR_TEXT_MAX], observed[ADDR_TEXT_MAX];
	bool is_routine = event->type == COORDINATOR_DIRECTED || event->type == COORDINATOR_NOT_DIRECTED ||
			  event->type == COORDINATOR_NODE_MOVED || event->type == COORDINATOR_NODE_PROVED;
	struct log_field fields[] = {
		log_text("node", event->fqdn),
		log_text("v4", ip_format(&event->v4, v4)),
		log_text(LOG_REMOTE, addr_format(&event->observed, observed)),
		log_text(LOG_PEER, event->peer_fqdn ? event->peer_fqdn : ""),
		log_number(LOG_REASON, event->reason),
	};

	(void)ctx;
	if (event->type < sizeof(texts) / sizeof(texts[0]))
		log_event(is_routine ? LOG_SEVERITY_DEBUG : LOG_SEVERITY_INFO, "coordinator", texts[event->type],
			  fields, sizeof(fields) / sizeof(fields[0]));
}

static enum err load_record(void *ctx, const struct record *record)
{
	return coordinator_load(ctx, record);
}

static enum err load(struct server *server, char error[SERVER_ERROR_MAX])
{
	for (int table = RECORD_LEASE; table < RECORD_TABLES; table++) {
		enum err err = store_each(server->coordinator_store, (enum record_table)table, server->coordinator,
					  load_record);

		if (err != OK)
			return server_fail(error, err,
					   "%s/coordinator.db: a record is unusable (%s); restore it from a backup",
					   server->settings->state, err_text(err));
	}
	return OK;
}

/* The zone and pools of this coordinator, as the network document has them. */
static enum err find_entry(struct server *server, struct coordinator_config *config, char error[SERVER_ERROR_MAX])
{
	for (uint8_t i = 0; i < server->network.coordinator_count; i++) {
		const struct coordinator_entry *entry = &server->network.coordinators[i];

		if (memcmp(entry->static_key, config->static_keys.public, KEY_SIZE) != 0)
			continue;
		memcpy(config->zone, entry->zone, sizeof(config->zone));
		config->pool4 = entry->pool4;
		config->pool6 = entry->pool6;
		return OK;
	}
	return server_fail(error, ERR_DENIED,
			   "this coordinator is not (any more) part of its network; join again with --join CODE");
}

static void choose_name_servers(const struct server *server, struct coordinator_config *config)
{
	if (server->settings->dns_listen.port == 0)
		return;
	for (uint8_t i = server->advertised.count; i > 0; i--) {
		const struct ip *ip = &server->advertised.list[i - 1].ip;

		if (ip->family == 4)
			config->ns_v4 = *ip;
		else
			config->ns_v6 = *ip;
	}
}

/* Leases of former lives first, strangers later. The network must be in force by now. */
enum err server_coordinator_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	struct coordinator_env env = {.random = {NULL, random_kernel}, .ctx = server, .event = coordinator_happened};
	struct coordinator_config config = {
		.static_keys = server->member_keys[0].dh,
		.sign_keys = server->member_keys[0].sign,
		.wall_s = clock_wall_s(),
		.has_resolver = server->settings->resolver.port != 0,
	};
	char path[4200], why[STORE_ERROR_MAX];
	enum err err = find_entry(server, &config, error);

	if (err != OK)
		return err;
	memcpy(config.authority, server->authority, KEY_SIZE);
	choose_name_servers(server, &config);
	(void)snprintf(path, sizeof(path), "%s/coordinator.db", server->settings->state);
	err = store_open(path, &server->coordinator_store, why);
	if (err != OK)
		return server_fail(error, err, "%s", why);
	server->coordinator = coordinator_create(&config, &env, loop_now(server->loop));
	if (!server->coordinator)
		return server_fail(error, ERR_USAGE, "cannot start the coordinator: zone %s or its pools are unusable",
				   config.zone);
	return load(server, error);
}

/* Before the sockets close. */
void server_coordinator_leave(struct server *server)
{
	uint32_t cursor = 0;
	bool has_more = server->coordinator && server->udp;

	while (has_more) {
		has_more = coordinator_leave(server->coordinator, loop_now(server->loop), &cursor);
		server_send_coordinator(server);
	}
}

/* Machine and store. */
void server_coordinator_close(struct server *server)
{
	coordinator_destroy(server->coordinator);
	server->coordinator = NULL;
	store_close(server->coordinator_store);
	server->coordinator_store = NULL;
}

/* Acknowledged means fsynced: first the records, then the answers. */
bool server_coordinator_settle(struct server *server)
{
	struct record *records = server->records;
	size_t count;

	do {
		count = 0;
		while (count < SERVER_RECORDS_MAX && coordinator_next_record(server->coordinator, &records[count]))
			count++;
		if (count && store_write(server->coordinator_store, records, count) != OK) {
			log_print(LOG_SEVERITY_ERROR, "coordinator-store",
				  "coordinator.db: %s; ending, so that nothing is promised",
				  store_error(server->coordinator_store));
			return false;
		}
	} while (count == SERVER_RECORDS_MAX);
	coordinator_records_durable(server->coordinator, loop_now(server->loop));
	server_send_coordinator(server);
	return true;
}
