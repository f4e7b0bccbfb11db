#include "proto/node/link.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"
#include "wire/tunnel.h"

enum { PAD_REQUEST_TO = 160 }; /* so that the coordinator's answer and two challenges are no larger (E5) */
#define REFUSED_AGAIN_US (10 * USEC_PER_SEC)
#define REGISTER_FRESH_US (8 * USEC_PER_SEC) /* below the time for which a coordinator keeps a half-open session */

/* Nothing known, nothing under way. */
void link_init(struct link *link)
{
	*link = (struct link){
		.rtt_us = -1,
		.keepalive_us = KEEPALIVE_US,
		.next_try = TIME_NEVER,
		.next_keepalive = TIME_NEVER,
	};
}

/* Keys are wiped. */
void link_finish(struct link *link)
{
	session_destroy(link->session);
	wipe(link, sizeof *link);
}

/* The address that answered last, if we can still reach its family; else another one of the coordinator's. */
static bool current_route(struct node *node, struct route *ret)
{
	const struct server_addresses *addresses = &node->coordinator->addresses;

	if (addr_is_set(&node->link.route.remote) && node_route_to(node, &node->link.route.remote, ret))
		return true;
	for (int i = 0; i < addresses->count; i++)
		if (node_route_to(node, &addresses->list[i], ret))
			return true;
	return false;
}

static void send_request_everywhere(struct node *node, struct time_us now)
{
	const struct server_addresses *addresses = &node->coordinator->addresses;
	struct link *link = &node->link;
	struct route route;

	for (int i = 0; i < addresses->count; i++)
		if (node_route_to(node, &addresses->list[i], &route))
			(void)outbox_put(&node->outbox, now, &route, link->request, link->request_size);
}

/* Registration Request in the handshake's first message, padded so that the answer fits. */
static enum err write_registration(struct node *node, uint8_t *ret, size_t *ret_size)
{
	struct writer w = writer_over(ret, HANDSHAKE_PAYLOAD_MAX);
	struct registration_request request = {
		.certificate = {node->certificate_bytes, node->certificate_size},
		.features = node->features,
		.move_epoch = node->move_epoch,
		.kept = node->link.was_established,
		.padded_size = LEASE_MAX_SIZE + 128,
	};

	node_candidates(node, &request.candidates);
	message_header_encode(MESSAGE_REGISTRATION_REQUEST, ++node->transaction, &w);
	registration_request_encode(&request, &w);
	return writer_finish(&w, ret_size);
}

/* A fresh handshake beside whatever session there is: that one stays until the new one stands. */
void link_register(struct node *node, struct time_us now)
{
	struct link *link = &node->link;
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct handshake_setup setup = {
		.local_static = &node->static_keys,
		.remote_static = node->coordinator->static_key,
		.mac1_key = mac1_key,
		.type = PACKET_REGISTRATION_REQUEST,
		.ephemeral_seed = seed,
	};
	size_t size;

	link->registering = false;
	link->next_try = time_add(now, HANDSHAKE_RETRY_MAX_US);
	node_plan(node, link->next_try);
	if (write_registration(node, payload, &size) != OK)
		return;
	random_fill(&node->env.random, &setup.path_id, sizeof setup.path_id);
	random_fill(&node->env.random, seed, sizeof seed);
	handshake_mac1_key(node->coordinator->static_key, NULL, mac1_key);
	if (handshake_begin(&link->handshake, &setup, (struct blob){payload, size}, link->request,
			    &link->request_size) == OK) {
		link->registering = true;
		link->is_cookied = false;
		cookie_apply(&link->cookie, now, link->request, link->request_size);
		link->request_at = now;
		if (link->looking_since.us == 0)
			link->looking_since = now;
		link->next_try = now;
		node_plan(node, now);
	}
	wipe(seed, sizeof seed);
}

static void set_up(struct node *node, bool up)
{
	struct node_event event = {.type = up ? NODE_EVENT_COORDINATOR_UP : NODE_EVENT_COORDINATOR_DOWN,
				   .route = node->link.route};

	if (node->link.up == up)
		return;
	node->link.up = up;
	node_emit(node, &event);
}

static void learn_time(struct link *link, struct time_us now, uint64_t network_time_s)
{
	link->network_time_s = network_time_s;
	link->network_time_at = now;
}

/* Own lease: judged like anybody's. */
static bool take_lease(struct node *node, struct blob encoded)
{
	struct node_event event = {.type = node->addressed ? NODE_EVENT_LEASE : NODE_EVENT_ADDRESSED};
	struct lease lease;

	if (encoded.size > sizeof node->lease_bytes ||
	    lease_judge(encoded, node->network, &node->certificate.id, node_network_time(node), &lease) != OK)
		return false;
	if (node->lease_size == encoded.size && memcmp(node->lease_bytes, encoded.data, encoded.size) == 0 &&
	    node->addressed)
		return true;
	node->lease = lease;
	memcpy(node->lease_bytes, encoded.data, encoded.size);
	node->lease_size = encoded.size;
	node->addressed = true;
	node_emit(node, &event);
	return true;
}

/* Its network document names the coordinator's addresses: one who copies packets and is faster changes nothing (E3). */
static void follow(struct node *node, const struct route *route)
{
	const struct server_addresses *addresses = &node->coordinator->addresses;

	for (int i = 0; i < addresses->count; i++)
		if (addr_equal(&addresses->list[i], &route->remote))
			node->link.route.remote = route->remote;
}

/* The coordinator has answered. */
static void stop_looking(struct link *link)
{
	link->registering = link->is_doubted = false;
	link->looking_since = (struct time_us){0};
	link->next_try = TIME_NEVER;
}

/* The session that was registered is the one from now on. */
static void establish(struct node *node, struct time_us now, const struct session_keys *keys, const struct route *route)
{
	struct link *link = &node->link;
	bool was_missed = link->session && (link->is_doubted || !link->up);

	session_destroy(link->session);
	link->session = session_create(node->aead, SUITE_CHACHA20_POLY1305, true, link->handshake.path_id, keys, now);
	link->rekeying = (struct rekeying){0};
	link->was_established = true;
	stop_looking(link);
	link->route = *route;
	link->route.remote = (struct addr){0};
	follow(node, route);
	link->heard = now;
	link->rtt_us = time_since(now, link->request_at);
	link->next_keepalive = now; /* the first sealed packet confirms the session to the coordinator (E8) */
	node_plan(node, now);
	set_up(node, true);
	relay_rtt_want(node, true);
	if (was_missed)
		relay_ask_all(node, now);
}

/* Registration Response: a forged one leaves everything as it was. */
static void receive_response(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes,
			     size_t size)
{
	struct link *link = &node->link;
	uint8_t payload[MESSAGE_MAX], mac1_key[KEY_SIZE];
	size_t payload_size;
	struct session_keys keys;
	struct registration_response response;
	struct message_header header;
	struct reader r;

	handshake_mac1_key(node->static_keys.public, NULL, mac1_key);
	if (handshake_mac1_check(bytes, size, mac1_key) != OK ||
	    handshake_finish(&link->handshake, &node->static_keys, bytes, size, payload, &payload_size, &keys) != OK) {
		node->counters.dropped_stranger++;
		return;
	}
	r = reader_over(payload, payload_size);
	if (message_header_decode(&r, &header) != OK || header.type != MESSAGE_REGISTRATION_RESPONSE ||
	    registration_response_decode(&r, &response) != OK) {
		node->counters.dropped_malformed++;
		return;
	}
	learn_time(link, now, response.network_time_s);
	if (response.reason != REASON_NONE || !take_lease(node, response.lease)) {
		struct node_event event = {.type = NODE_EVENT_REFUSED,
					   .reason = response.reason ? response.reason : REASON_BAD_CREDENTIAL};

		link->registering = false; /* a doubt in the session, if there is one, is not dispelled */
		link->looking_since = (struct time_us){0};
		link->next_try = time_add(now, REFUSED_AGAIN_US);
		node_emit(node, &event);
		return;
	}
	link->observed = response.observed;
	if (response.keepalive_ms >= 1000)
		link->keepalive_us = response.keepalive_ms * USEC_PER_MSEC;
	establish(node, now, &keys, route);
	wipe(&keys, sizeof keys);
}

static void send_sealed(struct node *node, struct time_us now, struct blob plaintext)
{
	struct link *link = &node->link;
	uint8_t *room = outbox_reserve(&node->outbox, now, plaintext.size + OVERHEAD_SIZE, NULL, 0);
	struct route route;

	if (!room || !link->session || !current_route(node, &route) ||
	    session_seal(link->session, 0, SEALED_CONTROL, plaintext.data, plaintext.size, room) != OK)
		return;
	outbox_commit(&node->outbox, now, &route, 1, NULL, 0);
	rhythm_spoke(node, now, &route.local.ip);
}

static void acknowledge(struct node *node, struct time_us now, uint32_t transaction)
{
	uint8_t plaintext[16];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	size_t size;

	message_header_encode(MESSAGE_ACK, transaction, &w);
	if (writer_finish(&w, &size) == OK)
		send_sealed(node, now, (struct blob){plaintext, size});
}

static void request(struct node *node, struct time_us now, uint8_t type, bool replace, struct writer *w)
{
	struct link *link = &node->link;
	int64_t interval_us = link->rtt_us > REQUEST_RETRY_US * 2 / 3 ? link->rtt_us * 3 / 2 : REQUEST_RETRY_US;
	size_t size;

	if (writer_finish(w, &size) == OK && request_add(&link->requests, type, node->transaction,
							 (struct blob){w->data, size}, now, interval_us, replace) == OK)
		node_plan(node, now);
}

/* See link.h. */
void link_request(struct node *node, struct time_us now, uint8_t type, struct writer *w)
{
	request(node, now, type, true, w);
}

/* See link.h. */
void link_request_more(struct node *node, struct time_us now, uint8_t type, struct writer *w)
{
	request(node, now, type, false, w);
}

static void pad_request(struct writer *w)
{
	size_t begun;

	if (w->at + 3 > PAD_REQUEST_TO)
		return;
	begun = field_begin(w, FIELD_PAD);
	write_zeros(w, PAD_REQUEST_TO - w->at);
	field_end(w, begun);
}

static void request_keepalive(struct node *node, struct time_us now)
{
	uint8_t plaintext[PAD_REQUEST_TO];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct keep_alive told = {0};
	struct route route;

	if (current_route(node, &route))
		told.interval_ms = (uint32_t)(rhythm_interval_us(node, &route.local.ip) / USEC_PER_MSEC);
	message_header_encode(MESSAGE_KEEP_ALIVE, ++node->transaction, &w);
	keep_alive_encode(&told, &w);
	pad_request(&w);
	request(node, now, MESSAGE_KEEP_ALIVE, true, &w);
}

static void request_update(struct node *node, struct time_us now)
{
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct update_request update = {.move_epoch = node->move_epoch};

	node_candidates(node, &update.candidates);
	message_header_encode(MESSAGE_UPDATE_REQUEST, ++node->transaction, &w);
	update_request_encode(&update, &w);
	pad_request(&w);
	request(node, now, MESSAGE_UPDATE_REQUEST, true, &w);
}

/* Is it there, seen from where we are? At most one question at a time: a second one replaces the first. */
void link_ask(struct node *node, struct time_us now)
{
	if (node->link.session && node->link.up)
		request_keepalive(node, now);
}

/* See link.h. */
void link_ask_news(struct node *node, struct time_us now)
{
	struct link *link = &node->link;

	if (!link->session || !link->up || time_since(now, link->keepalive_at) < USEC_PER_SEC)
		return;
	link->next_keepalive = now;
	node_plan(node, now);
}

/* At once, from the new address, on the session that is there. */
void link_moved(struct node *node, struct time_us now)
{
	struct link *link = &node->link;

	relay_rtt_want(node, false);
	link->looking_since = (struct time_us){0};
	if (link->session && link->up)
		request_update(node, now);
	else
		link_register(node, now);
}

static bool is_same_direction(const struct request *slot, const char *name, const struct ip *ip)
{
	struct reader r = reader_over(slot->plaintext, slot->size);
	struct message_header header;
	struct direction_request asked;

	if (!slot->used || slot->type != MESSAGE_DIRECTION_REQUEST || message_header_decode(&r, &header) != OK ||
	    direction_request_decode(&r, &asked) != OK)
		return false;
	return name ? strcmp(asked.name, name) == 0 : ip_equal(&asked.ip, ip);
}

/* While the coordinator is away the request waits in the table. */
void link_request_direction(struct node *node, struct time_us now, const char *name, const struct ip *ip)
{
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct direction_request direction = {.ip = ip ? *ip : (struct ip){0}};

	for (int i = 0; i < REQUESTS_MAX; i++)
		if (is_same_direction(&node->link.requests.slots[i], name, ip))
			return;
	if (name)
		memcpy(direction.name, name, strnlen(name, FQDN_MAX_SIZE));
	message_header_encode(MESSAGE_DIRECTION_REQUEST, ++node->transaction, &w);
	direction_request_encode(&direction, &w);
	request(node, now, MESSAGE_DIRECTION_REQUEST, false, &w);
}

static void receive_update_response(struct node *node, struct time_us now, const struct route *route,
				    uint32_t transaction, struct reader *r)
{
	struct link *link = &node->link;
	struct update_response response;
	struct request asked;

	if (update_response_decode(r, &response) != OK)
		return;
	if (request_done(&link->requests, transaction, &asked) && asked.tries == 1)
		link->rtt_us = time_since(now, asked.started);
	link->observed = response.observed;
	node_proved_on(node, now, &route->local.ip);
	rhythm_seen(node, now, &route->local.ip, &response.observed);
	learn_time(link, now, response.network_time_s);
	document_told(node, now, response.network_epoch);
	relay_rtt_begin(node, now);
	rhythm_begin(node, now);
}

/* The coordinator makes sure that our new address is ours before it sends much there. */
static void receive_challenge(struct node *node, struct time_us now, uint32_t transaction, struct reader *r)
{
	uint8_t plaintext[64];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct path_challenge challenge;
	struct path_response response = {0};
	size_t size;

	if (path_challenge_decode(r, &challenge) != OK)
		return;
	memcpy(response.challenge, challenge.challenge, CHALLENGE_SIZE);
	message_header_encode(MESSAGE_PATH_RESPONSE, transaction, &w);
	path_response_encode(&response, &w);
	if (writer_finish(&w, &size) == OK)
		send_sealed(node, now, (struct blob){plaintext, size});
}

static void receive_rekey(struct node *node, struct time_us now, uint32_t transaction, struct reader *r)
{
	struct request asked;
	struct rekey response;

	if (rekey_decode(r, &response) != OK ||
	    keys_finish(node, &node->link.rekeying, node->link.session, &response, now) != OK)
		return;
	(void)request_done(&node->link.requests, transaction, &asked);
	node->link.next_keepalive = now; /* the next beat may be too late to show the new keys */
	node_plan(node, now);
}

/* Directions of all kinds; each is acknowledged, whatever becomes of it, but for one that cannot be judged yet: it is
 * repeated. */
static void receive_direction(struct node *node, struct time_us now, const struct message_header *header,
			      struct reader *r)
{
	struct direction_refusal refusal;
	struct route_direction direction;
	struct route_update update;
	struct request asked;

	if (header->type == MESSAGE_DIRECTION_REFUSAL) {
		if (request_done(&node->link.requests, header->transaction, &asked) &&
		    direction_refusal_decode(r, &refusal) == OK)
			direction_refused(node, now, &refusal);
		return;
	}
	if (header->type == MESSAGE_ROUTE_UPDATE) {
		acknowledge(node, now, header->transaction);
		if (route_update_decode(r, &update) == OK)
			direction_updated(node, now, &update);
		return;
	}
	if (route_direction_decode(r, &direction) != OK) {
		acknowledge(node, now, header->transaction);
		node->counters.dropped_malformed++;
		return;
	}
	if (!direction_is_judgeable(node, now, &direction))
		return;
	acknowledge(node, now, header->transaction);
	if (direction.requested)
		(void)request_done(&node->link.requests, header->transaction, &asked);
	direction_received(node, now, &direction);
}

/* Of a report about relays. */
static void receive_ack(struct node *node, struct time_us now, uint32_t transaction)
{
	struct request asked;

	if (request_done(&node->link.requests, transaction, &asked))
		rhythm_begin(node, now);
}

static void receive_message(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes,
			    size_t size)
{
	struct link *link = &node->link;
	struct reader r = reader_over(bytes, size);
	struct message_header header;

	if (message_header_decode(&r, &header) != OK) {
		node->counters.dropped_malformed++;
		return;
	}
	switch (header.type) {
	case MESSAGE_UPDATE_RESPONSE:
	case MESSAGE_KEEP_ALIVE_ANSWER: receive_update_response(node, now, route, header.transaction, &r); break;
	case MESSAGE_DIRECTION_REFUSAL:
	case MESSAGE_ROUTE_DIRECTION:
	case MESSAGE_ROUTE_UPDATE: receive_direction(node, now, &header, &r); break;
	case MESSAGE_ACK: receive_ack(node, now, header.transaction); break;
	case MESSAGE_PATH_CHALLENGE: receive_challenge(node, now, header.transaction, &r); break;
	case MESSAGE_NETWORK_RESPONSE: document_received(node, now, header.transaction, &r); break;
	case MESSAGE_REKEY_RESPONSE: receive_rekey(node, now, header.transaction, &r); break;
	case MESSAGE_CLOSE: /* it goes, or does not want us any more: it is asked why, by registering */
		set_up(node, false);
		link->looking_since = now;
		link_register(node, now);
		break;
	default: node->counters.dropped_malformed++;
	}
}

/* How we are seen at another of our addresses. */
static void receive_aside(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes,
			  size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct message_header header;
	struct update_response response;

	if (message_header_decode(&r, &header) != OK || header.type != MESSAGE_KEEP_ALIVE_ANSWER ||
	    update_response_decode(&r, &response) != OK)
		node->counters.dropped_malformed++;
	else if (!punch_answered(node, now, route, header.transaction, &response.observed)) {
		rhythm_answered(node, now, &route->local.ip, header.transaction);
		spare_answered(node, now, &route->local.ip, &response.observed);
	}
}

/*
 * The coordinator has too much to do: the same request once more, with the proof of where we are. At once only the
 * first time: over two families it gives two cookies, and whoever copies its replies must not make us send.
 */
static void receive_cookie(struct node *node, struct time_us now, const uint8_t *bytes, size_t size)
{
	struct link *link = &node->link;

	if (cookie_take(&link->cookie, node->coordinator->static_key, now, link->request, link->request_size, bytes,
			size) != OK) {
		node->counters.dropped_stranger++;
		return;
	}
	cookie_apply(&link->cookie, now, link->request, link->request_size);
	if (!link->is_cookied) {
		link->next_try = now;
		node_plan(node, now);
	}
	link->is_cookied = true;
}

/* PathIDs that belong to no peer end here. */
bool link_input(struct node *node, struct time_us now, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct link *link = &node->link;
	struct reader r = reader_over(bytes, size);
	uint8_t plaintext[CONTROL_MAX];
	struct opened opened;
	struct header header;

	if (header_decode(&r, &header) != OK)
		return false;
	if (header.type == PACKET_REGISTRATION_RESPONSE && link->registering &&
	    header.path_id == link->handshake.path_id) {
		receive_response(node, now, route, bytes, size);
		return true;
	}
	if (header.type == PACKET_COOKIE && link->registering && header.path_id == link->handshake.path_id) {
		receive_cookie(node, now, bytes, size);
		return true;
	}
	if (!(header.type & PACKET_SEALED) || !link->session || header.path_id != session_path_id(link->session))
		return false;
	if (size > MESSAGE_MAX || session_open(link->session, bytes, size, plaintext, &opened) != OK ||
	    !(opened.flags & SEALED_CONTROL)) {
		node->counters.dropped_auth++;
		return true;
	}
	link->heard = now;
	set_up(node, true);
	if (link->is_doubted)
		stop_looking(link);
	if (opened.path == LINK_SPACE_ASIDE) {
		receive_aside(node, now, route, plaintext, opened.size);
		return true;
	}
	rhythm_spoke(node, now, &route->local.ip);
	if (opened.highest)
		follow(node, route);
	receive_message(node, now, route, plaintext, opened.size);
	node_plan(node, now); /* what was waited for until now must not wake us up later */
	return true;
}

/*
 * In proportion to how long it has been gone: who was away for a second is found a moment later, and one that is away
 * for days is not troubled. All members of a server that restarts begin at once, so each has a pace of its own.
 */
static int64_t retry_us(const struct node *node, struct time_us now)
{
	int64_t interval_us = request_pace_us(time_since(now, node->link.looking_since));
	uint32_t phase;

	memcpy(&phase, &node->certificate.id, sizeof phase);
	return interval_us + interval_us * (phase % 64) / 256;
}

static void run_registration(struct node *node, struct time_us now)
{
	struct link *link = &node->link;

	if (!time_reached(now, link->next_try))
		return;
	if (!link->registering || time_since(now, link->request_at) > REGISTER_FRESH_US) {
		link_register(node, now);
		if (!link->registering)
			return;
	}
	send_request_everywhere(node, now);
	link->next_try = time_add(now, retry_us(node, now));
}

/* Half of its time: a coordinator that is away for weeks costs nobody an address. */
static bool lease_wants_renewal(const struct node *node)
{
	return node_network_time(node) > node->lease.issued_s + (node->lease.not_after_s - node->lease.issued_s) / 2;
}

/* Since when there is a request that nobody answers: from its start or the last sign of life on. TIME_NEVER: there is
 * none. */
static struct time_us unanswered_since(const struct link *link)
{
	struct time_us at = TIME_NEVER;

	for (int i = 0; i < REQUESTS_MAX; i++) {
		const struct request *slot = &link->requests.slots[i];
		struct time_us since = slot->started.us > link->heard.us ? slot->started : link->heard;

		if (slot->used && slot->tries > 0)
			at = time_min(at, since);
	}
	return at;
}

/* It may have restarted and know us no more. */
static struct time_us doubt_deadline(const struct link *link)
{
	int64_t patience_us = 3 * link->rtt_us > COORDINATOR_DOUBT_US ? 3 * link->rtt_us : COORDINATOR_DOUBT_US;
	struct time_us since = unanswered_since(link);

	return link->is_doubted || link->registering || since.us == TIME_NEVER.us ? TIME_NEVER
										  : time_add(since, patience_us);
}

static struct time_us silence_deadline(const struct link *link)
{
	struct time_us since = unanswered_since(link);

	return since.us == TIME_NEVER.us ? since : time_add(since, COORDINATOR_SILENCE_US);
}

/* In a silence that is measured keys are not changed: it ends long before they are too old. */
static bool is_waiting(const struct node *node)
{
	int local = node_local_for(node, node->link.route.remote.ip.family);

	return local >= 0 && node->local_states[local].keepalive.is_waiting;
}

/* By the address that it is said from. */
static struct time_us next_keepalive(struct node *node, struct time_us now)
{
	struct route route;

	return current_route(node, &route) ? rhythm_next(node, now, &route.local.ip) : time_add(now, KEEPALIVE_US);
}

static void run_session(struct node *node, struct time_us now)
{
	struct link *link = &node->link;
	uint8_t plaintext[CONTROL_MAX];
	const struct request *due;
	bool gave_up;
	size_t size;

	if (time_reached(now, silence_deadline(link))) {
		set_up(node, false);
		if (!link->registering)
			link_register(node, now);
		return;
	}
	if (time_reached(now, doubt_deadline(link))) {
		link->is_doubted = true;
		link_register(node, now);
	}
	session_forget_old(link->session, now);
	if (time_reached(now, link->next_keepalive)) {
		link->keepalive_at = now;
		link->next_keepalive = next_keepalive(node, now);
		request_keepalive(node, now);
		if (lease_wants_renewal(node) && !link->registering)
			link_register(node, now);
	}
	if (!is_waiting(node) &&
	    keys_begin(node, &link->rekeying, link->session, node->coordinator->static_key, now, plaintext, &size) &&
	    request_add(&link->requests, MESSAGE_REKEY_REQUEST, node->transaction, (struct blob){plaintext, size}, now,
			REQUEST_RETRY_US, true) != OK)
		link->rekeying.active = false;
	while ((due = request_due(&link->requests, now, &gave_up)) || gave_up) {
		if (gave_up)
			link->rekeying.active = false;
		if (due)
			send_sealed(node, now, (struct blob){due->plaintext, due->size});
	}
}

/* Registration when it is due, else what the session has to say. */
void link_run(struct node *node, struct time_us now)
{
	run_registration(node, now);
	rhythm_run(node, now);
	relay_rtt_run(node, now);
	spare_run(node, now);
	if (node->link.session && node->link.up)
		run_session(node, now);
	node_plan(node, link_deadline(&node->link));
}

/* While the coordinator is down only registration runs. */
struct time_us link_deadline(const struct link *link)
{
	struct time_us at = link->next_try;

	if (!link->session || !link->up)
		return at;
	at = time_min(at, time_min(link->next_keepalive, request_deadline(&link->requests)));
	return time_min(at, time_min(silence_deadline(link), doubt_deadline(link)));
}

/* Good-bye: the coordinator need not wait for silence. */
void link_leave(struct node *node, struct time_us now)
{
	uint8_t plaintext[32];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	size_t size;

	message_header_encode(MESSAGE_CLOSE, ++node->transaction, &w);
	close_encode(&(struct close){.reason = REASON_LEAVING}, &w);
	if (writer_finish(&w, &size) == OK)
		send_sealed(node, now, (struct blob){plaintext, size});
}
