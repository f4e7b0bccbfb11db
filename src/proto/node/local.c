/* The node's own addresses: which there are, which is best, and when a change of that is a move. */
#include <string.h>

#include "proto/node/machine.h"

static bool is_local(const struct node_local *locals, size_t count, const struct ip *ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_equal(&locals[i].ip, ip))
			return true;
	return false;
}

static void emit_address(struct node *node, enum node_event_type type, const struct ip *ip)
{
	struct node_event event = {.type = type, .address = *ip};

	node_emit(node, &event);
}

/* The interface a person asked for, then what the kernel would use, then the first. */
static int choose_local(const struct node *node, uint8_t family)
{
	int best = -1, best_rank = 0;

	for (size_t i = 0; i < node->local_count; i++) {
		const struct node_local *local = &node->locals[i];
		int rank = 1 + (local->is_default ? 1 : 0) +
			   (node->preferred_ifindex && local->ifindex == node->preferred_ifindex ? 2 : 0) +
			   (node->local_states[i].is_suspect ? 0 : 4);

		if (local->ip.family == family && rank > best_rank) {
			best = (int)i;
			best_rank = rank;
		}
	}
	return best;
}

/* What tunnels leave from, and whether the kernel has a way out there yet: a default route may come a moment after its
 * address. */
struct best {
	struct ip ip[2];
	bool is_default[2];
};

static struct best best_of(const struct node *node)
{
	struct best best = {0};

	for (int i = 0; i < 2; i++)
		if (node->best_local[i] >= 0) {
			best.ip[i] = node->locals[node->best_local[i]].ip;
			best.is_default[i] = node->locals[node->best_local[i]].is_default;
		}
	return best;
}

/* Which addresses are the best; a change of them is a move. */
static void settle_locals(struct node *node, const struct best *before, enum path_cause cause)
{
	bool has_moved = false;
	struct best after;

	node->best_local[0] = choose_local(node, 4);
	node->best_local[1] = choose_local(node, 6);
	after = best_of(node);
	for (int i = 0; i < 2; i++)
		has_moved |= !ip_equal(&before->ip[i], &after.ip[i]) || (!before->is_default[i] && after.is_default[i]);
	if (has_moved)
		move_own(node, node->now, cause);
}

/* What is known of an address stays with it. */
static void take_locals(struct node *node, const struct node_local *locals, size_t count)
{
	struct local_state states[NODE_LOCALS_MAX] = {0};

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < node->local_count; k++)
			if (ip_equal(&locals[i].ip, &node->locals[k].ip) &&
			    locals[i].ifindex == node->locals[k].ifindex)
				states[i] = node->local_states[k];
	node->local_count = count;
	memcpy(node->locals, locals, count * sizeof *locals);
	memcpy(node->local_states, states, sizeof states);
}

static void change_locals(struct node *node, const struct node_local *locals, size_t count)
{
	struct node_local before[NODE_LOCALS_MAX];
	size_t before_count = node->local_count;
	struct best best = best_of(node);

	memcpy(before, node->locals, sizeof before);
	take_locals(node, locals, count);
	for (size_t i = 0; i < before_count; i++)
		if (!is_local(node->locals, node->local_count, &before[i].ip))
			emit_address(node, NODE_EVENT_ADDRESS_REMOVED, &before[i].ip);
	for (size_t i = 0; i < node->local_count; i++)
		if (!is_local(before, before_count, &node->locals[i].ip))
			emit_address(node, NODE_EVENT_ADDRESS_ADDED, &node->locals[i].ip);
	settle_locals(node, &best, CAUSE_MOVED);
}

/* The same address on another interface: many networks use the same prefix, and may give a node the same number. */
static bool has_changed_sides(const struct node *node, const struct node_local *local)
{
	bool was_known = false;

	for (size_t i = 0; i < node->local_count; i++) {
		bool is_same = ip_equal(&node->locals[i].ip, &local->ip);

		if (is_same && node->locals[i].ifindex == local->ifindex)
			return false;
		was_known |= is_same;
	}
	return was_known;
}

/* From netlink, whenever the set differs from the last one. What has changed sides goes first and then comes: nothing
 * that is known of its old network holds in the new one. */
void node_input_locals(struct node *node, struct time_us now, const struct node_local *locals, size_t count)
{
	struct node_local staying[NODE_LOCALS_MAX];
	size_t stays = 0;

	node_enter(node, now);
	count = count < NODE_LOCALS_MAX ? count : NODE_LOCALS_MAX;
	for (size_t i = 0; i < count; i++)
		if (!has_changed_sides(node, &locals[i]))
			staying[stays++] = locals[i];
	if (stays < count)
		change_locals(node, staying, stays);
	change_locals(node, locals, count);
	node_plan(node, node->now);
}

/* A person's wish, as if the kernel's default had changed. */
enum err node_prefer_interface(struct node *node, struct time_us now, uint32_t ifindex)
{
	struct best best = best_of(node);
	bool known = ifindex == 0;

	node_enter(node, now);
	for (size_t i = 0; i < node->local_count; i++)
		known |= node->locals[i].ifindex == ifindex;
	if (!known)
		return ERR_UNKNOWN;
	node->preferred_ifindex = ifindex;
	settle_locals(node, &best, CAUSE_ASKED);
	node_plan(node, node->now);
	return OK;
}

/* The kernel is told address and interface: it must not choose another one in the middle of a move. */
bool node_route_to(const struct node *node, const struct addr *remote, struct route *ret)
{
	int local = node_local_for(node, remote->ip.family);

	if (local < 0)
		return false;
	*ret = (struct route){
		.local = {node->locals[local].ip, node->listen_port},
		.ifindex = node->locals[local].ifindex,
		.remote = *remote,
	};
	return true;
}

/*
 * What was sent to an address before a move may come by an interface that has it no longer: two networks may give a
 * node the same number. The way out is the one that has it now.
 */
uint32_t node_ifindex_of(const struct node *node, const struct ip *local, uint32_t otherwise)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(&node->locals[i].ip, local))
			return node->locals[i].ifindex;
	return otherwise;
}

/* Lists come from peers and coordinators, who may be anybody's victims or worse. */
bool node_route_to_candidate(const struct node *node, const struct addr *remote, struct route *ret)
{
	return addr_is_probeable(remote) && !node_is_virtual(node, &remote->ip) && node_route_to(node, remote, ret);
}

/* Linear over a handful. A suspect that works again is used again, but not in the middle of what is going on. */
void node_proved_on(struct node *node, struct time_us now, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count; i++) {
		if (!ip_equal(&node->locals[i].ip, local))
			continue;
		if (time_since(now, node->local_states[i].proved) > 0)
			node->local_states[i].proved = now;
		if (node->local_states[i].is_suspect) {
			node->local_states[i].is_suspect = false;
			node->must_settle = true;
			node_plan(node, now);
		}
	}
}

/* Make before break: the other one works still. */
void node_settle_locals(struct node *node)
{
	struct best before = best_of(node);

	if (!node->must_settle)
		return;
	node->must_settle = false;
	settle_locals(node, &before, CAUSE_MOVED);
}

/* Is there another address of the family, on another interface, to go to? */
static bool has_other(const struct node *node, size_t index)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (node->locals[i].ifindex != node->locals[index].ifindex &&
		    node->locals[i].ip.family == node->locals[index].ip.family && !node->local_states[i].is_suspect)
			return true;
	return false;
}

static bool is_proved_since(const struct node *node, uint32_t ifindex, struct time_us since)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (node->locals[i].ifindex == ifindex && time_since(node->local_states[i].proved, since) > 0)
			return true;
	return false;
}

/* All addresses of an interface die together. Only where there is something to go to. */
static bool suspect_interface(struct node *node, struct time_us now, uint32_t ifindex)
{
	bool can_leave = false;

	for (size_t i = 0; i < node->local_count; i++)
		can_leave |=
			node->locals[i].ifindex == ifindex && !node->local_states[i].is_suspect && has_other(node, i);
	for (size_t i = 0; can_leave && i < node->local_count; i++) {
		if (node->locals[i].ifindex != ifindex)
			continue;
		node->local_states[i].is_suspect = true;
		node->local_states[i].next_ask = now;
	}
	return can_leave;
}

/* One that answers nobody: relay and coordinator have been asked over it as well. */
void node_suspect_local(struct node *node, struct time_us now, const struct ip *local, struct time_us since)
{
	struct best before = best_of(node);

	for (size_t i = 0; i < node->local_count; i++) {
		uint32_t ifindex = node->locals[i].ifindex;

		if (!ip_equal(&node->locals[i].ip, local) || is_proved_since(node, ifindex, since) ||
		    !suspect_interface(node, now, ifindex))
			continue;
		node->counters.suspects++;
		settle_locals(node, &before, CAUSE_SILENT);
		return;
	}
}

/* Of any interface that is believed to be dead. */
bool node_is_suspect(const struct node *node, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(&node->locals[i].ip, local))
			return node->local_states[i].is_suspect;
	return false;
}

/* -1: no address of that family. */
int node_local_for(const struct node *node, uint8_t family)
{
	return family == 4 ? node->best_local[0] : family == 6 ? node->best_local[1] : -1;
}

/* The best ones first, virtual and special addresses never. */
void node_candidates(const struct node *node, struct candidates *ret)
{
	*ret = (struct candidates){0};
	for (int best = 1; best >= 0; best--) {
		for (size_t i = 0; i < node->local_count && ret->count < CANDIDATES_MAX; i++) {
			struct addr addr = {node->locals[i].ip, node->listen_port};
			bool is_best = !node_is_spare(node, i);

			if (is_best == (best == 1) && addr_is_probeable(&addr) && !node_is_virtual(node, &addr.ip))
				ret->list[ret->count++] = addr;
		}
		if (best == 1)
			mapped_candidates(node, ret);
	}
	spare_candidates(node, ret);
}
