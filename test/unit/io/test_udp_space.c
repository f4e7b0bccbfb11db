/* test_udp_space.c: what needs a network of its own: small MTUs, several addresses, marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "io/udp.h"
#include "net_space.h"

enum { SKIPPED = 77, WAIT_MS = 10000, MARK = 7367 };

static struct udp *from, *to;

static int open_both(void **state)
{
	struct udp_params params = {.mark = MARK};

	(void)state;
	net_space_add();
	assert_true(net_space_run("ip addr add 10.9.0.1/32 dev lo && ip addr add 10.9.0.2/32 dev lo && "
				  "ip addr add fd09::1/128 dev lo nodad && ip addr add fd09::2/128 dev lo nodad"));
	/* An IPv6 address is no source before the kernel's worker has looked at it, also without duplicate detection.
	 */
	assert_true(
		net_space_run("timeout 10 sh -c 'while ip -6 addr show dev lo tentative | grep -q fd09; do :; done'"));
	assert_int_equal(udp_open(&params, &from), OK);
	assert_int_equal(udp_open(&params, &to), OK);
	return 0;
}

static int close_both(void **state)
{
	(void)state;
	udp_close(from);
	udp_close(to);
	return 0;
}

static struct datagram make(const char *local, const char *remote, size_t size, uint16_t segment_size)
{
	static const uint8_t bytes[140000];
	struct datagram datagram = {.bytes = bytes, .size = size, .segment_size = segment_size};

	if (local)
		assert_int_equal(ip_parse(local, &datagram.route.local.ip), OK);
	assert_int_equal(ip_parse(remote, &datagram.route.remote.ip), OK);
	datagram.route.remote.port = udp_port(to);
	return datagram;
}

static struct udp_batch waiting; /* what came along with the datagram asked for before */
static size_t taken;

/* The next datagram that arrives has this size and came this way. */
static void expect(uint8_t family, size_t size, const char *local, const char *remote)
{
	struct pollfd poll_fd = {.fd = udp_fd(to, family), .events = POLLIN};
	const struct datagram *datagram;
	char text[ADDR_TEXT_MAX];

	if (taken == waiting.count) {
		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		udp_receive(to, family, &waiting);
		taken = 0;
	}
	assert_true(taken < waiting.count);
	datagram = &waiting.datagrams[taken++];
	assert_int_equal(datagram->size, size);
	assert_string_equal(ip_format(&datagram->route.local.ip, text), local);
	assert_string_equal(ip_format(&datagram->route.remote.ip, text), remote);
}

static void test_source(void **state)
{
	struct datagram two[2] = {make("10.9.0.2", "10.9.0.1", 100, 0), make("fd09::2", "fd09::1", 3000, 1000)};
	struct udp_counters counters;
	struct udp_result result;

	(void)state;
	udp_send(from, two, 2, &result);
	expect(4, 100, "10.9.0.1", "10.9.0.2");
	expect(6, 3000, "fd09::1", "fd09::2");
	two[0].route.ifindex = 4711; /* an interface that went away */
	two[1].route.ifindex = 1;
	udp_send(from, two, 2, &result);
	expect(6, 3000, "fd09::1", "fd09::2");
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_unreachable, 1);
	assert_int_equal(counters.segment_fallbacks, 0);
}

/* Nothing is fragmented: what does not fit is reported, alone or as a train, and the rest goes out. */
static void check_mtu(uint8_t family, const char *remote, const char *source)
{
	struct datagram four[4] = {make(NULL, remote, 1400, 0), make(NULL, remote, 500, 0),
				   make(NULL, remote, 140000, 1400), make(NULL, remote, 6000, 1000)};
	struct udp_counters before, after;
	struct udp_result result;

	udp_get_counters(from, &before);
	udp_send(from, four, 4, &result);
	expect(family, 500, remote, source);
	expect(family, 6000, remote, source);
	assert_int_equal(result.too_big, 2);
	assert_int_equal(result.too_big_index[0], 0);
	assert_int_equal(result.too_big_index[1], 2);
	udp_get_counters(from, &after);
	assert_int_equal(after.sent - before.sent, 7);
	assert_int_equal(after.send_too_big - before.send_too_big, 2);
	assert_int_equal(after.segment_fallbacks, 0); /* trains are still good */
}

static void test_mtu(void **state)
{
	(void)state;
	assert_true(net_space_run("ip link set dev lo mtu 1280"));
	check_mtu(4, "10.9.0.1", "10.9.0.1");
	check_mtu(6, "fd09::1", "fd09::1");
}

static void test_mark(void **state)
{
	uint32_t mark = 0;
	socklen_t size = sizeof(mark);

	(void)state;
	for (uint8_t family = 4; family <= 6; family += 2) {
		assert_int_equal(getsockopt(udp_fd(from, family), SOL_SOCKET, SO_MARK, &mark, &size), 0);
		assert_int_equal(mark, MARK);
	}
}

/* A destination that a packet filter or a route forbids does not hold up the next one. */
static void test_prohibited(void **state)
{
	struct datagram three[3] = {make(NULL, "10.9.0.77", 100, 0), make(NULL, "fd09::77", 100, 0),
				    make(NULL, "10.9.0.1", 100, 0)};
	struct udp_counters counters;
	struct udp_result result;

	(void)state;
	assert_true(net_space_run("ip route add prohibit 10.9.0.77/32"));
	udp_send(from, three, 3, &result);
	expect(4, 100, "10.9.0.1", "10.9.0.1");
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_unreachable, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_source, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_mtu, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_mark, open_both, close_both),
		cmocka_unit_test_setup_teardown(test_prohibited, open_both, close_both),
	};

	if (!net_space_enter()) {
		fprintf(stderr, "no user and network namespaces here: skipped\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
