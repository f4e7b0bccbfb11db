#include "proto/exit/exit.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "proto/exit/state.h"

enum { SWEEP_FLOWS = 4096, PACKET_SMALL = 1280 };
#define SWEEP_INTERVAL_US (250 * USEC_PER_MSEC)

static void fill_defaults(struct exit_config *config)
{
	if (config->port_min == 0)
		config->port_min = EXIT_PORT_MIN;
	if (config->port_max == 0)
		config->port_max = EXIT_PORT_MAX;
	if (config->flows_max == 0)
		config->flows_max = EXIT_FLOWS_MAX;
	if (config->node_flows_max == 0)
		config->node_flows_max = EXIT_NODE_FLOWS_MAX;
	if (config->nodes_max == 0)
		config->nodes_max = EXIT_NODES_MAX;
	if (config->udp_idle_us == 0)
		config->udp_idle_us = EXIT_UDP_IDLE_US;
}

/* All memory is taken here. */
struct exit_machine *exit_create(const struct exit_config *config, const struct random_source *random,
				 struct time_us now)
{
	struct exit_machine *machine = mem_alloc(1, sizeof *machine);

	machine->config = *config;
	fill_defaults(&machine->config);
	assert(machine->config.port_min <= machine->config.port_max);
	machine->random = *random;
	machine->now = now;
	machine->sweep_at = TIME_NEVER;
	random_fill(random, machine->hash_key, sizeof machine->hash_key);
	machine->nodes = mem_alloc(machine->config.nodes_max, sizeof *machine->nodes);
	for (int i = 0; i < 2; i++)
		machine->pieces[i] = mem_alloc(1, sizeof *machine->pieces[i]);
	random_fill(random, &machine->fragment_id, sizeof machine->fragment_id);
	flow_init(machine);
	return machine;
}

/* Flows end without a word: their ends find out by themselves. */
void exit_destroy(struct exit_machine *machine)
{
	if (!machine)
		return;
	flow_finish(machine);
	for (int i = 0; i < 2; i++)
		mem_free(machine->pieces[i]);
	mem_free(machine->nodes);
	mem_free(machine);
}

static void enter(struct exit_machine *machine, struct time_us now)
{
	machine->now = now.us > machine->now.us ? now : machine->now;
}

static const struct ip *own_address(const struct exit_machine *machine, uint8_t family)
{
	return family == 4 ? &machine->config.v4 : &machine->config.v6;
}

static enum exit_verdict answer_prohibited(const struct translate *t, uint64_t *counter, struct exit_answer *ret)
{
	(*counter)++;
	return refuse_prohibited(t, REFUSE_DESTINATION, ret) ? EXIT_ANSWERED : EXIT_DROPPED;
}

/* A reset where there is a connection to end, so that programs notice at once. */
static enum exit_verdict answer_refused(const struct translate *t, enum refuse_cause cause, uint64_t *counter,
					struct exit_answer *ret)
{
	(*counter)++;
	if (t->kind == TRANSLATE_TCP && !t->is_fragment)
		return refuse_reset(t, ret) ? EXIT_ANSWERED : EXIT_DROPPED;
	return refuse_prohibited(t, cause, ret) ? EXIT_ANSWERED : EXIT_DROPPED;
}

/* What another node left behind under an address that has passed on to this one ends. */
static struct exit_flow *find_flow(struct exit_machine *machine, const struct exit_node *node, enum translate_kind kind,
				   const struct addr *inner, const struct addr *remote)
{
	struct exit_mapping *mapping = flow_mapping_inner(machine, kind, inner);
	struct exit_flow *flow = mapping ? flow_find(machine, mapping, remote) : NULL;

	if (!flow || &machine->nodes[mapping->node] == node)
		return flow;
	flow_close(machine, flow);
	return NULL;
}

/* An error of the node, or of its tunnel ("too big"), about what came in for one of its flows. */
static enum exit_verdict pass_inner_error(struct exit_machine *machine, const struct exit_node *node,
					  struct translate *t)
{
	struct exit_flow *flow = NULL;
	struct addr own = {.ip = *own_address(machine, t->inner.version)};

	if (t->quoted_kind <= TRANSLATE_ECHO && !t->quoted_request)
		flow = find_flow(machine, node, t->quoted_kind, &t->quoted_target, &t->quoted_source);
	if (!flow || !ip_equal(&t->quoted_target.ip, &t->source.ip) || !translate_error_holds(t)) {
		machine->counters.dropped_stranger++;
		return EXIT_DROPPED;
	}
	translate_set_source(t, &own);
	own.port = machine->mappings[flow->mapping].port;
	translate_set_quoted_target(t, &own);
	translate_finish_error(t);
	return EXIT_PASSED;
}

/* Everything that is asked once a flow. */
static struct exit_flow *admit(struct exit_machine *machine, struct exit_node *node, const struct exit_guest *guest,
			       struct translate *t, struct exit_answer *ret_answer, enum exit_verdict *ret_verdict)
{
	struct exit_counters *counters = &machine->counters;
	struct exit_flow *flow;

	if (!policy_allows_node(&machine->config.policy, guest->certificate)) {
		*ret_verdict = answer_refused(t, REFUSE_NODE, &counters->refused_node, ret_answer);
		return NULL;
	}
	if (!policy_allows_destination(&machine->config.policy, &t->target.ip, t->target.port)) {
		*ret_verdict = answer_refused(t, REFUSE_DESTINATION, &counters->refused_destination, ret_answer);
		return NULL;
	}
	if (t->kind == TRANSLATE_TCP && (t->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) {
		*ret_verdict = answer_refused(t, REFUSE_DESTINATION, &counters->reset_unknown, ret_answer);
		return NULL;
	}
	flow = flow_open(machine, node, t->kind, &t->source, &t->target);
	if (!flow)
		*ret_verdict = answer_refused(t, REFUSE_DESTINATION, &counters->refused_full, ret_answer);
	return flow;
}

static enum exit_verdict pass_inner(struct exit_machine *machine, struct exit_node *node,
				    const struct exit_guest *guest, struct translate *t, struct exit_answer *ret_answer)
{
	struct exit_flow *flow = find_flow(machine, node, t->kind, &t->source, &t->target);
	enum exit_verdict verdict = EXIT_DROPPED;
	struct addr own = {.ip = *own_address(machine, t->inner.version)};
	bool is_quota;

	if (!guest_may_send(machine, node, t->packet->size, &is_quota)) {
		if (is_quota)
			return answer_refused(t, REFUSE_QUOTA, &machine->counters.refused_quota, ret_answer);
		machine->counters.refused_rate++;
		return EXIT_DROPPED;
	}
	if (!flow)
		flow = admit(machine, node, guest, t, ret_answer, &verdict);
	if (!flow)
		return verdict;
	flow_passed(machine, flow, t, true);
	own.port = machine->mappings[flow->mapping].port;
	translate_clamp_mss(t, node->mtu);
	translate_set_source(t, &own);
	machine->counters.tx_packets++;
	machine->counters.tx_bytes += t->packet->size;
	return EXIT_PASSED;
}

static enum exit_verdict decide_inner(struct exit_machine *machine, struct exit_node *node,
				      const struct exit_guest *guest, struct translate *t,
				      struct exit_answer *ret_answer)
{
	if (t->kind == TRANSLATE_OTHER || own_address(machine, t->inner.version)->family == 0 ||
	    (t->kind == TRANSLATE_ECHO && !t->is_request))
		return answer_prohibited(t, &machine->counters.refused_protocol, ret_answer);
	return t->kind == TRANSLATE_ERROR ? pass_inner_error(machine, node, t)
					  : pass_inner(machine, node, guest, t, ret_answer);
}

static enum exit_verdict pass_inner_piece(struct exit_machine *machine, struct exit_node *node,
					  const struct exit_guest *guest, struct translate *t,
					  struct exit_answer *ret_answer)
{
	uint32_t index = (uint32_t)(node - machine->nodes);
	struct fragmented *datagram = piece_note(machine, true, t, index);
	enum exit_verdict verdict;

	if (!datagram)
		return EXIT_DROPPED;
	if (t->kind == TRANSLATE_FRAGMENT)
		return piece_follow(machine, true, datagram, t);
	verdict = decide_inner(machine, node, guest, t, ret_answer);
	piece_lead(machine, true, datagram, t, verdict, index);
	return verdict;
}

/* Cheapest first. */
enum exit_verdict exit_input_inner(struct exit_machine *machine, struct time_us now, const struct exit_guest *guest,
				   struct packet *packet, struct exit_answer *ret_answer)
{
	struct exit_node *node;
	struct translate t;

	enter(machine, now);
	if (translate_parse(&t, packet) != OK) {
		machine->counters.dropped_malformed++;
		return EXIT_DROPPED;
	}
	node = guest ? guest_obtain(machine, guest) : NULL;
	if (!node) {
		machine->counters.dropped_guest++;
		return EXIT_DROPPED;
	}
	return t.is_fragment ? pass_inner_piece(machine, node, guest, &t, ret_answer)
			     : decide_inner(machine, node, guest, &t, ret_answer);
}

/* A router's or host's word about one of our packets: only if that flow is there. */
static enum exit_verdict pass_outer_error(struct exit_machine *machine, struct translate *t)
{
	struct exit_mapping *mapping = NULL;
	struct addr inner;

	if (t->quoted_kind <= TRANSLATE_ECHO && ip_equal(&t->quoted_source.ip, &t->target.ip) &&
	    (t->quoted_kind != TRANSLATE_ECHO || t->quoted_request))
		mapping = flow_mapping_port(machine, t->quoted_kind, t->inner.version, t->quoted_source.port);
	if (!mapping || !flow_find(machine, mapping, &t->quoted_target) || !translate_error_holds(t)) {
		machine->counters.dropped_stranger++;
		return EXIT_DROPPED;
	}
	inner = mapping->inner;
	translate_set_quoted_source(t, &inner);
	inner.port = 0;
	translate_set_target(t, &inner);
	translate_finish_error(t);
	return EXIT_PASSED;
}

static enum exit_verdict pass_outer(struct exit_machine *machine, struct translate *t)
{
	struct exit_mapping *mapping = flow_mapping_port(machine, t->kind, t->inner.version, t->target.port);
	struct exit_flow *flow = mapping ? flow_find(machine, mapping, &t->source) : NULL;
	struct exit_node *node;
	bool is_quota;

	if (!flow) {
		machine->counters.dropped_stranger++;
		return EXIT_DROPPED;
	}
	node = &machine->nodes[mapping->node];
	if (!guest_may_send(machine, node, t->packet->size, &is_quota)) {
		(*(is_quota ? &machine->counters.refused_quota : &machine->counters.refused_rate))++;
		return EXIT_DROPPED;
	}
	flow_passed(machine, flow, t, false);
	translate_clamp_mss(t, node->mtu);
	translate_set_target(t, &mapping->inner);
	machine->counters.rx_packets++;
	machine->counters.rx_bytes += t->packet->size;
	return EXIT_PASSED;
}

static enum exit_verdict decide_outer(struct exit_machine *machine, struct translate *t)
{
	if (t->kind == TRANSLATE_OTHER || (t->kind == TRANSLATE_ECHO && t->is_request)) {
		machine->counters.dropped_stranger++;
		return EXIT_DROPPED;
	}
	return t->kind == TRANSLATE_ERROR ? pass_outer_error(machine, t) : pass_outer(machine, t);
}

static enum exit_verdict pass_outer_piece(struct exit_machine *machine, struct translate *t)
{
	struct fragmented *datagram = piece_note(machine, false, t, FRAGMENT_STRANGER);
	const struct exit_mapping *mapping;
	enum exit_verdict verdict;

	if (!datagram)
		return EXIT_DROPPED;
	if (t->kind == TRANSLATE_FRAGMENT)
		return piece_follow(machine, false, datagram, t);
	verdict = decide_outer(machine, t);
	mapping = verdict == EXIT_PASSED ? flow_mapping_inner(machine, t->kind, &t->target) : NULL;
	piece_lead(machine, false, datagram, t, verdict, mapping ? mapping->node : NONE);
	return verdict;
}

/* Address- and port-dependent filtering: only those a node has spoken to. */
enum exit_verdict exit_input_outer(struct exit_machine *machine, struct time_us now, struct packet *packet)
{
	struct translate t;

	enter(machine, now);
	if (translate_parse(&t, packet) != OK) {
		machine->counters.dropped_malformed++;
		return EXIT_DROPPED;
	}
	if (!ip_equal(&t.target.ip, own_address(machine, t.inner.version))) {
		machine->counters.dropped_stranger++;
		return EXIT_DROPPED;
	}
	return t.is_fragment ? pass_outer_piece(machine, &t) : decide_outer(machine, &t);
}

/* Each once. */
bool exit_next_kept(struct exit_machine *machine, bool is_outward, struct packet *ret)
{
	return fragment_take(machine->pieces[is_outward], ret);
}

/* A slice of the table at a time. */
void exit_input_time(struct exit_machine *machine, struct time_us now)
{
	enter(machine, now);
	if (!time_reached(machine->now, machine->sweep_at))
		return;
	for (uint32_t i = 0; i < SWEEP_FLOWS && i < machine->config.flows_max; i++) {
		struct exit_flow *flow = &machine->flows[machine->sweep_next];

		machine->sweep_next = (machine->sweep_next + 1) % machine->config.flows_max;
		if (!flow->used || !time_reached(machine->now, flow->deadline))
			continue;
		machine->counters.flows_expired++;
		flow_close(machine, flow);
	}
	machine->sweep_at = machine->counters.flows > 0 ? time_add(machine->now, SWEEP_INTERVAL_US) : TIME_NEVER;
}

/* TIME_NEVER while there is no flow. */
struct time_us exit_next_deadline(const struct exit_machine *machine)
{
	return machine->sweep_at;
}

/* Of a node that has used nothing there is nothing to keep. */
bool exit_next_usage(const struct exit_machine *machine, struct time_us now, size_t *index, struct exit_usage *ret)
{
	while (*index < machine->config.nodes_max) {
		const struct exit_node *node = &machine->nodes[(*index)++];

		if (!node->used || node->day_bytes == 0 || guest_day_is_over(machine, node))
			continue;
		*ret = (struct exit_usage){
			.id = node->id, .age_us = time_since(now, node->day), .bytes = node->day_bytes};
		memcpy(ret->name, node->name, sizeof ret->name);
		return true;
	}
	return false;
}

/* Of another run. */
void exit_restore_usage(struct exit_machine *machine, struct time_us now, const struct exit_usage *usage)
{
	enter(machine, now);
	guest_restore(machine, usage);
}

static uint32_t count_exhausted(const struct exit_machine *machine)
{
	uint64_t quota = machine->config.policy.quota_bytes;
	uint32_t count = 0;

	for (uint32_t i = 0; quota > 0 && i < machine->config.nodes_max; i++) {
		const struct exit_node *node = &machine->nodes[i];

		count += node->used && !guest_day_is_over(machine, node) && node->day_bytes + PACKET_SMALL > quota;
	}
	return count;
}

/* A copy, as everywhere. */
void exit_get_counters(const struct exit_machine *machine, struct exit_counters *ret)
{
	*ret = machine->counters;
	ret->nodes_exhausted = count_exhausted(machine);
}
