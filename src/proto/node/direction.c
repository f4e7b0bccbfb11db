/* What the coordinator says about peers: who they are, where they may be, and that there is a tunnel to be made. */
#include <string.h>

#include "proto/node/machine.h"

/* Certificate and lease are judged here, never taken on the coordinator's word (T12, T30). */
void direction_received(struct node *node, struct time_us now, const struct route_direction *direction)
{
	uint64_t time_s = node_network_time(node);
	struct certificate certificate;
	struct lease lease;
	struct peer *peer;

	if (certificate_judge(direction->certificate, node->authority, time_s, &certificate) != OK ||
	    lease_judge(direction->lease, node->network, &certificate.id, time_s, &lease) != OK ||
	    node_id_equal(&certificate.id, &node->certificate.id)) {
		node->counters.dropped_auth++;
		link_ask_news(node, now); /* a zone that is newer than our network document? */
		return;
	}
	peer = peer_obtain(node, &certificate, &lease);
	if (!peer)
		return;
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
	if (peer && !peer->session && !peer->contact.used)
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

/* Candidates, no more: only the peer's own packets move a tunnel (E8). Probing them opens our NAT for what the peer
 * sends. */
void direction_updated(struct node *node, struct time_us now, const struct route_update *update)
{
	struct peer *peer = map_get(&node->by_path_id, update->path_id);

	if (!peer)
		return;
	if (update->reason == REASON_REVOKED) {
		contact_stop(node, peer);
		peer_end_session(node, peer, now, REASON_REVOKED);
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
