/* What the coordinator says about peers: who they are, where they may be, and that there is a tunnel to be made. */
#include <string.h>

#include "proto/node/machine.h"
#include "proto/session/abroad.h"

/* Not judged yet: only to know by whom it has to be. NULL: by our own account server, also when it makes no sense. */
static const struct trusted_entry *abroad_of(const struct node *node, struct blob encoded)
{
	struct reader r = reader_over(encoded.data, encoded.size);
	struct certificate certificate;

	return certificate_decode(&r, &certificate) == OK ? document_abroad(node, certificate.fqdn) : NULL;
}

/* A node of another network can be judged only by that network's document. */
bool direction_is_judgeable(struct node *node, struct time_us now, const struct route_direction *direction)
{
	const struct trusted_entry *entry = abroad_of(node, direction->certificate);

	if (!entry || document_of(node, entry))
		return true;
	document_want(node, now, entry);
	return false;
}

static enum err judge(const struct node *node, const struct route_direction *direction,
		      const struct trusted_entry *entry, struct certificate *ret_certificate, struct lease *ret_lease)
{
	uint64_t time_s = node_network_time(node);
	enum err err;

	if (entry)
		return abroad_judge(node->network, entry, document_of(node, entry), direction->certificate,
				    direction->lease, time_s, ret_certificate, ret_lease);
	err = certificate_judge_cached(node->signatures, direction->certificate, node->authority, time_s,
				       ret_certificate);
	if (err == OK)
		err = lease_judge_cached(node->signatures, direction->lease, node->network, &ret_certificate->id,
					 time_s, ret_lease);
	return err;
}

/* Peers are known by identity. One network must not take over what is another's: ours comes first, then who was there.
 */
static bool may_enter(struct node *node, const struct certificate *certificate, const struct trusted_entry *entry)
{
	struct peer *known = peer_by_id(node, &certificate->id);
	const struct trusted_entry *before = known ? document_abroad(node, known->identity->text) : NULL;

	if (!known || before == entry)
		return true;
	if (!entry)
		peer_destroy(node, known);
	return !entry;
}

/* Certificate and lease are judged here, never taken on the coordinator's word (T12, T30). */
void direction_received(struct node *node, struct time_us now, const struct route_direction *direction)
{
	const struct trusted_entry *entry = abroad_of(node, direction->certificate);
	struct certificate certificate;
	struct lease lease;
	struct peer *peer;

	if (judge(node, direction, entry, &certificate, &lease) != OK ||
	    node_id_equal(&certificate.id, &node->certificate.id) || !may_enter(node, &certificate, entry)) {
		node->counters.dropped_auth++;
		link_ask_news(node, now); /* a zone that is newer than our network document? */
		if (entry)
			document_want(node, now, entry);
		return;
	}
	peer = peer_obtain(node, &certificate, &lease);
	if (!peer)
		return;
	peer->is_foreign = entry != NULL;
	peer->last_reason = REASON_NONE;
	contact_start(node, peer, now, direction);
	names_resolved(node, now, certificate.fqdn, REASON_NONE);
}

/* No tunnel: names get their answer, packets theirs. */
void direction_refused(struct node *node, struct time_us now, const struct direction_refusal *refusal)
{
	struct node_event event = {.type = NODE_EVENT_PEER_REFUSED, .address = refusal->ip, .reason = refusal->reason};
	struct peer *peer = refusal->name[0] ? peer_by_name(node, refusal->name)
					     : peer_by_inner(node, refusal->ip.family, refusal->ip.bytes);

	memcpy(event.peer, refusal->name, sizeof event.peer);
	if (peer && !peer->session && !peer->awake->contact.used)
		peer_set_state(node, peer, now, NODE_PEER_UNREACHABLE, refusal->reason);
	if (refusal->name[0])
		names_resolved(node, now, refusal->name, refusal->reason);
	if (refusal->ip.family)
		waiting_refuse(node, &refusal->ip);
	else if (peer) {
		waiting_refuse(node, &peer->v4);
		waiting_refuse(node, &peer->v6);
	}
	node_emit(node, &event);
}

/* It cannot say so itself: it knows us no more. What it has not acknowledged, and what waits, asks for a new tunnel. */
static void peer_reborn(struct node *node, struct peer *peer, struct time_us now, uint64_t path_id)
{
	bool is_contact = peer->awake->contact.used && peer->awake->contact.path_id == path_id;

	if (is_contact)
		contact_stop(node, peer);
	/* A session from before that direction is forgotten all the more. */
	if (peer->session && (is_contact || session_path_id(peer->session) == path_id)) {
		rescue_sealed(node, peer, peer->session, now);
		peer_end_session(node, peer, now, REASON_LEAVING);
	}
	if (!peer->awake->contact.used && waiting_first(node, peer, WAITING_PACKET_MAX).size > 0)
		link_request_direction(node, now, peer->identity->text, NULL);
}

/* Candidates, no more: only the peer's own packets move a tunnel (E8). Probing them opens our NAT for what the peer
 * sends. */
void direction_updated(struct node *node, struct time_us now, const struct route_update *update)
{
	struct peer *peer = map_get(&node->by_path_id, update->path_id);

	if (!peer)
		return;
	peer_wake(node, peer);
	if (update->reason == REASON_REVOKED) {
		contact_stop(node, peer);
		peer_end_session(node, peer, now, REASON_REVOKED);
		return;
	}
	if (update->reason == REASON_LEAVING) {
		peer_reborn(node, peer, now, update->path_id);
		return;
	}
	if (update->network_epoch && !node->document.bytes)
		document_told(node, now, update->network_epoch);
	peer->observed = peer->registered = update->observed;
	peer->candidates = update->candidates;
	if (!peer->session)
		return;
	if (update->has_relay)
		relay_granted(node, peer, now, update);
	path_add_all(node, peer, now);
	path_select(node, peer, now, CAUSE_PEER_MOVED); /* an address that was only seen on packets may be named now */
}
