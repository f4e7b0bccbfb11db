/* test_stream.c: the control socket from both sides, its limits, and who may listen where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/loop.h"
#include "io/stream.h"

static char directory[32], path[64];
static char error[STREAM_ERROR_MAX];

/* A server that answers by what the line says. */
struct host {
	struct loop *loop;
	struct stream_server *server;
	unsigned lines, closed;
	struct stream_peer last;
	char text[64];
	size_t last_size;
};

static void host_line(void *ctx, const struct stream_peer *peer, char *line, size_t size)
{
	struct host *host = ctx;
	enum err err = OK;

	host->lines++;
	host->last = *peer;
	host->last_size = size;
	snprintf(host->text, sizeof(host->text), "%.60s", line);
	if (strcmp(line, "bye") == 0) {
		err = stream_send(host->server, peer->token, "goodbye", 7);
		stream_close(host->server, peer->token);
	} else if (strcmp(line, "drop") == 0) {
		stream_close(host->server, peer->token);
		assert_string_equal(line, "drop"); /* still readable */
	} else {
		err = stream_send(host->server, peer->token, line, size);
	}
	assert_int_equal(err, OK);
}

static void host_closed(void *ctx, const struct stream_peer *peer)
{
	struct host *host = ctx;

	(void)peer;
	host->closed++;
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/ntm-stream-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/run/s", directory);
	return 0;
}

static int remove_directory(void **state)
{
	char name[96];

	(void)state;
	unlink(path);
	snprintf(name, sizeof(name), "%s.lock", path);
	unlink(name);
	snprintf(name, sizeof(name), "%s/run", directory);
	rmdir(name);
	return rmdir(directory);
}

static void start(struct host *host, size_t output_max)
{
	struct stream_params params = {.path = path,
				       .group = "no-such-group",
				       .output_max = output_max,
				       .ctx = host,
				       .line = host_line,
				       .closed = host_closed};

	*host = (struct host){.loop = loop_create()};
	assert_int_equal(stream_serve(&params, host->loop, &host->server, error), OK);
}

static void stop(struct host *host)
{
	stream_server_destroy(host->server);
	loop_destroy(host->loop);
}

static struct time_us soon(void)
{
	return time_add(clock_now(), 10 * USEC_PER_SEC);
}

/* Runs the server until it has seen so many lines and ends. */
static void serve(struct host *host, unsigned lines, unsigned closed)
{
	struct time_us deadline = soon();

	while (host->lines < lines || host->closed < closed) {
		assert_false(time_reached(clock_now(), deadline));
		assert_int_equal(loop_wait(host->loop, clock_now(), deadline), OK);
	}
}

static struct stream_client *connect_client(void)
{
	struct stream_client *client;

	assert_int_equal(stream_connect(path, &client), OK);
	return client;
}

static void expect_line(struct stream_client *client, const char *expected)
{
	char *line;
	size_t size;

	assert_int_equal(stream_client_read(client, soon(), &line, &size), OK);
	assert_string_equal(line, expected);
	assert_int_equal(size, strlen(expected));
}

static void test_talk(void **state)
{
	struct host host;
	struct stream_client *client;
	struct stat status;
	char *line;
	size_t size;

	(void)state;
	start(&host, 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600); /* no such group: owner only */
	client = connect_client();
	assert_int_equal(stream_client_write(client, "one\ntwo", 7, soon()), OK);
	serve(&host, 2, 0);
	assert_int_equal(host.last.pid, getpid());
	assert_int_equal(host.last.uid, getuid());
	expect_line(client, "one");
	expect_line(client, "two");
	assert_int_equal(stream_client_read(client, clock_now(), &line, &size), ERR_EXPIRED);
	assert_int_equal(stream_client_write(client, "bye", 3, soon()), OK);
	serve(&host, 3, 1);
	expect_line(client, "goodbye");
	assert_int_equal(stream_client_read(client, soon(), &line, &size), ERR_TRUNCATED);
	stream_client_close(client);
	assert_int_equal(stream_send(host.server, host.last.token, "x", 1), ERR_UNKNOWN);
	stream_close(host.server, host.last.token);

	client = connect_client();
	assert_int_equal(stream_client_write(client, "drop\nnever seen", 15, soon()), OK);
	serve(&host, 4, 2);
	assert_int_equal(host.lines, 4);
	stream_client_close(client);
	stop(&host);
	assert_int_equal(access(path, F_OK), -1);
	stream_client_close(NULL);
	stream_server_destroy(NULL);
}

static void test_line_limit(void **state)
{
	static char longest[STREAM_LINE_MAX + 1];
	struct host host;
	struct stream_counters counters;
	struct stream_client *client;
	char *line;
	size_t size;

	(void)state;
	start(&host, 0);
	memset(longest, 'x', sizeof(longest));
	client = connect_client();
	assert_int_equal(stream_client_write(client, longest, STREAM_LINE_MAX - 1, soon()), OK);
	serve(&host, 1, 0);
	assert_int_equal(host.last_size, STREAM_LINE_MAX - 1);
	assert_int_equal(stream_client_read(client, soon(), &line, &size), OK);
	assert_int_equal(size, STREAM_LINE_MAX - 1);
	assert_int_equal(stream_client_write(client, longest, STREAM_LINE_MAX, soon()), OK);
	serve(&host, 1, 1);
	stream_get_counters(host.server, &counters);
	assert_int_equal(counters.dropped_oversize, 1);
	stream_client_close(client);
	stop(&host);
}

static void test_client_limit(void **state)
{
	struct stream_client *clients[STREAM_CLIENTS_MAX + 1];
	struct stream_counters counters;
	struct host host;
	char *line;
	size_t size;

	(void)state;
	start(&host, 0);
	for (size_t i = 0; i <= STREAM_CLIENTS_MAX; i++) {
		clients[i] = connect_client();
		if (i < STREAM_CLIENTS_MAX) {
			assert_int_equal(stream_client_write(clients[i], "hi", 2, soon()), OK);
			serve(&host, (unsigned)i + 1, 0);
		}
	}
	do {
		assert_int_equal(loop_wait(host.loop, clock_now(), soon()), OK);
		stream_get_counters(host.server, &counters);
	} while (counters.rejected_full == 0);
	assert_int_equal(stream_client_read(clients[STREAM_CLIENTS_MAX], soon(), &line, &size), ERR_TRUNCATED);
	expect_line(clients[0], "hi");
	stream_client_close(clients[0]); /* makes room */
	serve(&host, STREAM_CLIENTS_MAX, 1);
	stream_client_close(clients[STREAM_CLIENTS_MAX]);
	clients[STREAM_CLIENTS_MAX] = connect_client();
	assert_int_equal(stream_client_write(clients[STREAM_CLIENTS_MAX], "in", 2, soon()), OK);
	serve(&host, STREAM_CLIENTS_MAX + 1, 1);
	for (size_t i = 1; i <= STREAM_CLIENTS_MAX; i++)
		stream_client_close(clients[i]);
	stop(&host);
}

/* Who does not read is dropped once its queue is full; others notice nothing. */
static void test_slow(void **state)
{
	static char event[30000];
	struct stream_client *slow, *quick;
	struct stream_counters counters;
	struct host host;
	uint64_t slow_token;
	enum err err = OK;

	(void)state;
	start(&host, 100000);
	slow = connect_client();
	assert_int_equal(stream_client_write(slow, "watch", 5, soon()), OK);
	serve(&host, 1, 0);
	slow_token = host.last.token;
	quick = connect_client();
	assert_int_equal(stream_client_write(quick, "watch", 5, soon()), OK);
	serve(&host, 2, 0);
	memset(event, 'e', sizeof(event));
	for (int i = 0; i < 1000 && err == OK; i++)
		err = stream_send(host.server, slow_token, event, sizeof(event));
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(host.closed, 1);
	stream_get_counters(host.server, &counters);
	assert_int_equal(counters.dropped_slow, 1);
	assert_int_equal(stream_send(host.server, host.last.token, "still here", 10), OK);
	expect_line(quick, "watch");
	expect_line(quick, "still here");
	stream_client_close(slow);
	stream_client_close(quick);
	stop(&host);
}

static void *read_all(void *ctx)
{
	struct stream_client *client = ctx;
	uintptr_t good = 1;
	char *line;
	size_t size;

	for (int i = 0; i < 20; i++)
		good = good && stream_client_read(client, soon(), &line, &size) == OK && size == 200000 &&
		       line[0] == 'a' + i && line[size - 1] == 'a' + i;
	return (void *)good;
}

/* More than the socket's buffer, through the queue, in pieces: nothing is lost or mixed up. */
static void test_backlog(void **state)
{
	static char event[200000];
	struct stream_client *client;
	struct host host;
	pthread_t reader;
	void *good;

	(void)state;
	start(&host, 0);
	client = connect_client();
	assert_int_equal(stream_client_write(client, "bye?", 4, soon()), OK);
	serve(&host, 1, 0);
	expect_line(client, "bye?");
	for (int i = 0; i < 20; i++) {
		memset(event, 'a' + i, sizeof(event));
		assert_int_equal(stream_send(host.server, host.last.token, event, sizeof(event)), OK);
	}
	stream_close(host.server, host.last.token); /* only after all of it */
	assert_int_equal(pthread_create(&reader, NULL, read_all, client), 0);
	serve(&host, 1, 1);
	assert_int_equal(pthread_join(reader, &good), 0);
	assert_non_null(good);
	stream_client_close(client);
	stop(&host);
}

/* A queue that is refilled while it drains, in one thread: what is left of it moves to the front and stays whole. */
static void test_refill(void **state)
{
	static char event[200000];
	struct stream_client *client;
	struct host host;
	int sent = 0;

	(void)state;
	start(&host, 0);
	client = connect_client();
	assert_int_equal(stream_client_write(client, "fill", 4, soon()), OK);
	serve(&host, 1, 0);
	expect_line(client, "fill");
	for (int received = 0; received < 30; received++) {
		enum err err = ERR_EXPIRED;
		char *line;
		size_t size;

		for (; sent < received + 5; sent++) {
			memset(event, 'A' + sent, sizeof(event));
			assert_int_equal(stream_send(host.server, host.last.token, event, sizeof(event)), OK);
		}
		while (err == ERR_EXPIRED) {
			assert_int_equal(loop_wait(host.loop, clock_now(), clock_now()), OK);
			err = stream_client_read(client, clock_now(), &line, &size);
		}
		assert_int_equal(err, OK);
		assert_int_equal(size, sizeof(event));
		for (size_t i = 0; i < size; i++)
			assert_int_equal(line[i], 'A' + received);
	}
	stream_client_close(client);
	stop(&host);
}

static void test_one_daemon(void **state)
{
	struct stream_params params = {.path = path, .line = host_line};
	struct stream_server *second = NULL;
	struct host host;

	(void)state;
	start(&host, 0);
	assert_int_equal(stream_serve(&params, host.loop, &second, error), ERR_EXISTS);
	assert_null(second);
	assert_non_null(strstr(error, "another daemon"));
	assert_int_equal(unlink(path), 0); /* the lock holds without the file */
	assert_int_equal(stream_serve(&params, host.loop, &second, error), ERR_EXISTS);
	stop(&host);
}

static void test_stale(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stream_params params = {.path = path, .line = host_line};
	struct stream_client *client;
	struct host host;
	int fd;

	(void)state;
	start(&host, 0);
	stop(&host);
	assert_int_equal(stream_connect(path, &client), ERR_UNKNOWN);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(name.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd); /* as after a crash: the file is there, nobody behind it */
	assert_int_equal(stream_connect(path, &client), ERR_UNKNOWN);
	start(&host, 0);
	stop(&host);
	fd = open(path, O_CREAT | O_WRONLY, 0600); /* somebody's file */
	close(fd);
	host.loop = loop_create();
	assert_int_equal(stream_serve(&params, host.loop, &host.server, error), ERR_USAGE);
	assert_int_equal(access(path, F_OK), 0);
	loop_destroy(host.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_talk, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_line_limit, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_client_limit, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_slow, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_backlog, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_refill, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_one_daemon, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_stale, make_directory, remove_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
