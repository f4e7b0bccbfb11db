#include "stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const kinds[MOVE_KINDS] = {"contact",	"one moves", "both move",    "NAT rebinds",
					      "relay restarts", "silence",   "second comes", "first goes"};

/* What a table line says. */
struct summary {
	size_t count, with_loss;
	uint64_t packets, lost, late, timeouts, retransmits;
	int64_t gap_us[4], stall_us[4]; /* 50th, 90th, 99th percentile, maximum */
};

/* Grows as it has to: a campaign has hundreds of thousands. */
void stats_add(struct stats *stats, enum move_kind kind, struct flow *flow, const struct pipe *pipe)
{
	uint32_t first = flow->told, late = flow->late - flow->late_told;

	if (stats->count == stats->capacity) {
		struct move_sample *larger = mem_alloc(stats->capacity * 2 + 256, sizeof *larger);

		if (stats->count)
			memcpy(larger, stats->list, stats->count * sizeof *larger);
		mem_free(stats->list);
		stats->list = larger;
		stats->capacity = stats->capacity * 2 + 256;
	}
	flow->told = flow->sent;
	flow->late_told = flow->late;
	stats->list[stats->count++] = (struct move_sample){
		.kind = kind,
		.flow = flow,
		.first = first,
		.last = flow->sent,
		.gap_us = flow->gap_us,
		.late = late,
		.stall_us = pipe ? pipe->stall_us : 0,
		.timeouts = pipe ? pipe->timeouts : 0,
		.retransmits = pipe ? pipe->retransmits : 0,
	};
}

/* Contract in the header. */
void stats_settle(struct stats *stats)
{
	for (; stats->settled < stats->count; stats->settled++) {
		struct move_sample *sample = &stats->list[stats->settled];

		for (uint32_t i = sample->first; i < sample->last; i++)
			sample->lost += sample->flow->sent_at[i].us != 0;
		sample->flow = NULL;
	}
}

/* Each move is told in two directions. */
size_t stats_moves(const struct stats *stats)
{
	size_t count = 0;

	for (size_t i = 0; i < stats->count; i++)
		count += stats->list[i].kind != MOVE_CONTACT;
	return count / 2;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void percentiles(int64_t *values, size_t count, int64_t ret[4])
{
	static const unsigned permille[4] = {500, 900, 990, 1000};

	qsort(values, count, sizeof *values, compare);
	for (int i = 0; i < 4; i++)
		ret[i] = values[(count * permille[i] + 999) / 1000 - 1];
}

static void summarise(const struct stats *stats, enum move_kind kind, struct summary *ret)
{
	int64_t *gaps = mem_alloc(stats->count + 1, sizeof *gaps),
		*stalls = mem_alloc(stats->count + 1, sizeof *stalls);
	struct summary s = {0};

	for (size_t i = 0; i < stats->count; i++) {
		const struct move_sample *sample = &stats->list[i];

		if (sample->kind != kind)
			continue;
		gaps[s.count] = sample->gap_us;
		stalls[s.count++] = sample->stall_us;
		s.packets += sample->last - sample->first;
		s.lost += sample->lost;
		s.with_loss += sample->lost > 0;
		s.late += sample->late;
		s.timeouts += sample->timeouts;
		s.retransmits += sample->retransmits;
	}
	if (s.count) {
		percentiles(gaps, s.count, s.gap_us);
		percentiles(stalls, s.count, s.stall_us);
	}
	mem_free(gaps);
	mem_free(stalls);
	*ret = s;
}

/* For people; milliseconds. */
void stats_print(const struct stats *stats, FILE *out)
{
	fprintf(out, "%-15s %7s  %-31s %9s %7s %7s %8s %8s  %s\n", "", "moves,", "gap ms: median, 90 %, 99 %, max",
		"lost", "in", "late", "timeouts", "resent", "stall ms: median, 90 %, 99 %, max");
	for (enum move_kind kind = 0; kind < MOVE_KINDS; kind++) {
		struct summary s;

		summarise(stats, kind, &s);
		if (!s.count)
			continue;
		fprintf(out,
			"%-15s %7zu  %7.1f %7.1f %7.1f %7.1f %8.3f%% %7zu %7llu %8llu %8llu  %7.1f %7.1f %7.1f %7.1f\n",
			kinds[kind], s.count, (double)s.gap_us[0] / 1e3, (double)s.gap_us[1] / 1e3,
			(double)s.gap_us[2] / 1e3, (double)s.gap_us[3] / 1e3,
			100.0 * (double)s.lost / (double)(s.packets ? s.packets : 1), s.with_loss,
			(unsigned long long)s.late, (unsigned long long)s.timeouts, (unsigned long long)s.retransmits,
			(double)s.stall_us[0] / 1e3, (double)s.stall_us[1] / 1e3, (double)s.stall_us[2] / 1e3,
			(double)s.stall_us[3] / 1e3);
	}
}

static void print_json_list(FILE *out, const char *key, const int64_t values[4])
{
	fprintf(out, "\"%s\": [%lld, %lld, %lld, %lld]", key, (long long)values[0], (long long)values[1],
		(long long)values[2], (long long)values[3]);
}

/* Microseconds. */
void stats_print_json(const struct stats *stats, FILE *out)
{
	bool first = true;

	fprintf(out, "{");
	for (enum move_kind kind = 0; kind < MOVE_KINDS; kind++) {
		struct summary s;

		summarise(stats, kind, &s);
		if (!s.count)
			continue;
		fprintf(out,
			"%s\n  \"%s\": {\"count\": %zu, \"packets\": %llu, \"lost\": %llu, \"late\": %llu, "
			"\"timeouts\": %llu, \"resent\": %llu, ",
			first ? "" : ",", kinds[kind], s.count, (unsigned long long)s.packets,
			(unsigned long long)s.lost, (unsigned long long)s.late, (unsigned long long)s.timeouts,
			(unsigned long long)s.retransmits);
		print_json_list(out, "gap_us", s.gap_us);
		fprintf(out, ", ");
		print_json_list(out, "stall_us", s.stall_us);
		fprintf(out, "}");
		first = false;
	}
	fprintf(out, "\n}\n");
}

/* Leaves it empty. */
void stats_finish(struct stats *stats)
{
	mem_free(stats->list);
	*stats = (struct stats){0};
}
