/*
 * forger.h: attackers of security.md: one in the core who sees copies of everything and is faster (A2), and who
 * replays, redirects and damages what he has seen (A1). He cannot stop a packet and has no keys.
 */
#pragma once

#include "world.h"

enum { FORGER_MEMORY = 64, FORGER_SIZE_MAX = 2048 };

struct captured {
	struct addr src, dst;
	uint16_t size;
	uint8_t bytes[FORGER_SIZE_MAX];
};

struct forger {
	struct world *world;
	struct host *host; /* where he receives */
	struct stream random;
	uint32_t forward_ppm; /* how much of what he sees he sends again at once, from his own address */
	uint32_t replay_ppm;  /* and later: replayed, redirected or damaged */
	bool relays_back;     /* hands on what he receives, from a forged source: challenges are answered */
	bool is_injecting;
	uint32_t count;
	struct captured memory[FORGER_MEMORY];
	struct addr last_src, last_dst; /* whose packet he forwarded last */
	uint64_t received_data;		/* bytes of sealed inner packets that he was sent */
	uint64_t forwarded;		/* bytes that he sent from his own address */
};

/* A host in this net, deaf so far. Must outlive the world's run, or be stopped. */
void forger_start(struct forger *forger, struct world *world, uint8_t net, uint64_t seed);
/* From now on with an ear in the core. */
void forger_listen(struct forger *forger);
void forger_stop(struct forger *forger);
