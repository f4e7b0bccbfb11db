/*
 * xdp_loops.c: drives reference R4. The kernel runs the programs of xdp_loops.bpf.c on frames that it makes itself, on
 * the core that asks: live frames, which are really dropped or sent out of DEVICE, and the program alone.
 *
 * usage: xdp-loops OBJECT hold DEVICE               drops what comes out of DEVICE; says "ready"; until terminated
 *        xdp-loops OBJECT run DEVICE [SIZE [COUNT]]  says for each program "drop|swap FRAMES-A-SECOND PROGRAM-NS"
 * Both attach loop_drop to DEVICE: a veth takes frames only where one end has a program, and the other end as well.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>

#include "../stopwatch.h"

enum { SIZE = 142, FRAME_MIN = 60, FRAME_MAX = 1514, COUNT = 1 << 20, COUNT_MAX = 1 << 26, PROGRAM_RUNS = 1 << 20 };

static void fail(const char *what)
{
	fprintf(stderr, "xdp-loops: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list words)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, words) : 0;
}

static struct bpf_program *program_of(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	if (!program)
		fail(name);
	return program;
}

static void fill_frame(uint8_t *frame, size_t size)
{
	struct ethhdr link = {.h_dest = {2, 0, 0, 0, 0, 2}, .h_source = {2, 0, 0, 0, 0, 1}, .h_proto = htons(ETH_P_IP)};
	struct iphdr ip = {.version = 4,
			   .ihl = 5,
			   .tot_len = htons((uint16_t)(size - sizeof link)),
			   .ttl = 64,
			   .protocol = IPPROTO_UDP,
			   .saddr = htonl(0xc0000201),
			   .daddr = htonl(0xc0000202)};
	struct udphdr udp = {.source = htons(9000), .dest = htons(9001)};

	udp.len = htons((uint16_t)(size - sizeof link - sizeof ip));
	memset(frame, 0, size);
	memcpy(frame, &link, sizeof link);
	memcpy(frame + sizeof link, &ip, sizeof ip);
	memcpy(frame + sizeof link + sizeof ip, &udp, sizeof udp);
}

/* Live frames a second. */
static double live_rate(int fd, unsigned device, uint8_t *frame, size_t size, long count)
{
	struct xdp_md md = {.data_end = (uint32_t)size, .ingress_ifindex = device};
	struct bpf_test_run_opts opts = {.sz = sizeof opts,
					 .data_in = frame,
					 .data_size_in = (uint32_t)size,
					 .ctx_in = &md,
					 .ctx_size_in = sizeof md,
					 .repeat = (int)count,
					 .flags = BPF_F_TEST_XDP_LIVE_FRAMES};
	double start = now_s();

	if (bpf_prog_test_run_opts(fd, &opts) != 0)
		fail("live frames");
	return (double)count / (now_s() - start);
}

/* Of the program alone, without any frame going anywhere; a swap goes back and forth. */
static unsigned program_ns(int fd, uint8_t *frame, size_t size)
{
	struct bpf_test_run_opts opts = {
		.sz = sizeof opts, .data_in = frame, .data_size_in = (uint32_t)size, .repeat = PROGRAM_RUNS};

	if (bpf_prog_test_run_opts(fd, &opts) != 0)
		fail("test run");
	return opts.duration;
}

static void run(struct bpf_object *object, unsigned device, size_t size, long count)
{
	static const char *const names[] = {"loop_drop", "loop_swap"};
	uint8_t frame[FRAME_MAX];

	for (size_t i = 0; i < 2; i++) {
		int fd = bpf_program__fd(program_of(object, names[i]));
		double rate;

		fill_frame(frame, size);
		rate = live_rate(fd, device, frame, size, count);
		printf("%s %.0f %u\n", names[i] + strlen("loop_"), rate, program_ns(fd, frame, size));
	}
}

static void hold(void)
{
	sigset_t signals;
	int number;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	printf("ready\n");
	(void)fflush(stdout);
	(void)sigwait(&signals, &number);
}

int main(int argc, char **argv)
{
	size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : SIZE;
	long count = argc > 5 ? strtol(argv[5], NULL, 10) : COUNT;
	bool holds = argc == 4 && strcmp(argv[2], "hold") == 0;
	unsigned device = argc > 3 ? if_nametoindex(argv[3]) : 0;
	struct bpf_object *object;
	struct bpf_link *link;

	if (argc < 4 || argc > 6 || (!holds && strcmp(argv[2], "run") != 0) || device == 0 || size < FRAME_MIN ||
	    size > FRAME_MAX || count < 1 || count > COUNT_MAX) {
		fprintf(stderr, "usage: xdp-loops OBJECT hold|run DEVICE [SIZE [COUNT]]\n");
		return 2;
	}
	(void)libbpf_set_print(quiet);
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object) != 0)
		fail(argv[1]);
	link = bpf_program__attach_xdp(program_of(object, "loop_drop"), (int)device);
	if (!link)
		fail("attach");
	if (holds)
		hold();
	else
		run(object, device, size, count);
	(void)bpf_link__destroy(link);
	bpf_object__close(object);
	return 0;
}
