/* A try to get through hard NATs: when it begins, what is learned and told, its sockets, how it ends. */
#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"

enum { BACK_OFF_MAX = 6, QUICK_TRIES = 3 };
#define SETTLE_US (500 * USEC_PER_MSEC) /* after a move: the coordinator has to see it, and plain ways come first */
#define DATA_PATIENCE_US (3 * USEC_PER_SEC)
#define ASK_PATIENCE_US (300 * USEC_PER_MSEC) /* beyond twice the RTT to the coordinator */
#define OPEN_PATIENCE_US (1 * USEC_PER_SEC)
#define WAIT_PATIENCE_US (4 * USEC_PER_SEC) /* for the peer's own measurements */
#define ANSWER_PAUSE_US (2 * USEC_PER_SEC)
#define BACK_OFF_US (60 * USEC_PER_SEC)
#define QUICK_US (3 * USEC_PER_SEC)

static void plan(struct node *node, struct time_us at)
{
	node->punch.next = at;
	node_plan(node, at);
}

static void close_port(struct punch *p, uint16_t port)
{
	if (p->closing_count < sizeof p->closing / sizeof p->closing[0])
		p->closing[p->closing_count++] = port;
}

static struct path *path_from(struct peer *peer, uint16_t port)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].route.local.port == port)
			return &peer->awake->paths[i];
	return NULL;
}

static struct punch_kept *free_kept(struct punch *p)
{
	for (int i = 0; i < PUNCH_KEPT_MAX; i++)
		if (p->kept[i].port == 0)
			return &p->kept[i];
	return NULL;
}

/* What led nowhere is closed. Returns whether it is kept. */
static bool release_socket(struct node *node, struct peer *peer, uint16_t port)
{
	struct punch *p = &node->punch;
	struct punch_kept *kept = free_kept(p);
	struct path *path;

	while ((path = path_from(peer, port)) && (!path->valid || !kept))
		path_drop(node, peer, path, node->now);
	if (path)
		*kept = (struct punch_kept){port, peer};
	else
		close_port(p, port);
	return path != NULL;
}

/* Only what was found stays. */
static void end_try(struct node *node, enum punch_state state)
{
	struct punch *p = &node->punch;
	struct peer *peer = p->peer;
	struct punch_record *record = &peer->punch;
	struct request asked;
	uint32_t kept = 0;

	for (int i = 0; i < p->socket_count; i++)
		kept += release_socket(node, peer, p->sockets[i]);
	(void)request_done(peer->requests, p->transaction, &asked);
	record->status.state = state;
	record->status.sockets = kept;
	node->counters.punches_found += state == PUNCH_STATE_FOUND;
	if (p->sent > PUNCH_SOCKETS_MAX)
		link_ask(node, node->now); /* a NAT may have forgotten the coordinator over so many others */
	p->stage = PUNCH_IDLE;
	p->peer = NULL;
	p->socket_count = p->wanted = 0;
	p->is_opening = p->has_theirs = false;
	wipe(p->key_in, sizeof p->key_in);
	wipe(p->key_out, sizeof p->key_out);
}

/* Ever more rarely. A guess may be wrong because a neighbour opened a connection meanwhile: then soon again. */
void punch_end(struct node *node, struct time_us now, enum punch_state state)
{
	struct punch_record *record = &node->punch.peer->punch;
	bool is_sure = record->status.own != MAPPING_RANDOM && record->status.theirs != MAPPING_RANDOM;
	bool is_quick = record->tries < QUICK_TRIES &&
			(state == PUNCH_STATE_SILENT || (state == PUNCH_STATE_FAILED && is_sure));
	int shift = record->tries < BACK_OFF_MAX ? record->tries : BACK_OFF_MAX;

	record->tries = state == PUNCH_STATE_FOUND ? 0 : record->tries;
	record->next = time_add(now, is_quick ? QUICK_US : BACK_OFF_US << (shift > 0 ? shift - 1 : 0));
	end_try(node, state);
}

/* Contract in the header. */
void punch_stop(struct node *node, const struct peer *peer)
{
	if (node->punch.peer && (!peer || node->punch.peer == peer))
		end_try(node, PUNCH_STATE_NONE);
}

/* Contract in the header. */
void punch_forget(struct node *node, const struct peer *peer)
{
	punch_stop(node, peer);
	for (int i = 0; i < PUNCH_KEPT_MAX; i++)
		if (node->punch.kept[i].port && node->punch.kept[i].peer == peer) {
			close_port(&node->punch, node->punch.kept[i].port);
			node->punch.kept[i] = (struct punch_kept){0};
		}
}

/* Ports whose path has gone. */
static void sweep(struct node *node)
{
	for (int i = 0; i < PUNCH_KEPT_MAX; i++) {
		struct punch_kept *kept = &node->punch.kept[i];

		if (kept->port == 0 || path_from(kept->peer, kept->port))
			continue;
		close_port(&node->punch, kept->port);
		*kept = (struct punch_kept){0};
	}
}

/* Data flows by relay, and no direct address answers or is still being asked. */
static bool is_stuck(const struct peer *peer, struct time_us now)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;

	if (!peer->session || peer->awake->contact.used || peer->awake->moving.active || !active ||
	    active->kind != PATH_RELAY || !active->valid || time_since(now, peer->last_data) > DATA_PATIENCE_US)
		return false;
	for (int i = 0; i < NODE_PATHS_MAX; i++)
		if (peer->awake->paths[i].used && peer->awake->paths[i].kind == PATH_DIRECT &&
		    (peer->awake->paths[i].valid || peer->awake->paths[i].probes_left > 0))
			return false;
	return true;
}

/* Only where the coordinator itself has seen the peer: whoever says anything else may mean somebody else (T26). */
static bool has_target(const struct node *node, const struct peer *peer)
{
	const struct ip *ip = &peer->registered.ip;

	if (ip->family != 4 || node->best_local[0] < 0 || ip_is_private(ip) || !addr_is_probeable(&peer->registered) ||
	    node_is_virtual(node, ip) || ip_equal(ip, &node->link.observed.ip))
		return false;
	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(ip, &node->locals[i].ip) || ip_equal(ip, &node->local_states[i].seen.ip))
			return false;
	return true;
}

/* Networks that nothing was tried between. */
static bool is_new(const struct node *node, const struct peer *peer)
{
	const struct punch_record *record = &peer->punch;

	return !record->is_known || record->own_epoch != node->move_epoch || record->peer_epoch != peer->move_epoch ||
	       !ip_equal(&record->registered.ip, &peer->registered.ip);
}

static void note_networks(const struct node *node, struct peer *peer)
{
	struct punch_record *record = &peer->punch;

	*record = (struct punch_record){
		.own_epoch = node->move_epoch,
		.peer_epoch = peer->move_epoch,
		.registered = peer->registered,
		.is_known = true,
		.status = {.tries = record->status.tries, .knocks = record->status.knocks},
	};
}

static bool ask(struct node *node, struct time_us now, struct punch_ask *one)
{
	if (!spare_ask(node, now, &one->route, 0))
		return false;
	one->transaction = node->transaction;
	rhythm_spoke(node, now, &one->route.local.ip);
	return true;
}

static struct time_us ask_deadline(const struct node *node, struct time_us now)
{
	return time_add(now, ASK_PATIENCE_US + (node->link.rtt_us > 0 ? 2 * node->link.rtt_us : 0));
}

/* The coordinator answers at its port and, where it could have that, at a second one. */
static bool begin(struct node *node, struct peer *peer, struct time_us now, uint32_t transaction)
{
	struct punch *p = &node->punch;
	struct route route;

	if (!node->link.session || !node->link.up || !free_kept(p) ||
	    !spare_route(node, (size_t)node->best_local[0], &route))
		return false;
	p->stage = PUNCH_ASKING;
	p->peer = peer;
	p->transaction = transaction;
	p->started = now;
	p->target = peer->registered.ip;
	p->has_asked_again = p->has_theirs = false;
	p->own = p->theirs = (struct mapping){0};
	p->sent = p->total = 0;
	p->number = 0;
	p->hits = 0;
	random_fill(&node->env.random, p->key_in, sizeof p->key_in);
	p->ask_count = PUNCH_ASKS;
	for (int i = 0; i < PUNCH_ASKS; i++) {
		p->asks[i] = (struct punch_ask){.route = route};
		if (i > 0)
			p->asks[i].route.remote.port = punch_second_port(route.remote.port);
		(void)ask(node, now, &p->asks[i]);
	}
	peer->punch.tries += peer->punch.tries < UINT8_MAX;
	peer->punch.status.tries++;
	peer->punch.status.state = PUNCH_STATE_TRYING;
	peer->punch.status.own = peer->punch.status.theirs = MAPPING_UNKNOWN;
	node->counters.punches++;
	plan(node, ask_deadline(node, now));
	return true;
}

/* Contract in the header. The end with the lower NodeID begins: both see that they are stuck. */
void punch_consider(struct node *node, struct peer *peer, struct time_us now)
{
	struct punch_record *record = &peer->punch;

	if (!is_stuck(peer, now) || node->punch.peer)
		return;
	if (is_new(node, peer)) {
		note_networks(node, peer);
		record->next = time_add(now, SETTLE_US);
		peer_plan(node, peer, record->next);
	}
	if (!time_reached(now, record->next))
		return;
	if (!has_target(node, peer)) {
		record->status.state = PUNCH_STATE_NO_TARGET;
		record->next = time_add(now, DATA_PATIENCE_US);
		return;
	}
	if (node_id_compare(&node->certificate.id, &peer->id) >= 0 || begin(node, peer, now, ++node->transaction))
		return;
	record->next = time_add(now, DATA_PATIENCE_US);
}

static size_t write_own(struct node *node, uint8_t ret[CONTROL_MAX])
{
	const struct punch *p = &node->punch;
	struct writer w = writer_over(ret, CONTROL_MAX);
	struct punch_message message = {.kind = p->own.kind, .port_count = p->own.port_count};
	size_t size = 0;

	memcpy(message.key, p->key_in, KEY_SIZE);
	memcpy(message.ports, p->own.ports, sizeof message.ports);
	message_header_encode(MESSAGE_PUNCH, p->transaction, &w);
	punch_message_encode(&message, &w);
	if (writer_finish(&w, &size) != OK)
		size = 0;
	wipe(&message, sizeof message);
	return size;
}

/* What our NAT does is known now, as far as it can be. */
static void tell(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	struct peer *peer = p->peer;
	uint8_t plaintext[CONTROL_MAX];
	size_t size = write_own(node, plaintext);

	peer->punch.status.own = p->own.kind;
	if (p->has_theirs || p->own.kind == MAPPING_UNKNOWN) {
		peer_send(node, peer, now, NULL, (struct blob){plaintext, size});
		knock_begin(node, now);
	} else {
		p->stage = PUNCH_WAITING;
		peer_request(node, peer, now, MESSAGE_PUNCH, p->transaction, (struct blob){plaintext, size});
		plan(node, time_add(now, WAIT_PATIENCE_US));
	}
	wipe(plaintext, sizeof plaintext);
}

/* Another port for another destination? The relay counts where it is another destination. */
static bool judge_own(const struct node *node, uint8_t *ret_kind)
{
	const struct punch *p = &node->punch;
	const struct leg *leg = &p->peer->leg;
	const struct addr *first = &p->asks[0].seen, *second = &p->asks[1].seen;
	bool has_relay =
		p->peer->has_relay && addr_is_set(&leg->seen) && !addr_equal(leg_relay(leg), &p->asks[0].route.remote);

	*ret_kind = MAPPING_UNKNOWN;
	if (!addr_is_set(first) || (!has_relay && !addr_is_set(second)))
		return false;
	*ret_kind = MAPPING_STEADY;
	if ((has_relay && !addr_equal(&leg->seen, first)) || (addr_is_set(second) && !addr_equal(second, first)))
		*ret_kind = MAPPING_GUESSABLE; /* or random: to be measured */
	return has_relay || addr_is_set(second);
}

static void judge(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	uint8_t kind;

	(void)judge_own(node, &kind);
	p->own = (struct mapping){.kind = kind};
	if (kind == MAPPING_STEADY) {
		p->own.port_count = 1;
		p->own.ports[0] = p->asks[0].seen.port;
	}
	if (kind != MAPPING_GUESSABLE) {
		tell(node, now);
		return;
	}
	p->own.kind = MAPPING_UNKNOWN;
	p->stage = PUNCH_MEASURING;
	p->has_asked_again = false;
	p->ask_count = 0;
	p->wanted = PUNCH_MEASURES + PUNCH_PORTS_MAX;
	p->is_opening = true;
	plan(node, time_add(now, OPEN_PATIENCE_US));
}

static bool all_answered(const struct punch *p)
{
	bool all = p->ask_count > 0;

	for (int i = 0; i < p->ask_count; i++)
		all &= addr_is_set(&p->asks[i].seen);
	return all;
}

/* New sockets were seen one after the other. */
static void judge_measures(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	uint16_t locals[PUNCH_MEASURES], seen[PUNCH_MEASURES];

	for (int i = 0; i < PUNCH_MEASURES; i++) {
		locals[i] = p->asks[i].route.local.port;
		seen[i] = p->asks[i].seen.port;
	}
	mapping_guess(locals, seen, PUNCH_MEASURES, p->sockets + PUNCH_MEASURES,
		      (size_t)(p->socket_count - PUNCH_MEASURES), &p->own);
	tell(node, now);
}

/* What is seen there is not where the coordinator finds us. */
static bool is_second_port(const struct node *node, const struct addr *remote)
{
	const struct server_addresses *addresses = &node->coordinator->addresses;

	for (int i = 0; i < addresses->count; i++)
		if (ip_equal(&addresses->list[i].ip, &remote->ip) &&
		    punch_second_port(addresses->list[i].port) == remote->port)
			return true;
	return false;
}

/* Contract in the header. Late answers are nobody else's either. */
bool punch_answered(struct node *node, struct time_us now, const struct route *route, uint32_t transaction,
		    const struct addr *seen)
{
	struct punch *p = &node->punch;
	bool is_ours = route->local.port != node->listen_port || is_second_port(node, &route->remote);
	uint8_t kind;

	for (int i = 0; p->peer && i < p->ask_count; i++)
		if (p->asks[i].transaction == transaction) {
			p->asks[i].seen = *seen;
			is_ours = true;
		}
	if (is_ours)
		node_proved_on(node, now, &route->local.ip);
	if (!is_ours || !p->peer)
		return is_ours;
	if (p->stage == PUNCH_ASKING && judge_own(node, &kind))
		judge(node, now);
	else if (p->stage == PUNCH_MEASURING && all_answered(p))
		judge_measures(node, now);
	return true;
}

/* From each of the first ones to the coordinator, in their order. */
static void measure(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;
	struct route route = p->asks[0].route;

	if (p->socket_count <= PUNCH_MEASURES) {
		tell(node, now); /* nothing can be learned: they stay unknown */
		return;
	}
	p->ask_count = PUNCH_MEASURES;
	for (int i = 0; i < PUNCH_MEASURES; i++) {
		p->asks[i] = (struct punch_ask){.route = route};
		p->asks[i].route.local.port = p->sockets[i];
		(void)ask(node, now, &p->asks[i]);
	}
	plan(node, ask_deadline(node, now));
}

/* What nobody waits for any more is closed again. */
void node_input_ports(struct node *node, struct time_us now, const uint16_t *ports, size_t count)
{
	struct punch *p = &node->punch;
	bool is_wanted = p->peer && p->is_opening && p->wanted == 0;

	node_enter(node, now);
	for (size_t i = 0; i < count; i++)
		if (is_wanted && p->socket_count < PUNCH_SOCKETS_MAX)
			p->sockets[p->socket_count++] = ports[i];
		else
			close_port(p, ports[i]);
	node->counters.punch_sockets += count;
	if (!is_wanted)
		return;
	p->is_opening = false;
	p->peer->punch.status.sockets = p->socket_count;
	if (p->stage == PUNCH_MEASURING)
		measure(node, node->now);
}

/* Contract in node.h. */
bool node_next_ports(struct node *node, struct node_ports *ret)
{
	struct punch *p = &node->punch;

	*ret = (struct node_ports){.open = p->wanted};
	p->wanted = 0;
	if (p->closing_count > 0)
		ret->close = p->closing[--p->closing_count];
	return ret->open > 0 || ret->close > 0;
}

static void take_theirs(struct punch *p, const struct punch_message *message)
{
	p->has_theirs = true;
	p->theirs = (struct mapping){.kind = message->kind, .port_count = message->port_count};
	memcpy(p->theirs.ports, message->ports, sizeof p->theirs.ports);
	memcpy(p->key_out, message->key, KEY_SIZE);
	p->peer->punch.status.theirs = message->kind;
}

/* The other end has begun. Not more often than it should, whatever it says. */
static void begin_answer(struct node *node, struct peer *peer, struct time_us now, uint32_t transaction,
			 const struct punch_message *message)
{
	struct punch_record *record = &peer->punch;

	if (node->punch.peer || node_id_compare(&node->certificate.id, &peer->id) <= 0)
		return;
	if (is_new(node, peer))
		note_networks(node, peer);
	if (record->answered.us > 0 && time_since(now, record->answered) < ANSWER_PAUSE_US)
		return;
	if (!has_target(node, peer)) {
		record->status.state = PUNCH_STATE_NO_TARGET;
		return;
	}
	if (!time_reached(now, record->next) && record->tries >= QUICK_TRIES)
		return;
	record->answered = now;
	if (message->kind == MAPPING_UNKNOWN)
		record->status =
			(struct node_punch_status){.state = PUNCH_STATE_BLIND, .tries = record->status.tries + 1};
	else if (begin(node, peer, now, transaction))
		take_theirs(&node->punch, message);
}

/* Contract in the header. */
void punch_received(struct node *node, struct peer *peer, struct time_us now, uint32_t transaction,
		    const struct punch_message *message)
{
	struct punch *p = &node->punch;
	uint8_t plaintext[CONTROL_MAX];
	struct request asked;

	if (p->peer != peer || p->transaction != transaction) {
		begin_answer(node, peer, now, transaction, message);
		return;
	}
	if (p->stage == PUNCH_WAITING) {
		(void)request_done(peer->requests, transaction, &asked);
		take_theirs(p, message);
		knock_begin(node, now);
	} else if (p->stage == PUNCH_KNOCKING && node_id_compare(&node->certificate.id, &peer->id) > 0) {
		peer_send(node, peer, now, NULL, (struct blob){plaintext, write_own(node, plaintext)});
		wipe(plaintext, sizeof plaintext);
	}
}

/* Unanswered questions once more; then what is known has to do. */
static void run_asks(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;

	if (p->has_asked_again || p->ask_count == 0) {
		if (p->stage == PUNCH_ASKING)
			judge(node, now);
		else
			tell(node, now);
		return;
	}
	p->has_asked_again = true;
	for (int i = 0; i < p->ask_count; i++)
		if (!addr_is_set(&p->asks[i].seen))
			(void)ask(node, now, &p->asks[i]);
	plan(node, ask_deadline(node, now));
}

/* Contract in the header. */
void punch_run(struct node *node, struct time_us now)
{
	struct punch *p = &node->punch;

	sweep(node);
	if (!p->peer)
		return;
	if (p->stage == PUNCH_KNOCKING || p->stage == PUNCH_SETTLING)
		knock_run(node, now);
	else if (time_reached(now, p->next)) {
		if (p->stage == PUNCH_WAITING)
			punch_end(node, now, PUNCH_STATE_SILENT);
		else
			run_asks(node, now);
	}
	if (p->peer)
		node_plan(node, p->next);
}
