#include "proto/node/node.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/node/machine.h"

enum {
	SIGNATURES_KEPT = 128, /* certificates and leases of the peers of late: 4 KiB */
	FEW_PEERS = 16,	       /* that there is room for at first */
};
#include "wire/message.h"
#include "wire/tunnel.h"

/* The coordinator that serves the zone of our own name: one label below it, as zones may lie in each other. */
const struct coordinator_entry *node_find_coordinator(const struct network *network, const char *fqdn)
{
	const char *dot = strchr(fqdn, '.');

	for (int i = 0; dot && i < network->coordinator_count; i++)
		if (strcmp(dot + 1, network->coordinators[i].zone) == 0)
			return &network->coordinators[i];
	return NULL;
}

/* Splits the own name; certificate and network have been judged. */
static enum err take_identity(struct node *node, const struct node_config *config)
{
	size_t label;
	enum err err = certificate_judge(config->certificate, config->authority, 0, &node->certificate);

	if (err != OK)
		return err;
	if (config->network->version_floor > PROTOCOL_VERSION)
		return ERR_UNSUPPORTED; /* security 4: fails closed */
	if (config->certificate.size > sizeof node->certificate_bytes || config->network->coordinator_count == 0)
		return ERR_MALFORMED;
	if (memcmp(node->certificate.static_key, config->static_keys.public, KEY_SIZE) != 0)
		return ERR_DENIED;
	memcpy(node->certificate_bytes, config->certificate.data, config->certificate.size);
	node->certificate_size = config->certificate.size;
	*node->network = *config->network;
	node->coordinator = node_find_coordinator(node->network, node->certificate.fqdn);
	if (!node->coordinator)
		return ERR_DENIED;
	memcpy(node->zone, node->coordinator->zone, sizeof node->zone);
	label = strcspn(node->certificate.fqdn, ".");
	if (label > NAME_MAX_SIZE)
		return ERR_MALFORMED;
	memcpy(node->name, node->certificate.fqdn, label);
	return OK;
}

/* The lease of the last run gives the addresses before the coordinator answers: names and addresses are for life. */
static void take_old_lease(struct node *node, struct blob encoded)
{
	if (encoded.size == 0 || encoded.size > sizeof node->lease_bytes ||
	    lease_judge(encoded, node->network, &node->certificate.id, 0, &node->lease) != OK)
		return;
	memcpy(node->lease_bytes, encoded.data, encoded.size);
	node->lease_size = encoded.size;
	node->addressed = true;
}

static void init_tables(struct node *node)
{
	uint64_t seeds[4];

	random_fill(&node->env.random, seeds, sizeof seeds);
	random_fill(&node->env.random, node->v6_seed, sizeof node->v6_seed);
	map_init(&node->by_path_id, FEW_PEERS, seeds[0]);
	map_init(&node->by_v4, FEW_PEERS, seeds[1]);
	map_init(&node->by_v6, FEW_PEERS, seeds[2]);
	map_init(&node->by_id, FEW_PEERS, seeds[3]);
	random_fill(&node->env.random, &node->transaction, sizeof node->transaction);
}

static void init_lanes(struct node *node, const struct node_config *config)
{
	unsigned count = config->lane_count ? config->lane_count : 1;

	static_assert((int)NODE_LANES_MAX == (int)OUTBOX_LANES_MAX, "one outbox for all lanes");
	assert(count <= NODE_LANES_MAX);
	outbox_init(&node->outbox, count);
	for (unsigned i = 0; i < count; i++) {
		join_init(&node->joins[i], config->join_udp);
		if (config->is_plain)
			join_set_plain(&node->joins[i]);
	}
	node->join = &node->joins[0];
}

/* Nothing is sent before the first node_input_locals. */
enum err node_create(const struct node_config *config, const struct node_env *env, struct time_us now,
		     struct node **ret)
{
	struct node *node = mem_alloc(1, sizeof *node);
	enum err err;

	node->env = *env;
	node->static_keys = config->static_keys;
	memcpy(node->authority, config->authority, KEY_SIZE);
	node->network = mem_alloc(1, sizeof *node->network);
	node->general.is_exit = config->is_exit;
	node->aead = config->aead;
	node->signatures = signature_cache_create(SIGNATURES_KEPT);
	node->listen_port = config->listen_port;
	node->move_epoch = config->move_epoch;
	node->features = aead_has_fast_aes() && !config->avoid_aes ? FEATURE_AES : 0;
	node->now = node->since = now;
	node->deadline = TIME_NEVER;
	node->best_local[0] = node->best_local[1] = -1;
	init_tables(node);
	link_init(&node->link);
	names_init(&node->names);
	init_lanes(node, config);
	err = take_identity(node, config);
	if (err != OK) {
		node_destroy(node);
		return err;
	}
	take_old_lease(node, config->lease);
	*ret = node;
	return OK;
}

/* Everything secret is wiped. */
void node_destroy(struct node *node)
{
	if (!node)
		return;
	while (node->roster.count > 0)
		peer_destroy(node, node->roster.all[node->roster.count - 1]);
	roster_finish(&node->roster);
	link_finish(&node->link);
	document_finish(&node->document);
	document_forget_all(node);
	names_finish(&node->names);
	outbox_finish(&node->outbox);
	for (unsigned i = 0; i < NODE_LANES_MAX; i++)
		join_finish(&node->joins[i]);
	map_finish(&node->by_path_id);
	map_finish(&node->by_v4);
	map_finish(&node->by_v6);
	map_finish(&node->by_id);
	signature_cache_destroy(node->signatures);
	mem_free(node->network);
	wipe(node, sizeof *node);
	mem_free(node);
}

static void look_at_clock(struct node *node, struct time_us now)
{
	node->now = now.us > node->now.us ? now : node->now;
}

/* Every entry: time never goes back, packets handed out before are gone. */
void node_enter(struct node *node, struct time_us now)
{
	look_at_clock(node, now);
	join_reset(node->join);
}

/* Contract in the header. */
void node_use_lane(struct node *node, unsigned lane)
{
	assert(lane < node->outbox.lane_count);
	outbox_use(&node->outbox, lane);
	outbox_sent(&node->outbox);
	node->join = &node->joins[lane];
}

/* Contract in the header. */
uint32_t node_ready_lanes(const struct node *node)
{
	return node->outbox.ready;
}

/* Deadlines only come nearer until the node runs. */
void node_plan(struct node *node, struct time_us at)
{
	node->deadline = time_min(node->deadline, at);
}

/* From the UDP socket. */
void node_input_datagram(struct node *node, struct time_us now, const struct datagram *datagram)
{
	node_enter(node, now);
	inbound_datagram(node, node->now, datagram);
}

/* From the UDP socket, by the same call as the one before. */
void node_input_another(struct node *node, struct time_us now, const struct datagram *datagram)
{
	look_at_clock(node, now);
	inbound_datagram(node, node->now, datagram);
}

/* From the TUN device. */
void node_input_packet(struct node *node, struct time_us now, struct packet *packet)
{
	node_enter(node, now);
	outbound_packet(node, node->now, packet);
}

/* From the stub resolver's socket. */
void node_input_dns(struct node *node, struct time_us now, uint64_t token, const uint8_t *query, size_t size)
{
	node_enter(node, now);
	names_query(node, node->now, token, query, size);
}

/* EMSGSIZE: the interface is narrower than it said. The largest datagram that may pass is smaller than `size`. */
void node_input_too_big(struct node *node, struct time_us now, const struct route *route, size_t size)
{
	node_enter(node, now);
	for (size_t i = 0; i < node->roster.count; i++) {
		struct path *path = path_find(node->roster.all[i], route);

		if (path && size > OVERHEAD_SIZE)
			mtu_refused(path, node->now, size - OVERHEAD_SIZE);
	}
}

/* For good: what a kernel lacks it does not learn. */
void node_input_refused(struct node *node, enum packet_gso gso)
{
	for (unsigned i = 0; i < node->outbox.lane_count; i++)
		if (gso == PACKET_GSO_UDP)
			node->joins[i].join_udp = false;
		else
			join_set_plain(&node->joins[i]);
}

/* Everything that is due; the deadline is made anew from what is left. */
void node_input_time(struct node *node, struct time_us now)
{
	struct peer *peer;

	node_enter(node, now);
	if (!time_reached(node->now, node->deadline) || node->leaving)
		return;
	node->deadline = TIME_NEVER;
	if (!node->link.session && node->link.next_try.us == TIME_NEVER.us && node->local_count > 0)
		node->link.next_try = node->now; /* for the first time */
	node_settle_locals(node);
	link_run(node, node->now);
	names_run(node, node->now);
	exits_run(node, node->now);
	punch_run(node, node->now);
	roster_call(&node->roster, node->now);
	while ((peer = roster_next_called(&node->roster)) != NULL)
		peer_run(node, peer, node->now);
	node_plan(node, roster_deadline(&node->roster));
}

/* Trains first sealed leave first. */
bool node_next_datagram(struct node *node, struct datagram *ret)
{
	if (!outbox_next(&node->outbox, ret))
		return false;
	if (node->is_measuring)
		rhythm_sent(node, node->now, &ret->route.local.ip);
	return true;
}

/* Joined as far as this input allowed. */
bool node_next_packet(struct node *node, struct packet *ret)
{
	if (!join_next(node->join, ret))
		return false;
	node->counters.rx_superpackets += ret->gso != PACKET_GSO_NONE;
	return true;
}

/* In the order in which they became known. */
bool node_next_dns(struct node *node, uint64_t *ret_token, uint8_t *ret_answer, size_t *ret_size)
{
	return names_next(&node->names, ret_token, ret_answer, ret_size);
}

/* TIME_NEVER only before the first addresses are known. */
struct time_us node_next_deadline(const struct node *node)
{
	return node->leaving ? TIME_NEVER : node->deadline;
}

/* Peers forget us at once instead of after their patience. */
void node_leave(struct node *node, struct time_us now)
{
	uint8_t plaintext[32];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	size_t size;

	node_enter(node, now);
	message_header_encode(MESSAGE_CLOSE, ++node->transaction, &w);
	close_encode(&(struct close){.reason = REASON_LEAVING}, &w);
	if (writer_finish(&w, &size) == OK)
		for (size_t i = 0; i < node->roster.count; i++)
			if (node->roster.all[i]->session) {
				rest_end_paths(node, node->roster.all[i], now);
				peer_send(node, node->roster.all[i], now, NULL, (struct blob){plaintext, size});
			}
	if (node->link.session)
		link_leave(node, now);
	node->leaving = true;
}

/* Seconds since the coordinator told it are added. */
uint64_t node_network_time(const struct node *node)
{
	if (node->link.network_time_s == 0)
		return 0;
	return node->link.network_time_s + (uint64_t)(time_since(node->now, node->link.network_time_at) / USEC_PER_SEC);
}

static void match_zone(const char *name, const char *zone, bool *is_inside, bool *is_apex)
{
	*is_inside = *is_inside || dns_name_in_zone(name, zone);
	*is_apex = *is_apex || strcmp(name, zone) == 0;
}

/* Of any coordinator of this network, or of one that it trusts. */
bool node_has_zone_of(const struct node *node, const char *name, bool *ret_is_apex)
{
	bool is_inside = false;

	*ret_is_apex = false;
	for (int i = 0; i < node->network->coordinator_count; i++)
		match_zone(name, node->network->coordinators[i].zone, &is_inside, ret_is_apex);
	for (int i = 0; i < node->network->trusted_count; i++)
		match_zone(name, node->network->trusted[i].zone, &is_inside, ret_is_apex);
	return is_inside;
}

/* Of any coordinator of this network, or of one that it trusts. */
bool node_is_virtual(const struct node *node, const struct ip *ip)
{
	for (int i = 0; i < node->network->coordinator_count; i++)
		if (prefix_contains(&node->network->coordinators[i].pool4, ip) ||
		    prefix_contains(&node->network->coordinators[i].pool6, ip))
			return true;
	for (int i = 0; i < node->network->trusted_count; i++)
		if (prefix_contains(&node->network->trusted[i].pool4, ip) ||
		    prefix_contains(&node->network->trusted[i].pool6, ip))
			return true;
	return false;
}
