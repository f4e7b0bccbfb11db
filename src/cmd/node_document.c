/* JSON of the user's contract (cli.md section 5), from the node's snapshots and events. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/exit_host.h"
#include "cmd/node_abilities.h"
#include "cmd/node_host.h"
#include "cmd/node_portmap.h"
#include "cmd/node_renew.h"
#include "io/clock.h"

enum { INSTANT_MAX = 40, ROUTE_MAX = 200 };

/* RFC 3339 with microseconds, of an instant of the loop's clock. */
static const char *instant(struct time_us at, char text[INSTANT_MAX])
{
	struct timespec wall;
	struct tm parts;
	int64_t us;
	time_t seconds;
	size_t size;

	clock_gettime(CLOCK_REALTIME, &wall);
	us = (int64_t)wall.tv_sec * USEC_PER_SEC + wall.tv_nsec / 1000 - time_since(clock_now(), at);
	seconds = (time_t)(us / USEC_PER_SEC);
	gmtime_r(&seconds, &parts);
	size = strftime(text, INSTANT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + size, INSTANT_MAX - size, ".%06dZ", (int)(us % USEC_PER_SEC));
	return text;
}

static json_t *ip_json(const struct ip *ip)
{
	char text[ADDR_TEXT_MAX];

	return ip->family ? json_string(ip_format(ip, text)) : json_null();
}

static json_t *addr_json(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return addr_is_set(addr) ? json_string(addr_format(addr, text)) : json_null();
}

static json_t *id_json(const struct node_id *id)
{
	char text[2 * NODE_ID_SIZE + 1];

	for (int i = 0; i < NODE_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
	return json_string(text);
}

static const char *kind_name(enum path_kind kind)
{
	return kind == PATH_RELAY ? "relay" : "direct";
}

static json_t *route_json(enum path_kind kind, const struct route *route)
{
	char text[ROUTE_MAX], local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX];

	if (!addr_is_set(&route->remote))
		return json_null();
	snprintf(text, sizeof text, "%s %s > %s", kind_name(kind), ip_format(&route->local.ip, local),
		 addr_format(&route->remote, remote));
	return json_string(text);
}

static json_t *cause_json(enum path_cause cause)
{
	return cause == CAUSE_NONE ? json_null() : json_string(tally_cause_name(cause));
}

static json_t *optional_us(int64_t us)
{
	return us >= 0 ? json_integer(us) : json_null();
}

/* What a finished move was, and cost. */
json_t *document_handover(const struct handover *handover)
{
	char text[INSTANT_MAX];

	return json_pack("{ss so so sI si si so ss}", "at", instant(handover->at, text), "from",
			 route_json(handover->from_kind, &handover->from), "to",
			 route_json(handover->to_kind, &handover->to), "gap_us", (json_int_t)handover->gap_us,
			 "replayed_packets", (int)handover->replayed_packets, "lost_packets",
			 (int)handover->lost_packets, "cause", cause_json(handover->cause), "moved",
			 handover->by_peer ? "peer" : "self");
}

static json_t *path_json(const struct node_peer_status *peer, const struct node_path_status *path)
{
	return json_pack("{ss so so so sb sb so si si so}", "kind", kind_name(path->kind), "local",
			 addr_json(&path->route.local), "remote", addr_json(&path->route.remote), "relay",
			 path->kind == PATH_RELAY ? json_string(path->relay) : json_null(), "active", path->active,
			 "valid", path->valid, "rtt_us", optional_us(path->rtt_us), "loss_permille",
			 (int)path->loss_permille, "mtu", (int)path->mtu, "cause",
			 path->active ? cause_json(peer->cause) : json_null());
}

static const char *peer_state(enum node_peer_state state)
{
	static const char *const names[] = {"idle", "connecting", "up", "unreachable"};

	return names[state];
}

/* Which relay the tunnel has, whether data takes it or not, and why this one. */
static json_t *relay_json(const struct node_peer_status *peer)
{
	static const char *const causes[RELAY_CAUSES] = {"none", "spread", "near", "silent", "better", "load", "gone"};

	if (!peer->has_relay)
		return json_null();
	return json_pack("{ss sb so ss}", "name", peer->relay, "bound", peer->relay_bound, "rtt_us",
			 optional_us(peer->relay_rtt_us), "reason",
			 causes[peer->relay_cause < RELAY_CAUSES ? peer->relay_cause : 0]);
}

static json_t *peer_json(const struct node_peer_status *peer)
{
	json_t *paths = json_array();

	for (int i = 0; i < peer->path_count; i++)
		if (peer->paths[i].valid || peer->paths[i].active)
			json_array_append_new(paths, path_json(peer, &peer->paths[i]));
	return json_pack("{ss ss so so so ss so so si so sI sI sI sI sI ss}", "name", peer->name, "fqdn", peer->fqdn,
			 "id", id_json(&peer->id), "v4", ip_json(&peer->v4), "v6", ip_json(&peer->v6), "state",
			 peer_state(peer->state), "paths", paths, "relay", relay_json(peer), "handovers",
			 (int)peer->handovers, "last_handover",
			 peer->has_last_handover ? document_handover(&peer->last_handover) : json_null(), "rx_bytes",
			 (json_int_t)peer->rx_bytes, "tx_bytes", (json_int_t)peer->tx_bytes, "rx_packets",
			 (json_int_t)peer->rx_packets, "tx_packets", (json_int_t)peer->tx_packets, "key_age_s",
			 (json_int_t)(peer->key_age_us / USEC_PER_SEC), "suite", peer->suite);
}

static json_t *counters_json(const struct node_counters *c)
{
	return json_pack("{sI sI sI sI sI sI sI sI sI sI sI sI}", "dropped_stranger", (json_int_t)c->dropped_stranger,
			 "dropped_malformed", (json_int_t)c->dropped_malformed, "dropped_auth",
			 (json_int_t)c->dropped_auth, "dropped_replay", (json_int_t)c->dropped_replay,
			 "dropped_inner_source", (json_int_t)c->dropped_inner_source, "dropped_no_peer",
			 (json_int_t)c->dropped_no_peer, "dropped_no_path", (json_int_t)c->dropped_no_path,
			 "dropped_queue_full", (json_int_t)c->dropped_queue_full, "dropped_too_big",
			 (json_int_t)c->dropped_too_big, "handovers", (json_int_t)c->handovers, "replayed",
			 (json_int_t)c->replayed, "oversized", (json_int_t)c->oversized);
}

static json_t *mapped_json(const struct host *host)
{
	uint64_t renewals;
	size_t count = node_portmap_count(host, &renewals);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct portmap_answer *answer = node_portmap_get(host, i);

		json_array_append_new(list, json_pack("{so so ss}", "local", ip_json(&answer->local), "external",
						      addr_json(&answer->external), "method",
						      portmap_method_name(answer->method)));
	}
	return list;
}

static json_t *wall_instant(uint64_t wall_s)
{
	char text[INSTANT_MAX];
	time_t seconds = (time_t)wall_s;
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000000Z", &parts) == 0)
		return json_null();
	return json_string(text);
}

/* Until when it is good, and when another one is asked for. */
static json_t *certificate_json(const struct host *host, struct time_us now)
{
	struct node_renew_status status;

	if (!host->renew)
		return json_null();
	node_renew_get(host->renew, now, &status);
	return json_pack("{so so ss so}", "not_after", wall_instant(status.not_after_s), "renew_at",
			 wall_instant(status.due_s), "state",
			 status.is_expired ? "expired"
			 : status.is_late  ? "late"
					   : "ok",
			 "error", *status.error ? json_string(status.error) : json_null());
}

/* ntm.status/1. */
json_t *document_status(const struct host *host, struct time_us now)
{
	struct node_status status;
	struct node_peer_status peer;
	json_t *peers = json_array(), *document;
	char since[INSTANT_MAX];

	node_get_status(host->node, now, &status);
	for (size_t i = 0; i < node_peer_count(host->node); i++)
		if (node_get_peer(host->node, now, i, &peer))
			json_array_append_new(peers, peer_json(&peer));
	document = json_pack(
		"{ss s{ss ss so so so ss ss so so si ss} s{so ss so} so so}", "schema", "ntm.status/1", "node", "name",
		status.name, "fqdn", status.fqdn, "id", id_json(&status.id), "v4", ip_json(&status.v4), "v6",
		ip_json(&status.v6), "state", host->is_set_up && status.state == NODE_UP ? "up" : "joining", "since",
		instant(status.since, since), "observed", addr_json(&status.observed), "mapped", mapped_json(host),
		"listen_port", (int)udp_port(host->udp), "aead", aead_provider_name(host->aead), "coordinator",
		"address", addr_json(&status.coordinator), "state", status.coordinator_ok ? "ok" : "unreachable",
		"rtt_us", optional_us(status.coordinator_rtt_us), "peers", peers, "counters",
		counters_json(&status.counters));
	json_object_set_new(json_object_get(document, "node"), "filter", json_boolean(host->has_filter));
	json_object_set_new(json_object_get(document, "node"), "certificate", certificate_json(host, now));
	json_object_set_new(document, "packet_path", abilities_document(host));
	json_object_set_new(document, "exits", node_exit_list(host));
	if (host->exit)
		json_object_set_new(document, "exit", exit_report_document(host));
	return document;
}

static const char *event_name(enum node_event_type type)
{
	switch (type) {
	case NODE_EVENT_ADDRESS_ADDED: return "address-added";
	case NODE_EVENT_ADDRESS_REMOVED: return "address-removed";
	case NODE_EVENT_PATH_UP: return "path-up";
	case NODE_EVENT_PATH_DOWN: return "path-down";
	case NODE_EVENT_PATH_SELECTED: return "path-selected";
	case NODE_EVENT_HANDOVER: return "handover";
	case NODE_EVENT_PEER_UP: return "peer-up";
	case NODE_EVENT_PEER_DOWN: return "peer-down";
	case NODE_EVENT_COORDINATOR_UP: return "coordinator-up";
	case NODE_EVENT_COORDINATOR_DOWN: return "coordinator-down";
	case NODE_EVENT_REKEY: return "rekey";
	case NODE_EVENT_EXIT_SELECTED: return "exit-selected";
	case NODE_EVENT_REFUSED:
	case NODE_EVENT_PEER_REFUSED: return "error";
	default: return NULL;
	}
}

/* The first line of `watch`: whatever happens from now on is told. */
json_t *document_watching(const struct host *host)
{
	struct node_status status;
	char at[INSTANT_MAX];

	node_get_status(host->node, clock_now(), &status);
	return json_pack("{ss ss ss ss}", "schema", "ntm.watch/1", "event", "watching", "at", instant(clock_now(), at),
			 "fqdn", status.fqdn);
}

/* One line of `watch`: not the node's event, but a candidate all the same. */
json_t *document_mapped(const struct portmap_answer *answer)
{
	char at[INSTANT_MAX];
	bool is_mapped = addr_is_set(&answer->external);

	return json_pack("{ss ss ss so so ss}", "schema", "ntm.watch/1", "event",
			 is_mapped ? "port-mapped" : "port-unmapped", "at", instant(clock_now(), at), "local",
			 ip_json(&answer->local), "external", addr_json(&answer->external), "method",
			 is_mapped ? portmap_method_name(answer->method) : "");
}

static void add_path(json_t *document, const struct node_event *event)
{
	json_object_set_new(document, "kind", json_string(kind_name(event->kind)));
	json_object_set_new(document, "local", addr_json(&event->route.local));
	json_object_set_new(document, "remote", addr_json(&event->route.remote));
	json_object_set_new(document, "relay", event->relay[0] ? json_string(event->relay) : json_null());
	json_object_set_new(document, "rtt_us", optional_us(event->rtt_us));
}

/* One line of `watch`; NULL for what is nobody's business. */
json_t *document_event(const struct host *host, const struct node_event *event)
{
	const char *name = event_name(event->type);
	char at[INSTANT_MAX];
	json_t *document;

	(void)host;
	if (!name)
		return NULL;
	document = json_pack("{ss ss ss}", "schema", "ntm.watch/1", "event", name, "at", instant(event->at, at));
	if (event->peer[0])
		json_object_set_new(document, "peer", json_string(event->peer));
	switch (event->type) {
	case NODE_EVENT_ADDRESS_ADDED:
	case NODE_EVENT_ADDRESS_REMOVED: json_object_set_new(document, "address", ip_json(&event->address)); break;
	case NODE_EVENT_PATH_UP:
	case NODE_EVENT_PATH_DOWN:
	case NODE_EVENT_PATH_SELECTED:
		add_path(document, event);
		if (event->type == NODE_EVENT_PATH_SELECTED)
			json_object_set_new(document, "cause", cause_json(event->cause));
		break;
	case NODE_EVENT_HANDOVER: {
		json_t *handover = document_handover(&event->handover);

		json_object_set_new(document, "began", json_incref(json_object_get(handover, "at")));
		json_object_del(handover, "at");
		json_object_update_missing(document, handover);
		json_decref(handover);
		break;
	}
	case NODE_EVENT_COORDINATOR_UP:
	case NODE_EVENT_COORDINATOR_DOWN:
		json_object_set_new(document, "address", addr_json(&event->route.remote));
		break;
	default:
		if (event->reason)
			json_object_set_new(document, "reason", json_string(document_reason(event->reason)));
	}
	return document;
}

/* Reason codes of the wire, for people. */
const char *document_reason(uint8_t reason)
{
	switch (reason) {
	case REASON_NONE: return "";
	case REASON_UNKNOWN_NAME: return "no node of that name in this network";
	case REASON_OFFLINE: return "the node is not connected to its coordinator now";
	case REASON_DENIED: return "denied";
	case REASON_REVOKED: return "revoked";
	case REASON_BUSY: return "too many requests; try again in a moment";
	case REASON_BAD_REQUEST: return "the coordinator did not understand the request";
	case REASON_BAD_CREDENTIAL: return "certificate or lease is not valid";
	case REASON_LEAVING: return "the node went down";
	case REASON_NO_ADDRESS: return "the address pool is exhausted";
	case REASON_NO_ZONE: return "DNS knows no coordinator of that zone";
	case REASON_NOT_TRUSTED: return "the zone is not of a network that this one trusts";
	default: return "unknown reason";
	}
}

/* ntm.ping/1, one answer. */
json_t *document_ping(const struct node_event *event)
{
	return json_pack("{ss si ss ss so so so sI}", "schema", "ntm.ping/1", "seq", (int)event->sequence, "name",
			 event->peer, "path", kind_name(event->kind), "relay",
			 event->relay[0] ? json_string(event->relay) : json_null(), "local",
			 addr_json(&event->route.local), "remote", addr_json(&event->route.remote), "rtt_us",
			 (json_int_t)event->rtt_us);
}
