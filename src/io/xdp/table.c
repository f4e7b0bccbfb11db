#include "io/xdp/table.h"

#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"

/* The ring begins with every entry, all of them usable at once. */
void xdp_table_init(struct xdp_table *table, uint32_t (*buckets)[XDP_BUCKET_SLOTS], struct xdp_entry *entries,
		    struct xdp_control *control, uint64_t hash_key)
{
	*table = (struct xdp_table){
		.buckets = buckets,
		.entries = entries,
		.control = control,
		.slots = mem_alloc(XDP_ENTRIES, sizeof(*table->slots)),
		.free = mem_alloc(XDP_ENTRIES, sizeof(*table->free)),
		.free_us = mem_alloc(XDP_ENTRIES, sizeof(*table->free_us)),
		.free_count = XDP_ENTRIES,
	};
	for (uint32_t i = 0; i < XDP_ENTRIES; i++) {
		table->free[i] = (uint16_t)i;
		table->free_us[i] = INT64_MIN;
	}
	control->hash_key = hash_key | 1;
}

/* Not the memory that was lent. */
void xdp_table_finish(struct xdp_table *table)
{
	mem_free(table->slots);
	mem_free(table->free);
	mem_free(table->free_us);
	*table = (struct xdp_table){0};
}

static uint32_t sum_bytes(const void *bytes, size_t size)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < size; i += 2) {
		uint16_t word;

		memcpy(&word, (const uint8_t *)bytes + i, 2);
		sum += word;
	}
	return sum;
}

static uint32_t sum_endpoint(const struct relay_endpoint *endpoint)
{
	return sum_bytes(endpoint->ip, sizeof(endpoint->ip)) + htons(endpoint->port);
}

static uint32_t sum_address(const struct relay_endpoint *endpoint)
{
	return sum_bytes(endpoint->ip, sizeof(endpoint->ip));
}

/* To take a sum away is to add its complement. */
static uint32_t sum_without(uint32_t sum)
{
	return 0xffff - xdp_fold(sum);
}

static void fill_sums(struct xdp_entry *entry, unsigned number)
{
	const struct relay_leg *leg = &entry->copy.flow.legs[number], *other = &entry->copy.flow.legs[1 - number];
	struct xdp_way *way = &entry->ways[number];
	uint32_t addresses = sum_address(&leg->remote) + sum_address(&leg->remote_local);

	way->header_sum =
		xdp_fold((uint32_t)htons(0x4500) + htons(0x4000) + htons(XDP_HOPS << 8 | IPPROTO_UDP) + addresses);
	way->pseudo_sum = xdp_fold((uint32_t)htons(IPPROTO_UDP) + addresses);
	way->change =
		xdp_fold(sum_endpoint(&leg->remote) + sum_endpoint(&leg->remote_local) +
			 sum_without(sum_endpoint(&other->remote)) + sum_without(sum_endpoint(&other->remote_local)));
}

static void fill(struct xdp_entry *entry, const struct relay_flow *flow, const struct xdp_way ways[2],
		 struct time_us until)
{
	*entry = (struct xdp_entry){.copy = {.flow = *flow, .until_us = until.us}, .ways = {ways[0], ways[1]}};
	for (unsigned i = 0; i < 2; i++) {
		struct relay_leg *leg = &entry->copy.flow.legs[i];

		leg->candidate = leg->candidate_local = (struct relay_endpoint){0};
	}
	for (unsigned i = 0; i < 2; i++)
		fill_sums(entry, i);
}

/* An entry before its slot: who finds the slot finds all of it. */
struct xdp_entry *xdp_table_put(struct xdp_table *table, const struct relay_flow *flow, const struct xdp_way ways[2],
				struct time_us now, struct time_us until)
{
	uint64_t hash = xdp_hash(table->control->hash_key, flow->path_id);
	uint32_t bucket = xdp_bucket(hash), number;

	if (!table->free_count || now.us < table->free_us[table->free_at])
		return NULL;
	for (uint32_t i = 0; i < XDP_BUCKET_SLOTS; i++) {
		if (table->buckets[bucket][i])
			continue;
		number = table->free[table->free_at];
		table->free_at = (table->free_at + 1) % XDP_ENTRIES;
		table->free_count--;
		fill(&table->entries[number], flow, ways, until);
		table->slots[number] = bucket * XDP_BUCKET_SLOTS + i + 1;
		__atomic_store_n(&table->buckets[bucket][i], xdp_tag(hash) << 16 | number, __ATOMIC_RELEASE);
		return &table->entries[number];
	}
	return NULL;
}

/* What it counts after this is lost: a program that had found it is through in microseconds. */
void xdp_table_remove(struct xdp_table *table, struct xdp_entry *entry, struct time_us now)
{
	uint32_t number = (uint32_t)(entry - table->entries), slot = table->slots[number];
	uint32_t at = (table->free_at + table->free_count) % XDP_ENTRIES;

	if (!slot)
		return;
	__atomic_store_n(&table->buckets[(slot - 1) / XDP_BUCKET_SLOTS][(slot - 1) % XDP_BUCKET_SLOTS], 0,
			 __ATOMIC_RELEASE);
	table->slots[number] = 0;
	table->free[at] = (uint16_t)number;
	table->free_us[at] = time_add(now, XDP_GRACE_US).us;
	table->free_count++;
}
