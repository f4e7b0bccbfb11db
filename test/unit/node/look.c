#include "look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Contract in the header. */
struct node_peer_status peer_of(struct lan *lan, int node)
{
	struct node_peer_status status;

	for (size_t i = 0; i < node_peer_count(lan->nodes[node].node); i++)
		if (node_get_peer(lan->nodes[node].node, lan->now, i, &status))
			return status;
	fail_msg("no peer");
	abort();
}

/* Contract in the header. */
const struct node_path_status *active_of(const struct node_peer_status *peer)
{
	for (int i = 0; i < peer->path_count; i++)
		if (peer->paths[i].active)
			return &peer->paths[i];
	fail_msg("no active path");
	abort();
}

/* By relay, or by no path at all, is not. */
bool is_direct(struct lan *lan, int node)
{
	struct node_peer_status peer = peer_of(lan, node);

	for (int i = 0; i < peer.path_count; i++)
		if (peer.paths[i].active)
			return peer.paths[i].kind == PATH_DIRECT;
	return false;
}

/* Contract in the header. */
int lan_tear_down(void **state)
{
	lan_destroy(*state);
	return 0;
}
