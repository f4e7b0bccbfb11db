/*
 * udp_load.c: loads of UDP, and what counts them. IPv4.
 *
 * usage: udp-load sink [-g] [-x] LOCAL:PORT
 *            says "ready"; counts until the sender's end mark, a datagram of one byte, or until nothing has come for
 *            1 s (10 s for the first one), then says "received DATAGRAMS BYTES US": US is from the first to the last
 *        udp-load send [-l LOCAL:PORT] [-s SIZE] [-b BURST] [-r RATE] [-t MS] [-g] [-p HEX] TO:PORT
 *            BURST datagrams a call, RATE a second (0: as fast as it goes) for MS; says "sent DATAGRAMS BYTES US"
 *        udp-load ask [-s SIZE] [-b WINDOW] [-t MS] TO:PORT
 *            keeps up to WINDOW datagrams under way to something that sends them back; says "answered DATAGRAMS BYTES
 * US"
 * -g: trains, that is UDP_SEGMENT out and UDP_GRO in; else sendmmsg and recvmmsg. -x: what comes is counted, not
 * copied. -p: each datagram begins with these bytes.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../stopwatch.h"
#include "base/addr.h"

enum { BURST_MAX = 64, TRAIN_BYTES_MAX = 65000, SIZE_MAX_BYTES = 9000, BUFFERS = 64, PREFIX_MAX = 64 };
enum { TRAINS = 8 }; /* at once: as much as a cache holds */
enum {
	FIRST_MS = 10000,
	QUIET_MS = 1000,
	MARKS = 3,
	MARK_MS = 10,
	LOST_MS = 20,
	MS_MAX = 120000,
	CALLS_BEHIND_MAX = 4
};

struct load {
	int fd;
	struct addr local, remote;
	size_t size, burst;
	double rate;
	long ms;
	bool trains, ended, blind;
	uint8_t prefix[PREFIX_MAX];
	size_t prefix_size;
};

static struct iovec parts[BURST_MAX], parts_in[BUFFERS];
static struct mmsghdr messages[BURST_MAX], messages_in[BUFFERS];
static uint8_t payload[TRAIN_BYTES_MAX];
static uint8_t buffers[BUFFERS][TRAIN_BYTES_MAX + 1000];
static uint8_t controls[BUFFERS][CMSG_SPACE(sizeof(int))];

static void fail(const char *what)
{
	fprintf(stderr, "udp-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_us(void)
{
	return (int64_t)(now_ns() / 1000);
}

static struct sockaddr_in name_of(const struct addr *addr)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(addr->port)};

	memcpy(&name.sin_addr, addr->ip.bytes, 4);
	return name;
}

static void open_socket(struct load *load)
{
	struct sockaddr_in local = name_of(&load->local), remote = name_of(&load->remote);
	int bytes = 64 << 20; /* whoever reads may be kept from it for some ms: that is not the tunnel's loss */

	load->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (load->fd < 0)
		fail("socket");
	if (load->local.port && bind(load->fd, (struct sockaddr *)&local, sizeof local) != 0)
		fail("bind");
	if (load->remote.port && connect(load->fd, (struct sockaddr *)&remote, sizeof remote) != 0)
		fail("connect");
	if (setsockopt(load->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
		(void)setsockopt(load->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	if (setsockopt(load->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
		(void)setsockopt(load->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static void say(const char *what, uint64_t datagrams, uint64_t bytes, int64_t us)
{
	printf("%s %llu %llu %lld\n", what, (unsigned long long)datagrams, (unsigned long long)bytes, (long long)us);
	(void)fflush(stdout);
}

/* How long the datagrams of a train are that the kernel has joined; 0: it has joined none. */
static size_t joined_size(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof size);
			return size > 0 ? (size_t)size : 0;
		}
	return 0;
}

static bool wait_ms(int fd, int ms)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	return poll(&ready, 1, ms) > 0;
}

/* Takes what waits, at most a batch of calls. */
static uint64_t take(struct load *load, uint64_t *bytes)
{
	uint64_t datagrams = 0;
	int count, limit = load->trains ? TRAINS : BUFFERS;

	for (int i = 0; i < limit; i++) {
		parts_in[i] = (struct iovec){buffers[i], load->blind ? 1 : sizeof buffers[i]};
		messages_in[i].msg_hdr = (struct msghdr){.msg_iov = &parts_in[i], .msg_iovlen = 1};
		if (load->trains) {
			messages_in[i].msg_hdr.msg_control = controls[i];
			messages_in[i].msg_hdr.msg_controllen = sizeof controls[i];
		}
	}
	count = recvmmsg(load->fd, messages_in, (unsigned)limit, MSG_DONTWAIT | (load->blind ? MSG_TRUNC : 0), NULL);
	for (int i = 0; i < count; i++) {
		size_t size = load->trains ? joined_size(&messages_in[i].msg_hdr) : 0;

		if (messages_in[i].msg_len == 1) {
			load->ended = true;
			continue;
		}
		datagrams += size ? (messages_in[i].msg_len + size - 1) / size : 1;
		*bytes += messages_in[i].msg_len;
	}
	return datagrams;
}

static void sink(struct load *load)
{
	int on = 1;
	uint64_t datagrams = 0, bytes = 0, more;
	int64_t first = 0, last = 0;

	if (load->trains && setsockopt(load->fd, SOL_UDP, UDP_GRO, &on, sizeof on) != 0)
		fail("UDP_GRO");
	printf("ready\n");
	(void)fflush(stdout);
	while (!load->ended && wait_ms(load->fd, datagrams ? QUIET_MS : FIRST_MS)) {
		while ((more = take(load, &bytes)) > 0) {
			datagrams += more;
			last = now_us();
			first = first ? first : last;
		}
	}
	say("received", datagrams, bytes, last - first);
}

/* What the kernel has no room for is lost, as it would be on a wire; the sender has sent it. */
static void send_some(struct load *load, size_t count)
{
	if (load->trains) {
		(void)!send(load->fd, payload, load->size * count, 0);
		return;
	}
	for (size_t done = 0; done < count; done++) {
		int sent = sendmmsg(load->fd, messages + done, (unsigned)(count - done), 0);

		if (sent > 0)
			done += (size_t)sent - 1;
	}
}

static void prepare_bursts(struct load *load)
{
	int segment = (int)load->size;

	if (load->trains && setsockopt(load->fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0)
		fail("UDP_SEGMENT");
	for (size_t i = 0; i < load->burst; i++) {
		memcpy(payload + i * load->size, load->prefix, load->prefix_size);
		parts[i] = (struct iovec){payload, load->size};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
}

static void wait_until(int64_t us)
{
	struct timespec at = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* Who was kept from sending does not make up for all of it: a burst that nobody asked for would be lost. */
static void send_all(struct load *load)
{
	int64_t start = now_us(), end = start + load->ms * 1000, now = start;
	double us_of_burst = load->rate > 0 ? (double)load->burst * 1e6 / load->rate : 0, due = 0;
	uint64_t bursts = 0;

	prepare_bursts(load);
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
	while (now < end) {
		if (due > (double)(now - start)) {
			wait_until(start + (int64_t)due);
		} else {
			if (due < (double)(now - start) - CALLS_BEHIND_MAX * us_of_burst)
				due = (double)(now - start) - CALLS_BEHIND_MAX * us_of_burst;
			send_some(load, load->burst);
			bursts++;
			due += us_of_burst;
		}
		now = now_us();
	}
	say("sent", bursts * load->burst, bursts * load->burst * load->size, now - start);
	for (int i = 1; i <= MARKS; i++) { /* late enough that queues have room again */
		wait_until(now_us() + MARK_MS * 1000);
		(void)!send(load->fd, payload, 1, 0);
	}
}

static void ask(struct load *load)
{
	int64_t start = now_us(), end = start + load->ms * 1000, now;
	uint64_t answered = 0, bytes = 0, more = load->burst;

	prepare_bursts(load);
	while ((now = now_us()) < end) {
		send_some(load, more);
		if (wait_ms(load->fd, LOST_MS)) {
			more = take(load, &bytes);
			answered += more;
			more = more < load->burst ? more : load->burst;
		} else {
			more = load->burst;
		}
	}
	say("answered", answered, bytes, now - start);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: udp-load sink [-g] [-x] LOCAL:PORT\n"
		"       udp-load send [-l LOCAL:PORT] [-s SIZE] [-b BURST] [-r RATE] [-t MS] [-g] [-p HEX] TO:PORT\n"
		"       udp-load ask [-s SIZE] [-b WINDOW] [-t MS] TO:PORT\n");
	return 2;
}

static bool read_prefix(const char *hex, struct load *load)
{
	unsigned byte;

	for (; load->prefix_size < PREFIX_MAX && sscanf(hex, "%2x", &byte) == 1 && hex[1]; hex += 2)
		load->prefix[load->prefix_size++] = (uint8_t)byte;
	return *hex == '\0';
}

static bool read_options(struct load *load, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "l:s:b:r:t:p:gx")) != -1)
		switch (option) {
		case 'l':
			if (addr_parse(optarg, 0, &load->local) != OK)
				return false;
			break;
		case 's': load->size = strtoul(optarg, NULL, 10); break;
		case 'b': load->burst = strtoul(optarg, NULL, 10); break;
		case 'r': load->rate = strtod(optarg, NULL); break;
		case 't': load->ms = strtol(optarg, NULL, 10); break;
		case 'g': load->trains = true; break;
		case 'x': load->blind = true; break;
		case 'p':
			if (!read_prefix(optarg, load))
				return false;
			break;
		default: return false;
		}
	return load->size > 1 && load->size >= load->prefix_size && load->size <= SIZE_MAX_BYTES && load->burst >= 1 &&
	       load->burst <= BURST_MAX && load->size * load->burst <= TRAIN_BYTES_MAX && load->rate >= 0 &&
	       load->ms >= 1 && load->ms <= MS_MAX;
}

int main(int argc, char **argv)
{
	struct load load = {.size = 1372, .burst = 16, .ms = 1000};
	const char *verb = argc > 1 ? argv[1] : "";
	bool is_sink = strcmp(verb, "sink") == 0;

	if (argc < 3 || !read_options(&load, argc - 1, argv + 1) || optind != argc - 2 ||
	    addr_parse(argv[optind + 1], 0, is_sink ? &load.local : &load.remote) != OK)
		return usage();
	open_socket(&load);
	if (is_sink)
		sink(&load);
	else if (strcmp(verb, "send") == 0)
		send_all(&load);
	else if (strcmp(verb, "ask") == 0)
		ask(&load);
	else
		return usage();
	return 0;
}
