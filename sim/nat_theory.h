/* nat_theory.h: can two nodes behind these two NATs exchange packets without a relay, and why? */
#pragma once

#include "nat.h"

/* Which ports new mappings get. */
enum nat_ports { NAT_PORTS_IN_STEPS, NAT_PORTS_KEPT, NAT_PORTS_DRAWN, NAT_PORT_KINDS };

struct nat_kind {
	enum nat_dependence mapping, filtering;
	enum nat_ports ports;
};

/*
 * Each knows the address of the other that its coordinator saw, sends there, and to wherever packets come from. No port
 * is guessed. *ret_reason: static text.
 */
bool nat_theory_direct(struct nat_kind a, struct nat_kind b, const char **ret_reason);
/*
 * The same where ports may be guessed: known ones, or one steady end and many sockets and knocks for a random one.
 * *ret_is_chance: that is a matter of luck, in a few of a hundred cases it fails.
 */
bool nat_theory_guess(struct nat_kind a, struct nat_kind b, const char **ret_reason, bool *ret_is_chance);
