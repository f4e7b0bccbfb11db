/* Datagrams in pieces, as the exit's machine sees them: what is decided about the first piece is done to all. */
#include "proto/exit/state.h"

static enum exit_verdict drop(struct exit_machine *machine)
{
	machine->counters.dropped_fragment++;
	return EXIT_DROPPED;
}

/* Overlapping ones are never passed on. */
struct fragmented *piece_note(struct exit_machine *machine, bool is_outward, const struct translate *t, uint32_t owner)
{
	struct fragmented *datagram = fragment_note(machine->pieces[is_outward], machine->now, t, owner);

	if (!datagram)
		drop(machine);
	return datagram;
}

static void set_end(bool is_outward, struct translate *t, const struct addr *to)
{
	if (is_outward)
		translate_set_source(t, to);
	else
		translate_set_target(t, to);
}

static void count(struct exit_machine *machine, bool is_outward, size_t size)
{
	struct exit_counters *counters = &machine->counters;

	(*(is_outward ? &counters->tx_packets : &counters->rx_packets))++;
	(*(is_outward ? &counters->tx_bytes : &counters->rx_bytes)) += size;
	(*(is_outward ? &counters->tx_fragments : &counters->rx_fragments))++;
}

static enum exit_verdict rewrite(struct exit_machine *machine, bool is_outward, const struct fragmented *datagram,
				 struct translate *t)
{
	bool is_quota;

	if (!guest_may_send(machine, &machine->nodes[datagram->node], t->packet->size, &is_quota)) {
		(*(is_quota ? &machine->counters.refused_quota : &machine->counters.refused_rate))++;
		return EXIT_DROPPED;
	}
	set_end(is_outward, t, &datagram->to);
	translate_set_fragment_id(t, datagram->id);
	count(machine, is_outward, t->packet->size);
	return EXIT_PASSED;
}

/* Without ports it goes where the first one went. */
enum exit_verdict piece_follow(struct exit_machine *machine, bool is_outward, struct fragmented *datagram,
			       struct translate *t)
{
	struct fragment_table *table = machine->pieces[is_outward];
	enum exit_verdict verdict;

	if (datagram->state == FRAGMENTED_WAITING) {
		if (fragment_hold(table, machine->now, datagram, t->packet))
			return EXIT_KEPT;
		fragment_refuse(table, datagram);
		return drop(machine);
	}
	verdict = rewrite(machine, is_outward, datagram, t);
	if (fragment_is_complete(datagram))
		fragment_forget(table, datagram);
	return verdict;
}

static void release(struct exit_machine *machine, bool is_outward, const struct fragmented *datagram)
{
	struct fragment_held *held;

	while ((held = fragment_next_held(machine->pieces[is_outward], datagram)) != NULL) {
		struct packet packet = {.bytes = held->bytes + PACKET_ROOM, .size = held->size};
		struct translate t;

		held->of = NULL;
		held->is_ready =
			translate_parse(&t, &packet) == OK && rewrite(machine, is_outward, datagram, &t) == EXIT_PASSED;
	}
}

/*
 * Identifications are the sender's among its own (RFC 6864), and many nodes share the exit's address: outwards each
 * datagram gets a new one. Inwards a host's stay apart as they are.
 */
void piece_lead(struct exit_machine *machine, bool is_outward, struct fragmented *datagram, struct translate *t,
		enum exit_verdict verdict, uint32_t node)
{
	struct fragment_table *table = machine->pieces[is_outward];

	if (verdict != EXIT_PASSED || node == NONE) {
		fragment_refuse(table, datagram);
		return;
	}
	datagram->state = FRAGMENTED_OPEN;
	datagram->node = node;
	datagram->to = is_outward ? t->source : t->target;
	datagram->id = is_outward ? ++machine->fragment_id : t->fragment_id;
	translate_set_fragment_id(t, datagram->id);
	(*(is_outward ? &machine->counters.tx_fragments : &machine->counters.rx_fragments))++;
	release(machine, is_outward, datagram);
	if (fragment_is_complete(datagram))
		fragment_forget(table, datagram);
}
