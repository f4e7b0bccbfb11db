/* test_udp.c: trains over loopback in both families, and what happens when the kernel refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/udp.h"

enum { SEGMENT = 1200, UDP_SEGMENT_OPTION = 103, WAIT_MS = 5000 };

/* What the next sendmmsg calls do instead of sending. */
static struct {
	int refuse_trains; /* errno for messages with UDP_SEGMENT, and for the single ones when refuse_port is 0 and not
			      matched */
	int refuse_times;  /* calls that fail with refuse_errno */
	int refuse_errno;
	uint16_t refuse_port; /* destination that always fails with refuse_errno */
} kernel;

int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

static bool is_train(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT_OPTION)
			return true;
	return false;
}

static uint16_t port_of(const struct msghdr *message)
{
	struct sockaddr_in name;

	memcpy(&name, message->msg_name, sizeof(name)); /* the port is at the same place in both families */
	return ntohs(name.sin_port);
}

/* As the kernel does: what stands before the first refused message is sent. */
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (kernel.refuse_times > 0) {
		kernel.refuse_times--;
		errno = kernel.refuse_errno;
		return -1;
	}
	for (unsigned i = 0; i < count; i++) {
		struct msghdr *message = &messages[i].msg_hdr;
		bool refused_port = kernel.refuse_port && port_of(message) == kernel.refuse_port;
		bool refused_train = kernel.refuse_trains && is_train(message);

		if (!refused_port && !refused_train)
			continue;
		if (i > 0)
			return __real_sendmmsg(fd, messages, i, flags);
		errno = refused_port ? kernel.refuse_errno : kernel.refuse_trains;
		return -1;
	}
	return __real_sendmmsg(fd, messages, count, flags);
}

static struct addr loopback(uint8_t family, uint16_t port)
{
	static const uint8_t one6[16] = {[15] = 1};

	return (struct addr){family == 4 ? ip_v4(127, 0, 0, 1) : ip_from_bytes(6, one6), port};
}

static struct udp *open_udp(const struct udp_params *params)
{
	struct udp *udp;

	assert_int_equal(udp_open(params, &udp), OK);
	return udp;
}

/* Each segment holds its number everywhere. */
static void fill(uint8_t *bytes, size_t size, uint8_t first)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(first + i / SEGMENT);
}

/* Receives until `size` bytes came; checks contents, order and route of each; returns the number of trains. */
static size_t expect(struct udp *udp, uint8_t family, size_t size, uint8_t first, uint16_t remote_port)
{
	struct udp_batch batch;
	size_t at = 0, trains = 0;

	while (at < size) {
		struct pollfd poll_fd = {.fd = udp_fd(udp, family), .events = POLLIN};

		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		udp_receive(udp, family, &batch);
		for (size_t i = 0; i < batch.count; i++) {
			const struct datagram *datagram = &batch.datagrams[i];
			struct addr local = loopback(family, udp_port(udp)), remote = loopback(family, remote_port);

			assert_true(addr_equal(&datagram->route.local, &local));
			assert_true(addr_equal(&datagram->route.remote, &remote));
			assert_int_equal(datagram->route.ifindex, 1);
			assert_true(datagram->segment_size == 0 || datagram->segment_size == SEGMENT);
			for (size_t k = 0; k < datagram->size; k++)
				assert_int_equal(datagram->bytes[k], (uint8_t)(first + (at + k) / SEGMENT));
			at += datagram->size;
			trains++;
		}
	}
	assert_int_equal(at, size);
	return trains;
}

static struct datagram train(uint8_t family, const struct udp *to, const uint8_t *bytes, size_t size)
{
	return (struct datagram){
		.route.remote = loopback(family, udp_port(to)), .bytes = bytes, .size = size, .segment_size = SEGMENT};
}

static void send_train(uint8_t family, const struct udp_params *sender, const struct udp_params *receiver,
		       bool is_joined)
{
	static uint8_t bytes[100 * SEGMENT + 77];
	struct udp *from = open_udp(sender), *to = open_udp(receiver);
	struct udp_counters counters;
	struct udp_result result;
	struct datagram datagram = train(family, to, bytes, sizeof(bytes));
	size_t trains;

	fill(bytes, sizeof(bytes), 3);
	datagram.route.local = loopback(family, 0);
	datagram.route.ifindex = 1;
	udp_send(from, &datagram, 1, &result);
	assert_int_equal(result.too_big, 0);
	trains = expect(to, family, sizeof(bytes), 3, udp_port(from));
	if (is_joined)
		assert_true(trains <= 10);
	else
		assert_int_equal(trains, 101);
	udp_get_counters(from, &counters);
	assert_int_equal(counters.sent, 101);
	assert_int_equal(counters.sent_bytes, sizeof(bytes));
	udp_get_counters(to, &counters);
	assert_int_equal(counters.received, 101);
	udp_close(from);
	udp_close(to);
}

static void test_trains(void **state)
{
	struct udp_params plain = {0}, no_segment = {.no_segment = true}, no_gro = {.no_gro = true};

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	for (uint8_t family = 4; family <= 6; family += 2) {
		send_train(family, &plain, &plain, true);
		send_train(family, &no_segment, &no_gro, false);
		send_train(family, &plain, &no_gro, false);
	}
}

/* The kernel takes no trains at all: nothing is lost or reordered, and it is asked only once. */
static void test_fallback(void **state)
{
	static const int reasons[] = {EIO, EINVAL};
	static uint8_t bytes[40 * SEGMENT];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct udp_params plain = {0};
		struct udp *from = open_udp(&plain), *to = open_udp(&plain);
		struct datagram two[2] = {train(4, to, bytes, 20 * SEGMENT),
					  train(4, to, bytes + 20 * SEGMENT, 20 * SEGMENT)};
		struct udp_counters before, after;
		struct udp_result result;

		memset(&kernel, 0, sizeof(kernel));
		kernel.refuse_trains = reasons[i];
		fill(bytes, sizeof(bytes), 9);
		udp_send(from, two, 2, &result);
		expect(to, 4, sizeof(bytes), 9, udp_port(from));
		udp_get_counters(from, &before);
		assert_int_equal(before.segment_fallbacks, 1);
		assert_int_equal(before.sent, 40);
		udp_send(from, two, 2, &result);
		expect(to, 4, sizeof(bytes), 9, udp_port(from));
		udp_get_counters(from, &after);
		assert_int_equal(after.segment_fallbacks, 1);
		assert_int_equal(after.send_calls - before.send_calls, 2); /* 40 messages, 32 each */
		udp_close(from);
		udp_close(to);
	}
	memset(&kernel, 0, sizeof(kernel));
}

/* A source address that is not ours gives EINVAL too: skipped, trains stay, the next destination is served. */
static void test_source_gone(void **state)
{
	static uint8_t bytes[4 * SEGMENT];
	struct udp_params plain = {0};
	struct udp *from = open_udp(&plain), *to = open_udp(&plain);
	struct datagram two[2] = {train(4, to, bytes, sizeof(bytes)), train(4, to, bytes, sizeof(bytes))};
	struct udp_counters counters;
	struct udp_result result;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	fill(bytes, sizeof(bytes), 1);
	two[0].route.local.ip = ip_v4(192, 0, 2, 77);
	udp_send(from, two, 2, &result);
	expect(to, 4, sizeof(bytes), 1, udp_port(from));
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_unreachable, 1);
	assert_int_equal(counters.segment_fallbacks, 0);
	assert_int_equal(counters.sent, 4);
	udp_close(from);
	udp_close(to);
}

static void test_bad_destination(void **state)
{
	static const int reasons[] = {EPERM, ENETUNREACH, EHOSTUNREACH, EMSGSIZE};
	static uint8_t bytes[2 * SEGMENT];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct udp_params plain = {0};
		struct udp *from = open_udp(&plain), *to = open_udp(&plain), *bad = open_udp(&plain);
		struct datagram three[3] = {train(6, to, bytes, SEGMENT), train(6, bad, bytes, sizeof(bytes)),
					    train(6, to, bytes + SEGMENT, SEGMENT)};
		struct udp_counters counters;
		struct udp_result result;

		memset(&kernel, 0, sizeof(kernel));
		kernel.refuse_port = udp_port(bad);
		kernel.refuse_errno = reasons[i];
		fill(bytes, sizeof(bytes), 5);
		udp_send(from, three, 3, &result);
		expect(to, 6, sizeof(bytes), 5, udp_port(from));
		udp_get_counters(from, &counters);
		assert_int_equal(counters.send_unreachable, reasons[i] == EMSGSIZE ? 0 : 1);
		assert_int_equal(counters.send_too_big, reasons[i] == EMSGSIZE ? 1 : 0);
		assert_int_equal(result.too_big, reasons[i] == EMSGSIZE ? 1 : 0);
		if (result.too_big)
			assert_int_equal(result.too_big_index[0], 1);
		udp_close(from);
		udp_close(to);
		udp_close(bad);
	}
	memset(&kernel, 0, sizeof(kernel));
}

/* A full queue is waited for, but not for ever. */
static void test_full(void **state)
{
	static uint8_t bytes[3 * SEGMENT];
	struct udp_params plain = {0};
	struct udp *from = open_udp(&plain), *to = open_udp(&plain);
	struct datagram one = train(4, to, bytes, sizeof(bytes));
	struct udp_counters counters;
	struct udp_result result;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.refuse_times = 3;
	kernel.refuse_errno = ENOBUFS;
	fill(bytes, sizeof(bytes), 2);
	udp_send(from, &one, 1, &result);
	expect(to, 4, sizeof(bytes), 2, udp_port(from));
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_waits, 3);
	assert_int_equal(counters.send_dropped_full, 0);

	kernel.refuse_times = 1 << 30;
	udp_send(from, &one, 1, &result);
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_dropped_full, 3);
	assert_int_equal(counters.sent, 3);
	memset(&kernel, 0, sizeof(kernel));
	udp_close(from);
	udp_close(to);
}

static void test_ports(void **state)
{
	struct udp_params params = {0};
	struct udp *first = open_udp(&params), *second = NULL;
	struct udp_batch batch;

	(void)state;
	assert_int_not_equal(udp_port(first), 0);
	params.local.port = udp_port(first);
	assert_int_equal(udp_open(&params, &second), ERR_EXISTS);
	assert_null(second);
	params.port_is_wish = true;
	second = open_udp(&params);
	assert_int_not_equal(udp_port(second), udp_port(first));
	udp_close(second);

	params = (struct udp_params){.local = loopback(4, 0)};
	second = open_udp(&params);
	assert_true(udp_fd(second, 4) >= 0);
	assert_int_equal(udp_fd(second, 6), -1);
	udp_receive(second, 6, &batch);
	assert_int_equal(batch.count, 0);
	udp_receive(second, 4, &batch);
	assert_int_equal(batch.count, 0);
	udp_close(second);
	udp_close(first);
	udp_close(NULL);
}

/* An IPv4 datagram never shows up as ::ffff:127.0.0.1, and an empty one not at all. */
static void test_families_apart(void **state)
{
	struct udp_params plain = {0};
	struct udp *from = open_udp(&plain), *to = open_udp(&plain);
	struct datagram empty = {.route.remote = loopback(4, udp_port(to)), .bytes = (const uint8_t *)"", .size = 0};
	struct udp_counters counters;
	struct udp_result result;
	struct udp_batch batch;
	struct pollfd poll_fd = {.fd = udp_fd(to, 4), .events = POLLIN};

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	udp_send(from, &empty, 1, &result);
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	udp_receive(to, 6, &batch);
	assert_int_equal(batch.count, 0);
	udp_receive(to, 4, &batch);
	assert_int_equal(batch.count, 0);
	udp_get_counters(to, &counters);
	assert_int_equal(counters.receive_malformed, 1);
	udp_close(from);
	udp_close(to);
}

/* Ports beside the first: each sends from itself and says where something came in. */
static void test_more_ports(void **state)
{
	static uint8_t bytes[SEGMENT];
	struct udp_params plain = {0};
	struct udp *many = open_udp(&plain), *other = open_udp(&plain);
	struct datagram one = train(4, other, bytes, sizeof(bytes));
	struct pollfd poll_fd = {.fd = udp_more_fd(many), .events = POLLIN};
	struct udp_counters counters;
	struct udp_result result;
	struct udp_batch batch;
	uint16_t ports[3], taken;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	for (int i = 0; i < 3; i++)
		assert_int_equal(udp_add_port(many, 0, &ports[i]), OK);
	assert_int_equal(udp_add_port(many, ports[1], &taken), ERR_EXISTS);
	one.route.local.port = ports[1];
	udp_send(many, &one, 1, &result);
	expect(other, 4, sizeof(bytes), 0, ports[1]);
	one.route = (struct route){.remote = loopback(4, ports[2])};
	udp_send(other, &one, 1, &result);
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	udp_receive_more(many, &batch);
	assert_int_equal(batch.count, 1);
	assert_int_equal(batch.datagrams[0].route.local.port, ports[2]);
	assert_int_equal(batch.datagrams[0].route.remote.port, udp_port(other));
	udp_remove_port(many, ports[1]);
	one.route = (struct route){.local.port = ports[1], .remote = loopback(4, udp_port(other))};
	udp_send(many, &one, 1, &result);
	udp_get_counters(many, &counters);
	assert_int_equal(counters.send_unreachable, 1);
	udp_close(many);
	udp_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trains),	       cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_source_gone),    cmocka_unit_test(test_bad_destination),
		cmocka_unit_test(test_full),	       cmocka_unit_test(test_ports),
		cmocka_unit_test(test_families_apart), cmocka_unit_test(test_more_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
