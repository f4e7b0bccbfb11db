/*
 * udp_join.c: which datagrams of an array may leave as one train. What comes one by one from one flow, or in runs cut
 * out of a mixed train, costs the kernel one message instead of many. Nothing is copied and nothing waits: only what
 * is there already is joined.
 */
#include <string.h>

#include "io/udp_socket.h"

enum { UDP_CHAIN_SLOTS = 64, UDP_CHAIN_PROBES = 4 };

/* A chain while it grows. */
struct udp_chain {
	uint8_t first, last;
	uint16_t segment_size;
	uint32_t bytes, segments;
	bool is_open; /* all segments so far are full */
};

static size_t udp_slot_of(const struct addr *remote)
{
	uint64_t words[2];

	memcpy(words, remote->ip.bytes, sizeof(words));
	return (((words[0] ^ words[1]) + remote->port) * UINT64_C(0x9e3779b97f4a7c15)) >> 58;
}

/* Once for each datagram that is sent: words, and no call. */
static bool udp_same_addr(const struct addr *a, const struct addr *b)
{
	uint64_t ours[2], theirs[2];

	memcpy(ours, a->ip.bytes, sizeof(ours));
	memcpy(theirs, b->ip.bytes, sizeof(theirs));
	return ((ours[0] ^ theirs[0]) | (ours[1] ^ theirs[1])) == 0 && a->ip.family == b->ip.family &&
	       a->port == b->port;
}

static bool udp_same_route(const struct route *a, const struct route *b)
{
	return a->ifindex == b->ifindex && udp_same_addr(&a->remote, &b->remote) && udp_same_addr(&a->local, &b->local);
}

static bool udp_begin(const struct datagram *datagram, uint8_t index, size_t segments_max, struct udp_chain *ret)
{
	size_t segment = datagram->segment_size ? datagram->segment_size : datagram->size;

	*ret = (struct udp_chain){.first = index, .last = index};
	if (segment == 0 || datagram->size > UDP_TRAIN_BYTES)
		return false;
	ret->segment_size = (uint16_t)segment;
	ret->bytes = (uint32_t)datagram->size;
	ret->segments = (uint32_t)((datagram->size + segment - 1) / segment);
	ret->is_open = datagram->size % segment == 0 && ret->segments <= segments_max;
	return ret->is_open;
}

/* Only the last segment of a train may be shorter. */
static bool udp_append(struct udp_chain *chain, const struct datagram *datagram, size_t segments_max)
{
	size_t segment = chain->segment_size, size = datagram->size;
	bool is_train = datagram->segment_size && datagram->segment_size < size;
	size_t segments;

	if (!chain->is_open) /* one that nothing may join has no segments at all */
		return false;
	segments = (size + segment - 1) / segment;
	if (size == 0 || (is_train ? datagram->segment_size != segment : size > segment) ||
	    chain->bytes + size > UDP_TRAIN_BYTES || chain->segments + segments > segments_max)
		return false;
	chain->bytes += (uint32_t)size;
	chain->segments += (uint32_t)segments;
	chain->is_open = size % segment == 0;
	return true;
}

/*
 * Where a remote's newest chain is noted, or may be: places one after the other, so that two remotes of one hash still
 * have one each. The last of them is taken from another one, which begins a new chain then.
 */
static uint8_t *udp_find_newest(uint8_t newest[UDP_CHAIN_SLOTS], const struct udp_chain *chains,
				const struct datagram *datagrams, const struct addr *remote)
{
	size_t slot = udp_slot_of(remote);
	uint8_t *at = &newest[slot];

	for (size_t i = 0; i < UDP_CHAIN_PROBES; i++) {
		at = &newest[(slot + i) % UDP_CHAIN_SLOTS];
		if (!*at || udp_same_addr(&datagrams[chains[*at - 1].first].route.remote, remote))
			break;
	}
	return at;
}

/* A remote's newest chain is the only one that may grow, so that nothing overtakes what goes to the same one. */
void udp_find_chains(const struct datagram *datagrams, size_t count, size_t segments_max, struct udp_chains *ret)
{
	struct udp_chain chains[UDP_JOIN_MAX];
	uint8_t newest[UDP_CHAIN_SLOTS]; /* by remote, one higher than it is */
	size_t chain_count = 0;

	memset(newest, 0, sizeof(newest));
	for (size_t i = 0; i < count; i++) {
		uint8_t *at = udp_find_newest(newest, chains, datagrams, &datagrams[i].route.remote);
		struct udp_chain *chain = *at ? &chains[*at - 1] : NULL;

		ret->next[i] = UDP_JOIN_MAX;
		ret->is_first[i] = !chain || !udp_same_route(&datagrams[chain->first].route, &datagrams[i].route) ||
				   !udp_append(chain, &datagrams[i], segments_max);
		if (!ret->is_first[i]) {
			ret->next[chain->last] = (uint8_t)i;
			chain->last = (uint8_t)i;
			continue;
		}
		(void)udp_begin(&datagrams[i], (uint8_t)i, segments_max, &chains[chain_count]);
		*at = (uint8_t)++chain_count;
	}
}
