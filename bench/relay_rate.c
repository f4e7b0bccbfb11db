/*
 * relay_rate.c: what remembering costs a relay, in CPU time for each datagram, which other programs on the machine
 * disturb less than a rate. First the machine alone, at several loads in virtual time: what is copied is limited, so a
 * busy relay copies the smaller part. Then a relay as ntm-rs drives it, on loopback, as fast as a child can send,
 * without and with memory in turn; what is forwarded goes to a socket that nobody reads.
 *
 * usage: relay-rate [ROUNDS [BYTES]]     default 50 rounds, a memory of 16000000 bytes
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/udp.h"
#include "proto/relay/relay.h"
#include "proto/session/leg.h"
#include "proto/session/trust.h"
#include "stopwatch.h"

enum { ROUNDS_MAX = 200, WARM_US = 1500000, STRETCH_US = 40000, PATH = 7, TRAIN_MAX = 65000 };
enum { ALONE_DATAGRAMS = 1 << 20, ALONE_ROUNDS_MAX = 5 };
enum { SCATTER = 40503 }; /* so that pairs do not come in the order of their memory; coprime to their numbers */

struct pattern {
	const char *about;
	size_t size, count; /* of a datagram; datagrams in a train */
	uint64_t pairs;	    /* that take turns */
};

static const struct pattern patterns[] = {
	{"100 B, one by one, 1 pair", 100, 1, 1},
	{"1400 B, one by one, 1 pair", 1400, 1, 1},
	{"1400 B, one by one, 64 pairs", 1400, 1, 64},
	{"100 B, trains of 64, 64 pairs", 100, 64, 64},
	{"1400 B, trains of 45, 1 pair", 1400, 45, 1},
	{"1400 B, trains of 45, 64 pairs", 1400, 45, 64},
	{"100 B, one by one, 100000 pairs", 100, 1, 100000},
};

/* The last one is for the machine alone: legs that share an address would be sent as one train. */
enum { PATTERNS = sizeof patterns / sizeof *patterns, DRIVEN = PATTERNS - 1 };

static void fail(const char *what)
{
	fprintf(stderr, "relay-rate: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int socket_at(struct addr *ret)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof name;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &size) != 0)
		fail("socket");
	*ret = (struct addr){.ip = ip_v4(127, 0, 0, 1), .port = ntohs(name.sin_port)};
	return fd;
}

/* The pairs take turns, train by train. */
static void write_train(uint8_t *ret, const struct pattern *pattern, uint64_t turn)
{
	for (size_t i = 0; i < pattern->count; i++) {
		struct writer w = writer_over(ret + i * pattern->size, pattern->size);

		header_encode(&(struct header){.type = PACKET_SEALED, .path_id = PATH + turn % pattern->pairs}, &w);
	}
}

/* Until it is killed. */
static void send_all(int fd, uint16_t port, const struct pattern *pattern)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static uint8_t train[TRAIN_MAX];
	int segment = (int)pattern->size;

	if ((pattern->count > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		fail("sender");
	for (uint64_t turn = 0;; turn++) {
		write_train(train, pattern, turn);
		(void)!send(fd, train, pattern->size * pattern->count, 0);
	}
}

/* Bind and Answer by hand: no datagram of these leaves the process. */
static void bind_leg(struct relay *relay, uint64_t path_id, const struct relay_grant *grant, const struct addr *local,
		     const struct addr *at, struct time_us now)
{
	struct leg leg;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	struct datagram in = {.route = {.local = *local, .remote = *at}, .bytes = bytes}, out;

	if (leg_init(&leg, path_id, grant, now) != OK)
		fail("leg");
	while (leg_output(&leg, now, bytes, &in.size)) {
		(void)relay_input_datagram(relay, now, &in);
		while (relay_next_datagram(relay, &out))
			(void)leg_input(&leg, now, out.bytes, out.size);
	}
	if (!leg_is_bound(&leg))
		fail("leg is not bound");
}

/* A relay with pairs whose legs are at these two addresses. */
static struct relay *relay_with_pairs(uint64_t pairs, size_t memory_bytes, const struct addr *local,
				      const struct addr legs[2])
{
	uint8_t seed[KEY_SIZE] = {1}, key[KEY_SIZE], sealed[TICKET_SEALED_SIZE], nonce[12] = {0};
	struct relay_env env = {.random = {NULL, random_kernel}};
	struct relay_config config = {
		.tickets_per_s = 1000000, .memory_bytes = memory_bytes, .pairs_max = (uint32_t)pairs};
	struct dh_keys coordinator;
	struct time_us now = clock_now();
	struct relay *relay;

	dh_keys_from_seed(seed, &config.static_keys);
	seed[0] = 2;
	dh_keys_from_seed(seed, &coordinator);
	relay = relay_create(&config, &env, now);
	if (relay_set_coordinators(relay, (const uint8_t(*)[KEY_SIZE]) & coordinator.public, 1) != OK ||
	    ticket_key(coordinator.secret, config.static_keys.public, key) != OK)
		fail("coordinator");
	for (uint64_t i = 0; i < 2 * pairs; i++) {
		struct ticket ticket = {.path_id = PATH + i / 2, .not_after_s = 3600};
		struct relay_grant grant = {.name = "relay",
					    .addresses = {.count = 1, .list = {*local}},
					    .leg = i % 2,
					    .ticket = {sealed, sizeof sealed}};

		ticket_seal(&ticket, key, coordinator.public, nonce, sealed);
		bind_leg(relay, ticket.path_id, &grant, local, &legs[i % 2], now);
	}
	return relay;
}

/* As in cmd/server_udp.c. */
static void forward(struct relay *relay, struct udp *udp)
{
	struct pollfd ready = {.fd = udp_fd(udp, 4), .events = POLLIN};
	struct udp_batch batch;
	struct udp_result result;
	const struct datagram *out;
	struct time_us now;

	(void)poll(&ready, 1, 100);
	now = clock_now();
	for (int turn = 0; turn < 8; turn++) {
		udp_receive(udp, 4, &batch);
		for (size_t at = 0; at < batch.count;) {
			size_t count;

			at += relay_input_datagrams(relay, now, batch.datagrams + at, batch.count - at);
			while ((count = relay_next_datagrams(relay, &out)) > 0)
				udp_send(udp, out, count, &result);
		}
		if (batch.is_last)
			return;
	}
}

static int64_t drive(struct relay *relay, struct udp *udp, int64_t us)
{
	struct time_us start = clock_now();
	int64_t took;

	while ((took = time_since(clock_now(), start)) < us)
		forward(relay, udp);
	return took;
}

static int64_t cpu_us(void)
{
	return (int64_t)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000);
}

/* A stretch of one relay: CPU nanoseconds for each datagram, and the rate in thousands a second beside. */
static double measure(struct relay *relay, struct udp *udp, double *ret_kpps)
{
	struct relay_counters before, after;
	int64_t cpu, took;
	double forwarded;

	drive(relay, udp, STRETCH_US / 4); /* what waited for the other one */
	relay_get_counters(relay, &before);
	cpu = cpu_us();
	took = drive(relay, udp, STRETCH_US);
	cpu = cpu_us() - cpu;
	relay_get_counters(relay, &after);
	forwarded = (double)(after.forwarded - before.forwarded);
	*ret_kpps = forwarded * 1000 / (double)took;
	return forwarded > 0 ? (double)cpu * 1000 / forwarded : 0;
}

/* Two relays behind one port take turns, one of them with memory. */
static void run(const struct pattern *pattern, size_t memory_bytes, unsigned rounds, double ns[2][ROUNDS_MAX],
		double kpps[2][ROUNDS_MAX])
{
	struct udp_params params = {.local = {.ip = ip_v4(127, 0, 0, 1)}};
	struct addr legs[2], local;
	struct relay *relays[2];
	struct udp *udp;
	int from = socket_at(&legs[0]), sink = socket_at(&legs[1]);
	pid_t child;

	if (udp_open(&params, &udp) != OK)
		fail("port");
	local = (struct addr){.ip = params.local.ip, .port = udp_port(udp)};
	for (unsigned with = 0; with < 2; with++)
		relays[with] = relay_with_pairs(pattern->pairs, with ? memory_bytes : 0, &local, legs);
	child = fork();
	if (child == 0)
		send_all(from, local.port, pattern);
	drive(relays[1], udp, WARM_US); /* pages are touched for the first time once, not always */
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned with = 0; with < 2; with++)
			ns[with][round] = measure(relays[with], udp, &kpps[with][round]);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	for (unsigned with = 0; with < 2; with++)
		relay_destroy(relays[with]);
	udp_close(udp);
	(void)close(from);
	(void)close(sink);
}

/* The machine without sockets, in nanoseconds for each datagram, at a load in Mbit/s. */
static double run_alone(const struct pattern *pattern, size_t memory_bytes, double mbps)
{
	static uint8_t buffers[UDP_BATCH][TRAIN_MAX];
	struct addr legs[2] = {{.ip = ip_v4(127, 0, 0, 1), .port = 1}, {.ip = ip_v4(127, 0, 0, 1), .port = 2}};
	struct addr local = {.ip = ip_v4(127, 0, 0, 1), .port = 3};
	struct relay *relay = relay_with_pairs(pattern->pairs, memory_bytes, &local, legs);
	size_t size = pattern->size * pattern->count;
	struct time_us start = clock_now();
	size_t batch = pattern->count > 1 ? 8 : UDP_BATCH; /* as udp.h receives them */
	uint64_t batches = ALONE_DATAGRAMS / pattern->count / batch;
	const struct datagram *out;
	struct datagram in[UDP_BATCH];
	int64_t cpu = 0;

	for (uint64_t i = 0; i < 2 * batches; i++) { /* the first half touches the pages */
		for (size_t k = 0; k < batch; k++) {
			in[k] = (struct datagram){.route = {.local = local, .remote = legs[0]},
						  .bytes = buffers[k],
						  .size = size,
						  .segment_size = pattern->count > 1 ? (uint16_t)pattern->size : 0};
			if (i == 0 || pattern->pairs > 1)
				write_train(buffers[k], pattern, (i * batch + k) * SCATTER);
		}
		if (i == batches)
			cpu = cpu_us();
		for (size_t at = 0; at < batch;) {
			at += relay_input_datagrams(
				relay, time_add(start, (int64_t)((double)(i * batch) * (double)size * 8 / mbps)),
				in + at, batch - at);
			while (relay_next_datagrams(relay, &out))
				;
		}
	}
	cpu = cpu_us() - cpu;
	relay_destroy(relay);
	return (double)cpu * 1000 / (double)(batches * batch * pattern->count);
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static double median(double *list, unsigned count)
{
	qsort(list, count, sizeof *list, compare);
	return count % 2 ? list[count / 2] : (list[count / 2 - 1] + list[count / 2]) / 2;
}

static void print_alone(unsigned rounds, size_t memory_bytes)
{
	static const double loads_mbps[] = {0, 240, 480, 1000, 8000}; /* 0: without memory, at 1000 */
	enum { LOADS = sizeof loads_mbps / sizeof *loads_mbps };

	printf("machine alone, ns/datagram:      %9s", "without");
	for (unsigned k = 1; k < LOADS; k++)
		printf(" %4.0f Mbit/s", loads_mbps[k]);
	for (unsigned i = 0; i < PATTERNS; i++) {
		double ns[LOADS][ROUNDS_MAX];

		for (unsigned round = 0; round < rounds; round++)
			for (unsigned k = 0; k < LOADS; k++)
				ns[k][round] = run_alone(&patterns[i], k ? memory_bytes : 0, k ? loads_mbps[k] : 1000);
		printf("\n%-32s", patterns[i].about);
		for (unsigned k = 0; k < LOADS; k++)
			printf(" %*.1f", k ? 11 : 9, median(ns[k], rounds));
	}
	printf("\n\n");
}

static void print_driven(unsigned rounds, size_t memory_bytes)
{
	static double ns[DRIVEN][2][ROUNDS_MAX], kpps[DRIVEN][2][ROUNDS_MAX];

	for (unsigned i = 0; i < DRIVEN; i++)
		run(&patterns[i], memory_bytes, rounds, ns[i], kpps[i]);
	printf("%-32s %25s %25s %7s\n", "with sockets:", "without: ns/datagram kpps", "with: ns/datagram kpps", "cost");
	for (unsigned i = 0; i < DRIVEN; i++) {
		double without = median(ns[i][0], rounds), with = median(ns[i][1], rounds);

		printf("%-32s %16.1f %8.0f %16.1f %8.0f %6.1f %%\n", patterns[i].about, without,
		       median(kpps[i][0], rounds), with, median(kpps[i][1], rounds), (with / without - 1) * 100);
	}
}

int main(int argc, char *argv[])
{
	unsigned long wished = argc > 1 ? strtoul(argv[1], NULL, 10) : 50;
	size_t memory_bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 16000000;
	unsigned rounds = wished < 1 ? 1 : wished > ROUNDS_MAX ? ROUNDS_MAX : (unsigned)wished;

	if (!crypto_init())
		return 1;
	print_alone(rounds < ALONE_ROUNDS_MAX ? rounds : ALONE_ROUNDS_MAX, memory_bytes);
	print_driven(rounds, memory_bytes);
	return 0;
}
