/* proven.h: addresses that have shown to be who they say: what the amplification check lets through (T6). */
#pragma once

#include "base/addr.h"

enum { PROVEN_MAX = 1024 };

/* A ring: the oldest is forgotten. */
struct proven {
	uint32_t count;
	struct addr list[PROVEN_MAX];
};

void proven_add(struct proven *proven, const struct addr *addr);
bool proven_has(const struct proven *proven, const struct addr *addr);
