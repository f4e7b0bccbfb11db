#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/server_state.h"
#include "io/log.h"

enum { LOGIN_INPUT_MAX = LOGIN_FRAME_MAX + 16 };

static enum err load_record(void *ctx, const struct record *record)
{
	return account_load(ctx, record);
}

static enum err load(struct server *server, char error[SERVER_ERROR_MAX])
{
	for (int table = RECORD_LEASE; table < RECORD_TABLES; table++) {
		enum err err =
			store_each(server->account_store, (enum record_table)table, server->account, load_record);

		if (err != OK)
			return server_fail(error, err,
					   "%s/account.db: a record is unusable (%s); restore it from a backup",
					   server->settings->state, err_text(err));
	}
	return OK;
}

static bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && ip_equal(&a->ip, &b->ip);
}

/* What was asked for and what the network was made with: a difference is a mistake, since addresses and names stay for
 * life. */
static enum err check_settings(const struct server *server, char error[SERVER_ERROR_MAX])
{
	const struct settings *settings = server->settings;
	struct prefix pool4 = account_pool4(server->account), pool6 = account_pool6(server->account);
	char text[ADDR_TEXT_MAX];

	if (settings->origin[OPTION_ZONE].source != SOURCE_DEFAULT &&
	    strcmp(settings->zone, account_zone(server->account)) != 0)
		return server_fail(
			error, ERR_USAGE,
			"--zone %s: this network was made with zone %s; leave it out, or use another --state",
			settings->zone, account_zone(server->account));
	if (settings->origin[OPTION_POOL4].source != SOURCE_DEFAULT && !prefix_equal(&settings->pool4, &pool4))
		return server_fail(error, ERR_USAGE,
				   "--pool4: this network was made with %s; leave it out, or use another --state",
				   prefix_format(&pool4, text));
	if (settings->origin[OPTION_POOL6].source != SOURCE_DEFAULT && !prefix_equal(&settings->pool6, &pool6))
		return server_fail(error, ERR_USAGE,
				   "--pool6: this network was made with %s; leave it out, or use another --state",
				   prefix_format(&pool6, text));
	return OK;
}

static enum err start(struct server *server, char error[SERVER_ERROR_MAX])
{
	const struct settings *settings = server->settings;
	struct random_source random = {NULL, random_kernel};
	struct account_config config = {
		.authority = server->account_keys.sign,
		.pool4 = settings->pool4,
		.pool6 = settings->pool6,
		.wall_s = clock_wall_s(),
		.certificate_valid_s = (uint64_t)(settings->certificate_time_us / USEC_PER_SEC),
	};
	enum err err;

	(void)snprintf(config.zone, sizeof(config.zone), "%s", settings->zone);
	server->account = account_create(&config, &random, loop_now(server->loop));
	err = load(server, error);
	if (err != OK)
		return err;
	if (account_start(server->account, loop_now(server->loop)) != OK)
		return server_fail(error, ERR_USAGE,
				   "--zone, --pool4 or --pool6: a zone is labels of a-z, 0-9 and hyphens; pools are an "
				   "IPv4 prefix of /8 to /29 and an IPv6 /32");
	return check_settings(server, error);
}

/* Other networks, as the settings have them now: whoever is left out is not trusted any more. */
static enum err take_trust(struct server *server, char error[SERVER_ERROR_MAX])
{
	struct trusted_entry list[TRUSTED_MAX];
	const char *text = server->settings->trust;
	uint8_t count = 0, bad = 0;
	enum err err;

	while (text && *text && count < TRUSTED_MAX && setting_trust_next(&text, &list[count]))
		count++;
	err = account_set_trusted(server->account, loop_now(server->loop), list, count, &bad);
	if (err == ERR_EXISTS)
		return server_fail(
			error, ERR_USAGE,
			"--trust %s: the zone or the key is this network's own, or stands twice; leave it out",
			list[bad].zone);
	if (err == ERR_DENIED)
		return server_fail(
			error, ERR_USAGE,
			"--trust %s: its prefixes overlap with this network's --pool4 or --pool6, or another "
			"trusted network's; one of the two has to be founded with other ones",
			list[bad].zone);
	return err;
}

/* What another network's operator has to type to trust this one. */
static void tell_trust(const struct server *server)
{
	char key[2 * KEY_SIZE + 1], v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];
	struct prefix pool4 = account_pool4(server->account), pool6 = account_pool6(server->account);

	for (size_t i = 0; i < KEY_SIZE; i++)
		(void)snprintf(key + 2 * i, 3, "%02x", server->authority[i]);
	log_print(LOG_SEVERITY_INFO, "trust", "other networks trust this one by: --trust %s=%s@%s@%s",
		  account_zone(server->account), key, prefix_format(&pool4, v4), prefix_format(&pool6, v6));
}

/* The network as it was left, or a new one. */
enum err server_account_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	char path[4200], why[STORE_ERROR_MAX];
	bool is_new = false;
	enum err err;

	(void)snprintf(path, sizeof(path), "%s/account.db", server->settings->state);
	err = store_open(path, &server->account_store, why);
	if (err != OK)
		return server_fail(error, err, "%s", why);
	err = server_keys_open(server->settings->state, "account.key", &server->account_keys, &is_new, error);
	if (err == OK)
		err = start(server, error);
	if (err == OK)
		err = take_trust(server, error);
	if (err != OK)
		return err;
	memcpy(server->authority, account_authority(server->account), KEY_SIZE);
	err = server_account_put_members(server, error);
	if (err != OK)
		return err;
	tell_trust(server);
	return server_account_settle(server)
		       ? OK
		       : server_fail(error, ERR_IO, "account.db: %s", store_error(server->account_store));
}

static enum err put_member(struct server *server, uint8_t role, const struct server_keys *keys,
			   char error[SERVER_ERROR_MAX])
{
	struct account_server member = {.role = role, .addresses = server->advertised, .is_builtin = true};
	enum err err;

	memcpy(member.static_key, keys->dh.public, KEY_SIZE);
	memcpy(member.sign_key, keys->sign.public, KEY_SIZE);
	err = account_put_server(server->account, loop_now(server->loop), &member);
	if (err == OK)
		return OK;
	return server_fail(
		error, err,
		"%s.key is not the key that this network knows (%s); restore the whole state directory from one backup",
		role == ROLE_RELAY ? "relay" : "coordinator", err_text(err));
}

/* At every start, and when this machine's addresses changed. */
enum err server_account_put_members(struct server *server, char error[SERVER_ERROR_MAX])
{
	enum err err = OK;

	if (server->roles & SERVER_COORDINATOR)
		err = put_member(server, ROLE_COORDINATOR, &server->member_keys[0], error);
	if (err == OK && server->roles & SERVER_RELAY)
		err = put_member(server, ROLE_RELAY, &server->member_keys[1], error);
	return err;
}

static void send_frame(struct server *server, uint64_t token, struct writer *w)
{
	size_t size;

	if (writer_finish(w, &size) == OK)
		(void)!tls_server_send(server->tls, token, w->data, size, false);
}

static void send_busy(struct server *server, uint64_t token)
{
	struct login_refusal refusal = {.reason = LOGIN_BUSY, .text = "too many log in at this moment; try again"};
	uint8_t bytes[512];
	struct writer w = writer_over(bytes, sizeof(bytes));

	login_refusal_encode(&refusal, &w);
	send_frame(server, token, &w);
}

static void send_network(struct server *server, uint64_t token)
{
	uint8_t bytes[NETWORK_MAX_SIZE + 16];
	struct writer w = writer_over(bytes, sizeof(bytes));

	login_frame_encode(FRAME_NETWORK_RESPONSE, account_network(server->account, loop_now(server->loop), NULL), &w);
	send_frame(server, token, &w);
}

static bool input_login(struct server *server, uint64_t token, const uint8_t *exporter, struct blob body)
{
	struct login_request request;
	struct reader r = reader_over(body.data, body.size);
	enum err err;

	if (login_request_decode(&r, &request) != OK)
		return false;
	err = account_login(server->account, loop_now(server->loop), token, &request, exporter);
	if (err != OK)
		send_busy(server, token);
	return true;
}

/* One frame at a time; a stranger's nonsense ends the connection without a word. Answers go out when the turn is
 * settled. */
static ptrdiff_t input(void *ctx, uint64_t token, const uint8_t exporter[TLS_EXPORTER_SIZE], const uint8_t *bytes,
		       size_t size)
{
	struct server *server = ctx;
	struct blob body;
	uint8_t type;
	size_t consumed;
	enum err err = login_frame_next(bytes, size, &type, &body, &consumed);

	if (err == ERR_TRUNCATED)
		return 0;
	if (err != OK)
		return -1;
	if (type == FRAME_NETWORK_REQUEST)
		send_network(server, token);
	else if (type != FRAME_LOGIN_REQUEST || !input_login(server, token, exporter, body))
		return -1;
	return (ptrdiff_t)consumed;
}

/* Strangers are heard from here on. */
enum err server_account_serve(struct server *server, char error[SERVER_ERROR_MAX])
{
	struct tls_server_config config = {
		.input_max = LOGIN_INPUT_MAX,
		.connections_max = 128,
		.ctx = server,
		.input = input,
	};

	memcpy(config.seed, server->account_keys.sign.seed, sizeof(config.seed));
	server->tls = tls_server_create(&config, server->loop, server->tcp);
	explicit_bzero(config.seed, sizeof(config.seed));
	return server->tls ? OK : server_fail(error, ERR_IO, "cannot start TLS for logins");
}

/* Machine, store and connections. */
void server_account_close(struct server *server)
{
	tls_server_destroy(server->tls);
	server->tls = NULL;
	account_destroy(server->account);
	server->account = NULL;
	store_close(server->account_store);
	server->account_store = NULL;
}

static void log_answer(const struct account_answer *answer)
{
	static const char *const roles[] = {"node", "coordinator", "relay", "exit"};
	struct log_field fields[] = {
		log_text("name", answer->fqdn),
		log_text("role", answer->role <= ROLE_EXIT ? roles[answer->role] : "unknown"),
		log_text(LOG_REASON, answer->refused ? answer->refusal.text : ""),
	};

	if (answer->refused)
		log_event(LOG_SEVERITY_INFO, "login-refused", "login refused", fields, 3);
	else
		log_event(LOG_SEVERITY_INFO, "login", answer->repeated ? "login repeated" : "login", fields, 2);
}

static void send_answer(struct server *server, const struct account_answer *answer)
{
	uint8_t bytes[LOGIN_FRAME_MAX];
	struct writer w = writer_over(bytes, sizeof(bytes));

	log_answer(answer);
	if (answer->refused)
		login_refusal_encode(&answer->refusal, &w);
	else
		login_response_encode(&answer->response, &w);
	if (server->tls)
		send_frame(server, answer->token, &w);
}

static bool store_records(struct server *server)
{
	size_t count;

	do {
		count = 0;
		while (count < SERVER_RECORDS_MAX && account_next_record(server->account, &server->records[count]))
			count++;
		if (count && store_write(server->account_store, server->records, count) != OK) {
			log_print(LOG_SEVERITY_ERROR, "account-store",
				  "account.db: %s; ending, so that nothing is promised",
				  store_error(server->account_store));
			return false;
		}
	} while (count == SERVER_RECORDS_MAX);
	account_records_durable(server->account);
	return true;
}

/* A whole transaction may span several writes of SERVER_RECORDS_MAX; answers wait for the last. */
bool server_account_settle(struct server *server)
{
	struct account_answer answer;
	const struct network *network;
	struct blob encoded;

	if (!store_records(server))
		return false;
	while (account_next_answer(server->account, &answer))
		send_answer(server, &answer);
	encoded = account_network(server->account, loop_now(server->loop), &network);
	server_network_set(server, network, encoded);
	return true;
}
