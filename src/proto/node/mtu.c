/*
 * Path MTU by probing (RFC 8899), with challenges in place of probe packets: on a path that carries data they are as
 * large as the data. When small ones are answered and large ones are not, the path is a black hole for large packets:
 * down to what IPv6 guarantees at once, then up again by halves.
 */
#include "proto/node/machine.h"

enum {
	MTU_BASE = 1280,    /* RFC 8200 5: passes everywhere */
	MTU_STEP = 24,	    /* a search ends when it could gain no more than this */
	LARGE_LOST_MAX = 2, /* in a row, before it is believed to be the size */
};
#define MTU_RAISE_US (600 * USEC_PER_SEC)

/* What the interface takes is where the search begins; proved is nothing but what passes everywhere. */
void mtu_init(const struct node *node, struct path *path)
{
	uint32_t mtu = 1500, outer = path->route.remote.ip.family == 4 ? 28 : 48;

	for (size_t i = 0; i < node->local_count; i++)
		if (ip_equal(&node->locals[i].ip, &path->route.local.ip) && node->locals[i].mtu >= MTU_BASE)
			mtu = node->locals[i].mtu;
	mtu -= outer + OVERHEAD_SIZE;
	path->mtu = (uint16_t)(mtu < MTU_BASE ? MTU_BASE : mtu > PATH_MTU_MAX ? PATH_MTU_MAX : mtu);
	path->mtu_ceiling = path->mtu;
	path->mtu_proved = MTU_BASE;
	path->mtu_raise = TIME_NEVER;
	path->large_lost = 0;
}

/* Small again after two large ones: that tells a black hole from a dead path. */
uint16_t mtu_next_size(struct path *path, struct time_us now)
{
	if (time_reached(now, path->mtu_raise)) {
		path->mtu_ceiling = PATH_MTU_MAX;
		path->mtu_raise = TIME_NEVER;
		path->large_lost = 0;
	}
	if (!path->valid || path->doubtful || path->large_lost >= LARGE_LOST_MAX)
		return 0;
	if (path->mtu_ceiling > path->mtu + MTU_STEP)
		return (uint16_t)((path->mtu + path->mtu_ceiling) / 2);
	return path->mtu;
}

static void set_ceiling(struct path *path, struct time_us now, uint16_t ceiling)
{
	path->mtu_ceiling = ceiling;
	path->mtu_raise = time_add(now, MTU_RAISE_US);
	path->large_lost = 0;
}

/* A step ends with an answer of either size. */
void mtu_answered(struct node *node, struct peer *peer, struct path *path, struct time_us now,
		  const struct challenge *answered)
{
	uint16_t tried =
		path->mtu_ceiling > path->mtu + MTU_STEP ? (uint16_t)((path->mtu + path->mtu_ceiling) / 2) : path->mtu;

	if (answered->proves > 0) {
		path->large_lost = 0;
		if (answered->proves > path->mtu)
			path->mtu = answered->proves;
		if (answered->proves > path->mtu_proved)
			path->mtu_proved = answered->proves;
	} else if (path->large_lost >= LARGE_LOST_MAX) {
		if (tried <= path->mtu)
			path->mtu = path->mtu_proved = MTU_BASE;
		set_ceiling(path, now, (uint16_t)(tried - 1));
	} else {
		return;
	}
	if (path->mtu_ceiling > path->mtu + MTU_STEP) { /* the next step at once */
		path->next_challenge = time_add(now, CHALLENGE_INTERVAL_US);
		peer_plan(node, peer, path->next_challenge);
	}
}

/* The interface became narrower. */
void mtu_refused(struct path *path, struct time_us now, size_t size)
{
	if (size > path->mtu)
		return;
	path->mtu = path->mtu_proved = MTU_BASE;
	set_ceiling(path, now, (uint16_t)(size > MTU_BASE ? size - 1 : MTU_BASE));
}
