#include "cmd/server_host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/metrics_http.h"
#include "cmd/server_state.h"
#include "crypto/hash.h"
#include "io/log.h"
#include "io/notify.h"
#include "io/privilege.h"

static void apply_log(const struct settings *settings)
{
	log_setup((enum log_severity)settings->log_level, settings->log_format == LOG_FORMAT_JSON, STDERR_FILENO);
}

static void reload(struct server *server)
{
	struct settings fresh;
	char error[SETTINGS_ERROR_MAX];

	if (server->argv) {
		if (settings_load(&fresh, server->settings->program, server->argc, server->argv, environ, error) !=
		    OK) {
			log_print(LOG_SEVERITY_ERROR, "reload", "reload: %s; the former settings stay", error);
			return;
		}
		settings_finish(&server->reloaded);
		server->reloaded = fresh;
		server->settings = &server->reloaded;
		apply_log(server->settings);
	}
	server->housekeeping = loop_now(server->loop);
	log_print(LOG_SEVERITY_INFO, "reload",
		  "reloaded: log level and advertised addresses; anything else needs a restart");
}

static void got_signal(void *ctx, int signal)
{
	struct server *server = ctx;

	if (signal == SIGHUP)
		reload(server);
	else
		server->is_stopping = true;
}

static enum err open_loop(struct server *server, char error[SERVER_ERROR_MAX])
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

	server->loop = loop_create();
	if (!server->loop ||
	    loop_signals(server->loop, signals, sizeof(signals) / sizeof(signals[0]), server, got_signal) != OK ||
	    loop_wait(server->loop, clock_now(), (struct time_us){0}) != OK) /* so that loop_now is true from here on */
		return server_fail(error, ERR_IO, "cannot start: %s", strerror(errno));
	return OK;
}

/* Files made by root in an earlier life become the account's that serves from now on. */
static enum err give_state(const char *dir, const struct passwd *user, char error[SERVER_ERROR_MAX])
{
	DIR *files = opendir(dir);
	struct dirent *entry;
	bool ok = files != NULL;

	while (ok && (entry = readdir(files)) != NULL) {
		struct stat status;

		if (strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(files), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			continue; /* gone since */
		if (S_ISREG(status.st_mode) || strcmp(entry->d_name, ".") == 0)
			ok = fchownat(dirfd(files), entry->d_name, user->pw_uid, user->pw_gid, AT_SYMLINK_NOFOLLOW) ==
			     0;
	}
	if (!ok)
		(void)server_fail(error, ERR_IO, "cannot give %s to user %s: %s", dir, user->pw_name, strerror(errno));
	if (files)
		(void)closedir(files);
	return ok ? OK : ERR_IO;
}

/* The default account need not exist; one that was asked for must. */
static enum err drop_privileges(struct server *server, char error[SERVER_ERROR_MAX])
{
	const struct settings *settings = server->settings;
	const struct passwd *user = settings->user ? getpwnam(settings->user) : NULL;
	char why[PRIVILEGE_ERROR_MAX];
	enum err err;

	if (!user && settings->origin[OPTION_USER].source != SOURCE_DEFAULT && settings->user && geteuid() == 0)
		return server_fail(error, ERR_USAGE,
				   "--user %s: there is no such account; make it (useradd --system %s) or name another",
				   settings->user, settings->user);
	if (geteuid() == 0 && user) {
		err = give_state(settings->state, user, error);
		if (err != OK)
			return err;
	}
	err = privilege_drop(geteuid() == 0 && user ? settings->user : NULL, NULL, false, why);
	if (err != OK)
		return server_fail(error, err, "%s", why);
	if (access(settings->state, R_OK | W_OK | X_OK) != 0)
		return server_fail(
			error, ERR_IO,
			"user %s cannot reach %s (%s); let it pass the directories above, or choose another --state",
			user ? settings->user : "root without its capabilities", settings->state, strerror(errno));
	return OK;
}

static enum err open_sockets(struct server *server, char error[SERVER_ERROR_MAX])
{
	enum err err = server_state_open(server->settings->state, error);

	if (err == OK)
		err = server_port_open(server, error);
	if (err == OK)
		err = server_dns_open(server, error);
	if (err == OK)
		err = server_metrics_open(server, error);
	return err;
}

static enum err open_keys(struct server *server, char error[SERVER_ERROR_MAX])
{
	const char *dir = server->settings->state;
	enum err err = OK;

	if (server->roles & SERVER_COORDINATOR)
		err = server_keys_open(dir, "coordinator.key", &server->member_keys[0], NULL, error);
	if (err == OK && server->roles & SERVER_RELAY)
		err = server_keys_open(dir, "relay.key", &server->member_keys[1], NULL, error);
	return err;
}

static enum err open_roles(struct server *server, int *ret_exit, char error[SERVER_ERROR_MAX])
{
	enum err err = open_keys(server, error);

	server_addresses_find(server, &server->advertised);
	if (err == OK)
		err = server->roles & SERVER_ACCOUNT ? server_account_open(server, error)
						     : server_member_join(server, ret_exit, error);
	if (err == OK && server->roles & SERVER_COORDINATOR)
		err = server_coordinator_open(server, error);
	if (err == OK && server->roles & SERVER_RELAY)
		err = server_relay_open(server, error);
	server_directory_open(server);
	if (err == OK)
		server_network_set(server, &server->network,
				   (struct blob){server->network_bytes, server->network_size});
	return err;
}

/* Strangers come last. */
static enum err serve(struct server *server, char error[SERVER_ERROR_MAX])
{
	enum err err = server_udp_open(server, error);

	if (err == OK && server->roles & SERVER_ACCOUNT)
		err = server_account_serve(server, error);
	if (err == OK)
		err = server_dns_serve(server, error);
	if (err == OK)
		err = server_metrics_serve(server, error);
	return err;
}

/* The order matters: what needs rights, then giving them up, then what strangers can reach. */
enum err server_create(const struct settings *settings, unsigned roles, struct server **ret, int *ret_exit,
		       char error[SERVER_ERROR_MAX])
{
	struct server *server = calloc(1, sizeof(*server));
	int exit_code = 0;
	enum err err;

	if (!server || !crypto_init())
		abort();
	server->settings = settings;
	server->roles = roles;
	server->tcp = server->dns_tcp = -1;
	err = open_loop(server, error);
	if (err == OK)
		err = open_sockets(server, error);
	if (err == OK)
		err = server_control_open(server, error);
	if (err == OK) {
		server_relay_open_xdp(server);
		err = drop_privileges(server, error);
	}
	if (err == OK)
		err = open_roles(server, &exit_code, error);
	if (err == OK)
		err = serve(server, error);
	if (err != OK) {
		*ret_exit = exit_code		? exit_code
			    : err == ERR_USAGE	? EXIT_USAGE
			    : err == ERR_DENIED ? EXIT_DENIED
						: EXIT_FAILED;
		server_destroy(server);
		return err;
	}
	server->housekeeping = time_add(loop_now(server->loop), HOUSEKEEPING_US);
	*ret = server;
	return OK;
}

/* Borrowed until server_destroy. */
void server_set_arguments(struct server *server, int argc, char *argv[])
{
	server->argc = argc;
	server->argv = argv;
}

/* In the reverse order; half-made servers too. */
void server_destroy(struct server *server)
{
	if (!server)
		return;
	stream_server_destroy(server->control);
	server_metrics_close(server);
	server_dns_close(server);
	server_member_close(server);
	server_relay_announce(server);
	server_coordinator_leave(server);
	server_udp_close(server);
	server_directory_close(server);
	server_relay_close(server);
	server_coordinator_close(server);
	server_account_close(server);
	if (server->tcp >= 0)
		(void)close(server->tcp);
	loop_destroy(server->loop);
	settings_finish(&server->reloaded);
	wipe(server, sizeof(*server));
	free(server);
}

static struct time_us next_deadline(const struct server *server)
{
	struct time_us deadline = server->housekeeping;

	if (server->coordinator)
		deadline = time_min(deadline, coordinator_next_deadline(server->coordinator));
	if (server->relay)
		deadline = time_min(deadline, relay_next_deadline(server->relay));
	if (server->tls)
		deadline = time_min(deadline, tls_server_deadline(server->tls));
	if (server->dns_listener)
		deadline = time_min(deadline, listener_deadline(server->dns_listener));
	deadline = time_min(deadline, server_directory_deadline(server));
	return time_min(deadline, metrics_server_run(server->metrics, loop_now(server->loop)));
}

/* Addresses come and go; the clock is stepped. */
static void keep_house(struct server *server, struct time_us now)
{
	char error[SERVER_ERROR_MAX];

	server->housekeeping = time_add(now, HOUSEKEEPING_US);
	if (server->coordinator)
		coordinator_set_wall(server->coordinator, now, clock_wall_s());
	if (!server->account) {
		server_member_poll(server);
		return;
	}
	account_set_wall(server->account, now, clock_wall_s());
	server_addresses_find(server, &server->advertised);
	if (server_account_put_members(server, error) != OK)
		log_print(LOG_SEVERITY_ERROR, "members", "%s", error);
}

/* A ticket or a link of a coordinator that we do not know, or one that has a newer document: somebody may have joined
 * after we asked last. Strangers can hasten this only so far. */
static void hasten_poll(struct server *server, struct time_us now)
{
	struct relay_counters relay = {.dropped_ticket = server->tickets_dropped};
	struct coordinator_counters coordinator = {.network_doubts = server->network_doubts};

	if (server->account)
		return;
	if (server->relay)
		relay_get_counters(server->relay, &relay);
	if (server->coordinator)
		coordinator_get_counters(server->coordinator, &coordinator);
	if ((relay.dropped_ticket == server->tickets_dropped && coordinator.network_doubts == server->network_doubts) ||
	    time_since(now, time_add(server->housekeeping, -HOUSEKEEPING_US)) < POLL_AGAIN_US)
		return;
	server->tickets_dropped = relay.dropped_ticket;
	server->network_doubts = coordinator.network_doubts;
	server->housekeeping = now;
}

static void expire(struct server *server, struct time_us now)
{
	if (server->coordinator && time_reached(now, coordinator_next_deadline(server->coordinator)))
		coordinator_input_time(server->coordinator, now);
	if (server->relay && time_reached(now, relay_next_deadline(server->relay))) {
		relay_input_time(server->relay, now);
		server_send_relay(server);
	}
	if (server->tls)
		tls_server_expire(server->tls, now);
	if (server->dns_listener)
		listener_expire(server->dns_listener, now);
	(void)metrics_server_run(server->metrics, now);
	hasten_poll(server, now);
	if (time_reached(now, server->housekeeping))
		keep_house(server, now);
}

/* One turn: what came in, what became due, then to disk, then out. */
int server_run(struct server *server)
{
	while (!server->is_stopping) {
		if (loop_wait(server->loop, clock_now(), next_deadline(server)) != OK) {
			log_print(LOG_SEVERITY_ERROR, "loop", "cannot wait for packets: %s", strerror(errno));
			return EXIT_FAILED;
		}
		expire(server, loop_now(server->loop));
		server_directory_run(server, loop_now(server->loop));
		if ((server->account && !server_account_settle(server)) ||
		    (server->coordinator && !server_coordinator_settle(server)))
			return EXIT_FAILED;
	}
	return server->exit_code;
}

static void announce(const struct server *server, const char *program)
{
	char text[ADDR_TEXT_MAX], line[512];
	struct addr local = {.ip = server->settings->listen.ip, .port = server->port};
	const char *zone = server->account ? account_zone(server->account) : "";

	for (uint8_t i = 0; !*zone && i < server->network.coordinator_count; i++)
		zone = server->network.coordinators[i].zone;
	(void)snprintf(line, sizeof(line), "%s %s on %s, zone %s", program, NTM_VERSION, addr_format(&local, text),
		       zone);
	log_print(LOG_SEVERITY_INFO, "start", "%s", line);
	notify_ready(line);
}

static void confine(const struct settings *settings)
{
	char directory[128];
	const char *slash = strrchr(settings->socket, '/');
	const char *writable[2] = {settings->state, directory};
	bool is_active = false;

	(void)snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - settings->socket) : 1,
		       slash ? settings->socket : ".");
	if (!directory[0])
		(void)snprintf(directory, sizeof(directory), "/");
	privilege_harden();
	if (privilege_restrict_files(writable, 2, &is_active) != OK || !is_active)
		log_print(LOG_SEVERITY_INFO, "landlock",
			  "this kernel does not confine file access (landlock); going on without");
	if (privilege_restrict_calls(PRIVILEGE_SERVER) != OK)
		log_print(LOG_SEVERITY_INFO, "seccomp",
			  "this kernel does not confine system calls (seccomp); going on without");
}

/* Settings, server, farewell. */
int server_main(enum program program, unsigned roles, int argc, char *argv[])
{
	static const char *const names[] = {[PROGRAM_SERVER] = "ntm-server",
					    [PROGRAM_AS] = "ntm-as",
					    [PROGRAM_DC] = "ntm-dc",
					    [PROGRAM_RS] = "ntm-rs"};
	struct settings settings;
	struct server *server = NULL;
	char error[SERVER_ERROR_MAX];
	int code = settings_start(&settings, program, argc, argv);

	if (code >= 0)
		return code;
	apply_log(&settings);
	if (server_create(&settings, roles, &server, &code, error) != OK) {
		log_print(LOG_SEVERITY_ERROR, "start", "%s: %s", names[program], error);
		settings_finish(&settings);
		return code;
	}
	server_set_arguments(server, argc, argv);
	confine(&settings);
	announce(server, names[program]);
	code = server_run(server);
	notify_stopping();
	log_print(LOG_SEVERITY_INFO, "stop", "%s: stopped", names[program]);
	server_destroy(server);
	settings_finish(&settings);
	return code;
}
