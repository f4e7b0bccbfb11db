/* pool.c: virtual addresses for life: IPv4 from the pool, IPv6 from the NodeID (design 9). Checked and assigned in one
 * step. */
#include <string.h>

#include "crypto/hash.h"
#include "proto/coordinator/state.h"

/* The offset of ip in the pool; ip lies in it. */
static uint64_t pool_offset(const struct prefix *pool, const struct ip *ip)
{
	uint32_t base = 0, value = 0;

	for (int i = 0; i < 4; i++) {
		base = base << 8 | pool->ip.bytes[i];
		value = value << 8 | ip->bytes[i];
	}
	return value - base;
}

/* The other way. */
static struct ip pool_at(const struct prefix *pool, uint64_t offset)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 8 | pool->ip.bytes[i];
	value += (uint32_t)offset;
	return ip_v4((uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value);
}

/* Same key as member.c uses. */
static uint64_t ip_key(const struct coordinator *c, const struct ip *ip)
{
	return siphash(c->hash_key, ip->bytes, sizeof ip->bytes);
}

/* Never leased before. First and last address of a pool are left out: some systems treat them as network and broadcast.
 */
static bool take_fresh(struct coordinator *c, struct ip *ret)
{
	const struct prefix *pool = &c->config.pool4;
	uint64_t size = UINT64_C(1) << (32 - pool->bits);
	uint64_t end = size > 2 ? size - 1 : size;

	if (c->pool4_next == 0 && size > 2)
		c->pool4_next = 1;
	while (c->pool4_next < end) {
		struct ip ip = pool_at(pool, c->pool4_next++);

		if (!ip_equal(&ip, &c->config.ns_v4) && !map_get(&c->by_v4, ip_key(c, &ip))) {
			*ret = ip;
			return true;
		}
	}
	return false;
}

/* Fresh ones first; then of whoever is gone for longest, if anybody is gone for good. */
static enum err choose_v4(struct coordinator *c, struct ip *ret)
{
	struct member *old;

	if (c->config.pool4.ip.family != 4)
		return ERR_FULL;
	if (take_fresh(c, ret))
		return OK;
	old = member_find_reusable(c);
	if (!old)
		return ERR_FULL;
	*ret = old->lease.v4;
	coordinator_tell(c, COORDINATOR_LEASE_REUSED, old, NULL, 0);
	member_remove(c, old);
	return OK;
}

/* Signs what member->lease says. */
static enum err lease_issue(struct coordinator *c, struct member *member, const struct lease *lease)
{
	uint8_t bytes[LEASE_MAX_SIZE];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct lease signed_lease = *lease;
	size_t size;
	enum err err;

	memcpy(signed_lease.coordinator_key, c->config.sign_keys.public, KEY_SIZE);
	signed_lease.issued_s = coordinator_wall_s(c);
	signed_lease.not_after_s = signed_lease.issued_s + LEASE_VALID_S;
	lease_sign(&signed_lease, &c->config.sign_keys);
	lease_encode(&signed_lease, &w);
	err = writer_finish(&w, &size);
	if (err)
		return err;
	member->lease = signed_lease;
	member->lease_size = (uint16_t)size;
	memcpy(member->lease_bytes, bytes, size);
	return OK;
}

/* Past half of its life, or signed by a key of before. */
static bool needs_renewal(const struct coordinator *c, const struct lease *lease)
{
	return memcmp(lease->coordinator_key, c->config.sign_keys.public, KEY_SIZE) != 0 ||
	       lease->not_after_s < coordinator_wall_s(c) + LEASE_VALID_S / 2;
}

/* A first lease: both addresses entered in the tables before anybody hears of them. */
static enum err lease_first(struct coordinator *c, struct member *member)
{
	struct lease lease = {.id = member->id, .epoch = 1, .v6 = node_id_v6(&member->id, &c->config.pool6)};
	enum err err;

	if (map_get(&c->by_v6, ip_key(c, &lease.v6)))
		return ERR_EXISTS;
	err = choose_v4(c, &lease.v4);
	if (err == OK)
		err = lease_issue(c, member, &lease);
	if (err == OK)
		err = map_put(&c->by_v4, ip_key(c, &lease.v4), member);
	if (err)
		return err;
	member->has_lease = true;
	err = map_put(&c->by_v6, ip_key(c, &lease.v6), member);
	if (err) {
		pool_release(c, member);
		return err;
	}
	member_changed(c, member, true);
	return OK;
}

/* Makes sure that the member holds a lease with at least half of its life left. Addresses never change. */
enum err pool_lease(struct coordinator *c, struct member *member)
{
	struct lease lease;
	enum err err;

	if (!member->has_lease)
		return lease_first(c, member);
	if (!needs_renewal(c, &member->lease))
		return OK;
	lease = member->lease;
	lease.epoch++;
	err = lease_issue(c, member, &lease);
	if (err == OK)
		member_changed(c, member, true);
	return err;
}

/* A lease from the store. One whose addresses are not ours to give any more, or taken, is dropped: the member gets new
 * ones when it comes. */
enum err pool_adopt(struct coordinator *c, struct member *member, const struct lease *lease)
{
	struct ip v6 = node_id_v6(&member->id, &c->config.pool6);
	uint8_t bytes[LEASE_MAX_SIZE];
	struct writer w = writer_over(bytes, sizeof bytes);
	uint64_t offset;
	size_t size;

	lease_encode(lease, &w);
	if (writer_finish(&w, &size) != OK)
		return ERR_MALFORMED;
	if (!prefix_contains(&c->config.pool4, &lease->v4) || !ip_equal(&v6, &lease->v6) ||
	    map_get(&c->by_v4, ip_key(c, &lease->v4)) || map_get(&c->by_v6, ip_key(c, &lease->v6)))
		return OK;
	if (map_put(&c->by_v4, ip_key(c, &lease->v4), member) != OK ||
	    map_put(&c->by_v6, ip_key(c, &lease->v6), member) != OK)
		return ERR_FULL;
	member->has_lease = true;
	member->lease = *lease;
	member->lease_size = (uint16_t)size;
	memcpy(member->lease_bytes, bytes, size);
	offset = pool_offset(&c->config.pool4, &lease->v4);
	if (c->pool4_next <= offset)
		c->pool4_next = offset + 1;
	return OK;
}

/* The addresses are nobody's again. */
void pool_release(struct coordinator *c, struct member *member)
{
	if (!member->has_lease)
		return;
	map_remove(&c->by_v4, ip_key(c, &member->lease.v4));
	map_remove(&c->by_v6, ip_key(c, &member->lease.v6));
	member->has_lease = false;
	member->lease_size = 0;
}
