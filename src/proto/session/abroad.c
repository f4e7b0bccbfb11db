#include "proto/session/abroad.h"

#include <string.h>

#include "proto/session/trust.h"
#include "wire/dns.h"

/* Zones may lie in each other: a partner's in ours, ours in a partner's. At a tie it is ours. */
const struct trusted_entry *abroad_find(const struct network *own, const char *name)
{
	const struct trusted_entry *best = NULL;
	size_t best_size = 0;

	for (uint8_t i = 0; i < own->trusted_count; i++) {
		size_t size = strlen(own->trusted[i].zone);

		if (size > best_size && dns_name_in_zone(name, own->trusted[i].zone)) {
			best = &own->trusted[i];
			best_size = size;
		}
	}
	for (uint8_t i = 0; best && i < own->coordinator_count; i++)
		if (strlen(own->coordinators[i].zone) >= best_size && dns_name_in_zone(name, own->coordinators[i].zone))
			best = NULL;
	return best;
}

/* Zones stand once in the document. */
static bool speaks_for(const struct network *own, const struct trusted_entry *entry, const char *name)
{
	const struct trusted_entry *found = abroad_find(own, name);

	return found && strcmp(found->zone, entry->zone) == 0;
}

/* See the header. */
const struct coordinator_entry *abroad_coordinator(const struct network *own, const struct trusted_entry *entry,
						   const struct network *theirs, const char *zone)
{
	if (!speaks_for(own, entry, zone))
		return NULL;
	for (uint8_t i = 0; i < theirs->coordinator_count; i++)
		if (strcmp(theirs->coordinators[i].zone, zone) == 0)
			return &theirs->coordinators[i];
	return NULL;
}

/* By their account server; ours revokes its own. */
bool abroad_is_revoked(const struct network *theirs, const struct node_id *id)
{
	for (uint16_t i = 0; i < theirs->revoked_count; i++)
		if (node_id_equal(&theirs->revoked[i], id))
			return true;
	return false;
}

/* An address is used only where our account server has given the other network room. */
static enum err place(const struct trusted_entry *entry, struct lease *lease)
{
	if (!entry->pool6.ip.family || !prefix_contains(&entry->pool6, &lease->v6))
		return ERR_DENIED;
	if (!entry->pool4.ip.family)
		lease->v4 = (struct ip){0};
	return !lease->v4.family || prefix_contains(&entry->pool4, &lease->v4) ? OK : ERR_DENIED;
}

/* Like a member's, but by other keys, and within bounds. */
enum err abroad_judge(const struct network *own, const struct trusted_entry *entry, const struct network *theirs,
		      struct blob encoded_certificate, struct blob encoded_lease, uint64_t now_s,
		      struct certificate *ret_certificate, struct lease *ret_lease)
{
	const struct coordinator_entry *coordinator;
	struct certificate certificate;
	struct lease lease;
	const char *dot;
	enum err err = certificate_judge(encoded_certificate, entry->authority, now_s, &certificate);

	if (err == OK)
		err = lease_judge(encoded_lease, theirs, &certificate.id, now_s, &lease);
	if (err)
		return err;
	dot = strchr(certificate.fqdn, '.');
	coordinator = dot && speaks_for(own, entry, certificate.fqdn) ? abroad_coordinator(own, entry, theirs, dot + 1)
								      : NULL;
	if (!coordinator || memcmp(coordinator->sign_key, lease.coordinator_key, KEY_SIZE) != 0 ||
	    abroad_is_revoked(theirs, &certificate.id))
		return ERR_DENIED;
	err = place(entry, &lease);
	if (err)
		return err;
	certificate.group_count = 0;
	memset(certificate.groups, 0, sizeof certificate.groups);
	*ret_certificate = certificate;
	*ret_lease = lease;
	return OK;
}
