/* test_listener.c: byte streams over loopback: framing is the caller's, limits are ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/listener.h"
#include "io/loop.h"

/* Echoes messages of 4 bytes; "quit" answers and ends, "evil" is refused. */
struct host {
	struct loop *loop;
	struct listener *listener;
	int fd;
	struct addr address, remote;
	unsigned messages, closed;
};

static ptrdiff_t host_input(void *ctx, uint64_t token, const struct addr *remote, const uint8_t *bytes, size_t size)
{
	struct host *host = ctx;

	if (size < 4)
		return 0;
	host->messages++;
	host->remote = *remote;
	if (memcmp(bytes, "evil", 4) == 0)
		return -1;
	assert_int_equal(listener_send(host->listener, token, bytes, 4, memcmp(bytes, "quit", 4) == 0), OK);
	return 4;
}

static void host_closed(void *ctx, uint64_t token)
{
	struct host *host = ctx;

	assert_int_not_equal(token, 0);
	host->closed++;
}

static void start(struct host *host, struct ip ip, struct listener_params params)
{
	struct sockaddr_in6 name;
	socklen_t size = sizeof(name);

	*host = (struct host){.loop = loop_create(), .address.ip = ip};
	assert_int_equal(listener_socket(&host->address, &host->fd), OK);
	assert_int_equal(getsockname(host->fd, (struct sockaddr *)&name, &size), 0);
	host->address.port = ntohs(name.sin6_port); /* at the same place in both families */
	params.fd = host->fd;
	params.ctx = host;
	params.input = host_input;
	params.closed = host_closed;
	host->listener = listener_create(&params, host->loop);
	assert_non_null(host->listener);
}

static void stop(struct host *host)
{
	listener_destroy(host->listener);
	close(host->fd);
	loop_destroy(host->loop);
}

static int connect_client(const struct host *host)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons(host->address.port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void serve(struct host *host, unsigned messages, unsigned closed)
{
	struct time_us deadline = time_add(clock_now(), 10 * USEC_PER_SEC);

	while (host->messages < messages || host->closed < closed) {
		assert_false(time_reached(clock_now(), deadline));
		assert_int_equal(loop_wait(host->loop, clock_now(), deadline), OK);
	}
}

static void test_echo(void **state)
{
	struct host host;
	char bytes[16];
	int client;

	(void)state;
	start(&host, (struct ip){.family = 6}, (struct listener_params){0}); /* both families */
	client = connect_client(&host);
	assert_int_equal(write(client, "onetwo", 6), 6);
	serve(&host, 1, 0);
	assert_int_equal(host.remote.ip.family, 4); /* unmapped */
	assert_int_equal(write(client, "12quitnever", 11), 11);
	serve(&host, 3, 1);
	assert_int_equal(recv(client, bytes, 12, MSG_WAITALL), 12);
	assert_memory_equal(bytes, "onettwo12quit", 4);
	assert_memory_equal(bytes + 8, "quit", 4);
	assert_int_equal(host.messages, 3);
	close(client);
	client = connect_client(&host);
	assert_int_equal(write(client, "evil", 4), 4);
	serve(&host, 4, 2);
	assert_int_equal(recv(client, bytes, 1, 0), 0);
	close(client);
	assert_int_equal(listener_send(host.listener, 1, "x", 1, false), ERR_UNKNOWN);
	stop(&host);
	listener_destroy(NULL);
}

static void test_limits(void **state)
{
	struct listener_counters counters;
	struct host host;
	char byte;
	int a, b, c;

	(void)state;
	start(&host, ip_v4(127, 0, 0, 1),
	      (struct listener_params){.connections_max = 4, .per_address_max = 2, .input_max = 3});
	a = connect_client(&host);
	b = connect_client(&host);
	c = connect_client(&host);
	do {
		assert_int_equal(loop_wait(host.loop, clock_now(), time_add(clock_now(), 10 * USEC_PER_SEC)), OK);
		listener_get_counters(host.listener, &counters);
	} while (counters.accepted + counters.rejected_full < 3);
	assert_int_equal(counters.rejected_full, 1);
	assert_int_equal(counters.open, 2);
	assert_int_equal(recv(c, &byte, 1, 0), 0);
	assert_int_equal(write(a, "xyz", 3), 3); /* fills the input, and no use is found for it */
	serve(&host, 0, 1);
	assert_int_equal(recv(a, &byte, 1, 0), 0);
	close(a);
	close(b);
	close(c);
	stop(&host);
}

/* Bytes that trickle in without making a message are no progress. */
static void test_idle(void **state)
{
	struct listener_counters counters;
	struct host host;
	struct time_us first, later;
	int client;

	(void)state;
	start(&host, ip_v4(127, 0, 0, 1), (struct listener_params){.idle_us = 3600 * USEC_PER_SEC});
	assert_int_equal(listener_deadline(host.listener).us, TIME_NEVER.us);
	client = connect_client(&host);
	assert_int_equal(write(client, "half", 4), 4);
	serve(&host, 1, 0);
	first = listener_deadline(host.listener);
	assert_true(time_since(first, clock_now()) > 3000 * USEC_PER_SEC);
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(loop_wait(host.loop, clock_now(), TIME_NEVER), OK);
	later = listener_deadline(host.listener);
	assert_int_equal(later.us, first.us);
	listener_expire(host.listener, (struct time_us){first.us - 1});
	assert_int_equal(host.closed, 0);
	listener_expire(host.listener, first);
	assert_int_equal(host.closed, 1);
	listener_get_counters(host.listener, &counters);
	assert_int_equal(counters.timed_out, 1);
	close(client);
	stop(&host);
}

/* Who never reads its answers is cut off at output_max. */
static void test_slow(void **state)
{
	static uint8_t answer[60000];
	struct host host;
	enum err err = OK;
	int client;

	(void)state;
	start(&host, ip_v4(127, 0, 0, 1), (struct listener_params){0});
	client = connect_client(&host);
	assert_int_equal(write(client, "want", 4), 4);
	serve(&host, 1, 0);
	for (int i = 0; i < 1000 && err == OK; i++)
		err = listener_send(host.listener, 1, answer, sizeof(answer), false);
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(host.closed, 1);
	close(client);
	stop(&host);
}

/* Who is told to go and does not read, but writes, causes no wake-ups. */
static void test_closing_is_quiet(void **state)
{
	static uint8_t answer[4 << 20];
	struct time_us deadline;
	struct host host;
	int client;

	(void)state;
	start(&host, ip_v4(127, 0, 0, 1), (struct listener_params){.connections_max = 1, .output_max = 64 << 20});
	client = connect_client(&host);
	assert_int_equal(write(client, "want", 4), 4);
	serve(&host, 1, 0);
	assert_int_equal(listener_send(host.listener, 1, answer, sizeof(answer), false), OK);
	assert_int_equal(listener_send(host.listener, 1, answer, sizeof(answer), false), OK);
	assert_int_equal(listener_send(host.listener, 1, answer, sizeof(answer), true), OK);
	assert_int_equal(listener_send(host.listener, 1, "x", 1, false), ERR_UNKNOWN);
	assert_int_equal(write(client, "more", 4), 4);
	deadline = time_add(clock_now(), 30 * USEC_PER_MSEC);
	assert_int_equal(loop_wait(host.loop, clock_now(), deadline), OK);
	assert_true(time_reached(loop_now(host.loop), deadline));
	assert_int_equal(host.closed, 0);
	close(client);
	serve(&host, 1, 1);
	stop(&host);
}

static void test_taken(void **state)
{
	struct host host;
	int fd = -1;

	(void)state;
	start(&host, ip_v4(127, 0, 0, 1), (struct listener_params){0});
	assert_int_equal(listener_socket(&host.address, &fd), ERR_EXISTS);
	assert_int_equal(fd, -1);
	stop(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo), cmocka_unit_test(test_limits), cmocka_unit_test(test_idle),
		cmocka_unit_test(test_slow), cmocka_unit_test(test_taken),  cmocka_unit_test(test_closing_is_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
