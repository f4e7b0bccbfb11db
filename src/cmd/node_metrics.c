#include "cmd/node_metrics.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cmd/exit_host.h"
#include "cmd/metrics_http.h"
#include "cmd/node_abilities.h"
#include "cmd/node_lanes.h"
#include "cmd/node_portmap.h"
#include "io/clock.h"

struct page {
	char *text;
	size_t size, capacity;
};

static const char *const kind_names[PATH_KINDS] = {[PATH_DIRECT] = "direct", [PATH_RELAY] = "relay"};
static const char *const mover_names[2] = {"self", "peer"};

/* A line that does not fit is left out whole. */
static __attribute__((format(printf, 2, 3))) void put(struct page *page, const char *format, ...)
{
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(page->text + page->size, page->capacity - page->size, format, args);
	va_end(args);
	if (size > 0 && (size_t)size < page->capacity - page->size)
		page->size += (size_t)size;
}

static void head(struct page *page, const char *name, const char *type, const char *help)
{
	put(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add(struct page *page, const char *name, const char *type, const char *help, double value)
{
	head(page, name, type, help);
	put(page, "%s %.17g\n", name, value);
}

static void count(struct page *page, const char *name, const char *help, uint64_t value)
{
	add(page, name, "counter", help, (double)value);
}

static void add_traffic(struct page *page, const struct node_counters *c)
{
	count(page, "ntm_node_sent_packets_total", "Inner packets sealed.", c->tx_packets);
	count(page, "ntm_node_sent_bytes_total", "Inner bytes sealed.", c->tx_bytes);
	count(page, "ntm_node_received_packets_total", "Inner packets opened.", c->rx_packets);
	count(page, "ntm_node_received_bytes_total", "Inner bytes opened.", c->rx_bytes);
	count(page, "ntm_node_relayed_packets_total", "Packets and superpackets sent through a relay.",
	      c->relay_tx_packets);
	count(page, "ntm_node_relay_measurements_total", "Times that the distance of all relays was measured.",
	      c->relay_measurements);
	count(page, "ntm_node_relay_complaints_total", "Relays reported to the coordinator as silent.",
	      c->relay_complaints);
	count(page, "ntm_node_relay_changes_total", "Tunnels that have changed to another relay.", c->relay_changes);
}

static void add_drops(struct page *page, const struct node_counters *c)
{
	count(page, "ntm_node_dropped_stranger_total", "Datagrams of unknown PathID or MAC.", c->dropped_stranger);
	count(page, "ntm_node_dropped_malformed_total", "Datagrams and packets that make no sense.",
	      c->dropped_malformed);
	count(page, "ntm_node_dropped_auth_total", "Datagrams that do not verify.", c->dropped_auth);
	count(page, "ntm_node_dropped_replay_total", "Datagrams seen before.", c->dropped_replay);
	count(page, "ntm_node_dropped_inner_source_total", "Packets with an inner source that is not the peer's.",
	      c->dropped_inner_source);
	count(page, "ntm_node_dropped_no_peer_total", "Packets to nobody.", c->dropped_no_peer);
	count(page, "ntm_node_dropped_no_path_total", "Packets without a way.", c->dropped_no_path);
	count(page, "ntm_node_dropped_queue_full_total", "Packets without room.", c->dropped_queue_full);
	count(page, "ntm_node_dropped_too_big_total", "Packets over the path MTU.", c->dropped_too_big);
}

/* How paths are watched. */
static void add_probes(struct page *page, const struct node_counters *c)
{
	count(page, "ntm_node_challenges_total", "Path Challenges sent.", c->challenges_tx);
	count(page, "ntm_node_challenges_answered_total", "Path Challenges answered.", c->challenges_rx);
	count(page, "ntm_node_receipts_total", "Receipts of data sent.", c->receipts_tx);
	count(page, "ntm_node_path_doubts_total", "Paths on which data was not acknowledged for longer than usual.",
	      c->doubts);
	count(page, "ntm_node_silent_deaths_total", "Paths left because data on them was not acknowledged any more.",
	      c->silent_deaths);
	count(page, "ntm_node_suspected_addresses_total", "Own addresses from which nothing was answered any more.",
	      c->suspects);
	count(page, "ntm_node_punches_total", "Tries to get through NATs that give each destination another port.",
	      c->punches);
	count(page, "ntm_node_punches_found_total", "Of these, those that found a way.", c->punches_found);
	count(page, "ntm_node_knocks_total", "Small datagrams sent for that.", c->knocks_tx);
	count(page, "ntm_node_punch_sockets_total", "Sockets opened for that.", c->punch_sockets);
	count(page, "ntm_node_handshakes_total", "Tunnels established.", c->handshakes);
}

/* All that can happen, so that a graph of it begins at 0. */
static void add_handovers(struct page *page, const struct tally *tally)
{
	head(page, "ntm_node_handovers_total", "counter",
	     "Moves that ended, by who moved, what data takes since, and why.");
	for (int mover = 0; mover < 2; mover++)
		for (int kind = 0; kind < PATH_KINDS; kind++)
			for (int cause = CAUSE_FIRST; cause < PATH_CAUSES; cause++)
				put(page, "ntm_node_handovers_total{moved=\"%s\",to=\"%s\",cause=\"%s\"} %llu\n",
				    mover_names[mover], kind_names[kind], tally_cause_name((enum path_cause)cause),
				    (unsigned long long)tally->handovers[mover][kind][cause]);
}

static void add_gaps(struct page *page, const struct tally *tally, int mover)
{
	static const char name[] = "ntm_node_handover_gap_seconds";
	uint64_t sum = 0;

	for (int i = 0; i < TALLY_GAPS; i++) {
		sum += tally->gaps[mover][i];
		put(page, "%s_bucket{moved=\"%s\",le=\"%g\"} %llu\n", name, mover_names[mover],
		    (double)tally_gap_bounds_us[i] / USEC_PER_SEC, (unsigned long long)sum);
	}
	sum += tally->gaps[mover][TALLY_GAPS];
	put(page, "%s_bucket{moved=\"%s\",le=\"+Inf\"} %llu\n", name, mover_names[mover], (unsigned long long)sum);
	put(page, "%s_sum{moved=\"%s\"} %.6f\n", name, mover_names[mover],
	    (double)tally->gap_sum_us[mover] / USEC_PER_SEC);
	put(page, "%s_count{moved=\"%s\"} %llu\n", name, mover_names[mover], (unsigned long long)sum);
}

static void add_by_kind(struct page *page, const char *name, const char *help, const uint64_t values[PATH_KINDS])
{
	head(page, name, "counter", help);
	for (int kind = 0; kind < PATH_KINDS; kind++)
		put(page, "%s{kind=\"%s\"} %llu\n", name, kind_names[kind], (unsigned long long)values[kind]);
}

static void add_decisions(struct page *page, const struct tally *tally, const struct node_counters *c)
{
	static const char *const ways[TALLY_WAYS] = {"direct", "relay", "none"};

	add_handovers(page, tally);
	head(page, "ntm_node_handover_gap_seconds", "histogram", "How long nothing was heard from the peer at a move.");
	for (int mover = 0; mover < 2; mover++)
		add_gaps(page, tally, mover);
	count(page, "ntm_node_replayed_packets_total", "Sealed packets sent again.", c->replayed);
	count(page, "ntm_node_rescued_packets_total", "Packets sealed anew for a peer that had lost its memory.",
	      c->rescued);
	count(page, "ntm_node_lost_packets_total", "Sealed packets that could not be kept to be sent again.",
	      tally->lost_packets);
	head(page, "ntm_node_path_changes_total", "counter", "Times that data took another path, by its kind and why.");
	for (int kind = 0; kind < PATH_KINDS; kind++)
		for (int cause = CAUSE_FIRST; cause < PATH_CAUSES; cause++)
			put(page, "ntm_node_path_changes_total{to=\"%s\",cause=\"%s\"} %llu\n", kind_names[kind],
			    tally_cause_name((enum path_cause)cause),
			    (unsigned long long)tally->path_changes[kind][cause]);
	add_by_kind(page, "ntm_node_paths_up_total", "Paths that began to answer.", tally->paths_up);
	add_by_kind(page, "ntm_node_paths_down_total", "Paths that answered no more, or whose address went.",
		    tally->paths_down);
	head(page, "ntm_node_tunnel_seconds_total", "counter", "Time of all tunnels, by the path of their data.");
	for (int way = 0; way < TALLY_WAYS; way++)
		put(page, "ntm_node_tunnel_seconds_total{path=\"%s\"} %.6f\n", ways[way],
		    (double)tally->time_us[way] / USEC_PER_SEC);
}

static void add_tunnels(struct page *page, const struct tally *tally, const struct node_status *status)
{
	add(page, "ntm_node_coordinator_up", "gauge", "1 while the coordinator answers.", status->coordinator_ok);
	count(page, "ntm_node_coordinator_losses_total", "Times that the coordinator stopped to answer.",
	      tally->coordinator_losses);
	add(page, "ntm_node_peers", "gauge", "Peers with a tunnel.",
	    tally->on[TALLY_DIRECT] + tally->on[TALLY_RELAY] + tally->on[TALLY_NOWHERE]);
	add(page, "ntm_node_peers_relayed", "gauge", "Peers whose data takes a relay now.", tally->on[TALLY_RELAY]);
	count(page, "ntm_node_peers_up_total", "Tunnels that came up.", tally->peers_up);
	count(page, "ntm_node_peers_down_total", "Tunnels that ended.", tally->peers_down);
	count(page, "ntm_node_rekeys_total", "Times that a tunnel got new keys.", tally->rekeys);
}

static void add_outside(struct page *page, const struct host *host)
{
	struct udp_counters udp;
	struct tun_counters tun;
	uint64_t renewals;
	size_t mapped = node_portmap_count(host, &renewals);

	abilities_count(host, &udp, &tun);
	count(page, "ntm_node_udp_sent_datagrams_total", "Outer datagrams.", udp.sent);
	count(page, "ntm_node_udp_received_datagrams_total", "Outer datagrams.", udp.received);
	count(page, "ntm_node_udp_dropped_full_total", "Outer datagrams given up on a full socket.",
	      udp.send_dropped_full);
	add(page, "ntm_node_mapped_ports", "gauge", "Ports that a NAT has opened for us.", (double)mapped);
	count(page, "ntm_node_mapped_ports_renewals_total", "Ports opened, or kept open.", renewals);
}

/* What of the kernel's abilities the packet path uses, and what the kernel said no to. */
static void add_packet_path(struct page *page, const struct host *host, const struct node_counters *c)
{
	uint32_t lacking = abilities_lacking(host);
	uint64_t overruns = 0;
	struct tun_counters tun;
	struct udp_counters udp;

	abilities_count(host, &udp, &tun);
	head(page, "ntm_node_ability", "gauge", "1 for each ability of the kernel that the packet path uses now.");
	for (unsigned bit = 0; abilities_name(bit); bit++)
		put(page, "ntm_node_ability{name=\"%s\"} %d\n", abilities_name(bit), !(lacking & UINT32_C(1) << bit));
	count(page, "ntm_node_udp_send_waits_total", "Times that a full socket was waited for.", udp.send_waits);
	count(page, "ntm_node_udp_too_big_total", "Trains refused because the interface takes no packet as long.",
	      udp.send_too_big);
	count(page, "ntm_node_oversized_total", "Of these, those whose sender was told at once.", c->oversized);
	count(page, "ntm_node_udp_segment_refusals_total", "Times that a device refused trains of datagrams.",
	      udp.segment_fallbacks);
	count(page, "ntm_node_tun_refused_total", "Packets that the TUN device refused.", tun.write_refused);
	count(page, "ntm_node_tun_dropped_total", "Packets that the TUN device had no room for, or was down.",
	      tun.write_dropped);
	if (net_link_overruns(tun_ifindex(host->tun), &overruns) == OK)
		count(page, "ntm_node_tun_overruns_total", "Packets lost because the daemon did not read fast enough.",
		      overruns);
}

static void add_lane(struct page *page, const struct host *host, const char *name, const char *help, size_t at)
{
	struct lane_counters c;

	head(page, name, "counter", help);
	for (unsigned i = 0; lanes_get_counters(host, i, &c); i++)
		put(page, "%s{reads=\"%s\",number=\"%u\"} %llu\n", name, c.is_uplink ? "tun" : "udp", c.number,
		    (unsigned long long)*(const uint64_t *)((const char *)&c + at));
}

/* Threads beside the loop; nothing when it moves the packets itself. */
static void add_lanes(struct page *page, const struct host *host)
{
	struct lane_counters c;

	if (!lanes_get_counters(host, 0, &c))
		return;
	add_lane(page, host, "ntm_node_thread_packets_total", "Packets and trains that each thread has read.",
		 offsetof(struct lane_counters, packets));
	add_lane(page, host, "ntm_node_thread_bytes_total", "Their bytes.", offsetof(struct lane_counters, bytes));
	add_lane(page, host, "ntm_node_thread_moved_total",
		 "Packets read at another queue than the one before them in their flow.",
		 offsetof(struct lane_counters, moved));
	add_lane(page, host, "ntm_node_thread_turns_total", "Times that each thread took the lock.",
		 offsetof(struct lane_counters, turns));
	add_lane(page, host, "ntm_node_thread_lock_waits_total", "Times that it had to wait for it.",
		 offsetof(struct lane_counters, waits));
}

static void add_exit(void *ctx, const char *key, const char *help, uint64_t value, bool is_total)
{
	char name[64];

	snprintf(name, sizeof name, "ntm_exit_%s%s", key, is_total ? "_total" : "");
	add(ctx, name, is_total ? "counter" : "gauge", help, (double)value);
}

static size_t write_page(void *ctx, char *text, size_t capacity)
{
	struct host *host = ctx;
	struct page page = {text, 0, capacity};
	struct node_status status;

	node_get_status(host->node, clock_now(), &status);
	tally_count(&host->tally, host->node, clock_now());
	add_traffic(&page, &status.counters);
	add_decisions(&page, &host->tally, &status.counters);
	add_probes(&page, &status.counters);
	add_tunnels(&page, &host->tally, &status);
	add_drops(&page, &status.counters);
	add_outside(&page, host);
	add_packet_path(&page, host, &status.counters);
	add_lanes(&page, host);
	if (host->exit)
		exit_report_each(host, &page, add_exit);
	return page.size;
}

/* Off unless asked for. */
enum err node_metrics_open(struct host *host, char error[HOST_ERROR_MAX])
{
	char text[ADDR_TEXT_MAX];
	enum err err = metrics_server_open(&host->settings.metrics, host, write_page, &host->metrics);

	if (err == OK)
		err = metrics_server_serve(host->metrics, host->loop);
	return err == OK ? OK
			 : server_fail(error, err, "--metrics %s: %s", addr_format(&host->settings.metrics, text),
				       err_text(err));
}

/* Harmless when off. */
void node_metrics_close(struct host *host)
{
	metrics_server_close(host->metrics);
	host->metrics = NULL;
}
