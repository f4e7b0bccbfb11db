/* test_netlink.c: what the watch tells, and that no virtual address ever leaves in clear, whatever others do to routes
 * and rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/netlink.h"
#include "io/tun.h"
#include "net_space.h"

enum { SKIPPED = 77, MARK = 0x1cc7, WAIT_MS = 10000 };

/* Counts what the watch tells and keeps the last of it. */
struct told {
	struct net_snapshot snapshot;
	unsigned changes, routes;
};

static void keep_snapshot(void *ctx, const struct net_snapshot *snapshot)
{
	struct told *told = ctx;

	told->snapshot = *snapshot;
	told->changes++;
}

static void count_routes(void *ctx)
{
	((struct told *)ctx)->routes++;
}

static int new_space(void **state)
{
	(void)state;
	close(net_space_add());
	assert_true(
		net_space_run("ip link add up0 type veth peer name far0 && ip link add up1 type veth peer name far1 && "
			      "ip link set dev far0 up && ip link set dev far1 up && ip link set dev up0 up && "
			      "ip link set dev up1 up"));
	return 0;
}

static const struct net_address *find(const struct net_snapshot *snapshot, const char *text)
{
	struct ip ip;

	assert_int_equal(ip_parse(text, &ip), OK);
	for (size_t i = 0; i < snapshot->count; i++)
		if (ip_equal(&snapshot->addresses[i].ip, &ip))
			return &snapshot->addresses[i];
	return NULL;
}

static struct net_watch *watch_all(struct told *told, uint32_t excluded)
{
	struct net_watch_params params = {
		.ifindex_excluded = excluded, .ctx = told, .changed = keep_snapshot, .routes_changed = count_routes};
	struct net_watch *watch;

	*told = (struct told){0};
	assert_int_equal(net_watch_create(&params, &watch), OK);
	assert_int_equal(told->changes, 1);
	return watch;
}

/* Handles events until the address is there (or gone). */
static void wait_for(struct net_watch *watch, const struct told *told, const char *address, bool is_wanted)
{
	while ((find(&told->snapshot, address) != NULL) != is_wanted) {
		struct pollfd poll_fd = {.fd = net_watch_fd(watch), .events = POLLIN};

		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		assert_int_equal(net_watch_ready(watch), OK);
	}
}

/* Takes what is there already. */
static void drain(struct net_watch *watch)
{
	struct pollfd poll_fd = {.fd = net_watch_fd(watch), .events = POLLIN};

	while (poll(&poll_fd, 1, 0) == 1)
		assert_int_equal(net_watch_ready(watch), OK);
}

static void test_watch_addresses(void **state)
{
	struct told told;
	struct net_watch *watch = watch_all(&told, 0);
	const struct net_address *address;
	unsigned changes;

	(void)state;
	assert_int_equal(told.snapshot.count, 0); /* neither 127.0.0.1 nor ::1 nor fe80:: */
	assert_true(net_space_run("ip addr add 10.0.0.2/24 dev up0"));
	wait_for(watch, &told, "10.0.0.2", true);
	address = find(&told.snapshot, "10.0.0.2");
	assert_string_equal(address->ifname, "up0");
	assert_int_equal(address->mtu, 1500);
	assert_false(address->is_default);
	assert_int_equal(address->metric, UINT32_MAX);
	assert_true(net_space_run("ip addr add 2001:db8:1::2/64 dev up0 nodad"));
	wait_for(watch, &told, "2001:db8:1::2", true);
	assert_true(net_space_run("ip addr add 169.254.3.3/16 dev up0; ip addr add 10.0.0.3/24 dev up0"));
	wait_for(watch, &told, "10.0.0.3", true);
	assert_null(find(&told.snapshot, "169.254.3.3"));
	assert_true(net_space_run("ip link set dev up0 mtu 1400"));
	drain(watch);
	assert_int_equal(find(&told.snapshot, "10.0.0.2")->mtu, 1400);
	changes = told.changes;
	assert_true(net_space_run("ip route add 203.0.113.0/24 via 10.0.0.1")); /* an event, but no news */
	drain(watch);
	assert_int_equal(told.changes, changes);
	assert_true(told.routes > 0);
	assert_true(net_space_run("ip link set dev up0 down"));
	wait_for(watch, &told, "10.0.0.2", false);
	net_watch_destroy(watch);
	net_watch_destroy(NULL);
}

static void test_watch_default(void **state)
{
	struct told told;
	struct net_watch *watch = watch_all(&told, 0);

	(void)state;
	assert_true(net_space_run("ip addr add 10.0.0.2/24 dev up0 && ip addr add 10.0.0.9/24 dev up0 && "
				  "ip addr add 10.1.0.2/24 dev up1 && ip route add default via 10.1.0.1 metric 600"));
	drain(watch);
	assert_true(find(&told.snapshot, "10.1.0.2")->is_default);
	assert_int_equal(find(&told.snapshot, "10.1.0.2")->metric, 600);
	assert_true(net_space_run("ip route add default via 10.0.0.1 metric 100 src 10.0.0.9"));
	drain(watch);
	assert_true(find(&told.snapshot, "10.0.0.9")->is_default);
	assert_false(find(&told.snapshot, "10.0.0.2")->is_default);
	assert_false(find(&told.snapshot, "10.1.0.2")->is_default);
	assert_int_equal(find(&told.snapshot, "10.0.0.2")->metric, 100);
	assert_true(net_space_run("ip route del default metric 100"));
	drain(watch);
	assert_true(find(&told.snapshot, "10.1.0.2")->is_default);
	assert_int_equal(find(&told.snapshot, "10.0.0.9")->metric, UINT32_MAX);
	assert_true(net_space_run(
		"ip addr add 2001:db8:1::2/64 dev up0 nodad && ip -6 route add default via 2001:db8:1::1"));
	wait_for(watch, &told, "2001:db8:1::2", true);
	drain(watch);
	assert_true(find(&told.snapshot, "2001:db8:1::2")->is_default);
	net_watch_destroy(watch);
}

/* More events than the socket holds: the picture is right all the same. */
static void test_watch_overrun(void **state)
{
	struct told told;
	struct net_watch *watch = watch_all(&told, 0);

	(void)state;
	assert_true(net_space_run("ip addr add 10.0.0.2/24 dev up0"));
	assert_true(net_space_run(
		"for i in $(seq 1 40); do for j in $(seq 1 250); do echo route add 203.0.$i.$j/32 via 10.0.0.1; "
		"done; done | ip -batch -"));
	assert_true(net_space_run("ip addr del 10.0.0.2/24 dev up0 && ip addr add 10.0.0.7/24 dev up0"));
	wait_for(watch, &told, "10.0.0.7", true);
	assert_null(find(&told.snapshot, "10.0.0.2"));
	net_watch_destroy(watch);
}

/* Never more than fit, and it says so. */
static void test_watch_many(void **state)
{
	struct told told;
	struct net_watch *watch;

	(void)state;
	assert_true(net_space_run("for i in $(seq 1 50); do echo addr add 10.0.$i.1/24 dev up0; done | ip -batch -"));
	watch = watch_all(&told, 0);
	assert_int_equal(told.snapshot.count, NET_ADDRESSES_MAX);
	assert_true(told.snapshot.is_cut);
	net_watch_destroy(watch);
}

static struct net_setup make_setup(const struct tun *tun, uint32_t table)
{
	struct net_setup setup = {
		.ifindex = tun ? tun_ifindex(tun) : 0,
		.mtu = 1380,
		.superpacket_max = 60000,
		.table = table,
		.mark = MARK,
		.prefix_count = 2,
	};

	assert_int_equal(ip_parse("198.18.0.1", &setup.v4), OK);
	assert_int_equal(ip_parse("fd6e:746d::1", &setup.v6), OK);
	assert_int_equal(prefix_parse("198.18.0.0/15", &setup.prefixes[0]), OK);
	assert_int_equal(prefix_parse("fd6e:746d::/32", &setup.prefixes[1]), OK);
	return setup;
}

static struct tun *open_tun(const char *name)
{
	char error[TUN_ERROR_MAX];
	struct tun *tun;

	if (tun_open(&(struct tun_params){.name = name}, &tun, error) != OK)
		fail_msg("%s", error);
	return tun;
}

static void apply(const struct net_setup *setup)
{
	char error[NET_ERROR_MAX];

	if (net_setup_apply(setup, error) != OK)
		fail_msg("%s", error);
}

static bool check(const struct net_setup *setup)
{
	char error[NET_ERROR_MAX];
	bool repaired = false;

	if (net_setup_check(setup, &repaired, error) != OK)
		fail_msg("%s", error);
	return repaired;
}

static void remove_setup(const struct net_setup *setup)
{
	char error[NET_ERROR_MAX];

	if (net_setup_remove(setup, error) != OK)
		fail_msg("%s", error);
}

/* Does the kernel send packets for this address out of that device? */
static bool goes(const char *to, const char *device)
{
	return net_space_run("ip route get %s 2>&1 | grep -q 'dev %s '", to, device);
}

/* Routes as a network gives them that wants our traffic: default routes, and more specific ones for the virtual
 * prefixes (TunnelVision). */
static void hostile_routes(void)
{
	assert_true(net_space_run(
		"ip addr add 10.0.0.2/24 dev up0 && ip addr add 2001:db8:1::2/64 dev up0 nodad && "
		"ip route add default via 10.0.0.1 && ip -6 route add default via 2001:db8:1::1 && "
		"ip route add 198.18.0.0/24 via 10.0.0.1 && ip -6 route add fd6e:746d:1::/48 via 2001:db8:1::1"));
}

static void expect_tunnelled(void)
{
	assert_true(goes("198.18.0.9", "ntm0"));
	assert_true(goes("198.19.255.1", "ntm0"));
	assert_true(goes("fd6e:746d:1::9", "ntm0"));
	assert_true(goes("10.0.0.9", "up0"));
	assert_true(goes("8.8.8.8", "up0"));
	assert_true(goes("198.18.0.9 mark 0x1cc7", "up0")); /* our own sockets escape */
	assert_true(net_space_run("ip route get 198.18.0.9 | grep -q 'src 198.18.0.1'"));
	assert_true(net_space_run("ip route get fd6e:746d::9 | grep -q 'src fd6e:746d::1'"));
}

static void test_setup(void **state)
{
	struct tun *tun = open_tun("ntm0");
	struct net_setup setup = make_setup(tun, 7367);

	(void)state;
	hostile_routes();
	apply(&setup);
	expect_tunnelled();
	assert_false(check(&setup)); /* nothing to do, nothing done */
	apply(&setup);
	assert_true(net_space_run("test $(ip rule | grep -c 5567:) = 1 && test $(ip -6 rule | grep -c 5567:) = 1"));
	assert_true(net_space_run(
		"ip link show dev ntm0 | grep -q 'mtu 1380' && ! ip -6 addr show dev ntm0 | grep -q fe80"));
	assert_true(net_space_run("ip -d link show dev ntm0 | grep -q 'gso_max_size 60000'"));

	tun_close(tun); /* T1: the daemon dies, and still nothing leaves in clear */
	assert_false(goes("198.18.0.9", "up0"));
	assert_false(goes("fd6e:746d:1::9", "up0"));
	assert_true(net_space_run("ip route get 198.18.0.9 2>&1 | grep -qiE 'unreachable|no route to host'"));
	assert_true(net_space_run("ip -6 route get fd6e:746d::9 2>&1 | grep -qiE 'unreachable|no route to host'"));

	tun = open_tun("ntm0"); /* and comes back */
	setup.ifindex = tun_ifindex(tun);
	apply(&setup);
	expect_tunnelled();
	remove_setup(&setup);
	assert_true(goes("198.18.0.9", "up0"));
	assert_true(net_space_run("! ip rule | grep -q 5567: && ! ip -6 rule | grep -q 5567:"));
	assert_true(net_space_run(
		"test -z \"$(ip route show table 7367 2>/dev/null; ip -6 route show table 7367 2>/dev/null)\""));
	remove_setup(&setup);
	tun_close(tun);
}

static void test_reassert(void **state)
{
	static const char *const damages[] = {
		"ip rule del priority 5567",	 "ip -6 rule del priority 5567",
		"ip route flush table 7367",	 "ip -6 route flush table 7367",
		"ip addr flush dev ntm0",	 "ip link set dev ntm0 down",
		"ip link set dev ntm0 mtu 1500", "ip route del 198.18.0.0/15 dev ntm0 table 7367",
	};
	struct tun *tun = open_tun("ntm0");
	struct net_setup setup = make_setup(tun, 7367);
	struct told told;
	struct net_watch *watch;
	unsigned routes;

	(void)state;
	hostile_routes();
	apply(&setup);
	watch = watch_all(&told, tun_ifindex(tun));
	assert_null(find(&told.snapshot, "198.18.0.1")); /* the TUN's own addresses are not ours to offer */
	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		drain(watch);
		routes = told.routes;
		assert_true(net_space_run("%s", damages[i]));
		drain(watch);
		if (!strstr(damages[i], "mtu") && told.routes == routes)
			fail_msg("not told of: %s", damages[i]);
		if (!check(&setup))
			fail_msg("not repaired: %s", damages[i]);
		expect_tunnelled();
		assert_false(check(&setup));
	}
	net_watch_destroy(watch);
	remove_setup(&setup);
	tun_close(tun);
}

/* A second node in the same namespace keeps its own when the first one leaves; nor are other people's routes and rules
 * touched. */
static void test_two_nodes(void **state)
{
	struct tun *first = open_tun("ntm0"), *second = open_tun("ntm1");
	struct net_setup a = make_setup(first, 7367), b = make_setup(second, 7368);

	(void)state;
	assert_int_equal(prefix_parse("100.64.0.0/16", &b.prefixes[0]), OK);
	b.prefix_count = 1;
	assert_int_equal(ip_parse("100.64.0.1", &b.v4), OK);
	b.v6 = (struct ip){0};
	assert_true(net_space_run("ip rule add from 192.0.2.1 lookup 7367 priority 5567 && ip route add 192.0.2.0/24 "
				  "dev up0 table 7367"));
	apply(&a);
	apply(&b);
	remove_setup(&a);
	tun_close(first);
	assert_true(goes("100.64.3.3", "ntm1"));
	assert_false(check(&b));
	assert_true(
		net_space_run("ip rule | grep -q 'from 192.0.2.1' && ip route show table 7367 | grep -q 192.0.2.0"));
	remove_setup(&b);
	tun_close(second);
}

static void test_no_v6(void **state)
{
	struct tun *tun;
	struct net_setup setup;

	(void)state;
	if (!net_space_run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && echo 1 > "
			   "/proc/sys/net/ipv6/conf/default/disable_ipv6"))
		skip();
	tun = open_tun("ntm0");
	setup = make_setup(tun, 7367);
	apply(&setup);
	assert_true(goes("198.18.0.9", "ntm0"));
	assert_false(check(&setup));
	remove_setup(&setup);
	tun_close(tun);
}

static void test_bad_setup(void **state)
{
	struct net_setup setup = make_setup(NULL, 254);
	char error[NET_ERROR_MAX] = "";

	(void)state;
	assert_int_equal(net_setup_apply(&setup, error), ERR_USAGE);
	assert_non_null(strstr(error, "254"));
	setup.table = 7367;
	setup.ifindex = 9999;
	assert_int_equal(net_setup_apply(&setup, error), ERR_IO);
	remove_setup(&setup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_watch_addresses, new_space),
		cmocka_unit_test_setup(test_watch_default, new_space),
		cmocka_unit_test_setup(test_watch_overrun, new_space),
		cmocka_unit_test_setup(test_watch_many, new_space),
		cmocka_unit_test_setup(test_setup, new_space),
		cmocka_unit_test_setup(test_reassert, new_space),
		cmocka_unit_test_setup(test_two_nodes, new_space),
		cmocka_unit_test_setup(test_no_v6, new_space),
		cmocka_unit_test_setup(test_bad_setup, new_space),
	};

	if (!net_space_enter() || access("/dev/net/tun", R_OK | W_OK) != 0) {
		fprintf(stderr, "no user and network namespaces or no /dev/net/tun here: skipped\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
