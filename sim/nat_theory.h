/* nat_theory.h: can two nodes behind these two NATs exchange packets without a relay, and why? */
#pragma once

#include "nat.h"

struct nat_kind {
	enum nat_dependence mapping, filtering;
};

/*
 * Each knows the address of the other that its coordinator saw, sends there, and to wherever packets come from. No port
 * is guessed. *ret_reason: static text.
 */
bool nat_theory_direct(struct nat_kind a, struct nat_kind b, const char **ret_reason);
