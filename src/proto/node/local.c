/* The node's own addresses: which there are, which is best, and when a change of that is a move. */
#include <string.h>

#include "proto/node/machine.h"

#define SUSPECT_SILENCE_US (1 * USEC_PER_SEC)
#define SUSPECT_US (30 * USEC_PER_SEC)

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
			   (time_reached(node->now, node->local_suspect[i]) ? 4 : 0);

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
static void settle_locals(struct node *node, const struct best *before)
{
	bool has_moved = false;
	struct best after;

	node->best_local[0] = choose_local(node, 4);
	node->best_local[1] = choose_local(node, 6);
	after = best_of(node);
	for (int i = 0; i < 2; i++)
		has_moved |= !ip_equal(&before->ip[i], &after.ip[i]) || (!before->is_default[i] && after.is_default[i]);
	if (has_moved)
		move_own(node, node->now);
}

/* From netlink, whenever the set differs from the last one. */
void node_input_locals(struct node *node, struct time_us now, const struct node_local *locals, size_t count)
{
	struct node_local before[NODE_LOCALS_MAX];
	size_t before_count = node->local_count;
	struct best best = best_of(node);

	node_enter(node, now);
	memcpy(before, node->locals, sizeof before);
	node->local_count = count < NODE_LOCALS_MAX ? count : NODE_LOCALS_MAX;
	memcpy(node->locals, locals, node->local_count * sizeof *locals);
	memset(node->local_heard, 0, sizeof node->local_heard);
	memset(node->local_suspect, 0, sizeof node->local_suspect);
	for (size_t i = 0; i < before_count; i++)
		if (!is_local(node->locals, node->local_count, &before[i].ip))
			emit_address(node, NODE_EVENT_ADDRESS_REMOVED, &before[i].ip);
	for (size_t i = 0; i < node->local_count; i++)
		if (!is_local(before, before_count, &node->locals[i].ip))
			emit_address(node, NODE_EVENT_ADDRESS_ADDED, &node->locals[i].ip);
	settle_locals(node, &best);
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
	settle_locals(node, &best);
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

/* Lists come from peers and coordinators, who may be anybody's victims or worse. */
bool node_route_to_candidate(const struct node *node, const struct addr *remote, struct route *ret)
{
	return addr_is_probeable(remote) && !node_is_virtual(node, &remote->ip) && node_route_to(node, remote, ret);
}

/* Linear over a handful, and once per datagram or train. */
void node_heard_on(struct node *node, struct time_us now, const struct ip *local)
{
	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(&node->locals[i].ip, local))
			node->local_heard[i] = now;
}

/* Only where there is another one of the family to go to. */
void node_suspect_locals(struct node *node, struct time_us now)
{
	struct best before = best_of(node);

	for (int f = 0; f < 2; f++) {
		int best = node->best_local[f];

		if (best >= 0 && time_since(now, node->local_heard[best]) > SUSPECT_SILENCE_US)
			node->local_suspect[best] = time_add(now, SUSPECT_US);
	}
	settle_locals(node, &before);
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
			bool is_best = (int)i == node->best_local[0] || (int)i == node->best_local[1];

			if (is_best == (best == 1) && addr_is_probeable(&addr) && !node_is_virtual(node, &addr.ip))
				ret->list[ret->count++] = addr;
		}
		if (best == 1)
			mapped_candidates(node, ret);
	}
}
