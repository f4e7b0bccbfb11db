/* verb.h: what the verbs of ntm share: their table, the exchange with a daemon, and how errors are told. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "cmd/control_client.h"
#include "cmd/options_table.h"
#include "cmd/render_text.h"

struct verb {
	const char *name, *operands, *group, *help;
	size_t operands_min, operands_max; /* without the verb itself */
	int (*run)(const struct settings *settings, const struct render *render);
};

extern const struct verb verb_table[VERBS_MAX];

/* NULL when there is none of this name. */
const struct verb *verb_find(const char *name);
/* NULL when nothing is near. */
const char *verb_suggest(const char *name);
enum verb_id verb_id(const struct verb *verb);
void verb_print_usage(FILE *out, const struct verb *verb);
void verb_print_help(FILE *out);
/* Words for the shell: verbs, or the options of one verb or program, one a line. */
void verb_print_completion(FILE *out, const char *program, const char *verb);

/* One line on stderr, "ntm VERB: ..."; returns code. */
int verb_fail(const struct settings *settings, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The server's socket: as given, or beside the node's. */
void verb_server_socket(const struct settings *settings, char path[128]);
/* server.sock beside the node's socket, wherever that is. */
void verb_sibling_socket(const struct settings *settings, char path[128]);
/* "Not running" in words, by errno of the failed connect; returns the exit code. */
int verb_fail_connect(const struct settings *settings, const char *path, bool server);

/* How one exchange went. */
struct verb_answer {
	json_t *document; /* the last document before the end; NULL: none */
	int code;	  /* the daemon's exit code, or ours when the exchange broke */
	char error[SETTINGS_ERROR_MAX];
	bool connected; /* false: nobody answers there */
};
/* Quiet: prints nothing. Takes over request. timeout_ms < 0: none. */
struct verb_answer verb_ask(const char *path, json_t *request, int64_t timeout_ms);
void verb_answer_finish(struct verb_answer *answer);

/* Called for every line but the last. */
typedef void verb_show(void *ctx, const struct render *render, const json_t *line);
/* Asks, shows each line (or passes it through under --json), tells the error, returns the exit code. Ends at a signal
 * when `stream`. */
int verb_stream(const struct settings *settings, const struct render *render, const char *path, bool server,
		json_t *request, verb_show *show, void *ctx);
/* A signal asked the running verb to end. */
bool verb_interrupted(void);
/* SIGINT and SIGTERM interrupt waits instead of ending the process. */
void verb_catch_signals(void);

/* Path of a sister program: beside the running ntm, else its bare name for PATH. */
void verb_spawn_find(enum program program, char path[4096]);
/* Arguments for a daemon from what was typed to ntm; extra is a NULL-terminated list put last. Freed with
 * verb_spawn_arguments_free. */
char **verb_spawn_arguments(const struct settings *settings, enum program program, const char *const extra[]);
void verb_spawn_arguments_free(char **arguments);
/* Starts a detached daemon, its output appended to log; join travels in its environment. -1 with errno. */
pid_t verb_spawn_daemon(char *const arguments[], const char *log, const char *join);
/* Last line of a log, for an error message; empty when there is none. */
void verb_spawn_last_line(const char *log, char *text, size_t size);

int verb_up(const struct settings *settings, const struct render *render);
int verb_down(const struct settings *settings, const struct render *render);
int verb_status(const struct settings *settings, const struct render *render);
int verb_ping(const struct settings *settings, const struct render *render);
int verb_why(const struct settings *settings, const struct render *render);
int verb_watch(const struct settings *settings, const struct render *render);
int verb_handover(const struct settings *settings, const struct render *render);
int verb_serve(const struct settings *settings, const struct render *render);
int verb_invite(const struct settings *settings, const struct render *render);
int verb_nodes(const struct settings *settings, const struct render *render);
int verb_revoke(const struct settings *settings, const struct render *render);
int verb_config(const struct settings *settings, const struct render *render);
int verb_version(const struct settings *settings, const struct render *render);
int verb_bugreport(const struct settings *settings, const struct render *render);
int verb_help(const struct settings *settings, const struct render *render);
