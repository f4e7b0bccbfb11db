#include "table.h"

const struct table tables[] = {
	{"nat-pairs", "81 pairs of NATs x {IPv4, IPv6, mixed}: contact, moves, direct where theory allows",
	 nat_pairs_run},
	{"attacked", "attackers side by side with their absence: the same bytes, and what they cost", attacked_run},
	{"memory", "bytes in the heap after 20 moves and after 40", memory_run},
	{"idle-peers", "heap bytes and wake-ups of a node for peers that say nothing", idle_run},
	{"goals", "the project's goals for gaps, with fixed delays: goal and worst of ten worlds", goals_run},
	{"goals-papers", "the same at the papers' distances", goals_run_papers},
	{"restarts", "the server restarts under a pair on its relay: until both hear each other again", restarts_run},
};
const unsigned table_count = sizeof tables / sizeof *tables;
