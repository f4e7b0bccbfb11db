/*
 * probe: one end of a measured pair. Sends a numbered probe every two milliseconds, or a TCP stream of that pace, to
 * the other end, and writes down when each was sent and when each of the other's arrived (CLOCK_MONOTONIC, so the two
 * ends' logs compare when both are on one machine). The log is a mapped file, so that it can be read while it grows;
 * its layout is struct log below, everything in host order.
 *
 * usage: probe LOG udp LOCAL REMOTE PORT [silent]     LOCAL and REMOTE are addresses; silent: only listens
 *        probe LOG tcp|mptcp listen LOCAL PORT        until SIGTERM or the end of the stream
 *        probe LOG tcp|mptcp connect REMOTE PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stopwatch.h"

enum {
	LOG_CAPACITY = 1 << 16,	   /* 131 s of probes */
	BLOCK_BYTES = 1000,	   /* of a stream, one a pace: 4 Mbit/s */
	DATAGRAM_BYTES = 64,	   /* number, then zeros */
	OWED_BLOCKS_MAX = 1 << 14, /* a stream that stalls for longer than 32 s does not catch up */
	CHUNK_BYTES = 1 << 16,
	TOTAL_RTO_OFFSET =
		240, /* of tcpi_total_rto in struct tcp_info: kernel 6.7 and later have it, older headers do not */
	PROTOCOL_MPTCP = 262,
};

static const uint64_t PACE_NS = 2000000;
static const uint64_t LOG_MAGIC = 0x31676f6c6d746e; /* "ntmlog1" */

enum state {
	STATE_WAITING,
	STATE_OPEN,
	STATE_ENDED,
	STATE_BROKEN, /* reset, or bytes that are not the next ones */
};

struct arrival {
	uint64_t number, at_ns;
};

/* What readers find in the file. */
struct log {
	uint64_t magic, capacity, state, sent, received, retransmits, timeouts, reserved;
	uint64_t sent_ns[LOG_CAPACITY]; /* by number; 0 where sending failed */
	struct arrival arrived[LOG_CAPACITY];
};

/* A stream's two directions. */
struct stream {
	uint8_t block[BLOCK_BYTES];
	size_t block_sent; /* bytes of the block at the front that are gone */
	uint64_t due;	   /* blocks that the pace allows */
	uint8_t head[sizeof(uint64_t)];
	size_t offset; /* in the block that is arriving */
};

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct log *open_log(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct log *log;

	if (fd < 0 || ftruncate(fd, sizeof *log) != 0)
		fail(path);
	log = mmap(NULL, sizeof *log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (log == MAP_FAILED)
		fail("mmap");
	close(fd);
	log->capacity = LOG_CAPACITY;
	log->magic = LOG_MAGIC;
	return log;
}

static void note_sent(struct log *log, uint64_t at_ns)
{
	if (log->sent < LOG_CAPACITY)
		log->sent_ns[log->sent] = at_ns;
	log->sent++;
}

static void note_arrival(struct log *log, uint64_t number, uint64_t at_ns)
{
	if (log->received < LOG_CAPACITY) {
		log->arrived[log->received] = (struct arrival){number, at_ns};
		__atomic_store_n(&log->received, log->received + 1, __ATOMIC_RELEASE);
	}
}

static socklen_t parse_address(const char *text, const char *port, struct sockaddr_storage *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atol(port))};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};

	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(address, &v4, sizeof v4);
		return sizeof v4;
	}
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
		memcpy(address, &v6, sizeof v6);
		return sizeof v6;
	}
	fprintf(stderr, "probe: '%s' is no address\n", text);
	exit(2);
}

static int open_socket(int family, int type, int protocol)
{
	int on = 1;
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return fd;
}

static void take_datagrams(struct log *log, int fd)
{
	uint8_t bytes[DATAGRAM_BYTES];
	uint64_t number;

	while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == sizeof bytes) {
		memcpy(&number, bytes, sizeof number);
		note_arrival(log, number, now_ns());
	}
}

static void send_datagram(struct log *log, int fd, const struct sockaddr_storage *remote, socklen_t size)
{
	uint8_t bytes[DATAGRAM_BYTES] = {0};
	uint64_t at_ns = now_ns();

	memcpy(bytes, &log->sent, sizeof log->sent);
	if (sendto(fd, bytes, sizeof bytes, MSG_DONTWAIT, (const struct sockaddr *)remote, size) != sizeof bytes)
		at_ns = 0;
	note_sent(log, at_ns);
}

/* Sleeps until the socket has something or the time has come; says whether the socket has. */
static short wait_until(int fd, short events, uint64_t due_ns)
{
	struct pollfd polled = {.fd = fd, .events = events};
	uint64_t now = now_ns(), wait_ns = due_ns > now ? due_ns - now : 0;
	struct timespec wait = {(time_t)(wait_ns / NSEC_PER_SEC), (long)(wait_ns % NSEC_PER_SEC)};

	if (ppoll(&polled, 1, &wait, NULL) < 0 && errno != EINTR)
		fail("ppoll");
	return polled.revents;
}

static void run_datagrams(struct log *log, char **words, bool silent)
{
	struct sockaddr_storage local, remote;
	socklen_t size = parse_address(words[0], words[2], &local);
	int fd = open_socket(local.ss_family, SOCK_DGRAM, 0);
	uint64_t due_ns = now_ns();

	parse_address(words[1], words[2], &remote);
	if (bind(fd, (struct sockaddr *)&local, size) != 0)
		fail(words[0]);
	log->state = STATE_OPEN;
	while (!ended) {
		if (wait_until(fd, POLLIN, due_ns))
			take_datagrams(log, fd);
		if (now_ns() < due_ns)
			continue;
		if (!silent)
			send_datagram(log, fd, &remote, size);
		due_ns += PACE_NS;
	}
	take_datagrams(log, fd);
	log->state = STATE_ENDED;
}

/* Sends what is due, as far as the socket takes it. */
static bool push(struct log *log, struct stream *s, int fd)
{
	while (log->sent < s->due) {
		ssize_t done;

		if (s->block_sent == 0)
			memcpy(s->block, &log->sent, sizeof log->sent);
		done = send(fd, s->block + s->block_sent, BLOCK_BYTES - s->block_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (done < 0)
			return errno == EAGAIN || errno == EINTR;
		s->block_sent += (size_t)done;
		if (s->block_sent < BLOCK_BYTES)
			return true;
		s->block_sent = 0;
		note_sent(log, now_ns());
	}
	return true;
}

/* Takes bytes of the stream: each block must carry the number after the one before it, else bytes were lost or doubled.
 */
static bool take_bytes(struct log *log, struct stream *s, const uint8_t *bytes, size_t size, uint64_t at_ns)
{
	for (size_t i = 0; i < size;) {
		size_t part = BLOCK_BYTES - s->offset;
		uint64_t number;

		if (s->offset < sizeof s->head) {
			s->head[s->offset++] = bytes[i++];
			continue;
		}
		part = part < size - i ? part : size - i;
		i += part;
		s->offset += part;
		if (s->offset < BLOCK_BYTES)
			continue;
		s->offset = 0;
		memcpy(&number, s->head, sizeof number);
		if (number != log->received)
			return false;
		note_arrival(log, number, at_ns);
	}
	return true;
}

/* Reads all there is; false at the end of the stream or when it is broken, and then log->state says which. */
static bool pull(struct log *log, struct stream *s, int fd)
{
	static uint8_t bytes[CHUNK_BYTES];

	for (;;) {
		ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (size <= 0 || !take_bytes(log, s, bytes, (size_t)size, now_ns())) {
			log->state = size == 0 ? STATE_ENDED : STATE_BROKEN;
			return false;
		}
	}
}

static void note_counters(struct log *log, int fd)
{
	uint8_t bytes[512] = {0};
	socklen_t size = sizeof bytes;
	struct tcp_info info;
	uint16_t total_rto;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, &size) != 0)
		return;
	memcpy(&info, bytes, sizeof info);
	memcpy(&total_rto, bytes + TOTAL_RTO_OFFSET, sizeof total_rto);
	log->retransmits = info.tcpi_total_retrans;
	log->timeouts = total_rto;
}

static void run_stream(struct log *log, int fd)
{
	static struct stream stream;
	uint64_t due_ns = now_ns();
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	log->state = STATE_OPEN;
	while (!ended) {
		short events = (short)(POLLIN | (stream.due > log->sent ? POLLOUT : 0));

		if (wait_until(fd, events, due_ns) & (POLLIN | POLLHUP | POLLERR) && !pull(log, &stream, fd))
			return;
		for (uint64_t now = now_ns(); due_ns <= now; due_ns += PACE_NS)
			stream.due += stream.due - log->sent < OWED_BLOCKS_MAX;
		if (!push(log, &stream, fd)) {
			log->state = STATE_BROKEN;
			return;
		}
		note_counters(log, fd);
	}
	log->state = STATE_ENDED;
}

static int accept_one(const char *local, const char *port, int protocol)
{
	struct sockaddr_storage address;
	socklen_t size = parse_address(local, port, &address);
	int listener = open_socket(address.ss_family, SOCK_STREAM, protocol), fd;

	if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1) != 0)
		fail(local);
	printf("listening\n");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		fail("accept");
	return fd; /* the listener stays: a further subflow of MPTCP is let in by it */
}

static int connect_to(const char *remote, const char *port, int protocol)
{
	struct sockaddr_storage address;
	socklen_t size = parse_address(remote, port, &address);
	int fd = open_socket(address.ss_family, SOCK_STREAM, protocol);

	if (connect(fd, (struct sockaddr *)&address, size) != 0)
		fail(remote);
	return fd;
}

static int usage(void)
{
	fprintf(stderr, "usage: probe LOG udp LOCAL REMOTE PORT [silent] | probe LOG tcp|mptcp listen LOCAL PORT |"
			" probe LOG tcp|mptcp connect REMOTE PORT\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = end};
	struct log *log;
	int protocol;

	if (argc < 6)
		return usage();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1);
	log = open_log(argv[1]);
	if (strcmp(argv[2], "udp") == 0) {
		run_datagrams(log, argv + 3, argc > 6 && strcmp(argv[6], "silent") == 0);
		return 0;
	}
	protocol = strcmp(argv[2], "mptcp") == 0 ? PROTOCOL_MPTCP : IPPROTO_TCP;
	if (strcmp(argv[3], "listen") == 0)
		run_stream(log, accept_one(argv[4], argv[5], protocol));
	else if (strcmp(argv[3], "connect") == 0)
		run_stream(log, connect_to(argv[4], argv[5], protocol));
	else
		return usage();
	return 0;
}
