/*
 * greet: the first words between two strangers, timed. One end answers; the other asks its resolver for the name (or
 * takes an address), sends a datagram every five milliseconds from the moment it has one, and stops at the first
 * answer. Both ends are on one machine: an answer carries CLOCK_MONOTONIC of when the question arrived.
 *
 * usage: greet answer PORT
 *        greet ask ADDRESS PORT                   where no name has to be looked up
 *        greet ask NAME PORT RESOLVER-ADDRESS     IPv4, port 53
 * Prints one line: "dns_us N first_byte_us N answer_us N number N", all from the first packet that asks; number: which
 * of the datagrams the first answer is to. Exits with 1 after thirty seconds of silence.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stopwatch.h"

enum {
	DNS_PORT = 53,
	DNS_HEADER_BYTES = 12,
	DNS_TYPE_A = 1,
	DNS_CLASS_IN = 1,
	DNS_BYTES_MAX = 1232,
	NAME_BYTES_MAX = 255,
	LABEL_BYTES_MAX = 63,
};

static const uint64_t NSEC_PER_USEC = 1000;
static const uint64_t PACE_NS = 5000000;
static const uint64_t PATIENCE_NS = 30000000000;

/* Of either direction; the times are zero in a question. */
struct words {
	uint64_t number, arrived_ns;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_udp(struct sockaddr_in address, bool listens)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (listens && bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		fail("bind");
	return fd;
}

static void answer(uint16_t port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = open_udp(own, true);

	printf("listening\n");
	fflush(stdout);
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof from;
		struct words words;

		if (recvfrom(fd, &words, sizeof words, 0, (struct sockaddr *)&from, &size) != sizeof words)
			continue;
		words.arrived_ns = now_ns();
		sendto(fd, &words, sizeof words, 0, (struct sockaddr *)&from, size);
	}
}

/* Whether there is something to read before the time comes. */
static bool readable(int fd, uint64_t due_ns)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	uint64_t now = now_ns(), wait_ns = due_ns > now ? due_ns - now : 0;
	struct timespec wait = {(time_t)(wait_ns / NSEC_PER_SEC), (long)(wait_ns % NSEC_PER_SEC)};

	return ppoll(&polled, 1, &wait, NULL) > 0;
}

/* A question for the IPv4 address of a name; its size, or 0 if the name is none. */
static size_t encode_question(const char *name, uint8_t *bytes)
{
	static const uint8_t header[DNS_HEADER_BYTES] = {'n', 't', 1, 0, 0, 1};
	static const uint8_t tail[] = {0, 0, DNS_TYPE_A, 0, DNS_CLASS_IN};
	size_t at = sizeof header;

	if (strlen(name) > NAME_BYTES_MAX - 2)
		return 0;
	memcpy(bytes, header, sizeof header);
	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > LABEL_BYTES_MAX)
			return 0;
		bytes[at++] = (uint8_t)label;
		memcpy(bytes + at, name, label);
		at += label;
		name += label + (name[label] == '.');
	}
	memcpy(bytes + at, tail, sizeof tail);
	return at + sizeof tail;
}

/* Past a name in a reply; the size where it does not fit. */
static size_t skip_name(const uint8_t *bytes, size_t at, size_t size)
{
	while (at < size && bytes[at] != 0) {
		if (bytes[at] >= 0xc0)
			return at + 2;
		at += 1u + bytes[at];
	}
	return at + 1;
}

/* The first IPv4 address of a reply. */
static bool decode_reply(const uint8_t *bytes, size_t size, struct in_addr *address)
{
	unsigned count = size > DNS_HEADER_BYTES ? (unsigned)(bytes[6] << 8 | bytes[7]) : 0;
	size_t at = skip_name(bytes, DNS_HEADER_BYTES, size) + 4;

	for (unsigned i = 0; i < count; i++) {
		at = skip_name(bytes, at, size);
		if (at + 10 > size)
			return false;
		unsigned type = (unsigned)(bytes[at] << 8 | bytes[at + 1]);
		unsigned length = (unsigned)(bytes[at + 8] << 8 | bytes[at + 9]);

		at += 10;
		if (type == DNS_TYPE_A && length == sizeof *address && at + length <= size) {
			memcpy(address, bytes + at, sizeof *address);
			return true;
		}
		at += length;
	}
	return false;
}

static struct in_addr resolve(const char *name, const char *resolver)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
	uint8_t bytes[DNS_BYTES_MAX];
	size_t size = encode_question(name, bytes);
	struct in_addr address;
	ssize_t got;
	int fd = open_udp(server, false);

	if (size == 0 || inet_pton(AF_INET, resolver, &server.sin_addr) != 1) {
		fprintf(stderr, "greet: '%s' is no name or '%s' no address\n", name, resolver);
		exit(2);
	}
	sendto(fd, bytes, size, 0, (struct sockaddr *)&server, sizeof server);
	if (!readable(fd, now_ns() + PATIENCE_NS))
		fail("no reply of the resolver");
	got = recv(fd, bytes, sizeof bytes, 0);
	close(fd);
	if (got < 0 || !decode_reply(bytes, (size_t)got, &address)) {
		fprintf(stderr, "greet: the resolver knows no address of %s\n", name);
		exit(1);
	}
	return address;
}

static int ask(const char *name, uint16_t port, const char *resolver)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	uint64_t start_ns = now_ns(), named_ns, due_ns, number = 0;
	int fd = open_udp(to, false);

	if (inet_pton(AF_INET, name, &to.sin_addr) != 1)
		to.sin_addr = resolve(name, resolver);
	named_ns = due_ns = now_ns();
	while (now_ns() - start_ns < PATIENCE_NS) {
		struct words words = {number, 0};

		if (now_ns() >= due_ns) {
			sendto(fd, &words, sizeof words, 0, (struct sockaddr *)&to, sizeof to);
			number++;
			due_ns += PACE_NS;
		}
		if (!readable(fd, due_ns) || recv(fd, &words, sizeof words, 0) != sizeof words)
			continue;
		printf("dns_us %" PRIu64 " first_byte_us %" PRIu64 " answer_us %" PRIu64 " number %" PRIu64 "\n",
		       (named_ns - start_ns) / NSEC_PER_USEC, (words.arrived_ns - start_ns) / NSEC_PER_USEC,
		       (now_ns() - start_ns) / NSEC_PER_USEC, words.number);
		return 0;
	}
	fprintf(stderr, "greet: no answer from %s\n", name);
	return 1;
}

int main(int argc, char **argv)
{
	prctl(PR_SET_TIMERSLACK, 1);
	if (argc == 3 && strcmp(argv[1], "answer") == 0)
		answer((uint16_t)atol(argv[2]));
	if (argc >= 4 && strcmp(argv[1], "ask") == 0)
		return ask(argv[2], (uint16_t)atol(argv[3]), argc > 4 ? argv[4] : "127.0.0.1");
	fprintf(stderr, "usage: greet answer PORT | greet ask ADDRESS PORT | greet ask NAME PORT RESOLVER-ADDRESS\n");
	return 2;
}
