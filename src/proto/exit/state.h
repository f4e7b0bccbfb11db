/* state.h: the insides of an exit, shared by the files of this folder and by nobody else. Indices count from 0; NONE is
 * no index. */
#pragma once

#include "base/map.h"
#include "proto/exit/exit.h"
#include "proto/exit/fragment.h"
#include "proto/exit/translate.h"

enum { PORT_KINDS = 3 }; /* TCP, UDP, echo: each numbers its own */
#define NONE UINT32_MAX

/* A node that has used the exit. */
struct exit_node {
	bool used;
	struct node_id id;
	char name[NAME_MAX_SIZE + 1];
	uint16_t mtu; /* of its tunnel, as of its last packet */
	uint32_t flows;
	uint32_t oldest, newest; /* its flows by last use */
	struct time_us last;
	struct time_us day; /* when its present day began */
	uint64_t day_bytes; /* since then */
	uint64_t rate_left; /* bytes it may send at once */
	struct time_us rate_at;
};

/* One inner address and port, and the port that stands for it outside: the same towards every host. */
struct exit_mapping {
	uint32_t node, flows;
	uint8_t kind;
	struct addr inner;
	uint16_t port;
	uint64_t key;
	uint32_t next_free;
};

/* One mapping and one general host. */
struct exit_flow {
	uint32_t mapping;
	struct addr remote;
	uint64_t key;
	struct time_us deadline;
	uint32_t older, newer; /* of the same node; newer links free ones as well */
	bool used, is_answered, has_inner_fin, has_outer_fin, is_reset;
};

struct exit_machine {
	struct exit_config config;
	struct random_source random;
	uint8_t hash_key[16];
	struct time_us now, sweep_at;
	uint32_t sweep_next;
	struct exit_node *nodes;
	struct exit_mapping *mappings;
	struct exit_flow *flows;
	uint32_t free_mapping, free_flow;
	uint32_t *ports[2][PORT_KINDS]; /* mapping + 1 by family, kind and port; 0: free */
	uint32_t ports_used[2][PORT_KINDS];
	struct map nodes_by_id, mappings_by_inner, flows_by_ends;
	struct fragment_table *pieces[2]; /* inwards, outwards */
	uint32_t fragment_id;		  /* given last */
	struct exit_counters counters;
};

/* guest.c: those who come in. */
/* NULL: too many are known. */
struct exit_node *guest_obtain(struct exit_machine *machine, const struct exit_guest *guest);
void guest_restore(struct exit_machine *machine, const struct exit_usage *usage);
bool guest_day_is_over(const struct exit_machine *machine, const struct exit_node *node);
/* Counts a packet against the node's day and second. False: it is refused; *ret_quota tells by which. */
bool guest_may_send(struct exit_machine *machine, struct exit_node *node, size_t size, bool *ret_quota);

/* flow.c */
void flow_init(struct exit_machine *machine);
void flow_finish(struct exit_machine *machine);
/* The mapping of an inner end, or of a port outside; NULL. */
struct exit_mapping *flow_mapping_inner(struct exit_machine *machine, enum translate_kind kind,
					const struct addr *inner);
struct exit_mapping *flow_mapping_port(struct exit_machine *machine, enum translate_kind kind, uint8_t family,
				       uint16_t port);
/* NULL: there is none, or it has expired. */
struct exit_flow *flow_find(struct exit_machine *machine, const struct exit_mapping *mapping,
			    const struct addr *remote);
/* Makes what is missing. NULL: no room, not even after taking the node's own oldest. */
struct exit_flow *flow_open(struct exit_machine *machine, struct exit_node *node, enum translate_kind kind,
			    const struct addr *inner, const struct addr *remote);
/* A packet has passed: the flow is young again, and its TCP state follows. */
void flow_passed(struct exit_machine *machine, struct exit_flow *flow, const struct translate *t, bool is_inner);
void flow_close(struct exit_machine *machine, struct exit_flow *flow);

/* piece.c: fragments. */
/* Notes it in its datagram. NULL: it is dropped, and counted. */
struct fragmented *piece_note(struct exit_machine *machine, bool is_outward, const struct translate *t, uint32_t owner);
/* Any but the first. */
enum exit_verdict piece_follow(struct exit_machine *machine, bool is_outward, struct fragmented *datagram,
			       struct translate *t);
/* The first has been decided about, and so have the others. node: whose share they count against. */
void piece_lead(struct exit_machine *machine, bool is_outward, struct fragmented *datagram, struct translate *t,
		enum exit_verdict verdict, uint32_t node);

/* refuse.c: what a program learns when its packet may not go; the packet stays as it is. False: nothing may be said. */
enum refuse_cause { REFUSE_DESTINATION, REFUSE_NODE, REFUSE_QUOTA };
bool refuse_prohibited(const struct translate *t, enum refuse_cause cause, struct exit_answer *ret);
bool refuse_reset(const struct translate *t, struct exit_answer *ret);
