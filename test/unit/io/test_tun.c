/* test_tun.c: superpackets of real TCP and UDP sockets through two TUN devices in two network namespaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/netlink.h"
#include "io/tun.h"
#include "net_space.h"

enum { SKIPPED = 77, TRANSFER = 8 << 20, MTU = 1380, PORT = 5001 };

/* One end: its namespace, device and addresses 198.18.0.N, fd6e:746d::N. */
struct end {
	int space;
	struct tun *tun;
	struct ip v4, v6;
};

static struct end ends[2];

/* What the devices do without: everything has to work all the same. */
static const struct {
	const char *name;
	struct tun_params params;
} variants[] = {
	{"all that the kernel has", {.name = "ntm%d"}},
	{"no UDP superpackets, as before Linux 6.2", {.name = "ntm%d", .no_uso = true}},
	{"no superpackets from the kernel", {.name = "ntm%d", .no_tso = true}},
	{"no virtio header", {.name = "ntm%d", .no_header = true}},
	{"several queues", {.name = "ntm%d", .many = true}},
};
static const struct tun_params *params;

static struct tun_abilities abilities_of(const struct end *end)
{
	struct tun_abilities abilities;

	tun_get_abilities(end->tun, &abilities);
	return abilities;
}

static struct ip virtual6(uint8_t last)
{
	uint8_t bytes[16] = {0xfd, 0x6e, 0x74, 0x6d, [15] = last};

	return ip_from_bytes(6, bytes);
}

static void open_end(struct end *end, int space, uint8_t number)
{
	struct net_setup setup = {.mtu = MTU, .table = 7367, .mark = 7367, .prefix_count = 2};
	char error[NET_ERROR_MAX];

	*end = (struct end){.space = space, .v4 = ip_v4(198, 18, 0, number), .v6 = virtual6(number)};
	net_space_switch(space);
	assert_int_equal(tun_open(params, &end->tun, error), OK);
	assert_string_equal(tun_name(end->tun), "ntm0");
	setup.ifindex = tun_ifindex(end->tun);
	setup.v4 = end->v4;
	setup.v6 = end->v6;
	assert_int_equal(prefix_parse("198.18.0.0/15", &setup.prefixes[0]), OK);
	assert_int_equal(prefix_parse("fd6e:746d::/32", &setup.prefixes[1]), OK);
	if (net_setup_apply(&setup, error) != OK)
		fail_msg("%s", error);
}

static int open_ends(void **state)
{
	(void)state;
	open_end(&ends[0], net_space_add(), 1);
	open_end(&ends[1], net_space_add(), 2);
	return 0;
}

static int close_ends(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		tun_close(ends[i].tun);
		close(ends[i].space);
	}
	tun_close(NULL);
	return 0;
}

/* Carries everything that waits from one device to the other, as it is. */
static void carry(const struct end *from, const struct end *to)
{
	struct packet packets[TUN_BATCH];
	size_t count = tun_read(from->tun, packets, TUN_BATCH);

	for (size_t i = 0; i < count; i++) {
		enum err err = tun_write(to->tun, &packets[i]);

		(void)err; /* a full queue is the network's affair */
	}
}

/* Lets packets flow until one of the sockets is ready, or for so many milliseconds in which nothing happens. */
static void run(int socket, short events, int quiet_ms)
{
	struct pollfd poll_fds[3] = {{.fd = tun_fd(ends[0].tun), .events = POLLIN},
				     {.fd = tun_fd(ends[1].tun), .events = POLLIN},
				     {.fd = socket, .events = events}};

	while (poll(poll_fds, 3, quiet_ms) > 0) {
		carry(&ends[0], &ends[1]);
		carry(&ends[1], &ends[0]);
		if (poll_fds[2].revents)
			return;
	}
	fail_msg("nothing happened for %d ms", quiet_ms);
}

static int full_times; /* writes that the kernel has no room for */

ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
	if (full_times > 0) {
		full_times--;
		errno = EAGAIN;
		return -1;
	}
	return __real_write(fd, bytes, size);
}

static socklen_t name_of(const struct ip *ip, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};

	*ret = (struct sockaddr_storage){0};
	if (ip->family == 4) {
		memcpy(&v4.sin_addr, ip->bytes, 4);
		memcpy(ret, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, ip->bytes, 16);
	memcpy(ret, &v6, sizeof(v6));
	return sizeof(v6);
}

static int open_socket(const struct end *end, uint8_t family, int type, bool is_bound)
{
	struct sockaddr_storage name;
	socklen_t size = name_of(family == 4 ? &end->v4 : &end->v6, &name);
	int fd;

	net_space_switch(end->space);
	fd = socket(name.ss_family, type | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	if (is_bound)
		assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
	return fd;
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 31 + (at >> 11));
}

/* Sends what fits and checks what comes, until all has come. */
static void transfer(int from, int to)
{
	static uint8_t out[1 << 17], in[1 << 17];
	size_t sent = 0, received = 0;

	while (received < TRANSFER) {
		size_t size = TRANSFER - sent < sizeof(out) ? TRANSFER - sent : sizeof(out);
		ssize_t n;

		for (size_t i = 0; i < size; i++)
			out[i] = pattern(sent + i);
		n = size ? send(from, out, size, MSG_NOSIGNAL) : 0;
		assert_true(n >= 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		run(to, POLLIN, 10000);
		n = recv(to, in, sizeof(in), 0);
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(in[i], pattern(received + (size_t)i));
		received += (size_t)n;
	}
}

static void check_tcp(uint8_t family)
{
	int listening = open_socket(&ends[1], family, SOCK_STREAM, true),
	    from = open_socket(&ends[0], family, SOCK_STREAM, false);
	struct tun_counters before, after;
	struct sockaddr_storage name;
	socklen_t size = name_of(family == 4 ? &ends[1].v4 : &ends[1].v6, &name);
	int to;

	tun_get_counters(ends[0].tun, &before);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(connect(from, (struct sockaddr *)&name, size), -1);
	assert_int_equal(errno, EINPROGRESS);
	run(from, POLLOUT, 10000);
	run(listening, POLLIN, 10000);
	to = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
	assert_true(to >= 0);
	transfer(from, to);
	tun_get_counters(ends[0].tun, &after);
	if (abilities_of(&ends[0]).tso) {
		assert_true(after.read_superpackets > before.read_superpackets);
		assert_true(after.read_packets - before.read_packets < TRANSFER / MTU / 2);
	}
	if (params->no_tso || params->no_header)
		assert_int_equal(after.read_superpackets, 0);
	assert_int_equal(after.read_malformed, before.read_malformed);
	assert_int_equal(after.write_refused, 0);
	close(from);
	close(to);
	close(listening);
}

static void test_tcp(void **state)
{
	(void)state;
	check_tcp(4);
	check_tcp(6);
}

static void check_udp(uint8_t family)
{
	static uint8_t bytes[40 * 1300 + 5], back[65536];
	int to = open_socket(&ends[1], family, SOCK_DGRAM, true),
	    from = open_socket(&ends[0], family, SOCK_DGRAM, false);
	struct tun_counters before, after;
	struct sockaddr_storage name;
	socklen_t size = name_of(family == 4 ? &ends[1].v4 : &ends[1].v6, &name);
	int segment = 1300;
	size_t received = 0;

	tun_get_counters(ends[0].tun, &before);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	assert_int_equal(setsockopt(from, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &segment, sizeof(segment)), 0);
	assert_int_equal(sendto(from, bytes, sizeof(bytes), 0, (struct sockaddr *)&name, size), sizeof(bytes));
	while (received < sizeof(bytes)) {
		ssize_t n;

		run(to, POLLIN, 10000);
		n = recv(to, back, sizeof(back), 0);
		assert_true(n > 0);
		assert_memory_equal(back, bytes + received, (size_t)n);
		received += (size_t)n;
	}
	tun_get_counters(ends[0].tun, &after);
	if (abilities_of(&ends[0]).uso)
		assert_int_equal(after.read_superpackets - before.read_superpackets, 1);
	else
		assert_true(after.read_packets - before.read_packets >= 41);
	close(from);
	close(to);
}

static void test_udp(void **state)
{
	(void)state;
	check_udp(4);
	check_udp(6);
}

/* While the interface is down packets are lost, nothing else; afterwards it works again. A deleted device is noticed.
 */
/* What one was asked for, and nothing else, is what it has. */
static void test_abilities(void **state)
{
	struct tun_abilities found = abilities_of(&ends[0]);

	(void)state;
	assert_int_equal(found.header, !params->no_header);
	assert_int_equal(found.tso, !params->no_header && !params->no_tso);
	assert_true(!found.uso || (found.tso && !params->no_uso));
}

/* A full kernel queue is waited for, but not for ever, and not for each packet anew. */
static void test_full(void **state)
{
	static uint8_t buffer[PACKET_ROOM + 40 + PACKET_ROOM] = {[PACKET_ROOM] = 0x45};
	struct packet packet = {.bytes = buffer + PACKET_ROOM, .size = 20};
	struct tun_counters before, after;

	(void)state;
	tun_get_counters(ends[0].tun, &before);
	full_times = 3;
	assert_int_equal(tun_write(ends[0].tun, &packet), OK);
	full_times = 1 << 30;
	assert_int_equal(tun_write(ends[0].tun, &packet), ERR_FULL);
	assert_int_equal(tun_write(ends[0].tun, &packet), ERR_FULL);
	full_times = 0;
	assert_int_equal(tun_write(ends[0].tun, &packet), OK);
	tun_get_counters(ends[0].tun, &after);
	assert_int_equal(after.write_waits - before.write_waits, 13);
	assert_int_equal(after.write_dropped - before.write_dropped, 2);
	assert_int_equal(after.written_packets - before.written_packets, 2);
}

/* While nobody reads, what exceeds the queue is lost, and the kernel counts it. */
static void test_overrun(void **state)
{
	enum { MORE = 100, LENGTH = 1024, SOCKETS = 4 }; /* one would be held back by its own buffer */
	static const uint8_t bytes[100];
	int from[SOCKETS];
	struct sockaddr_storage name;
	socklen_t size = name_of(&ends[1].v4, &name);
	struct packet packets[TUN_BATCH];
	uint64_t before, after;
	size_t count = 0, got;

	(void)state;
	for (int i = 0; i < SOCKETS; i++)
		from[i] = open_socket(&ends[0], 4, SOCK_DGRAM, false);
	while (tun_read(ends[0].tun, packets, TUN_BATCH) > 0)
		continue;
	assert_int_equal(net_link_overruns(tun_ifindex(ends[0].tun), &before), OK);
	for (int i = 0; i < LENGTH + MORE; i++)
		(void)!sendto(from[i % SOCKETS], bytes, sizeof(bytes), 0, (struct sockaddr *)&name, size);
	while ((got = tun_read(ends[0].tun, packets, TUN_BATCH)) > 0)
		count += got;
	assert_int_equal(net_link_overruns(tun_ifindex(ends[0].tun), &after), OK);
	assert_in_range(count, LENGTH - 24, LENGTH + 1); /* the ring gives slots back in batches */
	assert_int_equal(count + after - before, LENGTH + MORE);
	for (int i = 0; i < SOCKETS; i++)
		close(from[i]);
}

static void test_down(void **state)
{
	static uint8_t buffer[PACKET_ROOM + 40 + PACKET_ROOM] = {[PACKET_ROOM] = 0x45};
	struct packet packet = {.bytes = buffer + PACKET_ROOM, .size = 20}, got[TUN_BATCH];
	struct tun_counters before, after;

	(void)state;
	tun_get_counters(ends[0].tun, &before);
	net_space_switch(ends[0].space);
	assert_true(net_space_run("ip link set dev ntm0 down"));
	assert_int_equal(tun_read(ends[0].tun, got, TUN_BATCH), 0);
	assert_int_equal(tun_write(ends[0].tun, &packet), ERR_FULL);
	tun_get_counters(ends[0].tun, &after);
	assert_int_equal(after.write_dropped - before.write_dropped, 1);
	assert_false(tun_is_gone(ends[0].tun));
	assert_true(net_space_run("ip link set dev ntm0 up"));
	assert_int_equal(tun_write(ends[0].tun, &packet), OK);
	packet.gso = PACKET_GSO_TCP6; /* no such packet: the kernel refuses */
	packet.gso_size = 1;
	packet.header_size = 60;
	assert_int_equal(tun_write(ends[0].tun, &packet), ERR_MALFORMED);
	assert_true(net_space_run("ip link del dev ntm0"));
	assert_int_equal(tun_read(ends[0].tun, got, TUN_BATCH), 0);
	assert_true(tun_is_gone(ends[0].tun));
}

static void test_refusals(void **state)
{
	char error[TUN_ERROR_MAX];
	struct tun *first, *second = NULL;

	(void)state;
	net_space_switch(ends[1].space);
	assert_int_equal(tun_open(&(struct tun_params){.name = "busy0"}, &first, error), OK);
	assert_int_equal(tun_open(&(struct tun_params){.name = "busy0"}, &second, error), ERR_EXISTS);
	assert_null(second);
	assert_non_null(strstr(error, "busy0"));
	tun_close(first);
	assert_int_equal(tun_open(&(struct tun_params){.name = "a-name-of-more-than-15"}, &second, error), ERR_USAGE);
	assert_int_equal(tun_open(&(struct tun_params){.name = "a/b"}, &second, error), ERR_USAGE);
}

/* Reads all that waits there; which of the ports from PORT on it came from, a bit each. */
static uint32_t read_ports(struct tun *tun)
{
	struct packet packets[TUN_BATCH];
	uint32_t ports = 0;
	size_t count;

	while ((count = tun_read(tun, packets, TUN_BATCH)) > 0)
		for (size_t i = 0; i < count; i++) {
			const uint8_t *p = packets[i].bytes;
			unsigned port = (unsigned)p[20] << 8 | p[21];

			if (p[0] >> 4 == 4 && p[9] == IPPROTO_UDP && port >= PORT && port < PORT + 32)
				ports |= UINT32_C(1) << (port - PORT);
		}
	return ports;
}

enum { FLOWS = 24 };

static void open_flows(int fds[FLOWS])
{
	for (unsigned i = 0; i < FLOWS; i++) {
		struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(PORT + i))};

		fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&name, sizeof(name)), 0);
	}
}

/* One packet of each of these flows, to the other end. */
static void send_flows(const int fds[FLOWS], uint32_t flows)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	memcpy(&to.sin_addr, ends[1].v4.bytes, 4);
	for (unsigned i = 0; i < FLOWS; i++)
		if (flows >> i & 1)
			assert_int_equal(sendto(fds[i], "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
}

/* An answer in flow i: the kernel notes where it came from, whatever it thinks of its checksum. */
static void answer_flow(struct tun *queue, unsigned i)
{
	static uint8_t buffer[PACKET_ROOM + 40 + PACKET_ROOM];
	struct packet answer = {.bytes = buffer + PACKET_ROOM, .size = 28};

	memcpy(answer.bytes,
	       (uint8_t[]){0x45,
			   0,
			   0,
			   28,
			   0,
			   0,
			   0,
			   0,
			   64,
			   IPPROTO_UDP,
			   0,
			   0,
			   198,
			   18,
			   0,
			   2,
			   198,
			   18,
			   0,
			   1,
			   PORT >> 8,
			   PORT & 0xff,
			   (uint8_t)((PORT + i) >> 8),
			   (uint8_t)(PORT + i),
			   0,
			   8,
			   0,
			   0},
	       28);
	assert_int_equal(tun_write(queue, &answer), OK);
}

/* A flow comes out of one queue, and of the other one once it was written there. */
static void test_queues(void **state)
{
	const uint32_t all = (UINT32_C(1) << FLOWS) - 1;
	uint32_t seen[2];
	unsigned moved = 0;
	struct tun *queue;
	int fds[FLOWS];

	(void)state;
	if (!params->many) {
		assert_int_equal(tun_add_queue(ends[0].tun, &queue), ERR_UNSUPPORTED);
		return;
	}
	net_space_switch(ends[0].space);
	assert_int_equal(tun_add_queue(ends[0].tun, &queue), OK);
	open_flows(fds);
	send_flows(fds, all);
	seen[0] = read_ports(ends[0].tun);
	seen[1] = read_ports(queue);
	assert_int_equal(seen[0] | seen[1], all);
	assert_int_equal(seen[0] & seen[1], 0);
	assert_true(seen[0] != 0 && seen[1] != 0);
	send_flows(fds, all);
	assert_int_equal(read_ports(ends[0].tun), seen[0]);
	assert_int_equal(read_ports(queue), seen[1]);
	while (!(seen[0] >> moved & 1))
		moved++;
	for (int times = 0; times < 2; times++) {
		answer_flow(queue, moved);
		send_flows(fds, UINT32_C(1) << moved);
	}
	assert_true(read_ports(queue) >> moved & 1);
	for (unsigned i = 0; i < FLOWS; i++)
		close(fds[i]);
	tun_close(queue);
}

/* A device that somebody else made, with one queue, stays at that. */
static void test_one_queue(void **state)
{
	struct tun_params many = {.name = "old0", .many = true};
	char error[TUN_ERROR_MAX];
	struct tun *tun, *queue, *shared;
	struct tun_abilities abilities;

	(void)state;
	net_space_switch(ends[0].space);
	assert_true(net_space_run("ip tuntap add old0 mode tun"));
	assert_int_equal(tun_open(&many, &tun, error), OK);
	tun_get_abilities(tun, &abilities);
	assert_true(abilities.header);
	assert_int_equal(tun_add_queue(tun, &queue), ERR_UNSUPPORTED);
	assert_int_equal(tun_share(tun, true, &shared), OK);
	assert_string_equal(tun_name(shared), "old0");
	tun_close(tun);
	tun_close(shared);
	assert_true(net_space_run("ip tuntap del old0 mode tun"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),	 cmocka_unit_test(test_udp),	   cmocka_unit_test(test_abilities),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_full),	   cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_queues),	 cmocka_unit_test(test_one_queue), cmocka_unit_test(test_down),
	};
	int failed = 0;

	if (!net_space_enter() || access("/dev/net/tun", R_OK | W_OK) != 0) {
		fprintf(stderr, "no user and network namespaces or no /dev/net/tun here: skipped\n");
		return SKIPPED;
	}
	for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
		params = &variants[i].params;
		failed += cmocka_run_group_tests_name(variants[i].name, tests, open_ends, close_ends);
	}
	return failed;
}
