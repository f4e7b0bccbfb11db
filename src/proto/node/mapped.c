/* Addresses that a NAT before us has opened for our port (PCP, NAT-PMP, UPnP): told to others beside our own. */
#include <string.h>

#include "proto/node/machine.h"

static bool is_same(const struct node *node, const struct node_mapped *mapped, size_t count)
{
	bool same = count == node->mapped_count;

	for (size_t i = 0; same && i < count; i++)
		same = ip_equal(&node->mapped[i].local, &mapped[i].local) &&
		       addr_equal(&node->mapped[i].external, &mapped[i].external);
	return same;
}

/* No move: the tunnels stay where they are, but whoever looks for a way to us has one more to try. */
void node_input_mapped(struct node *node, struct time_us now, const struct node_mapped *mapped, size_t count)
{
	count = count < NODE_MAPPED_MAX ? count : NODE_MAPPED_MAX;
	node_enter(node, now);
	if (is_same(node, mapped, count))
		return;
	memcpy(node->mapped, mapped, count * sizeof *mapped);
	node->mapped_count = count;
	link_moved(node, node->now);
	node_plan(node, node->now);
}

/* Those of addresses that we still have. A gateway's word is a stranger's: nothing special or virtual is passed on. */
void mapped_candidates(const struct node *node, struct candidates *ret)
{
	for (size_t i = 0; i < node->mapped_count && ret->count < CANDIDATES_MAX; i++) {
		const struct node_mapped *mapped = &node->mapped[i];
		bool is_ours = false;

		for (size_t k = 0; k < node->local_count; k++)
			is_ours |= ip_equal(&node->locals[k].ip, &mapped->local);
		if (is_ours && addr_is_probeable(&mapped->external) && !node_is_virtual(node, &mapped->external.ip))
			ret->list[ret->count++] = mapped->external;
	}
}
