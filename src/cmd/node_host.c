#include "cmd/node_host.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/exit_host.h"
#include "cmd/metrics_http.h"
#include "cmd/node_abilities.h"
#include "cmd/node_lanes.h"
#include "cmd/node_metrics.h"
#include "cmd/node_portmap.h"
#include "cmd/node_renew.h"
#include "crypto/hash.h"
#include "io/clock.h"
#include "io/filter.h"
#include "io/footprint.h"
#include "io/log.h"
#include "io/notify.h"
#include "io/privilege.h"
#include "io/spawn.h"

#define REPAIR_INTERVAL_US (200 * USEC_PER_MSEC)
#define LONG_SLEEP_US (2 * USEC_PER_SEC)

enum { INNER_MTU = 1420, SEND_BATCH = 64, READ_BATCH = 8 };
enum { ALONE_MAX = 4096 }; /* bytes: a batch of such datagrams, joined or not, fits where packets are put together */
enum {
	/* A UDP datagram holds 45 segments of the largest size, each with its overhead: a superpacket of more would
	 * leave as a whole train and a stump. The kernel takes 321 bytes off for headers. */
	SUPERPACKET_WISH = 45 * (INNER_MTU - 52) + (INNER_MTU - 52) / 2 + 321,
};

static struct time_us now_of(const struct host *host)
{
	return loop_now(host->loop);
}

/* Sockets that the node wants for a while; what cannot be had it does without. */
static void attend_ports(struct host *host)
{
	struct node_ports wanted;

	while (node_next_ports(host->node, &wanted)) {
		uint16_t ports[UDP_MORE_MAX];
		size_t count = 0;

		if (wanted.close)
			udp_remove_port(host->udp, wanted.close);
		while (count < wanted.open && count < UDP_MORE_MAX && udp_add_port(host->udp, 0, &ports[count]) == OK)
			count++;
		if (wanted.open)
			node_input_ports(host->node, now_of(host), ports, count);
	}
}

/* A refusal that goes back through its tunnel may itself be answered, but not without end. */
static void exit_packets(struct host *host)
{
	struct packet packet;

	for (int round = 0; round < 2; round++) {
		while (node_next_packet(host->node, &packet))
			exit_host_inner(host, &packet);
		if (!exit_host_answer(host))
			return;
	}
}

static void write_packets(struct host *host)
{
	struct packet packet;

	if (host->exit) {
		exit_packets(host);
		return;
	}
	while (node_next_packet(host->node, &packet))
		abilities_write(host, &packet); /* an interface that is down loses packets as any other */
}

/* What the node wants to say, and what the kernel thinks of it. */
static void send_datagrams(struct host *host)
{
	struct datagram batch[SEND_BATCH];
	struct udp_result result;
	size_t count;

	do {
		count = 0;
		while (count < SEND_BATCH && node_next_datagram(host->node, &batch[count]))
			count++;
		if (count == 0)
			return;
		udp_send(host->udp, batch, count, &result);
		for (size_t i = 0; i < result.too_big && i < UDP_TOO_BIG_MAX; i++) {
			const struct datagram *refused = &batch[result.too_big_index[i]];

			node_input_too_big(host->node, now_of(host), &refused->route,
					   refused->segment_size ? refused->segment_size : refused->size);
			node_input_oversized(host->node, now_of(host), refused);
			write_packets(host);
		}
		node_use_lane(host->node, 0); /* all of it has been sent */
	} while (count == SEND_BATCH);
}

/* Contract in the header. */
void host_attend(struct host *host)
{
	attend_ports(host);
	if (host->stub)
		node_stub_drain(host->stub, host->node);
}

/* Packets first: they do not outlive the next input. */
void host_drain(struct host *host)
{
	write_packets(host);
	host_attend(host);
	send_datagrams(host);
}

/* Contract in the header. */
bool host_comes_alone(const struct datagram *datagram)
{
	return datagram->size <= ALONE_MAX && (!datagram->segment_size || datagram->segment_size == datagram->size);
}

/* What a train brought is written while it is in the cache. Datagrams that came one by one are looked at together:
 * where nothing below joins them the packets inside are joined all the same. */
static void input_batch(struct host *host, const struct udp_batch *batch)
{
	bool waits = false;

	for (size_t i = 0; i < batch->count; i++) {
		const struct datagram *datagram = &batch->datagrams[i];

		if (waits && host_comes_alone(datagram)) {
			node_input_another(host->node, now_of(host), datagram);
			continue;
		}
		if (waits)
			write_packets(host);
		node_input_datagram(host->node, now_of(host), datagram);
		waits = host_comes_alone(datagram);
		if (!waits)
			write_packets(host);
	}
	host_drain(host);
}

static void udp_ready(struct host *host, uint8_t family)
{
	struct udp_batch batch;

	udp_receive(host->udp, family, &batch);
	input_batch(host, &batch);
}

static void more_ready(struct source *source, uint32_t events)
{
	struct host *host = (struct host *)((char *)source - offsetof(struct host, more_source));
	struct udp_batch batch;

	(void)events;
	udp_receive_more(host->udp, &batch);
	input_batch(host, &batch);
}

static void udp4_ready(struct source *source, uint32_t events)
{
	(void)events;
	udp_ready((struct host *)((char *)source - offsetof(struct host, udp_source[0])), 4);
}

static void udp6_ready(struct source *source, uint32_t events)
{
	(void)events;
	udp_ready((struct host *)((char *)source - offsetof(struct host, udp_source[1])), 6);
}

static void tun_ready(struct source *source, uint32_t events)
{
	struct host *host = (struct host *)((char *)source - offsetof(struct host, tun_source));
	struct packet packets[READ_BATCH];
	size_t count = tun_read(host->tun, packets, READ_BATCH);

	(void)events;
	if (tun_is_gone(host->tun)) {
		log_print(LOG_SEVERITY_ERROR, "tun", "%s: somebody removed the device; leaving", tun_name(host->tun));
		host->stop = true;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (host->exit && !exit_host_outer(host, &packets[i]))
			continue;
		node_input_packet(host->node, now_of(host), &packets[i]);
		write_packets(host);
	}
	host_drain(host);
}

static void watch_ready(struct source *source, uint32_t events)
{
	struct host *host = (struct host *)((char *)source - offsetof(struct host, watch_source));

	(void)events;
	if (net_watch_ready(host->watch) != OK)
		log_print(LOG_SEVERITY_WARNING, "netlink", "netlink: cannot read the machine's addresses (%s)",
			  strerror(errno));
	host_drain(host);
}

/* Most preferred first: the kernel's default, then by metric. */
static void locals_changed(void *ctx, const struct net_snapshot *snapshot)
{
	struct host *host = ctx;
	struct node_local locals[NODE_LOCALS_MAX];
	size_t count = 0;

	if (!host->node)
		return;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < snapshot->count && count < NODE_LOCALS_MAX; i++) {
			const struct net_address *address = &snapshot->addresses[i];

			if (address->is_default != (pass == 0))
				continue;
			locals[count] = (struct node_local){.ip = address->ip,
							    .ifindex = address->ifindex,
							    .mtu = address->mtu,
							    .is_default = address->is_default};
			snprintf(locals[count++].ifname, sizeof locals[0].ifname, "%.15s", address->ifname);
		}
	node_input_locals(host->node, clock_now(), locals, count);
	host_drain(host); /* a move is told to peers before anybody looks after routes and port mappings */
	node_portmap_locals(host, snapshot);
}

static void routes_changed(void *ctx)
{
	struct host *host = ctx;
	char error[NET_ERROR_MAX];
	bool repaired = false;

	if (!host->is_set_up || host->exit || time_since(clock_now(), host->repaired_at) < REPAIR_INTERVAL_US)
		return; /* a fight with another program is not won by haste */
	if (net_setup_check(&host->setup, &repaired, error) != OK)
		log_print(LOG_SEVERITY_ERROR, "routes", "routes: cannot be repaired: %s", error);
	else if (repaired)
		host->repaired_at = clock_now();
	if (repaired)
		log_print(LOG_SEVERITY_WARNING, "routes",
			  "routes: something had removed our rules or routes; they are back");
}

static void handle_event(struct host *host, const struct node_event *event)
{
	if (event->type == NODE_EVENT_ADDRESSED)
		host->setup_pending = true;
	if (event->type == NODE_EVENT_ADDRESSED || event->type == NODE_EVENT_LEASE)
		host->lease_pending = true;
	if (event->type == NODE_EVENT_PEER_UP)
		host->is_swollen = true;
	if (event->type == NODE_EVENT_NETWORK)
		host->network_pending = true;
	tally_event(&host->tally, event);
	host_control_event(host, event);
}

/* Not re-entered by the node: only notes. */
static void node_event(void *ctx, const struct node_event *event)
{
	struct host *host = ctx;

	if (!lanes_keep_event(host, event))
		handle_event(host, event);
}

static enum err open_sockets(struct host *host, char error[HOST_ERROR_MAX])
{
	struct udp_params params = {
		.local = host->settings.listen,
		.port_is_wish = host->settings.origin[OPTION_LISTEN].source == SOURCE_DEFAULT,
		.mark = host->settings.mark,
	};
	struct tun_params tun = {.name = host->settings.tun, .many = lanes_queues(lanes_threads(host)) > 1};
	enum err err;
	char text[ADDR_TEXT_MAX];

	abilities_limit_udp(&host->settings, &params);
	abilities_limit_tun(&host->settings, &tun);
	err = udp_open(&params, &host->udp);
	if (err != OK)
		return server_fail(error, err, "UDP %s: %s; choose another with --listen",
				   addr_format(&params.local, text), err == ERR_IO ? strerror(errno) : err_text(err));
	return tun_open(&tun, &host->tun, error);
}

static enum err open_node(struct host *host, char error[HOST_ERROR_MAX])
{
	const struct membership *m = &host->membership;
	struct tun_abilities abilities = abilities_of_tun(host);
	struct node_config config = {
		.static_keys = host->keys.dh,
		.certificate = {m->certificate, m->certificate_size},
		.lease = {m->lease, m->lease_size},
		.network = &m->network,
		.is_exit = host->exit != NULL,
		.join_udp = abilities.uso,
		.is_plain = !abilities.header,
		.avoid_aes = host->settings.cipher == CIPHER_CHACHA20,
		.listen_port = udp_port(host->udp),
		.lane_count = lanes_threads(host) > 1 ? lanes_threads(host) + 1 : 1,
		.move_epoch = (uint32_t)clock_wall_s(),
	};
	struct node_env env = {.random = {NULL, random_kernel}, .ctx = host, .event = node_event};
	enum err err;

	memcpy(config.authority, m->authority, KEY_SIZE);
	host->aead = aead_provider_create(AEAD_BACKEND_AUTO);
	config.aead = host->aead;
	err = node_create(&config, &env, clock_now(), &host->node);
	wipe(&config.static_keys, sizeof config.static_keys);
	if (err != OK)
		return server_fail(error, err,
				   "%s: certificate or network document is not valid (%s); join again with a new code",
				   host->settings.state, err_text(err));
	return OK;
}

static enum err add_source(struct host *host, struct source *source, int fd, void (*ready)(struct source *, uint32_t))
{
	*source = (struct source){.fd = fd, .ready = ready};
	return fd < 0 ? OK : loop_add(host->loop, source, EPOLLIN);
}

static void got_signal(void *ctx, int number)
{
	struct host *host = ctx;

	if (number == SIGHUP)
		host->reload = true;
	else
		host->stop = true;
}

static enum err open_loop(struct host *host, char error[HOST_ERROR_MAX])
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	struct net_watch_params watch = {.ifindex_excluded = tun_ifindex(host->tun),
					 .ctx = host,
					 .changed = locals_changed,
					 .routes_changed = routes_changed};
	struct stream_params stream = {.path = host->settings.socket,
				       .group = host->settings.group,
				       .ctx = host,
				       .line = host_control_line,
				       .closed = host_control_closed};
	enum err err = OK;

	host->loop = loop_create();
	if (!host->loop ||
	    loop_signals(host->loop, signals, sizeof signals / sizeof signals[0], host, got_signal) != OK ||
	    add_source(host, &host->udp_source[0], udp_fd(host->udp, 4), udp4_ready) != OK ||
	    add_source(host, &host->udp_source[1], udp_fd(host->udp, 6), udp6_ready) != OK ||
	    add_source(host, &host->more_source, udp_more_fd(host->udp), more_ready) != OK ||
	    add_source(host, &host->tun_source, tun_fd(host->tun), tun_ready) != OK)
		return server_fail(error, ERR_IO, "event loop: %s", strerror(errno));
	err = stream_serve(&stream, host->loop, &host->stream, error);
	if (err != OK)
		return err;
	if (net_watch_create(&watch, &host->watch) != OK ||
	    add_source(host, &host->watch_source, net_watch_fd(host->watch), watch_ready) != OK)
		return server_fail(error, ERR_IO, "netlink: %s", strerror(errno));
	return OK;
}

/* Contract in the header. */
void host_read_no_packets(struct host *host)
{
	loop_remove(host->loop, &host->udp_source[0]);
	loop_remove(host->loop, &host->udp_source[1]);
	loop_remove(host->loop, &host->tun_source);
}

/* In the order in which each needs the one before. */
enum err host_open(struct host *host, char error[HOST_ERROR_MAX])
{
	enum err err = open_sockets(host, error);

	if (err == OK)
		err = open_node(host, error);
	if (err == OK)
		err = open_loop(host, error);
	if (err == OK)
		err = node_exit_use(host, error);
	if (err == OK && host->settings.metrics.port != 0)
		err = node_metrics_open(host, error);
	if (err == OK)
		node_portmap_open(host);
	if (err == OK)
		host->renew = node_renew_open(host);
	host->setup_pending = err == OK && host->membership.lease_size > 0;
	return err;
}

static void add_prefix(struct net_setup *setup, const struct prefix *prefix)
{
	if (prefix->ip.family && setup->prefix_count < NET_PREFIXES_MAX)
		setup->prefixes[setup->prefix_count++] = *prefix;
}

/* Prefixes of every coordinator and of every trusted network. */
static void add_virtual(struct net_setup *setup, const struct network *network)
{
	for (int i = 0; i < network->coordinator_count; i++) {
		add_prefix(setup, &network->coordinators[i].pool4);
		add_prefix(setup, &network->coordinators[i].pool6);
	}
	for (int i = 0; i < network->trusted_count; i++) {
		add_prefix(setup, &network->trusted[i].pool4);
		add_prefix(setup, &network->trusted[i].pool6);
	}
}

/* They, and what leaves through an exit. */
struct net_setup host_make_setup(const struct host *host, const struct node_status *status)
{
	struct net_setup setup = {
		.ifindex = tun_ifindex(host->tun),
		.mtu = INNER_MTU,
		.superpacket_max = SUPERPACKET_WISH,
		.v4 = status->v4,
		.v6 = status->v6,
		.table = host->settings.table,
		.mark = host->settings.mark,
	};

	add_virtual(&setup, &host->membership.network);
	node_exit_routes(&host->settings, &setup);
	return setup;
}

/* Everything is open now: nothing more is needed but CAP_NET_ADMIN for routes. */
static void give_up_privileges(struct host *host)
{
	char error[PRIVILEGE_ERROR_MAX];

	privilege_harden();
	if (privilege_drop(NULL, NULL, true, error) != OK)
		log_print(LOG_SEVERITY_WARNING, "privilege", "privileges: %s", error);
	if (host->settings.log_level == LOG_LEVEL_DEBUG)
		return; /* a debugger may have to look */
	if (privilege_restrict_calls(PRIVILEGE_NODE) != OK)
		log_print(LOG_SEVERITY_INFO, "privilege", "privileges: this kernel has no seccomp; going on without");
}

/* Without it everything works, and a neighbour may find out what our virtual addresses are (T3). */
static void raise_filter(struct host *host)
{
	struct net_setup setup = {.prefix_count = 0};
	char error[FILTER_ERROR_MAX];

	if (host->settings.filter == FILTER_OFF) {
		filter_lower(tun_name(host->tun)); /* of one that was killed */
		return;
	}
	add_virtual(&setup, &host->membership.network);
	if (filter_raise(&(struct filter_params){.ifname = tun_name(host->tun),
						 .v4 = host->setup.v4,
						 .v6 = host->setup.v6,
						 .prefixes = setup.prefixes,
						 .prefix_count = setup.prefix_count},
			 error) == OK)
		host->has_filter = true;
	else
		log_print(LOG_SEVERITY_WARNING, "filter", "packet filter: %s; virtual addresses are not guarded%s",
			  error, host->has_filter ? " but as before" : "");
}

/* An exit's own virtual addresses are nobody's outside the overlay: its device has others. */
static enum err apply_setup(struct host *host, const struct node_status *status, char error[HOST_ERROR_MAX])
{
	if (host->exit)
		return exit_host_set_up(host, error);
	host->setup = host_make_setup(host, status);
	raise_filter(host); /* before there is anything to find */
	return net_setup_apply(&host->setup, error);
}

/* Virtual addresses are known: into the kernel with them. */
static void set_up(struct host *host)
{
	char error[HOST_ERROR_MAX], v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];
	struct node_status status;

	host->setup_pending = false;
	node_get_status(host->node, now_of(host), &status);
	if (apply_setup(host, &status, error) != OK) {
		log_print(LOG_SEVERITY_ERROR, "setup", "%s: %s", tun_name(host->tun), error);
		spawn_failed(error);
		host->stop = true;
		return;
	}
	host->is_set_up = true;
	if (!host->exit && host->settings.dns != DNS_OFF && !host->stub &&
	    node_stub_open(host, &host->stub, error) != OK)
		log_print(LOG_SEVERITY_WARNING, "dns", "DNS stub: %s; names will not be answered", error);
	log_print(LOG_SEVERITY_INFO, "up", "%s: %s, %s, %s", status.fqdn, tun_name(host->tun),
		  ip_format(&status.v4, v4), ip_format(&status.v6, v6));
	lanes_open(host);
	give_up_privileges(host);
	lanes_start(host);
}

static void save_lease(struct host *host)
{
	char error[HOST_ERROR_MAX];

	host->lease_pending = false;
	if (membership_save_lease(host->settings.state, node_get_lease(host->node), error) != OK)
		log_print(LOG_SEVERITY_WARNING, "lease", "lease: %s", error);
}

/* The next start begins with it; routes and search domains follow at once. */
static void take_network(struct host *host)
{
	struct membership *membership = &host->membership;
	struct writer w = writer_over(membership->network_bytes, sizeof membership->network_bytes);
	struct node_status status;
	char error[HOST_ERROR_MAX] = "too large";
	bool repaired;

	host->network_pending = false;
	membership->network = *node_get_network(host->node);
	network_encode(&membership->network, &w);
	if (writer_finish(&w, &membership->network_size) != OK ||
	    membership_save(host->settings.state, membership, error) != OK)
		log_print(LOG_SEVERITY_WARNING, "network", "network document: %s", error);
	log_print(LOG_SEVERITY_INFO, "network", "network: epoch %llu, %u zones, %u relays",
		  (unsigned long long)membership->network.epoch, membership->network.coordinator_count,
		  membership->network.relay_count);
	if (!host->is_set_up || host->exit)
		return; /* an exit's routes are other ones */
	node_get_status(host->node, now_of(host), &status);
	host->setup = host_make_setup(host, &status);
	raise_filter(host);
	if (net_setup_check(&host->setup, &repaired, error) != OK)
		log_print(LOG_SEVERITY_WARNING, "routes", "%s", error);
}

/* Outside of any call into the node. */
static void do_pending(struct host *host)
{
	struct node_status status;

	lanes_take_events(host, handle_event);
	if (host->tally.is_stale)
		tally_count(&host->tally, host->node, now_of(host));
	if (host->lease_pending)
		save_lease(host);
	if (host->network_pending)
		take_network(host);
	if (host->setup_pending)
		set_up(host);
	if (host->announced || !host->is_set_up)
		return;
	node_get_status(host->node, now_of(host), &status);
	if (status.state != NODE_UP)
		return;
	host->announced = true;
	notify_ready("up");
	spawn_ready();
	host->is_swollen = true;
}

/* Before a long sleep, so that no packet waits for it. */
static void slim(struct host *host, struct time_us now, struct time_us deadline)
{
	if (!host->is_swollen || time_since(deadline, now) < LONG_SLEEP_US)
		return;
	footprint_release();
	host->is_swollen = false;
}

/* Until told to stop. */
int host_run(struct host *host)
{
	struct time_us now = clock_now();

	while (!host->stop) {
		struct time_us deadline;

		node_input_time(host->node, now);
		host_drain(host);
		do_pending(host);
		deadline = time_min(host_tasks_run(host, now), metrics_server_run(host->metrics, now));
		deadline = time_min(deadline, node_renew_run(host->renew, now));
		host_drain(host);
		if (host->exit)
			deadline = time_min(deadline, exit_host_run(host, now));
		deadline = time_min(deadline, node_next_deadline(host->node));
		slim(host, now, deadline);
		deadline = lanes_sleep(host, deadline);
		if (!host->stop && loop_wait(host->loop, now, deadline) != OK) {
			log_print(LOG_SEVERITY_ERROR, "loop", "event loop: %s", strerror(errno));
			return EXIT_FAILED;
		}
		now = clock_now();
	}
	notify_stopping();
	lanes_take_events(host, handle_event);
	lanes_stop(host);
	node_leave(host->node, clock_now());
	host_drain(host);
	return EXIT_DONE;
}

/* The TUN takes its addresses and routes along; rules and the guard are removed by hand. */
void host_close(struct host *host)
{
	char error[NET_ERROR_MAX];

	node_stub_close(host->stub);
	node_portmap_close(host);
	node_renew_close(host->renew);
	node_metrics_close(host);
	exit_host_close(host);
	if (host->is_set_up && host->setup.table && net_setup_remove(&host->setup, error) != OK)
		log_print(LOG_SEVERITY_WARNING, "setup", "%s", error);
	if (host->has_filter)
		filter_lower(tun_name(host->tun));
	lanes_stop(host);
	net_watch_destroy(host->watch);
	node_destroy(host->node);
	aead_provider_destroy(host->aead);
	tun_close(host->tun);
	udp_close(host->udp);
	stream_server_destroy(host->stream);
	loop_destroy(host->loop);
	wipe(&host->keys, sizeof host->keys);
	settings_finish(&host->settings);
}
