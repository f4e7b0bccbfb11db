/*
 * exit_quota.h: what nodes have used of their day, kept over a restart. Written five seconds after the first byte that
 * is not on disk, and at the end: a crash forgets five seconds of traffic at most.
 */
#pragma once

#include <jansson.h>

#include "proto/exit/exit.h"

struct exit_quota {
	const char *dir; /* the state directory; borrowed */
	struct time_us save_at;
	uint64_t saved_bytes;
	bool has_failed;
};

void exit_quota_load(struct exit_quota *quota, const char *dir, struct exit_machine *machine, struct time_us now);
void exit_quota_save(struct exit_quota *quota, const struct exit_machine *machine, struct time_us now);
/* Saves when it is time. Returns when to call again. */
struct time_us exit_quota_run(struct exit_quota *quota, const struct exit_machine *machine, struct time_us now);
json_t *exit_quota_list(const struct exit_machine *machine, struct time_us now); /* the caller's */
