/*
 * directory.c: where the coordinators of other networks are. DNS tells (design 9), and may be anybody: its word says
 * whom to speak to, nothing more. What is found is a `struct foreign` as any other, which has to prove itself.
 */
#include <string.h>

#include "base/mem.h"
#include "proto/coordinator/realm.h"
#include "proto/session/abroad.h"
#include "wire/dns.h"

static const struct bucket_rate lookup_rate = {.per_s = LOOKUPS_PER_S, .burst = LOOKUPS_BURST};

static struct foreign *find(const struct coordinator *c, const char *zone)
{
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if (c->foreigns[i]->realm && strcmp(c->foreigns[i]->entry.zone, zone) == 0)
			return c->foreigns[i];
	return NULL;
}

/* The one of another network that was needed least lately, and that nobody has a tunnel through. */
static bool make_room(struct coordinator *c)
{
	uint32_t oldest = c->foreign_count;

	if (c->foreign_count < FOREIGN_MAX)
		return true;
	for (uint32_t i = 0; i < c->foreign_count; i++) {
		const struct foreign *f = c->foreigns[i];

		if (f->realm && !f->visitors && !f->is_up &&
		    (oldest == c->foreign_count || f->needed.us < c->foreigns[oldest]->needed.us))
			oldest = i;
	}
	if (oldest == c->foreign_count)
		return false;
	foreign_forget(c, oldest);
	return true;
}

static void want(struct coordinator *c, struct foreign *f)
{
	f->state = DIRECTORY_WANTED;
	f->state_until = time_add(c->now, LOOKUP_US);
}

/* A new one, of which the zone alone is known. */
static struct foreign *begin(struct coordinator *c, struct realm *realm, const char *zone, uint8_t *ret_reason)
{
	struct foreign *f;

	*ret_reason = REASON_BUSY;
	if (!bucket_take(&c->realms->lookups, &lookup_rate, c->now) || !make_room(c))
		return NULL;
	f = mem_alloc(1, sizeof *f);
	memcpy(f->entry.zone, zone, strlen(zone));
	f->realm = realm;
	f->needed = c->now;
	f->next_try = TIME_NEVER;
	c->foreigns[c->foreign_count++] = f;
	c->counters.lookups++;
	want(c, f);
	return f;
}

/* A name of ours that nobody has, or another network's? */
static uint8_t why_not(const struct coordinator *c, const char *zone)
{
	if (dns_name_in_zone(zone, c->config.zone))
		return REASON_UNKNOWN_NAME;
	for (uint8_t i = 0; c->network && i < c->network->coordinator_count; i++)
		if (dns_name_in_zone(zone, c->network->coordinators[i].zone))
			return REASON_UNKNOWN_NAME;
	return REASON_NOT_TRUSTED;
}

/* See realm.h. */
struct foreign *directory_obtain(struct coordinator *c, const char *zone, uint8_t *ret_reason)
{
	const struct trusted_entry *entry = c->network ? abroad_find(c->network, zone) : NULL;
	struct realm *realm = entry ? realm_find(c, entry->zone) : NULL;
	struct foreign *f = realm ? find(c, zone) : NULL;

	*ret_reason = REASON_NONE;
	if (!realm) {
		*ret_reason = why_not(c, zone);
		return NULL;
	}
	if (f && f->state == DIRECTORY_REFUSED) {
		*ret_reason = f->refusal;
		return NULL;
	}
	if (f) {
		f->needed = c->now;
		return f;
	}
	if (!c->config.has_resolver) {
		*ret_reason = REASON_NO_ZONE;
		return NULL;
	}
	return begin(c, realm, zone, ret_reason);
}

/* What is known goes on being tried meanwhile. */
void directory_refresh(struct coordinator *c, struct foreign *f)
{
	if (f->realm && f->state == DIRECTORY_FOUND && !f->is_up && time_reached(c->now, f->state_until) &&
	    bucket_take(&c->realms->lookups, &lookup_rate, c->now)) {
		c->counters.lookups++;
		want(c, f);
	}
}

/* See realm.h. */
void directory_refuse(struct coordinator *c, struct foreign *f, uint8_t reason)
{
	foreign_hang_up(c, f);
	f->state = DIRECTORY_REFUSED;
	f->state_until = time_add(c->now, reason == REASON_NO_ZONE ? ZONE_ABSENT_US : ZONE_REFUSED_US);
	f->refusal = reason;
	f->is_proved = false;
	f->next_try = TIME_NEVER;
	inquiry_refuse_to(c, f, reason);
}

static bool is_idle(const struct coordinator *c, const struct foreign *f)
{
	return !f->is_up && !f->visitors && time_since(c->now, f->needed) > ZONE_IDLE_US;
}

/* Asked for in vain, refused for long enough, or not needed by anybody. */
bool directory_run(struct coordinator *c, struct foreign *f)
{
	if (!f->realm || (f->state == DIRECTORY_FOUND ? !is_idle(c, f) : !time_reached(c->now, f->state_until)))
		return false;
	if (f->state == DIRECTORY_WANTED || f->state == DIRECTORY_ASKED) {
		coordinator_input_zone(c, c->now, f->entry.zone, ZONE_SILENT, NULL, 0);
		return false;
	}
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if (c->foreigns[i] == f)
			foreign_forget(c, i);
	return true;
}

/* --- the driver's side --- */

/* See coordinator.h. */
bool coordinator_next_lookup(struct coordinator *c, char ret_zone[ZONE_MAX_SIZE + 1])
{
	for (uint32_t i = 0; i < c->foreign_count; i++) {
		struct foreign *f = c->foreigns[i];

		if (!f->realm || f->state != DIRECTORY_WANTED)
			continue;
		f->state = DIRECTORY_ASKED;
		memcpy(ret_zone, f->entry.zone, ZONE_MAX_SIZE + 1);
		return true;
	}
	return false;
}

/* May the one that DNS names be the coordinator of that zone? Whose account server it has DNS tells as a hint, to say
 * at once what would come to light anyhow. */
static bool is_plausible(const struct coordinator *c, const struct foreign *f, const struct zone_record *record)
{
	const struct foreign *same = foreign_find_key(c, record->static_key);
	uint8_t pin[JOIN_PIN_SIZE];

	authority_pin(f->realm->trusted.authority, pin);
	return memcmp(pin, record->pin, sizeof pin) == 0 && (!same || same == f) &&
	       memcmp(record->static_key, c->config.static_keys.public, KEY_SIZE) != 0;
}

/* Nobody can make us knock at loopback or group addresses (T26). */
static struct server_addresses probeable(const struct server_addresses *told)
{
	struct server_addresses addresses = {0};

	for (uint8_t i = 0; i < told->count && i < SERVER_ADDRESSES_MAX; i++)
		if (addr_is_probeable(&told->list[i]))
			addresses.list[addresses.count++] = told->list[i];
	return addresses;
}

/* Its key may be another one than before: then it is another coordinator. */
static void found(struct coordinator *c, struct foreign *f, const struct zone_record *record, uint32_t ttl_s)
{
	if (ttl_s < ZONE_TTL_MIN_S)
		ttl_s = ZONE_TTL_MIN_S;
	if (ttl_s > ZONE_TTL_MAX_S)
		ttl_s = ZONE_TTL_MAX_S;
	if (memcmp(f->entry.static_key, record->static_key, KEY_SIZE) != 0) {
		foreign_hang_up(c, f);
		f->is_proved = false;
		memcpy(f->entry.static_key, record->static_key, KEY_SIZE);
	}
	f->entry.addresses = probeable(&record->addresses);
	f->state = DIRECTORY_FOUND;
	f->state_until = time_add(c->now, (int64_t)ttl_s * USEC_PER_SEC);
	f->interval_us = HANDSHAKE_RETRY_US;
	f->next_try = c->now;
}

/* See coordinator.h. */
void coordinator_input_zone(struct coordinator *c, struct time_us now, const char *zone, enum zone_lookup outcome,
			    const struct zone_record *record, uint32_t ttl_s)
{
	static const uint8_t nobody[KEY_SIZE];
	struct foreign *f = find(c, zone);

	c->now = now;
	if (!f || (f->state != DIRECTORY_ASKED && f->state != DIRECTORY_WANTED))
		return;
	if (outcome == ZONE_FOUND && is_plausible(c, f, record)) {
		found(c, f, record, ttl_s);
	} else if (outcome == ZONE_FOUND) {
		directory_refuse(c, f, REASON_NOT_TRUSTED);
	} else if (memcmp(f->entry.static_key, nobody, KEY_SIZE) != 0) {
		f->state = DIRECTORY_FOUND; /* DNS is away: it may still be where it was */
		f->state_until = time_add(now, ZONE_ABSENT_US);
	} else {
		directory_refuse(c, f, REASON_NO_ZONE);
	}
}
