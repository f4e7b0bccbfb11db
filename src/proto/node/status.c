/* What people ask, and what they are told: contact by name, echo, snapshots, events. */
#include <string.h>

#include "proto/node/machine.h"
#include "wire/message.h"

/* Time and listener are the same for all. */
void node_emit(struct node *node, struct node_event *event)
{
	event->at = node->now;
	if (node->env.event)
		node->env.event(node->env.ctx, event);
}

/* About a peer as a whole. */
void node_emit_peer(struct node *node, struct peer *peer, enum node_event_type type)
{
	struct node_event event = {.type = type, .reason = peer->last_reason};

	peer_get_fqdn(peer, event.peer);
	node_emit(node, &event);
}

/* About one way to it. */
void node_emit_path(struct node *node, struct peer *peer, enum node_event_type type, const struct path *path)
{
	struct node_event event = {.type = type, .kind = path->kind, .route = path->route, .rtt_us = path->rtt_us};

	peer_get_fqdn(peer, event.peer);
	if (path->kind == PATH_RELAY)
		memcpy(event.relay, relay_name_at(peer, &path->route.remote), sizeof event.relay);
	node_emit(node, &event);
}

/* Data takes it from now on. */
void node_emit_selected(struct node *node, struct peer *peer, const struct path *path, enum path_cause cause)
{
	struct node_event event = {.type = NODE_EVENT_PATH_SELECTED,
				   .kind = path->kind,
				   .route = path->route,
				   .rtt_us = path->rtt_us,
				   .cause = cause};

	peer_get_fqdn(peer, event.peer);
	if (path->kind == PATH_RELAY)
		memcpy(event.relay, relay_name_at(peer, &path->route.remote), sizeof event.relay);
	peer->cause = cause;
	node_emit(node, &event);
}

/* A bare label is of our own zone. */
enum err node_full_name(const struct node *node, const char *name, char ret[FQDN_MAX_SIZE + 1])
{
	bool is_label = !strchr(name, '.'), is_apex;
	size_t size = strlen(name) + (is_label ? 1 + strlen(node->zone) : 0);

	if (name[0] == '\0' || size > FQDN_MAX_SIZE || (!is_label && !node_has_zone_of(node, name, &is_apex)))
		return ERR_UNKNOWN;
	memset(ret, 0, FQDN_MAX_SIZE + 1);
	memcpy(ret, name, strlen(name));
	if (is_label) {
		ret[strlen(name)] = '.';
		memcpy(ret + strlen(name) + 1, node->zone, strlen(node->zone));
	}
	return OK;
}

/* A live tunnel is left alone. */
enum err node_contact(struct node *node, struct time_us now, const char *name)
{
	char fqdn[FQDN_MAX_SIZE + 1];
	struct peer *peer;

	if (node_full_name(node, name, fqdn) != OK || strcmp(fqdn, node->certificate.fqdn) == 0)
		return ERR_UNKNOWN;
	peer = peer_by_name(node, fqdn);
	if (!peer || (!peer->session && !peer->awake->contact.used))
		link_request_direction(node, now, fqdn, NULL);
	return OK;
}

/* Token, sequence and the instant ride along, so nothing has to be remembered. */
enum err node_ping(struct node *node, struct time_us now, const char *name, uint64_t token, uint32_t sequence)
{
	uint8_t plaintext[CONTROL_MAX], data[20];
	struct writer w = writer_over(plaintext, sizeof plaintext), d = writer_over(data, sizeof data);
	char fqdn[FQDN_MAX_SIZE + 1];
	const struct path *path;
	struct peer *peer;
	size_t size;

	if (node_full_name(node, name, fqdn) != OK)
		return ERR_UNKNOWN;
	peer = peer_by_name(node, fqdn);
	if (!peer || !peer_has_path(peer))
		return ERR_STATE;
	write_u64(&d, token);
	write_u32(&d, sequence);
	write_u64(&d, (uint64_t)now.us);
	message_header_encode(MESSAGE_ECHO_REQUEST, ++node->transaction, &w);
	echo_encode(&(struct echo){.data = {data, sizeof data}}, &w);
	rest_end(node, peer, now);
	path = &peer->awake->paths[peer->second >= 0 && peer->awake->paths[peer->active].doubtful ? peer->second
												  : peer->active];
	if (writer_finish(&w, &size) != OK || !peer_send(node, peer, now, &path->route, (struct blob){plaintext, size}))
		return ERR_FULL;
	peer->last_data = now;
	return OK;
}

/* For status, metrics and tests. */
void node_get_status(const struct node *node, struct time_us now, struct node_status *ret)
{
	*ret = (struct node_status){
		.state = node->addressed && node->link.session ? NODE_UP : NODE_JOINING,
		.since = node->since,
		.id = node->certificate.id,
		.coordinator_ok = node->link.up && node->local_count > 0,
		.coordinator = node->link.route.remote,
		.coordinator_rtt_us = node->link.rtt_us,
		.observed = node->link.observed,
		.network_time_s = node_network_time(node),
		.counters = node->counters,
	};
	(void)now;
	memcpy(ret->name, node->name, sizeof ret->name);
	memcpy(ret->fqdn, node->certificate.fqdn, sizeof ret->fqdn);
	memcpy(ret->zone, node->zone, sizeof ret->zone);
	if (node->addressed) {
		ret->v4 = node->lease.v4;
		ret->v6 = node->lease.v6;
	}
	if (!addr_is_set(&ret->coordinator) && node->coordinator->addresses.count > 0)
		ret->coordinator = node->coordinator->addresses.list[0];
}

static void get_path(const struct peer *peer, const struct path *path, bool is_active, struct node_path_status *ret)
{
	*ret = (struct node_path_status){
		.kind = path->kind,
		.route = path->route,
		.valid = path->valid,
		.active = is_active,
		.rtt_us = path->rtt_us,
		.loss_permille = path->loss_permille,
		.mtu = path->mtu,
		.challenges_tx = path->challenges_tx,
		.challenges_rx = path->challenges_rx,
	};
	if (path->kind == PATH_RELAY)
		memcpy(ret->relay, relay_name_at(peer, &path->route.remote), sizeof ret->relay);
}

static void get_paths(const struct peer *peer, struct node_peer_status *ret)
{
	for (uint8_t i = 0; i < (peer->awake ? NODE_PATHS_MAX : peer->kept_count); i++) {
		struct path path = peer->awake ? peer->awake->paths[i] : peer_path_kept(peer, i);

		if (path.used)
			get_path(peer, &path, i == peer->active, &ret->paths[ret->path_count++]);
	}
}

/* The relay of a tunnel, or of the one that is being made. */
static void get_relay(const struct peer *peer, struct node_peer_status *ret)
{
	const struct contact *contact = peer->awake ? &peer->awake->contact : NULL;

	if (peer->has_relay) {
		ret->has_relay = true;
		ret->relay_bound = leg_is_bound(&peer->leg);
		ret->relay_cause = peer->relay_cause;
		ret->relay_rtt_us = peer->leg.rtt_us;
		memcpy(ret->relay, peer->relay_name, sizeof ret->relay);
	} else if (contact && contact->has_relay) {
		ret->has_relay = true;
		ret->relay_cause = contact->relay_cause;
		memcpy(ret->relay, contact->relay_name, sizeof ret->relay);
	}
	ret->relay_bound |= contact && contact->has_relay && leg_is_bound(&contact->leg);
}

/* Contract in the header. */
size_t node_peer_count(const struct node *node)
{
	return node->roster.count;
}

static const struct path *data_path(const struct peer *peer, struct path *kept)
{
	if (peer->active < 0)
		return NULL;
	if (peer->awake)
		return &peer->awake->paths[peer->active];
	*kept = peer_path_kept(peer, (uint8_t)peer->active);
	return kept;
}

/* Contract in the header. */
struct node_ways node_count_ways(const struct node *node)
{
	struct node_ways ways = {0};
	struct path kept;

	for (size_t i = 0; i < node->roster.count; i++) {
		const struct peer *peer = node->roster.all[i];
		const struct path *path = data_path(peer, &kept);
		bool works = path && path->valid;

		if (!peer->session)
			continue;
		ways.relay += works && path->kind == PATH_RELAY;
		ways.direct += works && path->kind != PATH_RELAY;
		ways.nowhere += !works;
	}
	return ways;
}

/* Indices that hold no peer are false. */
bool node_get_peer(const struct node *node, struct time_us now, size_t index, struct node_peer_status *ret)
{
	const struct peer *peer = index < node->roster.count ? node->roster.all[index] : NULL;

	if (!peer)
		return false;
	*ret = (struct node_peer_status){
		.state = peer->state,
		.id = peer->id,
		.v4 = peer->v4,
		.v6 = peer->v6,
		.last_reason = peer->last_reason,
		.has_certificate = true,
		.has_session = peer->session != NULL,
		.relay_rtt_us = -1,
		.candidate_count = (uint8_t)(peer->candidates.count + addr_is_set(&peer->observed)),
		.handovers = peer->handovers,
		.has_last_handover = peer->last_handover != NULL,
		.last_handover = peer->last_handover ? *peer->last_handover : (struct handover){0},
		.cause = peer->cause,
		.rx_bytes = peer->rx_bytes,
		.tx_bytes = peer->tx_bytes,
		.is_foreign = peer->is_foreign,
		.rx_packets = peer->rx_packets,
		.tx_packets = peer->tx_packets,
		.suite = "",
		.punch = peer->punch.status,
	};
	peer_get_fqdn(peer, ret->fqdn);
	memcpy(ret->name, ret->fqdn, strcspn(ret->fqdn, "."));
	get_relay(peer, ret);
	if (peer->session) {
		ret->key_age_us = time_since(now, session_key_since(peer->session));
		ret->suite = session_suite(peer->session) == SUITE_AES256_GCM ? "AES-256-GCM" : "ChaCha20-Poly1305";
	}
	get_paths(peer, ret);
	return true;
}

/* Changes under way of its own: NODE_EVENT_NETWORK tells. */
const struct network *node_get_network(const struct node *node)
{
	return node->network;
}

/* Encoded, as the coordinator signed it. */
struct blob node_get_lease(const struct node *node)
{
	return (struct blob){node->lease_bytes, node->lease_size};
}
