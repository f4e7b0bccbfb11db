#include "proto/coordinator/realm.h"

#include <string.h>

#include "base/mem.h"
#include "proto/session/abroad.h"

static void tell(struct coordinator *c, enum coordinator_event_type type, const char *zone, uint8_t reason)
{
	static const struct node_id nobody;
	struct coordinator_event event = {.type = type, .id = &nobody, .fqdn = zone, .reason = reason};

	if (c->env.event)
		c->env.event(c->env.ctx, &event);
}

static void end_fetch(struct realm *realm)
{
	mem_free(realm->part);
	realm->part = NULL;
	realm->from = NULL;
	realm->part_at = realm->part_size = 0;
	realm->part_epoch = 0;
}

static void destroy(struct realm *realm)
{
	end_fetch(realm);
	mem_free(realm->network);
	mem_free(realm->bytes);
	mem_free(realm);
}

static bool is_same(const struct trusted_entry *a, const struct trusted_entry *b)
{
	return strcmp(a->zone, b->zone) == 0 && memcmp(a->authority, b->authority, KEY_SIZE) == 0 &&
	       a->pool4.bits == b->pool4.bits && ip_equal(&a->pool4.ip, &b->pool4.ip) &&
	       a->pool6.bits == b->pool6.bits && ip_equal(&a->pool6.ip, &b->pool6.ip);
}

/* By the trusted network's own zone, not by one below. */
struct realm *realm_find(const struct coordinator *c, const char *zone)
{
	for (uint8_t i = 0; c->realms && i < c->realms->count; i++)
		if (strcmp(c->realms->list[i]->trusted.zone, zone) == 0)
			return c->realms->list[i];
	return NULL;
}

static bool is_trusted(const struct network *network, const struct realm *realm)
{
	for (uint8_t i = 0; i < network->trusted_count; i++)
		if (is_same(&network->trusted[i], &realm->trusted))
			return true;
	return false;
}

/* Everything that hangs on it, then itself. */
static void forget(struct coordinator *c, uint8_t index)
{
	struct realm *realm = c->realms->list[index];

	for (uint32_t i = 0; i < c->foreign_count;)
		if (c->foreigns[i]->realm == realm)
			foreign_forget(c, i);
		else
			i++;
	destroy(realm);
	c->realms->list[index] = c->realms->list[--c->realms->count];
}

/* A zone that our own network has now is not another's either. */
static void forget_lost_zones(struct coordinator *c)
{
	for (uint32_t i = 0; i < c->foreign_count;) {
		const struct foreign *f = c->foreigns[i];
		const struct trusted_entry *entry = f->realm ? abroad_find(c->network, f->entry.zone) : NULL;

		if (f->realm && (!entry || !is_same(entry, &f->realm->trusted)))
			foreign_forget(c, i);
		else
			i++;
	}
}

/* See realm.h. */
void realm_set_network(struct coordinator *c)
{
	if (!c->realms)
		c->realms = mem_alloc(1, sizeof *c->realms);
	for (uint8_t i = 0; i < c->realms->count;)
		if (is_trusted(c->network, c->realms->list[i]))
			i++;
		else
			forget(c, i);
	forget_lost_zones(c);
	for (uint8_t i = 0; i < c->network->trusted_count; i++) {
		struct realm *realm = realm_find(c, c->network->trusted[i].zone);

		if (realm || c->realms->count == TRUSTED_MAX)
			continue;
		realm = mem_alloc(1, sizeof *realm);
		realm->trusted = c->network->trusted[i];
		c->realms->list[c->realms->count++] = realm;
	}
}

/* Their coordinators are gone by then. */
void realm_destroy_all(struct coordinator *c)
{
	for (uint8_t i = 0; c->realms && i < c->realms->count; i++)
		destroy(c->realms->list[i]);
	mem_free(c->realms);
	c->realms = NULL;
}

/* --- their document comes --- */

static void ask(struct coordinator *c, struct foreign *f)
{
	uint8_t bytes[PAD_REQUEST_TO];
	struct writer w = writer_over(bytes, sizeof bytes);
	uint32_t transaction = coordinator_random_u32(c);
	struct network_request request = {.epoch = f->realm->part_epoch, .offset = f->realm->part_at};
	size_t size;

	message_header_encode(MESSAGE_NETWORK_REQUEST, transaction, &w);
	network_request_encode(&request, &w);
	if (writer_finish(&w, &size) == OK)
		(void)!request_add(&f->requests, MESSAGE_NETWORK_REQUEST, transaction, (struct blob){bytes, size},
				   c->now, REQUEST_RETRY_US, true);
}

/* One coordinator at a time is as good as all: they have the same. */
void realm_fetch(struct coordinator *c, struct foreign *f)
{
	struct realm *realm = f->realm;

	if (!realm || realm->from)
		return;
	end_fetch(realm);
	realm->part = mem_alloc(NETWORK_MAX_SIZE, 1);
	realm->from = f;
	ask(c, f);
}

/* See realm.h. */
void realm_forget_from(struct foreign *f)
{
	if (f->realm && f->realm->from == f)
		end_fetch(f->realm);
}

/* The document names it, with that very key and for the zone that DNS was asked for: it may speak for its nodes. */
static void prove(struct coordinator *c, struct foreign *f)
{
	struct realm *realm = f->realm;
	const struct coordinator_entry *entry =
		abroad_coordinator(c->network, &realm->trusted, realm->network, f->entry.zone);

	if (f->state != DIRECTORY_FOUND || !f->is_up)
		return;
	if (!entry || memcmp(entry->static_key, f->entry.static_key, KEY_SIZE) != 0) {
		tell(c, COORDINATOR_REALM_REFUSED, f->entry.zone, REASON_NOT_TRUSTED);
		directory_refuse(c, f, REASON_NOT_TRUSTED);
		return;
	}
	f->entry = *entry;
	if (f->is_proved)
		return;
	f->is_proved = true;
	tell(c, COORDINATOR_REALM_TAKEN, f->entry.zone, REASON_NONE);
	inquiry_resend(c, f);
}

/* Whom their account server has revoked; it has no say about ours. */
static void revoke_visitors(struct coordinator *c, const struct realm *realm)
{
	for (uint32_t i = 0; i < c->foreign_count; i++) {
		struct foreign *f = c->foreigns[i];

		for (struct member *visitor = f->visitors; f->realm == realm && visitor; visitor = visitor->home_next)
			if (!visitor->is_revoked && abroad_is_revoked(realm->network, &visitor->id)) {
				visitor->is_revoked = true;
				pair_push_updates(c, visitor, true);
			}
	}
}

static void adopt(struct realm *realm, const struct network *network)
{
	if (!realm->network)
		realm->network = mem_alloc(1, sizeof *realm->network);
	if (!realm->bytes)
		realm->bytes = mem_alloc(NETWORK_MAX_SIZE, 1);
	*realm->network = *network;
	memcpy(realm->bytes, realm->part, realm->part_size);
	realm->size = realm->part_size;
}

/* All of it is here. An older one than we have undoes no revocation. */
static void finish(struct coordinator *c, struct realm *realm)
{
	struct network *network = mem_alloc(1, sizeof *network);
	struct foreign *from = realm->from;
	enum err err = network_judge((struct blob){realm->part, realm->part_size}, realm->trusted.authority, network);

	if (err == OK && network->version_floor > PROTOCOL_VERSION)
		err = ERR_UNSUPPORTED;
	if (err == OK && (!realm->network || network->epoch > realm->network->epoch))
		adopt(realm, network);
	mem_free(network);
	end_fetch(realm);
	if (err) {
		tell(c, COORDINATOR_REALM_REFUSED, from->entry.zone, REASON_BAD_CREDENTIAL);
		directory_refuse(c, from, REASON_NOT_TRUSTED);
		return;
	}
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if (c->foreigns[i]->realm == realm)
			prove(c, c->foreigns[i]);
	revoke_visitors(c, realm);
}

/* In order; another epoch's pieces begin anew. What is known already need not come whole. */
enum err realm_input_response(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	struct realm *realm = f->realm;
	struct network_response m;
	enum err err = network_response_decode(body, &m);

	if (err)
		return err;
	if (!realm || realm->from != f || !request_done(&f->requests, transaction, NULL))
		return ERR_UNKNOWN;
	if (realm->part_at && (m.epoch != realm->part_epoch || m.size != realm->part_size)) {
		realm->part_at = 0;
		realm->part_epoch = m.epoch;
		ask(c, f);
		return OK;
	}
	if (m.offset != realm->part_at)
		return ERR_STATE;
	if (realm->network && m.epoch == realm->network->epoch) {
		end_fetch(realm);
		prove(c, f);
		return OK;
	}
	memcpy(realm->part + realm->part_at, m.data.data, m.data.size);
	realm->part_epoch = m.epoch;
	realm->part_size = m.size;
	realm->part_at = (uint16_t)(realm->part_at + m.data.size);
	if (realm->part_at < realm->part_size)
		ask(c, f);
	else
		finish(c, realm);
	return OK;
}

/* Ours, for theirs: it is judged there as theirs is here. */
enum err realm_input_request(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body)
{
	uint8_t bytes[CONTROL_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	struct network_request request;
	struct network_response response;
	enum err err = network_request_decode(body, &request);

	if (err)
		return err;
	if (!f->realm || request.zone[0] ||
	    !network_part_cut(c->network, c->network_bytes, c->network_size, request.offset, &response))
		return ERR_DENIED;
	message_header_encode(MESSAGE_NETWORK_RESPONSE, transaction, &w);
	network_response_encode(&response, &w);
	foreign_reply(c, f, &w);
	return OK;
}

static bool is_among(const struct server_addresses *all, const struct server_addresses *some)
{
	for (uint8_t i = 0; i < some->count; i++) {
		bool found = false;

		for (uint8_t k = 0; k < all->count; k++)
			found |= addr_equal(&all->list[k], &some->list[i]);
		if (!found)
			return false;
	}
	return true;
}

/* See realm.h. */
bool realm_has_relay(const struct realm *realm, const struct relay_grant *grant)
{
	for (uint8_t i = 0; realm->network && i < realm->network->relay_count; i++)
		if (strcmp(realm->network->relays[i].name, grant->name) == 0 &&
		    is_among(&realm->network->relays[i].addresses, &grant->addresses))
			return true;
	return false;
}
