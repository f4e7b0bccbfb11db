#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/server_state.h"
#include "io/log.h"

enum { OUTPUT_MAX = 64 * 1024 * 1024, GROUPS_LOOKED_AT = 64 }; /* `nodes` of a full network */
#define EXPIRES_DEFAULT_S 3600

/* One request and where its answer goes. */
struct exchange {
	struct server *server;
	uint64_t token;
	const json_t *arguments;
	char error[SERVER_ERROR_MAX];
};

static void send_json(struct exchange *x, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	if (text)
		(void)!stream_send(x->server->control, x->token, text, strlen(text));
	free(text);
	json_decref(document);
}

static __attribute__((format(printf, 3, 4))) int fail(struct exchange *x, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(x->error, sizeof(x->error), format, args);
	va_end(args);
	return code;
}

static const char *text_argument(const struct exchange *x, const char *key)
{
	const char *text = json_string_value(json_object_get(x->arguments, key));

	return text ? text : "";
}

static bool number_argument(const struct exchange *x, const char *key, json_int_t fallback, json_int_t max,
			    json_int_t *ret)
{
	const json_t *value = json_object_get(x->arguments, key);

	*ret = json_is_integer(value) ? json_integer_value(value) : fallback;
	return (!value || json_is_null(value) || json_is_integer(value)) && *ret >= 1 && *ret <= max;
}

static const char *const roles[] = {"node", "coordinator", "relay", "exit"};

static int read_role(struct exchange *x, uint8_t *ret)
{
	const char *role = text_argument(x, "role");

	*ret = ROLE_NODE;
	for (uint8_t i = 0; i <= ROLE_EXIT && *role; i++)
		if (strcmp(role, roles[i]) == 0) {
			*ret = i;
			return EXIT_DONE;
		}
	return *role ? fail(x, EXIT_USAGE, "role %.40s: use node, coordinator, relay or exit", role) : EXIT_DONE;
}

static int read_invite(struct exchange *x, struct account_invite *ret)
{
	const char *name = text_argument(x, "name"), *zone = text_argument(x, "zone");
	json_int_t uses, expires_s;
	int code = read_role(x, &ret->role);

	if (code != EXIT_DONE)
		return code;
	if (strlen(name) >= sizeof(ret->name) || strlen(zone) >= sizeof(ret->zone))
		return fail(x, EXIT_USAGE, "--name: too long");
	if (!number_argument(x, "uses", 1, ACCOUNT_USES_MAX, &uses))
		return fail(x, EXIT_USAGE, "--uses: a number from 1 to %d", ACCOUNT_USES_MAX);
	if (!number_argument(x, "expires_s", EXPIRES_DEFAULT_S, ACCOUNT_EXPIRY_MAX_S, &expires_s))
		return fail(x, EXIT_USAGE, "--expires: from 1 second to 10 years");
	memcpy(ret->name, name, strlen(name) + 1);
	memcpy(ret->zone, zone, strlen(zone) + 1);
	ret->uses = (uint32_t)uses;
	ret->expires_in_s = (uint64_t)expires_s;
	return EXIT_DONE;
}

static int invite_failed(struct exchange *x, const struct account_invite *invite, enum err err)
{
	switch (err) {
	case ERR_EXISTS: return fail(x, EXIT_USAGE, "the name %s is taken; choose another", invite->name);
	case ERR_UNKNOWN: return fail(x, EXIT_USAGE, "no coordinator serves the zone %s", invite->zone);
	case ERR_FULL: return fail(x, EXIT_FAILED, "too many join codes are open; wait until some expire");
	default:
		return fail(x, EXIT_USAGE,
			    "--name %s: a name is 1 to 63 of a-z, 0-9 and inner hyphens (a coordinator's is a zone)",
			    invite->name);
	}
}

/* The code is shown only after the disk has it. */
static int verb_invite(struct exchange *x)
{
	struct server *server = x->server;
	struct account_invite invite = {0};
	struct join_code join;
	char code[JOIN_CODE_MAX];
	int exit_code = server->account
				? read_invite(x, &invite)
				: fail(x, EXIT_DENIED,
				       "join codes are made by the account server; ask there (ntm-as or ntm-server)");
	enum err err;

	if (exit_code != EXIT_DONE)
		return exit_code;
	server_addresses_find(server, &server->advertised);
	invite.addresses = server->advertised;
	err = account_invite(server->account, loop_now(server->loop), &invite, &join);
	if (err != OK)
		return invite_failed(x, &invite, err);
	if (join_code_format(&join, code) != OK)
		return fail(x, EXIT_FAILED, "the join code does not fit: too many addresses; use --advertise");
	if (!server_account_settle(server)) {
		server->is_stopping = true;
		server->exit_code = EXIT_FAILED;
		return fail(x, EXIT_FAILED, "the server cannot write its store; see its log");
	}
	send_json(x, json_pack("{s:s, s:s, s:s, s:I, s:o, s:s, s:o}", "schema", "ntm.invite/1", "code", code, "name",
			       invite.name, "uses", (json_int_t)invite.uses, "expires",
			       server_instant(clock_wall_s() + invite.expires_in_s), "role", roles[invite.role],
			       "expires_s", json_integer((json_int_t)invite.expires_in_s)));
	explicit_bzero(&join, sizeof(join));
	explicit_bzero(code, sizeof(code));
	return EXIT_DONE;
}

/* The coordinator of this process hears of it at once, others with their next question. */
static int verb_revoke(struct exchange *x)
{
	struct server *server = x->server;
	const char *name = text_argument(x, "name");
	struct node_id id;

	if (!server->account)
		return fail(x, EXIT_DENIED, "revoking is done by the account server; ask there (ntm-as or ntm-server)");
	if (!*name)
		return fail(x, EXIT_USAGE, "revoke: which name?");
	if (account_revoke(server->account, loop_now(server->loop), name, &id) != OK)
		return fail(x, EXIT_DENIED, "no device or server is called %.100s; `ntm nodes` lists them", name);
	if (!server_account_settle(server)) {
		server->is_stopping = true;
		server->exit_code = EXIT_FAILED;
		return fail(x, EXIT_FAILED, "the server cannot write its store; see its log");
	}
	if (server->coordinator && memcmp(&id, &(struct node_id){0}, sizeof(id)) != 0)
		coordinator_revoke(server->coordinator, loop_now(server->loop), &id);
	log_print(LOG_SEVERITY_INFO, "revoke", "revoked: %.190s", name);
	send_json(x, json_pack("{s:s, s:s, s:o}", "schema", "ntm.revoke/1", "name", name, "id",
			       server_hex(id.bytes, NODE_ID_SIZE)));
	return EXIT_DONE;
}

static int verb_nodes(struct exchange *x)
{
	if (!x->server->account && !x->server->coordinator)
		return fail(x, EXIT_DENIED, "a relay knows no nodes; ask the account server or a coordinator");
	send_json(x, server_nodes_document(x->server));
	return EXIT_DONE;
}

static int verb_status(struct exchange *x)
{
	send_json(x, server_status_document(x->server));
	return EXIT_DONE;
}

static int verb_network(struct exchange *x)
{
	send_json(x, server_network_document(x->server));
	return EXIT_DONE;
}

static int verb_down(struct exchange *x)
{
	x->server->is_stopping = true;
	return EXIT_DONE;
}

static const struct {
	const char *verb;
	int (*run)(struct exchange *x);
} verbs[] = {
	{"invite", verb_invite}, {"nodes", verb_nodes},	    {"revoke", verb_revoke},
	{"status", verb_status}, {"network", verb_network}, {"down", verb_down},
};

static bool is_in_group(const struct stream_peer *peer, const char *name)
{
	const struct group *group = name ? getgrnam(name) : NULL;
	const struct passwd *user = getpwuid(peer->uid);
	gid_t wanted, groups[GROUPS_LOOKED_AT];
	int count = GROUPS_LOOKED_AT;

	if (!group)
		return false;
	wanted = group->gr_gid;
	if (peer->gid == wanted)
		return true;
	if (!user || getgrouplist(user->pw_name, peer->gid, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

/* T19: the file's mode says the same; this holds even when somebody changed that. */
static bool is_authorised(const struct server *server, const struct stream_peer *peer)
{
	return peer->uid == 0 || peer->uid == geteuid() || is_in_group(peer, server->settings->group);
}

static int run_verb(struct exchange *x)
{
	const char *verb = text_argument(x, "verb");

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].verb, verb) == 0)
			return verbs[i].run(x);
	return fail(x, EXIT_USAGE, "a server does not know the verb %.40s", verb);
}

static void got_line(void *ctx, const struct stream_peer *peer, char *line, size_t size)
{
	struct exchange x = {.server = ctx, .token = peer->token};
	json_error_t why;
	json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &why), *end;
	int code;

	x.arguments = request;
	if (!is_authorised(ctx, peer))
		code = fail(&x, EXIT_DENIED, "only root, the server's own user and its group may ask");
	else if (!json_is_object(request))
		code = fail(&x, EXIT_USAGE, "a request is one JSON object on one line");
	else
		code = run_verb(&x);
	end = json_pack("{s:b, s:i, s:s}", "end", 1, "exit", code, "error", x.error);
	if (!end) /* a cut letter of the asker's own made the text unusable */
		end = json_pack("{s:b, s:i, s:s}", "end", 1, "exit", code, "error",
				"refused; the request has odd characters");
	send_json(&x, end);
	json_decref(request);
}

/* Before privileges are dropped: directory and group of the socket are root's to give. */
enum err server_control_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	struct stream_params params = {
		.path = server->settings->socket,
		.group = server->settings->group,
		.output_max = OUTPUT_MAX,
		.ctx = server,
		.line = got_line,
	};
	char why[STREAM_ERROR_MAX];
	enum err err = stream_serve(&params, server->loop, &server->control, why);

	return err == OK ? OK : server_fail(error, err, "%s", why);
}
