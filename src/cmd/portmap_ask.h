/* portmap_ask.h: one mapping at one gateway: made, renewed, withdrawn by whichever method it understands. Blocks for a
 * few seconds at most. For ntm-portmap alone. */
#pragma once

#include "cmd/portmap.h"

struct upnp_device;

struct mapping {
	struct portmap_local local;
	struct ip gateway;
	bool is_mapped;
	struct portmap_answer answer;
	struct upnp_device *device; /* of the UPnP method; NULL: not found yet */
};

/* Makes or renews. False: no gateway there opens our port; then nothing is mapped any more. */
bool mapping_ask(struct mapping *mapping, const struct portmap_locals *locals);
/* Best effort: the gateway forgets it anyway when its lifetime ends. */
void mapping_withdraw(struct mapping *mapping, const struct portmap_locals *locals);
void mapping_finish(struct mapping *mapping);

/* portmap_upnp.c. The same for UPnP: a search, a description, a call. */
bool upnp_ask(struct mapping *mapping, uint16_t port, struct portmap_answer *ret);
void upnp_withdraw(struct mapping *mapping);
void upnp_finish(struct upnp_device *device);
