#include "proven.h"

/* Once each. */
void proven_add(struct proven *proven, const struct addr *addr)
{
	if (!proven_has(proven, addr))
		proven->list[proven->count++ % PROVEN_MAX] = *addr;
}

/* Port and all: another port is another address. */
bool proven_has(const struct proven *proven, const struct addr *addr)
{
	for (uint32_t i = 0; i < proven->count && i < PROVEN_MAX; i++)
		if (addr_equal(&proven->list[i], addr))
			return true;
	return false;
}
