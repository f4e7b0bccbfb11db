#include "cmd/node_metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/metrics_http.h"
#include "cmd/node_portmap.h"
#include "io/clock.h"

struct page {
	char *text;
	size_t size, capacity;
};

static void add(struct page *page, const char *name, const char *type, const char *help, double value)
{
	int written = snprintf(page->text + page->size, page->capacity - page->size,
			       "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);

	if (written > 0 && (size_t)written < page->capacity - page->size)
		page->size += (size_t)written;
}

static void add_node(struct page *page, const struct node_counters *c)
{
	add(page, "ntm_node_sent_packets_total", "counter", "Inner packets sealed.", (double)c->tx_packets);
	add(page, "ntm_node_sent_bytes_total", "counter", "Inner bytes sealed.", (double)c->tx_bytes);
	add(page, "ntm_node_received_packets_total", "counter", "Inner packets opened.", (double)c->rx_packets);
	add(page, "ntm_node_received_bytes_total", "counter", "Inner bytes opened.", (double)c->rx_bytes);
	add(page, "ntm_node_relayed_packets_total", "counter", "Packets and superpackets sent through a relay.",
	    (double)c->relay_tx_packets);
	add(page, "ntm_node_handovers_total", "counter", "Moves of this node or a peer that ended.",
	    (double)c->handovers);
	add(page, "ntm_node_replayed_packets_total", "counter", "Sealed packets sent again after a move.",
	    (double)c->replayed);
	add(page, "ntm_node_handshakes_total", "counter", "Tunnels established.", (double)c->handshakes);
	add(page, "ntm_node_challenges_total", "counter", "Path Challenges sent.", (double)c->challenges_tx);
	add(page, "ntm_node_dropped_stranger_total", "counter", "Datagrams of unknown PathID or MAC.",
	    (double)c->dropped_stranger);
	add(page, "ntm_node_dropped_malformed_total", "counter", "Datagrams and packets that make no sense.",
	    (double)c->dropped_malformed);
	add(page, "ntm_node_dropped_auth_total", "counter", "Datagrams that do not verify.", (double)c->dropped_auth);
	add(page, "ntm_node_dropped_replay_total", "counter", "Datagrams seen before.", (double)c->dropped_replay);
	add(page, "ntm_node_dropped_inner_source_total", "counter",
	    "Packets with an inner source that is not the peer's.", (double)c->dropped_inner_source);
	add(page, "ntm_node_dropped_no_peer_total", "counter", "Packets to nobody.", (double)c->dropped_no_peer);
	add(page, "ntm_node_dropped_no_path_total", "counter", "Packets without a way.", (double)c->dropped_no_path);
	add(page, "ntm_node_dropped_queue_full_total", "counter", "Packets without room.",
	    (double)c->dropped_queue_full);
	add(page, "ntm_node_dropped_too_big_total", "counter", "Packets over the path MTU.",
	    (double)c->dropped_too_big);
}

static size_t write_page(void *ctx, char *text, size_t capacity)
{
	struct host *host = ctx;
	struct page page = {text, 0, capacity};
	struct node_status status;
	struct node_peer_status peer;
	struct udp_counters udp;
	uint64_t renewals;
	int up = 0, relayed = 0;

	node_get_status(host->node, clock_now(), &status);
	for (size_t i = 0; i < NODE_PEERS_MAX; i++) {
		if (!node_get_peer(host->node, clock_now(), i, &peer) || !peer.has_session)
			continue;
		up++;
		for (int k = 0; k < peer.path_count; k++)
			relayed += peer.paths[k].active && peer.paths[k].kind == PATH_RELAY;
	}
	add_node(&page, &status.counters);
	add(&page, "ntm_node_coordinator_up", "gauge", "1 while the coordinator answers.", status.coordinator_ok);
	add(&page, "ntm_node_peers", "gauge", "Peers with a tunnel.", up);
	add(&page, "ntm_node_peers_relayed", "gauge", "Peers whose data takes a relay now.", relayed);
	udp_get_counters(host->udp, &udp);
	add(&page, "ntm_node_udp_sent_datagrams_total", "counter", "Outer datagrams.", (double)udp.sent);
	add(&page, "ntm_node_udp_received_datagrams_total", "counter", "Outer datagrams.", (double)udp.received);
	add(&page, "ntm_node_udp_dropped_full_total", "counter", "Outer datagrams given up on a full socket.",
	    (double)udp.send_dropped_full);
	add(&page, "ntm_node_mapped_ports", "gauge", "Ports that a NAT has opened for us.",
	    (double)node_portmap_count(host, &renewals));
	add(&page, "ntm_node_mapped_ports_renewals_total", "counter", "Ports opened, or kept open.", (double)renewals);
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
