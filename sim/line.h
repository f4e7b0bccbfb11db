/*
 * line.h: one direction of a wire: delay, jitter, loss, duplication, reordering, rate with a queue, MTU. Decides the
 * fate of each datagram.
 */
#pragma once

#include "base/time.h"
#include "stream.h"

struct line_config {
	int64_t delay_us, jitter_us;
	uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
	int64_t reorder_us;   /* how much later a reordered one comes */
	uint32_t rate_kbps;   /* 0: no limit */
	uint32_t queue_bytes; /* in front of the rate; 0: 64 KB */
	uint32_t mtu;	      /* IP bytes; 0: 65535 */
};

struct line {
	struct line_config config;
	struct stream random;
	struct time_us free_at; /* when the last byte of what is queued has left */
};

enum line_fate { LINE_PASS, LINE_LOST, LINE_FULL, LINE_TOO_BIG };

void line_init(struct line *line, const struct line_config *config, struct stream random);
/* What a datagram or train that enters now is delayed by, beyond delay_us. One draw for all of a train. */
int64_t line_jitter(struct line *line);
/* size: IP bytes. On LINE_PASS, *ret_count (1 or 2) arrivals are in ret. */
enum line_fate line_pass(struct line *line, struct time_us now, int64_t jitter_us, uint32_t size, struct time_us ret[2],
			 unsigned *ret_count);
