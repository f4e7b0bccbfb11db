#include "host.h"

#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status;
	(void)type;
	(void)at;
	return remove(path);
}

/* A folder of its own. */
void host_init(struct host *host)
{
	memset(host, 0, sizeof(*host));
	memcpy(host->dir, "/tmp/ntm-test-XXXXXX", 21);
	assert_non_null(mkdtemp(host->dir));
	(void)snprintf(host->socket, sizeof(host->socket), "%s/server.sock", host->dir);
}

/* The child of a test never outlives it. */
static _Noreturn void child(enum program program, unsigned roles, char *argv[])
{
	int argc = 0, code;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (argv[argc])
		argc++;
	code = server_main(program, roles, argc, argv);
	_exit(code);
}

/* A child runs the real program. */
void host_start(struct host *host, enum program program, unsigned roles, const char *const extra[])
{
	char *argv[24] = {"server",  "--listen", "127.0.0.1:0", "--log-level", "error",
			  "--state", host->dir,	 "--socket",	host->socket};
	int argc = 9;

	while (extra && *extra)
		argv[argc++] = (char *)(uintptr_t)*extra++;
	(void)fflush(NULL);
	host->pid = fork();
	assert_true(host->pid >= 0);
	if (host->pid == 0)
		child(program, roles, argv);
}

/* Its exit code. */
int host_wait(struct host *host)
{
	int status = 0;

	assert_int_equal(waitpid(host->pid, &status, 0), host->pid);
	host->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Asked to, it leaves by itself. */
int host_stop(struct host *host)
{
	assert_int_equal(kill(host->pid, SIGTERM), 0);
	return host_wait(host);
}

/* What it left goes too. */
void host_finish(struct host *host)
{
	if (host->pid)
		assert_int_equal(host_stop(host), 0);
	(void)nftw(host->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Of anything that is waited for. */
struct time_us deadline(void)
{
	return time_add(clock_now(), WAIT_S * USEC_PER_SEC);
}

/* Waits until the server answers on its socket: it has opened everything by then. */
struct stream_client *control(struct host *host)
{
	struct time_us until = deadline();
	struct stream_client *client = NULL;

	while (stream_connect(host->socket, &client) != OK) {
		assert_false(time_reached(clock_now(), until));
		assert_int_equal(waitpid(host->pid, NULL, WNOHANG), 0); /* alive */
		(void)poll(NULL, 0, 5);
	}
	return client;
}

/* Asks and returns the document (NULL when none came); *ret_exit is the exit code told. */
json_t *ask(struct host *host, const char *request, int *ret_exit)
{
	struct stream_client *client = control(host);
	json_t *document = NULL;

	assert_int_equal(stream_client_write(client, request, strlen(request), deadline()), OK);
	for (;;) {
		char *line;
		size_t size;
		json_t *object;

		assert_int_equal(stream_client_read(client, deadline(), &line, &size), OK);
		object = json_loadb(line, size, 0, NULL);
		assert_non_null(object);
		if (json_is_true(json_object_get(object, "end"))) {
			const char *error = json_string_value(json_object_get(object, "error"));

			*ret_exit = (int)json_integer_value(json_object_get(object, "exit"));
			assert_true(error && (*error == '\0') == (*ret_exit == 0));
			json_decref(object);
			break;
		}
		json_decref(document);
		document = object;
	}
	stream_client_close(client);
	return document;
}

/* A code for one more. */
void invite(struct host *host, const char *request, char code[JOIN_CODE_MAX])
{
	int exit_code;
	json_t *document = ask(host, request, &exit_code);

	assert_int_equal(exit_code, 0);
	assert_string_equal(json_string_value(json_object_get(document, "schema")), "ntm.invite/1");
	(void)snprintf(code, JOIN_CODE_MAX, "%s", json_string_value(json_object_get(document, "code")));
	json_decref(document);
}
