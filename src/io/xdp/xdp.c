#include "io/xdp/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/xdp/table.h"
#include "io/xdp/way.h"

/* Made by bpftool, of relay.bpf.c: the program is a string in there. */
#pragma GCC diagnostic ignored "-Woverlength-strings"
#include <relay.skel.h>

enum { RENEWALS_A_LOOK = 4 }; /* ways are looked at with every fourth renewal */
enum { PROBE_SIZE = 60, PROBE_FRAMES = 16, PROBE_LOOKS = 100 };

struct xdp {
	struct xdp_relay *program;
	struct xdp_table table;
	struct nl nl;
	uint8_t renewals[XDP_ENTRIES];
	enum xdp_mode mode;
	struct xdp_interface interfaces[XDP_INTERFACES_MAX];
	size_t count;
};

/* The kernel's coarse clock does not count what the machine slept. */
static void set_clock(struct xdp *xdp)
{
	struct timespec ours, theirs;

	clock_gettime(CLOCK_BOOTTIME, &ours);
	clock_gettime(CLOCK_MONOTONIC, &theirs);
	xdp->program->bss->control.clock_offset_us =
		(ours.tv_sec - theirs.tv_sec) * USEC_PER_SEC + (ours.tv_nsec - theirs.tv_nsec) / 1000;
}

/* "veth", "virtio_net"; empty when nobody says. */
static void read_driver(const char *name, char ret[32])
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (char *)&info};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	ret[0] = 0;
	if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0)
		snprintf(ret, sizeof(info.driver), "%.31s", info.driver);
	if (fd >= 0)
		close(fd);
}

static struct ip ip_of(const struct sockaddr *name)
{
	if (name && name->sa_family == AF_INET)
		return ip_from_bytes(4, (const uint8_t *)&((const struct sockaddr_in *)(const void *)name)->sin_addr);
	if (name && name->sa_family == AF_INET6 &&
	    !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)name)->sin6_addr))
		return ip_from_bytes(6, ((const struct sockaddr_in6 *)(const void *)name)->sin6_addr.s6_addr);
	return (struct ip){0};
}

/* Has this interface an address that datagrams for us may come to? */
static bool has_address(const struct ifaddrs *all, const char *name, const struct ip *local)
{
	static const uint8_t zero[16];
	bool is_any = memcmp(local->bytes, zero, sizeof(zero)) == 0;

	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		struct ip ip = ip_of(at->ifa_addr);

		if (ip.family && strcmp(at->ifa_name, name) == 0 && (is_any || ip_equal(&ip, local)))
			return true;
	}
	return false;
}

/* Where it would go. Whether it can is seen later. */
static void find_interfaces(struct xdp *xdp, const struct ip *local, char why[XDP_TEXT_MAX])
{
	struct ifaddrs *all;

	snprintf(why, XDP_TEXT_MAX, "no Ethernet interface has an address of ours");
	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *at = all; at && xdp->count < XDP_INTERFACES_MAX; at = at->ifa_next) {
		struct xdp_interface *interface = &xdp->interfaces[xdp->count];
		const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)at->ifa_addr;
		char driver[32];

		if (!link || link->sll_family != AF_PACKET || link->sll_hatype != ARPHRD_ETHER ||
		    link->sll_halen != sizeof(interface->mac) || !(at->ifa_flags & IFF_UP) ||
		    !has_address(all, at->ifa_name, local))
			continue;
		read_driver(at->ifa_name, driver);
		if (xdp->mode == XDP_MODE_AUTO && strcmp(driver, "veth") == 0) {
			snprintf(why, XDP_TEXT_MAX,
				 "%s is a veth, whose other end would have to cut its trains (--xdp native insists)",
				 at->ifa_name);
			continue;
		}
		*interface = (struct xdp_interface){
			.ifindex = (uint32_t)link->sll_ifindex, .link_fd = -1, .is_veth = strcmp(driver, "veth") == 0};
		snprintf(interface->name, sizeof(interface->name), "%.15s", at->ifa_name);
		memcpy(interface->mac, link->sll_addr, sizeof(interface->mac));
		xdp->count++;
	}
	freeifaddrs(all);
}

/* The link goes with its descriptor: nothing stays behind when this process dies. */
static bool attach(struct xdp *xdp, struct xdp_interface *interface, char why[XDP_TEXT_MAX])
{
	uint32_t flags = xdp->mode == XDP_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	struct bpf_link_create_opts options = {.sz = sizeof(options), .flags = flags};

	interface->link_fd =
		bpf_link_create(bpf_program__fd(xdp->program->progs.relay), (int)interface->ifindex, BPF_XDP, &options);
	if (interface->link_fd >= 0)
		return true;
	snprintf(why, XDP_TEXT_MAX, "%s: %s", interface->name,
		 errno == EOPNOTSUPP ? "its driver cannot do it (--xdp generic may)"
		 : errno == EBUSY    ? "another XDP program is there"
				     : strerror(errno));
	return false;
}

/*
 * The other end of a veth takes such frames only when it joins packets (GRO) or has a program of its own, and nobody
 * says so: what it does not take is lost without a trace. So a few frames are sent that no bridge lets pass, and
 * counted. What comes back by XDP_TX it takes with a program of its own only, so that nothing goes back that way.
 */
static bool gets_out(struct xdp *xdp, const struct xdp_interface *interface)
{
	uint8_t frame[PROBE_SIZE] = {0x01, 0x80, 0xc2, 0, 0, 0x0e, [12] = 0x88, 0xb5};
	struct xdp_md md = {.data_end = sizeof(frame), .ingress_ifindex = interface->ifindex};
	struct bpf_test_run_opts options = {.sz = sizeof(options),
					    .data_in = frame,
					    .data_size_in = sizeof(frame),
					    .ctx_in = &md,
					    .ctx_size_in = sizeof(md),
					    .repeat = PROBE_FRAMES,
					    .flags = BPF_F_TEST_XDP_LIVE_FRAMES};
	uint64_t before = xdp_way_sent(&xdp->nl, interface->ifindex);

	memcpy(frame + 6, interface->mac, sizeof(interface->mac));
	if (bpf_prog_test_run_opts(bpf_program__fd(xdp->program->progs.reflect), &options) != 0)
		return false;
	for (int i = 0; i < PROBE_LOOKS; i++) {
		if (xdp_way_sent(&xdp->nl, interface->ifindex) - before >= PROBE_FRAMES)
			return true;
		(void)poll(NULL, 0, 1);
	}
	return false;
}

/* Those that can stay in the list; why: the last of the others. */
static void attach_all(struct xdp *xdp, char why[XDP_TEXT_MAX])
{
	size_t count = xdp->count;

	xdp->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct xdp_interface *interface = &xdp->interfaces[i];
		bool is_sure = !interface->is_veth || xdp->mode == XDP_MODE_GENERIC;

		if (!attach(xdp, interface, why))
			continue;
		if (is_sure || gets_out(xdp, interface)) {
			xdp->program->bss->control.redirects |= interface->is_veth;
			xdp->interfaces[xdp->count++] = *interface;
			continue;
		}
		close(interface->link_fd);
		snprintf(why, XDP_TEXT_MAX, "%s is a veth whose other end takes no such frames (ethtool -K it gro on)",
			 interface->name);
	}
}

static enum err load(struct xdp *xdp, const struct xdp_params *params, char why[XDP_TEXT_MAX])
{
	bool is_denied;

	libbpf_set_print(NULL);
	xdp->program = xdp_relay__open_and_load();
	is_denied = !xdp->program && (errno == EPERM || errno == EACCES);
	if (!xdp->program) {
		snprintf(why, XDP_TEXT_MAX, "%s",
			 is_denied ? "not allowed (it takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)" : strerror(errno));
		return is_denied ? ERR_DENIED : ERR_IO;
	}
	if (!xdp->program->bss) {
		snprintf(why, XDP_TEXT_MAX, "this kernel does not map BPF memory (it is older than 5.5)");
		return ERR_UNSUPPORTED;
	}
	xdp_table_init(&xdp->table, xdp->program->bss->buckets, xdp->program->bss->entries, &xdp->program->bss->control,
		       params->secret);
	xdp->program->bss->control.port = params->port;
	set_clock(xdp);
	return OK;
}

/* Nothing is loaded where there is no interface for it. */
enum err xdp_open(const struct xdp_params *params, struct xdp **ret, char why[XDP_TEXT_MAX])
{
	struct xdp *xdp;
	enum err err;

	if (params->mode == XDP_MODE_OFF) {
		snprintf(why, XDP_TEXT_MAX, "--xdp off");
		return ERR_UNSUPPORTED;
	}
	xdp = mem_alloc(1, sizeof(*xdp));
	xdp->mode = params->mode;
	find_interfaces(xdp, &params->local, why);
	err = xdp->count ? load(xdp, params, why) : ERR_UNSUPPORTED;
	if (err == OK && nl_open(&xdp->nl) != OK) {
		snprintf(why, XDP_TEXT_MAX, "cannot ask for routes: %s", strerror(errno));
		err = ERR_IO;
	}
	if (err == OK)
		attach_all(xdp, why);
	if (err == OK && !xdp->count)
		err = ERR_UNSUPPORTED;
	if (err == OK)
		*ret = xdp;
	else
		xdp_close(xdp);
	return err;
}

/* Half-opened ones too. */
void xdp_close(struct xdp *xdp)
{
	if (!xdp)
		return;
	for (size_t i = 0; i < xdp->count; i++)
		if (xdp->interfaces[i].link_fd >= 0)
			close(xdp->interfaces[i].link_fd);
	nl_close(&xdp->nl);
	xdp_table_finish(&xdp->table);
	xdp_relay__destroy(xdp->program);
	mem_free(xdp);
}

/* As status and the start-up log say it. */
const char *xdp_describe(const struct xdp *xdp, char text[XDP_TEXT_MAX])
{
	int at = snprintf(text, XDP_TEXT_MAX, "%s on", xdp->mode == XDP_MODE_GENERIC ? "generic" : "native");

	for (size_t i = 0; i < xdp->count && at > 0 && at < XDP_TEXT_MAX; i++)
		at += snprintf(text + at, (size_t)(XDP_TEXT_MAX - at), "%s %s", i ? "," : "", xdp->interfaces[i].name);
	return text;
}

static struct ip ip_at(const struct relay_endpoint *endpoint)
{
	struct ip ip = {.family = endpoint->family};

	memcpy(ip.bytes, endpoint->ip, sizeof(ip.bytes));
	return ip;
}

static bool find_ways(struct xdp *xdp, const struct relay_flow *flow, struct xdp_way ret[2], bool ret_is_stale[2])
{
	for (unsigned i = 0; i < 2; i++) {
		struct ip local = ip_at(&flow->legs[i].remote_local), remote = ip_at(&flow->legs[i].remote);

		if (xdp_way_find(&xdp->nl, xdp->interfaces, xdp->count, &local, &remote, &ret[i], &ret_is_stale[i]) !=
		    OK)
			return false;
	}
	return true;
}

/* The kernel's own look at a neighbour is due: it looks when it sends there itself. */
static void take_samples(struct xdp_entry *entry, const bool is_stale[2])
{
	for (unsigned i = 0; i < 2; i++)
		if (is_stale[i])
			entry->ways[i].sample = 1;
}

/* Contract in xdp.h. */
struct relay_copy *xdp_install(struct xdp *xdp, const struct relay_flow *flow, struct time_us now, struct time_us until)
{
	struct xdp_way ways[2];
	struct xdp_entry *entry;
	bool is_stale[2];

	if (!find_ways(xdp, flow, ways, is_stale))
		return NULL;
	set_clock(xdp);
	entry = xdp_table_put(&xdp->table, flow, ways, now, until);
	if (!entry)
		return NULL;
	xdp->renewals[entry - xdp->table.entries] = 0;
	take_samples(entry, is_stale);
	return &entry->copy;
}

/* The copy is the entry's first member. */
bool xdp_renew(struct xdp *xdp, struct relay_copy *copy, struct time_us until)
{
	struct xdp_entry *entry = (struct xdp_entry *)(void *)copy;
	struct xdp_way ways[2];
	bool is_stale[2];

	if (++xdp->renewals[entry - xdp->table.entries] % RENEWALS_A_LOOK == 0) {
		if (!find_ways(xdp, &copy->flow, ways, is_stale) || !xdp_way_equal(&ways[0], &entry->ways[0]) ||
		    !xdp_way_equal(&ways[1], &entry->ways[1]))
			return false;
		take_samples(entry, is_stale);
	}
	set_clock(xdp);
	copy->until_us = until.us;
	return true;
}

/* Contract in xdp.h. */
void xdp_remove(struct xdp *xdp, struct relay_copy *copy, struct time_us now)
{
	xdp_table_remove(&xdp->table, (struct xdp_entry *)(void *)copy, now);
}

/* Contract in xdp.h. */
bool xdp_next_reason(const struct xdp *xdp, unsigned reason, const char **ret_name, uint64_t *ret_count)
{
	static const char *const names[XDP_REASONS] = {
		[XDP_REASON_LEASE] = "lease",	    [XDP_REASON_SOURCE] = "source",   [XDP_REASON_WAY] = "way",
		[XDP_REASON_CHECKSUM] = "checksum", [XDP_REASON_UNBOUND] = "unbound", [XDP_REASON_CAP] = "cap",
		[XDP_REASON_SIZE] = "size",	    [XDP_REASON_SAMPLE] = "sample",   [XDP_REASON_RATE] = "rate"};

	if (reason >= XDP_REASONS)
		return false;
	*ret_name = names[reason];
	*ret_count = __atomic_load_n(&xdp->program->bss->control.counts[reason], __ATOMIC_RELAXED);
	return true;
}
