/* verb_exchange.c: asking a daemon, and telling a person what went wrong. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/render_document.h"
#include "cmd/verb.h"

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* No SA_RESTART: poll must come back so that a summary can be printed. */
void verb_catch_signals(void)
{
	struct sigaction action = {.sa_handler = interrupt};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Set by a signal, never cleared: the verb ends. */
bool verb_interrupted(void)
{
	return interrupted;
}

/* What failed, on what, what to do about it: the format says all three. */
int verb_fail(const struct settings *settings, int code, const char *format, ...)
{
	char text[1024], clean[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fprintf(stderr, "ntm %s: %s\n", settings->operand_count ? settings->operands[0] : "help",
		render_clean(text, clean, sizeof clean));
	return code;
}

/* Names are kept short by the option's limit on socket paths. */
void verb_sibling_socket(const struct settings *settings, char path[128])
{
	const char *slash = strrchr(settings->socket, '/');

	snprintf(path, 128, "%.*s/server.sock", slash ? (int)(slash - settings->socket) : 0, settings->socket);
}

/* One NTM_SOCKET serves node verbs and server verbs where both run beside each other; a server's own socket may be
 * named as well. */
void verb_server_socket(const struct settings *settings, char path[128])
{
	verb_sibling_socket(settings, path);
	if (settings->origin[OPTION_SOCKET].source != SOURCE_DEFAULT && access(path, F_OK) != 0)
		snprintf(path, 128, "%s", settings->socket);
}

/* Nobody there, not allowed, or something odd. */
int verb_fail_connect(const struct settings *settings, const char *path, bool server)
{
	if (errno == EACCES || errno == EPERM)
		return verb_fail(settings, EXIT_DENIED,
				 "no permission to use %s; use sudo or become a member of group ntm", path);
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		return verb_fail(settings, EXIT_NO_DAEMON,
				 "%s is not running (nobody answers on %s); start it with `%s`",
				 server ? "ntm-server" : "ntmd", path, server ? "ntm serve" : "sudo ntm up");
	return verb_fail(settings, EXIT_FAILED, "cannot reach %s: %s", path, strerror(errno));
}

/* True at the last line; takes code and error out of it. */
static bool take_end(const json_t *line, struct verb_answer *answer)
{
	if (!json_is_true(json_object_get(line, "end")))
		return false;
	answer->code = (int)document_integer(line, "exit");
	if (answer->code < 0 || answer->code > 255)
		answer->code = EXIT_FAILED;
	snprintf(answer->error, sizeof answer->error, "%s", document_text(line, "error"));
	return true;
}

static void take_break(struct verb_answer *answer, enum err err, const char *path)
{
	answer->code = err == ERR_EXPIRED ? EXIT_TIMED_OUT : EXIT_FAILED;
	snprintf(answer->error, sizeof answer->error, "%s on %s; the daemon's log tells more",
		 err == ERR_EXPIRED	? "no answer in time"
		 : err == ERR_TRUNCATED ? "the daemon hung up"
		 : err == ERR_STATE	? "interrupted"
					: "unreadable answer",
		 path);
}

/* For verbs that work on the answer instead of showing it. */
struct verb_answer verb_ask(const char *path, json_t *request, int64_t timeout_ms)
{
	struct verb_answer answer = {.code = EXIT_NO_DAEMON};
	int64_t deadline_ms = timeout_ms < 0 ? -1 : control_now_ms() + timeout_ms;
	struct control control;
	enum err err;

	if (control_open(&control, path) != OK) {
		json_decref(request);
		return answer;
	}
	answer.connected = true;
	err = control_send(&control, request);
	while (err == OK) {
		json_t *line;

		err = control_next(&control, deadline_ms, &line, NULL);
		if (err != OK)
			break;
		if (take_end(line, &answer)) {
			json_decref(line);
			break;
		}
		json_decref(answer.document);
		answer.document = line;
	}
	if (err != OK)
		take_break(&answer, err, path);
	control_close(&control);
	return answer;
}

/* Harmless when repeated. */
void verb_answer_finish(struct verb_answer *answer)
{
	json_decref(answer->document);
	answer->document = NULL;
}

/* Lines are flushed one by one: `ntm watch --json | jq` wants them now. */
static enum err pump(struct control *control, const struct settings *settings, const struct render *render,
		     verb_show *show, void *ctx, struct verb_answer *answer)
{
	for (;;) {
		const char *text;
		json_t *line;
		enum err err = interrupted ? ERR_STATE : control_next(control, -1, &line, &text);

		if (err != OK)
			return err;
		if (take_end(line, answer)) {
			json_decref(line);
			return OK;
		}
		if (settings->json && !settings->check)
			fprintf(render->out, "%s\n", text);
		if (show)
			show(ctx, render, line);
		json_decref(line);
		if (fflush(render->out) != 0)
			return ERR_STATE; /* the reader of our pipe has gone */
	}
}

/* show is also called under --json, for verbs that keep count; it must not print then. */
int verb_stream(const struct settings *settings, const struct render *render, const char *path, bool server,
		json_t *request, verb_show *show, void *ctx)
{
	struct verb_answer answer = {.code = EXIT_FAILED};
	struct control control;
	enum err err;

	if (control_open(&control, path) != OK) {
		json_decref(request);
		return verb_fail_connect(settings, path, server);
	}
	err = control_send(&control, request);
	if (err == OK)
		err = pump(&control, settings, render, show, ctx, &answer);
	control_close(&control);
	if (err == ERR_STATE)
		return EXIT_DONE;
	if (err != OK)
		take_break(&answer, err, path);
	if (*answer.error)
		return verb_fail(settings, answer.code, "%s", answer.error);
	return answer.code;
}
