/* Through which exit: the longest prefix says which may be used, and what has been heard of them says which one is. */
#include "proto/node/exits.h"

#include <string.h>

#include "proto/node/machine.h"

#define ASK_BUSY_US (1 * USEC_PER_SEC) /* while packets wait */
#define ASK_IDLE_US (5 * USEC_PER_SEC) /* so that the tunnel is warm when the first one comes */
#define PATIENCE_US (1 * USEC_PER_SEC) /* how long one must be lost, and another one answer meanwhile */
#define LOOK_US (250 * USEC_PER_MSEC)  /* while one is lost */

static const char exit_group[] = "exit";

/* Either one that has a session or any. */
static struct peer *find_exit(struct node *node, const char *name)
{
	struct peer *found = NULL;

	for (size_t i = 0; i < node->roster.count; i++) {
		struct peer *peer = node->roster.all[i];

		if (strcmp(peer->identity->text, name) == 0 && peer_is_in_group(peer, exit_group) &&
		    (!found || peer->session))
			found = peer;
	}
	return found;
}

/* By identity on the packet path; by name only while there is no session. */
static struct peer *peer_of(struct node *node, uint8_t exit)
{
	struct general_exit *state = &node->general.exits[exit];
	struct peer *peer = state->is_known ? peer_by_id(node, &state->id) : NULL;

	if (peer && peer->session)
		return peer;
	peer = find_exit(node, node->general.use.names[exit]);
	state->is_known = peer != NULL;
	if (peer)
		state->id = peer->id;
	return peer;
}

/* The longest; of equal ones the first. */
int node_exit_rule_for(const struct node *node, const struct ip *ip)
{
	const struct node_exits *use = &node->general.use;
	int found = -1;

	for (int i = 0; i < use->rule_count; i++)
		if (prefix_contains(&use->rules[i].prefix, ip) &&
		    (found < 0 || use->rules[i].prefix.bits > use->rules[found].prefix.bits))
			found = i;
	return found >= 0 && general_is_outside(node, ip->family, ip->bytes) ? found : -1;
}

static uint8_t chosen(const struct node *node, int rule)
{
	return node->general.use.rules[rule].exits[node->general.choices[rule].place];
}

/* Whether or not it can be reached now. */
struct peer *exits_peer_for(struct node *node, const struct inner *inner)
{
	struct ip ip = ip_from_bytes(inner->version, inner->dst);
	int rule = node_exit_rule_for(node, &ip);

	return rule < 0 ? NULL : peer_of(node, chosen(node, rule));
}

static bool names_peer(const struct node_exits *use, const uint8_t *exits, uint8_t count, const struct peer *peer)
{
	for (uint8_t i = 0; i < count; i++)
		if (strcmp(use->names[exits[i]], peer->identity->text) == 0)
			return peer_is_in_group(peer, exit_group);
	return false;
}

static bool is_icmp(const struct inner *inner)
{
	return inner->protocol == (inner->version == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6);
}

/*
 * Any exit of the rule, not only the one in use: what was on its way when another took over is not lost. Routers answer
 * from anywhere, so ICMP may come from each exit that any rule names.
 */
bool exits_may_bring(struct node *node, const struct peer *peer, const struct inner *inner)
{
	static const uint8_t all[NODE_EXITS_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
	struct ip ip = ip_from_bytes(inner->version, inner->src);
	int rule = node_exit_rule_for(node, &ip);
	const struct node_exits *use = &node->general.use;

	if (rule >= 0 && names_peer(use, use->rules[rule].exits, use->rules[rule].count, peer))
		return true;
	return is_icmp(inner) && names_peer(use, all, use->count, peer);
}

static void ask(struct node *node, struct time_us now, uint8_t exit, int64_t interval_us)
{
	const struct peer *peer = peer_of(node, exit);
	struct general_exit *state = &node->general.exits[exit];

	if ((peer && (peer->session || peer->awake->contact.used)) || !node->link.session ||
	    (state->asked.us && time_since(now, state->asked) < interval_us))
		return;
	state->asked = now;
	link_request_direction(node, now, node->general.use.names[exit], NULL);
}

/* Sooner than an idle one. */
void exits_ask(struct node *node, struct time_us now, const struct inner *inner)
{
	struct ip ip = ip_from_bytes(inner->version, inner->dst);
	int rule = node_exit_rule_for(node, &ip);

	if (rule >= 0)
		ask(node, now, chosen(node, rule), ASK_BUSY_US);
}

static bool is_up(const struct peer *peer)
{
	return peer && peer_has_path(peer) && peer->lost_since.us == 0;
}

/* Only what has been heard since the other was lost counts: when we are cut off ourselves, all are silent alike. */
static bool has_answered(struct node *node, uint8_t exit, struct time_us since)
{
	struct peer *peer = peer_of(node, exit);
	struct path *path;

	if (!is_up(peer))
		return false;
	peer_wake(node, peer);
	path = &peer->awake->paths[peer->active];
	if (path->valid && path->heard.us > since.us)
		return true;
	path_challenge(node, peer, path, node->now);
	return false;
}

static void take_over(struct node *node, struct time_us now, int rule)
{
	struct general_choice *choice = &node->general.choices[rule];
	struct node_event event = {.type = NODE_EVENT_EXIT_SELECTED};

	choice->place = choice->rival;
	choice->rival_since = (struct time_us){0};
	choice->takeovers++;
	memcpy(event.peer, node->general.use.names[chosen(node, rule)], sizeof event.peer);
	node_emit(node, &event);
	waiting_release(node, peer_of(node, chosen(node, rule)), now);
}

/* True: it has to be looked at again soon. */
static bool look(struct node *node, struct time_us now, int rule)
{
	const struct node_exit_rule *of = &node->general.use.rules[rule];
	struct general_choice *choice = &node->general.choices[rule];
	struct time_us lost = node->general.exits[chosen(node, rule)].lost_since;
	uint8_t place = 0;

	if (lost.us == 0 || of->count < 2) {
		choice->rival_since = (struct time_us){0};
		return false;
	}
	while (place < of->count && (place == choice->place || !has_answered(node, of->exits[place], lost)))
		place++;
	if (place == of->count) {
		choice->rival_since = (struct time_us){0};
		return true;
	}
	if (choice->rival_since.us == 0 || choice->rival != place)
		choice->rival_since = now;
	choice->rival = place;
	if (time_since(now, choice->rival_since) >= PATIENCE_US && time_since(now, lost) >= PATIENCE_US)
		take_over(node, now, rule);
	return true;
}

/* All tunnels are there before they are needed. */
void exits_run(struct node *node, struct time_us now)
{
	const struct node_exits *use = &node->general.use;
	bool is_soon = false;

	if (use->count == 0)
		return;
	for (uint8_t i = 0; i < use->count; i++) {
		struct general_exit *state = &node->general.exits[i];

		ask(node, now, i, ASK_IDLE_US);
		if (is_up(peer_of(node, i)))
			state->lost_since = (struct time_us){0};
		else if (state->lost_since.us == 0)
			state->lost_since = now;
	}
	for (int i = 0; i < use->rule_count; i++)
		is_soon |= look(node, now, i);
	node_plan(node, time_add(now, is_soon ? LOOK_US : ASK_BUSY_US));
}

/* Their tunnels are asked for at once, and again whenever one is gone. */
enum err node_use_exits(struct node *node, struct time_us now, const struct node_exits *exits)
{
	struct node_exits use = *exits;

	for (uint8_t i = 0; i < use.count; i++)
		if (node_full_name(node, exits->names[i], use.names[i]) != OK)
			return ERR_UNKNOWN;
	node_enter(node, now);
	node->general.use = use;
	memset(node->general.exits, 0, sizeof node->general.exits);
	memset(node->general.choices, 0, sizeof node->general.choices);
	node_plan(node, node->now);
	return OK;
}

/* For status: as it is now, not as it was at the last look. */
bool node_get_exit(struct node *node, size_t rule, struct node_exit_status *ret)
{
	const struct general *general = &node->general;

	if (rule >= general->use.rule_count)
		return false;
	*ret = (struct node_exit_status){
		.rule = general->use.rules[rule],
		.place = general->choices[rule].place,
		.name = general->use.names[chosen(node, (int)rule)],
		.takeovers = general->choices[rule].takeovers,
	};
	ret->is_up = is_up(peer_of(node, chosen(node, (int)rule)));
	return true;
}

/* Of the peer whose lease says so. */
const struct certificate *node_holder(struct node *node, uint8_t version, const uint8_t *address, uint16_t *ret_mtu)
{
	struct peer *peer = peer_by_inner(node, version, address);

	if (!peer)
		return NULL;
	peer_wake(node, peer);
	*ret_mtu = peer->active >= 0 ? peer->awake->paths[peer->active].mtu : 0;
	return &peer->awake->certificate;
}
