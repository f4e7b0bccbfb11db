/*
 * A path is good only while data on it is acknowledged (design 7). The receiver tells in a Receipt, RECEIPT_DELAY_US
 * after the first packet that it has not told yet, the highest counter of data in each space. A sender that misses one
 * asks the path by a challenge and in the same instant sends data another way as well, with all that has not been
 * acknowledged before it; when neither receipt nor answer comes, the path is dead. So a wrong doubt costs a few
 * duplicates, a right one interrupts for little more than one round trip.
 */
#include <string.h>

#include "proto/node/machine.h"
#include "wire/message.h"

enum {
	QUIET_PAUSES = 4,
	WAITED_SETTLES = 32,	 /* receipts of a new path that tell of the move, not of the path */
	WAITED_ENOUGH = 64,	 /* ... before the longest wait is believed to be usual */
	RECEIPT_BYTES = 1 << 19, /* told at once: the sender keeps what is not acknowledged */
};
#define RECEIPT_DELAY_US (4 * USEC_PER_MSEC)
#define WAITED_SLACK_US (1 * USEC_PER_MSEC)
#define WAITED_FADES_US (8 * USEC_PER_SEC)
#define PATIENCE_MIN_US (45 * USEC_PER_MSEC)
#define QUIET_MIN_US (16 * USEC_PER_MSEC)
#define QUIET_MAX_US (250 * USEC_PER_MSEC)
#define QUIET_AGAIN_US (1 * USEC_PER_SEC)
#define PROVE_AGAIN_US (1 * USEC_PER_SEC)
#define OTHERS_PATIENCE_US (50 * USEC_PER_MSEC) /* for the coordinator's or relay's answer beyond its RTT */

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Before the first RTT there is nothing to go by; a path whose receipts have been punctual deserves little. */
int64_t path_patience_us(const struct path *path)
{
	int64_t pause = path->rtt_us / 2 > PATIENCE_MIN_US ? path->rtt_us / 2 : PATIENCE_MIN_US;
	int64_t patience = path->rtt_us + pause + 4 * path->rtt_var_us, silence = path_silence_us(path);

	if (path->rtt_us < 0)
		return silence;
	if (path->waited_count >= WAITED_ENOUGH)
		patience = smaller(patience, path->waited_us + path->waited_us / 64 + WAITED_SLACK_US);
	return smaller(patience, silence);
}

/*
 * The longest counts, and fades: jitter of seconds ago comes again. What ends a doubt was asked for when it began: the
 * round trip since then is none of the wait.
 */
static void note_waited(struct path *path, struct time_us now)
{
	int64_t waited_us = time_since(now, path->awaiting_since), pause_us = time_since(now, path->waited_at);

	if (path->doubtful && time_since(now, path->doubtful_since) >= path->rtt_us)
		waited_us -= path->rtt_us;

	if (waited_us > path->waited_us || path->waited_count < WAITED_SETTLES)
		path->waited_us = waited_us;
	else
		path->waited_us -= (path->waited_us - waited_us) * smaller(pause_us, WAITED_FADES_US) / WAITED_FADES_US;
	path->waited_at = now;
	path->waited_count += path->waited_count < WAITED_ENOUGH;
}

/* E3's figure, and the goal of design 7. */
int64_t path_silence_us(const struct path *path)
{
	int64_t three = 3 * path->rtt_us;

	return three > OLD_PATH_SILENCE_MIN_US ? three : OLD_PATH_SILENCE_MIN_US;
}

/* Large challenges on a path that carries data find its MTU and tell its RTT: once in PROVE_AGAIN_US. */
void path_sent(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	if (!path->awaiting) {
		path->awaiting = true;
		path->awaiting_since = now;
		peer_plan(node, peer, time_add(now, path_patience_us(path)));
	}
	if (path->valid && !path->challenge_open && time_since(now, path->challenge_at) > PROVE_AGAIN_US) {
		path->next_challenge = now;
		peer_plan(node, peer, now);
	}
	if (path->kind == PATH_RELAY)
		node->counters.relay_tx_packets++;
}

/*
 * An answer proves the instant in which it was asked for, no later one: what was sent since then may be lost all the
 * same. The overlap that a doubt began ends with it; that of a move goes on until the peer is heard.
 */
void path_proved(struct node *node, struct peer *peer, struct path *path, struct time_us now, struct time_us at)
{
	bool is_alone = peer->active == (int)(path - peer->awake->paths) && peer->second < 0;

	node_proved_on(node, at, &path->route.local.ip);
	path->proved = time_since(at, path->proved) > 0 ? at : path->proved;
	if (path->awaiting && time_since(at, path->awaiting_since) >= 0) {
		note_waited(path, now);
		path->awaiting_since = outbox_oldest(&node->outbox, &peer->awake->sending, at);
		path->awaiting = path->awaiting_since.us != TIME_NEVER.us;
		if (path->awaiting)
			peer_plan(node, peer, time_add(path->awaiting_since, path_patience_us(path)));
	}
	if (path->doubtful && time_since(at, path->doubtful_since) < 0)
		return;
	if (peer->active == (int)(path - peer->awake->paths) && !peer->awake->moving.active)
		path_overlap_end(peer);
	if (!path->doubtful)
		return;
	path->doubtful = path->asked_others = false;
	if (is_alone) /* what was lost meanwhile did not go another way */
		move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
	path_select(node, peer, now, CAUSE_SILENT);
}

/* The packet path: a few stores. */
void liveness_note(struct peer *peer, uint8_t space, uint64_t counter, size_t bytes)
{
	uint64_t *next = &peer->awake->receiving.seen.spaces[space].next;

	if (counter >= *next)
		*next = counter + 1;
	peer->awake->receiving.bytes += bytes;
}

/* Contract in the header. */
void liveness_tell(struct node *node, struct peer *peer, struct time_us now)
{
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct receiving *receiving = &peer->awake->receiving;
	const struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	const struct path *heard = path_find(peer, &receiving->route);
	size_t size;

	receiving->due = TIME_NEVER;
	receiving->bytes = 0;
	for (uint8_t i = 0; i < PATHS_MAX; i++) {
		struct receipt_space *space = &receiving->seen.spaces[i];

		space->missing_count = session_missing(peer->session, i, space->next, space->missing, MISSING_MAX);
	}
	message_header_encode(MESSAGE_RECEIPT, ++node->transaction, &w);
	receipt_encode(&receiving->seen, &w);
	if (writer_finish(&w, &size) != OK)
		return;
	node->counters.receipts_tx++;
	if (active)
		peer_send(node, peer, now, &active->route, (struct blob){plaintext, size});
	if (heard && heard != active && heard->valid)
		peer_send(node, peer, now, &heard->route, (struct blob){plaintext, size});
}

/*
 * A steady stream that stops may have met a NAT that forgot us, and one who only listens would never know. QUIET_PAUSES
 * usual pauses after its last packet the path is asked, once a second at most.
 */
static void expect_more(struct node *node, struct peer *peer, struct time_us now)
{
	struct receiving *receiving = &peer->awake->receiving;
	int64_t pause_us = time_since(now, receiving->heard), quiet_us;

	if (pause_us < QUIET_MAX_US)
		receiving->pause_us += (pause_us - receiving->pause_us) / 8;
	quiet_us = QUIET_MIN_US + QUIET_PAUSES * receiving->pause_us;
	receiving->heard = now;
	receiving->quiet = time_add(now, quiet_us < QUIET_MAX_US ? quiet_us : QUIET_MAX_US);
	peer_plan(node, peer, receiving->quiet);
}

/* The way back is our own choice, and the way that data came where that differs and has been validated. */
void liveness_heard(struct node *node, struct peer *peer, struct time_us now, const struct route *route)
{
	struct receiving *receiving = &peer->awake->receiving;

	if (receiving->bytes == 0)
		return;
	if (peer->rest.keys)
		rest_end(node, peer, now);
	receiving->route = *route;
	expect_more(node, peer, now);
	if (receiving->bytes >= RECEIPT_BYTES) {
		liveness_tell(node, peer, now);
		return;
	}
	if (receiving->due.us == TIME_NEVER.us) {
		receiving->due = time_add(now, RECEIPT_DELAY_US);
		peer_plan(node, peer, receiving->due);
	}
}

/* Sooner after a doubt than what it sent another way can have been told of: the path was only late. */
static bool is_of_before(const struct peer *peer, const struct path *path, struct time_us now)
{
	return path->doubtful &&
	       2 * time_since(now, path->doubtful_since) < path->rtt_us + peer->awake->paths[peer->second].rtt_us;
}

/* More than was sent is nonsense, less than was known is old. While data goes two ways it does not tell which works. */
void liveness_receipt(struct node *node, struct peer *peer, struct time_us now, const struct receipt *receipt)
{
	struct path *path = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;
	struct time_us oldest;

	for (uint8_t space = 0; space < PATHS_MAX; space++) {
		const struct receipt_space *told = &receipt->spaces[space];
		struct receipt_space *known = &peer->awake->sending.arrived.spaces[space];

		if (told->next > session_next_counter(peer->session, space))
			node->counters.dropped_malformed++;
		else if (told->next >= known->next)
			*known = *told;
	}
	if (!path || !path->awaiting || (peer->second >= 0 && !is_of_before(peer, path, now)))
		return;
	oldest = outbox_oldest(&node->outbox, &peer->awake->sending, path->awaiting_since);
	if (oldest.us != path->awaiting_since.us)
		path_proved(node, peer, path, now, oldest.us == TIME_NEVER.us ? now : time_add(oldest, -1));
}

/* Is it the way to the peer or our own access network? Relay and coordinator would answer through the latter. */
static void ask_others(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	path->asked_others = true;
	if (peer->has_relay)
		leg_move(&peer->leg, now); /* as for a move: if our NAT has rebound, what follows passes all the same */
	peer_run_leg(node, peer, now);
	link_ask(node, now);
}

/* The path is asked, the data goes another way as well. */
static void begin_doubt(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	struct path *other = path_alternative(node, peer);

	path->doubtful = true;
	path->doubtful_since = now;
	node->counters.doubts++;
	path->next_challenge = now;
	ask_others(node, peer, path, now);
	if (other && !peer->awake->moving.active)
		path_overlap(node, peer, other, now);
	else if (path->kind == PATH_RELAY) /* behind the Bind that may be all it needs */
		move_replay(node, peer, now, path, time_add(now, -REPLAY_SPAN_MAX_US), true);
	peer_plan(node, peer, now);
}

/*
 * One who only listens sends nothing that could be missed, so the end of a steady stream is a doubt at once: if our NAT
 * has rebound, the relay knows where we are before the peer misses a receipt. A stream that has really ended costs
 * three small packets.
 */
static void ask_why_quiet(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	struct receiving *receiving = &peer->awake->receiving;
	struct time_us next = time_add(receiving->asked, QUIET_AGAIN_US);

	receiving->quiet = TIME_NEVER;
	if (!path || !path->valid)
		return;
	if (path->awaiting || path->doubtful || !time_reached(now, next)) { /* put off, not dropped: we may be deaf */
		receiving->quiet = time_reached(now, next) ? time_add(now, QUIET_MAX_US) : next;
		return;
	}
	receiving->asked = now;
	path->awaiting = true;
	path->awaiting_since = now;
	begin_doubt(node, peer, path, now);
}

static struct time_us others_deadline(const struct node *node, const struct path *path)
{
	int64_t rtt_us = node->link.rtt_us > 0 ? node->link.rtt_us : 0;

	return time_add(path->doubtful_since, rtt_us + OTHERS_PATIENCE_US);
}

/* Doubt, then blame on the local address when nobody at all is heard there, then death. */
static void judge(struct node *node, struct peer *peer, struct path *path, struct time_us now)
{
	struct time_us dead_at = time_add(path->awaiting_since, path_silence_us(path));

	if (!path->doubtful && time_since(now, path->awaiting_since) >= path_patience_us(path))
		begin_doubt(node, peer, path, now);
	if (path->asked_others && time_reached(now, others_deadline(node, path))) {
		path->asked_others = false;
		node_suspect_local(node, now, &path->route.local.ip, path->awaiting_since);
		if (!path->used || !path->awaiting)
			return; /* that was a move */
	}
	if (path->doubtful && time_reached(now, dead_at)) {
		node->counters.silent_deaths++;
		if (path->asked_others)
			node_suspect_local(node, now, &path->route.local.ip, path->awaiting_since);
		if (!path->used || !path->valid)
			return;
		path_give_up(node, peer, path, now, CAUSE_SILENT);
		return;
	}
	if (path->asked_others)
		peer_plan(node, peer, others_deadline(node, path));
	peer_plan(node, peer, path->doubtful ? dead_at : time_add(path->awaiting_since, path_patience_us(path)));
}

/* Before the paths' own challenges: a doubt asks for one. */
void liveness_run(struct node *node, struct peer *peer, struct time_us now)
{
	struct path *active = peer->active >= 0 ? &peer->awake->paths[peer->active] : NULL;

	if (!peer->session)
		return;
	if (time_reached(now, peer->awake->receiving.due))
		liveness_tell(node, peer, now);
	peer_plan(node, peer, peer->awake->receiving.due);
	if (time_reached(now, peer->awake->receiving.quiet))
		ask_why_quiet(node, peer, active, now);
	peer_plan(node, peer, peer->awake->receiving.quiet);
	if (active && active->valid && active->awaiting)
		judge(node, peer, active, now);
}
