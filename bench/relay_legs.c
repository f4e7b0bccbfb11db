/*
 * relay_legs.c: legs at a relay by hand, as many as wished, with tickets that it seals itself: it reads the key of a
 * coordinator whose tickets count there. And what sends through them, each pair in turn. IPv4.
 *
 * usage: relay-legs bind RELAY:PORT LOCAL:PORT LEG COUNT COORDINATOR-KEY RELAY-KEY
 *            binds leg LEG (0, 1) of the pairs 1 to COUNT, that of pair N from LOCAL + N - 1; says "bound COUNT"
 *        relay-legs send RELAY:PORT LOCAL:PORT COUNT SIZE BURST MS
 *            trains of BURST datagrams (1: one by one) through pairs that are bound, as fast as it goes; says "sent
 *            DATAGRAMS US"
 *        relay-legs touch RELAY:PORT LOCAL:PORT COUNT
 *            one datagram through each, so that no leg falls idle; says "sent DATAGRAMS US"
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io/clock.h"
#include "proto/session/leg.h"
#include "proto/session/trust.h"

enum {
	WINDOW = 256,
	CALL = 64,
	CALL_TRAINS = 8,
	SIZE_LIMIT = 2000,
	TRAIN_LIMIT = 65000,
	PAIRS_LIMIT = 1 << 20,
	PATIENCE_US = 60 * 1000 * 1000,
	WAIT_MS = 20
};
/* Pairs take turns in an order that is not that of their memory; coprime to the numbers used. */
enum { SCATTER = 40503, TOUCH_BURST_US = 200 };

struct legs {
	int fd;
	struct addr relay, local;
	unsigned leg;
	uint64_t count;
	uint8_t ticket_key[KEY_SIZE], coordinator[KEY_SIZE];
};

/* A message with its own source address. */
struct outgoing {
	uint8_t bytes[TRAIN_LIMIT];
	struct iovec part;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
};

/* A train to be sent by each pair in turn. */
struct shape {
	size_t size, burst;
};

static struct leg window[WINDOW];
static struct outgoing outgoing[CALL];
static struct mmsghdr messages[CALL];

static void fail(const char *what)
{
	fprintf(stderr, "relay-legs: %s: %s\n", what, errno ? strerror(errno) : "no");
	exit(1);
}

static struct sockaddr_in name_of(const struct addr *addr)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(addr->port)};

	memcpy(&name.sin_addr, addr->ip.bytes, 4);
	return name;
}

/* Bound to every address: which one a datagram leaves from is said with it. */
static void open_socket(struct legs *legs)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(legs->local.port)};
	struct sockaddr_in remote = name_of(&legs->relay);
	int bytes = 7 << 20;

	legs->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (legs->fd < 0 || bind(legs->fd, (struct sockaddr *)&local, sizeof local) != 0)
		fail("socket");
	(void)setsockopt(legs->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	(void)setsockopt(legs->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
	for (size_t i = 0; i < CALL; i++) {
		static struct sockaddr_in to;

		to = remote;
		outgoing[i].part.iov_base = outgoing[i].bytes;
		messages[i].msg_hdr = (struct msghdr){.msg_name = &to,
						      .msg_namelen = sizeof to,
						      .msg_iov = &outgoing[i].part,
						      .msg_iovlen = 1,
						      .msg_control = outgoing[i].control,
						      .msg_controllen = CMSG_SPACE(sizeof(struct in_pktinfo))};
	}
}

static void set_source(struct outgoing *out, const struct addr *local, uint64_t pair)
{
	struct cmsghdr *c = (struct cmsghdr *)out->control;
	struct in_pktinfo info = {0};
	uint32_t base;

	memcpy(&base, local->ip.bytes, 4);
	info.ipi_spec_dst.s_addr = htonl(ntohl(base) + (uint32_t)pair - 1);
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
	memcpy(CMSG_DATA(c), &info, sizeof info);
}

static void read_key(const char *path, struct dh_keys *ret)
{
	uint8_t seeds[2 * KEY_SIZE]; /* of signatures, of DH */
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, seeds, sizeof seeds) != (ssize_t)sizeof seeds)
		fail(path);
	(void)close(fd);
	dh_keys_from_seed(seeds + KEY_SIZE, ret);
}

/* The same ticket on both sides, so that neither needs the other: its leg keys follow from the PathID. */
static void begin_leg(const struct legs *legs, uint64_t pair, struct time_us now, struct leg *ret)
{
	uint8_t sealed[TICKET_SEALED_SIZE], nonce[12] = {0};
	struct ticket ticket = {.path_id = pair, .not_after_s = clock_wall_s() + 86400};
	struct relay_grant grant = {.name = "relay",
				    .addresses = {.count = 1, .list = {legs->relay}},
				    .leg = (uint8_t)legs->leg,
				    .ticket = {sealed, sizeof sealed}};

	for (unsigned leg = 0; leg < 2; leg++) {
		memcpy(ticket.leg_keys[leg], &pair, sizeof pair);
		ticket.leg_keys[leg][KEY_SIZE - 1] = (uint8_t)(leg + 1);
	}
	memcpy(grant.leg_key, ticket.leg_keys[legs->leg], KEY_SIZE);
	memcpy(nonce, &pair, sizeof pair);
	ticket_seal(&ticket, legs->ticket_key, legs->coordinator, nonce, sealed);
	if (leg_init(ret, pair, &grant, now) != OK)
		fail("leg");
}

static void say_of(const struct legs *legs, struct leg *leg, struct time_us now)
{
	struct outgoing *out = &outgoing[0];
	size_t size;

	while (leg_output(leg, now, out->bytes, &size)) {
		out->part.iov_len = size;
		set_source(out, &legs->local, leg->path_id);
		(void)!sendmsg(legs->fd, &messages[0].msg_hdr, 0);
	}
}

static void hear(const struct legs *legs)
{
	struct pollfd ready = {.fd = legs->fd, .events = POLLIN};
	uint8_t bytes[SIZE_LIMIT];
	ssize_t size;

	if (poll(&ready, 1, WAIT_MS) <= 0)
		return;
	while ((size = recv(legs->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
		struct reader r = reader_over(bytes, (size_t)size);
		struct header header;

		if (header_decode(&r, &header) != OK)
			continue;
		for (size_t i = 0; i < WINDOW; i++)
			if (window[i].path_id == header.path_id)
				(void)leg_input(&window[i], clock_now(), bytes, (size_t)size);
	}
}

/* Who asks for whom: WINDOW legs at once until all are bound. */
static void bind_all(struct legs *legs)
{
	struct time_us end = time_add(clock_now(), PATIENCE_US);
	uint64_t next = 1, bound = 0;

	while (bound < legs->count) {
		struct time_us now = clock_now();

		if (time_reached(now, end))
			fail("not every leg was bound in time");
		for (size_t i = 0; i < WINDOW; i++) {
			struct leg *leg = &window[i];

			if (leg->path_id && leg_is_bound(leg)) {
				bound++;
				leg->path_id = 0;
			}
			if (!leg->path_id && next <= legs->count)
				begin_leg(legs, next++, now, leg);
			if (leg->path_id)
				say_of(legs, leg, now);
		}
		hear(legs);
	}
	printf("bound %llu\n", (unsigned long long)bound);
}

static void set_segment(size_t i, uint16_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)(outgoing[i].control + CMSG_SPACE(sizeof(struct in_pktinfo)));

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof size), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
	memcpy(CMSG_DATA(c), &size, sizeof size);
	messages[i].msg_hdr.msg_controllen = sizeof outgoing[i].control;
}

/* The headers of all of its datagrams; what is behind them does not matter. */
static void put_train(size_t i, const struct legs *legs, uint64_t turn, const struct shape *shape)
{
	uint64_t pair = 1 + turn * SCATTER % legs->count;

	for (size_t k = 0; k < shape->burst; k++) {
		struct writer w = writer_over(outgoing[i].bytes + k * shape->size, shape->size);

		header_encode(&(struct header){.type = PACKET_SEALED, .counter = turn & UINT32_MAX, .path_id = pair},
			      &w);
	}
	outgoing[i].part.iov_len = shape->size * shape->burst;
	set_source(&outgoing[i], &legs->local, pair);
	if (shape->burst > 1)
		set_segment(i, (uint16_t)shape->size);
}

/* What the kernel has no room for is lost, as it would be on a wire. us: of every call; 0: as fast as it goes. */
static void send_through(struct legs *legs, const struct shape *shape, uint64_t most, int64_t ms, int64_t us)
{
	struct time_us start = clock_now(), now = start;
	size_t call = shape->burst > 1 ? CALL_TRAINS : CALL;
	uint64_t sent = 0;

	while (sent < most && time_since(now, start) < ms * 1000) {
		size_t count = most - sent < call ? (size_t)(most - sent) : call;

		for (size_t i = 0; i < count; i++)
			put_train(i, legs, sent + i, shape);
		for (size_t done = 0; done < count; done++) {
			int some = sendmmsg(legs->fd, messages + done, (unsigned)(count - done), 0);

			done += some > 0 ? (size_t)some - 1 : 0;
		}
		sent += count;
		if (us)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = us * 1000}, NULL);
		now = clock_now();
	}
	printf("sent %llu %lld\n", (unsigned long long)(sent * shape->burst), (long long)time_since(now, start));
}

static int usage(void)
{
	fprintf(stderr, "usage: relay-legs bind RELAY:PORT LOCAL:PORT LEG COUNT COORDINATOR-KEY RELAY-KEY\n"
			"       relay-legs send RELAY:PORT LOCAL:PORT COUNT SIZE BURST MS\n"
			"       relay-legs touch RELAY:PORT LOCAL:PORT COUNT\n");
	return 2;
}

static void begin_bind(struct legs *legs, char **words)
{
	struct dh_keys coordinator, relay;

	legs->leg = strtoul(words[0], NULL, 10) & 1;
	read_key(words[2], &coordinator);
	read_key(words[3], &relay);
	memcpy(legs->coordinator, coordinator.public, KEY_SIZE);
	if (ticket_key(coordinator.secret, relay.public, legs->ticket_key) != OK)
		fail("keys");
	bind_all(legs);
}

int main(int argc, char *argv[])
{
	struct legs legs = {0};
	const char *verb = argc > 1 ? argv[1] : "";
	bool is_bind = strcmp(verb, "bind") == 0, is_send = strcmp(verb, "send") == 0;
	struct shape shape = {.size = HEADER_SIZE, .burst = 1};

	if ((!is_bind && !is_send && strcmp(verb, "touch") != 0) || argc != (is_bind || is_send ? 8 : 5) ||
	    addr_parse(argv[2], 0, &legs.relay) != OK || addr_parse(argv[3], 0, &legs.local) != OK || !crypto_init())
		return usage();
	legs.count = strtoull(argv[is_bind ? 5 : 4], NULL, 10);
	if (is_send)
		shape = (struct shape){strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10)};
	if (legs.count < 1 || legs.count > PAIRS_LIMIT || shape.size < HEADER_SIZE || shape.size > SIZE_LIMIT ||
	    shape.burst < 1 || shape.burst > CALL || shape.size * shape.burst > TRAIN_LIMIT)
		return usage();
	open_socket(&legs);
	if (is_bind)
		begin_bind(&legs, argv + 4);
	else if (is_send)
		send_through(&legs, &shape, UINT64_MAX, strtol(argv[7], NULL, 10), 0);
	else
		send_through(&legs, &shape, legs.count, PATIENCE_US / 1000, TOUCH_BURST_US);
	return 0;
}
