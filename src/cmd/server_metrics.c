#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/metrics_http.h"
#include "cmd/server_state.h"

/* Prometheus text, as it grows. */
struct page {
	char *text;
	size_t size, capacity;
};

/* What one line needs: a counter's name ends in _total, a gauge's does not. */
struct metric {
	const char *name, *help;
	uint64_t value;
};

static __attribute__((format(printf, 2, 3))) void add(struct page *page, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(page->text + page->size, page->capacity - page->size, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < page->capacity - page->size)
		page->size += (size_t)n;
}

static void add_metrics(struct page *page, const char *role, const struct metric *metrics, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *end = strrchr(metrics[i].name, '_');
		bool is_counter = end && strcmp(end, "_total") == 0;

		add(page, "# HELP ntm_%s_%s %s\n# TYPE ntm_%s_%s %s\nntm_%s_%s %llu\n", role, metrics[i].name,
		    metrics[i].help, role, metrics[i].name, is_counter ? "counter" : "gauge", role, metrics[i].name,
		    (unsigned long long)metrics[i].value);
	}
}

static void add_refusals(struct page *page, const struct account_counters *c)
{
	static const char *const reasons[] = {"other",	   "bad-code", "used-code", "expired-code", "name-taken",
					      "bad-proof", "bad-name", "busy",	    "full",	    "revoked"};

	add(page, "# HELP ntm_as_logins_refused_total Logins refused, by reason.\n# TYPE ntm_as_logins_refused_total "
		  "counter\n");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		add(page, "ntm_as_logins_refused_total{reason=\"%s\"} %llu\n", reasons[i],
		    (unsigned long long)c->refused[i]);
}

static void add_account(struct page *page, struct server *server)
{
	struct account_counters c;
	struct tls_server_counters tls;

	account_get_counters(server->account, loop_now(server->loop), &c);
	tls_server_get_counters(server->tls, &tls);
	add_metrics(
		page, "as",
		(struct metric[]){
			{"logins_total", "Devices and servers admitted by a code.", c.logins},
			{"logins_repeated_total", "Logins repeated by the same device with the same code.", c.repeated},
			{"renewals_total", "Certificates renewed without a code.", c.renewals},
			{"invites_total", "Join codes made.", c.invites},
			{"revocations_total", "Identities and servers revoked.", c.revocations},
			{"nodes", "Nodes in good standing.", c.nodes},
			{"nodes_revoked", "Nodes revoked.", c.revoked},
			{"codes_open", "Join codes that can still be used.", c.codes_open},
			{"coordinators", "Coordinators in the network document.", c.coordinators},
			{"relays", "Relays in the network document.", c.relays},
			{"tls_connections", "TLS connections open.", tls.open},
			{"tls_accepted_total", "TCP connections accepted for TLS.", tls.accepted},
			{"tls_rejected_total", "TCP connections closed because there were too many.",
			 tls.rejected_full},
			{"tls_failed_total", "TLS handshakes that failed.", tls.failed},
			{"tls_timeouts_total", "TLS connections closed because they were slow or silent.",
			 tls.timed_out},
		},
		15);
	add_refusals(page, &c);
}

/* Of tunnels: how often a relay was chosen, and why another one. */
static void add_relay_choices(struct page *page, const struct coordinator_counters *c)
{
	static const char *const causes[RELAY_CAUSES] = {[RELAY_CAUSE_SILENT] = "silent",
							 [RELAY_CAUSE_BETTER] = "better",
							 [RELAY_CAUSE_LOAD] = "load",
							 [RELAY_CAUSE_GONE] = "gone"};

	add(page, "# HELP ntm_dc_relay_changes_total Tunnels that got another relay, by reason.\n"
		  "# TYPE ntm_dc_relay_changes_total counter\n");
	for (int i = 0; i < RELAY_CAUSES; i++)
		if (causes[i])
			add(page, "ntm_dc_relay_changes_total{reason=\"%s\"} %llu\n", causes[i],
			    (unsigned long long)c->relay_changes[i]);
	add_metrics(page, "dc",
		    (struct metric[]){
			    {"relay_choices_total", "Tunnels directed with a relay.", c->relay_choices},
			    {"relay_reports_total", "Nodes' measurements of relays.", c->relay_reports},
			    {"relay_complaints_total", "Nodes' complaints about silent relays.", c->relay_complaints},
			    {"relay_probes_total", "Own questions to relays.", c->relay_probes},
			    {"relays_silent", "Relays that do not answer any more.", c->relays_silent},
		    },
		    5);
}

static void add_coordinator(struct page *page, struct server *server)
{
	struct coordinator_counters c;

	coordinator_get_counters(server->coordinator, &c);
	add_metrics(
		page, "dc",
		(struct metric[]){
			{"received_datagrams_total", "Datagrams received.", c.datagrams},
			{"received_bytes_total", "Bytes received.", c.bytes},
			{"sent_datagrams_total", "Datagrams sent.", c.sent},
			{"sent_bytes_total", "Bytes sent.", c.sent_bytes},
			{"dropped_size_total", "Datagrams of impossible size.", c.dropped_size},
			{"dropped_type_total", "Datagrams of a type that no coordinator takes.", c.dropped_type},
			{"dropped_unknown_total", "Sealed datagrams of no known session.", c.dropped_unknown},
			{"dropped_mac1_total", "Handshakes of strangers.", c.dropped_mac1},
			{"dropped_replay_total", "Datagrams seen before.", c.dropped_replay},
			{"dropped_auth_total", "Datagrams whose tag does not verify.", c.dropped_auth},
			{"dropped_malformed_total", "Authentic datagrams that make no sense.", c.dropped_malformed},
			{"dropped_out_total", "Own datagrams dropped: queue full or address unproven.", c.dropped_out},
			{"limited_handshakes_total", "Handshakes over the rate limit.", c.limited_handshakes},
			{"cookies_total", "Sources over the rate limit that were asked to prove themselves.",
			 c.cookies},
			{"limited_requests_total", "Requests over the rate limit.", c.limited_requests},
			{"handshakes_total", "Handshakes completed.", c.handshakes},
			{"registrations_total", "Registrations accepted.", c.registrations},
			{"refusals_total", "Registrations refused.", c.refusals},
			{"directions_total", "Tunnels directed.", c.directions},
			{"directions_refused_total", "Tunnels not directed.", c.not_directed},
			{"updates_pushed_total", "Moves told to peers.", c.updates_pushed},
			{"moves_total", "Moves of nodes.", c.moves},
			{"keepalives_total", "Keep Alives answered.", c.keep_alives},
			{"echoes_total", "Keep Alives to be answered later.", c.echoes},
			{"rekeys_total", "Sessions rekeyed.", c.rekeys},
			{"dns_queries_total", "DNS queries received.", c.dns_queries},
			{"dns_answers_total", "DNS queries answered.", c.dns_answers},
			{"dns_refused_total", "DNS queries refused.", c.dns_refused},
			{"dns_limited_total", "DNS queries over UDP dropped: too many from one prefix.", c.dns_limited},
			{"nodes", "Nodes that hold addresses.", c.nodes},
			{"nodes_online", "Nodes registered now.", c.online},
			{"tunnels", "Tunnels that are kept in mind.", c.tunnels},
		},
		31);
	add_metrics(page, "dc",
		    (struct metric[]){
			    {"zones", "Other zones of the network.", c.coordinators},
			    {"zones_linked", "Other zones whose coordinator answers.", c.links},
			    {"zone_links_begun_total", "Links to other zones that began here.", c.links_begun},
			    {"zone_links_answered_total", "Links that other zones began.", c.links_answered},
			    {"zone_requests_sent_total", "Nodes asked of other zones.", c.inquiries},
			    {"zone_requests_total", "Nodes that other zones asked for.", c.inquiries_received},
			    {"zone_lookups_total", "Zones of other networks that DNS was asked for.", c.lookups},
			    {"zone_nodes", "Nodes of other zones with tunnels here.", c.visitors},
		    },
		    8);
	add_relay_choices(page, &c);
}

static void add_xdp(struct page *page, const struct xdp *xdp)
{
	const char *reason;
	uint64_t count;

	add(page,
	    "# HELP ntm_rs_xdp_passed_total Datagrams of pairs in the kernel that it did not forward, by reason; it "
	    "drops those over a rate.\n# TYPE ntm_rs_xdp_passed_total counter\n");
	for (unsigned i = 0; xdp_next_reason(xdp, i, &reason, &count); i++)
		add(page, "ntm_rs_xdp_passed_total{reason=\"%s\"} %llu\n", reason, (unsigned long long)count);
}

static void add_relay(struct page *page, struct server *server)
{
	struct relay_counters c;

	relay_get_counters(server->relay, &c);
	add_metrics(page, "rs",
		    (struct metric[]){
			    {"received_datagrams_total", "Datagrams received.", c.datagrams},
			    {"received_bytes_total", "Bytes received.", c.bytes},
			    {"forwarded_datagrams_total", "Datagrams forwarded.", c.forwarded},
			    {"forwarded_bytes_total", "Bytes forwarded.", c.forwarded_bytes},
			    {"replies_total", "Own answers sent.", c.replies},
			    {"dropped_malformed_total", "Datagrams that no relay takes.", c.dropped_malformed},
			    {"dropped_unknown_total", "Datagrams of no known pair.", c.dropped_unknown},
			    {"dropped_source_total", "Datagrams of a known pair from neither leg.", c.dropped_source},
			    {"dropped_unbound_total", "Datagrams to a leg that is not bound.", c.dropped_unbound},
			    {"dropped_rate_total", "Datagrams over the rate limit.", c.dropped_rate},
			    {"dropped_cap_total", "Datagrams over the byte cap.", c.dropped_cap},
			    {"dropped_queue_total", "Datagrams that no queue had room for.", c.dropped_queue},
			    {"dropped_ticket_total", "Binds with a ticket of nobody we know.", c.dropped_ticket},
			    {"dropped_expired_total", "Binds with a ticket outside its validity.", c.dropped_expired},
			    {"dropped_auth_total", "Binds whose MAC or cookie does not verify.", c.dropped_auth},
			    {"dropped_stale_total", "Binds of an old generation.", c.dropped_stale},
			    {"dropped_limited_total", "Tickets over the rate limit.", c.dropped_limited},
			    {"dropped_full_total", "Pairs refused for lack of room.", c.dropped_full},
			    {"legs_bound_total", "Legs bound.", c.bound},
			    {"legs_moved_total", "Legs moved.", c.moved},
			    {"probes_total", "Questions how far and busy it is, answered.", c.probes},
			    {"replays_total", "Moves that brought back what had gone to the old address.", c.replays},
			    {"replayed_datagrams_total", "Datagrams sent again to legs that moved.", c.replayed},
			    {"replayed_bytes_total", "Bytes sent again to legs that moved.", c.replayed_bytes},
			    {"not_remembered_total", "Datagrams and trains that the memory had no room for.",
			     c.not_remembered},
			    {"xdp_forwarded_datagrams_total", "Of those forwarded, what the kernel did.",
			     c.express_forwarded},
			    {"xdp_forwarded_bytes_total", "Bytes that the kernel forwarded.", c.express_bytes},
			    {"xdp_pairs", "Pairs that the kernel forwards for now.", c.express_pairs},
			    {"xdp_lent_total", "Pairs given to the kernel, again and again.", c.express_joined},
			    {"xdp_refused_total", "Pairs that had no sure way there.", c.express_refused},
			    {"pairs_expired_total", "Pairs gone after silence.", c.pairs_expired},
			    {"pairs", "Pairs now.", c.pairs},
			    {"pairs_max", "Room for pairs.", c.pairs_max},
		    },
		    33);
}

static void add_port(struct page *page, struct server *server)
{
	struct udp_abilities abilities;
	struct udp_counters c;

	udp_get_counters(server->udp, &c);
	udp_get_abilities(server->udp, &abilities);
	add(page,
	    "# HELP ntm_server_build_info Version.\n# TYPE ntm_server_build_info "
	    "gauge\nntm_server_build_info{version=\"%s\"} 1\n",
	    NTM_VERSION);
	add_metrics(
		page, "server",
		(struct metric[]){
			{"udp_received_datagrams_total", "Datagrams received on the UDP port.", c.received},
			{"udp_received_bytes_total", "Bytes received on the UDP port.", c.received_bytes},
			{"udp_sent_datagrams_total", "Datagrams sent from the UDP port.", c.sent},
			{"udp_sent_bytes_total", "Bytes sent from the UDP port.", c.sent_bytes},
			{"udp_sent_joined_total", "Datagrams and trains that left in the message of the one before.",
			 c.send_joined},
			{"udp_send_dropped_total", "Datagrams given up because the socket was full.",
			 c.send_dropped_full},
			{"udp_send_unreachable_total", "Sends that the kernel refused.", c.send_unreachable},
			{"udp_segments", "Datagrams that may leave in one call now.",
			 abilities.segment ? abilities.segments_max : 1},
			{"udp_gro", "1 when datagrams that belong together are received in one call.", abilities.gro},
			{"udp_segment_refusals_total", "Times that a device refused trains of datagrams.",
			 c.segment_fallbacks},
			{"udp_dropped_role_total", "Datagrams for a role that does not run here.",
			 server->dropped_role},
		},
		11);
}

static size_t write_page(void *ctx, char *text, size_t capacity)
{
	struct server *server = ctx;
	struct page page = {.text = text, .capacity = capacity};

	add_port(&page, server);
	if (server->account)
		add_account(&page, server);
	if (server->coordinator)
		add_coordinator(&page, server);
	if (server->relay)
		add_relay(&page, server);
	if (server->xdp)
		add_xdp(&page, server->xdp);
	return page.size;
}

/* Off unless asked for. */
enum err server_metrics_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	const struct addr *at = &server->settings->metrics;
	char text[ADDR_TEXT_MAX];
	enum err err;

	if (at->port == 0)
		return OK;
	err = metrics_server_open(at, server, write_page, &server->metrics);
	if (err == OK)
		return OK;
	return server_fail(error, err, "--metrics %s: %s", addr_format(at, text),
			   err == ERR_EXISTS ? "the port is taken; choose another" : strerror(errno));
}

/* On the loop. */
enum err server_metrics_serve(struct server *server, char error[SERVER_ERROR_MAX])
{
	if (!server->metrics || metrics_server_serve(server->metrics, server->loop) == OK)
		return OK;
	return server_fail(error, ERR_IO, "cannot serve metrics: %s", strerror(errno));
}

/* Listener and socket. */
void server_metrics_close(struct server *server)
{
	metrics_server_close(server->metrics);
	server->metrics = NULL;
}
