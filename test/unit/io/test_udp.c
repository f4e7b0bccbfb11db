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

#include "io/udp_socket.h"

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

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

/* One by itself is refused for the same reasons, except for the times. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (!kernel.refuse_trains || !is_train((struct msghdr *)message))
		return __real_sendmsg(fd, message, flags);
	errno = kernel.refuse_trains;
	return -1;
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

/* Datagrams one by one for two that take turns: a message for each, in order; a short one ends its train. */
static void test_joined(void **state)
{
	enum { EACH = 6, SHORT = 77 };
	static uint8_t bytes[EACH * SEGMENT + SHORT];
	struct udp_params plain = {0};
	struct udp *from = open_udp(&plain), *a = open_udp(&plain), *b = open_udp(&plain);
	struct datagram list[2 * EACH + 1];
	struct udp_counters counters;
	struct udp_result result;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	fill(bytes, sizeof(bytes), 4);
	for (size_t i = 0; i < EACH; i++) {
		list[2 * i] = train(4, a, bytes + i * SEGMENT, SEGMENT);
		list[2 * i + 1] = train(4, b, bytes + i * SEGMENT, SEGMENT);
		list[2 * i + 1].segment_size = 0;
	}
	list[2 * EACH] = train(4, a, bytes + EACH * SEGMENT, SHORT);
	udp_send(from, list, 2 * EACH + 1, &result);
	assert_int_equal(expect(a, 4, sizeof(bytes), 4, udp_port(from)), 1);
	assert_int_equal(expect(b, 4, EACH * SEGMENT, 4, udp_port(from)), 1);
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_calls, 1);
	assert_int_equal(counters.sent, 2 * EACH + 1);
	assert_int_equal(counters.sent_bytes, sizeof(bytes) + EACH * SEGMENT);
	assert_int_equal(counters.send_joined, EACH + EACH - 1);
	list[1] = list[2 * EACH];
	udp_send(from, list, 3, &result);
	udp_get_counters(from, &counters);
	assert_int_equal(counters.send_joined, EACH + EACH);
	udp_close(from);
	udp_close(a);
	udp_close(b);
}

/* Where one of the first `count` remotes is; ports and addresses that often meet in a hash are among them. */
static struct addr some_remote(size_t number)
{
	return (struct addr){ip_v4(10, 0, (uint8_t)(number % 3), (uint8_t)(number / 3)), (uint16_t)(7000 + number % 5)};
}

/* In the order in which chains leave, each remote's come as they stood, and each chain is one that a kernel can cut. */
static void check_chains(const struct datagram *list, size_t count)
{
	size_t last[64] = {0}, seen = 0;
	struct udp_chains chains;

	udp_find_chains(list, count, UDP_SEGMENTS, &chains);
	for (size_t first = 0; first < count; first++) {
		size_t segment = list[first].segment_size ? list[first].segment_size : list[first].size, segments = 0;

		for (size_t i = first; chains.is_first[first] && i < UDP_JOIN_MAX; i = chains.next[i], seen++) {
			const uint8_t *ip = list[i].route.remote.ip.bytes;
			size_t remote = (size_t)ip[3] * 3 + ip[2];

			assert_true(addr_equal(&list[i].route.remote, &list[first].route.remote));
			assert_true(last[remote] <= i + 1);
			last[remote] = i + 1;
			assert_true(i == first || segments * segment <= UDP_TRAIN_BYTES);
			assert_true(chains.next[i] == UDP_JOIN_MAX || list[i].size % segment == 0);
			segments += (list[i].size + segment - 1) / (segment ? segment : 1);
		}
		assert_true(segments <= UDP_SEGMENTS || chains.next[first] == UDP_JOIN_MAX);
	}
	assert_int_equal(seen, count);
}

static void test_chains(void **state)
{
	enum { REMOTES = 60, RUNS = 2000 };
	static const uint8_t bytes[1];
	struct datagram list[UDP_JOIN_MAX];
	struct udp_chains chains;
	uint64_t random = 3;

	(void)state;
	for (unsigned run = 0; run < RUNS; run++) {
		size_t count = 1 + run % UDP_JOIN_MAX, remotes = 1 + run % REMOTES;

		for (size_t i = 0; i < count; i++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			list[i] = (struct datagram){.route.remote = some_remote((random >> 33) % remotes),
						    .bytes = bytes};
			list[i].size = (random >> 50) % 3 ? 100 : (random >> 40) % 70000;
			list[i].segment_size = (random >> 55) % 2 ? 100 : 0;
		}
		check_chains(list, count);
	}
	/* Any two that take turns make two chains, whatever their hashes. */
	for (size_t one = 0; one < REMOTES; one++)
		for (size_t other = 0; other < one; other++) {
			for (size_t i = 0; i < 8; i++)
				list[i] = (struct datagram){
					.route.remote = some_remote(i % 2 ? one : other), .bytes = bytes, .size = 100};
			udp_find_chains(list, 8, UDP_SEGMENTS, &chains);
			for (size_t i = 0; i < 8; i++)
				assert_int_equal(chains.is_first[i], i < 2);
		}
}

/* What must not be joined: behind a short one, longer ones, other routes, more than a message holds. */
static void test_not_joined(void **state)
{
	static const struct {
		size_t sizes[2];
		uint16_t segments[2];
		uint32_t ifindex[2];
		uint64_t joined;
	} cases[] = {
		{{SEGMENT, SEGMENT}, {0, 0}, {0, 0}, 1},
		{{100, SEGMENT}, {0, 0}, {0, 0}, 0},
		{{SEGMENT + 100, SEGMENT}, {SEGMENT, 0}, {0, 0}, 0},
		{{SEGMENT, 2 * SEGMENT}, {SEGMENT, SEGMENT}, {0, 0}, 1},
		{{SEGMENT, 2 * SEGMENT}, {0, SEGMENT / 2}, {0, 0}, 0},
		{{SEGMENT, SEGMENT}, {0, 0}, {0, 1}, 0},
		{{53 * SEGMENT, SEGMENT}, {SEGMENT, 0}, {0, 0}, 1},
		{{54 * SEGMENT, SEGMENT}, {SEGMENT, 0}, {0, 0}, 0}, /* 65,450 bytes */
		{{63 * 100, 100}, {100, 0}, {0, 0}, 1},
		{{64 * 100, 100}, {100, 0}, {0, 0}, 0},
	};
	static uint8_t bytes[54 * SEGMENT];
	struct udp_params plain = {.short_trains = true};

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct udp *from = open_udp(&plain), *to = open_udp(&plain);
		struct udp_counters counters;
		struct udp_result result;
		struct datagram two[2];

		for (size_t k = 0; k < 2; k++) {
			two[k] = train(4, to, bytes, cases[i].sizes[k]);
			two[k].segment_size = cases[i].segments[k];
			two[k].route.ifindex = cases[i].ifindex[k];
		}
		udp_send(from, two, 2, &result);
		udp_get_counters(from, &counters);
		assert_int_equal(counters.send_joined, cases[i].joined);
		assert_int_equal(counters.sent_bytes, cases[i].sizes[0] + cases[i].sizes[1]);
		udp_close(from);
		udp_close(to);
	}
}

/* What was joined is sent apart when the kernel refuses it: nothing is lost, and trains are given up only for EIO. */
static void test_joined_refused(void **state)
{
	enum { EACH = 5 };
	static const int reasons[] = {EIO, EINVAL, EPERM, EMSGSIZE};
	static uint8_t bytes[EACH * SEGMENT];
	struct udp_params plain = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		struct udp *from = open_udp(&plain), *to = open_udp(&plain);
		struct datagram list[EACH];
		struct udp_counters counters;
		struct udp_result result;

		memset(&kernel, 0, sizeof(kernel));
		kernel.refuse_trains = reasons[i];
		fill(bytes, sizeof(bytes), 8);
		for (size_t k = 0; k < EACH; k++)
			list[k] = train(4, to, bytes + k * SEGMENT, SEGMENT);
		udp_send(from, list, EACH, &result);
		expect(to, 4, sizeof(bytes), 8, udp_port(from));
		udp_get_counters(from, &counters);
		assert_int_equal(counters.sent, EACH);
		assert_int_equal(counters.send_joined, 0);
		assert_int_equal(counters.send_too_big + counters.send_unreachable, 0);
		assert_int_equal(counters.segment_fallbacks, reasons[i] == EIO || reasons[i] == EINVAL);
		udp_close(from);
		udp_close(to);
	}
	memset(&kernel, 0, sizeof(kernel));
}

/* Short messages are taken many at once, long ones few; the last batch says so. */
static void test_depth(void **state)
{
	enum { SHORT = 200, LONG = 50 * SEGMENT };
	static uint8_t bytes[LONG];
	struct udp_params plain = {0}, no_segment = {.no_segment = true};
	struct udp *from = open_udp(&no_segment), *to = open_udp(&plain), *trains = open_udp(&plain);
	struct pollfd poll_fd = {.fd = udp_fd(to, 4), .events = POLLIN};
	struct datagram many = train(4, to, bytes, SHORT * (UDP_BATCH + 10)), one;
	struct udp_result result;
	struct udp_batch batch;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	many.segment_size = SHORT;
	udp_send(from, &many, 1, &result);
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	udp_receive(to, 4, &batch);
	assert_int_equal(batch.count, 8);
	assert_false(batch.is_last);
	udp_receive(to, 4, &batch);
	assert_int_equal(batch.count, UDP_BATCH);
	assert_false(batch.is_last);
	udp_receive(to, 4, &batch);
	assert_int_equal(batch.count, 2);
	assert_true(batch.is_last);
	for (int i = 0; i < 20; i++) {
		one = train(4, to, bytes, LONG);
		udp_send(trains, &one, 1, &result);
	}
	udp_receive(to, 4, &batch);
	assert_int_equal(batch.count, 20);
	for (int i = 0; i < 20; i++) {
		one = train(4, to, bytes, LONG);
		udp_send(trains, &one, 1, &result);
	}
	udp_receive(to, 4, &batch);
	assert_int_equal(batch.count, 8);
	udp_close(from);
	udp_close(to);
	udp_close(trains);
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
	kernel.refuse_errno = EAGAIN;
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

/* How many datagrams wait there, of which ports. */
static size_t take(struct udp *udp, size_t counts[], const struct udp *const from[], size_t from_count)
{
	struct udp_batch batch;
	size_t sum = 0;

	for (udp_receive(udp, 4, &batch); batch.count > 0; udp_receive(udp, 4, &batch))
		for (size_t i = 0; i < batch.count; i++, sum++)
			for (size_t k = 0; k < from_count; k++)
				counts[k] += batch.datagrams[i].route.remote.port == udp_port(from[k]);
	return sum;
}

/* Two that receive at one port: the kernel gives each remote to one of them. Nobody else gets the port. */
static void test_beside(void **state)
{
	enum { REMOTES = 24, TIMES = 3 };
	static uint8_t bytes[SEGMENT];
	struct udp_params params = {.no_gro = true}, same;
	struct udp *remotes[REMOTES], *first = open_udp(&params), *second, *stranger;
	struct datagram one = train(4, first, bytes, sizeof(bytes));
	size_t counts[2][REMOTES] = {0}, sums[2];
	struct udp_result result;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	assert_int_equal(udp_open_beside(first, true, true, &second), OK);
	assert_int_equal(udp_port(second), udp_port(first));
	same = (struct udp_params){.local.port = udp_port(first)};
	assert_int_equal(udp_open(&same, &stranger), ERR_EXISTS);
	for (int i = 0; i < REMOTES; i++) {
		remotes[i] = open_udp(&params);
		for (int k = 0; k < TIMES; k++)
			udp_send(remotes[i], &one, 1, &result);
	}
	sums[0] = take(first, counts[0], (const struct udp *const *)remotes, REMOTES);
	sums[1] = take(second, counts[1], (const struct udp *const *)remotes, REMOTES);
	assert_int_equal(sums[0] + sums[1], REMOTES * TIMES);
	assert_true(sums[0] > 0 && sums[1] > 0);
	for (int i = 0; i < REMOTES; i++)
		assert_true(counts[0][i] == 0 || counts[1][i] == 0);
	one.route.remote = loopback(4, udp_port(remotes[0]));
	udp_send(second, &one, 1, &result);
	expect(remotes[0], 4, sizeof(bytes), 0, udp_port(first));
	for (int i = 0; i < REMOTES; i++)
		udp_close(remotes[i]);
	udp_close(second);
	udp_close(first);
}

/* A handle that only sends, through the same socket; ports beside the first one are not its affair. */
static void test_beside_sends(void **state)
{
	static uint8_t bytes[SEGMENT];
	struct udp_params plain = {0};
	struct udp *first = open_udp(&plain), *other = open_udp(&plain), *beside;
	struct datagram one = train(4, other, bytes, sizeof(bytes));
	struct udp_counters counters;
	struct udp_result result;
	uint16_t port;

	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	assert_int_equal(udp_add_port(first, 0, &port), OK);
	assert_int_equal(udp_open_beside(first, false, false, &beside), OK);
	udp_send(beside, &one, 1, &result);
	expect(other, 4, sizeof(bytes), 0, udp_port(first));
	one.route.local.port = port;
	udp_send(beside, &one, 1, &result);
	udp_get_counters(beside, &counters);
	assert_int_equal(counters.send_unreachable, 1);
	udp_close(beside);
	one.route.local.port = udp_port(first);
	udp_send(first, &one, 1, &result);
	expect(other, 4, sizeof(bytes), 0, udp_port(first));
	udp_close(first);
	udp_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trains),	       cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_source_gone),    cmocka_unit_test(test_bad_destination),
		cmocka_unit_test(test_full),	       cmocka_unit_test(test_ports),
		cmocka_unit_test(test_families_apart), cmocka_unit_test(test_more_ports),
		cmocka_unit_test(test_joined),	       cmocka_unit_test(test_not_joined),
		cmocka_unit_test(test_joined_refused), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_chains),	       cmocka_unit_test(test_beside),
		cmocka_unit_test(test_beside_sends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
