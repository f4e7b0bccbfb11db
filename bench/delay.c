/*
 * delay: a wire with a length. Frames that enter one interface of a pair leave the other a fixed time later, in order,
 * both ways; for kernels without netem. The interfaces' far ends need `ethtool -K IF tx off tso off gso off gro off`,
 * so that whole frames arrive.
 *
 * usage: delay IF-A IF-B MICROSECONDS [IF-A IF-B MICROSECONDS ...]     prints "forwarding" when ready, its counts on
 * SIGTERM
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PAIRS_MAX = 16,
	DIRECTIONS_MAX = 2 * PAIRS_MAX,
	QUEUE_FRAMES = 8192, /* a power of two: 25 ms at 4 Gbit/s of 1500-byte frames */
	FRAME_MAX = 2048,
	BATCH_FRAMES = 64,
	RECEIVE_BUFFER_BYTES = 16 << 20,
};

static const uint64_t NSEC_PER_SEC = 1000000000;
static const uint64_t NEVER = UINT64_MAX;

/* One way through a wire: a ring of frames, each with the time when it leaves. */
struct direction {
	int in, out; /* packet sockets */
	uint64_t delay_ns;
	uint64_t due_ns[QUEUE_FRAMES];
	uint16_t sizes[QUEUE_FRAMES];
	uint8_t (*frames)[FRAME_MAX];
	unsigned head, tail; /* tail - head frames wait */
	uint64_t forwarded, dropped;
};

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* A socket that hears every frame of the interface but its own, and sends past the queueing discipline. */
static int open_interface(const char *name)
{
	int on = 1, size = RECEIVE_BUFFER_BYTES;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

	address.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || address.sll_ifindex == 0)
		fail(name);
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) != 0)
		fail("PACKET_IGNORE_OUTGOING");
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0)
		fail("PACKET_QDISC_BYPASS");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
		fail("SO_RCVBUFFORCE");
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
		fail("bind");
	return fd;
}

static void init_direction(struct direction *d, int in, int out, uint64_t delay_ns)
{
	*d = (struct direction){.in = in, .out = out, .delay_ns = delay_ns};
	d->frames = calloc(QUEUE_FRAMES, FRAME_MAX);
	if (!d->frames)
		fail("memory");
}

/* Sends what is due; returns when the next frame is. */
static uint64_t send_due(struct direction *d, uint64_t now)
{
	while (d->head != d->tail && d->due_ns[d->head % QUEUE_FRAMES] <= now) {
		unsigned slot = d->head++ % QUEUE_FRAMES;

		if (send(d->out, d->frames[slot], d->sizes[slot], 0) < 0)
			d->dropped++;
		else
			d->forwarded++;
	}
	return d->head == d->tail ? NEVER : d->due_ns[d->head % QUEUE_FRAMES];
}

static void drop_one(struct direction *d)
{
	uint8_t byte;

	if (recv(d->in, &byte, sizeof byte, MSG_TRUNC) >= 0)
		d->dropped++;
}

/* Takes up to a batch of frames off the interface and writes down when each leaves. */
static void receive(struct direction *d, uint64_t now)
{
	struct mmsghdr messages[BATCH_FRAMES];
	struct iovec parts[BATCH_FRAMES];
	unsigned room = QUEUE_FRAMES - (d->tail - d->head);
	unsigned count = room < BATCH_FRAMES ? room : BATCH_FRAMES;
	int received;

	if (count == 0) {
		drop_one(d);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		parts[i] = (struct iovec){d->frames[(d->tail + i) % QUEUE_FRAMES], FRAME_MAX};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	}
	received = recvmmsg(d->in, messages, count, MSG_DONTWAIT, NULL);
	for (int i = 0; i < received; i++, d->tail++) {
		d->due_ns[d->tail % QUEUE_FRAMES] = now + d->delay_ns;
		d->sizes[d->tail % QUEUE_FRAMES] = (uint16_t)messages[i].msg_len;
	}
}

/* Until SIGTERM: send what is due, then sleep until a frame comes or the next one is due. */
static void forward(struct direction *directions, size_t count)
{
	struct pollfd polled[DIRECTIONS_MAX];

	for (size_t i = 0; i < count; i++)
		polled[i] = (struct pollfd){.fd = directions[i].in, .events = POLLIN};
	while (!ended) {
		uint64_t now = now_ns(), next = NEVER;
		struct timespec wait;

		for (size_t i = 0; i < count; i++) {
			uint64_t due = send_due(&directions[i], now);

			next = due < next ? due : next;
		}
		now = now_ns();
		next = next == NEVER ? NSEC_PER_SEC : next > now ? next - now : 0;
		wait = (struct timespec){(time_t)(next / NSEC_PER_SEC), (long)(next % NSEC_PER_SEC)};
		if (ppoll(polled, count, &wait, NULL) < 0 && errno != EINTR)
			fail("ppoll");
		now = now_ns();
		for (size_t i = 0; i < count; i++)
			if (polled[i].revents)
				receive(&directions[i], now);
	}
}

int main(int argc, char **argv)
{
	static struct direction directions[DIRECTIONS_MAX];
	struct sigaction action = {.sa_handler = end};
	size_t count = 0;

	if (argc < 4 || (argc - 1) % 3 != 0 || (argc - 1) / 3 > PAIRS_MAX) {
		fprintf(stderr, "usage: delay IF-A IF-B MICROSECONDS [IF-A IF-B MICROSECONDS ...]\n");
		return 2;
	}
	for (int i = 1; i < argc; i += 3) {
		char *rest;
		uint64_t delay_ns = strtoull(argv[i + 2], &rest, 10) * 1000;
		int one = open_interface(argv[i]), other = open_interface(argv[i + 1]);

		if (*rest != '\0' || rest == argv[i + 2]) {
			fprintf(stderr, "delay: '%s' is no number of microseconds\n", argv[i + 2]);
			return 2;
		}
		init_direction(&directions[count++], one, other, delay_ns);
		init_direction(&directions[count++], other, one, delay_ns);
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1);
	printf("forwarding\n");
	fflush(stdout);
	forward(directions, count);
	for (size_t i = 0; i < count; i++)
		printf("direction %zu: %" PRIu64 " forwarded, %" PRIu64 " dropped\n", i, directions[i].forwarded,
		       directions[i].dropped);
	return 0;
}
