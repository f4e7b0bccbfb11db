/* verb_up.c: up and down. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/render_document.h"
#include "cmd/verb.h"

enum { POLL_MS = 20, ASK_MS = 5000 };

/* One run of `up`. */
struct start {
	const struct settings *settings;
	const struct render *render;
	int64_t deadline_ms;
	char server_state[4200], server_socket[128];
	char log[4300];
	pid_t pid; /* of the daemon that we started; 0: it was running */
	bool was_running;
	bool serves; /* this machine has or shall have a server */
};

static void pause_briefly(void)
{
	poll(NULL, 0, POLL_MS);
}

static bool has_net_admin(void)
{
	char line[128];
	unsigned long long effective = 0;
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof line, status))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (status)
		fclose(status);
	return effective >> CAP_NET_ADMIN & 1;
}

/* What ntmd would stumble over a moment later, in one clear line and before anything is started. */
static int check_machine(const struct settings *settings)
{
	int fd;

	if (!has_net_admin())
		return verb_fail(settings, EXIT_DENIED, "a virtual interface needs CAP_NET_ADMIN; try `sudo ntm up`");
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return verb_fail(settings, EXIT_FAILED,
				 "there is no /dev/net/tun; try `modprobe tun`, or give the container that device");
	if (fd < 0)
		return verb_fail(settings, EXIT_DENIED,
				 "cannot open /dev/net/tun: %s; give this user or container access to it",
				 strerror(errno));
	close(fd);
	return EXIT_DONE;
}

/* Creates the directories above and including path. */
static int make_directory(const struct settings *settings, const char *path, mode_t mode)
{
	char part[4300];

	snprintf(part, sizeof part, "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return verb_fail(settings, EXIT_FAILED, "cannot create %s: %s", part, strerror(errno));
		*slash = '/';
	}
	if (mkdir(part, mode) != 0 && errno != EEXIST)
		return verb_fail(settings, EXIT_FAILED, "cannot create %s: %s", part, strerror(errno));
	return EXIT_DONE;
}

static int make_directories(const struct settings *settings, const char *state)
{
	char folder[128];
	const char *slash = strrchr(settings->socket, '/');
	int code = make_directory(settings, state, 0700);

	snprintf(folder, sizeof folder, "%.*s", (int)(slash - settings->socket), settings->socket);
	return code != EXIT_DONE || !*folder ? code : make_directory(settings, folder, 0755);
}

static int fail_not_joined(const struct settings *settings)
{
	return verb_fail(settings, EXIT_NOT_JOINED,
			 "this machine belongs to no network; try `ntm up CODE`, or `ntm up --new` to found one");
}

/* Did the daemon that we started leave? Then its last line says why. */
static bool has_left(const struct start *start, const char *what, int *ret_code)
{
	char line[512];
	const char *said;
	int status;

	if (start->pid <= 0 || waitpid(start->pid, &status, WNOHANG) != start->pid)
		return false;
	verb_spawn_last_line(start->log, line, sizeof line);
	said = strncmp(line, what, strlen(what)) == 0 && line[strlen(what)] == ':' ? line + strlen(what) + 2 : line;
	*ret_code = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_FAILED;
	if (*ret_code == EXIT_NOT_JOINED)
		fail_not_joined(start->settings);
	else
		verb_fail(start->settings, *ret_code, "%s ended: %s (log: %s)", what, *line ? said : "it said nothing",
			  start->log);
	return true;
}

static struct verb_answer ask_status(const char *socket)
{
	return verb_ask(socket, json_pack("{ss}", "verb", "status"), ASK_MS);
}

/* The server: state and socket of its own, so that it and the node share nothing but the machine. */
static int start_server(struct start *start)
{
	char state[4300], socket[160];
	const char *extra[] = {state, socket, NULL};
	char **arguments;
	int code = make_directories(start->settings, start->settings->state);

	if (code == EXIT_DONE)
		code = make_directory(start->settings, start->server_state, 0700);
	if (code != EXIT_DONE)
		return code;
	snprintf(state, sizeof state, "--state=%s", start->server_state);
	snprintf(socket, sizeof socket, "--socket=%s", start->server_socket);
	snprintf(start->log, sizeof start->log, "%s/ntm-server.log", start->server_state);
	arguments = verb_spawn_arguments(start->settings, PROGRAM_SERVER, extra);
	start->pid = verb_spawn_daemon(arguments, start->log, NULL);
	verb_spawn_arguments_free(arguments);
	if (start->pid < 0)
		return verb_fail(start->settings, EXIT_FAILED, "cannot start ntm-server: %s (log: %s)", strerror(errno),
				 start->log);
	return EXIT_DONE;
}

static int bring_server(struct start *start)
{
	bool started = false;
	int code;

	start->pid = 0;
	for (;;) {
		struct verb_answer answer = ask_status(start->server_socket);
		bool ready = answer.connected && answer.code == EXIT_DONE;

		verb_answer_finish(&answer);
		if (ready)
			return EXIT_DONE;
		if (!answer.connected && !started) {
			code = start_server(start);
			if (code != EXIT_DONE)
				return code;
			started = true;
		} else if (has_left(start, "ntm-server", &code)) {
			return code;
		}
		if (control_now_ms() >= start->deadline_ms)
			return verb_fail(start->settings, EXIT_TIMED_OUT,
					 "ntm-server did not answer on %s in time; its log is %s/ntm-server.log",
					 start->server_socket, start->server_state);
		pause_briefly();
	}
}

static int invite(struct start *start, const char *name, char code[512])
{
	json_t *request =
		json_pack("{sssisIss}", "verb", "invite", "uses", 1, "expires_s", (json_int_t)3600, "role", "node");
	struct verb_answer answer;
	int result;

	if (name)
		json_object_set_new(request, "name", json_string(name));
	answer = verb_ask(start->server_socket, request, ASK_MS);
	result = answer.code;
	snprintf(code, 512, "%s", document_text(answer.document, "code"));
	verb_answer_finish(&answer);
	if (result != EXIT_DONE)
		return verb_fail(start->settings, result, "ntm-server makes no join code: %s",
				 *answer.error ? answer.error : "it gave no reason");
	return *code ? EXIT_DONE
		     : verb_fail(start->settings, EXIT_FAILED,
				 "ntm-server answered without a join code; check that its version is %s", NTM_VERSION);
}

/* The server has the well-known port; a node beside it takes the next one, at every start. */
static void node_listen(const struct start *start, char text[96])
{
	struct addr listen = start->settings->listen;
	char address[ADDR_TEXT_MAX];

	listen.port = listen.port == 0		  ? 0
		      : listen.port == UINT16_MAX ? (uint16_t)(listen.port - 1)
						  : (uint16_t)(listen.port + 1);
	snprintf(text, 96, "--listen=%s", addr_format(&listen, address));
}

static int start_node(struct start *start, const char *join)
{
	char listen[96];
	const char *extra[] = {start->serves ? listen : NULL, NULL};
	char **arguments;
	int code = check_machine(start->settings);

	if (code == EXIT_DONE)
		code = make_directories(start->settings, start->settings->state);
	if (code != EXIT_DONE)
		return code;
	node_listen(start, listen);
	arguments = verb_spawn_arguments(start->settings, PROGRAM_NTMD, extra);
	if (start->settings->foreground) {
		if (join)
			setenv("NTM_JOIN", join, 1);
		execvp(arguments[0], arguments);
		code = verb_fail(start->settings, EXIT_FAILED, "cannot start %s: %s", arguments[0], strerror(errno));
	} else {
		snprintf(start->log, sizeof start->log, "%s/ntmd.log", start->settings->state);
		start->pid = verb_spawn_daemon(arguments, start->log, join);
		if (start->pid < 0)
			code = verb_fail(start->settings, EXIT_FAILED, "cannot start ntmd: %s (log: %s)",
					 strerror(errno), start->log);
	}
	verb_spawn_arguments_free(arguments);
	return code;
}

/* A running daemon that belongs to no network yet. */
static int join_running(const struct start *start, const char *join)
{
	json_t *request = json_pack("{ssss}", "verb", "join", "code", join);
	struct verb_answer answer;
	int64_t left_ms = start->deadline_ms - control_now_ms();

	if (start->settings->name)
		json_object_set_new(request, "name", json_string(start->settings->name));
	answer = verb_ask(start->settings->socket, request, left_ms < 0 ? 0 : left_ms);
	verb_answer_finish(&answer);
	return answer.code == EXIT_DONE ? EXIT_DONE
					: verb_fail(start->settings, answer.code, "cannot join: %s", answer.error);
}

/* Up is up: anything else is still on its way, unless the daemon says or shows that it gave up. */
static int wait_up(const struct start *start, const char *join, json_t **ret_status)
{
	for (;;) {
		struct verb_answer answer = ask_status(start->settings->socket);
		bool joined = answer.connected && answer.code != EXIT_NOT_JOINED, up;
		int code;

		up = joined && strcmp(document_text(json_object_get(answer.document, "node"), "state"), "up") == 0;
		if (up) {
			*ret_status = answer.document;
			return EXIT_DONE;
		}
		verb_answer_finish(&answer);
		if (has_left(start, "ntmd", &code))
			return code;
		if (answer.connected && !joined && !join)
			return fail_not_joined(start->settings);
		if (joined && answer.code == EXIT_DENIED)
			return verb_fail(start->settings, EXIT_DENIED, "%s", answer.error);
		if (control_now_ms() >= start->deadline_ms)
			return verb_fail(start->settings, EXIT_TIMED_OUT,
					 "not up in time, but ntmd keeps trying; `ntm status` tells more, `ntm down` "
					 "gives up%s%s",
					 *answer.error ? ": " : "", answer.error);
		pause_briefly();
	}
}

/* Brings the node up, whatever state it is in now. */
static int bring_node(struct start *start, const char *join, json_t **ret_status)
{
	struct verb_answer answer = ask_status(start->settings->socket);
	int code = EXIT_DONE;

	start->pid = 0;
	start->was_running = answer.connected;
	if (answer.connected && answer.code == EXIT_NOT_JOINED && join)
		code = join_running(start, join);
	else if (!answer.connected && (errno == EACCES || errno == EPERM))
		code = verb_fail_connect(start->settings, start->settings->socket, false);
	else if (!answer.connected)
		code = start_node(start, join);
	verb_answer_finish(&answer);
	return code == EXIT_DONE ? wait_up(start, join, ret_status) : code;
}

static void print_up(const struct start *start, const json_t *status, const char *code)
{
	const json_t *node = json_object_get(status, "node");
	char name[256], v4[64], v6[64];
	FILE *out = start->render->out;

	if (start->settings->json) {
		json_t *document = json_pack("{sssO}", "schema", "ntm.up/1", "node", node);

		if (code)
			json_object_set_new(document, "code", json_string(code));
		json_dumpf(document, out, JSON_COMPACT);
		fputc('\n', out);
		json_decref(document);
		return;
	}
	fprintf(out, "up as %s\n  %s\n  %s\n", render_clean(document_text(node, "fqdn"), name, sizeof name),
		render_clean(document_text(node, "v4"), v4, sizeof v4),
		render_clean(document_text(node, "v6"), v6, sizeof v6));
	if (code)
		fprintf(out,
			"\nThis machine serves the network. On the next machine, within an hour, type:\n\n  sudo ntm "
			"up %s\n\n"
			"`ntm invite` prints a code for one more.\n",
			code);
}

/* Joined already? Then no code is spent on ourselves. */
static bool is_joined(const struct start *start)
{
	struct verb_answer answer = ask_status(start->settings->socket);

	verb_answer_finish(&answer);
	return answer.connected && answer.code != EXIT_NOT_JOINED;
}

static int up_new(struct start *start, json_t **ret_status, char code[512])
{
	char join[512];
	int result = bring_server(start);
	bool joined = result == EXIT_DONE && is_joined(start);

	if (result == EXIT_DONE && !joined)
		result = invite(start, start->settings->name, join);
	if (result == EXIT_DONE)
		result = bring_node(start, joined ? NULL : join, ret_status);
	explicit_bzero(join, sizeof join);
	return result == EXIT_DONE ? invite(start, NULL, code) : result;
}

static int check_code(const struct settings *settings, const char *code)
{
	if (!code)
		return EXIT_DONE;
	if (settings->new_network)
		return verb_fail(settings, EXIT_USAGE,
				 "--new founds a network and takes no code; give one or the other");
	if (strncmp(code, "ntm1-", 5) != 0 || !code[5] ||
	    strspn(code + 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(code + 5))
		return verb_fail(settings, EXIT_USAGE,
				 "that is no join code: it begins with ntm1- and has only letters, digits, - and _; "
				 "`ntm invite` prints one");
	return EXIT_DONE;
}

/* A dotted name is a coordinator's zone in an invitation; a node has one label, and the zone comes from its network. */
static int check_name(const struct settings *settings)
{
	if (!settings->name || (strlen(settings->name) <= 63 && !strchr(settings->name, '.')))
		return EXIT_DONE;
	return verb_fail(settings, EXIT_USAGE,
			 "name '%s' is no single label; give the part before the first dot, like %.*s", settings->name,
			 (int)strcspn(settings->name, "."), settings->name);
}

/* What was typed about exits reaches a daemon that runs already; a new one has it on its command line. */
static int change_exit(const struct start *start)
{
	static const char *const names[] = {"exit", "exit-via", "exit-route"};
	static const enum option_id ids[] = {OPTION_EXIT, OPTION_EXIT_VIA, OPTION_EXIT_ROUTE};
	json_t *request = json_pack("{ss}", "verb", "exit");
	struct verb_answer answer;
	bool is_typed = false;

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		const struct setting_origin *origin = &start->settings->origin[ids[i]];

		if (origin->source != SOURCE_COMMAND_LINE)
			continue;
		json_object_set_new(request, names[i], json_string(origin->text));
		is_typed = true;
	}
	if (!is_typed || !start->was_running) {
		json_decref(request);
		return EXIT_DONE;
	}
	answer = verb_ask(start->settings->socket, request, ASK_MS);
	verb_answer_finish(&answer);
	return answer.code == EXIT_DONE ? EXIT_DONE
					: verb_fail(start->settings, answer.code, "exit: %s",
						    *answer.error ? answer.error : "the daemon does not answer");
}

/* Idempotent: every step looks first whether it is done already. */
int verb_up(const struct settings *settings, const struct render *render)
{
	struct start start = {
		.settings = settings, .render = render, .deadline_ms = control_now_ms() + settings->wait_us / 1000};
	const char *join = settings->operand_count > 1 ? settings->operands[1] : settings->join;
	char code[512] = "";
	json_t *status = NULL;
	int result = check_name(settings);

	if (result == EXIT_DONE)
		result = check_code(settings, join);

	if (result != EXIT_DONE)
		return result;
	snprintf(start.server_state, sizeof start.server_state, "%s/server", settings->state);
	verb_sibling_socket(settings, start.server_socket);
	start.serves = settings->new_network || access(start.server_state, F_OK) == 0;
	if (settings->new_network) {
		result = check_machine(settings);
		if (result == EXIT_DONE)
			result = up_new(&start, &status, code);
	} else {
		if (start.serves)
			result = bring_server(&start);
		if (result == EXIT_DONE)
			result = bring_node(&start, join, &status);
	}
	if (result == EXIT_DONE)
		result = change_exit(&start);
	if (result == EXIT_DONE)
		print_up(&start, status, *code ? code : NULL);
	json_decref(status);
	return result;
}

/* Gone means that nobody answers any more. ret_was tells whether somebody did. */
static int stop(const struct settings *settings, const char *path, bool *ret_was)
{
	int64_t deadline_ms = control_now_ms() + settings->wait_us / 1000;
	struct verb_answer answer = verb_ask(path, json_pack("{ss}", "verb", "down"), settings->wait_us / 1000);
	struct control control;

	verb_answer_finish(&answer);
	*ret_was = answer.connected;
	if (!answer.connected)
		return errno == EACCES || errno == EPERM ? verb_fail_connect(settings, path, false) : EXIT_DONE;
	if (answer.code == EXIT_DENIED || answer.code == EXIT_USAGE)
		return verb_fail(settings, answer.code, "%s", answer.error);
	while (control_open(&control, path) == OK) {
		control_close(&control);
		if (control_now_ms() >= deadline_ms)
			return verb_fail(settings, EXIT_TIMED_OUT, "the daemon on %s still answers; its log tells why",
					 path);
		pause_briefly();
	}
	return EXIT_DONE;
}

/* A server on this machine goes on: others depend on it. */
int verb_down(const struct settings *settings, const struct render *render)
{
	struct control control;
	char server[128];
	bool was, server_was = false;
	int code = stop(settings, settings->socket, &was);

	if (code != EXIT_DONE)
		return code;
	verb_sibling_socket(settings, server);
	if (settings->server)
		code = stop(settings, server, &server_was);
	if (code != EXIT_DONE)
		return code;
	if (settings->json) {
		fprintf(render->out, "{\"schema\":\"ntm.down/1\",\"was_up\":%s,\"server_was_up\":%s}\n",
			was ? "true" : "false", server_was ? "true" : "false");
		return EXIT_DONE;
	}
	fprintf(render->out, "%s\n", was ? "down" : "was not up");
	if (server_was)
		fprintf(render->out, "the server on this machine is down as well\n");
	else if (!settings->server && control_open(&control, server) == OK) {
		control_close(&control);
		fprintf(render->out, "this machine still serves the network; `ntm down --server` stops that as well\n");
	}
	return EXIT_DONE;
}
