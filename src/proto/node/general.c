/* Hosts outside the overlay: a node reaches them through a peer that is an exit, and an exit carries their packets. */
#include <string.h>

#include "proto/node/machine.h"

#define ASK_BUSY_US (1 * USEC_PER_SEC) /* while packets wait */
#define ASK_IDLE_US (5 * USEC_PER_SEC) /* so that the tunnel is warm when the first one comes */

static const char exit_group[] = "exit";

/* The account server's word: nobody else can make an exit of a node. */
static bool is_exit(const struct certificate *certificate)
{
	for (uint8_t i = 0; i < certificate->group_count && i < GROUPS_MAX; i++)
		if (strcmp(certificate->groups[i], exit_group) == 0)
			return true;
	return false;
}

/* Of one family of the packet; group addresses stay on their link. */
static bool is_general(const struct node *node, uint8_t version, const uint8_t *address)
{
	struct ip ip = ip_from_bytes(version, address);
	bool is_group = version == 4 ? address[0] >= 224 : address[0] == 0xff;

	return !is_group && !node_is_virtual(node, &ip);
}

/* Either one that has a session or any. */
static struct peer *find_exit(struct node *node)
{
	struct peer *found = NULL;

	for (int i = 0; i < NODE_PEERS_MAX; i++) {
		struct peer *peer = node->peers[i];

		if (peer && strcmp(peer->certificate.fqdn, node->general.name) == 0 && is_exit(&peer->certificate) &&
		    (!found || peer->session))
			found = peer;
	}
	return found;
}

/* By identity on the packet path; by name only while there is no session. */
struct peer *general_exit(struct node *node)
{
	struct peer *peer = node->general.is_known ? peer_by_id(node, &node->general.id) : NULL;

	if (node->general.name[0] == '\0' || (peer && peer->session))
		return node->general.name[0] ? peer : NULL;
	peer = find_exit(node);
	node->general.is_known = peer != NULL;
	if (peer)
		node->general.id = peer->id;
	return peer;
}

/* Does this packet go to the exit, whether or not that can be reached now? */
bool general_takes(const struct node *node, const struct inner *inner)
{
	return node->general.name[0] && is_general(node, inner->version, inner->dst);
}

/* An exit hands in what general hosts sent. */
bool general_may_send(const struct node *node, const struct inner *inner)
{
	return node->general.is_exit && is_general(node, inner->version, inner->src);
}

static bool is_own(const struct node *node, uint8_t version, const uint8_t *address)
{
	const struct ip *own = version == 4 ? &node->lease.v4 : &node->lease.v6;

	return own->family == version && memcmp(own->bytes, address, ip_size(own)) == 0;
}

/* T12 for what comes from outside: only our exit may bring it, and never under an address of the overlay. An exit takes
 * packets to general hosts, under the sender's own address. */
bool general_is_allowed(struct node *node, const struct peer *peer, const struct inner *inner)
{
	const struct ip *leased = inner->version == 4 ? &peer->v4 : &peer->v6;

	if (node->general.is_exit)
		return leased->family == inner->version && memcmp(inner->src, leased->bytes, ip_size(leased)) == 0 &&
		       is_general(node, inner->version, inner->dst);
	return node->general.name[0] && peer == general_exit(node) && is_general(node, inner->version, inner->src) &&
	       is_own(node, inner->version, inner->dst);
}

static void ask(struct node *node, struct time_us now, int64_t interval_us)
{
	const struct peer *peer = general_exit(node);

	if ((peer && (peer->session || peer->contact.used)) || !node->link.session ||
	    (node->general.asked.us && time_since(now, node->general.asked) < interval_us))
		return;
	node->general.asked = now;
	link_request_direction(node, now, node->general.name, NULL);
}

/* A packet waits for the exit. */
void general_ask(struct node *node, struct time_us now)
{
	ask(node, now, ASK_BUSY_US);
}

/* The tunnel is there before it is needed. */
void general_run(struct node *node, struct time_us now)
{
	if (node->general.name[0] == '\0')
		return;
	ask(node, now, ASK_IDLE_US);
	node_plan(node, time_add(now, ASK_BUSY_US));
}

/* Its tunnel is asked for at once, and again whenever it is gone. */
enum err node_use_exit(struct node *node, struct time_us now, const char *name)
{
	char fqdn[FQDN_MAX_SIZE + 1] = "";

	if (name[0] && node_full_name(node, name, fqdn) != OK)
		return ERR_UNKNOWN;
	node_enter(node, now);
	node->general.is_known = false;
	node->general.asked = (struct time_us){0};
	memcpy(node->general.name, fqdn, sizeof fqdn);
	node_plan(node, node->now);
	return OK;
}

/* Of the peer whose lease says so. */
const struct certificate *node_holder(struct node *node, uint8_t version, const uint8_t *address, uint16_t *ret_mtu)
{
	const struct peer *peer = peer_by_inner(node, version, address);

	if (!peer)
		return NULL;
	*ret_mtu = peer->active >= 0 ? (uint16_t)peer->paths[peer->active].mtu : 0;
	return &peer->certificate;
}
