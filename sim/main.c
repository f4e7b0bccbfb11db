/* sim: runs scenarios under virtual time; every run is checked while it goes, and a seed repeats it exactly. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/keys.h"
#include "scenario.h"
#include "table.h"

struct options {
	uint64_t seed, runs;
	const char *scenario, *draw, *json;
	bool is_verbose, twice, wants_stats;
	struct stats stats;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: sim [--seed N] [--runs N] [--scenario NAME] [--draw FILE] [--twice] [--stats] [--json FILE]\n"
		"           [--verbose]\n"
		"  --seed N       first seed (default 1)\n"
		"  --runs N       how many seeds, one after the other (default 1)\n"
		"  --scenario S   only this one (default: all)\n"
		"  --draw FILE    where the diagram of a failed run goes (default sim-failure.mmd)\n"
		"  --twice        run each seed twice and compare the traces\n"
		"  --stats        at the end a table of what each kind of move cost\n"
		"  --verbose      one line for every run\nscenarios:\n");
	for (unsigned i = 0; i < scenario_count; i++)
		fprintf(out, "  %-18s %s\n", scenarios[i].name, scenarios[i].about);
	fprintf(out, "tables, each only when it is named:\n");
	for (unsigned i = 0; i < table_count; i++)
		fprintf(out, "  %-18s %s\n", tables[i].name, tables[i].about);
}

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	*ret = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"seed", required_argument, NULL, 's'},	    {"runs", required_argument, NULL, 'r'},
		{"scenario", required_argument, NULL, 'c'}, {"draw", required_argument, NULL, 'd'},
		{"twice", no_argument, NULL, 't'},	    {"verbose", no_argument, NULL, 'v'},
		{"json", required_argument, NULL, 'j'},	    {"stats", no_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},	    {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 's':
		case 'r':
			if (!parse_number(optarg, c == 's' ? &o->seed : &o->runs)) {
				fprintf(stderr, "sim: '%s' is not a number\n", optarg);
				return false;
			}
			break;
		case 'c': o->scenario = optarg; break;
		case 'd': o->draw = optarg; break;
		case 'j': o->json = optarg; break;
		case 't': o->twice = true; break;
		case 'S': o->wants_stats = true; break;
		case 'v': o->is_verbose = true; break;
		case 'h': usage(stdout); exit(0);
		default: return false;
		}
	return optind == argc;
}

/* One scenario under one seed. False when anything did not hold. */
static bool run_one(const struct scenario *scenario, uint64_t seed, struct options *o)
{
	struct scenario_result result, again;
	FILE *draw = fopen(o->draw, "w");

	scenario_run(scenario, seed, draw, &o->stats, &result);
	if (draw)
		(void)fclose(draw);
	if (!result.failed && draw)
		(void)remove(o->draw);
	if (result.failed) {
		printf("FAILED scenario=%s SEED=%llu: %s (diagram in %s)\n", scenario->name, (unsigned long long)seed,
		       result.failure, o->draw);
		return false;
	}
	if (o->is_verbose)
		printf("ok %-18s SEED=%llu hash=%016llx events=%llu virtual=%.1fs gap=%.1fms lost=%u/%u\n",
		       scenario->name, (unsigned long long)seed, (unsigned long long)result.hash,
		       (unsigned long long)result.events, (double)result.virtual_us / 1e6, (double)result.gap_us / 1e3,
		       result.lost, result.sent);
	if (!o->twice)
		return true;
	scenario_run(scenario, seed, NULL, NULL, &again);
	if (again.hash == result.hash && again.events == result.events)
		return true;
	printf("FAILED scenario=%s SEED=%llu: two runs differ (%016llx, %016llx)\n", scenario->name,
	       (unsigned long long)seed, (unsigned long long)result.hash, (unsigned long long)again.hash);
	return false;
}

/* A table is printed once for each seed. False when a cell did not hold; *ret_done counts tables. */
static bool run_tables(struct options *o, uint64_t *ret_done)
{
	bool ok = true;

	for (unsigned i = 0; i < table_count; i++) {
		struct table_run run = {.is_verbose = o->is_verbose, .draw = o->draw, .stats = &o->stats};

		if (!o->scenario || strcmp(o->scenario, tables[i].name) != 0)
			continue;
		run.json = o->json ? fopen(o->json, "w") : NULL;
		for (run.seed = o->seed; run.seed < o->seed + o->runs; run.seed++) {
			ok &= tables[i].run(&run);
			++*ret_done;
		}
		if (o->json && (!run.json || fclose(run.json) != 0)) {
			fprintf(stderr, "sim: cannot write %s\n", o->json);
			ok = false;
		}
	}
	return ok;
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .runs = 1, .draw = "sim-failure.mmd"};
	uint64_t done = 0, failed = 0;

	if (!parse_options(argc, argv, &o)) {
		usage(stderr);
		return 2;
	}
	if (!crypto_init())
		return 1;
	printf("SEED=%llu\n", (unsigned long long)o.seed);
	(void)fflush(stdout);
	for (uint64_t seed = o.seed; seed < o.seed + o.runs; seed++)
		for (unsigned i = 0; i < scenario_count; i++) {
			if (o.scenario && strcmp(o.scenario, scenarios[i].name) != 0)
				continue;
			done++;
			failed += !run_one(&scenarios[i], seed, &o);
			(void)fflush(stdout);
		}
	failed += !run_tables(&o, &done);
	if (!done) {
		fprintf(stderr, "sim: there is no scenario '%s'\n", o.scenario);
		return 2;
	}
	if (o.wants_stats)
		stats_print(&o.stats, stdout);
	printf("%llu runs with %zu moves, %llu failed\n", (unsigned long long)done, stats_moves(&o.stats),
	       (unsigned long long)failed);
	stats_finish(&o.stats);
	return failed ? 1 : 0;
}
