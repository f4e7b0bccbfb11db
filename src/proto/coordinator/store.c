/* store.c: what must survive a restart: identities with their certificate, lease and revocation, as records.
 * Acknowledged means fsynced. */
#include <string.h>

#include "base/mem.h"
#include "proto/coordinator/state.h"

enum { FLAG_REVOKED = 1 };

/*
 * Queues the member's record. A record is written from the state at the time it is pulled, so a member stands in the
 * queue once, at the place of its oldest unpulled change.
 */
void member_changed(struct coordinator *c, struct member *member, bool is_fact)
{
	if (!member->is_dirty) {
		member->is_dirty = true;
		member->dirty_number = ++c->records_queued;
		member->dirty_next = NULL;
		if (c->dirty_last)
			c->dirty_last->dirty_next = member;
		else
			c->dirty_first = member;
		c->dirty_last = member;
	}
	if (is_fact)
		member->fact_number = member->dirty_number;
}

/* u8 version, u8 flags, u64 last seen, u16 size + certificate, u16 size + lease. */
static void record_encode(const struct member *member, struct record *ret)
{
	struct writer w = writer_over(ret->value, sizeof ret->value);
	size_t size = 0;

	*ret = (struct record){.table = RECORD_LEASE, .erase = member->is_erased, .key_size = NODE_ID_SIZE};
	memcpy(ret->key, member->id.bytes, NODE_ID_SIZE);
	if (member->is_erased)
		return;
	write_u8(&w, RECORD_VERSION);
	write_u8(&w, member->is_revoked ? FLAG_REVOKED : 0);
	write_u64(&w, member->last_seen_s);
	write_u16(&w, member->certificate_size);
	write_bytes(&w, member->certificate, member->certificate_size);
	write_u16(&w, member->lease_size);
	write_bytes(&w, member->lease_bytes, member->lease_size);
	_Static_assert(RECORD_VALUE_MAX >= 14 + CERTIFICATE_MAX_SIZE + LEASE_MAX_SIZE, "a record always fits");
	if (writer_finish(&w, &size) == OK)
		ret->value_size = (uint16_t)size;
}

/* In the order of the changes. */
bool coordinator_next_record(struct coordinator *c, struct record *ret)
{
	struct member *member = c->dirty_first;

	if (!member)
		return false;
	c->dirty_first = member->dirty_next;
	if (!c->dirty_first)
		c->dirty_last = NULL;
	member->is_dirty = false;
	c->records_pulled = member->dirty_number;
	record_encode(member, ret);
	if (member->is_erased)
		member_destroy(member);
	return true;
}

/* What was pulled is now safe, so whoever waits for it may hear about it. */
void coordinator_records_durable(struct coordinator *c, struct time_us now)
{
	c->now = now;
	c->records_durable = c->records_pulled;
	registration_release_held(c);
}

/* A value taken apart; views into the record. */
struct stored {
	uint8_t flags;
	uint64_t last_seen_s;
	struct blob certificate, lease;
};

/* The store is ours, but a file can be damaged: nothing is believed to be in shape. */
static enum err record_decode(const struct record *record, struct stored *ret)
{
	struct reader r = reader_over(record->value, record->value_size);
	struct stored stored = {0};

	if (record->key_size != NODE_ID_SIZE)
		return ERR_MALFORMED;
	if (read_u8(&r) != RECORD_VERSION)
		reader_fail(&r, ERR_UNSUPPORTED);
	stored.flags = read_u8(&r);
	stored.last_seen_s = read_u64(&r);
	stored.certificate = read_blob(&r, read_u16(&r));
	stored.lease = read_blob(&r, read_u16(&r));
	if (stored.certificate.size > CERTIFICATE_MAX_SIZE || stored.lease.size > LEASE_MAX_SIZE)
		reader_fail(&r, ERR_SIZE);
	if (reader_finish(&r) != OK)
		return reader_finish(&r);
	*ret = stored;
	return OK;
}

/* Of two that claim one name the newer certificate has it: the older one lost it in a change that the store saw only in
 * part. */
static enum err load_name(struct coordinator *c, struct member *member, const char *fqdn)
{
	struct member *holder = member_find_name(c, fqdn);

	if (holder && holder->certificate_serial >= member->certificate_serial)
		return OK;
	if (holder)
		member_clear_name(c, holder);
	return member_set_name(c, member, fqdn);
}

/* What the two documents of a record say; {0} for one that is not there. They must belong to the record's key. */
static enum err load_documents(const struct stored *stored, const struct node_id *id,
			       struct certificate *ret_certificate, struct lease *ret_lease)
{
	struct reader r = reader_over(stored->certificate.data, stored->certificate.size);

	if (stored->certificate.size &&
	    (certificate_decode(&r, ret_certificate) != OK || !node_id_equal(&ret_certificate->id, id)))
		return ERR_MALFORMED;
	r = reader_over(stored->lease.data, stored->lease.size);
	if (stored->lease.size && (lease_decode(&r, ret_lease) != OK || !node_id_equal(&ret_lease->id, id)))
		return ERR_MALFORMED;
	return OK;
}

/* Replays one record. */
enum err coordinator_load(struct coordinator *c, const struct record *record)
{
	struct stored stored = {0};
	struct node_id id;
	struct certificate certificate = {0};
	struct lease lease = {0};
	struct member *member;
	enum err err;

	if (record->table != RECORD_LEASE || record->erase)
		return OK;
	err = record_decode(record, &stored);
	if (err)
		return err;
	memcpy(id.bytes, record->key, NODE_ID_SIZE);
	err = load_documents(&stored, &id, &certificate, &lease);
	if (err)
		return err;
	if (member_find(c, &id))
		return ERR_EXISTS;
	member = member_add(c, &id);
	if (!member)
		return ERR_FULL;
	member->is_revoked = stored.flags & FLAG_REVOKED;
	member->last_seen_s = stored.last_seen_s;
	if (stored.certificate.size) {
		member->certificate_serial = certificate.serial;
		member->certificate_size = (uint16_t)stored.certificate.size;
		memcpy(member->certificate, stored.certificate.data, stored.certificate.size);
		err = load_name(c, member, certificate.fqdn);
	}
	if (err == OK && stored.lease.size)
		err = pool_adopt(c, member, &lease);
	return err;
}
