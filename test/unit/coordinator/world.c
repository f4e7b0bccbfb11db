#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/dns.h"
#include "wire/zone_record.h"

/* splitmix64: the same run each time. */
static void fill(void *ctx, void *bytes, size_t size)
{
	struct world *world = ctx;
	uint8_t *out = bytes;

	for (size_t i = 0; i < size; i++) {
		uint64_t z = (world->random_state += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		out[i] = (uint8_t)(z >> 31);
	}
}

static void on_event(void *ctx, const struct coordinator_event *event)
{
	struct world *world = ctx;

	world->events[event->type]++;
	world->last_reason = event->reason;
	assert_non_null(event->id);
	assert_non_null(event->fqdn);
}

static void start(struct world *world)
{
	struct coordinator_env env = {.random = {world, fill}, .ctx = world, .event = on_event};

	world->c = coordinator_create(&world->config, &env, world->now);
}

void world_init(struct world *world, const char *pool4)
{
	uint8_t seed[KEY_SIZE];

	*world = (struct world){.now = {1000000}};
	assert_true(crypto_init());
	world->aead = aead_provider_create(AEAD_BACKEND_AUTO);
	fill(world, seed, sizeof seed);
	sign_keys_from_seed(seed, &world->authority);
	fill(world, seed, sizeof seed);
	sign_keys_from_seed(seed, &world->config.sign_keys);
	fill(world, seed, sizeof seed);
	dh_keys_from_seed(seed, &world->config.static_keys);
	memcpy(world->config.authority, world->authority.public, KEY_SIZE);
	strcpy(world->config.zone, "ntm.internal");
	assert_int_equal(prefix_parse(pool4, &world->config.pool4), OK);
	assert_int_equal(prefix_parse("fd6e:746d::/32", &world->config.pool6), OK);
	world->config.ns_v4 = ip_v4(203, 0, 113, 1);
	world->config.wall_s = WALL_S;
	world->config.nodes_max = 2048;
	start(world);
}

void world_finish(struct world *world)
{
	coordinator_destroy(world->c);
	for (size_t i = 0; i < world->node_count; i++) {
		session_destroy(world->nodes[i]->session);
		free(world->nodes[i]);
	}
	aead_provider_destroy(world->aead);
	free(world->nodes);
	free(world->records);
}

static void put_entry(struct world *a, struct world *world, uint8_t last)
{
	struct coordinator_entry *entry = &a->network.coordinators[a->network.coordinator_count++];

	world->address = (struct addr){ip_v4(203, 0, 113, last), 7367};
	memcpy(entry->zone, world->config.zone, sizeof entry->zone);
	memcpy(entry->static_key, world->config.static_keys.public, KEY_SIZE);
	memcpy(entry->sign_key, world->config.sign_keys.public, KEY_SIZE);
	entry->pool4 = world->config.pool4;
	entry->pool6 = world->config.pool6;
	entry->addresses = (struct server_addresses){1, {world->address}};
}

void world_publish(struct world *a)
{
	a->network.epoch++;
	network_sign(&a->network, &a->authority);
	a->other->network = a->network;
	coordinator_set_network(a->c, a->now, &a->network);
	coordinator_set_network(a->other->c, a->now, &a->network);
}

void world_join(struct world *a, struct world *b)
{
	uint8_t seed[KEY_SIZE];

	b->random_state = UINT64_C(0x123456789);
	fill(b, seed, sizeof seed);
	sign_keys_from_seed(seed, &b->config.sign_keys);
	fill(b, seed, sizeof seed);
	dh_keys_from_seed(seed, &b->config.static_keys);
	b->authority = a->authority;
	memcpy(b->config.authority, a->authority.public, KEY_SIZE);
	strcpy(b->config.zone, "two.ntm.internal");
	assert_int_equal(prefix_parse("198.19.0.0/16", &b->config.pool4), OK);
	coordinator_destroy(b->c);
	start(b);
	a->other = b;
	b->other = a;
	put_entry(a, a, 1);
	put_entry(a, b, 2);
	world_publish(a);
}

void world_publish_own(struct world *world)
{
	world->network.epoch++;
	network_sign(&world->network, &world->authority);
	coordinator_set_network(world->c, world->now, &world->network);
	world_pump(world);
}

static void trust(struct world *world, const struct world *other)
{
	struct trusted_entry *entry = &world->network.trusted[world->network.trusted_count++];

	memcpy(entry->zone, other->config.zone, sizeof entry->zone);
	memcpy(entry->authority, other->authority.public, KEY_SIZE);
	entry->pool4 = other->config.pool4;
	entry->pool6 = other->config.pool6;
}

void world_befriend(struct world *a, struct world *b)
{
	struct world *both[] = {a, b};
	uint8_t seed[KEY_SIZE];

	world_join(a, b);
	fill(b, seed, sizeof seed);
	sign_keys_from_seed(seed, &b->authority);
	memcpy(b->config.authority, b->authority.public, KEY_SIZE);
	strcpy(b->config.zone, "partner.example");
	assert_int_equal(prefix_parse("fd12:3456::/32", &b->config.pool6), OK);
	for (int i = 0; i < 2; i++) {
		both[i]->is_abroad = both[i]->config.has_resolver = true;
		both[i]->network = (struct network){.version_floor = PROTOCOL_VERSION};
		both[i]->between = 0;
		coordinator_destroy(both[i]->c);
		start(both[i]);
		put_entry(both[i], both[i], (uint8_t)(1 + i));
	}
	trust(a, b);
	trust(b, a);
}

/* As a resolver would that asks the other coordinator. */
static void look_up(struct world *world)
{
	static const uint8_t letters[ZONE_CASE_SIZE];
	uint8_t question[ZONE_QUESTION_MAX], answer[DNS_UDP_MAX];
	char zone[ZONE_MAX_SIZE + 1];
	struct zone_record record;

	while (coordinator_next_lookup(world->c, zone)) {
		struct writer w = writer_over(question, sizeof question);
		uint32_t ttl_s = 60;
		enum err err = OK;
		size_t size;

		world->lookups++;
		if (world->is_dns_silent)
			continue;
		if (world->forged) {
			coordinator_input_zone(world->c, world->now, zone, ZONE_FOUND, world->forged, ttl_s);
			continue;
		}
		zone_question_encode(zone, 7, letters, &w);
		size = coordinator_answer_dns(world->other->c, world->now, question, w.at, false, answer,
					      sizeof answer);
		err = zone_answer_decode(answer, size, (struct blob){question, w.at}, zone, &record, &ttl_s);
		coordinator_input_zone(world->c, world->now, zone, err == OK ? ZONE_FOUND : ZONE_ABSENT, &record,
				       ttl_s);
	}
}

/* The network document is read again too. */
void world_restart(struct world *world)
{
	coordinator_destroy(world->c);
	world->config.wall_s = WALL_S + (uint64_t)(world->now.us / USEC_PER_SEC);
	start(world);
	for (size_t i = 0; i < world->record_count; i++)
		assert_int_equal(coordinator_load(world->c, &world->records[i]), OK);
	if (world->other)
		coordinator_set_network(world->c, world->now, &world->network);
}

/* What a store does. */
static void store(struct world *world, const struct record *record)
{
	size_t i = 0;

	assert_int_equal(record->table, RECORD_LEASE);
	while (i < world->record_count && memcmp(world->records[i].key, record->key, record->key_size) != 0)
		i++;
	if (record->erase) {
		if (i < world->record_count)
			world->records[i] = world->records[--world->record_count];
		return;
	}
	if (i == world->record_count) {
		world->records = realloc(world->records, (i + 1) * sizeof *world->records);
		world->record_count++;
	}
	world->records[i] = *record;
}

/* A registration's answer. */
static void receive_answer(struct fake_node *node, struct world *world, const uint8_t *bytes, size_t size)
{
	uint8_t payload[MESSAGE_MAX];
	struct registration_response response;
	struct message_header header;
	struct session_keys keys;
	struct reader r;
	size_t payload_size;

	node->answers++;
	assert_true(size <= node->first_size); /* T6 */
	if (node->session)
		return;
	assert_int_equal(handshake_finish(&node->handshake, &node->keys, bytes, size, payload, &payload_size, &keys),
			 OK);
	r = reader_over(payload, payload_size);
	assert_int_equal(message_header_decode(&r, &header), OK);
	assert_int_equal(header.type, MESSAGE_REGISTRATION_RESPONSE);
	assert_int_equal(registration_response_decode(&r, &response), OK);
	node->observed = response.observed;
	node->network_time_s = response.network_time_s;
	node->refused = response.reason;
	if (response.reason != REASON_NONE)
		return;
	r = reader_over(response.lease.data, response.lease.size);
	assert_int_equal(lease_decode(&r, &node->lease), OK);
	memcpy(node->lease_bytes, response.lease.data, response.lease.size);
	node->lease_size = response.lease.size;
	node->session = session_create(world->aead, SUITE_CHACHA20_POLY1305, true, node->path_id, &keys, world->now);
}

static void receive_cookie(struct fake_node *node, const struct world *world, const uint8_t *bytes, size_t size)
{
	node->cookies++;
	assert_true(size <= node->first_size); /* T6 */
	assert_int_equal(cookie_take(&node->cookie, world->config.static_keys.public, world->now, node->first,
				     node->first_size, bytes, size),
			 OK);
}

/* A sealed message. */
static void receive_sealed(struct fake_node *node, const uint8_t *bytes, size_t size)
{
	uint8_t plaintext[MESSAGE_MAX];
	struct letter *letter = &node->inbox[node->inbox_count];
	struct message_header header;
	struct opened opened;
	struct reader r;

	if (!node->session || session_open(node->session, bytes, size, plaintext, &opened) != OK)
		return;
	r = reader_over(plaintext, opened.size);
	assert_int_equal(message_header_decode(&r, &header), OK);
	assert_true(node->inbox_count < INBOX_MAX);
	*letter = (struct letter){.type = header.type, .transaction = header.transaction, .size = reader_left(&r)};
	read_bytes(&r, letter->body, letter->size);
	node->inbox_count++;
}

/* To the other zone's coordinator, at once. */
static void hand_over(struct world *world, const struct datagram *datagram)
{
	struct route route = {.local = world->other->address, .remote = world->address};

	world->between++;
	if (world->is_cut || world->cut_first) {
		world->cut_first -= world->cut_first > 0;
		world->lost++;
		return;
	}
	if (world->is_holding) {
		assert_true(world->held_count < sizeof world->held / sizeof world->held[0]);
		world->held[world->held_count].size = datagram->size;
		memcpy(world->held[world->held_count++].bytes, datagram->bytes, datagram->size);
		return;
	}
	world->other->now = world->now;
	(void)world_deliver(world->other, &route, datagram->bytes, datagram->size);
}

void world_release(struct world *world)
{
	struct route route = {.local = world->other->address, .remote = world->address};
	size_t count = world->held_count;

	world->held_count = 0;
	world->other->now = world->now;
	for (size_t i = 0; i < count; i++)
		(void)world_deliver(world->other, &route, world->held[i].bytes, world->held[i].size);
}

static void receive(struct world *world, const struct datagram *datagram)
{
	if (world->other && addr_equal(&world->other->address, &datagram->route.remote)) {
		hand_over(world, datagram);
		return;
	}
	for (size_t i = 0; i < world->node_count; i++) {
		struct fake_node *node = world->nodes[i];

		if (!addr_equal(&node->route.remote, &datagram->route.remote) &&
		    !addr_equal(&node->also, &datagram->route.remote))
			continue;
		if (datagram->bytes[0] == PACKET_REGISTRATION_RESPONSE)
			receive_answer(node, world, datagram->bytes, datagram->size);
		else if (datagram->bytes[0] == PACKET_COOKIE)
			receive_cookie(node, world, datagram->bytes, datagram->size);
		else
			receive_sealed(node, datagram->bytes, datagram->size);
		return;
	}
	if (world->elsewhere)
		world->elsewhere(world, datagram);
	world->lost++;
	if (addr_equal(&world->watched, &datagram->route.remote))
		world->watched_bytes += datagram->size;
}

void world_pump(struct world *world)
{
	struct datagram datagram;
	struct record record;

	while (!world->is_store_stuck && coordinator_next_record(world->c, &record))
		store(world, &record);
	if (!world->is_store_stuck)
		coordinator_records_durable(world->c, world->now);
	if (world->is_abroad)
		look_up(world);
	while (coordinator_next_datagram(world->c, &datagram)) {
		world->sent_bytes += datagram.size;
		receive(world, &datagram);
	}
}

enum err world_deliver(struct world *world, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct datagram datagram = {.route = *route, .bytes = bytes, .size = size};
	enum err err = coordinator_input_datagram(world->c, world->now, &datagram);

	world->received_bytes += size;
	world_pump(world);
	return err;
}

void world_pass(struct world *world, int64_t duration_us)
{
	struct time_us end = time_add(world->now, duration_us);

	struct world *both[] = {world, world->other};

	for (;;) {
		struct time_us at = coordinator_next_deadline(world->c);

		if (world->other)
			at = time_min(at, coordinator_next_deadline(world->other->c));
		if (at.us > end.us)
			at = end;
		if (at.us < world->now.us)
			at = world->now;
		for (int i = 0; i < 2 && both[i]; i++)
			both[i]->now = at;
		for (int i = 0; i < 2 && both[i]; i++) {
			coordinator_input_time(both[i]->c, at);
			world_pump(both[i]);
		}
		if (at.us == end.us)
			return;
	}
}

void node_recertify(struct world *world, struct fake_node *node, const char *fqdn, const struct sign_keys *authority)
{
	struct certificate *certificate = &node->certificate;
	struct writer w = writer_over(node->encoded, sizeof node->encoded);

	*certificate = (struct certificate){.serial = ++world->serial,
					    .id = node_id_of(node->identity.public),
					    .not_before_s = WALL_S - 100,
					    .not_after_s = WALL_S + CERTIFICATE_VALID_S};
	memcpy(certificate->identity_key, node->identity.public, KEY_SIZE);
	memcpy(certificate->static_key, node->keys.public, KEY_SIZE);
	strcpy(certificate->fqdn, fqdn);
	strcpy(certificate->account, "test");
	certificate_sign(certificate, authority);
	certificate_encode(certificate, &w);
	assert_int_equal(writer_finish(&w, &node->encoded_size), OK);
}

struct fake_node *world_node(struct world *world, const char *name)
{
	struct fake_node *node = calloc(1, sizeof *node);
	size_t n = world->node_count;
	uint8_t seed[KEY_SIZE];
	char fqdn[FQDN_MAX_SIZE + 1];

	world->nodes = realloc(world->nodes, (n + 1) * sizeof(struct fake_node *));
	world->nodes[world->node_count++] = node;
	fill(world, seed, sizeof seed);
	sign_keys_from_seed(seed, &node->identity);
	fill(world, seed, sizeof seed);
	dh_keys_from_seed(seed, &node->keys);
	strcpy(fqdn, name);
	strcat(fqdn, ".");
	strcat(fqdn, world->config.zone);
	node_recertify(world, node, fqdn, &world->authority);
	node->route.remote.ip = ip_v4(192, 0, (uint8_t)(2 + n / 200), (uint8_t)(1 + n % 200));
	node->route.remote.port = 7367;
	node->candidates.count = 1;
	node->candidates.list[0] = (struct addr){ip_v4(10, 0, 0, (uint8_t)n), 7367};
	return node;
}

void fake_begin(struct world *world, struct fake_node *node, size_t padded_size)
{
	uint8_t payload[MESSAGE_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct writer w = writer_over(payload, HANDSHAKE_PAYLOAD_MAX);
	struct registration_request request = {
		.certificate = {node->encoded, node->encoded_size},
		.features = node->features,
		.move_epoch = node->move_epoch,
		.candidates = node->candidates,
		.kept = node->kept,
		.padded_size = padded_size,
	};
	struct handshake_setup setup = {
		.local_static = &node->keys,
		.remote_static = world->config.static_keys.public,
		.mac1_key = mac1_key,
		.type = PACKET_REGISTRATION_REQUEST,
		.ephemeral_seed = seed,
	};
	size_t size;

	session_destroy(node->session);
	node->session = NULL;
	node->refused = REASON_NONE;
	fill(world, &node->path_id, sizeof node->path_id);
	fill(world, seed, sizeof seed);
	setup.path_id = node->path_id;
	handshake_mac1_key(world->config.static_keys.public, NULL, mac1_key);
	message_header_encode(MESSAGE_REGISTRATION_REQUEST, ++node->transaction, &w);
	registration_request_encode(&request, &w);
	assert_int_equal(writer_finish(&w, &size), OK);
	assert_int_equal(
		handshake_begin(&node->handshake, &setup, (struct blob){payload, size}, node->first, &node->first_size),
		OK);
}

void fake_prove_source(struct world *world, struct fake_node *node)
{
	cookie_apply(&node->cookie, world->now, node->first, node->first_size);
}

enum err fake_send_first(struct world *world, struct fake_node *node)
{
	return world_deliver(world, &node->route, node->first, node->first_size);
}

enum err fake_send(struct world *world, struct fake_node *node, uint8_t type, uint32_t transaction,
		   const struct writer *body)
{
	uint8_t plaintext[CONTROL_MAX], datagram[MESSAGE_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	size_t size;

	message_header_encode(type, transaction, &w);
	if (body)
		write_bytes(&w, body->data, body->at);
	assert_int_equal(writer_finish(&w, &size), OK);
	assert_int_equal(session_seal(node->session, 0, SEALED_CONTROL, plaintext, size, datagram), OK);
	return world_deliver(world, &node->route, datagram, size + OVERHEAD_SIZE);
}

struct writer fake_padding(uint8_t *bytes, size_t size)
{
	struct writer w = writer_over(bytes, size);
	size_t begun = field_begin(&w, FIELD_PAD);

	write_zeros(&w, PAD_REQUEST_TO - 8);
	field_end(&w, begun);
	return w;
}

void fake_keep_alive(struct world *world, struct fake_node *node)
{
	uint8_t bytes[PAD_REQUEST_TO];
	struct writer w = fake_padding(bytes, sizeof bytes);

	assert_int_equal(fake_send(world, node, MESSAGE_KEEP_ALIVE, ++node->transaction, &w), OK);
}

struct writer fake_answer(const struct letter *letter, uint8_t *bytes, size_t size)
{
	struct writer w = writer_over(bytes, size);
	struct reader r = reader_over(letter->body, letter->size);
	struct path_challenge challenge;
	struct path_response response = {0};

	assert_int_equal(path_challenge_decode(&r, &challenge), OK);
	memcpy(response.challenge, challenge.challenge, sizeof response.challenge);
	path_response_encode(&response, &w);
	return w;
}

bool fake_prove(struct world *world, struct fake_node *node)
{
	struct letter letter = fake_take(node, MESSAGE_PATH_CHALLENGE);
	bool has_any = letter.type != 0;

	for (; letter.type; letter = fake_take(node, MESSAGE_PATH_CHALLENGE)) {
		uint8_t bytes[64];
		struct writer w = fake_answer(&letter, bytes, sizeof bytes);

		(void)fake_send(world, node, MESSAGE_PATH_RESPONSE, letter.transaction, &w);
	}
	return has_any;
}

struct route_direction open_direction(const struct letter *letter)
{
	struct reader r = reader_over(letter->body, letter->size);
	struct route_direction direction;

	assert_int_equal(letter->type, MESSAGE_ROUTE_DIRECTION);
	assert_int_equal(route_direction_decode(&r, &direction), OK);
	return direction;
}

uint8_t open_refusal(const struct letter *letter)
{
	struct reader r = reader_over(letter->body, letter->size);
	struct direction_refusal refusal;

	assert_int_equal(letter->type, MESSAGE_DIRECTION_REFUSAL);
	assert_int_equal(direction_refusal_decode(&r, &refusal), OK);
	return refusal.reason;
}

void fake_register(struct world *world, struct fake_node *node)
{
	fake_begin(world, node, 700);
	assert_int_equal(fake_send_first(world, node), OK);
	assert_non_null(node->session);
	fake_keep_alive(world, node);
	assert_int_equal(fake_take(node, MESSAGE_KEEP_ALIVE_ANSWER).type, MESSAGE_KEEP_ALIVE_ANSWER);
}

void fake_ask(struct world *world, struct fake_node *node, uint32_t transaction, const char *name)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct direction_request request = {0};

	if (ip_parse(name, &request.ip) != OK)
		strcpy(request.name, name);
	direction_request_encode(&request, &w);
	assert_int_equal(fake_send(world, node, MESSAGE_DIRECTION_REQUEST, transaction, &w), OK);
}

void fake_ack(struct world *world, struct fake_node *node, uint32_t transaction)
{
	assert_int_equal(fake_send(world, node, MESSAGE_ACK, transaction, NULL), OK);
}

struct letter fake_take(struct fake_node *node, uint8_t type)
{
	for (size_t i = 0; i < node->inbox_count; i++) {
		struct letter letter = node->inbox[i];

		if (letter.type != type)
			continue;
		memmove(&node->inbox[i], &node->inbox[i + 1], (node->inbox_count - i - 1) * sizeof letter);
		node->inbox_count--;
		return letter;
	}
	return (struct letter){0};
}

void fake_move_to(struct fake_node *node, const char *addr)
{
	assert_int_equal(addr_parse(addr, 7367, &node->route.remote), OK);
}

void fake_rebind_to(struct world *world, struct fake_node *node, const char *addr)
{
	fake_move_to(node, addr);
	fake_keep_alive(world, node);
	assert_true(fake_prove(world, node));
	world_pass(world, OLD_PATH_SILENCE_MIN_US);
}
