/*
 * Addresses of ours that carry no data now: from each the coordinator is asked how it sees us there, in a counter space
 * that moves nothing. So peers know where else to find us and have opened their NATs for it before the network in use
 * dies, and a network that had died is known to work again before anything returns to it.
 */
#include <string.h>

#include "proto/node/machine.h"
#include "wire/message.h"

enum { ASK_SIZE = 96, ASKS_MAX = 3 };
#define ASK_AGAIN_US (500 * USEC_PER_MSEC)    /* unanswered, the first times */
#define ASK_SUSPECT_US (1000 * USEC_PER_MSEC) /* whether it works again */

/* Contract in machine.h. */
bool node_is_spare(const struct node *node, size_t index)
{
	return (int)index != node->best_local[0] && (int)index != node->best_local[1];
}

/* The first one that is listed. */
bool spare_route(const struct node *node, size_t index, struct route *ret)
{
	const struct server_addresses *addresses = &node->coordinator->addresses;

	for (int i = 0; i < addresses->count; i++) {
		if (addresses->list[i].ip.family != node->locals[index].ip.family)
			continue;
		*ret = (struct route){
			.local = {node->locals[index].ip, node->listen_port},
			.ifindex = node->locals[index].ifindex,
			.remote = addresses->list[i],
		};
		return true;
	}
	return false;
}

/* Padded: the answer must not be larger. */
bool spare_ask(struct node *node, struct time_us now, const struct route *route, uint32_t delay_ms)
{
	uint8_t plaintext[ASK_SIZE];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	uint8_t *room;
	size_t size;

	message_header_encode(MESSAGE_KEEP_ALIVE, ++node->transaction, &w);
	keep_alive_encode(&(struct keep_alive){.delay_ms = delay_ms}, &w);
	field_put_pad(&w, 0, ASK_SIZE);
	if (writer_finish(&w, &size) != OK)
		return false;
	room = outbox_reserve(&node->outbox, now, size + OVERHEAD_SIZE, NULL, 0);
	if (!room || session_seal(node->link.session, LINK_SPACE_ASIDE, SEALED_CONTROL, plaintext, size, room) != OK)
		return false;
	outbox_commit(&node->outbox, now, route, 1, NULL, 0);
	return true;
}

static struct time_us next_ask(const struct node *node, struct time_us now, size_t index)
{
	const struct local_state *state = &node->local_states[index];

	if (state->is_suspect)
		return time_add(now, ASK_SUSPECT_US);
	if (state->asks < ASKS_MAX && !addr_is_set(&state->observed))
		return time_add(now, ASK_AGAIN_US);
	return rhythm_next(node, now, &node->locals[index].ip);
}

/* While the coordinator is away nobody can tell. */
void spare_run(struct node *node, struct time_us now)
{
	struct route route;

	if (!node->link.session || !node->link.up)
		return;
	for (size_t i = 0; i < node->local_count; i++) {
		struct local_state *state = &node->local_states[i];

		if (!node_is_spare(node, i) || state->keepalive.is_waiting || !spare_route(node, i, &route))
			continue;
		if (time_reached(now, state->next_ask)) {
			(void)spare_ask(node, now, &route, 0);
			state->asks += state->asks < UINT8_MAX;
			state->next_ask = next_ask(node, now, i);
		}
		node_plan(node, state->next_ask);
	}
}

/* A new address is told to all who look for us: not a move, nothing is used yet. */
void spare_answered(struct node *node, struct time_us now, const struct ip *local, const struct addr *observed)
{
	node_proved_on(node, now, local);
	rhythm_seen(node, now, local, observed);
	for (size_t i = 0; i < node->local_count; i++) {
		struct local_state *state = &node->local_states[i];

		if (!node_is_spare(node, i) || !ip_equal(&node->locals[i].ip, local) ||
		    addr_equal(&state->observed, observed))
			continue;
		state->observed = *observed;
		link_moved(node, now);
		for (size_t k = 0; k < node->roster.count; k++)
			if (node->roster.all[k]->session && node->roster.all[k]->awake)
				path_add_spares(node, node->roster.all[k], now);
	}
}

/* As the coordinator sees us there. */
void spare_candidates(const struct node *node, struct candidates *ret)
{
	for (size_t i = 0; i < node->local_count && ret->count < CANDIDATES_MAX; i++) {
		const struct addr *observed = &node->local_states[i].observed;

		if (node_is_spare(node, i) && !ip_equal(&observed->ip, &node->locals[i].ip) &&
		    addr_is_probeable(observed))
			ret->list[ret->count++] = *observed;
	}
}
