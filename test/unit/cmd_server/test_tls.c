/* TLS between the account server and those who log in: who is talked to, what binds to a connection, what strangers
 * cannot use up. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/keys.h"
#include "io/clock.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/tls.h"

enum { TIMEOUT_US = 10 * 1000 * 1000 };

/* A server in a thread that echoes, and prefixes every connection's exporter. */
struct fixture {
	struct loop *loop;
	struct tls_server *server;
	struct source wake;
	int pipe[2], listen_fd;
	bool is_over;
	pthread_t thread;
	struct addr addr;
	struct sign_keys keys;
	size_t heard;
};

static ptrdiff_t echo(void *ctx, uint64_t token, const uint8_t exporter[TLS_EXPORTER_SIZE], const uint8_t *bytes,
		      size_t size)
{
	struct fixture *f = ctx;

	f->heard += size;
	if (bytes[0] == 'x')
		return -1;
	if (bytes[0] == 'e' && tls_server_send(f->server, token, exporter, TLS_EXPORTER_SIZE, false) != OK)
		return -1;
	if (bytes[0] != 'e' && tls_server_send(f->server, token, bytes, size, bytes[0] == 'q') != OK)
		return -1;
	return (ptrdiff_t)size;
}

static void woken(struct source *source, uint32_t events)
{
	struct fixture *f = (struct fixture *)((char *)source - offsetof(struct fixture, wake));

	(void)events;
	f->is_over = true;
}

static void *serve(void *ctx)
{
	struct fixture *f = ctx;

	while (!f->is_over) {
		if (loop_wait(f->loop, clock_now(), tls_server_deadline(f->server)) != OK)
			abort();
		tls_server_expire(f->server, loop_now(f->loop));
	}
	return NULL;
}

static void start(struct fixture *f, const struct tls_server_config *limits)
{
	struct tls_server_config config = *limits;
	struct addr any = {.ip = ip_v4(127, 0, 0, 1)};
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);

	assert_true(crypto_init());
	sign_keys_from_seed((const uint8_t[32]){9}, &f->keys);
	assert_int_equal(listener_socket(&any, &f->listen_fd), OK);
	assert_int_equal(getsockname(f->listen_fd, (struct sockaddr *)&bound, &size), 0);
	f->addr = any;
	f->addr.port =
		(uint16_t)(((uint8_t *)&bound)[2] << 8 | ((uint8_t *)&bound)[3]); /* the same place in both families */
	f->loop = loop_create();
	assert_non_null(f->loop);
	memcpy(config.seed, f->keys.seed, sizeof(config.seed));
	config.ctx = f;
	config.input = echo;
	f->server = tls_server_create(&config, f->loop, f->listen_fd);
	assert_non_null(f->server);
	assert_int_equal(pipe(f->pipe), 0);
	f->wake = (struct source){.fd = f->pipe[0], .ready = woken};
	assert_int_equal(loop_add(f->loop, &f->wake, EPOLLIN), OK);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void stop(struct fixture *f)
{
	assert_int_equal(write(f->pipe[1], "", 1), 1);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	tls_server_destroy(f->server);
	loop_destroy(f->loop);
	close(f->listen_fd);
	close(f->pipe[0]);
	close(f->pipe[1]);
}

static bool accept_pinned(void *ctx, const uint8_t key[TLS_KEY_SIZE])
{
	return memcmp(ctx, key, TLS_KEY_SIZE) == 0;
}

static enum err dial(struct fixture *f, uint8_t *pinned, struct tls_client **ret, enum tls_step *step)
{
	struct tls_client_config config = {
		.remote = f->addr, .timeout_us = TIMEOUT_US, .ctx = pinned, .accept_key = accept_pinned};

	return tls_client_connect(&config, ret, step);
}

static void receive(struct tls_client *client, uint8_t *bytes, size_t size)
{
	size_t at = 0;

	while (at < size) {
		size_t n = 0;

		assert_int_equal(tls_client_receive(client, bytes + at, size - at, &n, TIMEOUT_US), OK);
		at += n;
	}
}

static void right_server_is_talked_to(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	enum tls_step step;
	uint8_t bytes[5], mine[TLS_EXPORTER_SIZE], theirs[TLS_EXPORTER_SIZE];

	(void)state;
	start(&f, &(struct tls_server_config){0});
	assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
	assert_int_equal(tls_client_send(client, "hello", 5, TIMEOUT_US), OK);
	receive(client, bytes, 5);
	assert_memory_equal(bytes, "hello", 5);
	assert_int_equal(tls_client_send(client, "e", 1, TIMEOUT_US), OK);
	receive(client, theirs, sizeof(theirs));
	tls_client_exporter(client, mine);
	assert_memory_equal(mine, theirs, sizeof(mine));
	tls_client_close(client);
	assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
	tls_client_exporter(client, mine);
	assert_memory_not_equal(mine, theirs, sizeof(mine)); /* another connection */
	tls_client_close(client);
	stop(&f);
}

static void fake_server_hears_nothing(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	struct sign_keys real;
	enum tls_step step = TLS_STEP_CONNECT;

	(void)state;
	start(&f, &(struct tls_server_config){0});
	sign_keys_from_seed((const uint8_t[32]){10}, &real);
	assert_int_equal(dial(&f, real.public, &client, &step), ERR_AUTH);
	assert_int_equal(step, TLS_STEP_PIN);
	assert_null(client);
	stop(&f);
	assert_int_equal(f.heard, 0);
}

static void nobody_there_is_told_apart(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	enum tls_step step = TLS_STEP_PIN;

	(void)state;
	start(&f, &(struct tls_server_config){0});
	stop(&f);
	assert_int_equal(dial(&f, f.keys.public, &client, &step), ERR_IO);
	assert_int_equal(step, TLS_STEP_CONNECT);
}

static int plain_connect(const struct fixture *f)
{
	uint8_t to[16] = {2, 0, (uint8_t)(f->addr.port >> 8), (uint8_t)f->addr.port, 127, 0, 0, 1}; /* sockaddr_in */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)to, sizeof(to)), 0);
	return fd;
}

static void slow_strangers_are_closed(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	enum tls_step step;
	char byte;
	int fd;

	(void)state;
	start(&f, &(struct tls_server_config){.handshake_us = 200 * 1000, .idle_us = 200 * 1000});
	fd = plain_connect(&f);
	assert_int_equal(recv(fd, &byte, 1, 0), 0); /* says nothing: closed by the server's deadline */
	close(fd);
	assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
	assert_int_equal(tls_client_receive(client, &byte, 1, &(size_t){0}, TIMEOUT_US), ERR_TRUNCATED);
	tls_client_close(client);
	stop(&f);
}

static void garbage_is_closed(void **state)
{
	struct fixture f = {0};
	char bytes[512];
	int fd;

	(void)state;
	start(&f, &(struct tls_server_config){0});
	fd = plain_connect(&f);
	memset(bytes, 'G', sizeof(bytes));
	assert_int_equal(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		; /* an alert, then the end */
	close(fd);
	stop(&f);
}

static void connections_are_bounded(void **state)
{
	struct fixture f = {0};
	struct tls_client *clients[3] = {NULL}, *more = NULL;
	enum tls_step step;
	uint8_t byte;

	(void)state;
	start(&f, &(struct tls_server_config){.connections_max = 4, .per_address_max = 3});
	for (int i = 0; i < 3; i++)
		assert_int_equal(dial(&f, f.keys.public, &clients[i], &step), OK);
	assert_int_not_equal(dial(&f, f.keys.public, &more, &step), OK);
	tls_client_close(clients[0]);
	clients[0] = NULL;
	while (dial(&f, f.keys.public, &clients[0], &step) != OK)
		; /* until the server has seen that the first one left */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(tls_client_send(clients[i], "a", 1, TIMEOUT_US), OK);
		receive(clients[i], &byte, 1);
		tls_client_close(clients[i]);
	}
	stop(&f);
}

static void a_flood_is_paced_and_all_are_served(void **state)
{
	struct fixture f = {0};
	enum tls_step step;

	(void)state;
	start(&f, &(struct tls_server_config){.accepts_per_s = 100});
	for (int i = 0; i < 40; i++) { /* 11 a tenth of a second */
		struct tls_client *client = NULL;

		assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
		tls_client_close(client);
	}
	stop(&f);
}

static void bytes_are_bounded(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	enum tls_step step;
	static uint8_t bytes[100000];
	size_t got = 0, n;

	(void)state;
	start(&f, &(struct tls_server_config){.output_max = 1000});
	assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
	memset(bytes, 'y', sizeof(bytes));
	(void)!tls_client_send(client, bytes, sizeof(bytes), TIMEOUT_US); /* each echo is larger than the queue */
	while (tls_client_receive(client, bytes, sizeof(bytes), &n, TIMEOUT_US) == OK)
		got += n;
	assert_true(got < sizeof(bytes));
	tls_client_close(client);
	stop(&f);
}

static void much_goes_both_ways(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	enum tls_step step;
	static uint8_t out[30000], back[30000];

	(void)state;
	start(&f, &(struct tls_server_config){0});
	assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
	for (int round = 0; round < 20; round++) {
		memset(out, 'A' + round, sizeof(out));
		assert_int_equal(tls_client_send(client, out, sizeof(out), TIMEOUT_US), OK);
		receive(client, back, sizeof(back));
		assert_memory_equal(out, back, sizeof(out));
	}
	tls_client_close(client);
	stop(&f);
}

static void last_word_arrives_before_the_end(void **state)
{
	struct fixture f = {0};
	struct tls_client *client = NULL;
	enum tls_step step;
	uint8_t bytes[4];

	(void)state;
	start(&f, &(struct tls_server_config){0});
	assert_int_equal(dial(&f, f.keys.public, &client, &step), OK);
	assert_int_equal(tls_client_send(client, "quit", 4, TIMEOUT_US), OK);
	receive(client, bytes, 4);
	assert_memory_equal(bytes, "quit", 4);
	assert_int_equal(tls_client_receive(client, bytes, 1, &(size_t){0}, TIMEOUT_US), ERR_TRUNCATED);
	assert_int_not_equal(tls_client_send(client, "more", 4, 1000) == OK &&
				     tls_client_receive(client, bytes, 1, &(size_t){0}, TIMEOUT_US) == OK,
			     true);
	tls_client_close(client);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_server_is_talked_to),
		cmocka_unit_test(fake_server_hears_nothing),
		cmocka_unit_test(nobody_there_is_told_apart),
		cmocka_unit_test(slow_strangers_are_closed),
		cmocka_unit_test(garbage_is_closed),
		cmocka_unit_test(connections_are_bounded),
		cmocka_unit_test(a_flood_is_paced_and_all_are_served),
		cmocka_unit_test(bytes_are_bounded),
		cmocka_unit_test(much_goes_both_ways),
		cmocka_unit_test(last_word_arrives_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
