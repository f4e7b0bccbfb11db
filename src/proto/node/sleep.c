/*
 * A pair that rests needs its keys, its leg and where its paths lead; a fifth of what one needs that is awake. The rest
 * of the room is there again with the first packet of ours, or authentic one of the peer's. A stranger never causes it.
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/node/machine.h"

/* Without a packet: what was answered may be asked again, and a second answer to a Rekey Request would be another one.
 */
#define SLEEP_AFTER_US (10 * USEC_PER_SEC)

static struct path_kept keep(const struct path *path)
{
	return (struct path_kept){
		.kind = path->kind,
		.route = path->route,
		.mtu = path->mtu,
		.mtu_proved = path->mtu_proved,
		.mtu_ceiling = path->mtu_ceiling,
		.loss_permille = path->loss_permille,
		.challenges_tx = path->challenges_tx,
		.challenges_rx = path->challenges_rx,
		.rtt_us = path->rtt_us,
		.rtt_var_us = path->rtt_var_us,
		.heard = path->heard,
		.proved = path->proved,
		.mtu_raise = path->mtu_raise,
	};
}

/* Contract in the header. */
struct path peer_path_kept(const struct peer *peer, uint8_t index)
{
	const struct path_kept *kept = &peer->kept[index];

	return (struct path){
		.used = true,
		.valid = true,
		.was_heard = true,
		.kind = kept->kind,
		.route = kept->route,
		.mtu = kept->mtu,
		.mtu_proved = kept->mtu_proved,
		.mtu_ceiling = kept->mtu_ceiling,
		.loss_permille = kept->loss_permille,
		.challenges_tx = kept->challenges_tx,
		.challenges_rx = kept->challenges_rx,
		.rtt_us = kept->rtt_us,
		.rtt_var_us = kept->rtt_var_us,
		.heard = kept->heard,
		.proved = kept->proved,
		.mtu_raise = kept->mtu_raise,
		.next_challenge = TIME_NEVER,
	};
}

/* Contract in the header. */
void peer_wake(struct node *node, struct peer *peer)
{
	if (peer->awake) {
		peer->awake->since = node->now;
		return;
	}
	peer->awake = mem_alloc(1, sizeof *peer->awake);
	peer->awake->since = node->now;
	peer_identity_fill(peer, &peer->awake->certificate);
	peer->awake->receiving = (struct receiving){.due = TIME_NEVER, .quiet = TIME_NEVER};
	for (uint8_t i = 0; i < peer->kept_count; i++)
		peer->awake->paths[i] = peer_path_kept(peer, i);
	mem_free(peer->kept);
	peer->kept = NULL;
	peer->kept_count = 0;
	peer_plan(node, peer, node->now);
}

static bool has_ports(const struct node *node, const struct peer *peer)
{
	bool found = node->punch.peer == peer;

	for (int i = 0; i < PUNCH_KEPT_MAX; i++)
		found |= node->punch.kept[i].port && node->punch.kept[i].peer == peer;
	return found;
}

static bool is_probing(const struct peer *peer)
{
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		const struct path *path = &peer->awake->paths[i];

		if (path->used && (path->next_challenge.us != TIME_NEVER.us || (path->valid && path->challenge_open)))
			return true;
	}
	return false;
}

static bool may_sleep(const struct node *node, const struct peer *peer)
{
	const struct receiving *receiving = &peer->awake->receiving;

	return peer->rest.paths && time_since(node->now, peer->awake->since) >= SLEEP_AFTER_US &&
	       receiving->due.us == TIME_NEVER.us && receiving->quiet.us == TIME_NEVER.us && !is_probing(peer) &&
	       !has_ports(node, peer);
}

/* Contract in the header. */
void peer_sleep(struct node *node, struct peer *peer)
{
	struct path_kept kept[NODE_PATHS_MAX];
	uint8_t count = 0;

	if (!may_sleep(node, peer))
		return;
	for (int i = 0; i < NODE_PATHS_MAX; i++) {
		if (!peer->awake->paths[i].used || !peer->awake->paths[i].valid)
			continue;
		if (peer->active == i)
			peer->active = count;
		kept[count++] = keep(&peer->awake->paths[i]);
	}
	peer->kept = mem_alloc(count, sizeof *kept);
	memcpy(peer->kept, kept, count * sizeof *kept);
	peer->kept_count = count;
	peer_forget_awake(node, peer);
}

/* Keys are wiped with it. */
void peer_forget_awake(struct node *node, struct peer *peer)
{
	if (!peer->awake)
		return;
	outbox_forget(&node->outbox, &peer->awake->sending);
	contact_forget_answer(peer);
	wipe(peer->awake, sizeof *peer->awake);
	mem_free(peer->awake);
	peer->awake = NULL;
}

static bool has_more_to_do(const struct peer *peer, struct time_us now)
{
	return !leg_is_bound(&peer->leg) || time_since(now, session_key_since(peer->session)) >= REST_KEYS_US;
}

/* Contract in the header. */
bool peer_run_asleep(struct node *node, struct peer *peer, struct time_us now)
{
	if (peer->awake)
		return false;
	peer_run_leg(node, peer, now);
	if (has_more_to_do(peer, now)) {
		peer_wake(node, peer);
		return false;
	}
	session_rest(peer->session);
	session_forget_old(peer->session, now);
	peer_plan(node, peer, time_add(session_key_since(peer->session), REST_KEYS_US));
	return true;
}
