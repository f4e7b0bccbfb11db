#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/login_task.h"
#include "cmd/server_state.h"
#include "crypto/hash.h"
#include "io/log.h"
#include "proto/session/trust.h"
#include "wire/field.h"

enum { MEMBERSHIP_LAYOUT = 1, MEMBERSHIP_MAX = NETWORK_MAX_SIZE + 512 };
static const char membership_file[] = "membership";

static enum err membership_write(const struct server *server, char error[SERVER_ERROR_MAX])
{
	uint8_t bytes[MEMBERSHIP_MAX];
	struct writer w = writer_over(bytes, sizeof(bytes));
	size_t size;

	write_u8(&w, MEMBERSHIP_LAYOUT);
	write_bytes(&w, server->authority, KEY_SIZE);
	write_u8(&w, server->account_addresses.count);
	for (uint8_t i = 0; i < server->account_addresses.count; i++)
		write_addr(&w, &server->account_addresses.list[i]);
	write_bytes(&w, server->network_bytes, server->network_size);
	if (writer_finish(&w, &size) != OK)
		return server_fail(error, ERR_SIZE, "the network document is too large");
	return server_file_write(server->settings->state, membership_file, bytes, size, error);
}

/* ERR_UNKNOWN: not joined yet. */
static enum err membership_read(struct server *server, char error[SERVER_ERROR_MAX])
{
	uint8_t bytes[MEMBERSHIP_MAX];
	struct network network;
	struct reader r;
	struct blob encoded;
	size_t size;
	enum err err = server_file_read(server->settings->state, membership_file, bytes, sizeof(bytes), &size, error);

	if (err != OK)
		return err;
	r = reader_over(bytes, size);
	if (read_u8(&r) != MEMBERSHIP_LAYOUT)
		return server_fail(error, ERR_MALFORMED, "%s/%s: not readable by this version", server->settings->state,
				   membership_file);
	read_bytes(&r, server->authority, KEY_SIZE);
	server->account_addresses.count = read_u8(&r);
	if (server->account_addresses.count > SERVER_ADDRESSES_MAX)
		return server_fail(error, ERR_MALFORMED, "%s/%s is damaged; join again with --join CODE",
				   server->settings->state, membership_file);
	for (uint8_t i = 0; i < server->account_addresses.count; i++)
		server->account_addresses.list[i] = read_addr(&r);
	encoded = read_blob(&r, reader_left(&r));
	if (reader_finish(&r) != OK || network_judge(encoded, server->authority, &network) != OK)
		return server_fail(error, ERR_MALFORMED, "%s/%s is damaged; join again with --join CODE",
				   server->settings->state, membership_file);
	server_network_set(server, &network, encoded);
	return OK;
}

/* What the network knows of this server; NULL when it is not, or no longer, part of it. */
static const struct server_addresses *find_own(const struct server *server)
{
	const struct network *network = &server->network;

	for (uint8_t i = 0; server->roles & SERVER_COORDINATOR && i < network->coordinator_count; i++)
		if (memcmp(network->coordinators[i].static_key, server->member_keys[0].dh.public, KEY_SIZE) == 0)
			return &network->coordinators[i].addresses;
	for (uint8_t i = 0; server->roles & SERVER_RELAY && i < network->relay_count; i++)
		if (memcmp(network->relays[i].static_key, server->member_keys[1].dh.public, KEY_SIZE) == 0)
			return &network->relays[i].addresses;
	return NULL;
}

static void fill_params(const struct server *server, struct login_params *ret)
{
	bool is_relay = server->roles & SERVER_RELAY;
	const struct settings *settings = server->settings;
	const struct server_keys *keys = &server->member_keys[is_relay ? 1 : 0];

	memset(ret, 0, sizeof(*ret));
	ret->role = is_relay ? ROLE_RELAY : ROLE_COORDINATOR;
	ret->identity = keys->sign;
	memcpy(ret->static_key, keys->dh.public, KEY_SIZE);
	ret->addresses = server->advertised;
	if (is_relay && settings->name)
		(void)snprintf(ret->name, sizeof(ret->name), "%s", settings->name);
	if (!is_relay && settings->origin[OPTION_ZONE].source != SOURCE_DEFAULT)
		(void)snprintf(ret->name, sizeof(ret->name), "%s", settings->zone);
}

static enum err take_result(struct server *server, const struct login_result *result, char error[SERVER_ERROR_MAX])
{
	uint64_t epoch = server->network_size ? server->network.epoch : 0;

	memcpy(server->authority, result->authority, KEY_SIZE);
	server->account_addresses = result->servers;
	server_network_set(server, &result->network_decoded, (struct blob){result->network, result->network_size});
	if (server->network.epoch == epoch && epoch != 0)
		return OK;
	return membership_write(server, error);
}

/* First start: with the code. Later ones tell the present addresses; when nobody answers, what is known goes on being
 * true. */
enum err server_member_join(struct server *server, int *ret_exit, char error[SERVER_ERROR_MAX])
{
	const struct settings *settings = server->settings;
	struct login_result *result = calloc(1, sizeof(*result));
	struct login_params params;
	char why[LOGIN_ERROR_MAX];
	uint8_t reason = 0;
	enum err err = membership_read(server, error);
	bool is_known = err == OK;

	*ret_exit = EXIT_FAILED;
	if (!result)
		abort();
	fill_params(server, &params);
	if (is_known) {
		err = login_renew(server->authority, &server->account_addresses, &params, result, &reason, why);
	} else if (err == ERR_UNKNOWN && settings->join) {
		err = login_join(settings->join, &params, result, &reason, why);
	} else {
		if (err == ERR_UNKNOWN)
			(void)server_fail(
				error, err,
				"not part of a network yet; start once with --join CODE (ntm invite --role %s on the "
				"account server prints one)",
				server->roles & SERVER_RELAY ? "relay" : "coordinator");
		*ret_exit = err == ERR_UNKNOWN ? EXIT_NOT_JOINED : EXIT_FAILED;
		free(result);
		return err;
	}
	if (err == OK) {
		err = take_result(server, result, error);
	} else if (is_known && err != ERR_DENIED) {
		log_print(LOG_SEVERITY_WARNING, "member-renew", "account server: %s; going on with what is known", why);
		err = OK;
	} else {
		*ret_exit = login_exit_code(err);
		err = server_fail(error, err, "%s", why);
	}
	wipe(&params, sizeof(params));
	free(result);
	return err;
}

static void answered(void *ctx, struct login_task *task)
{
	struct server *server = ctx;
	char error[SERVER_ERROR_MAX];

	if (task->err != OK) {
		log_print(LOG_SEVERITY_WARNING, "member-poll", "account server: %s; going on with what is known",
			  task->error);
		return;
	}
	if (take_result(server, &task->result, error) != OK)
		log_print(LOG_SEVERITY_ERROR, "member-write", "%s", error);
	if (find_own(server))
		return;
	log_print(LOG_SEVERITY_ERROR, "member-revoked",
		  "this server was taken out of its network by the account server; ending");
	server->is_stopping = true;
	server->exit_code = EXIT_DENIED;
}

/* One question at a time. With new addresses of our own it is a login, else the network document is fetched. */
void server_member_poll(struct server *server)
{
	const struct server_addresses *told = find_own(server);

	if (!server->poll)
		server->poll = login_task_create(server->loop, server, answered);
	if (!server->poll) {
		log_print(LOG_SEVERITY_ERROR, "member-poll", "cannot ask the account server: %s", strerror(errno));
		return;
	}
	if (server->poll->is_running)
		return;
	server_addresses_find(server, &server->advertised);
	fill_params(server, &server->poll->params);
	memcpy(server->poll->authority, server->authority, KEY_SIZE);
	server->poll->addresses = server->account_addresses;
	if (!login_task_start(server->poll, told && !server_addresses_equal(told, &server->advertised)))
		log_print(LOG_SEVERITY_ERROR, "member-poll", "cannot start a thread to ask the account server");
}

/* Contract in login_task.h. */
void server_member_close(struct server *server)
{
	login_task_close(server->poll);
	server->poll = NULL;
}
