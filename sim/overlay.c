#include "overlay.h"

#include <stdio.h>
#include <string.h>

#include "proto/session/trust.h"
#include "world.h"

enum { OVERLAY_RELAY_MEMORY = 4 << 20 };

static struct dh_keys draw_dh(uint64_t seed, const char *purpose, uint64_t subject)
{
	struct stream stream = stream_for(seed, purpose, subject);
	uint8_t bytes[KEY_SIZE];
	struct dh_keys keys;

	stream_fill(&stream, bytes, sizeof bytes);
	dh_keys_from_seed(bytes, &keys);
	return keys;
}

static struct sign_keys draw_sign(uint64_t seed, const char *purpose, uint64_t subject)
{
	struct stream stream = stream_for(seed, purpose, subject);
	uint8_t bytes[KEY_SIZE];
	struct sign_keys keys;

	stream_fill(&stream, bytes, sizeof bytes);
	sign_keys_from_seed(bytes, &keys);
	return keys;
}

static struct server_addresses addresses_of(const struct host *host)
{
	return (struct server_addresses){.count = 2, .list = {host_addr(host, 4), host_addr(host, 6)}};
}

static uint64_t wall_s(const struct overlay *overlay)
{
	return OVERLAY_WALL_S + (uint64_t)(overlay->world->now.us / USEC_PER_SEC);
}

/* Servers have good networks: 5 to 40 ms away from the core where nothing else is told, nothing lost. */
static uint8_t server_net(struct overlay *overlay, const char *name)
{
	struct net_config config = {.has_v4 = true, .has_v6 = true};

	(void)snprintf(config.name, sizeof config.name, "%s", name);
	config.up.delay_us = config.down.delay_us = overlay->server_delay_us;
	if (overlay->server_delay_us < 0)
		config.up.delay_us = config.down.delay_us = stream_range(&overlay->random, 5000, 40000);
	return world_add_net(overlay->world, &config);
}

/* The next one of the network document; its number makes its keys. */
static void enter_coordinator(struct overlay *overlay, struct network *network, uint8_t number, struct host *host,
			      const char *zone, struct ip pool4, struct coordinator_config *ret)
{
	struct coordinator_entry *entry = &network->coordinators[network->coordinator_count++];
	const struct sign_keys *authority =
		network == &overlay->partner ? &overlay->partner_authority : &overlay->authority;
	uint64_t seed = overlay->world->seed;

	*ret = (struct coordinator_config){
		.static_keys = draw_dh(seed, "coordinator static", number),
		.sign_keys = draw_sign(seed, "coordinator sign", number),
		.pool4 = {pool4, 16},
		.pool6 = {{.family = 6, .bytes = {0xfd, 0x6e, 0x74, 0x6d}}, 32},
		.nodes_max = 256,
		.aead = overlay->aead,
		.has_resolver = true,
	};
	if (network == &overlay->partner)
		ret->pool6.ip.bytes[1] = 0x12;
	(void)snprintf(ret->zone, sizeof ret->zone, "%s", zone);
	memcpy(ret->authority, authority->public, KEY_SIZE);
	*entry = (struct coordinator_entry){.pool4 = ret->pool4, .pool6 = ret->pool6, .addresses = addresses_of(host)};
	(void)snprintf(entry->zone, sizeof entry->zone, "%s", zone);
	memcpy(entry->static_key, ret->static_keys.public, KEY_SIZE);
	memcpy(entry->sign_key, ret->sign_keys.public, KEY_SIZE);
}

static void add_coordinator(struct overlay *overlay)
{
	overlay->coordinator = world_add_host(overlay->world, "dc", &coordinator_host_ops, NULL, OVERLAY_PORT);
	overlay->coordinator_net = server_net(overlay, "dc-net");
	host_plug(overlay->coordinator, 1, overlay->coordinator_net);
	enter_coordinator(overlay, &overlay->network, 0, overlay->coordinator, OVERLAY_ZONE, ip_v4(198, 18, 0, 0),
			  &overlay->coordinator_config);
}

static void add_relay(struct overlay *overlay, uint32_t index)
{
	struct relay_entry *entry = &overlay->network.relays[index];
	struct host *host;
	char name[HOST_NAME];

	(void)snprintf(name, sizeof name, "rs%u", index + 1);
	host = world_add_host(overlay->world, name, &relay_host_ops, NULL, OVERLAY_PORT);
	(void)snprintf(entry->name, sizeof entry->name, "%s", name);
	host_plug(host, 1, server_net(overlay, name));
	overlay->relays[index] = host;
	overlay->relay_configs[index] =
		(struct relay_config){.static_keys = draw_dh(overlay->world->seed, "relay static", index),
				      .pairs_max = 256,
				      .memory_bytes = OVERLAY_RELAY_MEMORY};
	memcpy(entry->static_key, overlay->relay_configs[index].static_keys.public, KEY_SIZE);
	entry->addresses = addresses_of(host);
	overlay->network.relay_count++;
}

/* The account server itself is TLS and files; what it leaves behind are signatures. */
void overlay_init(struct overlay *overlay, uint64_t seed, uint32_t relays, int64_t server_delay_us)
{
	*overlay = (struct overlay){.world = world_create(seed),
				    .random = stream_for(seed, "scenario", 0),
				    .server_delay_us = server_delay_us};
	overlay->aead = aead_provider_create(AEAD_BACKEND_AUTO);
	overlay->authority = draw_sign(seed, "authority", 0);
	overlay->network = (struct network){.epoch = 1, .issued_s = wall_s(overlay), .version_floor = PROTOCOL_VERSION};
	traffic_init(&overlay->traffic, overlay->world);
	add_coordinator(overlay);
	for (overlay->relay_count = 0; overlay->relay_count < relays; overlay->relay_count++)
		add_relay(overlay, overlay->relay_count);
	network_sign(&overlay->network, &overlay->authority);
	overlay_restart_coordinator(overlay);
	for (uint32_t i = 0; i < relays; i++)
		overlay_restart_relay(overlay, i);
}

static void add_host_two(struct overlay *overlay)
{
	struct overlay_zone *two = &overlay->two;

	two->host = world_add_host(overlay->world, "dc2", &coordinator_host_ops, NULL, OVERLAY_PORT);
	two->net = server_net(overlay, "dc2-net");
	host_plug(two->host, 1, two->net);
}

/* With the documents as they are now. */
static void start_anew(struct overlay *overlay)
{
	network_sign(&overlay->network, &overlay->authority);
	host_kill(overlay->coordinator);
	overlay_restart_coordinator(overlay);
	overlay_restart_zone_two(overlay);
	for (uint32_t i = 0; i < overlay->relay_count; i++) {
		host_kill(overlay->relays[i]);
		overlay_restart_relay(overlay, i);
	}
}

/* The others hear of it by the network document. */
void overlay_add_zone(struct overlay *overlay)
{
	add_host_two(overlay);
	enter_coordinator(overlay, &overlay->network, 1, overlay->two.host, OVERLAY_ZONE_TWO, ip_v4(198, 19, 0, 0),
			  &overlay->two.config);
	overlay->network.epoch++;
	start_anew(overlay);
}

static void trust(struct network *network, const struct coordinator_config *other)
{
	struct trusted_entry *entry = &network->trusted[network->trusted_count++];

	memcpy(entry->zone, other->zone, sizeof entry->zone);
	memcpy(entry->authority, other->authority, KEY_SIZE);
	entry->pool4 = other->pool4;
	entry->pool6 = other->pool6;
}

/* Contract in the header. */
void overlay_add_partner(struct overlay *overlay)
{
	struct network *partner = &overlay->partner;

	overlay->is_partner = true;
	overlay->partner_authority = draw_sign(overlay->world->seed, "authority", 1);
	*partner = (struct network){.epoch = 1, .issued_s = wall_s(overlay), .version_floor = PROTOCOL_VERSION};
	add_host_two(overlay);
	enter_coordinator(overlay, partner, 1, overlay->two.host, OVERLAY_ZONE_PARTNER, ip_v4(198, 19, 0, 0),
			  &overlay->two.config);
	partner->relay_count = overlay->network.relay_count;
	memcpy(partner->relays, overlay->network.relays, sizeof partner->relays);
	trust(&overlay->network, &overlay->two.config);
	trust(partner, &overlay->coordinator_config);
	network_sign(partner, &overlay->partner_authority);
	overlay->network.epoch++;
	start_anew(overlay);
}

/* Also the first start. */
void overlay_restart_zone_two(struct overlay *overlay)
{
	struct overlay_zone *two = &overlay->two;

	two->config.wall_s = wall_s(overlay);
	coordinator_host_start(two->host, &two->config, overlay->is_partner ? &overlay->partner : &overlay->network,
			       &two->disk);
	coordinator_host_ask(two->host, overlay->coordinator);
}

/* Machines first: they borrow the AEAD provider. */
void overlay_finish(struct overlay *overlay)
{
	world_destroy(overlay->world);
	traffic_finish(&overlay->traffic);
	disk_finish(&overlay->disk);
	disk_finish(&overlay->two.disk);
	aead_provider_destroy(overlay->aead);
}

/* Also the first start. */
void overlay_restart_coordinator(struct overlay *overlay)
{
	overlay->coordinator_config.wall_s = wall_s(overlay);
	coordinator_host_start(overlay->coordinator, &overlay->coordinator_config, &overlay->network, &overlay->disk);
	coordinator_host_ask(overlay->coordinator, overlay->two.host);
}

/* Also the first start. */
void overlay_restart_relay(struct overlay *overlay, uint32_t index)
{
	struct network served = overlay->network;

	if (overlay->is_partner) /* it serves both */
		served.coordinators[served.coordinator_count++] = overlay->partner.coordinators[0];
	overlay->relay_configs[index].wall_s = wall_s(overlay);
	if (overlay->relays_have_kernel)
		overlay->relay_configs[index].memory_bytes = 0;
	relay_host_start(overlay->relays[index], &overlay->relay_configs[index], &served, overlay->relays_have_kernel);
}

/* Contract in the header. */
void overlay_join_relay(struct overlay *overlay, int64_t delay_us)
{
	struct server_host *coordinator = overlay->coordinator->machine;

	overlay->server_delay_us = delay_us;
	add_relay(overlay, overlay->relay_count);
	overlay->network.epoch++;
	network_sign(&overlay->network, &overlay->authority);
	overlay_restart_relay(overlay, overlay->relay_count++);
	coordinator_set_network(coordinator->coordinator, overlay->world->now, &overlay->network);
	server_host_trust(coordinator, &overlay->network);
	host_turn(overlay->coordinator);
}

static uint64_t valid_s(const struct overlay *overlay)
{
	return overlay->certificate_valid_s ? overlay->certificate_valid_s : (uint64_t)CERTIFICATE_VALID_S;
}

static void certify(struct overlay *overlay, struct overlay_node *node, const struct dh_keys *static_keys)
{
	struct sign_keys identity = draw_sign(overlay->world->seed, "identity", overlay->node_count);
	struct certificate certificate = {.serial = overlay->node_count + 1, .not_before_s = wall_s(overlay) - 3600};
	struct writer w = writer_over(node->certificate, sizeof node->certificate);
	bool is_two = overlay->two.host && overlay->node_count % 2, is_partner = is_two && overlay->is_partner;
	const struct sign_keys *authority = is_partner ? &overlay->partner_authority : &overlay->authority;
	size_t size = 0;

	certificate.not_after_s = wall_s(overlay) + valid_s(overlay);
	certificate.id = node_id_of(identity.public);
	memcpy(certificate.identity_key, identity.public, KEY_SIZE);
	memcpy(certificate.static_key, static_keys->public, KEY_SIZE);
	(void)snprintf(node->fqdn, sizeof node->fqdn, "%s.%s", node->name,
		       is_partner ? OVERLAY_ZONE_PARTNER
		       : is_two	  ? OVERLAY_ZONE_TWO
				  : OVERLAY_ZONE);
	memcpy(certificate.fqdn, node->fqdn, sizeof certificate.fqdn);
	(void)snprintf(certificate.account, sizeof certificate.account, "alice");
	certificate_sign(&certificate, authority);
	memcpy(node->config.authority, authority->public, KEY_SIZE);
	node->config.network = is_partner ? &overlay->partner : &overlay->network;
	certificate_encode(&certificate, &w);
	if (writer_finish(&w, &size) != OK)
		world_fail(overlay->world, "certificate does not fit");
	node->config.certificate = (struct blob){node->certificate, size};
}

/* Contract in the header. */
void overlay_renew_certificate(struct overlay *overlay, struct overlay_node *node)
{
	struct certificate certificate = *node_get_certificate(node_of(node->host));
	struct writer w = writer_over(node->certificate, sizeof node->certificate);
	size_t size = 0;

	certificate.serial += OVERLAY_NODES_MAX;
	certificate.not_before_s = wall_s(overlay) - (uint64_t)CERTIFICATE_SKEW_S;
	certificate.not_after_s = wall_s(overlay) + valid_s(overlay);
	certificate_sign(&certificate, &overlay->authority);
	certificate_encode(&certificate, &w);
	if (writer_finish(&w, &size) != OK)
		world_fail(overlay->world, "certificate does not fit");
	node->config.certificate = (struct blob){node->certificate, size};
	if (node_input_certificate(node_of(node->host), overlay->world->now, node->config.certificate) != OK)
		world_fail(overlay->world, "%s does not take its new certificate", node->name);
	host_turn(node->host);
}

/* Its clock need not be right: it is told nothing about the wall. */
struct overlay_node *overlay_add_node(struct overlay *overlay, const char *name, uint8_t net)
{
	struct overlay_node *node = &overlay->nodes[overlay->node_count];
	struct dh_keys static_keys = draw_dh(overlay->world->seed, "node static", overlay->node_count);

	(void)snprintf(node->name, sizeof node->name, "%s", name);
	node->host = world_add_host(overlay->world, name, &node_host_ops, NULL, OVERLAY_PORT);
	node->host->joins = stream_chance(&overlay->random, 500000);
	certify(overlay, node, &static_keys);
	overlay->node_count++;
	node->config.static_keys = static_keys;
	node->config.aead = overlay->aead;
	node->config.listen_port = OVERLAY_PORT;
	node->config.lane_count = overlay->lane_count;
	host_plug(node->host, 1, net);
	traffic_attach(&overlay->traffic, node->host);
	overlay_start_node(overlay, node);
	return node;
}

/* Also after host_kill: it has lost its lease and everything but its keys. */
void overlay_start_node(struct overlay *overlay, struct overlay_node *node)
{
	(void)overlay;
	(void)node_host_start(node->host, &node->config);
}

/* Every second one has IPv6; every fourth has no NAT at all. */
uint8_t overlay_draw_net(struct overlay *overlay, uint32_t loss_ppm)
{
	struct stream *r = &overlay->random;
	struct net_config config = {.has_v4 = true};

	(void)snprintf(config.name, sizeof config.name, "net%u", overlay->world->net_count + 1);
	config.has_nat = !stream_chance(r, 250000);
	config.nat.mapping = (enum nat_dependence)stream_below(r, NAT_DEPENDENCES);
	config.nat.filtering = (enum nat_dependence)stream_below(r, NAT_DEPENDENCES);
	config.nat.preserves_ports = stream_chance(r, 500000);
	config.nat.hairpins = stream_chance(r, 500000);
	config.nat.timeout_us = stream_range(r, 30, 120) * USEC_PER_SEC;
	config.has_v6 = stream_chance(r, 500000);
	config.has_firewall = stream_chance(r, 700000);
	config.firewall.filtering = (enum nat_dependence)stream_below(r, NAT_DEPENDENCES);
	config.host_mtu = stream_chance(r, 250000) ? (uint32_t)stream_range(r, 1400, 1500) : 1500;
	config.up.delay_us = config.down.delay_us = stream_range(r, 500, 60000);
	config.up.jitter_us = config.down.jitter_us = stream_range(r, 0, 5000);
	config.up.loss_ppm = config.down.loss_ppm = (uint32_t)stream_below(r, loss_ppm + 1);
	config.up.duplicate_ppm = config.down.duplicate_ppm = (uint32_t)stream_below(r, loss_ppm + 1);
	config.up.reorder_ppm = config.down.reorder_ppm = (uint32_t)stream_below(r, loss_ppm + 1);
	config.up.reorder_us = config.down.reorder_us = stream_range(r, 1000, 20000);
	return world_add_net(overlay->world, &config);
}

/* NATs and delays stay: they are no faults. */
void overlay_heal(struct overlay *overlay)
{
	for (uint8_t i = 1; i <= overlay->world->net_count; i++) {
		struct net *net = &overlay->world->nets[i];
		struct line_config *lines[] = {&net->up.config, &net->down.config};

		net->silent = false;
		for (unsigned k = 0; k < 2; k++)
			lines[k]->loss_ppm = lines[k]->duplicate_ppm = lines[k]->reorder_ppm = 0;
	}
	world_note(overlay->world, overlay->coordinator->name, "the world is healed");
}

static bool is_registered(const struct overlay_node *node, struct time_us now)
{
	struct node_status status;

	if (!node_of(node->host))
		return true;
	node_get_status(node_of(node->host), now, &status);
	return status.coordinator_ok && status.v4.family;
}

static bool some_unregistered(void *ctx)
{
	struct overlay *overlay = ctx;

	for (uint32_t i = 0; i < overlay->node_count; i++)
		if (!is_registered(&overlay->nodes[i], overlay->world->now))
			return true;
	return false;
}

/*
 * Dead nodes are not waited for. Then one more moment: a coordinator takes a node for online at its first word after
 * the handshake.
 */
bool overlay_wait_registered(struct overlay *overlay, int64_t limit_us)
{
	struct time_us until = time_add(overlay->world->now, limit_us);

	return world_run_while(overlay->world, until, some_unregistered, overlay) &&
	       world_run_until(overlay->world, time_add(overlay->world->now, USEC_PER_SEC / 2));
}

static bool find_peer(const struct overlay *overlay, const struct overlay_node *from, const struct overlay_node *to,
		      struct node_peer_status *ret)
{
	if (!node_of(from->host))
		return false;
	for (size_t i = 0; i < node_peer_count(node_of(from->host)); i++)
		if (node_get_peer(node_of(from->host), overlay->world->now, i, ret) && !strcmp(ret->name, to->name))
			return true;
	return false;
}

/* Contract in the header. */
uint32_t overlay_relay_of(const struct overlay *overlay, const struct overlay_node *a, const struct overlay_node *b)
{
	struct node_peer_status peer;

	for (uint32_t i = 0; find_peer(overlay, a, b, &peer) && i < overlay->relay_count; i++)
		if (strcmp(peer.relay, overlay->network.relays[i].name) == 0)
			return i;
	return overlay->relay_count;
}

struct connecting {
	struct overlay *overlay;
	struct overlay_node *a, *b;
};

static bool is_up(const struct overlay *overlay, const struct overlay_node *from, const struct overlay_node *to)
{
	struct node_peer_status peer;

	return find_peer(overlay, from, to, &peer) && peer.state == NODE_PEER_UP;
}

static bool not_connected(void *ctx)
{
	const struct connecting *c = ctx;

	return !is_up(c->overlay, c->a, c->b) || !is_up(c->overlay, c->b, c->a);
}

/* By name, as people do. */
bool overlay_wait_connected(struct overlay *overlay, struct overlay_node *a, struct overlay_node *b, int64_t limit_us)
{
	struct connecting connecting = {overlay, a, b};
	struct time_us until = time_add(overlay->world->now, limit_us);

	if (node_contact(node_of(a->host), overlay->world->now, b->fqdn) != OK) {
		world_fail(overlay->world, "%s does not know the name %s", a->name, b->name);
		return false;
	}
	host_turn(a->host);
	return world_run_while(overlay->world, until, not_connected, &connecting);
}

/* The addresses are for life, so they are asked for once. */
void overlay_exchange(struct overlay *overlay, struct overlay_node *a, struct overlay_node *b, uint8_t family,
		      int64_t interval_us, size_t size, struct flow *ret[2])
{
	struct node_status at_a, at_b;
	const struct ip *ip_a = family == 6 ? &at_a.v6 : &at_a.v4, *ip_b = family == 6 ? &at_b.v6 : &at_b.v4;

	node_get_status(node_of(a->host), overlay->world->now, &at_a);
	node_get_status(node_of(b->host), overlay->world->now, &at_b);
	ret[0] = traffic_start(&overlay->traffic, a->host, b->host, ip_a, ip_b, interval_us, size);
	ret[1] = traffic_start(&overlay->traffic, b->host, a->host, ip_b, ip_a, interval_us, size);
}

/* At the addresses of the flows; written every 20 ms. */
void overlay_exchange_pipes(struct overlay *overlay, struct flow *flows[2], struct pipe *ret[2])
{
	for (int i = 0; i < 2; i++)
		ret[i] = traffic_start_pipe(&overlay->traffic, flows[i]->from, flows[i]->to, &flows[i]->src,
					    &flows[i]->dst, 20000);
}

struct delivering {
	struct flow **flows;
	uint32_t count, packets;
};

static bool not_delivered(void *ctx)
{
	const struct delivering *d = ctx;

	for (uint32_t i = 0; i < d->count; i++)
		if (d->flows[i]->delivered_marked < d->packets)
			return true;
	return false;
}

/* Marks the flows. */
bool overlay_wait_delivered(struct overlay *overlay, struct flow *flows[], uint32_t count, uint32_t packets,
			    int64_t limit_us)
{
	struct delivering delivering = {flows, count, packets};

	for (uint32_t i = 0; i < count; i++)
		flow_mark(flows[i]);
	return world_run_while(overlay->world, time_add(overlay->world->now, limit_us), not_delivered, &delivering);
}

/* As a tells it. */
bool overlay_is_direct(struct overlay *overlay, struct overlay_node *a, struct overlay_node *b)
{
	struct node_peer_status peer;

	if (!find_peer(overlay, a, b, &peer))
		return false;
	for (unsigned i = 0; i < peer.path_count; i++)
		if (peer.paths[i].active)
			return peer.paths[i].kind == PATH_DIRECT;
	return false;
}
