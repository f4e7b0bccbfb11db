/* table.h: user space's side of the table that entry.h describes. Memory only: works on any, mapped by BPF or not. */
#pragma once

#include "base/time.h"
#include "io/xdp/entry.h"

struct xdp_table {
	uint32_t (*buckets)[XDP_BUCKET_SLOTS];
	struct xdp_entry *entries;
	struct xdp_control *control;
	uint32_t *slots;  /* by entry: which one shows it, + 1 */
	uint16_t *free;	  /* a ring: numbers of entries that are not in use, longest unused first, */
	int64_t *free_us; /* and from when on they may be used */
	uint32_t free_at, free_count;
};

/* The memory is borrowed, zeroed, and must outlive it. hash_key: any secret. */
void xdp_table_init(struct xdp_table *table, uint32_t (*buckets)[XDP_BUCKET_SLOTS], struct xdp_entry *entries,
		    struct xdp_control *control, uint64_t hash_key);
void xdp_table_finish(struct xdp_table *table);
/*
 * Puts a copy of a flow with both legs bound into the table, where it is found at once; ways: how its legs are reached
 * (the sums are computed here). Candidates are left out. NULL: no room.
 */
struct xdp_entry *xdp_table_put(struct xdp_table *table, const struct relay_flow *flow, const struct xdp_way ways[2],
				struct time_us now, struct time_us until);
/* It is not found any more, and not used again before nobody in the kernel can still be reading it. */
void xdp_table_remove(struct xdp_table *table, struct xdp_entry *entry, struct time_us now);
