/* overlay.h: a whole network of the product in one world: account server's keys, coordinator, relays, nodes. */
#pragma once

#include "node_host.h"
#include "server_host.h"
#include "stats.h"
#include "traffic.h"

enum { OVERLAY_NODES_MAX = 208, OVERLAY_RELAYS_MAX = 4, OVERLAY_PORT = 7367 };
#define OVERLAY_ZONE "net.example"
#define OVERLAY_ZONE_TWO "two.net.example"
#define OVERLAY_ZONE_PARTNER "partner.example"
#define OVERLAY_WALL_S UINT64_C(1800000000)

struct overlay_node {
	struct host *host;
	struct node_config config;
	uint8_t certificate[CERTIFICATE_MAX_SIZE];
	char name[NAME_MAX_SIZE + 1], fqdn[FQDN_MAX_SIZE + 1];
};

/* A coordinator and what survives it. */
struct overlay_zone {
	struct host *host; /* NULL: there is no such zone */
	struct coordinator_config config;
	struct disk disk;
	uint8_t net;
};

struct overlay {
	struct world *world;
	struct stream random; /* what scenarios draw from */
	struct aead_provider *aead;
	struct sign_keys authority;
	struct network network;
	struct host *coordinator;
	struct coordinator_config coordinator_config;
	struct disk disk;
	uint8_t coordinator_net;
	struct overlay_zone two; /* where every second node is then */
	bool is_partner;	 /* ... which is another network's then, with an account server of its own */
	struct sign_keys partner_authority;
	struct network partner;
	int64_t server_delay_us; /* one way between the core and each server; negative: drawn */
	uint32_t relay_count;
	struct host *relays[OVERLAY_RELAYS_MAX];
	struct relay_config relay_configs[OVERLAY_RELAYS_MAX];
	bool relays_have_kernel;      /* from their next start on, and then remember nothing */
	uint64_t certificate_valid_s; /* from now on; 0: as usual */
	uint32_t node_count;
	struct overlay_node nodes[OVERLAY_NODES_MAX];
	unsigned lane_count; /* of nodes that are added from now on; 0: one */
	struct traffic traffic;
	struct stats *stats; /* NULL: nobody asks */
};

/* Coordinator and relays in public nets of their own; everything runs. */
void overlay_init(struct overlay *overlay, uint64_t seed, uint32_t relays, int64_t server_delay_us);
void overlay_finish(struct overlay *overlay);
/* Registers a device with certificate, and switches it on in this net. Lower-case label. */
struct overlay_node *overlay_add_node(struct overlay *overlay, const char *name, uint8_t net);
/* The account server gives it another one. Not of a partner's network. */
void overlay_renew_certificate(struct overlay *overlay, struct overlay_node *node);
void overlay_start_node(struct overlay *overlay, struct overlay_node *node);
void overlay_restart_coordinator(struct overlay *overlay);
/* One more zone with a coordinator of its own; before any node is added. */
void overlay_add_zone(struct overlay *overlay);
/* The same, but of another network; the two trust each other and are found by DNS. They share the relays. */
void overlay_add_partner(struct overlay *overlay);
void overlay_restart_zone_two(struct overlay *overlay);
void overlay_restart_relay(struct overlay *overlay, uint32_t index);
/* One more relay in the running network, so far from the core: it announces itself, and the coordinator has the new
 * network document at once. */
void overlay_join_relay(struct overlay *overlay, int64_t delay_us);
/* Index of the relay that a's tunnel to b has; relay_count when it has none. */
uint32_t overlay_relay_of(const struct overlay *overlay, const struct overlay_node *a, const struct overlay_node *b);
/* An access network drawn at random: NAT kinds, delay, jitter, loss, families. */
uint8_t overlay_draw_net(struct overlay *overlay, uint32_t loss_ppm);
/* Loss, jitter, silence: gone everywhere. */
void overlay_heal(struct overlay *overlay);

/* Runs until all nodes have their addresses and a coordinator. */
bool overlay_wait_registered(struct overlay *overlay, int64_t limit_us);
/* Asks a for b and runs until both have a session. */
bool overlay_wait_connected(struct overlay *overlay, struct overlay_node *a, struct overlay_node *b, int64_t limit_us);
/* Both directions between a and b, of family 4 or 6; ret gets the two flows. */
void overlay_exchange(struct overlay *overlay, struct overlay_node *a, struct overlay_node *b, uint8_t family,
		      int64_t interval_us, size_t size, struct flow *ret[2]);
/* A reliable stream each way beside it. */
void overlay_exchange_pipes(struct overlay *overlay, struct flow *flows[2], struct pipe *ret[2]);
/* Runs until each of the flows has delivered `packets` of those sent from now on. */
bool overlay_wait_delivered(struct overlay *overlay, struct flow *flows[], uint32_t count, uint32_t packets,
			    int64_t limit_us);
/* Is the path that a uses towards b direct? False also when there is none. */
bool overlay_is_direct(struct overlay *overlay, struct overlay_node *a, struct overlay_node *b);
