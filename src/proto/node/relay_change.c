/*
 * relay_change.c: another relay for a tunnel that lives: make before break. The new leg is bound beside the old one,
 * carries data once the peer has answered through it (at once where the old way is in doubt), and the old one goes when
 * it is quiet. And the other way round: a relay that does not answer its Bind is reported, so that another one is
 * given.
 */
#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"

#define BESIDE_US (10 * USEC_PER_SEC) /* a new relay that has not worked by then never will */
#define QUIET_US (2 * USEC_PER_SEC)   /* the old one goes when nothing has come by it for so long */
#define COMPLAIN_AGAIN_US (1 * USEC_PER_SEC)
enum { COMPLAINTS_MAX = 6 };		   /* that make the pause longer */
#define ASK_SPACING_US (2 * USEC_PER_MSEC) /* between legs that are asked about for no reason of their own */
#define PATIENCE_MIN_US (40 * USEC_PER_MSEC)
#define PATIENCE_WARM_US (700 * USEC_PER_MSEC) /* nothing depends on it now: three Binds */

static bool is_of(const struct leg *leg, const struct addr *remote)
{
	for (int i = 0; i < leg->addresses.count; i++)
		if (addr_equal(&leg->addresses.list[i], remote))
			return true;
	return false;
}

/* Answers are welcome from any address of either relay. */
bool peer_is_relay(const struct peer *peer, const struct addr *remote)
{
	return (peer->has_relay && is_of(&peer->leg, remote)) ||
	       (peer->awake && peer->awake->beside.used && is_of(&peer->awake->beside.leg, remote));
}

/* Does our network document list it? What comes from there is no peer's own address. */
bool relay_is_listed(const struct node *node, const struct addr *remote)
{
	for (uint8_t i = 0; i < node->network->relay_count; i++)
		for (uint8_t k = 0; k < node->network->relays[i].addresses.count; k++)
			if (addr_equal(&node->network->relays[i].addresses.list[k], remote))
				return true;
	return false;
}

/* Of the relay at that address. */
const char *relay_name_at(const struct peer *peer, const struct addr *remote)
{
	return peer->awake && peer->awake->beside.used && is_of(&peer->awake->beside.leg, remote)
		       ? peer->awake->beside.name
		       : peer->relay_name;
}

/* Contract in machine.h. */
bool relay_knows_us(const struct peer *peer, const struct path *path)
{
	if (path->kind != PATH_RELAY)
		return false;
	return peer->awake->beside.used && is_of(&peer->awake->beside.leg, &path->route.remote)
		       ? peer->awake->beside.was_bound
		       : peer->leg_was_bound;
}

/* Contract in machine.h. */
bool relay_is_superseded(const struct peer *peer, const struct path *path)
{
	return path->kind == PATH_RELAY && peer->awake->beside.used &&
	       is_of(peer->awake->beside.is_newer ? &peer->leg : &peer->awake->beside.leg, &path->route.remote);
}

/* Whatever path there is of that leg. */
static void drop_paths(struct node *node, struct peer *peer, struct time_us now, const struct leg *leg)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		struct path *path = &peer->awake->paths[i];

		if (path->used && path->kind == PATH_RELAY && is_of(leg, &path->route.remote))
			path_drop(node, peer, path, now);
	}
}

/* The secret goes with it. */
void relay_forget_beside(struct peer *peer)
{
	wipe(&peer->awake->beside, sizeof peer->awake->beside);
}

static void end_beside(struct node *node, struct peer *peer, struct time_us now)
{
	struct leg leg = peer->awake->beside.leg;

	if (!peer->awake->beside.used)
		return;
	relay_forget_beside(peer);
	drop_paths(node, peer, now, &leg);
	leg_finish(&leg);
}

static bool carries_data(const struct peer *peer, const struct leg *leg)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;

	return active && active->kind == PATH_RELAY && is_of(leg, &active->route.remote);
}

/* The relay that took over has failed, and the one before has taken the data back. */
static void return_to_older(struct node *node, struct peer *peer, struct time_us now)
{
	struct relay_beside *beside = &peer->awake->beside;
	struct leg failed = peer->leg;

	peer->leg = beside->leg;
	peer->leg_was_bound = beside->was_bound;
	memcpy(peer->relay_name, beside->name, sizeof peer->relay_name);
	peer->relay_cause = RELAY_CAUSE_SILENT;
	relay_forget_beside(peer);
	relay_heard(node, peer);
	drop_paths(node, peer, now, &failed);
	leg_finish(&failed);
}

/* The one beside makes room. */
static void clear_beside(struct node *node, struct peer *peer, struct time_us now)
{
	if (peer->awake->beside.used && !peer->awake->beside.is_newer && carries_data(peer, &peer->awake->beside.leg))
		return_to_older(node, peer, now);
	else
		end_beside(node, peer, now);
}

static bool has_ticket(const struct leg *leg, const struct relay_grant *grant)
{
	return leg->ticket_size == grant->ticket.size && memcmp(leg->ticket, grant->ticket.data, leg->ticket_size) == 0;
}

/* Our way there; asked as soon as the Bind is out, as the relay forwards what comes behind one. */
static struct path *add_path(struct node *node, struct peer *peer, struct time_us now)
{
	struct route route;

	return peer_relay_route(node, &peer->awake->beside.leg, &route) ? path_add(node, peer, now, PATH_RELAY, &route)
									: NULL;
}

/* The same grant comes with every repetition. */
void relay_granted(struct node *node, struct peer *peer, struct time_us now, const struct route_update *update)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	bool is_needed = active && active->kind == PATH_RELAY && (active->doubtful || !active->valid);
	struct relay_beside *beside = &peer->awake->beside;
	struct path *path;

	if (!peer->session || session_path_id(peer->session) != update->path_id ||
	    (peer->has_relay && has_ticket(&peer->leg, &update->relay)) ||
	    (beside->used && has_ticket(&beside->leg, &update->relay)))
		return;
	clear_beside(node, peer, now);
	if (peer->has_relay && leg_is_bound(&peer->leg) && strcmp(peer->relay_name, update->relay.name) == 0)
		return; /* we are there already */
	if (leg_init(&beside->leg, update->path_id, &update->relay, now) != OK)
		return;
	beside->used = beside->is_newer = true;
	beside->cause = update->relay_cause;
	beside->until = time_add(now, BESIDE_US);
	memcpy(beside->name, update->relay.name, sizeof beside->name);
	if (is_needed)
		leg_move(&beside->leg,
			 now); /* a risen generation: what the peer has said there already comes at once */
	peer_run_leg(node, peer, now);
	path = add_path(node, peer, now);
	if (path && is_needed)
		path_overlap(node, peer, path, now);
	peer_plan(node, peer, now);
}

/* The new leg is bound: the peer is asked through it, and again as soon as it is heard there. */
static void beside_bound(struct node *node, struct peer *peer, struct time_us now, const struct route *arrived)
{
	struct path *path = add_path(node, peer, now);

	leg_rest(&peer->awake->beside.leg, rhythm_next(node, now, &arrived->local.ip));
	if (!path || peer->awake->beside.was_bound)
		return;
	peer->awake->beside.was_bound = true;
	path->challenge_at = (struct time_us){0}; /* what was asked before met a relay that did not know us */
	path_challenge(node, peer, path, now);
}

/* Contract in machine.h. */
bool relay_beside_received(struct node *node, struct peer *peer, struct time_us now, const struct route *arrived,
			   const uint8_t *bytes, size_t size)
{
	if (!peer->awake || !peer->awake->beside.used || leg_input(&peer->awake->beside.leg, now, bytes, size) != OK)
		return false;
	node_proved_on(node, now, &arrived->local.ip);
	peer_plan(node, peer, now);
	if (leg_is_bound(&peer->awake->beside.leg))
		beside_bound(node, peer, now, arrived);
	return true;
}

/* The peer has answered through the new relay: that is the tunnel's own from now on, and the old one stays until it is
 * quiet. */
void relay_validated(struct node *node, struct peer *peer, struct time_us now, const struct path *path)
{
	struct relay_beside old = {.used = peer->has_relay, .was_bound = peer->leg_was_bound, .leg = peer->leg};
	struct relay_beside *beside = &peer->awake->beside;

	if (!beside->used || !beside->is_newer || path->kind != PATH_RELAY || !is_of(&beside->leg, &path->route.remote))
		return;
	memcpy(old.name, peer->relay_name, sizeof old.name);
	old.until = time_add(now, QUIET_US);
	peer->has_relay = true;
	peer->leg = beside->leg;
	peer->leg_was_bound = beside->was_bound;
	peer->relay_cause = beside->cause;
	peer->leg_asked = (struct time_us){0};
	peer->complaints = 0;
	memcpy(peer->relay_name, beside->name, sizeof peer->relay_name);
	*beside = old;
	wipe(&old, sizeof old);
	node->counters.relay_changes++;
	path_select(node, peer, now, CAUSE_NONE);
	peer_plan(node, peer, beside->until);
}

/* Still heard there: the peer has not changed yet. */
static struct time_us last_heard(const struct peer *peer)
{
	struct time_us heard = {0};

	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		const struct path *path = &peer->awake->paths[i];

		if (path->used && path->kind == PATH_RELAY && is_of(&peer->awake->beside.leg, &path->route.remote))
			heard = time_later(heard, path->heard);
	}
	return heard;
}

static void run_beside(struct node *node, struct peer *peer, struct time_us now)
{
	struct relay_beside *beside = &peer->awake->beside;
	struct time_us quiet = time_add(last_heard(peer), QUIET_US);

	if (!beside->used)
		return;
	if (!time_reached(now, beside->until)) {
		peer_plan(node, peer, beside->until);
		return;
	}
	if (!beside->is_newer && !time_reached(now, quiet)) {
		beside->until = quiet;
		peer_plan(node, peer, quiet);
		return;
	}
	clear_beside(node, peer, now);
}

/* --- complaints --- */

/* Its tag, by its name in our network document; 0: it is not there. */
static uint32_t tag_of(const struct node *node, const char *name)
{
	for (uint8_t i = 0; i < node->network->relay_count; i++)
		if (strcmp(node->network->relays[i].name, name) == 0)
			return relay_tag(node->network->relays[i].static_key);
	return 0;
}

/* One complaint is for all tunnels that have this relay. */
static bool was_told(const struct node *node, const struct peer *peer, struct time_us now)
{
	for (size_t i = 0; i < node->roster.count; i++) {
		const struct peer *other = node->roster.all[i];

		if (other->awake && other->complained.us && time_since(now, other->complained) < COMPLAIN_AGAIN_US &&
		    (other == peer || strcmp(other->awake->complained_of, peer->relay_name) == 0))
			return true;
	}
	return false;
}

static void complain(struct node *node, struct peer *peer, struct time_us now)
{
	uint8_t plaintext[64];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct relay_report report = {.has_silent = true,
				      .silent_tag = tag_of(node, peer->relay_name),
				      .silent_ms = (uint32_t)(time_since(now, peer->leg_asked) / USEC_PER_MSEC),
				      .path_id = session_path_id(peer->session)};

	if (was_told(node, peer, now) && report.silent_tag)
		return;
	peer->complained = now;
	peer->complaints += peer->complaints < COMPLAINTS_MAX;
	peer->complaint = ++node->transaction;
	memcpy(peer->awake->complained_of, peer->relay_name, sizeof peer->awake->complained_of);
	message_header_encode(MESSAGE_RELAY_REPORT, peer->complaint, &w);
	relay_report_encode(&report, &w);
	node->counters.relay_complaints++;
	link_request_more(node, now, MESSAGE_RELAY_REPORT, &w);
}

/* When data depends on it, soon; else after some Binds. */
static int64_t patience_us(const struct peer *peer)
{
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	bool is_needed = !active || (active->kind == PATH_RELAY && (active->doubtful || !active->valid));
	int64_t patience = 2 * peer->leg.rtt_us + PATIENCE_MIN_US / 2;

	if (!is_needed)
		return PATIENCE_WARM_US;
	return peer->leg.rtt_us < 0 ? HANDSHAKE_RETRY_US : patience > PATIENCE_MIN_US ? patience : PATIENCE_MIN_US;
}

/* Contract in machine.h. */
void relay_asked(struct peer *peer, struct time_us now)
{
	if (peer->leg_asked.us == 0)
		peer->leg_asked = now;
}

/* It lives: a complaint that has not left yet, as our own network was to blame, is void. */
void relay_heard(struct node *node, struct peer *peer)
{
	struct request asked;

	peer->leg_asked = (struct time_us){0};
	peer->complaints = 0;
	if (peer->complaint)
		(void)request_done(&node->link.requests, peer->complaint, &asked);
	peer->complaint = 0;
}

/* Contract in machine.h. Without it an idle end would be missed until its next beat. */
void relay_ask_all(struct node *node, struct time_us now)
{
	struct time_us at = now;

	for (size_t i = 0; i < node->roster.count; i++) {
		struct peer *peer = node->roster.all[i];

		if (!peer->has_relay)
			continue;
		leg_refresh(&peer->leg, at);
		peer_plan(node, peer, at);
		at = time_add(at, ASK_SPACING_US);
	}
}

static void run_watch(struct node *node, struct peer *peer, struct time_us now)
{
	struct time_us overdue = time_add(peer->leg_asked, patience_us(peer));
	bool is_changing = peer->awake->beside.used && peer->awake->beside.is_newer;

	if (!peer->session || !peer->has_relay || peer->leg_asked.us == 0 || is_changing)
		return;
	if (peer->complaints)
		overdue = time_later(overdue, time_add(peer->complained, COMPLAIN_AGAIN_US << (peer->complaints - 1)));
	if (!time_reached(now, overdue)) {
		peer_plan(node, peer, overdue);
		return;
	}
	if (node->link.session && node->link.up)
		complain(node, peer, now);
	peer_plan(node, peer, time_add(now, COMPLAIN_AGAIN_US));
}

/* Contract in machine.h. */
void relay_run(struct node *node, struct peer *peer, struct time_us now)
{
	run_beside(node, peer, now);
	run_watch(node, peer, now);
}
