/*
 * test_udp_fallback.c: kernels that lack something: no UDP_SEGMENT, 64 segments, no UDP_GRO, a GRO that does not say
 * how to cut, no memory for a train. Whatever happens, the segments that arrive are those that were sent, in order,
 * none twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "io/udp.h"

enum { OPTION_SEGMENT = 103, OPTION_GRO = 104, WAIT_MS = 5000, SIZE = 200, MOST = 400, ASK_AGAIN = 16384 };

/* What the kernel is like; all zero: the one that runs this test. */
static struct {
	bool lacks_segment, lacks_gro; /* the socket options */
	int trains_errno;	       /* for each message with UDP_SEGMENT */
	size_t segments_max;	       /* longer trains: EINVAL */
	size_t memory;		       /* there is none for longer messages: ENOBUFS */
	unsigned full_from, full_to;   /* messages so many since the start of the test find the queue full */
	unsigned messages;
	int full_errno;
	bool is_mute;	   /* never says how to cut what it has joined */
	bool cuts_control; /* nor has room for it */
} kernel;

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __real_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);
int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout);

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	if (level == IPPROTO_UDP &&
	    ((name == OPTION_SEGMENT && kernel.lacks_segment) || (name == OPTION_GRO && kernel.lacks_gro))) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return __real_setsockopt(fd, level, name, value, size);
}

static size_t segment_of(const struct msghdr *message)
{
	struct msghdr copy = *message;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c; c = CMSG_NXTHDR(&copy, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == OPTION_SEGMENT) {
			uint16_t size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return size;
		}
	return 0;
}

/* 0, or why the kernel refuses. */
static int refusal(const struct msghdr *message)
{
	size_t size = 0, segment = segment_of(message);
	unsigned number = kernel.messages++;

	for (size_t i = 0; i < message->msg_iovlen; i++)
		size += message->msg_iov[i].iov_len;
	if (number >= kernel.full_from && number < kernel.full_to)
		return kernel.full_errno;
	if (kernel.memory && size > kernel.memory)
		return ENOBUFS;
	if (segment && kernel.lacks_segment)
		return EINVAL; /* an unknown control message */
	if (segment && kernel.trains_errno)
		return kernel.trains_errno;
	if (segment && kernel.segments_max && size > segment * kernel.segments_max)
		return EINVAL;
	return 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	int refused = refusal(message);

	if (refused == 0)
		return __real_sendmsg(fd, message, flags);
	errno = refused;
	return -1;
}

/* As the kernel does: an error is told only when nothing was sent. */
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	unsigned sent = 0;

	while (sent < count && __wrap_sendmsg(fd, &messages[sent].msg_hdr, flags) >= 0)
		sent++;
	return sent > 0 ? (int)sent : -1;
}

static void strip(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == OPTION_GRO) {
			if (kernel.is_mute || kernel.cuts_control)
				c->cmsg_type = 0;
			if (kernel.cuts_control)
				message->msg_flags |= MSG_CTRUNC;
		}
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t size = __real_recvmsg(fd, message, flags);

	if (size >= 0)
		strip(message);
	return size;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	int got = __real_recvmmsg(fd, messages, count, flags, timeout);

	for (int i = 0; i < got; i++)
		strip(&messages[i].msg_hdr);
	return got;
}

/* Two sockets, and what has arrived at the second. */
struct pair {
	struct udp *from, *to;
	uint8_t family;
	uint16_t next; /* number of the next segment to send */
	uint16_t seen[4 * MOST];
	size_t seen_count, messages;
};

static struct addr loopback(uint8_t family, uint16_t port)
{
	static const uint8_t one6[16] = {[15] = 1};

	return (struct addr){family == 4 ? ip_v4(127, 0, 0, 1) : ip_from_bytes(6, one6), port};
}

static void open_pair(struct pair *pair, uint8_t family)
{
	static const struct udp_params plain;

	*pair = (struct pair){.family = family};
	assert_int_equal(udp_open(&plain, &pair->from), OK);
	assert_int_equal(udp_open(&plain, &pair->to), OK);
}

static void close_pair(struct pair *pair)
{
	udp_close(pair->from);
	udp_close(pair->to);
}

/* A train of that many segments; each bears its number in its first two bytes. The last one is shorter. */
static struct datagram make_train(struct pair *pair, uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint16_t number = pair->next++;

		memset(bytes + i * SIZE, (uint8_t)number, SIZE);
		memcpy(bytes + i * SIZE, &number, 2);
	}
	return (struct datagram){.route.remote = loopback(pair->family, udp_port(pair->to)),
				 .bytes = bytes,
				 .size = count * SIZE - 7,
				 .segment_size = SIZE};
}

static void take(struct pair *pair, const struct datagram *datagram)
{
	size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;

	pair->messages++;
	for (size_t at = 0; at < datagram->size; at += step) {
		uint16_t number;

		assert_in_range(datagram->size - at < step ? datagram->size - at : step, SIZE - 7, SIZE);
		memcpy(&number, datagram->bytes + at, 2);
		assert_int_equal(datagram->bytes[at + 2], (uint8_t)number);
		assert_true(pair->seen_count < sizeof(pair->seen) / sizeof(*pair->seen));
		pair->seen[pair->seen_count++] = number;
	}
}

/* Until so many segments have come in all. Numbers rise: nothing came twice or out of order. */
static void receive(struct pair *pair, size_t count)
{
	struct udp_batch batch;

	while (pair->seen_count < count) {
		struct pollfd poll_fd = {.fd = udp_fd(pair->to, pair->family), .events = POLLIN};

		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		udp_receive(pair->to, pair->family, &batch);
		for (size_t i = 0; i < batch.count; i++)
			take(pair, &batch.datagrams[i]);
	}
	assert_int_equal(pair->seen_count, count);
	for (size_t i = 1; i < count; i++)
		assert_true(pair->seen[i] > pair->seen[i - 1]);
}

static void send_train(struct pair *pair, size_t count)
{
	static uint8_t bytes[MOST * SIZE];
	struct datagram train = make_train(pair, bytes, count);
	struct udp_result result;

	udp_send(pair->from, &train, 1, &result);
	assert_int_equal(result.too_big, 0);
}

static struct udp_abilities abilities_of(const struct udp *udp)
{
	struct udp_abilities found;

	udp_get_abilities(udp, &found);
	return found;
}

static struct udp_counters counters_of(const struct udp *udp)
{
	struct udp_counters counters;

	udp_get_counters(udp, &counters);
	return counters;
}

static int reset(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	return 0;
}

static void what_the_kernel_has_is_found_out(void **state)
{
	struct udp_params off = {.no_segment = true, .no_gro = true, .short_trains = true};
	struct pair pair;
	struct udp *udp;

	(void)state;
	open_pair(&pair, 4);
	assert_true(abilities_of(pair.from).segment);
	assert_true(abilities_of(pair.from).gro);
	assert_in_range(abilities_of(pair.from).segments_max, 64, 128);
	close_pair(&pair);
	assert_int_equal(udp_open(&off, &udp), OK);
	assert_false(abilities_of(udp).segment);
	assert_false(abilities_of(udp).gro);
	assert_int_equal(abilities_of(udp).segments_max, 64);
	udp_close(udp);
}

/* Before Linux 4.18 there are no trains, before 5.0 no GRO: nothing is asked for a second time. */
static void a_kernel_without_the_options(void **state)
{
	(void)state;
	kernel.lacks_segment = kernel.lacks_gro = true;
	for (uint8_t family = 4; family <= 6; family += 2) {
		struct pair pair;

		open_pair(&pair, family);
		assert_false(abilities_of(pair.from).segment);
		assert_false(abilities_of(pair.from).gro);
		send_train(&pair, 100);
		receive(&pair, 100);
		assert_int_equal(pair.messages, 100);
		assert_int_equal(counters_of(pair.from).segment_fallbacks, 0);
		close_pair(&pair);
	}
}

/* The limit is found at the start, and also when it shows only later (a container moved to another kernel). */
static void trains_of_at_most_64(void **state)
{
	struct pair pair;

	(void)state;
	kernel.segments_max = 64;
	open_pair(&pair, 4);
	assert_int_equal(abilities_of(pair.from).segments_max, 64);
	send_train(&pair, 300);
	receive(&pair, 300);
	assert_int_equal(counters_of(pair.from).send_calls, 1);
	close_pair(&pair);

	kernel.segments_max = 0;
	open_pair(&pair, 6);
	if (abilities_of(pair.from).segments_max > 64) {
		kernel.segments_max = 64;
		send_train(&pair, 300);
		receive(&pair, 300);
		assert_int_equal(abilities_of(pair.from).segments_max, 64);
		assert_true(abilities_of(pair.from).segment);
		assert_int_equal(counters_of(pair.from).segment_fallbacks, 0);
	}
	close_pair(&pair);
}

/* A device without checksum offload: one by one; another device may have it, so trains are tried again in a while. */
static void refused_trains_are_tried_again(void **state)
{
	static const int reasons[] = {EIO, EINVAL};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct udp_counters before;
		struct pair pair;

		reset(NULL);
		open_pair(&pair, 4);
		kernel.trains_errno = reasons[i];
		for (size_t sent = 0; sent < ASK_AGAIN + MOST; sent += MOST) {
			pair.seen_count = 0;
			send_train(&pair, MOST);
			receive(&pair, MOST);
		}
		assert_int_equal(counters_of(pair.from).segment_fallbacks, 2);
		assert_false(abilities_of(pair.from).segment);
		kernel.trains_errno = 0;
		for (size_t sent = 0; sent < ASK_AGAIN + MOST; sent += MOST) {
			pair.seen_count = 0;
			send_train(&pair, MOST);
			receive(&pair, MOST);
		}
		assert_true(abilities_of(pair.from).segment);
		before = counters_of(pair.from);
		pair.seen_count = 0;
		send_train(&pair, 60);
		receive(&pair, 60);
		assert_int_equal(counters_of(pair.from).send_calls - before.send_calls, 1);
		close_pair(&pair);
	}
}

/* No memory for 40 kB at once is memory for 200 bytes all the same; trains are not given up for it. */
static void no_memory_for_trains(void **state)
{
	struct pair pair;

	(void)state;
	open_pair(&pair, 4);
	kernel.memory = 1000;
	send_train(&pair, 200);
	receive(&pair, 200);
	assert_true(abilities_of(pair.from).segment);
	assert_int_equal(counters_of(pair.from).segment_fallbacks, 0);
	assert_int_equal(counters_of(pair.from).send_dropped_full, 0);
	close_pair(&pair);
}

/* A queue that is full in the middle of a batch costs what did not fit, never order, never the rest. */
static void full_in_the_middle(void **state)
{
	static uint8_t bytes[5][40 * SIZE];

	(void)state;
	for (unsigned length = 1; length < 200; length += length % 2 ? 1 : 8) {
		struct datagram trains[5];
		struct udp_result result;
		uint64_t lost;
		struct pair pair;

		reset(NULL);
		open_pair(&pair, 4);
		for (size_t i = 0; i < 5; i++)
			trains[i] = make_train(&pair, bytes[i], 40);
		kernel.full_errno = length % 2 ? EAGAIN : ENOBUFS;
		kernel.full_from = 2 + kernel.messages;
		kernel.full_to = kernel.full_from + length;
		udp_send(pair.from, trains, 5, &result);
		lost = counters_of(pair.from).send_dropped_full;
		assert_true(length % 2 == 0 || lost % 40 == 0);
		assert_int_equal(counters_of(pair.from).sent + lost, 200);
		assert_true(length <= 10 ? lost == 0 : length < 13 || lost > 0);
		receive(&pair, 200 - lost);
		close_pair(&pair);
	}
}

/* Joined without a word about the size: noticed at the start, and joining is not asked for. */
static void a_gro_that_does_not_say_the_size(void **state)
{
	struct pair pair;

	(void)state;
	kernel.is_mute = true;
	open_pair(&pair, 4);
	assert_false(abilities_of(pair.to).gro);
	assert_true(abilities_of(pair.from).segment);
	send_train(&pair, 100);
	receive(&pair, 100);
	assert_int_equal(pair.messages, 100);
	close_pair(&pair);
}

/* Later it is dropped: cut at the wrong places it would be taken for something that nobody sent. */
static void a_lost_size_is_not_guessed(void **state)
{
	struct pollfd poll_fd = {.events = POLLIN};
	struct udp_batch batch;
	struct pair pair;

	(void)state;
	open_pair(&pair, 4);
	poll_fd.fd = udp_fd(pair.to, 4);
	kernel.cuts_control = true;
	send_train(&pair, 20);
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	udp_receive(pair.to, 4, &batch);
	assert_int_equal(batch.count, 0);
	assert_int_equal(counters_of(pair.to).receive_truncated, 1);
	kernel.cuts_control = false;
	send_train(&pair, 20);
	receive(&pair, 20);
	close_pair(&pair);
}

/* xorshift: the same every run. */
static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

enum { PLACES = 3, LIST = 100, LIST_BYTES = 1 << 20 };

/* Where the datagrams of one sender go. Numbers count up for each place, in the first four bytes of each datagram. */
struct places {
	struct udp *from, *to[PLACES];
	uint32_t sent[PLACES], last[PLACES];
	uint64_t got;
	uint8_t bytes[LIST_BYTES];
	size_t used;
};

/* One datagram or a train of any size to any place. */
static struct datagram draw(struct places *p, uint32_t *random)
{
	size_t place = next(random) % PLACES, segment = 20 + next(random) % 1200 * (next(random) % 4 != 0);
	size_t segments = next(random) % 3 ? 1 : 1 + next(random) % 150, size = segment * segments;
	uint8_t *bytes = p->bytes + p->used;

	if (size > 60000)
		size = 60000 / segment * segment;
	if (size > segment)
		size -= next(random) % 2 * (segment - 5);
	assert_true(p->used + size <= LIST_BYTES);
	for (size_t at = 0; at < size; at += segment) {
		uint32_t number = ++p->sent[place];

		memset(bytes + at, (uint8_t)number, size - at < segment ? size - at : segment);
		memcpy(bytes + at, &number, 4);
	}
	p->used += size;
	return (struct datagram){.route.remote = loopback(4, udp_port(p->to[place])),
				 .bytes = bytes,
				 .size = size,
				 .segment_size = (uint16_t)(size > segment ? segment : next(random) % 2 * size)};
}

static void collect(struct places *p, size_t place)
{
	struct udp_batch batch;

	do {
		udp_receive(p->to[place], 4, &batch);
		for (size_t i = 0; i < batch.count; i++) {
			const struct datagram *datagram = &batch.datagrams[i];
			size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;

			for (size_t at = 0; at < datagram->size; at += step) {
				uint32_t number;

				memcpy(&number, datagram->bytes + at, 4);
				assert_true(number > p->last[place]);
				p->last[place] = number;
				p->got++;
			}
		}
	} while (batch.count > 0);
}

static void misbehave(uint32_t *random)
{
	static const int refusals[] = {0, 0, EIO, EINVAL};

	reset(NULL);
	kernel.trains_errno = refusals[next(random) % 4];
	kernel.segments_max = next(random) % 2 ? 64 : 0;
	kernel.memory = next(random) % 4 ? 0 : 3000 + next(random) % 30000;
	kernel.full_from = next(random) % 60;
	kernel.full_to = kernel.full_from + next(random) % 30 * (next(random) % 2);
	kernel.full_errno = next(random) % 2 ? EAGAIN : ENOBUFS;
}

/* Many destinations, single datagrams and trains that may be joined, while the kernel refuses this and that. */
static void whatever_is_refused_order_is_kept(void **state)
{
	static const struct udp_params plain;
	static struct places p;
	uint32_t random = 88675123u;

	(void)state;
	for (int round = 0; round < 60; round++) {
		struct datagram list[LIST];
		struct udp_result result;
		uint64_t total = 0;
		size_t count;

		reset(NULL);
		memset(&p, 0, sizeof(p));
		assert_int_equal(udp_open(&plain, &p.from), OK);
		for (size_t i = 0; i < PLACES; i++)
			assert_int_equal(udp_open(&plain, &p.to[i]), OK);
		for (int turn = 0; turn < 3; turn++) {
			p.used = 0;
			for (count = 0; count < LIST && p.used < LIST_BYTES - 61000; count++)
				list[count] = draw(&p, &random);
			misbehave(&random);
			udp_send(p.from, list, count, &result);
			for (size_t i = 0; i < PLACES; i++)
				collect(&p, i);
		}
		for (size_t i = 0; i < PLACES; i++)
			total += p.sent[i];
		assert_int_equal(counters_of(p.from).sent, p.got);
		assert_int_equal(p.got + counters_of(p.from).send_dropped_full, total);
		udp_close(p.from);
		for (size_t i = 0; i < PLACES; i++)
			udp_close(p.to[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_the_kernel_has_is_found_out, reset),
		cmocka_unit_test_setup(a_kernel_without_the_options, reset),
		cmocka_unit_test_setup(trains_of_at_most_64, reset),
		cmocka_unit_test_setup(refused_trains_are_tried_again, reset),
		cmocka_unit_test_setup(no_memory_for_trains, reset),
		cmocka_unit_test_setup(full_in_the_middle, reset),
		cmocka_unit_test_setup(a_gro_that_does_not_say_the_size, reset),
		cmocka_unit_test_setup(a_lost_size_is_not_guessed, reset),
		cmocka_unit_test_setup(whatever_is_refused_order_is_kept, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
