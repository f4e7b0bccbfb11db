/* member.c: the table of identities: found by NodeID, name and address; nobody shares a name or an address with
 * anybody. */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/foreign.h"

/* Strangers choose NodeIDs and ask for names, so every key is hashed under a secret (T32). */
static uint64_t table_key(const struct coordinator *c, const void *bytes, size_t size)
{
	return siphash(c->hash_key, bytes, size);
}

/* Both families. */
static uint64_t ip_key(const struct coordinator *c, const struct ip *ip)
{
	return table_key(c, ip->bytes, sizeof ip->bytes);
}

/* By identity. */
struct member *member_find(const struct coordinator *c, const struct node_id *id)
{
	struct member *member = map_get(&c->by_id, table_key(c, id->bytes, sizeof id->bytes));

	return member && node_id_equal(&member->id, id) ? member : NULL;
}

/* fqdn in lower case. */
struct member *member_find_name(const struct coordinator *c, const char *fqdn)
{
	struct member *member = map_get(&c->by_name, table_key(c, fqdn, strlen(fqdn)));

	return member && strcmp(member->fqdn, fqdn) == 0 ? member : NULL;
}

/* By virtual address of either family. */
struct member *member_find_ip(const struct coordinator *c, const struct ip *ip)
{
	struct member *member = map_get(ip->family == 4 ? &c->by_v4 : &c->by_v6, ip_key(c, ip));

	if (!member || !member->has_lease)
		return NULL;
	return ip_equal(ip->family == 4 ? &member->lease.v4 : &member->lease.v6, ip) ? member : NULL;
}

/* Gone for longer than any copy of its lease can be valid. */
static bool is_reusable(const struct coordinator *c, const struct member *member)
{
	return member->has_lease && !member->is_online &&
	       member->lease.not_after_s + LEASE_GRACE_S < coordinator_wall_s(c);
}

/* Only looked for when pool or table are used up: a scan is good enough. */
struct member *member_find_reusable(const struct coordinator *c)
{
	struct member *oldest = NULL;

	for (uint32_t i = 0; i < c->counters.nodes; i++) {
		struct member *member = c->members[i];

		/* A revocation must not be forgotten. */
		if (!member->is_revoked && is_reusable(c, member) &&
		    (!oldest || member->lease.not_after_s < oldest->lease.not_after_s))
			oldest = member;
	}
	return oldest;
}

/* Makes room when the table is full, if anybody is long gone. */
struct member *member_add(struct coordinator *c, const struct node_id *id)
{
	uint64_t key = table_key(c, id->bytes, sizeof id->bytes);
	struct member *member;

	if (map_get(&c->by_id, key))
		return NULL; /* two identities with one 64-bit hash under a secret key: not met in practice */
	if (c->counters.nodes == c->config.nodes_max) {
		struct member *old = member_find_reusable(c);

		if (!old)
			return NULL;
		coordinator_tell(c, COORDINATOR_LEASE_REUSED, old, NULL, 0);
		member_remove(c, old);
	}
	member = mem_alloc(1, sizeof *member);
	member->id = *id;
	if (map_put(&c->by_id, key, member) != OK) {
		mem_free(member);
		return NULL;
	}
	member->index = c->counters.nodes++;
	c->members[member->index] = member;
	return member;
}

/* The name is free again. */
void member_clear_name(struct coordinator *c, struct member *member)
{
	if (member->fqdn[0])
		map_remove(&c->by_name, table_key(c, member->fqdn, strlen(member->fqdn)));
	memset(member->fqdn, 0, sizeof member->fqdn);
}

/* Asked before anything is assigned. */
bool member_may_take_name(const struct coordinator *c, const struct node_id *id, const char *fqdn)
{
	const struct member *holder = map_get(&c->by_name, table_key(c, fqdn, strlen(fqdn)));

	return !holder || node_id_equal(&holder->id, id) || holder->is_revoked || is_reusable(c, holder);
}

/* ERR_EXISTS while another identity holds the name; a revoked or long gone one gives it up, with the certificate that
 * says so. */
enum err member_set_name(struct coordinator *c, struct member *member, const char *fqdn)
{
	uint64_t key = table_key(c, fqdn, strlen(fqdn));
	struct member *holder = map_get(&c->by_name, key);

	if (!member_may_take_name(c, &member->id, fqdn))
		return ERR_EXISTS;
	if (holder && holder != member) {
		member_clear_name(c, holder);
		holder->certificate_size = 0;
		member_changed(c, holder, true);
	}
	member_clear_name(c, member);
	memcpy(member->fqdn, fqdn, strlen(fqdn) + 1);
	return map_put(&c->by_name, key, member);
}

/* Sessions, then tunnels, then indices; a record of erasure is left behind. */
void member_remove(struct coordinator *c, struct member *member)
{
	struct member *last = c->members[--c->counters.nodes];

	member_drop_sessions(c, member);
	pair_forget_all(c, member);
	inquiry_forget_all(c, member);
	relays_forget_member(c, member);
	pool_release(c, member);
	member_clear_name(c, member);
	map_remove(&c->by_id, table_key(c, member->id.bytes, sizeof member->id.bytes));
	c->members[member->index] = last;
	last->index = member->index;
	c->members[c->counters.nodes] = NULL;
	member->is_erased = true;
	member_changed(c, member, true);
}

/* Everything that belongs to its being here. */
void member_drop_sessions(struct coordinator *c, struct member *member)
{
	bool was_online = member->is_online;

	for (int i = 0; i < PENDING_PER_MEMBER; i++)
		channel_destroy(c, member->pending[i]);
	channel_destroy(c, member->live);
	delay_stop(&member->silence);
	member->is_online = false;
	if (!was_online)
		return;
	c->counters.online--;
	member->last_seen_s = coordinator_wall_s(c);
	member_changed(c, member, false);
	coordinator_tell(c, COORDINATOR_NODE_OFFLINE, member, NULL, 0);
}

/* The network document's list is the newest; older revocations live in the table. */
bool member_is_revoked(const struct coordinator *c, const struct node_id *id)
{
	const struct member *member = member_find(c, id);

	if (member && member->is_revoked)
		return true;
	for (size_t i = 0; c->network && i < c->network->revoked_count; i++)
		if (node_id_equal(&c->network->revoked[i], id))
			return true;
	return false;
}

/* Does not touch any table. */
void member_destroy(struct member *member)
{
	delay_stop(&member->echo.delay);
	wipe(member, sizeof *member);
	mem_free(member);
}

/* Known or not: whoever is revoked before it ever came must not come. */
void coordinator_revoke(struct coordinator *c, struct time_us now, const struct node_id *id)
{
	struct member *member = member_find(c, id), *visitor = visitor_find(c, id);

	c->now = now;
	if (visitor && !visitor->is_revoked) {
		visitor->is_revoked = true;
		pair_push_updates(c, visitor, true);
	}
	if (!member)
		member = member_add(c, id);
	if (!member || member->is_revoked)
		return;
	member->is_revoked = true;
	member_drop_sessions(c, member);
	pair_mark_stale(member);
	pair_push_updates(
		c, member,
		true); /* its peers end their tunnels; those that do not hear of it end them with their keys */
	member_changed(c, member, true);
	coordinator_tell(c, COORDINATOR_NODE_REVOKED, member, NULL, REASON_REVOKED);
}

/* The node comes back by registering; name and addresses are still its own. */
void coordinator_restore(struct coordinator *c, struct time_us now, const struct node_id *id)
{
	struct member *member = member_find(c, id);

	c->now = now;
	if (!member || !member->is_revoked)
		return;
	member->is_revoked = false;
	member_changed(c, member, true);
	coordinator_tell(c, COORDINATOR_NODE_RESTORED, member, NULL, 0);
}

/* For `ntm nodes`. */
bool coordinator_node_at(const struct coordinator *c, uint32_t index, struct coordinator_node_info *ret)
{
	const struct member *member;

	if (index >= c->counters.nodes)
		return false;
	member = c->members[index];
	*ret = (struct coordinator_node_info){
		.id = member->id,
		.observed = member->observed,
		.online = member->is_online,
		.revoked = member->is_revoked,
		.last_seen_s = member->is_online ? coordinator_wall_s(c) : member->last_seen_s,
		.tunnels = member->end_count,
	};
	memcpy(ret->fqdn, member->fqdn, sizeof ret->fqdn);
	if (member->has_lease) {
		ret->v4 = member->lease.v4;
		ret->v6 = member->lease.v6;
		ret->lease_not_after_s = member->lease.not_after_s;
	}
	return true;
}
