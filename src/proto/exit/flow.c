/* Flows and the ports that stand for them: fixed tables, found by keyed hashes, forgotten by age. */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/exit/state.h"

static uint32_t port_count(const struct exit_machine *machine)
{
	return (uint32_t)machine->config.port_max - machine->config.port_min + 1;
}

static int family_index(uint8_t family)
{
	return family == 4 ? 0 : 1;
}

/* Allocates once. */
void flow_init(struct exit_machine *machine)
{
	uint32_t count = machine->config.flows_max;
	uint64_t seeds[3];

	machine->flows = mem_alloc(count, sizeof *machine->flows);
	machine->mappings = mem_alloc(count, sizeof *machine->mappings);
	for (uint32_t i = 0; i < count; i++) {
		machine->flows[i].newer = i + 1 < count ? i + 1 : NONE;
		machine->mappings[i].next_free = i + 1 < count ? i + 1 : NONE;
	}
	for (int family = 0; family < 2; family++)
		for (int kind = 0; kind < PORT_KINDS; kind++)
			machine->ports[family][kind] = mem_alloc(port_count(machine), sizeof(uint32_t));
	random_fill(&machine->random, seeds, sizeof seeds);
	map_init(&machine->mappings_by_inner, count, seeds[0]);
	map_init(&machine->flows_by_ends, count, seeds[1]);
	map_init(&machine->nodes_by_id, machine->config.nodes_max, seeds[2]);
}

/* Of half-made ones too. */
void flow_finish(struct exit_machine *machine)
{
	map_finish(&machine->mappings_by_inner);
	map_finish(&machine->flows_by_ends);
	map_finish(&machine->nodes_by_id);
	for (int family = 0; family < 2; family++)
		for (int kind = 0; kind < PORT_KINDS; kind++)
			mem_free(machine->ports[family][kind]);
	mem_free(machine->flows);
	mem_free(machine->mappings);
}

static uint64_t key_of(const struct exit_machine *machine, uint32_t number, const struct addr *end)
{
	uint8_t bytes[4 + 17 + 2] = {0};

	memcpy(bytes, &number, 4);
	bytes[4] = end->ip.family;
	memcpy(bytes + 5, end->ip.bytes, 16);
	memcpy(bytes + 21, &end->port, 2);
	return siphash(machine->hash_key, bytes, sizeof bytes);
}

/* A hash that two share is the first's. */
struct exit_mapping *flow_mapping_inner(struct exit_machine *machine, enum translate_kind kind,
					const struct addr *inner)
{
	struct exit_mapping *mapping = map_get(&machine->mappings_by_inner, key_of(machine, (uint32_t)kind, inner));

	return mapping && mapping->kind == kind && addr_equal(&mapping->inner, inner) ? mapping : NULL;
}

/* An array: no stranger can make it slow. */
struct exit_mapping *flow_mapping_port(struct exit_machine *machine, enum translate_kind kind, uint8_t family,
				       uint16_t port)
{
	uint32_t found;

	if (port < machine->config.port_min || port > machine->config.port_max)
		return NULL;
	found = machine->ports[family_index(family)][kind][port - machine->config.port_min];
	return found ? &machine->mappings[found - 1] : NULL;
}

static uint32_t index_of_mapping(const struct exit_machine *machine, const struct exit_mapping *mapping)
{
	return (uint32_t)(mapping - machine->mappings);
}

/* Expired ones are gone although the sweep has not come by yet. */
struct exit_flow *flow_find(struct exit_machine *machine, const struct exit_mapping *mapping, const struct addr *remote)
{
	uint32_t index = index_of_mapping(machine, mapping);
	struct exit_flow *flow = map_get(&machine->flows_by_ends, key_of(machine, index, remote));

	if (!flow || flow->mapping != index || !addr_equal(&flow->remote, remote))
		return NULL;
	if (!time_reached(machine->now, flow->deadline))
		return flow;
	machine->counters.flows_expired++;
	flow_close(machine, flow);
	return NULL;
}

/* From a random place on, so that ports cannot be foretold (RFC 6056); 0: all are in use. */
static uint16_t choose_port(struct exit_machine *machine, uint8_t family, enum translate_kind kind)
{
	uint32_t count = port_count(machine), *used = &machine->ports_used[family_index(family)][kind], start;
	const uint32_t *ports = machine->ports[family_index(family)][kind];

	if (*used == count)
		return 0;
	random_fill(&machine->random, &start, sizeof start);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = (start % count + i) % count;

		if (ports[at] == 0)
			return (uint16_t)(machine->config.port_min + at);
	}
	return 0;
}

static struct exit_mapping *make_mapping(struct exit_machine *machine, struct exit_node *node, enum translate_kind kind,
					 const struct addr *inner)
{
	int family = family_index(inner->ip.family);
	uint16_t port = choose_port(machine, inner->ip.family, kind);
	uint32_t index = machine->free_mapping;
	struct exit_mapping *mapping;
	uint64_t key = key_of(machine, (uint32_t)kind, inner);

	if (port == 0 || index == NONE || map_get(&machine->mappings_by_inner, key))
		return NULL;
	mapping = &machine->mappings[index];
	if (map_put(&machine->mappings_by_inner, key, mapping) != OK)
		return NULL;
	machine->free_mapping = mapping->next_free;
	*mapping = (struct exit_mapping){.node = (uint32_t)(node - machine->nodes),
					 .kind = (uint8_t)kind,
					 .inner = *inner,
					 .port = port,
					 .key = key,
					 .next_free = NONE};
	machine->ports[family][kind][port - machine->config.port_min] = index + 1;
	machine->ports_used[family][kind]++;
	machine->counters.ports++;
	return mapping;
}

static void drop_mapping(struct exit_machine *machine, struct exit_mapping *mapping)
{
	int family = family_index(mapping->inner.ip.family);

	map_remove(&machine->mappings_by_inner, mapping->key);
	machine->ports[family][mapping->kind][mapping->port - machine->config.port_min] = 0;
	machine->ports_used[family][mapping->kind]--;
	machine->counters.ports--;
	mapping->next_free = machine->free_mapping;
	machine->free_mapping = index_of_mapping(machine, mapping);
}

static void unlink_flow(struct exit_machine *machine, struct exit_node *node, struct exit_flow *flow)
{
	if (flow->older == NONE)
		node->oldest = flow->newer;
	else
		machine->flows[flow->older].newer = flow->newer;
	if (flow->newer == NONE)
		node->newest = flow->older;
	else
		machine->flows[flow->newer].older = flow->older;
}

static void link_newest(struct exit_machine *machine, struct exit_node *node, struct exit_flow *flow)
{
	uint32_t index = (uint32_t)(flow - machine->flows);

	flow->older = node->newest;
	flow->newer = NONE;
	if (node->newest == NONE)
		node->oldest = index;
	else
		machine->flows[node->newest].newer = index;
	node->newest = index;
}

/* The last flow of a mapping takes its port along. */
void flow_close(struct exit_machine *machine, struct exit_flow *flow)
{
	struct exit_mapping *mapping = &machine->mappings[flow->mapping];
	struct exit_node *node = &machine->nodes[mapping->node];

	unlink_flow(machine, node, flow);
	map_remove(&machine->flows_by_ends, flow->key);
	flow->used = false;
	flow->newer = machine->free_flow;
	machine->free_flow = (uint32_t)(flow - machine->flows);
	node->flows--;
	machine->counters.flows--;
	if (--mapping->flows == 0)
		drop_mapping(machine, mapping);
}

/* Only the one that wants more pays for it. */
static bool evict_own(struct exit_machine *machine, struct exit_node *node)
{
	if (node->oldest == NONE)
		return false;
	machine->counters.flows_evicted++;
	flow_close(machine, &machine->flows[node->oldest]);
	return true;
}

static struct exit_flow *make_flow(struct exit_machine *machine, struct exit_node *node, struct exit_mapping *mapping,
				   const struct addr *remote)
{
	uint32_t index = machine->free_flow;
	uint64_t key = key_of(machine, index_of_mapping(machine, mapping), remote);
	struct exit_flow *flow;

	if (index == NONE || map_get(&machine->flows_by_ends, key))
		return NULL;
	flow = &machine->flows[index];
	if (map_put(&machine->flows_by_ends, key, flow) != OK)
		return NULL;
	machine->free_flow = flow->newer;
	*flow = (struct exit_flow){.used = true,
				   .mapping = index_of_mapping(machine, mapping),
				   .remote = *remote,
				   .key = key,
				   .deadline = TIME_NEVER};
	link_newest(machine, node, flow);
	mapping->flows++;
	node->flows++;
	machine->counters.flows++;
	machine->counters.flows_opened++;
	machine->sweep_at = time_min(machine->sweep_at, machine->now);
	return flow;
}

/* A flow that is there already is the caller's to find. */
struct exit_flow *flow_open(struct exit_machine *machine, struct exit_node *node, enum translate_kind kind,
			    const struct addr *inner, const struct addr *remote)
{
	struct exit_mapping *mapping;
	struct exit_flow *flow;

	if ((node->flows >= machine->config.node_flows_max || machine->free_flow == NONE) && !evict_own(machine, node))
		return NULL;
	mapping = flow_mapping_inner(machine, kind, inner);
	if (mapping && &machine->nodes[mapping->node] != node)
		return NULL; /* the address was another node's: its flows end one by one */
	if (!mapping)
		mapping = make_mapping(machine, node, kind, inner);
	if (!mapping && evict_own(machine, node))
		mapping = make_mapping(machine, node, kind, inner);
	if (!mapping)
		return NULL;
	flow = make_flow(machine, node, mapping, remote);
	if (!flow && mapping->flows == 0)
		drop_mapping(machine, mapping);
	return flow;
}

static int64_t tcp_patience(struct exit_flow *flow, const struct translate *t, bool is_inner)
{
	bool *fin = is_inner ? &flow->has_inner_fin : &flow->has_outer_fin;

	if (is_inner && (t->tcp_flags & TCP_SYN) && (flow->is_reset || flow->has_inner_fin))
		flow->is_answered = flow->is_reset = flow->has_inner_fin = flow->has_outer_fin = false;
	*fin = *fin || (t->tcp_flags & TCP_FIN);
	flow->is_reset = flow->is_reset || (t->tcp_flags & TCP_RST);
	flow->is_answered = flow->is_answered || !is_inner;
	if (!flow->is_answered || flow->is_reset || (flow->has_inner_fin && flow->has_outer_fin))
		return EXIT_TCP_TRANSITORY_US;
	return EXIT_TCP_IDLE_US;
}

/* RFC 4787 REQ-6: only what the node sends keeps a mapping for UDP open; a stranger could otherwise keep it for ever.
 */
void flow_passed(struct exit_machine *machine, struct exit_flow *flow, const struct translate *t, bool is_inner)
{
	struct exit_node *node = &machine->nodes[machine->mappings[flow->mapping].node];

	if (t->kind == TRANSLATE_TCP)
		flow->deadline = time_add(machine->now, tcp_patience(flow, t, is_inner));
	else if (is_inner)
		flow->deadline = time_add(machine->now,
					  t->kind == TRANSLATE_UDP ? machine->config.udp_idle_us : EXIT_ECHO_IDLE_US);
	unlink_flow(machine, node, flow);
	link_newest(machine, node, flow);
}
