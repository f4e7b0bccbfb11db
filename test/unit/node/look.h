/* look.h: what tests of whole nodes look at. Each fails the test when it is not there. */
#pragma once

#include "lan.h"

/* The only peer of a node. */
struct node_peer_status peer_of(struct lan *lan, int node);
/* The path that its data takes. */
const struct node_path_status *active_of(const struct node_peer_status *peer);
bool is_direct(struct lan *lan, int node);
/* The end of a test whose state is a lan. */
int lan_tear_down(void **state);
