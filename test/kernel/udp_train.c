/*
 * udp_train.c: what no shell can do to a tunnel. Trains of datagrams, sent in one call with UDP_SEGMENT as QUIC stacks
 * do it, one train at a time: the answering end demands that each datagram is what was sent, in order, none twice, and
 * says so when a train is complete; it goes on behind its caller's back until it is told that there are no more.
 * "loose": not in order, because a tunnel doubts its ways on a machine that stands still for long. And a file by HTTP,
 * asked for behind an IPv6 extension header, where the kernel leaves checksums unfinished that few look for there.
 *
 * usage: udp-train answer PORT [loose]
 *        udp-train send ADDRESS PORT TRAINS
 *        udp-train get ADDRESS PORT BYTES-AT-LEAST
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SEGMENT = 1200, LAST = 777, SEGMENTS = 40, SIZE = (SEGMENTS - 1) * SEGMENT + LAST, OPTION_SEGMENT = 103 };
enum { ANSWER_MS = 2000, LOSSES_MAX = 5, IDLE_MS = 20000, TRAINS_KEPT = 256 };

union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int fail(const char *what)
{
	fprintf(stderr, "udp-train: %s: %s\n", what, strerror(errno));
	return 1;
}

static uint8_t pattern(uint32_t train, uint32_t index, size_t at)
{
	return (uint8_t)(train * 31 + index * 7 + at);
}

static size_t size_of(uint32_t index)
{
	return index + 1 == SEGMENTS ? LAST : SEGMENT;
}

static void fill(uint8_t *bytes, uint32_t train)
{
	for (uint32_t index = 0; index < SEGMENTS; index++) {
		uint8_t *segment = bytes + (size_t)index * SEGMENT;

		for (size_t at = 8; at < size_of(index); at++)
			segment[at] = pattern(train, index, at);
		memcpy(segment, &train, 4);
		memcpy(segment + 4, &index, 4);
	}
}

/* One call, or one a datagram where the way refuses trains. */
static int send_train(int fd, const uint8_t *bytes)
{
	int segment = SEGMENT, none = 0;

	setsockopt(fd, IPPROTO_UDP, OPTION_SEGMENT, &segment, sizeof(segment));
	if (send(fd, bytes, SIZE, 0) == SIZE)
		return 0;
	if (errno != EIO && errno != EINVAL)
		return -1;
	setsockopt(fd, IPPROTO_UDP, OPTION_SEGMENT, &none, sizeof(none));
	for (uint32_t index = 0; index < SEGMENTS; index++)
		if (send(fd, bytes + (size_t)index * SEGMENT, size_of(index), 0) < 0)
			return -1;
	return 0;
}

/* Is this train answered? Answers of earlier ones are passed over. */
static int is_answered(int fd, uint32_t train)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	uint32_t answer;

	while (poll(&poll_fd, 1, ANSWER_MS) == 1)
		if (recv(fd, &answer, sizeof(answer), 0) == sizeof(answer) && answer == train)
			return 1;
	return 0;
}

/* Destination options that say nothing (PadN). */
static int add_extension(int fd)
{
	static const uint8_t options[8] = {[2] = 1, [3] = 4};

	return setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, options, sizeof(options));
}

/* A connected socket, or -1. */
static int open_to(const char *address, uint16_t port, int type)
{
	union name name = {.v4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
	socklen_t size = sizeof(name.v4);
	int fd;

	if (inet_pton(AF_INET, address, &name.v4.sin_addr) != 1) {
		name = (union name){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
		size = sizeof(name.v6);
		if (inet_pton(AF_INET6, address, &name.v6.sin6_addr) != 1)
			return -1;
	}
	fd = socket(name.any.sa_family, type, 0);
	if (fd >= 0 && type == SOCK_STREAM && add_extension(fd) != 0)
		return -1;
	return fd >= 0 && connect(fd, &name.any, size) == 0 ? fd : -1;
}

static int get(const char *address, uint16_t port, size_t wanted)
{
	static const char request[] = "GET /file HTTP/1.0\r\n\r\n";
	int fd = open_to(address, port, SOCK_STREAM);
	static char bytes[1 << 16];
	size_t total = 0;
	ssize_t got;

	if (fd < 0 || send(fd, request, sizeof(request) - 1, 0) != sizeof(request) - 1)
		return fail("connect");
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		total += (size_t)got;
	close(fd);
	return total >= wanted ? 0 : fail("what was asked for did not come");
}

static int send_all(const char *address, uint16_t port, uint32_t trains)
{
	static uint8_t bytes[SIZE];
	uint32_t lost = 0;
	int fd = open_to(address, port, SOCK_DGRAM);

	if (fd < 0)
		return fail("connect");
	for (uint32_t train = 1; train <= trains; train++) {
		fill(bytes, train);
		if (send_train(fd, bytes) != 0)
			return fail("send");
		if (!is_answered(fd, train) && ++lost > LOSSES_MAX)
			return fail("trains are not answered");
	}
	printf("%u trains, %u of them not answered\n", trains, lost);
	if (send(fd, bytes, 0, 0) != 0)
		return fail("send");
	close(fd);
	return 0;
}

/* What has come. */
struct seen {
	int is_loose;
	uint64_t last;		     /* train and index of the newest */
	uint64_t masks[TRAINS_KEPT]; /* which segments of each train, by its number */
};

/* Why the datagram is not what has to come; NULL: it is. */
static const char *judge(struct seen *seen, const uint8_t *bytes, ssize_t size, uint32_t *ret_train)
{
	uint32_t train, index;
	uint64_t place, *mask;

	if (size < 8)
		return "is too short";
	memcpy(&train, bytes, 4);
	memcpy(&index, bytes + 4, 4);
	place = (uint64_t)train << 32 | index;
	if (train == 0 || train >= TRAINS_KEPT || index >= SEGMENTS || (size_t)size != size_of(index))
		return "has another size";
	for (ssize_t at = 8; at < size; at++)
		if (bytes[at] != pattern(train, index, (size_t)at))
			return "has other bytes";
	mask = &seen->masks[train];
	if (*mask >> index & 1)
		return "came twice";
	if (place < seen->last && !seen->is_loose)
		return "came out of order";
	*mask |= UINT64_C(1) << index;
	seen->last = place > seen->last ? place : seen->last;
	*ret_train = train;
	return NULL;
}

static int open_answering(uint16_t port)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), none = 0, buffer = 4 << 20;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &none, sizeof(none));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	return fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 ? fd : -1;
}

static int answer_all(uint16_t port, int is_loose)
{
	static struct seen seen;
	struct pollfd poll_fd = {.fd = open_answering(port), .events = POLLIN};

	seen.is_loose = is_loose;
	if (poll_fd.fd < 0)
		return fail("bind");
	if (fork() != 0)
		return 0;
	while (poll(&poll_fd, 1, IDLE_MS) == 1) {
		uint8_t bytes[2048];
		union name from;
		socklen_t size = sizeof(from);
		ssize_t got = recvfrom(poll_fd.fd, bytes, sizeof(bytes), 0, &from.any, &size);
		uint32_t train = 0;
		const char *wrong;

		if (got == 0)
			return 0;
		wrong = judge(&seen, bytes, got, &train);
		if (wrong) {
			fprintf(stderr, "udp-train: a datagram of %zd bytes %s\n", got, wrong);
			return 1;
		}
		if (seen.masks[train] == (UINT64_C(1) << SEGMENTS) - 1)
			sendto(poll_fd.fd, &train, sizeof(train), 0, &from.any, size);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "answer") == 0)
		return answer_all((uint16_t)atol(argv[2]), argc == 4);
	if (argc == 5 && strcmp(argv[1], "send") == 0)
		return send_all(argv[2], (uint16_t)atol(argv[3]), (uint32_t)atol(argv[4]));
	if (argc == 5 && strcmp(argv[1], "get") == 0)
		return get(argv[2], (uint16_t)atol(argv[3]), (size_t)atol(argv[4]));
	fprintf(stderr,
		"usage: udp-train answer PORT [loose] | send ADDRESS PORT TRAINS | get ADDRESS PORT BYTES-AT-LEAST\n");
	return 2;
}
