/*
 * Every kind of NAT against every other, over IPv4, IPv6 (a firewall with the same filtering, no translation) and from
 * one to the other: contact, exchange, each end moves to another net of its kind, both do. Direct wherever theory
 * allows, by relay elsewhere; nothing is lost for the streams inside.
 */
#include <string.h>

#include "nat_theory.h"
#include "story.h"
#include "table.h"
#include "world.h"

enum outer { OUTER_V4, OUTER_V6, OUTER_MIXED, OUTERS };
enum { KINDS = NAT_DEPENDENCES * NAT_DEPENDENCES, STEPS = 4 };

/*
 * Of what is a matter of luck (one steady end, one with random ports) a fiftieth fails. Where neither NAT keeps its
 * port and yet one lets in what comes, each answer comes from another port, both follow each other's newest, and some
 * may miss. So much at most.
 */
enum { MISSED_PERCENT_MAX = 5, MISSED_FREE = 2 };

/* The upgrade from the relay may wait for plain ways, measurements and ten seconds of knocking, but not longer. */
#define DIRECT_LIMIT_US (14 * USEC_PER_SEC)

static const char *const outers[OUTERS] = {"IPv4", "IPv6", "mixed"};

struct cell {
	enum outer outer;
	struct nat_kind a, b;
	uint64_t seed;
	/* Theory and what came out. */
	bool may_be_direct, is_chance; /* with the NATs of now */
	const char *reason;
	unsigned chances, missed;
	bool may[STEPS], is_direct[STEPS];
	int64_t gap_us[STEPS]; /* the longer of both directions; contact, a moves, b moves, both move */
	uint32_t sent, lost, timeouts;
	bool failed;
	char failure[256];
};

static struct nat_kind kind_of(unsigned number)
{
	return (struct nat_kind){(enum nat_dependence)(number / NAT_DEPENDENCES),
				 (enum nat_dependence)(number % NAT_DEPENDENCES)};
}

/* Everything that theory does not look at is drawn. */
static uint8_t add_net(struct overlay *o, const char *side, struct nat_kind *kind, bool v6)
{
	struct net_config config = {.has_v4 = !v6, .has_nat = !v6, .has_v6 = v6, .has_firewall = v6};
	struct nat_config *nat = v6 ? &config.firewall : &config.nat;

	kind->ports = (enum nat_ports)stream_below(&o->random, NAT_PORT_KINDS);
	(void)snprintf(config.name, sizeof config.name, "%s-net%u", side, o->world->net_count + 1u);
	*nat = (struct nat_config){
		.mapping = v6 ? NAT_ENDPOINT_INDEPENDENT : kind->mapping,
		.filtering = kind->filtering,
		.preserves_ports = kind->ports == NAT_PORTS_KEPT,
		.draws_ports = kind->ports == NAT_PORTS_DRAWN,
		.port_step = (uint16_t)stream_range(&o->random, 1, 2),
		.hairpins = stream_chance(&o->random, 500000),
		.timeout_us = stream_range(&o->random, 30, 120) * USEC_PER_SEC,
	};
	config.up.delay_us = config.down.delay_us = stream_range(&o->random, 1000, 30000);
	return world_add_net(o->world, &config);
}

struct watch {
	struct overlay *overlay;
	struct talk *talk;
};

static bool not_direct(void *ctx)
{
	const struct watch *w = ctx;

	return !overlay_is_direct(w->overlay, w->talk->a, w->talk->b) ||
	       !overlay_is_direct(w->overlay, w->talk->b, w->talk->a);
}

/* Both agree, at the latest after a while. The flows go on meanwhile. */
static void settle(struct overlay *o, struct talk *talk, struct cell *cell, unsigned step)
{
	struct watch watch = {o, talk};

	if (cell->may_be_direct)
		(void)world_run_while(o->world, time_add(o->world->now, DIRECT_LIMIT_US), not_direct, &watch);
	cell->is_direct[step] = !not_direct(&watch);
	cell->gap_us[step] =
		talk->flows[0]->gap_us > talk->flows[1]->gap_us ? talk->flows[0]->gap_us : talk->flows[1]->gap_us;
	cell->timeouts += talk->pipes[0]->timeouts + talk->pipes[1]->timeouts;
	story_run(o, stream_range(&o->random, 0, USEC_PER_SEC));
}

static bool is_chase(const struct cell *cell)
{
	const char *reason;

	return cell->outer == OUTER_V4 && cell->a.mapping != NAT_ENDPOINT_INDEPENDENT &&
	       cell->b.mapping != NAT_ENDPOINT_INDEPENDENT && nat_theory_direct(cell->a, cell->b, &reason);
}

/* With the NATs that the two are behind now. */
static void judge(struct cell *cell, unsigned step)
{
	cell->may_be_direct = cell->outer == OUTER_V6;
	cell->reason = cell->outer == OUTER_V6 ? "firewalls translate nothing" : "no common address family";
	if (cell->outer == OUTER_V4)
		cell->may_be_direct = nat_theory_guess(cell->a, cell->b, &cell->reason, &cell->is_chance);
	cell->is_chance |= cell->may_be_direct && is_chase(cell);
	cell->may[step] = cell->may_be_direct;
	cell->chances += cell->is_chance;
}

/* False when it should be direct, and not by luck. */
static bool holds(struct cell *cell, unsigned step)
{
	bool missed = cell->may_be_direct && !cell->is_direct[step];

	cell->missed += missed && cell->is_chance;
	return !missed || cell->is_chance;
}

static void tell_story(struct overlay *o, struct talk *talk, struct cell *cell)
{
	static const char *const whens[STEPS] = {"after contact", "after a's move", "after b's move",
						 "after both moved"};
	bool a_v6 = cell->outer == OUTER_V6, b_v6 = cell->outer != OUTER_V4;

	for (unsigned step = 0; step < STEPS; step++) {
		enum move_kind kind = step == 3 ? MOVE_BOTH : MOVE_ONE;

		if (step == 0 && !story_start(o, talk, add_net(o, "a", &cell->a, a_v6), add_net(o, "b", &cell->b, b_v6),
					      stream_chance(&o->random, 500000) ? 6 : 4, 300))
			return;
		if (step == 1 || step == 3)
			host_move(talk->a->host, 1, add_net(o, "a", &cell->a, a_v6));
		if (step >= 2)
			host_move(talk->b->host, 1, add_net(o, "b", &cell->b, b_v6));
		judge(cell, step);
		if (step > 0 && !story_goes_on(o, talk, kind, EXCHANGE_LIMIT_US, whens[step]))
			return;
		settle(o, talk, cell, step);
		if (!holds(cell, step)) {
			world_fail(o->world, "not direct %s, though %s", whens[step], cell->reason);
			return;
		}
	}
}

static void run_cell(struct cell *cell, const struct table_run *run)
{
	struct overlay o;
	struct talk talk;
	FILE *draw;

	overlay_init(&o, cell->seed, 1, -1);
	o.stats = run->stats;
	tell_story(&o, &talk, cell);
	story_end(&o);
	for (uint32_t i = 0; i < o.traffic.flow_count; i++) {
		cell->sent += o.traffic.flows[i].sent;
		cell->lost += o.traffic.flows[i].sent - o.traffic.flows[i].delivered;
	}
	cell->failed = o.world->failed;
	memcpy(cell->failure, o.world->failure, sizeof cell->failure);
	draw = cell->failed ? fopen(run->draw, "w") : NULL;
	if (draw) {
		trace_draw(&o.world->trace, draw);
		(void)fclose(draw);
	}
	overlay_finish(&o);
}

static void print_kind(char ret[8], struct nat_kind kind)
{
	static const char *const short_texts[NAT_DEPENDENCES] = {"EI", "AD", "APD"};

	(void)snprintf(ret, 8, "%s/%s", short_texts[kind.mapping], short_texts[kind.filtering]);
}

static void print_cell(const struct cell *cell)
{
	char a[8], b[8];

	print_kind(a, cell->a);
	print_kind(b, cell->b);
	printf("%-6s %-8s %-8s", outers[cell->outer], a, b);
	for (unsigned step = 0; step < STEPS; step++)
		printf(" %-6s %-6s %6.1f", cell->may[step] ? "direct" : "relay",
		       cell->is_direct[step] ? "direct" : "relay", (double)cell->gap_us[step] / 1e3);
	printf(" %5u/%u %4u", cell->lost, cell->sent, cell->timeouts);
	if (cell->failed)
		printf("  FAILED: %s (seed %llu)", cell->failure, (unsigned long long)cell->seed);
	printf("\n");
}

static void print_cell_json(FILE *out, const struct cell *cell, bool first)
{
	char a[8], b[8];

	print_kind(a, cell->a);
	print_kind(b, cell->b);
	fprintf(out,
		"%s\n  {\"outer\": \"%s\", \"a\": \"%s\", \"b\": \"%s\", \"seed\": %llu, \"sent\": %u, \"lost\": %u, "
		"\"timeouts\": %u, \"steps\": [",
		first ? "[" : ",", outers[cell->outer], a, b, (unsigned long long)cell->seed, cell->sent, cell->lost,
		cell->timeouts);
	for (unsigned step = 0; step < STEPS; step++)
		fprintf(out, "%s[\"%s\", \"%s\", %lld]", step ? ", " : "", cell->may[step] ? "direct" : "relay",
			cell->is_direct[step] ? "direct" : "relay", (long long)cell->gap_us[step]);
	fprintf(out, "]}");
}

/* Contract in table.h: 243 cells. */
bool nat_pairs_run(const struct table_run *run)
{
	unsigned cells = 0, direct = 0, chances = 0, missed = 0, failed = 0;

	printf("mapping/filtering of each: EI endpoint independent, AD address, APD address and port dependent;\n"
	       "for each step what theory allows with the ports of then, what came out, and the gap\n"
	       "%-6s %-8s %-8s %-20s %-20s %-20s %-20s %s\n",
	       "outer", "a", "b", "contact, ms", "a moves", "b moves", "both move", "lost, timeouts");
	for (enum outer outer = 0; outer < OUTERS; outer++)
		for (unsigned i = 0; i < KINDS * KINDS; i++) {
			struct cell cell = {.outer = outer,
					    .a = kind_of(i / KINDS),
					    .b = kind_of(i % KINDS),
					    .seed = run->seed * 1000 + cells};

			run_cell(&cell, run);
			if (run->is_verbose || cell.failed || run->json)
				print_cell(&cell);
			if (run->json)
				print_cell_json(run->json, &cell, cells == 0);
			cells++;
			direct += cell.is_direct[0] && cell.is_direct[STEPS - 1];
			chances += cell.chances;
			missed += cell.missed;
			failed += cell.failed;
		}
	if (run->json)
		fprintf(run->json, "\n]\n");
	printf("%u pairs, %u direct, %u by relay, %u failed; of %u matters of luck %u failed\n", cells, direct,
	       cells - direct, failed, chances, missed);
	return failed == 0 && missed * 100 <= chances * MISSED_PERCENT_MAX + MISSED_FREE * 100;
}
