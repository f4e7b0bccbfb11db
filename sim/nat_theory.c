#include "nat_theory.h"

/* One outside address for all remotes, so the one that the coordinator saw is the one that the peer meets. */
static bool is_steady(struct nat_kind kind)
{
	return kind.mapping == NAT_ENDPOINT_INDEPENDENT;
}

/* Does what `from` sends to the address of `to` that the coordinator saw come in there? */
static bool comes_in(struct nat_kind from, struct nat_kind to)
{
	if (to.filtering == NAT_ENDPOINT_INDEPENDENT)
		return true; /* the mapping made for the coordinator takes anything */
	if (!is_steady(to))
		return false; /* it lets in the coordinator alone: what was sent to the peer opened another one */
	/* Opened towards the peer's address: it has one outside IP, but perhaps another port than was seen. */
	return to.filtering == NAT_ADDRESS_DEPENDENT || is_steady(from);
}

/* `to` has heard `from` and answers to where that came from: the mapping at `from` was made for `to`. */
static bool answer_comes_in(struct nat_kind from, struct nat_kind to)
{
	return from.filtering != NAT_ADDRESS_PORT_DEPENDENT || is_steady(to);
}

/* Contract in the header. */
bool nat_theory_direct(struct nat_kind a, struct nat_kind b, const char **ret_reason)
{
	bool to_b = comes_in(a, b), to_a = comes_in(b, a);

	if (to_a && to_b)
		*ret_reason = "each comes in where the coordinator saw the other";
	else if (to_b && answer_comes_in(a, b))
		*ret_reason = "a comes in at b, and b's answer at a";
	else if (to_a && answer_comes_in(b, a))
		*ret_reason = "b comes in at a, and a's answer at b";
	else if (!to_a && !to_b)
		*ret_reason = "neither comes in: ports change with the remote, and filters want them";
	else
		*ret_reason = "one comes in, but the answer's port is not the one that its filter wants";
	return (to_a && to_b) || (to_b && answer_comes_in(a, b)) || (to_a && answer_comes_in(b, a));
}

/* Contract in the header. */
bool nat_theory_guess(struct nat_kind a, struct nat_kind b, const char **ret_reason, bool *ret_is_chance)
{
	bool a_is_random = !is_steady(a) && a.ports == NAT_PORTS_DRAWN;
	bool b_is_random = !is_steady(b) && b.ports == NAT_PORTS_DRAWN;

	*ret_is_chance = false;
	if (nat_theory_direct(a, b, ret_reason))
		return true;
	if (!a_is_random && !b_is_random) {
		*ret_reason = "each knows the other's next ports, and opens its own towards them";
		return true;
	}
	*ret_is_chance = is_steady(a) || is_steady(b);
	*ret_reason = *ret_is_chance ? "of many knocks one meets one of many sockets"
				     : "one end's ports are random, and the other's depend on which of them it is";
	return *ret_is_chance;
}
