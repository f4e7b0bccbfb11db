#include "cmd/node_flows.h"

#include <string.h>

#include "wire/inner.h"

/* Addresses and ports, whichever way it goes; what has no ports falls together with all between its addresses. */
static size_t slot_of(const struct packet *packet)
{
	uint64_t sum = 0;
	struct inner inner;

	if (inner_parse(packet->bytes, packet->size, &inner) != OK)
		return 0;
	for (size_t at = 0; at < (inner.version == 4 ? 4u : 16u); at += 4) {
		uint32_t src, dst;

		memcpy(&src, inner.src + at, sizeof src);
		memcpy(&dst, inner.dst + at, sizeof dst);
		sum = sum * 31 + (src ^ dst);
	}
	if (inner_header_size(&inner, packet->bytes) > 0) {
		uint16_t ports[2];

		memcpy(ports, packet->bytes + inner.network_size, sizeof ports);
		sum = sum * 31 + (uint16_t)(ports[0] ^ ports[1]);
	}
	return (size_t)(sum * UINT64_C(0x9e3779b97f4a7c15) >> 48) % FLOWS_SLOTS;
}

/* Written only when it changes: the line stays in all caches. */
bool flows_note(struct flows *flows, const struct packet *packet, unsigned queue)
{
	_Atomic uint8_t *slot = &flows->queues[slot_of(packet)];
	uint8_t before = atomic_load_explicit(slot, memory_order_relaxed);

	if (before == queue + 1)
		return false;
	atomic_store_explicit(slot, (uint8_t)(queue + 1), memory_order_relaxed);
	return before != 0;
}

/* Contract in the header. */
unsigned flows_find(const struct flows *flows, const struct packet *packet, unsigned queue_count)
{
	size_t slot = slot_of(packet);
	uint8_t known = atomic_load_explicit(&flows->queues[slot], memory_order_relaxed);

	return known > 0 ? known - 1u : (unsigned)(slot % queue_count);
}
