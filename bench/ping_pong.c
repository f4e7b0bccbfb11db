/*
 * ping-pong: round trips of one UDP datagram at a time over IPv4, asked at a steady pace and never before the last one
 * is answered or given up.
 *
 * usage: ping-pong answer ADDRESS PORT                            prints "ready", answers until it is terminated
 *        ping-pong ask ADDRESS PORT COUNT PER-SECOND BYTES        prints answered, lost, and p50 p99 max mean in ns
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "stopwatch.h"

enum { BYTES_MIN = 8, BYTES_MAX = 1400, COUNT_MAX = 100000, LOST_IN_A_ROW_MAX = 5, ASK_ARGUMENTS = 7 };

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static int open_socket(const char *address, const char *port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	if (inet_pton(AF_INET, address, &ret->sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int answer(int fd, const struct sockaddr_in *own)
{
	struct sigaction action = {.sa_handler = end}; /* no SA_RESTART: a waiting recvfrom ends */
	struct sockaddr_in from;
	uint8_t bytes[BYTES_MAX];

	sigaction(SIGTERM, &action, NULL);
	if (bind(fd, (const struct sockaddr *)own, sizeof *own) != 0)
		return -1;
	printf("ready\n");
	(void)fflush(stdout);
	while (!ended) {
		socklen_t size = sizeof from;
		ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);

		if (got > 0)
			(void)sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, size);
	}
	return 0;
}

/* The round trip of this number; 0: not answered within the socket's patience. Late answers to others are skipped. */
static uint64_t ask_one(int fd, uint64_t number, size_t size)
{
	uint8_t bytes[BYTES_MAX] = {0}, answered[BYTES_MAX];
	uint64_t sent_ns;

	memcpy(bytes, &number, sizeof number);
	sent_ns = now_ns();
	if (send(fd, bytes, size, 0) != (ssize_t)size)
		return 0;
	for (;;) {
		ssize_t got = recv(fd, answered, sizeof answered, 0);

		if (got < 0)
			return 0;
		if ((size_t)got == size && memcmp(answered, bytes, sizeof number) == 0)
			return now_ns() - sent_ns;
	}
}

static void wait_until(uint64_t at_ns)
{
	struct timespec at = {.tv_sec = (time_t)(at_ns / NSEC_PER_SEC), .tv_nsec = (long)(at_ns % NSEC_PER_SEC)};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* Fills trips; returns how many were answered. What was late is not made up for: the pace goes on from there. */
static size_t ask_all(int fd, size_t count, uint64_t interval_ns, size_t size, uint64_t *trips, size_t *ret_lost)
{
	uint64_t next_ns = now_ns();
	size_t answered = 0, lost = 0, in_a_row = 0;

	for (size_t i = 0; i < count && in_a_row < LOST_IN_A_ROW_MAX; i++) {
		uint64_t trip_ns, at_ns;

		wait_until(next_ns);
		trip_ns = ask_one(fd, i, size);
		in_a_row = trip_ns ? 0 : in_a_row + 1;
		lost += !trip_ns;
		if (trip_ns)
			trips[answered++] = trip_ns;
		at_ns = now_ns();
		next_ns = next_ns + interval_ns > at_ns ? next_ns + interval_ns : at_ns;
	}
	*ret_lost = lost;
	return answered;
}

static int by_value(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static int ask(int fd, const struct sockaddr_in *to, char **words)
{
	size_t count = strtoul(words[0], NULL, 10), size = strtoul(words[2], NULL, 10), answered, lost;
	unsigned long per_second = strtoul(words[1], NULL, 10);
	struct timeval patience = {.tv_sec = 1};
	static uint64_t trips[COUNT_MAX];
	uint64_t sum = 0;

	if (count == 0 || count > COUNT_MAX || per_second == 0 || size < BYTES_MIN || size > BYTES_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
	    connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
		return -1;
	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	answered = ask_all(fd, count, NSEC_PER_SEC / per_second, size, trips, &lost);
	if (answered == 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	qsort(trips, answered, sizeof trips[0], by_value);
	for (size_t i = 0; i < answered; i++)
		sum += trips[i];
	printf("%zu %zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", answered, lost, trips[(answered - 1) / 2],
	       trips[(answered * 99 - 1) / 100], trips[answered - 1], sum / answered);
	return 0;
}

int main(int argc, char **argv)
{
	bool asks = argc == ASK_ARGUMENTS && strcmp(argv[1], "ask") == 0;
	struct sockaddr_in address;
	int fd;

	if (!asks && (argc != 4 || strcmp(argv[1], "answer") != 0)) {
		fprintf(stderr, "usage: ping-pong answer ADDRESS PORT | ask ADDRESS PORT COUNT PER-SECOND BYTES\n");
		return 2;
	}
	fd = open_socket(argv[2], argv[3], &address);
	if (fd < 0 || (asks ? ask(fd, &address, argv + 4) : answer(fd, &address)) != 0) {
		perror("ping-pong");
		return 1;
	}
	return 0;
}
