/*
 * The relay of the real server over real sockets: whichever way datagrams come, in trains, one by one, mixed with
 * others' and with what the coordinator behind the same port gets, each goes on once, unchanged and in order.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/server_keys.h"
#include "host.h"
#include "proto/session/leg.h"
#include "proto/session/trust.h"
#include "wire/login.h"

enum { SIZE = 300, PAIRS = 2, NOBODY = 99, COUNT_MAX = 64, RETRY_MS = 50 };

struct world {
	struct host host;
	struct addr relay;
	uint8_t ticket_key[KEY_SIZE], coordinator[KEY_SIZE];
	int legs[2]; /* a socket for each end, of both pairs */
};

static int open_leg(const struct addr *relay)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(relay->port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&to.sin_addr, relay->ip.bytes, 4);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Any ticket that its own coordinator has sealed will do. */
static void bind_leg(struct world *w, uint64_t path_id, uint8_t number)
{
	uint8_t sealed[TICKET_SEALED_SIZE], nonce[12] = {0}, bytes[DATAGRAM_MAX];
	struct ticket ticket = {.path_id = path_id, .not_after_s = clock_wall_s() + 3600};
	struct relay_grant grant = {.name = "relay",
				    .addresses = {.count = 1, .list = {w->relay}},
				    .leg = number,
				    .ticket = {sealed, sizeof(sealed)}};
	struct pollfd p = {.fd = w->legs[number], .events = POLLIN};
	struct time_us until = deadline();
	struct leg leg;
	size_t size;

	ticket_seal(&ticket, w->ticket_key, w->coordinator, nonce, sealed);
	assert_int_equal(leg_init(&leg, path_id, &grant, clock_now()), OK);
	while (!leg_is_bound(&leg)) {
		assert_false(time_reached(clock_now(), until));
		while (leg_output(&leg, clock_now(), bytes, &size))
			assert_int_equal(send(p.fd, bytes, size, 0), (ssize_t)size);
		if (poll(&p, 1, RETRY_MS) == 1) {
			ssize_t n = recv(p.fd, bytes, sizeof(bytes), 0);

			if (n > 0)
				(void)leg_input(&leg, clock_now(), bytes, (size_t)n);
		}
	}
	leg_finish(&leg);
}

static void start_roles(struct world *w, unsigned roles)
{
	char code[JOIN_CODE_MAX], error[SERVER_ERROR_MAX];
	struct server_keys coordinator, relay;
	struct join_code join;

	memset(w, 0, sizeof(*w));
	host_init(&w->host);
	host_start(&w->host, PROGRAM_SERVER, roles, NULL);
	invite(&w->host, "{\"verb\":\"invite\"}", code);
	assert_int_equal(join_code_parse(code, &join), OK);
	w->relay = join.addresses.list[0];
	assert_int_equal(server_keys_open(w->host.dir, "coordinator.key", &coordinator, NULL, error), OK);
	assert_int_equal(server_keys_open(w->host.dir, "relay.key", &relay, NULL, error), OK);
	assert_int_equal(ticket_key(coordinator.dh.secret, relay.dh.public, w->ticket_key), OK);
	memcpy(w->coordinator, coordinator.dh.public, KEY_SIZE);
	for (int i = 0; i < 2; i++)
		w->legs[i] = open_leg(&w->relay);
	for (uint64_t path_id = 1; path_id <= PAIRS; path_id++)
		for (uint8_t number = 0; number < 2; number++)
			bind_leg(w, path_id, number);
}

static void finish(struct world *w)
{
	for (int i = 0; i < 2; i++)
		(void)close(w->legs[i]);
	host_finish(&w->host);
}

/* A packet that tells its place; nobody here can open it, and nobody tries. */
static void make(uint8_t *ret, size_t size, uint8_t type, uint64_t path_id, uint64_t counter)
{
	struct writer w = writer_over(ret, size);

	memset(ret, (int)counter, size);
	header_encode(&(struct header){.type = type, .counter = counter, .path_id = path_id}, &w);
}

/* The next one that arrives at leg 1 is exactly this. */
static void expect(const struct world *w, const uint8_t *bytes, size_t size)
{
	struct pollfd p = {.fd = w->legs[1], .events = POLLIN};
	uint8_t got[DATAGRAM_MAX];

	assert_int_equal(poll(&p, 1, WAIT_S * 1000), 1);
	assert_int_equal(recv(p.fd, got, sizeof(got), 0), (ssize_t)size);
	assert_memory_equal(got, bytes, size);
}

static void expect_nothing_more(const struct world *w)
{
	uint8_t last[SIZE];

	make(last, SIZE, PACKET_SEALED, 1, 255);
	assert_int_equal(send(w->legs[0], last, SIZE, 0), SIZE);
	expect(w, last, SIZE);
}

/* One buffer: two pairs, one that nobody knows, one for the coordinator, and a short last one. */
static void check_mixed_train(struct world *w)
{
	static const uint64_t paths[] = {1, 1, 2, 2, NOBODY, 1, 1, 2};
	enum { COUNT = sizeof(paths) / sizeof(*paths), LAST = 70, ALIEN = 6 };
	uint8_t train[COUNT * SIZE];
	int segment = SIZE;

	for (size_t i = 0; i < COUNT; i++)
		make(train + i * SIZE, i == COUNT - 1 ? LAST : SIZE,
		     i == ALIEN ? PACKET_REGISTRATION_REQUEST : PACKET_SEALED, paths[i], i == ALIEN ? 0 : i);
	assert_int_equal(setsockopt(w->legs[0], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	assert_int_equal(send(w->legs[0], train, sizeof(train) - SIZE + LAST, 0), sizeof(train) - SIZE + LAST);
	segment = 0;
	assert_int_equal(setsockopt(w->legs[0], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	for (size_t i = 0; i < COUNT; i++)
		if (paths[i] != NOBODY && i != ALIEN)
			expect(w, train + i * SIZE, i == COUNT - 1 ? LAST : SIZE);
	expect_nothing_more(w);
}

/*
 * One by one: of one pair or of two in turn, of one length or of several, with a stranger's path in between. The
 * server stands still meanwhile, so that it finds them all at once.
 */
static void check_singles(struct world *w, unsigned pairs, unsigned lengths)
{
	static uint8_t packets[COUNT_MAX][SIZE];
	size_t sizes[COUNT_MAX];

	assert_int_equal(kill(w->host.pid, SIGSTOP), 0);
	for (unsigned i = 0; i < COUNT_MAX; i++) {
		sizes[i] = SIZE - i % lengths * 50;
		make(packets[i], sizes[i], PACKET_SEALED, i == COUNT_MAX / 2 ? NOBODY : 1 + i % pairs, i);
		assert_int_equal(send(w->legs[0], packets[i], sizes[i], 0), (ssize_t)sizes[i]);
	}
	assert_int_equal(kill(w->host.pid, SIGCONT), 0);
	for (unsigned i = 0; i < COUNT_MAX; i++)
		if (i != COUNT_MAX / 2)
			expect(w, packets[i], sizes[i]);
	expect_nothing_more(w);
}

static void test_what_comes_goes_on(void **state)
{
	struct world w;

	(void)state;
	start_roles(&w, SERVER_ACCOUNT | SERVER_COORDINATOR | SERVER_RELAY);
	check_mixed_train(&w);
	for (unsigned pairs = 1; pairs <= PAIRS; pairs++)
		for (unsigned lengths = 1; lengths <= 3; lengths++)
			check_singles(&w, pairs, lengths);
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_comes_goes_on),
	};

	if (!crypto_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
