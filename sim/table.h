/* table.h: scenarios that are many worlds and one table: what came out of each cell, for people and as JSON. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "stats.h"

struct table_run {
	uint64_t seed;
	bool is_verbose;
	const char *draw; /* where the diagram of a failed cell goes */
	FILE *json;	  /* NULL: not wanted */
	struct stats *stats;
};

struct table {
	const char *name, *about;
	bool (*run)(const struct table_run *run); /* prints to stdout; false when a cell did not hold */
};

extern const struct table tables[];
extern const unsigned table_count;

/* nat_pairs.c, goals.c, attacked.c, memory.c, idle.c, restarts.c */
bool nat_pairs_run(const struct table_run *run);
bool goals_run(const struct table_run *run);
bool goals_run_papers(const struct table_run *run);
bool attacked_run(const struct table_run *run);
bool memory_run(const struct table_run *run);
bool idle_run(const struct table_run *run);
bool restarts_run(const struct table_run *run);
