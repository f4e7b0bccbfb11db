#include "proto/node/roster.h"

#include <string.h>

#include "base/mem.h"
#include "proto/node/peer.h"

enum { FIRST_CAPACITY = 16 };

/* The peers are the caller's. */
void roster_finish(struct roster *roster)
{
	mem_free(roster->all);
	mem_free(roster->ranks);
	*roster = (struct roster){0};
}

static struct peer **grown(struct peer **list, size_t count, size_t capacity)
{
	struct peer **new = mem_alloc(capacity, sizeof(struct peer *));

	if (count)
		memcpy(new, list, count * sizeof(struct peer *));
	mem_free(list);
	return new;
}

static void grow(struct roster *roster)
{
	size_t capacity = roster->capacity ? 2 * roster->capacity : FIRST_CAPACITY;

	roster->all = grown(roster->all, roster->count, capacity);
	roster->ranks = grown(roster->ranks, roster->ranked, capacity);
	roster->capacity = capacity;
}

static bool is_before(const struct peer *a, const struct peer *b)
{
	return a->place.deadline.us < b->place.deadline.us;
}

static void put(struct roster *roster, size_t rank, struct peer *peer)
{
	roster->ranks[rank] = peer;
	peer->place.rank = rank;
}

static void rise(struct roster *roster, struct peer *peer)
{
	size_t rank = peer->place.rank;

	for (; rank > 0 && is_before(peer, roster->ranks[(rank - 1) / 2]); rank = (rank - 1) / 2)
		put(roster, rank, roster->ranks[(rank - 1) / 2]);
	put(roster, rank, peer);
}

static void sink(struct roster *roster, struct peer *peer)
{
	size_t rank = peer->place.rank, below;

	while ((below = 2 * rank + 1) < roster->ranked) {
		if (below + 1 < roster->ranked && is_before(roster->ranks[below + 1], roster->ranks[below]))
			below++;
		if (!is_before(roster->ranks[below], peer))
			break;
		put(roster, rank, roster->ranks[below]);
		rank = below;
	}
	put(roster, rank, peer);
}

static void enrank(struct roster *roster, struct peer *peer)
{
	put(roster, roster->ranked++, peer);
	rise(roster, peer);
}

/* The last one takes its place, and goes up or down from there. */
static void derank(struct roster *roster, const struct peer *peer)
{
	struct peer *last = roster->ranks[--roster->ranked];

	if (last == peer)
		return;
	put(roster, peer->place.rank, last);
	rise(roster, last);
	sink(roster, last);
}

/* Contract in the header. */
void roster_add(struct roster *roster, struct peer *peer)
{
	if (roster->count == roster->capacity)
		grow(roster);
	peer->place = (struct roster_place){.deadline = TIME_NEVER, .row = roster->count};
	roster->all[roster->count++] = peer;
	enrank(roster, peer);
}

static void uncall(struct roster *roster, struct peer *peer)
{
	struct peer **at = &roster->called;

	while (*at != peer)
		at = &(*at)->place.next;
	*at = peer->place.next;
	peer->place.is_called = false;
}

/* Contract in the header. */
void roster_remove(struct roster *roster, struct peer *peer)
{
	struct peer *last = roster->all[--roster->count];

	if (peer->place.is_called)
		uncall(roster, peer);
	else
		derank(roster, peer);
	roster->all[peer->place.row] = last;
	last->place.row = peer->place.row;
}

/* One that is called plans anew in its turn. */
void roster_plan(struct roster *roster, struct peer *peer, struct time_us at)
{
	peer->place.deadline = time_min(peer->place.deadline, at);
	if (!peer->place.is_called)
		rise(roster, peer);
}

/* In the order of their deadlines. */
void roster_call(struct roster *roster, struct time_us now)
{
	struct peer **end = &roster->called;

	while (*end)
		end = &(*end)->place.next;
	while (roster->ranked > 0 && time_reached(now, roster->ranks[0]->place.deadline)) {
		struct peer *peer = roster->ranks[0];

		derank(roster, peer);
		peer->place.is_called = true;
		peer->place.next = NULL;
		*end = peer;
		end = &peer->place.next;
	}
}

/* Contract in the header. */
struct peer *roster_next_called(struct roster *roster)
{
	struct peer *peer = roster->called;

	if (!peer)
		return NULL;
	uncall(roster, peer);
	peer->place.deadline = TIME_NEVER;
	enrank(roster, peer);
	return peer;
}

/* Contract in the header. */
struct time_us roster_deadline(const struct roster *roster)
{
	return roster->ranked > 0 ? roster->ranks[0]->place.deadline : TIME_NEVER;
}
