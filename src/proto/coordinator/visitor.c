/* visitor.c: nodes of other zones that have tunnels with ours: known for as long as one of their pairs, never stored.
 */
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/realm.h"
#include "proto/session/abroad.h"

/* Strangers choose NodeIDs. */
static uint64_t visitor_key(const struct coordinator *c, const struct node_id *id)
{
	return siphash(c->hash_key, id->bytes, sizeof id->bytes);
}

/* By identity. */
struct member *visitor_find(const struct coordinator *c, const struct node_id *id)
{
	struct member *visitor = map_get(&c->by_visitor, visitor_key(c, id));

	return visitor && node_id_equal(&visitor->id, id) ? visitor : NULL;
}

/* By their own network's document and key. An identity that is known from elsewhere is not theirs to give: tables are
 * by identity, and whoever is trusted for one network must not reach into another's. */
static uint8_t judge_abroad(const struct coordinator *c, const struct foreign *f, struct blob encoded_certificate,
			    struct blob encoded_lease, struct certificate *ret_certificate, struct lease *ret_lease)
{
	const struct realm *realm = f->realm;
	const struct member *known;

	if (!realm->network || abroad_judge(c->network, &realm->trusted, realm->network, encoded_certificate,
					    encoded_lease, coordinator_wall_s(c), ret_certificate, ret_lease) != OK)
		return REASON_BAD_CREDENTIAL;
	known = visitor_find(c, &ret_certificate->id);
	if (member_find(c, &ret_certificate->id) || (known && known->home->realm != realm))
		return REASON_BAD_CREDENTIAL;
	return REASON_NONE;
}

static uint8_t judge_member(const struct coordinator *c, struct blob encoded_certificate, struct blob encoded_lease,
			    struct certificate *ret_certificate, struct lease *ret_lease)
{
	uint64_t now_s = coordinator_wall_s(c);

	if (!c->network ||
	    certificate_judge_cached(c->signatures, encoded_certificate, c->config.authority, now_s, ret_certificate) !=
		    OK ||
	    lease_judge_cached(c->signatures, encoded_lease, c->network, &ret_certificate->id, now_s, ret_lease) != OK)
		return REASON_BAD_CREDENTIAL;
	return REASON_NONE;
}

/* The coordinator's word counts for nothing but where the node is: its documents are judged (T30). */
uint8_t visitor_judge(const struct coordinator *c, const struct foreign *f, struct blob encoded_certificate,
		      struct blob encoded_lease, struct certificate *ret_certificate, struct lease *ret_lease)
{
	uint8_t reason = f->realm ? judge_abroad(c, f, encoded_certificate, encoded_lease, ret_certificate, ret_lease)
				  : judge_member(c, encoded_certificate, encoded_lease, ret_certificate, ret_lease);

	if (reason != REASON_NONE)
		return reason;
	if (!registration_name_fits(ret_certificate->fqdn, f->entry.zone) ||
	    memcmp(ret_lease->coordinator_key, f->entry.sign_key, KEY_SIZE) != 0)
		return REASON_BAD_CREDENTIAL;
	return member_is_revoked(c, &ret_certificate->id) ? REASON_REVOKED : REASON_NONE;
}

static void link_visitor(struct foreign *f, struct member *visitor)
{
	visitor->home = f;
	visitor->home_prev = NULL;
	visitor->home_next = f->visitors;
	if (f->visitors)
		f->visitors->home_prev = visitor;
	f->visitors = visitor;
}

static void unlink_visitor(struct member *visitor)
{
	if (visitor->home_prev)
		visitor->home_prev->home_next = visitor->home_next;
	else
		visitor->home->visitors = visitor->home_next;
	if (visitor->home_next)
		visitor->home_next->home_prev = visitor->home_prev;
}

/* Anew or as it is now; it may have come from another zone. */
struct member *visitor_enter(struct coordinator *c, struct foreign *f, const struct certificate *certificate,
			     struct blob encoded_certificate, const struct lease *lease, struct blob encoded_lease)
{
	struct member *visitor = visitor_find(c, &certificate->id);

	if (encoded_certificate.size > CERTIFICATE_MAX_SIZE || encoded_lease.size > LEASE_MAX_SIZE)
		return NULL;
	if (visitor && visitor->home->realm != f->realm) { /* our own network's word comes before a trusted one's */
		pair_forget_all(c, visitor);
		visitor = visitor_find(c, &certificate->id);
	}
	if (!visitor) {
		if (map_get(&c->by_visitor, visitor_key(c, &certificate->id)))
			return NULL; /* two identities with one 64-bit hash under a secret key */
		visitor = mem_alloc(1, sizeof *visitor);
		visitor->id = certificate->id;
		if (map_put(&c->by_visitor, visitor_key(c, &visitor->id), visitor) != OK) {
			mem_free(visitor);
			return NULL;
		}
		c->counters.visitors++;
	} else {
		unlink_visitor(visitor);
	}
	link_visitor(f, visitor);
	memcpy(visitor->fqdn, certificate->fqdn, sizeof visitor->fqdn);
	visitor->certificate_serial = certificate->serial;
	visitor->certificate_size = (uint16_t)encoded_certificate.size;
	memcpy(visitor->certificate, encoded_certificate.data, encoded_certificate.size);
	visitor->lease = *lease;
	visitor->lease_size = (uint16_t)encoded_lease.size;
	memcpy(visitor->lease_bytes, encoded_lease.data, encoded_lease.size);
	visitor->has_lease = true;
	visitor->is_revoked = false;
	return visitor;
}

/* See foreign.h. */
void visitor_release(struct coordinator *c, struct member *member)
{
	if (!member->home || member->is_held || member->ends)
		return;
	unlink_visitor(member);
	map_remove(&c->by_visitor, visitor_key(c, &member->id));
	c->counters.visitors--;
	member_destroy(member);
}

/* Their coordinator is no member of the network any more. */
void visitor_forget_all(struct coordinator *c, struct foreign *f)
{
	while (f->visitors) {
		struct member *visitor = f->visitors;

		visitor->is_held = true;
		pair_forget_all(c, visitor);
		visitor->is_held = false;
		visitor_release(c, visitor);
	}
}
