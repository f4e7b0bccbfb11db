/*
 * xdp_rate.c: what the relay in the kernel does with frames that the kernel makes itself, on the core that asks, as
 * reference R4 (loops/xdp_loops.c) measures programs without a table: live frames, which are really sent out of DEVICE,
 * and the program alone. The flow is such that what is sent is again what came, because the kernel makes each frame
 * once and takes it again: leg 0 is at A and knows us as B, leg 1 is at B and knows us as A.
 *
 * usage: xdp-rate run DEVICE [SIZE [COUNT]]     says for each case "v4|v6|limited|crossed FRAMES-A-SECOND PROGRAM-NS"
 *        xdp-rate hold DEVICE                   drops what comes out of DEVICE; says "ready"; until terminated
 * crossed changes the family, from one to the other and back: its frames change their place, so none are sent (0).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/xdp/table.h"
#include "stopwatch.h"

#pragma GCC diagnostic ignored "-Woverlength-strings"
#include <relay.skel.h>

enum { SIZE = 142, FRAME_MIN = 80, FRAME_MAX = 1514, COUNT = 1 << 20, COUNT_MAX = 1 << 26, WARM_SHARE = 4 };
enum { PORT = 7367, PATH = 7 };

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

struct bench_case {
	const char *name;
	uint8_t families[2]; /* of the legs */
	uint32_t rate_kbps;
};

static const struct bench_case cases[] = {
	{"v4", {4, 4}, 0}, {"v6", {6, 6}, 0}, {"limited", {4, 4}, 4000000000}, {"crossed", {4, 6}, 0}};

static void fail(const char *what)
{
	fprintf(stderr, "xdp-rate: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct relay_endpoint endpoint(uint8_t family, uint8_t host)
{
	struct relay_endpoint v4 = {.ip = {192, 0, 2, host}, .port = PORT, .family = 4};
	struct relay_endpoint v6 = {.ip = {0x20, 0x01, 0x0d, 0xb8, [15] = host}, .port = PORT, .family = 6};

	return family == 4 ? v4 : v6;
}

/* Across families each leg is where it knows us to be: what goes to it comes from it. */
static struct relay_flow flow_of(const struct bench_case *c)
{
	uint8_t other = c->families[0] == c->families[1] ? 2 : 1;
	int64_t now_us = (int64_t)(now_s() * 1e6);

	return (struct relay_flow){
		.path_id = PATH,
		.bytes_left = UINT64_MAX,
		.rate_kbps = c->rate_kbps,
		.burst_us = 100000,
		.leg_idle_us = UINT32_MAX,
		.legs = {{.remote = endpoint(c->families[0], 1),
			  .remote_local = endpoint(c->families[0], other),
			  .heard_us = now_us},
			 {.remote = endpoint(c->families[1], other),
			  .remote_local = endpoint(c->families[1], 1),
			  .heard_us = now_us}},
	};
}

/* size: of the whole frame, which is zeroed. */
static void fill_frame(uint8_t *frame, size_t size, const struct relay_flow *flow)
{
	const struct relay_endpoint *src = &flow->legs[0].remote, *dst = &flow->legs[0].remote_local;
	size_t ip_size = src->family == 4 ? 20 : 40, udp_size = size - ETH_HLEN - ip_size;
	struct iphdr v4 = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
	struct ipv6hdr v6 = {.version = 6, .nexthdr = IPPROTO_UDP, .hop_limit = 64};
	struct udphdr udp = {htons(src->port), htons(dst->port), htons((uint16_t)udp_size), htons(0x1234)};
	uint8_t *payload = frame + ETH_HLEN + ip_size + sizeof udp;

	memset(frame, 0, size);
	memcpy(frame, mac, sizeof mac);
	memcpy(frame + 6, mac, sizeof mac);
	frame[12] = src->family == 4 ? 0x08 : 0x86;
	frame[13] = src->family == 4 ? 0x00 : 0xdd;
	v4.tot_len = htons((uint16_t)(ip_size + udp_size));
	v6.payload_len = htons((uint16_t)udp_size);
	memcpy(&v4.saddr, src->ip, 4);
	memcpy(&v4.daddr, dst->ip, 4);
	memcpy(&v6.saddr, src->ip, 16);
	memcpy(&v6.daddr, dst->ip, 16);
	if (src->family == 4)
		memcpy(frame + ETH_HLEN, &v4, sizeof v4);
	else
		memcpy(frame + ETH_HLEN, &v6, sizeof v6);
	memcpy(payload - sizeof udp, &udp, sizeof udp);
	payload[0] = XDP_SEALED;
	payload[15] = PATH;
}

static double live_rate(int fd, unsigned device, uint8_t *frame, size_t size, long count)
{
	struct xdp_md md = {.data_end = (uint32_t)size, .ingress_ifindex = device};
	struct bpf_test_run_opts options = {.sz = sizeof(options),
					    .data_in = frame,
					    .data_size_in = (uint32_t)size,
					    .ctx_in = &md,
					    .ctx_size_in = sizeof md,
					    .repeat = (int)count,
					    .flags = BPF_F_TEST_XDP_LIVE_FRAMES};
	double start = now_s();

	if (bpf_prog_test_run_opts(fd, &options) != 0)
		fail("live frames");
	return (double)count / (now_s() - start);
}

static unsigned program_ns(int fd, unsigned device, uint8_t *frame, size_t size, long count)
{
	struct xdp_md md = {.data_end = (uint32_t)size, .ingress_ifindex = device};
	struct bpf_test_run_opts options = {.sz = sizeof(options),
					    .data_in = frame,
					    .data_size_in = (uint32_t)size,
					    .ctx_in = &md,
					    .ctx_size_in = sizeof md,
					    .repeat = (int)count};

	if (bpf_prog_test_run_opts(fd, &options) != 0)
		fail("test run");
	return options.duration;
}

/* Every frame must have been forwarded, or the figure is of something else. */
static void run(struct xdp_relay *program, struct xdp_table *table, const struct bench_case *c, unsigned device,
		size_t size, long count)
{
	struct xdp_way way = {.ifindex = device, .mtu = 1500};
	struct relay_flow flow = flow_of(c);
	int fd = bpf_program__fd(program->progs.relay);
	bool is_crossed = c->families[0] != c->families[1];
	long warm = count / WARM_SHARE + 1, expected = is_crossed ? count : warm + 2 * count;
	struct xdp_entry *entry;
	uint8_t frame[FRAME_MAX];
	double rate = 0;
	unsigned ns;

	memcpy(way.local_mac, mac, sizeof mac);
	memcpy(way.remote_mac, mac, sizeof mac);
	entry = xdp_table_put(table, &flow, (struct xdp_way[2]){way, way}, (struct time_us){0}, TIME_NEVER);
	if (!entry)
		fail("table");
	fill_frame(frame, size, &flow);
	if (!is_crossed) {
		(void)live_rate(fd, device, frame, size, warm);
		rate = live_rate(fd, device, frame, size, count);
	}
	ns = program_ns(fd, device, frame, size, count);
	if ((long)(entry->copy.flow.legs[0].packets + entry->copy.flow.legs[1].packets) != expected) {
		fprintf(stderr, "xdp-rate: %s: %ld frames of %ld were forwarded\n", c->name,
			(long)(entry->copy.flow.legs[0].packets + entry->copy.flow.legs[1].packets), expected);
		exit(1);
	}
	printf("%s %.0f %u\n", c->name, rate, ns);
	xdp_table_remove(table, entry, (struct time_us){0});
}

static void attach(int fd, unsigned device)
{
	struct bpf_link_create_opts options = {.sz = sizeof(options), .flags = 0};

	if (fd < 0 || bpf_link_create(fd, (int)device, BPF_XDP, &options) < 0)
		fail("attach");
}

/* Of both families, unlike R4's own. */
static int hold(unsigned device)
{
	struct bpf_insn drop[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP},
				  {.code = BPF_JMP | BPF_EXIT}};
	sigset_t signals;
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	attach(bpf_prog_load(BPF_PROG_TYPE_XDP, "hold", "Apache-2.0", drop, 2, NULL), device);
	printf("ready\n");
	fflush(stdout);
	sigwait(&signals, &number);
	return 0;
}

static int run_all(unsigned device, size_t size, long count)
{
	struct xdp_relay *program;
	struct xdp_table table;

	program = xdp_relay__open_and_load();
	if (!program)
		fail("the program");
	xdp_table_init(&table, program->bss->buckets, program->bss->entries, &program->bss->control, 0x9e3779b9);
	program->bss->control.port = PORT;
	attach(bpf_program__fd(program->progs.relay), device);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		run(program, &table, &cases[i], device, size, count);
	xdp_table_finish(&table);
	xdp_relay__destroy(program);
	return 0;
}

int main(int argc, char **argv)
{
	size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : SIZE;
	long count = argc > 4 ? strtol(argv[4], NULL, 10) : COUNT;
	unsigned device = argc > 2 ? if_nametoindex(argv[2]) : 0;

	libbpf_set_print(NULL);
	if (argc == 3 && device && strcmp(argv[1], "hold") == 0)
		return hold(device);
	if (argc > 2 && argc < 6 && device && strcmp(argv[1], "run") == 0 && size >= FRAME_MIN && size <= FRAME_MAX &&
	    count > 0 && count <= COUNT_MAX)
		return run_all(device, size, count);
	fprintf(stderr, "usage: xdp-rate run DEVICE [SIZE [COUNT]] | hold DEVICE\n");
	return 2;
}
