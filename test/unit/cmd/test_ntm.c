/*
 * The command against a daemon made of a unix socket and a table of answers: what it prints, where, and with which exit
 * code it ends. Its first argument is the program under test.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/control_client.h"

enum { TEXT_MAX = 16384, WORDS_MAX = 12 };

static const char *program;
static char folder[] = "/tmp/ntm-cmd-XXXXXX";

struct daemon {
	int listener;
	pthread_t thread;
	char path[108];
	const char *const *answers; /* pairs: verb, lines; NULL-terminated; empty lines: hang up at once */
	char request[1024];	    /* the last one */
};

struct result {
	int code;
	char out[TEXT_MAX], err[TEXT_MAX];
};

static void answer(struct daemon *daemon, int fd)
{
	size_t at = 0;
	json_t *request;
	const char *verb;
	ssize_t got;

	while (at < sizeof daemon->request - 1 &&
	       (got = read(fd, daemon->request + at, sizeof daemon->request - 1 - at)) > 0) {
		at += (size_t)got;
		if (daemon->request[at - 1] == '\n')
			break;
	}
	daemon->request[at] = 0;
	request = json_loads(daemon->request, 0, NULL);
	verb = json_string_value(json_object_get(request, "verb"));
	for (const char *const *pair = daemon->answers; verb && *pair; pair += 2)
		if (strcmp(pair[0], verb) == 0 && send(fd, pair[1], strlen(pair[1]), MSG_NOSIGNAL) >= 0)
			break;
	if (verb && strcmp(verb, "down") == 0)
		shutdown(daemon->listener, SHUT_RDWR);
	json_decref(request);
}

static void *serve(void *ctx)
{
	struct daemon *daemon = ctx;
	int fd;

	while ((fd = accept(daemon->listener, NULL, NULL)) >= 0) {
		answer(daemon, fd);
		close(fd);
	}
	unlink(daemon->path);
	return NULL;
}

static void daemon_start(struct daemon *daemon, const char *name, const char *const answers[])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*daemon = (struct daemon){.answers = answers};
	snprintf(daemon->path, sizeof daemon->path, "%s/%s", folder, name);
	memcpy(address.sun_path, daemon->path, strlen(daemon->path) + 1);
	daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(daemon->listener >= 0);
	assert_int_equal(bind(daemon->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(daemon->listener, 8), 0);
	assert_int_equal(pthread_create(&daemon->thread, NULL, serve, daemon), 0);
}

static void daemon_stop(struct daemon *daemon)
{
	shutdown(daemon->listener, SHUT_RDWR);
	pthread_join(daemon->thread, NULL);
	close(daemon->listener);
}

static void slurp(int fd, char *text)
{
	size_t at = 0;
	ssize_t got;

	while (at < TEXT_MAX - 1 && (got = read(fd, text + at, TEXT_MAX - 1 - at)) > 0)
		at += (size_t)got;
	text[at] = 0;
	close(fd);
}

static void become(const char *path, char *const argv[], const int out[2], const int err[2])
{
	char socket[160], state[160];

	snprintf(socket, sizeof socket, "%s/ntm.sock", folder);
	snprintf(state, sizeof state, "%s/state", folder);
	setenv("NTM_SOCKET", socket, 1);
	setenv("NTM_STATE", state, 1);
	setenv("NTM_CONFIG", "/dev/null", 1);
	dup2(out[1], 1);
	dup2(err[1], 2);
	execv(path, argv);
	_exit(127);
}

static struct result run_at(const char *path, const char *const words[])
{
	char *argv[WORDS_MAX + 2] = {"ntm"};
	struct result result = {0};
	int out[2], err[2], status;
	pid_t pid;

	for (size_t i = 0; words[i] && i < WORDS_MAX; i++)
		argv[i + 1] = (char *)words[i];
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		become(path, argv, out, err);
	close(out[1]);
	close(err[1]);
	slurp(out[0], result.out);
	slurp(err[0], result.err);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	result.code = WEXITSTATUS(status);
	return result;
}

#define RUN(...) run_at(program, (const char *const[]){__VA_ARGS__, NULL})

/* A failure is one line on standard error and nothing on standard output. */
static void expect_failure(const struct result *result, int code, const char *part)
{
	assert_int_equal(result->code, code);
	if (!strstr(result->err, part))
		fail_msg("'%s' is not in '%s'", part, result->err);
	assert_ptr_equal(strchr(result->err, '\n'), result->err + strlen(result->err) - 1);
	assert_string_equal(result->out, "");
}

static void test_usage(void **state)
{
	static const struct {
		const char *words[5];
		const char *part;
	} cases[] = {
		{{"stauts"}, "did you mean 'ntm status'?"},
		{{"qqqqq"}, "`ntm help` lists them all"},
		{{"status", "b"}, "unexpected argument 'b'"},
		{{"ping"}, "missing argument; usage: ntm ping NAME"},
		{{"status", "--new"}, "option --new does not belong"},
		{{"--direct", "why", "b"}, "option --direct does not belong"},
		{{"up", "code"}, "no join code"},
		{{"up", "--new", "ntm1-AAAA"}, "--new founds a network"},
		{{"up", "--wait", "soon"}, "wait 'soon' (command line)"},
		{{"handover"}, "--to IFACE"},
		{{"up", "--name", "a.b.c"}, "no single label; give the part before the first dot, like a"},
		{{"config", "chekc"}, "ntm config check"},
		{{"help", "me"}, "unknown verb 'me'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct result result = run_at(program, cases[i].words);

		expect_failure(&result, 2, cases[i].part);
	}
}

static void test_no_daemon(void **state)
{
	static const char *const verbs[][3] = {{"status"},     {"status", "--check"},  {"ping", "b"}, {"why", "b"},
					       {"watch"},      {"handover", "--to=x"}, {"invite"},    {"nodes"},
					       {"revoke", "b"}};
	struct result result;

	(void)state;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		result = run_at(program, verbs[i]);
		expect_failure(&result, 3, "is not running");
	}
	result = RUN("down");
	assert_int_equal(result.code, 0);
	assert_string_equal(result.out, "was not up\n");
	result = RUN("status", "--json");
	assert_int_equal(result.code, 3);
	assert_non_null(strstr(result.out, "\"state\":\"down\""));
}

static void test_exit_codes_of_the_daemon(void **state)
{
	char line[128];
	const char *const answers[] = {"why", line, "ping", line, "watch", line, "status", line, NULL};
	struct daemon daemon;

	(void)state;
	daemon_start(&daemon, "ntm.sock", answers);
	for (int code = 1; code <= 8; code++) {
		struct result result;

		snprintf(line, sizeof line, "{\"end\":true,\"exit\":%d,\"error\":\"trouble %d\\u001b\"}\n", code, code);
		result = RUN("why", "b");
		expect_failure(&result, code, ": trouble ");
		assert_null(strchr(result.err, '\033'));
		result = RUN("ping", "b", "-c1");
		assert_int_equal(result.code, code);
		result = RUN("status", "--check");
		assert_int_equal(result.code, code);
	}
	daemon_stop(&daemon);
}

static void test_status(void **state)
{
	static const char text[] = "{\"schema\":\"ntm.status/"
				   "1\",\"node\":{\"name\":\"a\",\"state\":\"up\"},\"peers\":[]}\n{\"end\":true,"
				   "\"exit\":0,\"error\":\"\"}\n";
	static const char joining[] =
		"{\"schema\":\"ntm.status/"
		"1\",\"node\":{\"state\":\"joining\"},\"coordinator\":{\"address\":\"192.0.2.1:1\","
		"\"state\":\"unreachable\"}}\n{\"end\":true,\"exit\":0,\"error\":\"\"}\n";
	const char *answers[] = {"status", text, NULL};
	struct daemon daemon;
	struct result result;

	(void)state;
	daemon_start(&daemon, "ntm.sock", answers);
	result = RUN("status");
	assert_int_equal(result.code, 0);
	assert_non_null(strstr(result.out, "a  up\n"));
	result = RUN("--json", "status");
	assert_int_equal(result.code, 0);
	assert_int_equal(strlen(result.out), strchr(text, '\n') - text + 1);
	assert_int_equal(strncmp(result.out, text, strlen(result.out)), 0);
	result = RUN("status", "--check");
	assert_int_equal(result.code, 0);
	assert_string_equal(result.out, "");
	answers[1] = joining;
	result = RUN("status", "--check");
	expect_failure(&result, 6, "192.0.2.1:1 is unreachable");
	daemon_stop(&daemon);
}

static void test_broken_answers(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"", "hung up"},	   {"{\"schema\":\"ntm.why/1\"", "hung up"},
		{"what?\n", "unreadable"}, {"[]\n", "unreadable"},
		{"\n", "unreadable"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *const answers[] = {"why", cases[i].text, NULL};
		struct daemon daemon;
		struct result result;

		daemon_start(&daemon, "ntm.sock", answers);
		result = RUN("why", "b");
		expect_failure(&result, 1, cases[i].part);
		daemon_stop(&daemon);
	}
}

static void test_requests(void **state)
{
	static const char done[] = "{\"end\":true,\"exit\":0,\"error\":\"\"}\n";
	const char *const answers[] = {"ping", done, "handover", done, "invite", done, NULL};
	struct daemon daemon;

	(void)state;
	daemon_start(&daemon, "ntm.sock", answers);
	assert_int_equal(RUN("ping", "b", "-c", "3", "-i", "0.2", "--direct").code, 0);
	assert_string_equal(daemon.request,
			    "{\"verb\":\"ping\",\"name\":\"b\",\"count\":3,\"interval_us\":200000,\"direct\":true}\n");
	assert_int_equal(RUN("handover", "--to", "eth1").code, 0);
	assert_string_equal(daemon.request, "{\"verb\":\"handover\",\"to\":\"eth1\"}\n");
	assert_int_equal(RUN("invite", "--uses=5", "--expires=2h", "--role=relay", "--name=R1").code, 0);
	assert_string_equal(daemon.request,
			    "{\"verb\":\"invite\",\"uses\":5,\"expires_s\":7200,\"role\":\"relay\",\"name\":\"r1\"}\n");
	daemon_stop(&daemon);
}

/* The server's socket beside the node's is found by the same NTM_SOCKET. */
static void test_server_verbs(void **state)
{
	const char *const answers[] = {
		"invite",
		"{\"schema\":\"ntm.invite/1\",\"code\":\"ntm1-AbC_-9\"}\n{\"end\":true,\"exit\":0,\"error\":\"\"}\n",
		"revoke", "{\"end\":true,\"exit\":5,\"error\":\"no node x; `ntm nodes` lists them\"}\n", NULL};
	struct daemon daemon;
	struct result result;

	(void)state;
	daemon_start(&daemon, "server.sock", answers);
	result = RUN("invite");
	assert_int_equal(result.code, 0);
	assert_string_equal(result.out, "ntm1-AbC_-9\n");
	result = RUN("revoke", "x");
	expect_failure(&result, 5, "no node x");
	result = RUN("down");
	assert_int_equal(result.code, 0);
	assert_non_null(strstr(result.out, "ntm down --server"));
	daemon_stop(&daemon);
}

static void test_down_waits(void **state)
{
	const char *const answers[] = {"down", "{\"end\":true,\"exit\":0,\"error\":\"\"}\n", NULL};
	struct daemon daemon;
	struct result result;

	(void)state;
	daemon_start(&daemon, "ntm.sock", answers);
	result = RUN("down");
	assert_int_equal(result.code, 0);
	assert_string_equal(result.out, "down\n");
	assert_int_not_equal(access(daemon.path, F_OK), 0);
	daemon_stop(&daemon);
}

static void test_up_when_up(void **state)
{
	static const char up[] = "{\"schema\":\"ntm.status/"
				 "1\",\"node\":{\"fqdn\":\"a.ntm.internal\",\"v4\":\"198.18.0.1\",\"v6\":\"fd6e::1\","
				 "\"state\":\"up\"}}\n"
				 "{\"end\":true,\"exit\":0,\"error\":\"\"}\n";
	const char *answers[] = {"status", up, NULL};
	struct daemon daemon;
	struct result result;

	(void)state;
	daemon_start(&daemon, "ntm.sock", answers);
	result = RUN("up");
	assert_int_equal(result.code, 0);
	assert_string_equal(result.out, "up as a.ntm.internal\n  198.18.0.1\n  fd6e::1\n");
	answers[1] = "{\"schema\":\"ntm.status/"
		     "1\",\"node\":{\"state\":\"joining\"}}\n{\"end\":true,\"exit\":0,\"error\":\"\"}\n";
	result = RUN("up", "--wait=100ms");
	expect_failure(&result, 8, "not up in time");
	answers[1] = "{\"end\":true,\"exit\":4,\"error\":\"not joined\"}\n";
	result = RUN("up");
	expect_failure(&result, 4, "ntm up CODE");
	daemon_stop(&daemon);
}

static void write_script(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

static void copy_program(const char *to)
{
	char buffer[65536];
	FILE *in = fopen(program, "r"), *out = fopen(to, "w");
	size_t got;

	assert_true(in && out);
	while ((got = fread(buffer, 1, sizeof buffer, in)) > 0)
		assert_int_equal(fwrite(buffer, 1, got, out), got);
	fclose(in);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(to, 0755), 0);
}

/* The daemon beside the command is the one that starts; it gets the code where other users cannot read it; its words
 * and exit code come through. */
static void test_up_starts_the_daemon(void **state)
{
	char ntm[160], ntmd[160], seen[160], script[512], text[1024] = "";
	struct result result;
	FILE *file;

	(void)state;
	if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0)
		skip();
	snprintf(ntm, sizeof ntm, "%s/ntm", folder);
	snprintf(ntmd, sizeof ntmd, "%s/ntmd", folder);
	snprintf(seen, sizeof seen, "%s/seen", folder);
	snprintf(script, sizeof script,
		 "#!/bin/sh\necho \"$NTM_JOIN: $*\" >%s\necho 'ntmd: the code is used up' >&2\nexit 5\n", seen);
	copy_program(ntm);
	write_script(ntmd, script);
	result = run_at(ntm, (const char *const[]){"up", "--join=ntm1-Secret", "--tun=t0", "--wait=20s", NULL});
	if (strstr(result.err, "CAP_NET_ADMIN") || strstr(result.err, "/dev/net/tun"))
		skip();
	expect_failure(&result, 5, "ntmd ended: the code is used up");
	file = fopen(seen, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof text, file));
	fclose(file);
	assert_string_equal(text, "ntm1-Secret: --config=/dev/null --tun=t0\n");
	unlink(ntm);
	unlink(ntmd);
	unlink(seen);
	snprintf(seen, sizeof seen, "%s/state/ntmd.log", folder);
	unlink(seen);
	snprintf(seen, sizeof seen, "%s/state", folder);
	rmdir(seen);
}

static void test_without_daemon(void **state)
{
	char path[200], text[TEXT_MAX] = "";
	struct result result;
	struct stat stat_buffer;
	FILE *file;

	(void)state;
	result = RUN("help");
	assert_int_equal(result.code, 0);
	assert_non_null(strstr(result.out, "A network of your own"));
	result = RUN("ping", "--help");
	assert_non_null(strstr(result.out, "-c, --count N"));
	assert_null(strstr(result.out, "--zone"));
	result = RUN("version", "--json");
	assert_non_null(strstr(result.out, "\"schema\":\"ntm.version/1\""));
	result = RUN("config", "check", "--join=ntm1-Secret", "--log-level=debug");
	assert_int_equal(result.code, 0);
	assert_non_null(strstr(result.out, "environment variable NTM_STATE"));
	assert_null(strstr(result.out, "Secret"));
	snprintf(path, sizeof path, "%s/report", folder);
	result = RUN("bugreport", "--output", path);
	assert_int_equal(result.code, 0);
	assert_int_equal(stat(path, &stat_buffer), 0);
	assert_int_equal(stat_buffer.st_mode & 0777, 0600);
	file = fopen(path, "r");
	assert_true(fread(text, 1, sizeof text - 1, file) > 0);
	fclose(file);
	assert_non_null(strstr(text, "== interfaces"));
	result = RUN("bugreport", "--output", path);
	assert_int_equal(result.code, 1);
	unlink(path);
}

/* Shell completion reads these words; they come from the parser's own tables. */
static void test_completion(void **state)
{
	struct result result = RUN("completion-data", "ntm");

	(void)state;
	assert_non_null(strstr(result.out, "handover\n"));
	assert_non_null(strstr(result.out, "--socket=\n"));
	assert_null(strstr(result.out, "--direct"));
	result = RUN("completion-data", "ntm", "ping");
	assert_non_null(strstr(result.out, "--direct\n"));
	assert_null(strstr(result.out, "handover"));
	result = RUN("completion-data", "ntm-server");
	assert_non_null(strstr(result.out, "--log-level=debug\n"));
	assert_null(strstr(result.out, "--tun"));
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_exit_codes_of_the_daemon),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_broken_answers),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_server_verbs),
		cmocka_unit_test(test_down_waits),
		cmocka_unit_test(test_up_when_up),
		cmocka_unit_test(test_up_starts_the_daemon),
		cmocka_unit_test(test_without_daemon),
		cmocka_unit_test(test_completion),
	};
	int failed;

	if (argc < 2 || !mkdtemp(folder))
		return 1;
	program = argv[1];
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (rmdir(folder) != 0)
		perror(folder);
	return failed;
}
