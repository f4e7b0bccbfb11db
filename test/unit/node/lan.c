#include "lan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/session/trust.h"
#include "wire/header.h"
#include "wire/inner.h"

enum { WALL_S = 1700000000 };

static void fill(void *ctx, void *bytes, size_t size)
{
	struct lan *lan = ctx;
	uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++) {
		lan->random ^= lan->random << 13;
		lan->random ^= lan->random >> 17;
		lan->random ^= lan->random << 5;
		p[i] = (uint8_t)(lan->random >> 8);
	}
}

static struct addr parse(const char *text)
{
	struct addr addr = {0};
	enum err err = addr_parse(text, 7367, &addr);

	assert(err == OK);
	(void)err;
	return addr;
}

static void note(void *ctx, const struct node_event *event)
{
	struct lan_node *node = ctx;

	if (node->event_count < LAN_EVENTS)
		node->events[node->event_count++] = *event;
}

static void make_network(struct lan *lan, struct dh_keys *coordinator, struct sign_keys *signer, struct dh_keys *relay)
{
	struct network *n = &lan->network;
	uint8_t seed[KEY_SIZE];

	fill(lan, seed, sizeof seed);
	sign_keys_from_seed(seed, &lan->authority);
	fill(lan, seed, sizeof seed);
	dh_keys_from_seed(seed, coordinator);
	fill(lan, seed, sizeof seed);
	sign_keys_from_seed(seed, signer);
	fill(lan, seed, sizeof seed);
	dh_keys_from_seed(seed, relay);
	*n = (struct network){
		.epoch = 1, .issued_s = WALL_S, .version_floor = 1, .coordinator_count = 1, .relay_count = 1};
	strcpy(n->coordinators[0].zone, "ntm.internal");
	memcpy(n->coordinators[0].static_key, coordinator->public, KEY_SIZE);
	memcpy(n->coordinators[0].sign_key, signer->public, KEY_SIZE);
	assert(prefix_parse("198.18.0.0/15", &n->coordinators[0].pool4) == OK);
	assert(prefix_parse("fd6e:746d::/32", &n->coordinators[0].pool6) == OK);
	n->coordinators[0].addresses = (struct server_addresses){.count = 1, .list = {lan->coordinator_addr}};
	strcpy(n->relays[0].name, "rs1");
	memcpy(n->relays[0].static_key, relay->public, KEY_SIZE);
	n->relays[0].addresses = (struct server_addresses){.count = 1, .list = {lan->relay_addr}};
	network_sign(n, &lan->authority);
}

static void start_node(struct lan *lan, struct lan_node *node)
{
	struct network network = lan->network;
	struct node_config config = {.network = &lan->network, .aead = lan->aead, .listen_port = 7367};
	struct node_env env = {.random = {lan, fill}, .ctx = node, .event = note};
	enum err err;

	config.is_exit = node->is_exit || node->claims_exit;
	if (node->is_narrow) {
		network.coordinators[0].pool4.bits = 24;
		config.network = &network;
	}
	config.static_keys = node->keys;
	memcpy(config.authority, lan->authority.public, KEY_SIZE);
	config.certificate = (struct blob){node->certificate, node->certificate_size};
	err = node_create(&config, &env, lan->now, &node->node);
	assert(err == OK);
	(void)err;
}

static void make_node(struct lan *lan, int index)
{
	struct lan_node *node = &lan->nodes[index];
	struct certificate certificate = {
		.serial = (uint64_t)index + 1, .not_before_s = WALL_S - 1, .not_after_s = WALL_S + 100000};
	struct sign_keys identity;
	uint8_t seed[KEY_SIZE];
	struct writer w = writer_over(node->certificate, sizeof node->certificate);
	enum err err;

	fill(lan, seed, sizeof seed);
	sign_keys_from_seed(seed, &identity);
	fill(lan, seed, sizeof seed);
	dh_keys_from_seed(seed, &node->keys);
	memcpy(certificate.identity_key, identity.public, KEY_SIZE);
	memcpy(certificate.static_key, node->keys.public, KEY_SIZE);
	certificate.id = node_id_of(identity.public);
	snprintf(certificate.fqdn, sizeof certificate.fqdn, "%c.ntm.internal", 'a' + index);
	certificate.group_count = node->is_exit;
	if (node->is_exit)
		strcpy(certificate.groups[0], "exit");
	certificate_sign(&certificate, &lan->authority);
	certificate_encode(&certificate, &w);
	err = writer_finish(&w, &node->certificate_size);
	assert(err == OK);
	(void)err;
	start_node(lan, node);
}

void lan_restart(struct lan *lan, int index)
{
	struct lan_node *node = &lan->nodes[index];
	struct node_local local = {.ip = node->addr.ip, .ifindex = LAN_IFINDEX, .mtu = 1500, .is_default = true};

	node_destroy(node->node);
	start_node(lan, node);
	node_input_locals(node->node, lan->now, &local, 1);
}

enum { USUAL_SEED = 12345 };

static struct lan *create(bool has_exit, uint32_t seed)
{
	struct lan *lan = calloc(1, sizeof *lan);
	struct dh_keys coordinator, relay;
	struct coordinator_config dc = {.wall_s = WALL_S, .nodes_max = 16};
	struct coordinator_env dc_env = {.random = {lan, fill}};
	struct relay_config rs = {.wall_s = WALL_S, .pairs_max = 16};
	struct relay_env rs_env = {.random = {lan, fill}};
	bool ok = crypto_init();
	enum err err;

	assert(ok);
	(void)ok;
	lan->nodes[LAN_NODES - 1].is_exit = has_exit;
	lan->random = seed;
	lan->now.us = 1000000;
	lan->delay_us = 10000;
	lan->queue = calloc(LAN_QUEUE, sizeof *lan->queue);
	lan->knocks = calloc(LAN_KNOCKS, sizeof *lan->knocks);
	lan->aead = aead_provider_create(AEAD_BACKEND_AUTO);
	lan->coordinator_addr = parse("192.0.2.1:7367");
	lan->relay_addr = parse("192.0.2.2:7367");
	lan->forwarder = parse("192.0.2.99:999");
	make_network(lan, &coordinator, &dc.sign_keys, &relay);
	dc.static_keys = coordinator;
	memcpy(dc.authority, lan->authority.public, KEY_SIZE);
	strcpy(dc.zone, "ntm.internal");
	dc.pool4 = lan->network.coordinators[0].pool4;
	dc.pool6 = lan->network.coordinators[0].pool6;
	lan->coordinator = coordinator_create(&dc, &dc_env, lan->now);
	coordinator_set_network(lan->coordinator, lan->now, &lan->network);
	rs.static_keys = relay;
	lan->relay = relay_create(&rs, &rs_env, lan->now);
	err = relay_set_coordinators(lan->relay, (const uint8_t(*)[KEY_SIZE]) & coordinator.public, 1);
	assert(err == OK);
	(void)err;
	for (int i = 0; i < LAN_NODES; i++)
		make_node(lan, i);
	return lan;
}

struct lan *lan_create(void)
{
	return create(false, USUAL_SEED);
}

struct lan *lan_create_drawn(uint32_t seed)
{
	return create(false, seed * 2654435761u);
}

struct lan *lan_create_with_exit(void)
{
	return create(true, USUAL_SEED);
}

void lan_destroy(struct lan *lan)
{
	for (int i = 0; i < LAN_NODES; i++)
		node_destroy(lan->nodes[i].node);
	coordinator_destroy(lan->coordinator);
	relay_destroy(lan->relay);
	aead_provider_destroy(lan->aead);
	free(lan->queue);
	free(lan->knocks);
	free(lan);
}

static void put(struct lan *lan, int64_t delay_us, const struct addr *from, const struct addr *to, const uint8_t *bytes,
		size_t size)
{
	struct lan_datagram *d = &lan->queue[lan->queue_size++];

	assert(lan->queue_size < LAN_QUEUE && size <= LAN_DATAGRAM);
	*d = (struct lan_datagram){.at = time_add(lan->now, delay_us), .from = *from, .to = *to, .size = size};
	memcpy(d->bytes, bytes, size);
	if (!addr_equal(to, &lan->watched) || addr_equal(from, &lan->relay_addr) ||
	    addr_equal(from, &lan->coordinator_addr))
		return;
	lan->watched_packets++;
	lan->watched_bytes += size;
	if ((bytes[0] & PACKET_SEALED) && !(bytes[0] & SEALED_CONTROL))
		lan->watched_data += size;
}

/* The stranger sees A's packets and is faster; what B sends to the stranger it passes on to A, and A's answers back. */
static void forward(struct lan *lan, const struct addr *from, const struct addr *to, const uint8_t *bytes, size_t size)
{
	const struct addr *a = &lan->nodes[0].addr, *b = &lan->nodes[1].addr;

	if (addr_equal(from, a) && (addr_equal(to, b) || addr_equal(to, &lan->forwarder)))
		put(lan, lan->delay_us / 2, &lan->forwarder, b, bytes, size);
	if (addr_equal(from, b) && addr_equal(to, &lan->forwarder)) {
		lan->forwarder_got += size;
		put(lan, lan->delay_us / 2, &lan->forwarder, a, bytes, size);
	}
}

static uint16_t new_port(struct lan *lan, struct lan_nat *nat, uint16_t inside)
{
	uint16_t port = 0;

	if (nat->kind == LAN_NAT_STEADY)
		return (uint16_t)(inside + 1000);
	if (nat->kind == LAN_NAT_STEPS)
		return (uint16_t)(20000 + 2 * nat->next++);
	while (port < 1024)
		fill(lan, &port, sizeof port);
	return port;
}

/* The port that the world sees. */
static uint16_t nat_out(struct lan *lan, struct lan_nat *nat, uint16_t inside, const struct addr *remote)
{
	struct lan_mapping mapping = {.inside = inside, .remote = *remote};

	for (size_t i = 0; i < nat->count; i++) {
		const struct lan_mapping *one = &nat->mappings[i];

		if (one->inside == inside && addr_equal(&one->remote, remote))
			return one->outside;
		if (one->inside == inside && nat->kind == LAN_NAT_STEADY)
			mapping.outside = one->outside;
	}
	if (!mapping.outside)
		mapping.outside = new_port(lan, nat, inside);
	assert(nat->count < LAN_MAPPINGS);
	nat->mappings[nat->count++] = mapping;
	return mapping.outside;
}

/* The node's own port, or 0: it does not come in. */
static uint16_t nat_in(const struct lan *lan, const struct lan_nat *nat, uint16_t outside, const struct addr *remote)
{
	bool is_server = ip_equal(&remote->ip, &lan->coordinator_addr.ip) || ip_equal(&remote->ip, &lan->relay_addr.ip);

	for (size_t i = 0; i < nat->count && (is_server || !nat->is_deaf); i++)
		if (nat->mappings[i].outside == outside && addr_equal(&nat->mappings[i].remote, remote))
			return nat->mappings[i].inside;
	return 0;
}

static void note_knock(struct lan *lan, const struct addr *from, const struct addr *to, const uint8_t *bytes,
		       size_t size)
{
	struct lan_knock *knock = &lan->knocks[lan->knock_count];

	if (bytes[0] != PACKET_HOLE_PUNCHING || size != HOLE_PUNCHING_SIZE || lan->knock_count == LAN_KNOCKS - 1)
		return;
	*knock = (struct lan_knock){.at = lan->now, .from = *from, .to = *to};
	memcpy(knock->bytes, bytes, size);
	lan->knock_count++;
}

static bool listens(const struct lan_node *node, uint16_t port)
{
	bool does = port == node->addr.port;

	for (size_t i = 0; i < node->port_count; i++)
		does |= node->ports[i] == port;
	return does;
}

static void attend_ports(struct lan *lan, struct lan_node *node)
{
	struct node_ports wanted;

	while (node_next_ports(node->node, &wanted)) {
		uint16_t *first = &node->ports[node->port_count];

		assert(node->port_count + wanted.open < LAN_PORTS);
		for (size_t i = 0; i < wanted.open; i++)
			node->ports[node->port_count++] = (uint16_t)(40000 + node->next_port++ % 20000);
		if (node->port_count > node->port_most)
			node->port_most = node->port_count;
		if (wanted.open)
			node_input_ports(node->node, lan->now, first, wanted.open);
		for (size_t i = 0; wanted.close && i < node->port_count; i++)
			if (node->ports[i] == wanted.close)
				node->ports[i--] = node->ports[--node->port_count];
	}
}

static void enqueue(struct lan *lan, const struct addr *from, const struct datagram *datagram)
{
	size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;

	for (size_t at = 0; at < datagram->size; at += step) {
		size_t size = datagram->size - at < step ? datagram->size - at : step;

		note_knock(lan, from, &datagram->route.remote, datagram->bytes + at, size);
		put(lan, lan->delay_us, from, &datagram->route.remote, datagram->bytes + at, size);
		if (lan->forwards)
			forward(lan, from, &datagram->route.remote, datagram->bytes + at, size);
	}
}

void lan_strange(struct lan *lan, int to, const void *bytes, size_t size)
{
	struct addr stranger = parse("192.0.2.66:666");

	put(lan, lan->delay_us, &stranger, &lan->nodes[to].addr, bytes, size);
}

void lan_inject(struct lan *lan, const struct addr *from, int to, const void *bytes, size_t size)
{
	put(lan, lan->delay_us, from, &lan->nodes[to].addr, bytes, size);
}

bool lan_take(struct lan *lan, const struct addr *from, const struct addr *to, struct lan_datagram *ret)
{
	for (size_t i = lan->queue_size; i > 0; i--) {
		struct lan_datagram *d = &lan->queue[i - 1];

		if (!addr_equal(&d->from, from) || !addr_equal(&d->to, to))
			continue;
		*ret = *d;
		memmove(d, d + 1, (lan->queue_size - i) * sizeof *d);
		lan->queue_size--;
		return true;
	}
	return false;
}

static void take_packets(struct lan_node *node)
{
	struct packet packet;

	while (node_next_packet(node->node, &packet)) {
		node->received++;
		node->received_bytes += packet.size;
		node->last_size = packet.size < sizeof node->last ? packet.size : sizeof node->last;
		memcpy(node->last, packet.bytes, node->last_size);
	}
}

/* As a driver whose kernel refuses what an interface does not take. */
static bool is_refused(struct lan *lan, struct lan_node *node, const struct datagram *datagram)
{
	size_t size = datagram->segment_size ? datagram->segment_size : datagram->size;

	if (!lan->refused_above || size <= lan->refused_above)
		return false;
	node_input_too_big(node->node, lan->now, &datagram->route, size);
	node_input_oversized(node->node, lan->now, datagram);
	take_packets(node);
	return true;
}

static void drain_node(struct lan *lan, struct lan_node *node)
{
	struct datagram datagram;

	take_packets(node);
	attend_ports(lan, node);
	while (node_next_datagram(node->node, &datagram)) {
		struct addr from = node->addr;

		if (is_refused(lan, node, &datagram) || !node->plugged || datagram.route.ifindex > LAN_IFINDEX ||
		    (addr_is_set(&datagram.route.local) && !ip_equal(&datagram.route.local.ip, &node->addr.ip)))
			continue;
		if (node->nat.kind != LAN_NAT_NONE)
			from.port = nat_out(lan, &node->nat, datagram.route.local.port, &datagram.route.remote);
		enqueue(lan, &from, &datagram);
	}
}

static void drain_servers(struct lan *lan)
{
	struct datagram datagram;
	struct record record;

	while (coordinator_next_record(lan->coordinator, &record))
		continue;
	coordinator_records_durable(lan->coordinator, lan->now);
	while (coordinator_next_datagram(lan->coordinator, &datagram))
		enqueue(lan, &lan->coordinator_addr, &datagram);
	while (relay_next_datagram(lan->relay, &datagram))
		enqueue(lan, &lan->relay_addr, &datagram);
}

/* Does it come to this node, and to which of its ports? */
static bool comes_to(const struct lan *lan, const struct lan_node *node, const struct lan_datagram *d, uint16_t *ret)
{
	*ret = d->to.port;
	if (!node->plugged || !ip_equal(&d->to.ip, &node->addr.ip))
		return false;
	if (node->nat.kind != LAN_NAT_NONE)
		*ret = nat_in(lan, &node->nat, d->to.port, &d->from);
	return listens(node, *ret);
}

static void deliver(struct lan *lan, const struct lan_datagram *d)
{
	struct datagram datagram = {.route = {.local = d->to, .ifindex = LAN_IFINDEX, .remote = d->from},
				    .bytes = d->bytes,
				    .size = d->size};

	if (addr_equal(&d->to, &lan->coordinator_addr)) {
		if (!lan->coordinator_is_away)
			(void)!coordinator_input_datagram(lan->coordinator, lan->now, &datagram);
	} else if (addr_equal(&d->to, &lan->relay_addr)) {
		(void)relay_input_datagram(lan->relay, lan->now, &datagram);
	}
	for (int i = 0; i < LAN_NODES; i++) {
		struct lan_node *node = &lan->nodes[i];
		bool direct = addr_equal(&d->from, &lan->nodes[1 - i].addr);
		bool is_narrow = lan->narrow_above && (direct || lan->relay_is_narrow);

		if (!comes_to(lan, node, d, &datagram.route.local.port) || (direct && lan->blocks_direct) ||
		    (is_narrow && d->size > lan->narrow_above))
			continue;
		if (d->bytes[0] & 0x80) {
			lan->sent_directly += direct;
			lan->sent_by_relay += addr_equal(&d->from, &lan->relay_addr);
		}
		node_input_datagram(node->node, lan->now, &datagram);
		drain_node(lan, node);
	}
	drain_servers(lan);
}

static struct time_us next_instant(const struct lan *lan)
{
	struct time_us at = time_min(coordinator_next_deadline(lan->coordinator), relay_next_deadline(lan->relay));

	for (size_t i = 0; i < lan->queue_size; i++)
		at = time_min(at, lan->queue[i].at);
	for (int i = 0; i < LAN_NODES; i++)
		at = time_min(at, node_next_deadline(lan->nodes[i].node));
	return at;
}

static void deliver_due(struct lan *lan)
{
	for (size_t i = 0; i < lan->queue_size;) {
		static struct lan_datagram d;

		if (!time_reached(lan->now, lan->queue[i].at)) {
			i++;
			continue;
		}
		d = lan->queue[i];
		memmove(&lan->queue[i], &lan->queue[i + 1], (lan->queue_size - i - 1) * sizeof d);
		lan->queue_size--;
		deliver(lan, &d);
		i = 0;
	}
}

void lan_run(struct lan *lan, int64_t duration_us)
{
	struct time_us end = time_add(lan->now, duration_us);
	int idle = 0;

	drain_servers(lan);
	for (int i = 0; i < LAN_NODES; i++)
		drain_node(lan, &lan->nodes[i]);
	while (next_instant(lan).us <= end.us) {
		struct time_us at = next_instant(lan);

		idle = at.us > lan->now.us ? 0 : idle + 1;
		assert(idle < 10000); /* a machine that spins */
		if (at.us > lan->now.us)
			lan->now = at;
		deliver_due(lan);
		lan->now = time_add(lan->now, lan->turn_us);
		coordinator_input_time(lan->coordinator, lan->now);
		relay_input_time(lan->relay, lan->now);
		drain_servers(lan);
		for (int i = 0; i < LAN_NODES; i++) {
			node_input_time(lan->nodes[i].node, lan->now);
			drain_node(lan, &lan->nodes[i]);
		}
	}
	lan->now = end;
}

void lan_plug(struct lan *lan, int index, const char *address)
{
	struct lan_node *node = &lan->nodes[index];
	struct node_local local = {.ifindex = LAN_IFINDEX, .mtu = 1500, .is_default = true};

	node->plugged = address != NULL;
	if (address) {
		node->addr = parse(address);
		local.ip = node->addr.ip;
	}
	node_input_locals(node->node, lan->now, &local, address != NULL);
	drain_node(lan, node);
}

/* An inner IPv4 packet from one node to the other in `packet`, whose buffer has room; header: of its transport. */
static void start_packet(struct lan *lan, int from, uint8_t protocol, size_t header, size_t size, struct packet *packet)
{
	static uint8_t buffer[PACKET_ROOM + 65536 + PACKET_ROOM];
	struct node_status a, b;
	uint8_t *p = buffer + PACKET_ROOM;

	*packet = (struct packet){.bytes = p, .size = 20 + header + size};
	node_get_status(lan->nodes[from].node, lan->now, &a);
	node_get_status(lan->nodes[1 - from].node, lan->now, &b);
	memset(p, 0, 20 + header);
	p[0] = 0x45;
	p[2] = (uint8_t)(packet->size >> 8);
	p[3] = (uint8_t)packet->size;
	p[6] = lan->may_fragment ? 0 : 0x40;
	p[8] = 64;
	p[9] = protocol;
	memcpy(p + 12, a.v4.bytes, 4);
	memcpy(p + 16, b.v4.bytes, 4);
	p[21] = p[23] = 9;
}

static void send_packet(struct lan *lan, int from, struct packet *packet)
{
	struct inner inner;

	assert(inner_parse(packet->bytes, packet->size, &inner) == OK);
	inner_fix_network_checksum(packet->bytes, &inner);
	node_input_packet(lan->nodes[from].node, lan->now, packet);
	drain_node(lan, &lan->nodes[from]);
}

void lan_send(struct lan *lan, int from, const void *payload, size_t size)
{
	struct packet packet;

	start_packet(lan, from, PROTOCOL_UDP, 8, size, &packet);
	packet.bytes[24] = (uint8_t)((8 + size) >> 8);
	packet.bytes[25] = (uint8_t)(8 + size);
	memcpy(packet.bytes + 28, payload, size);
	send_packet(lan, from, &packet);
}

void lan_send_tcp(struct lan *lan, int from, size_t size, uint16_t segment)
{
	struct packet packet;

	start_packet(lan, from, PROTOCOL_TCP, 20, size, &packet);
	packet.bytes[32] = 5 << 4;
	packet.bytes[33] = TCP_ACK;
	memset(packet.bytes + 40, 'x', size);
	packet.checksum_partial = true;
	packet.checksum_start = 20;
	packet.checksum_offset = 16;
	if (size > segment) {
		packet.gso = PACKET_GSO_TCP4;
		packet.gso_size = segment;
		packet.header_size = 40;
	}
	send_packet(lan, from, &packet);
}

void lan_send_behind_options(struct lan *lan, int from, size_t size, uint16_t segment)
{
	struct packet packet;
	struct node_status a, b;
	struct inner bare;
	uint8_t *p;

	start_packet(lan, from, PROTOCOL_TCP, 48, size, &packet);
	p = packet.bytes;
	node_get_status(lan->nodes[from].node, lan->now, &a);
	node_get_status(lan->nodes[1 - from].node, lan->now, &b);
	memset(p, 0, 68);
	p[0] = 0x60;
	p[4] = (uint8_t)((28 + size) >> 8);
	p[5] = (uint8_t)(28 + size);
	p[6] = 60;
	p[7] = 64;
	memcpy(p + 8, a.v6.bytes, 16);
	memcpy(p + 24, b.v6.bytes, 16);
	memcpy(p + 40, (uint8_t[]){PROTOCOL_TCP, 0, 1, 4}, 4); /* PadN */
	p[48 + 12] = 5 << 4;
	p[48 + 13] = TCP_ACK;
	memset(p + 68, 'x', size);
	assert(inner_parse(p, packet.size, &bare) == OK);
	bare.protocol = PROTOCOL_TCP;
	p[64] = (uint8_t)(inner_pseudo_sum(&bare, 20 + size) >> 8);
	p[65] = (uint8_t)inner_pseudo_sum(&bare, 20 + size);
	packet.checksum_partial = true;
	packet.checksum_start = 48;
	packet.checksum_offset = 16;
	if (size > segment) {
		packet.gso = PACKET_GSO_TCP6;
		packet.gso_size = segment;
		packet.header_size = 68;
	}
	send_packet(lan, from, &packet);
}

void lan_send_syn(struct lan *lan, int from, uint16_t mss)
{
	struct packet packet;
	struct inner inner;

	start_packet(lan, from, PROTOCOL_TCP, 24, 0, &packet);
	packet.bytes[32] = 6 << 4;
	packet.bytes[33] = TCP_SYN;
	packet.bytes[40] = 2;
	packet.bytes[41] = 4;
	packet.bytes[42] = (uint8_t)(mss >> 8);
	packet.bytes[43] = (uint8_t)mss;
	assert(inner_parse(packet.bytes, packet.size, &inner) == OK);
	inner_complete_checksum(packet.bytes, &inner);
	send_packet(lan, from, &packet);
}

const struct node_event *lan_last_event(const struct lan *lan, int node, enum node_event_type type)
{
	for (size_t i = lan->nodes[node].event_count; i > 0; i--)
		if (lan->nodes[node].events[i - 1].type == type)
			return &lan->nodes[node].events[i - 1];
	return NULL;
}

bool lan_had_event(const struct lan *lan, int node, enum node_event_type type)
{
	return lan_last_event(lan, node, type) != NULL;
}
