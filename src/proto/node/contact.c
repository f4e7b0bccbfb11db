/* Carrying a Route Direction out: Tunnel Requests to every candidate and the relay in parallel, hole punching
 * meanwhile, one session at the end. */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"

enum {
	CONTACT_TRIES_US = 10 * 1000000,
	CHALLENGE_DATAGRAM_SIZE = OVERHEAD_SIZE + 24,
	HELLO_SIZE = 700, /* what is padded onto a request beyond its answer may come back as data at once (E5) */
};
#define EARLY_PATIENCE_US (2 * USEC_PER_MSEC)	  /* a name was asked for: its first packet is about to come */
#define UNASKED_PATIENCE_US (150 * USEC_PER_MSEC) /* for the request of the end that asked */

/* The lower NodeID's request wins a collision. */
static bool own_request_wins(const struct node *node, const struct peer *peer)
{
	return node_id_compare(&node->certificate.id, &peer->id) < 0;
}

/* Writes the hello that both handshake messages carry; padded so that an answer and a first challenge are never larger
 * than the request. */
static enum err write_hello(const struct node *node, uint8_t type, size_t padded_size, struct blob data, uint8_t *ret,
			    size_t *ret_size)
{
	struct writer w = writer_over(ret, HANDSHAKE_PAYLOAD_MAX);
	struct tunnel_hello hello = {.move_epoch = node->move_epoch,
				     .features = node->features | FEATURE_REST,
				     .data = data,
				     .padded_size = padded_size};

	message_header_encode(type, 0, &w);
	tunnel_hello_encode(&hello, &w);
	return writer_finish(&w, ret_size);
}

static enum err read_hello(const uint8_t *payload, size_t size, uint8_t type, struct tunnel_hello *ret)
{
	struct reader r = reader_over(payload, size);
	struct message_header header;
	enum err err = message_header_decode(&r, &header);

	if (err == OK && header.type != type)
		err = ERR_MALFORMED;
	return err == OK ? tunnel_hello_decode(&r, ret) : err;
}

/*
 * What the handshake needs of the peer's static key, done while nobody waits for it: after what the Route Direction
 * made go out (the answer to who asked for the name, probes), before the other end's request or the first inner packet.
 */
static void prepare(struct node *node, struct peer *peer)
{
	struct contact *contact = &peer->awake->contact;
	const uint8_t *remote = peer->identity->static_key;
	uint8_t seed[KEY_SIZE];

	contact->prepare_at = TIME_NEVER;
	if (!peer->awake->is_known || memcmp(peer->awake->known.remote_static, remote, KEY_SIZE) != 0)
		peer->awake->is_known = static_pair_make(&node->static_keys, remote, &peer->awake->known) == OK;
	random_fill(&node->env.random, seed, sizeof seed);
	contact->is_prepared = handshake_prepare(seed, remote, &contact->attempt->prepared) == OK;
	wipe(seed, sizeof seed);
}

/* What there is for one handshake goes into its setup; ret_seed is filled and used when nothing is prepared. */
static void use_prepared(struct node *node, struct peer *peer, struct handshake_setup *setup,
			 uint8_t ret_seed[KEY_SIZE])
{
	setup->known = peer->awake->is_known ? &peer->awake->known : NULL;
	setup->prepared = peer->awake->contact.is_prepared ? &peer->awake->contact.attempt->prepared : NULL;
	if (!setup->prepared)
		random_fill(&node->env.random, ret_seed, KEY_SIZE);
	setup->ephemeral_seed = ret_seed;
}

/* An ephemeral key serves one handshake. */
static void forget_prepared(struct contact *contact)
{
	contact->prepare_at = TIME_NEVER;
	contact->is_prepared = false;
	wipe(&contact->attempt->prepared, sizeof contact->attempt->prepared);
}

/* What rides in our first message. Nothing while there is a session: it may get a way meanwhile and take the packet
 * there, and a copy of the request still on its way would bring it a second time. */
static struct blob early_packet(struct node *node, const struct peer *peer)
{
	return peer->session ? (struct blob){0} : waiting_first(node, peer, EARLY_MAX);
}

/*
 * Makes our own first message; it is the same bytes for every address and every repetition. The inner packet in it
 * is sealed to the peer's static key, and a TempKey serves one handshake only, so it cannot be replayed (design 7).
 */
static enum err begin_request(struct node *node, struct peer *peer)
{
	struct contact *contact = &peer->awake->contact;
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct handshake_setup setup = {
		.local_static = &node->static_keys,
		.remote_static = peer->identity->static_key,
		.psk = contact->temp_key,
		.mac1_key = mac1_key,
		.type = PACKET_TUNNEL_REQUEST,
		.path_id = contact->path_id,
	};
	struct blob early = early_packet(node, peer);
	size_t size;
	enum err err = write_hello(node, MESSAGE_TUNNEL_REQUEST, HELLO_SIZE, early, payload, &size);

	if (err != OK)
		return err;
	handshake_mac1_key(peer->identity->static_key, contact->nego_key, mac1_key);
	use_prepared(node, peer, &setup, seed);
	err = handshake_begin(&contact->attempt->handshake, &setup, (struct blob){payload, size},
			      contact->attempt->request, &contact->attempt->request_size);
	forget_prepared(contact);
	wipe(seed, sizeof seed);
	contact->initiating = err == OK;
	contact->attempt->early_size = (uint16_t)early.size;
	if (early.size > 0)
		memcpy(contact->attempt->early, early.data, early.size);
	return err;
}

/* A new direction replaces one that has not ended yet; a live session goes on until the new one stands. */
void contact_start(struct node *node, struct peer *peer, struct time_us now, const struct route_direction *direction)
{
	struct contact *contact = &peer->awake->contact;

	if ((contact->used && contact->path_id == direction->path_id) ||
	    (peer->session && session_path_id(peer->session) == direction->path_id))
		return;
	contact_stop(node, peer);
	*contact = (struct contact){
		.used = true,
		.attempt = mem_alloc(1, sizeof(struct attempt)),
		.path_id = direction->path_id,
		.suite = direction->suite == SUITE_AES256_GCM ? SUITE_AES256_GCM : SUITE_CHACHA20_POLY1305,
		.started = now,
		.asked = direction->requested,
		.next_try = time_add(now, direction->requested ? EARLY_PATIENCE_US : UNASKED_PATIENCE_US),
		.next_probe = now,
		.prepare_at = time_add(now, 1), /* the next turn */
		.interval_us = HANDSHAKE_RETRY_US,
		.probes_left = PROBES_PER_CANDIDATE,
	};
	memcpy(contact->temp_key, direction->temp_key, KEY_SIZE);
	nego_key_derive(contact->temp_key, contact->nego_key);
	handshake_mac1_key(node->static_keys.public, contact->nego_key, contact->own_mac1_key);
	peer->observed = peer->registered = direction->observed;
	peer->candidates = direction->candidates;
	if (direction->has_relay && leg_init(&contact->leg, contact->path_id, &direction->relay, now) == OK) {
		contact->has_relay = true;
		contact->relay_cause = direction->relay_cause;
		memcpy(contact->relay_name, direction->relay.name, sizeof contact->relay_name);
	}
	map_insert(&node->by_path_id, contact->path_id, peer);
	if (!peer->session)
		peer_set_state(node, peer, now, NODE_PEER_CONNECTING, REASON_NONE);
	if (waiting_first(node, peer, WAITING_PACKET_MAX).size > 0)
		contact_data_waits(node, peer, now);
	peer_plan(node, peer, now);
}

/* Contract in machine.h. */
void contact_data_waits(struct node *node, struct peer *peer, struct time_us now)
{
	struct contact *contact = &peer->awake->contact;

	if (!contact->used || !contact->asked || contact->initiating)
		return;
	contact->next_try = time_min(contact->next_try, now);
	peer_plan(node, peer, now);
}

/* Wipes what is secret; the PathID stays known when a session has it. */
void contact_stop(struct node *node, struct peer *peer)
{
	struct contact *contact = peer->awake ? &peer->awake->contact : NULL;

	if (!contact)
		return;
	if (contact->used && !(peer->session && session_path_id(peer->session) == contact->path_id))
		map_remove(&node->by_path_id, contact->path_id);
	if (contact->attempt)
		wipe(contact->attempt, sizeof *contact->attempt);
	mem_free(contact->attempt);
	mem_free(contact->early);
	wipe(contact, sizeof *contact);
}

/* Contract in machine.h. Whoever knows the PathID can make us keep a few kilobytes for as long as the contact lasts. */
bool contact_hold(struct peer *peer, const struct route *route, const uint8_t *bytes, size_t size)
{
	struct contact *contact = &peer->awake->contact;
	struct reader r = reader_over(bytes, size);
	struct header header;

	if (!contact->used || !contact->initiating || size > OVERTAKING_SIZE || header_decode(&r, &header) != OK ||
	    header.path_id != contact->path_id)
		return false;
	if (!contact->early)
		contact->early = mem_alloc(1, sizeof *contact->early);
	if (contact->early->count == OVERTAKING_MAX)
		return false;
	contact->early->list[contact->early->count].route = *route;
	contact->early->list[contact->early->count].size = (uint16_t)size;
	memcpy(contact->early->list[contact->early->count++].bytes, bytes, size);
	return true;
}

/* To one candidate address, from the address the kernel would use. */
static void send_to(struct node *node, struct time_us now, const struct addr *remote, const uint8_t *bytes, size_t size)
{
	struct route route;

	if (node_route_to_candidate(node, remote, &route))
		(void)outbox_put(&node->outbox, now, &route, bytes, size);
}

/* Everywhere the peer may be: nobody is made to send there more than PROBES_PER_CANDIDATE of a kind (T26), the relay
 * always. */
static void send_everywhere(struct node *node, struct peer *peer, struct time_us now, uint8_t tries,
			    const uint8_t *bytes, size_t size)
{
	struct contact *contact = &peer->awake->contact;
	bool is_direct_due = tries < PROBES_PER_CANDIDATE;
	struct route route;

	if (is_direct_due && addr_is_set(&peer->observed))
		send_to(node, now, &peer->observed, bytes, size);
	for (int i = 0; is_direct_due && i < peer->candidates.count; i++)
		if (!addr_equal(&peer->candidates.list[i], &peer->observed))
			send_to(node, now, &peer->candidates.list[i], bytes, size);
	if (contact->has_relay && leg_is_bound(&contact->leg) && peer_relay_route(node, &contact->leg, &route))
		(void)outbox_put(&node->outbox, now, &route, bytes, size);
}

/* Small packets that open the NATs between the larger, rarer requests. */
static void send_probe(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
		       uint8_t flags)
{
	struct contact *contact = &peer->awake->contact;
	uint8_t bytes[HOLE_PUNCHING_SIZE];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct hole_punching probe = {.path_id = contact->path_id, .counter = ++contact->probe_number, .flags = flags};
	size_t size;

	random_fill(&node->env.random, probe.nonce, sizeof probe.nonce);
	hole_punching_encode(&probe, &w);
	if (writer_finish(&w, &size) != OK)
		return;
	mac(contact->nego_key, bytes, HOLE_PUNCHING_SIZE - MAC_SIZE, bytes + HOLE_PUNCHING_SIZE - MAC_SIZE);
	if (route)
		(void)outbox_put(&node->outbox, now, route, bytes, size);
	else
		send_everywhere(node, peer, now, 0, bytes, size); /* counted by probes_left */
}

static void run_contact_leg(struct node *node, struct peer *peer, struct time_us now)
{
	struct contact *contact = &peer->awake->contact;
	uint8_t bytes[LEG_DATAGRAM_MAX];
	struct route route;
	size_t size;

	while (leg_output(&contact->leg, now, bytes, &size))
		if (peer_relay_route(node, &contact->leg, &route))
			(void)outbox_put(&node->outbox, now, &route, bytes, size);
	if (leg_is_bound(&contact->leg) && !contact->leg_was_bound) {
		contact->leg_was_bound = true;
		/* Now the relay carries the request: do not wait for the next repetition. */
		if (contact->initiating && peer_relay_route(node, &contact->leg, &route))
			(void)outbox_put(&node->outbox, now, &route, contact->attempt->request,
					 contact->attempt->request_size);
	}
}

/* Gives up after CONTACT_TRIES_US: then the peer is unreachable until asked for again. */
void contact_run(struct node *node, struct peer *peer, struct time_us now)
{
	struct contact *contact = &peer->awake->contact;

	if (!contact->used)
		return;
	if (time_since(now, contact->started) >= CONTACT_TRIES_US) {
		contact_stop(node, peer);
		if (!peer->session)
			peer_set_state(node, peer, now, NODE_PEER_UNREACHABLE, REASON_NONE);
		return;
	}
	if (time_reached(now, contact->prepare_at))
		prepare(node, peer);
	if (contact->has_relay)
		run_contact_leg(node, peer, now);
	if (time_reached(now, contact->next_try) && (contact->initiating || begin_request(node, peer) == OK)) {
		send_everywhere(node, peer, now, contact->tries, contact->attempt->request,
				contact->attempt->request_size);
		contact->tries += contact->tries < UINT8_MAX;
		contact->next_try = time_add(now, contact->interval_us);
		contact->interval_us = contact->interval_us * 2 > HANDSHAKE_RETRY_MAX_US ? HANDSHAKE_RETRY_MAX_US
											 : contact->interval_us * 2;
	}
	if (contact->probes_left > 0 && time_reached(now, contact->next_probe)) {
		contact->probes_left--;
		contact->next_probe = time_add(now, PROBE_INTERVAL_US);
		send_probe(node, peer, now, NULL, 0);
	}
}

/* Also the deadline of giving up. */
struct time_us contact_deadline(const struct peer *peer)
{
	const struct contact *contact = &peer->awake->contact;
	struct time_us at;

	if (!contact->used)
		return TIME_NEVER;
	at = time_min(time_add(contact->started, CONTACT_TRIES_US), contact->next_try);
	at = time_min(at, contact->prepare_at);
	if (contact->probes_left > 0)
		at = time_min(at, contact->next_probe);
	return contact->has_relay ? time_min(at, leg_deadline(&contact->leg)) : at;
}

/* The relay that this tunnel was directed with becomes one of its paths. */
static void adopt_leg(struct node *node, struct peer *peer, struct time_us now)
{
	struct contact *contact = &peer->awake->contact;
	struct route route;
	struct path *path;

	leg_finish(&peer->leg);
	relay_forget_beside(peer);
	relay_heard(node, peer);
	peer->relay_cause = contact->relay_cause;
	peer->has_relay = contact->has_relay;
	peer->leg = contact->leg;
	peer->leg_was_bound = contact->has_relay && leg_is_bound(&contact->leg);
	memcpy(peer->relay_name, contact->relay_name, sizeof peer->relay_name);
	if (!peer->has_relay || !peer_relay_route(node, &peer->leg, &route))
		return;
	path = path_add(node, peer, now, PATH_RELAY, &route);
	if (path && leg_is_bound(&peer->leg))
		path_set_valid(node, peer, path, now, -1);
}

/* What was padded onto the request beyond the answer and one challenge may go back as data. */
static void start_on_unvalidated(struct node *node, struct peer *peer, struct time_us now, struct path *path,
				 size_t credit)
{
	peer->burst_left = credit;
	path_challenge(node, peer, path, now);
	if (peer->active >= 0)
		return; /* the relay is there already */
	peer->active = (int)(path - peer->awake->paths);
	peer->route_tag++;
	node_emit_selected(node, peer, path, CAUSE_FIRST);
	waiting_release(node, peer, now);
}

/* The handshake has ended: the session replaces an older one, and every candidate is probed under the new keys. */
static void establish(struct node *node, struct peer *peer, struct time_us now, bool is_initiator,
		      const struct session_keys *keys, const struct tunnel_hello *hello, const struct route *route,
		      size_t credit)
{
	struct contact *contact = &peer->awake->contact;
	struct session *old = peer->session;
	bool by_relay = false;
	struct path *path;

	for (int i = 0; contact->has_relay && i < contact->leg.addresses.count; i++)
		by_relay |= addr_equal(&contact->leg.addresses.list[i], &route->remote);
	punch_stop(node, peer);
	peer_forget_paths(peer);
	peer->awake->rekeying = (struct rekeying){0};
	peer_forget_requests(peer);
	outbox_forget(&node->outbox, &peer->awake->sending); /* sealed under keys that are gone */
	peer->session = session_create(node->aead, contact->suite, is_initiator, contact->path_id, keys, now);
	peer->move_epoch = hello->move_epoch;
	peer->rest.is_agreed = hello->features & FEATURE_REST;
	if (old) {
		map_remove(&node->by_path_id, session_path_id(old));
		session_destroy(old);
	}
	node->counters.handshakes++;
	if (is_initiator && contact->attempt->early_size > 0)
		waiting_forget(node, contact->attempt->early, contact->attempt->early_size);
	adopt_leg(node, peer, now);
	contact_stop(node, peer);
	path = by_relay ? path_find(peer, route) : path_add(node, peer, now, PATH_DIRECT, route);
	peer_set_state(node, peer, now, NODE_PEER_UP, REASON_NONE);
	peer_plan(node, peer, now);
	path_add_all(node, peer, now);
	if (!path)
		return;
	/*
	 * An answered request proves its way. A request does not, it may have been forwarded by a stranger: until a
	 * challenge is answered no more goes back than came (E5), which is enough for what opens a connection.
	 */
	if (is_initiator || by_relay)
		path_set_valid(node, peer, path, now, -1);
	else
		start_on_unvalidated(node, peer, now, path, credit);
}

/* The same first message gets the same answer to wherever it came from. It is hashed only when it may be that one. */
static bool answer_again(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			 uint64_t path_id, struct blob request)
{
	const struct answered *answered = &peer->awake->answered;
	uint8_t digest[HASH_SIZE];

	if (!answered->response || answered->path_id != path_id)
		return false;
	hash(request.data, request.size, digest);
	if (memcmp(answered->request_hash, digest, sizeof digest) != 0)
		return false;
	(void)outbox_put(&node->outbox, now, route, answered->response, answered->response_size);
	return true;
}

/* Nobody will ask for it again, or another one takes its place. */
void contact_forget_answer(struct peer *peer)
{
	mem_free(peer->awake->answered.response);
	peer->awake->answered = (struct answered){0};
}

static void keep_answer(struct peer *peer, uint64_t path_id, struct blob request, struct blob response)
{
	contact_forget_answer(peer);
	peer->awake->answered.path_id = path_id;
	hash(request.data, request.size, peer->awake->answered.request_hash);
	peer->awake->answered.response = mem_alloc(1, response.size);
	peer->awake->answered.response_size = response.size;
	memcpy(peer->awake->answered.response, response.data, response.size);
}

/* What a request gave. */
struct accepted {
	struct session_keys keys;
	struct tunnel_hello hello; /* without its data, which is `early` */
	size_t early_size, response_size;
	uint8_t early[EARLY_MAX], response[MESSAGE_MAX];
};

/* Runs the responder's half. */
static enum err answer_request(struct node *node, struct peer *peer, const uint8_t *bytes, size_t size,
			       struct accepted *ret)
{
	struct contact *contact = &peer->awake->contact;
	uint8_t payload[MESSAGE_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct tunnel_hello hello;
	struct handshake h;
	struct handshake_setup setup = {
		.local_static = &node->static_keys,
		.psk = contact->temp_key,
		.mac1_key = mac1_key,
		.type = PACKET_TUNNEL_RESPONSE,
		.path_id = contact->path_id,
	};
	size_t payload_size;
	enum err err;

	use_prepared(node, peer, &setup, seed);
	err = handshake_accept(&h, &setup, bytes, size, payload, &payload_size);

	if (err == OK && memcmp(h.remote_static, peer->identity->static_key, KEY_SIZE) != 0)
		err = ERR_AUTH;
	if (err == OK)
		err = read_hello(payload, payload_size, MESSAGE_TUNNEL_REQUEST, &hello);
	if (err == OK) {
		ret->hello = hello;
		ret->hello.data = (struct blob){0};
		ret->early_size = hello.data.size;
		memcpy(ret->early, hello.data.data ? hello.data.data : payload, hello.data.size);
		err = write_hello(node, MESSAGE_TUNNEL_RESPONSE, 0, (struct blob){0}, payload, &payload_size);
	}
	if (err == OK) {
		handshake_mac1_key(peer->identity->static_key, contact->nego_key, mac1_key);
		err = handshake_answer(&h, &setup, (struct blob){payload, payload_size}, ret->response,
				       &ret->response_size, &ret->keys);
		forget_prepared(contact);
	}
	wipe(seed, sizeof seed);
	wipe(&h, sizeof h);
	return err;
}

/* Tunnel Request. Ours goes on when it wins the collision: the other end will answer it. */
void contact_request_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			      const uint8_t *bytes, size_t size)
{
	struct contact *contact = &peer->awake->contact;
	struct accepted accepted;
	struct reader r = reader_over(bytes, size);
	size_t went;
	struct header header;

	if (header_decode(&r, &header) != OK ||
	    answer_again(node, peer, now, route, header.path_id, (struct blob){bytes, size}))
		return;
	if (!contact->used || contact->path_id != header.path_id ||
	    handshake_mac1_check(bytes, size, contact->own_mac1_key) != OK) {
		node->counters.dropped_stranger++;
		return;
	}
	if (contact->initiating && own_request_wins(node, peer)) {
		/* It got through from there: ours will get through to there. */
		(void)outbox_put(&node->outbox, now, route, contact->attempt->request, contact->attempt->request_size);
		return;
	}
	if (answer_request(node, peer, bytes, size, &accepted) != OK) {
		node->counters.dropped_auth++;
		return;
	}
	keep_answer(peer, header.path_id, (struct blob){bytes, size},
		    (struct blob){accepted.response, accepted.response_size});
	(void)outbox_put(&node->outbox, now, route, accepted.response, accepted.response_size);
	went = accepted.response_size + CHALLENGE_DATAGRAM_SIZE + OVERHEAD_SIZE;
	establish(node, peer, now, false, &accepted.keys, &accepted.hello, route, size > went ? size - went : 0);
	inbound_early(node, peer, now, (struct blob){accepted.early, accepted.early_size});
	wipe(&accepted, sizeof accepted);
}

/* Tunnel Response. */
void contact_response_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			       const uint8_t *bytes, size_t size)
{
	struct contact *contact = &peer->awake->contact;
	struct overtaking *early;
	struct session_keys keys;
	struct tunnel_hello hello;
	uint8_t payload[MESSAGE_MAX];
	size_t payload_size;

	if (!contact->used || !contact->initiating || handshake_mac1_check(bytes, size, contact->own_mac1_key) != OK) {
		if (peer->session &&
		    path_find(peer,
			      route)) /* the copy that took the longer way: proof of that way is left to challenges */
			return;
		node->counters.dropped_stranger++;
		return;
	}
	if (handshake_finish(&contact->attempt->handshake, &node->static_keys, bytes, size, payload, &payload_size,
			     &keys) != OK ||
	    read_hello(payload, payload_size, MESSAGE_TUNNEL_RESPONSE, &hello) != OK) {
		node->counters.dropped_auth++;
		return;
	}
	early = contact->early;
	contact->early = NULL;
	establish(node, peer, now, true, &keys, &hello, route, 0);
	wipe(&keys, sizeof keys);
	for (int i = 0; early && i < early->count; i++)
		inbound_held(node, now, &early->list[i].route, early->list[i].bytes, early->list[i].size);
	mem_free(early);
}

/* Hole Punching: an authentic one tells where the peer's packets come from; one answer each, no larger. */
void contact_probe_received(struct node *node, struct peer *peer, struct time_us now, const struct route *route,
			    const uint8_t *bytes, size_t size)
{
	struct contact *contact = &peer->awake->contact;
	struct reader r = reader_over(bytes, size);
	struct hole_punching probe;
	uint8_t expected[MAC_SIZE];

	if (!contact->used)
		return; /* the session's own challenges have taken over */
	if (size != HOLE_PUNCHING_SIZE || hole_punching_decode(&r, &probe) != OK || probe.path_id != contact->path_id)
		goto stranger;
	mac(contact->nego_key, bytes, HOLE_PUNCHING_SIZE - MAC_SIZE, expected);
	if (!equal_secret(expected, probe.mac, MAC_SIZE))
		goto stranger;
	if (!(probe.flags & HOLE_PUNCHING_ANSWER))
		send_probe(node, peer, now, route, HOLE_PUNCHING_ANSWER);
	return;
stranger:
	node->counters.dropped_stranger++;
}
