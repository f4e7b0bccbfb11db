#include "sample.h"

#include <string.h>

/* Stand-ins for documents and tickets where the message does not look into them. */
static const uint8_t opaque[] = {0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78,
				 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0};

/* Bytes that are easy to find in a dump: first, first + 1, ... */
static void count_up(uint8_t *ret, size_t size, uint8_t first)
{
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(first + i);
}

static struct addr v4_addr(uint8_t last)
{
	return (struct addr){.ip = ip_v4(192, 0, 2, last), .port = 7367};
}

static struct addr v6_addr(uint8_t last)
{
	return (struct addr){.ip = {.family = 6, .bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = last}}, .port = 7367};
}

static struct candidates candidates_of(uint8_t count)
{
	struct candidates candidates = {.count = count};

	for (uint8_t i = 0; i < count; i++)
		candidates.list[i] = i % 2 ? v6_addr(i) : v4_addr(i);
	return candidates;
}

static struct server_addresses servers_of(uint8_t count)
{
	struct server_addresses addresses = {.count = count};

	for (uint8_t i = 0; i < count; i++)
		addresses.list[i] = i % 2 ? v6_addr(i) : v4_addr(i);
	return addresses;
}

/* Sealed data, sealed control of the responder, and a handshake message. */
void sample_header(unsigned index, void *message)
{
	static const uint8_t types[] = {PACKET_SEALED | 3, PACKET_SEALED | SEALED_RESPONDER | SEALED_CONTROL,
					PACKET_TUNNEL_REQUEST};
	struct header *m = message;

	m->type = types[index];
	m->path = index == 0 ? 3 : 0;
	m->counter = index < 2 ? UINT64_C(0x010203040506) : 0;
	m->path_id = UINT64_C(0x1122334455667788);
}

/* One of them stands for all. */
void sample_message_header(unsigned index, void *message)
{
	struct message_header *m = message;

	(void)index;
	m->type = MESSAGE_MOVE;
	m->transaction = 0x01020304;
}

/* With every list full, and with all lists empty. */
void sample_certificate(unsigned index, void *message)
{
	static const char *const groups[] = {"admin", "ops", "red", "zebra"};
	struct certificate *m = message;

	m->serial = 7;
	count_up(m->id.bytes, NODE_ID_SIZE, 0x10);
	count_up(m->identity_key, KEY_SIZE, 0x20);
	count_up(m->static_key, KEY_SIZE, 0x40);
	strcpy(m->fqdn, "a.ntm.internal");
	m->not_before_s = 1700000000;
	m->not_after_s = 1700000000 + CERTIFICATE_VALID_S;
	count_up(m->signature, SIGNATURE_SIZE, 0x80);
	if (index > 0)
		return;
	strcpy(m->account, "alice@example.org");
	m->group_count = GROUPS_MAX;
	for (int i = 0; i < GROUPS_MAX; i++)
		strcpy(m->groups[i], groups[i]);
}

/* Both families, and IPv6 alone. */
void sample_lease(unsigned index, void *message)
{
	struct lease *m = message;

	count_up(m->id.bytes, NODE_ID_SIZE, 0x10);
	if (index == 0)
		m->v4 = ip_v4(198, 18, 0, 2);
	m->v6 = (struct ip){.family = 6, .bytes = {0xfd, 0x6e, 0x74, 0x6d, 0x10, 0x11, [15] = 0x1b}};
	m->epoch = 1;
	m->issued_s = 1700000000;
	m->not_after_s = 1700000000 + LEASE_VALID_S;
	count_up(m->coordinator_key, KEY_SIZE, 0x20);
	count_up(m->signature, SIGNATURE_SIZE, 0x80);
}

static void sample_coordinator(struct coordinator_entry *entry)
{
	strcpy(entry->zone, "ntm.internal");
	count_up(entry->static_key, KEY_SIZE, 0x40);
	count_up(entry->sign_key, KEY_SIZE, 0x60);
	entry->pool4 = (struct prefix){.ip = ip_v4(198, 18, 0, 0), .bits = 15};
	entry->pool6 = (struct prefix){.ip = {.family = 6, .bytes = {0xfd, 0x6e, 0x74, 0x6d}}, .bits = 32};
	entry->addresses = servers_of(SERVER_ADDRESSES_MAX);
}

/* A coordinator with and one without pools, a relay, two revoked; nothing at all; two other networks. */
void sample_network(unsigned index, void *message)
{
	struct network *m = message;

	m->epoch = 3;
	m->issued_s = 1700000000;
	m->version_floor = PROTOCOL_VERSION;
	count_up(m->signature, SIGNATURE_SIZE, 0x80);
	if (index == 2) {
		m->trusted_count = 2;
		strcpy(m->trusted[0].zone, "partner.example");
		count_up(m->trusted[0].authority, KEY_SIZE, 0x40);
		m->trusted[0].pool4 = (struct prefix){.ip = ip_v4(198, 19, 0, 0), .bits = 16};
		m->trusted[0].pool6 = (struct prefix){.ip = {.family = 6, .bytes = {0xfd, 1}}, .bits = 32};
		strcpy(m->trusted[1].zone, "b");
	}
	if (index > 0)
		return;
	m->coordinator_count = 2;
	sample_coordinator(&m->coordinators[0]);
	strcpy(m->coordinators[1].zone, "b.ntm.internal");
	m->relay_count = 1;
	strcpy(m->relays[0].name, "relay-1");
	count_up(m->relays[0].static_key, KEY_SIZE, 0x20);
	m->relays[0].addresses = servers_of(2);
	m->revoked_count = 2;
	count_up(m->revoked[0].bytes, NODE_ID_SIZE, 0x10);
	count_up(m->revoked[1].bytes, NODE_ID_SIZE, 0x30);
}

/* As many candidates as may be; and none, but padding. */
void sample_registration_request(unsigned index, void *message)
{
	struct registration_request *m = message;

	m->certificate = (struct blob){opaque, sizeof opaque};
	m->features = FEATURE_AES;
	m->move_epoch = 5;
	if (index == 0)
		m->candidates = candidates_of(CANDIDATES_MAX);
	else
		m->padded_size = 64;
}

/* Accepted and refused. */
void sample_registration_response(unsigned index, void *message)
{
	struct registration_response *m = message;

	m->observed = v4_addr(9);
	m->network_time_s = 1700000000;
	if (index == 0) {
		m->lease = (struct blob){opaque, sizeof opaque};
		m->keepalive_ms = 20000;
	} else {
		m->reason = REASON_REVOKED;
	}
}

/* With and without candidates. */
void sample_update_request(unsigned index, void *message)
{
	struct update_request *m = message;

	m->move_epoch = 6;
	m->candidates = candidates_of(index == 0 ? 2 : 0);
}

/* There is only one shape. */
void sample_update_response(unsigned index, void *message)
{
	struct update_response *m = message;

	(void)index;
	m->observed = v6_addr(9);
	m->network_time_s = 1700000000;
}

/* There is only one shape. */
void sample_keep_alive(unsigned index, void *message)
{
	struct keep_alive *m = message;

	(void)index;
	m->interval_ms = 45000;
	m->delay_ms = 68000;
}

/* By name and by address. */
void sample_direction_request(unsigned index, void *message)
{
	struct direction_request *m = message;

	if (index == 0)
		strcpy(m->name, "b.ntm.internal");
	else
		m->ip = ip_v4(198, 18, 0, 3);
}

/* By name and by address. */
void sample_direction_refusal(unsigned index, void *message)
{
	struct direction_refusal *m = message;

	m->reason = index == 0 ? REASON_UNKNOWN_NAME : REASON_OFFLINE;
	if (index == 0)
		strcpy(m->name, "b.ntm.internal");
	else
		m->ip = ip_v4(198, 18, 0, 3);
}

/* With everything; and without relay, addresses and question. */
void sample_route_direction(unsigned index, void *message)
{
	struct route_direction *m = message;

	m->path_id = UINT64_C(0x1122334455667788);
	count_up(m->temp_key, KEY_SIZE, 0x60);
	m->suite = index == 0 ? SUITE_AES256_GCM : SUITE_CHACHA20_POLY1305;
	m->certificate = (struct blob){opaque, sizeof opaque};
	m->lease = (struct blob){opaque, sizeof opaque / 2};
	if (index > 0)
		return;
	m->observed = v4_addr(9);
	m->candidates = candidates_of(3);
	m->has_relay = true;
	strcpy(m->relay.name, "relay-1");
	m->relay.addresses = servers_of(2);
	m->relay.leg = 1;
	count_up(m->relay.leg_key, KEY_SIZE, 0xa0);
	m->relay.ticket = (struct blob){opaque, sizeof opaque};
	m->requested = true;
}

static struct relay_sight sight_of(uint8_t count)
{
	struct relay_sight sight = {.count = count};

	for (uint8_t i = 0; i < count; i++)
		sight.list[i] = (struct relay_seen){0xc0c1c2c3u + i, i ? RELAY_NO_ANSWER : 21000, (uint8_t)(50 * i)};
	return sight;
}

/* There is only one shape. */
void sample_route_update(unsigned index, void *message)
{
	struct route_update *m = message;

	m->path_id = UINT64_C(0x1122334455667788);
	m->move_epoch = 6;
	m->observed = v4_addr(9);
	m->candidates = candidates_of(1);
	if (index == 0)
		return;
	m->has_relay = m->has_leg_key = true;
	strcpy(m->relay.name, "relay-1");
	m->relay.addresses = servers_of(2);
	count_up(m->relay.leg_key, KEY_SIZE, 0xa0);
	count_up(m->leg_key, KEY_SIZE, 0xb0);
	m->relay.ticket = (struct blob){opaque, sizeof opaque};
	m->relay_cause = RELAY_CAUSE_BETTER;
	m->sight = sight_of(2);
	m->network_epoch = 8;
}

/* Padded as coordinators do. */
void sample_link_request(unsigned index, void *message)
{
	struct link_request *m = message;

	if (index)
		strcpy(m->zone, "partner.example");
	m->network_epoch = 7;
	m->padded_size = 64;
}

/* There is only one shape. */
void sample_link_response(unsigned index, void *message)
{
	struct link_response *m = message;

	(void)index;
	m->network_epoch = 8;
	m->network_time_s = 1700000000;
	m->observed = v4_addr(9);
}

/* By name through a relay, by address without one, and the shortest. */
void sample_node_information_request(unsigned index, void *message)
{
	struct node_information_request *m = message;

	m->path_id = UINT64_C(0x1122334455667788);
	count_up(m->temp_key, KEY_SIZE, 0x60);
	m->certificate = (struct blob){opaque, sizeof opaque};
	m->lease = (struct blob){opaque, sizeof opaque / 2};
	m->features = FEATURE_AES;
	m->move_epoch = 6;
	m->ip = index > 0 ? ip_v4(198, 18, 0, 3) : (struct ip){0};
	if (index > 1)
		return;
	m->observed = v4_addr(9);
	m->candidates = candidates_of(3);
	if (index > 0)
		return;
	strcpy(m->name, "b.ntm.internal");
	m->has_relay = true;
	strcpy(m->relay.name, "relay-1");
	m->relay.addresses = servers_of(2);
	count_up(m->relay.leg_key, KEY_SIZE, 0xa0);
	count_up(m->leg_key, KEY_SIZE, 0xb0);
	m->relay.ticket = (struct blob){opaque, sizeof opaque};
}

/* Who it is, and a refusal. */
void sample_node_information_response(unsigned index, void *message)
{
	struct node_information_response *m = message;

	if (index > 0) {
		m->reason = REASON_OFFLINE;
		return;
	}
	m->path_id = UINT64_C(0x1122334455667788);
	m->suite = SUITE_AES256_GCM;
	m->certificate = (struct blob){opaque, sizeof opaque};
	m->lease = (struct blob){opaque, sizeof opaque / 2};
	m->move_epoch = 6;
	m->observed = v4_addr(9);
	m->candidates = candidates_of(3);
}

/* There is only one shape. */
void sample_route_update_ack(unsigned index, void *message)
{
	(void)index;
	((struct route_update_ack *)message)->path_id = UINT64_C(0x1122334455667788);
}

/* There is only one shape. */
void sample_network_request(unsigned index, void *message)
{
	struct network_request *m = message;

	if (index)
		strcpy(m->zone, "partner.example");
	m->epoch = 8;
	m->offset = 1000;
}

/* There is only one shape. */
void sample_network_response(unsigned index, void *message)
{
	struct network_response *m = message;

	(void)index;
	m->epoch = 8;
	m->offset = 1000;
	m->size = 1000 + sizeof opaque;
	m->data = (struct blob){opaque, sizeof opaque};
}

/* Padded as nodes do. */
void sample_tunnel_hello(unsigned index, void *message)
{
	struct tunnel_hello *m = message;

	(void)index;
	m->move_epoch = 6;
	m->features = FEATURE_AES;
	m->padded_size = 48;
}

/* With and without addresses. */
void sample_move(unsigned index, void *message)
{
	struct move *m = message;

	m->move_epoch = 7;
	if (index > 0)
		return;
	m->candidates = candidates_of(2);
	m->observed = v4_addr(9);
	m->kept = true;
}

/* Two spaces; none; one with holes. */
void sample_receipt(unsigned index, void *message)
{
	struct receipt *m = message;

	if (index == 0) {
		m->spaces[0].next = 7;
		m->spaces[3].next = COUNTER_LIMIT;
	} else if (index == 2) {
		m->spaces[0] = (struct receipt_space){.next = 700, .missing_count = 2, .missing = {{600, 699}, {0, 1}}};
	}
}

/* Guessable, steady, random. */
void sample_punch(unsigned index, void *message)
{
	static const uint8_t kinds[] = {MAPPING_GUESSABLE, MAPPING_STEADY, MAPPING_RANDOM},
			     counts[] = {PUNCH_PORTS_MAX, 1, 0};
	struct punch_message *m = message;

	m->kind = kinds[index];
	m->port_count = counts[index];
	for (unsigned i = 0; i < m->port_count; i++)
		m->ports[i] = (uint16_t)(40000 + 2 * i);
	count_up(m->key, KEY_SIZE, 0x40);
}

/* There is only one shape. */
void sample_path_challenge(unsigned index, void *message)
{
	(void)index;
	count_up(((struct path_challenge *)message)->challenge, CHALLENGE_SIZE, 0xc0);
}

/* With and without address. */
void sample_path_response(unsigned index, void *message)
{
	struct path_response *m = message;

	count_up(m->challenge, CHALLENGE_SIZE, 0xc0);
	if (index == 0)
		m->observed = v6_addr(9);
}

/* With and without data. */
void sample_echo(unsigned index, void *message)
{
	((struct echo *)message)->data = (struct blob){opaque, index == 0 ? sizeof opaque : 0};
}

/* There is only one shape. */
void sample_rekey(unsigned index, void *message)
{
	struct rekey *m = message;

	(void)index;
	m->epoch = 1;
	m->handshake = (struct blob){opaque, sizeof opaque};
}

/* There is only one shape. */
void sample_close(unsigned index, void *message)
{
	(void)index;
	((struct close *)message)->reason = REASON_LEAVING;
}

/* Probe and answer. */
void sample_hole_punching(unsigned index, void *message)
{
	struct hole_punching *m = message;

	m->path_id = UINT64_C(0x1122334455667788);
	m->counter = 3;
	m->flags = index == 0 ? 0 : HOLE_PUNCHING_ANSWER;
	count_up(m->nonce, sizeof m->nonce, 0xd0);
	count_up(m->mac, MAC_SIZE, 0xe0);
}

/* There is only one shape. */
void sample_ticket(unsigned index, void *message)
{
	struct ticket *m = message;

	(void)index;
	m->path_id = UINT64_C(0x1122334455667788);
	count_up(m->leg_keys[0], KEY_SIZE, 0x20);
	count_up(m->leg_keys[1], KEY_SIZE, 0x40);
	m->not_before_s = 1700000000;
	m->not_after_s = 1700000000 + TICKET_VALID_S;
	m->rate_kbps_max = 100000;
	m->bytes_max = UINT64_C(1) << 40;
}

/* A ticket that needs padding and one that needs none. */
void sample_relay_bind(unsigned index, void *message)
{
	static const uint8_t large[RELAY_BIND_MIN] = {0x5a};
	struct relay_bind *m = message;

	m->path_id = UINT64_C(0x1122334455667788);
	m->leg = (uint8_t)index;
	m->generation = 2;
	m->ticket = index == 0 ? (struct blob){opaque, sizeof opaque} : (struct blob){large, sizeof large};
	count_up(m->mac, MAC_SIZE, 0xe0);
}

/* Challenge, Answer and Bound. */
void sample_relay_challenge(unsigned index, void *message)
{
	struct relay_challenge *m = message;

	m->type = (uint8_t)(PACKET_RELAY_CHALLENGE + index);
	m->path_id = UINT64_C(0x1122334455667788);
	m->leg = 1;
	m->generation = 2;
	count_up(m->cookie, sizeof m->cookie, 0xd0);
	count_up(m->mac, MAC_SIZE, 0xe0);
}

/* Of a node and of a coordinator. */
void sample_relay_probe(unsigned index, void *message)
{
	struct relay_probe *m = message;

	m->nonce = UINT64_C(0x1122334455667788);
	m->asker = (uint8_t)index;
	if (index == RELAY_ASKER_COORDINATOR)
		count_up(m->static_key, KEY_SIZE, 0x40);
	count_up(m->mac, MAC_SIZE, 0xe0);
}

/* To a node and to a coordinator. */
void sample_relay_probed(unsigned index, void *message)
{
	struct relay_probed *m = message;

	m->nonce = UINT64_C(0x1122334455667788);
	m->asker = (uint8_t)index;
	if (index == RELAY_ASKER_COORDINATOR)
		m->load = (struct relay_load){
			.pairs = 7, .pairs_max = 65536, .kbps = 1000, .kbps_max = 1000000, .is_draining = true};
	count_up(m->mac, MAC_SIZE, 0xe0);
}

/* There is only one shape. */
void sample_relay_announce(unsigned index, void *message)
{
	struct relay_announce *m = message;

	(void)index;
	m->nonce = UINT64_C(0x1122334455667788);
	count_up(m->static_key, KEY_SIZE, 0x40);
	m->network_epoch = 8;
	count_up(m->mac, MAC_SIZE, 0xe0);
}

/* What is seen; what is silent. */
void sample_relay_report(unsigned index, void *message)
{
	struct relay_report *m = message;

	if (index == 0) {
		m->sight = sight_of(2);
		return;
	}
	m->has_silent = true;
	m->silent_tag = 0xc0c1c2c3u;
	m->silent_ms = 170;
	m->path_id = UINT64_C(0x1122334455667788);
}

/* A coordinator and a device. */
void sample_login_request(unsigned index, void *message)
{
	struct login_request *m = message;

	count_up(m->secret, JOIN_SECRET_SIZE, 0x10);
	count_up(m->identity_key, KEY_SIZE, 0x20);
	count_up(m->static_key, KEY_SIZE, 0x40);
	count_up(m->proof, SIGNATURE_SIZE, 0x80);
	if (index > 0)
		return;
	m->role = ROLE_COORDINATOR;
	strcpy(m->name, "ntm.internal");
	m->addresses = servers_of(SERVER_ADDRESSES_MAX);
}

/* For a device and for a server. */
void sample_login_response(unsigned index, void *message)
{
	struct login_response *m = message;

	memcpy(m->network, opaque, sizeof opaque);
	m->network_size = sizeof opaque;
	if (index > 0)
		return;
	memcpy(m->certificate, opaque, sizeof opaque);
	m->certificate_size = sizeof opaque;
}

/* There is only one shape. */
void sample_login_refusal(unsigned index, void *message)
{
	struct login_refusal *m = message;

	(void)index;
	m->reason = LOGIN_NAME_TAKEN;
	strcpy(m->text, "the name a is taken; choose another with --name");
}

/* All addresses, and one. */
void sample_join_code(unsigned index, void *message)
{
	struct join_code *m = message;

	m->role = index == 0 ? ROLE_RELAY : ROLE_NODE;
	count_up(m->pin, JOIN_PIN_SIZE, 0x10);
	count_up(m->secret, JOIN_SECRET_SIZE, 0x30);
	m->addresses = servers_of(index == 0 ? SERVER_ADDRESSES_MAX : 1);
}
