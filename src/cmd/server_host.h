/*
 * server_host.h: drives any of account server, coordinator and relay on one loop and one UDP port (cli.md section 2).
 * In one process they share what they know; alone, coordinator and relay learn it from their account server
 * (server_member.h).
 */
#pragma once

#include "cmd/options.h"
#include "cmd/server_keys.h"

enum server_role { SERVER_ACCOUNT = 1, SERVER_COORDINATOR = 2, SERVER_RELAY = 4 };

struct server;

/* Everything that may fail, up to the point where strangers are listened to. settings are borrowed. *ret_exit: cli.md
 * section 5. */
must_use enum err server_create(const struct settings *settings, unsigned roles, struct server **ret, int *ret_exit,
				char error[SERVER_ERROR_MAX]);
/* What a SIGHUP reads again; without it, it only looks at addresses and network. Borrowed. */
void server_set_arguments(struct server *server, int argc, char *argv[]);
/* Until SIGTERM, SIGINT or the control socket's `down`; returns the code to exit with. */
int server_run(struct server *server);
void server_destroy(struct server *server); /* accepts NULL */

/* The whole of a server program's main. */
int server_main(enum program program, unsigned roles, int argc, char *argv[]);
