/*
 * abroad.h: networks of other account servers, as far as ours trusts them: who speaks for a name, and what of another
 * network's documents counts here. Only the own network document gives such trust, which the own account server signed:
 * no coordinator can (T30). Pure functions.
 */
#pragma once

#include "base/err.h"
#include "wire/credential.h"

/* Whose name is it? The network that is trusted for it; NULL: ours, or nobody's. The longest zone around it decides. */
const struct trusted_entry *abroad_find(const struct network *own, const char *name);
/* The coordinator of a zone in another network's document, if that network may serve the zone at all; else NULL. */
const struct coordinator_entry *abroad_coordinator(const struct network *own, const struct trusted_entry *entry,
						   const struct network *theirs, const char *zone);
bool abroad_is_revoked(const struct network *theirs, const struct node_id *id);
/*
 * Certificate and lease of a node of another network, whose document was judged by entry->authority. The name must be
 * the network's to give, the addresses must lie where ours said. ERR_DENIED otherwise, or when it is revoked. Groups
 * are the other network's affair and not in *ret_certificate; an IPv4 address that has no place here not in *ret_lease.
 */
must_use enum err abroad_judge(const struct network *own, const struct trusted_entry *entry,
			       const struct network *theirs, struct blob certificate, struct blob lease, uint64_t now_s,
			       struct certificate *ret_certificate, struct lease *ret_lease);
