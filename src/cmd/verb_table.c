/* verb_table.c: the verbs of ntm, grouped by what people want to do. */
#include "cmd/verb.h"

#include <string.h>

#include "cmd/options_suggest.h"

#define CONNECT "Be on the network"
#define LOOK "See what happens"
#define SERVE "A network of your own"
#define CARE "Care"

const struct verb verb_table[VERBS_MAX] = {
	[VERB_UP] = {"up", "[CODE | --new]", CONNECT,
		     "join a network, or come up again under the same name and addresses", 0, 1, verb_up},
	[VERB_DOWN] = {"down", "", CONNECT, "stop; takes away device, routes and names", 0, 0, verb_down},
	[VERB_HANDOVER] = {"handover", "--to IFACE", CONNECT, "move all tunnels to another interface now", 0, 0,
			   verb_handover},
	[VERB_STATUS] = {"status", "", LOOK, "this node, its coordinator, its peers and their paths", 0, 0,
			 verb_status},
	[VERB_PING] = {"ping", "NAME", LOOK, "end to end through the tunnel, naming the path of each answer", 1, 1,
		       verb_ping},
	[VERB_WHY] = {"why", "NAME", LOOK, "how NAME is reached, or why not and what would help", 1, 1, verb_why},
	[VERB_WATCH] = {"watch", "", LOOK, "addresses, paths, handovers and peers as they change", 0, 0, verb_watch},
	[VERB_SERVE] = {"serve", "", SERVE, "serve a network from this machine", 0, 0, verb_serve},
	[VERB_INVITE] = {"invite", "", SERVE, "print a join code", 0, 0, verb_invite},
	[VERB_NODES] = {"nodes", "", SERVE, "who belongs to the network", 0, 0, verb_nodes},
	[VERB_REVOKE] = {"revoke", "NAME", SERVE, "take a node off the network for good", 1, 1, verb_revoke},
	[VERB_CONFIG] = {"config", "check", CARE, "print every setting and where it came from", 1, 1, verb_config},
	[VERB_VERSION] = {"version", "", CARE, "print the version", 0, 0, verb_version},
	[VERB_BUGREPORT] = {"bugreport", "", CARE, "write one local file for a bug report, without secrets", 0, 0,
			    verb_bugreport},
	[VERB_HELP] = {"help", "[VERB]", CARE, "print this, or about one verb", 0, 1, verb_help},
};

/* Exact names only: abbreviations would break when a verb is added. */
const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < VERBS_MAX; i++)
		if (strcmp(verb_table[i].name, name) == 0)
			return &verb_table[i];
	return NULL;
}

/* The nearest verb by edit distance. */
const char *verb_suggest(const char *name)
{
	const char *best = NULL;
	size_t best_distance = SUGGEST_WORD_MAX;

	for (size_t i = 0; i < VERBS_MAX; i++) {
		size_t distance = suggest_distance(name, verb_table[i].name);

		if (distance < best_distance && suggest_is_near(distance, verb_table[i].name)) {
			best = verb_table[i].name;
			best_distance = distance;
		}
	}
	return best;
}

/* The index in the table is the id. */
enum verb_id verb_id(const struct verb *verb)
{
	return (enum verb_id)(verb - verb_table);
}

/* ntm VERB --help. */
void verb_print_usage(FILE *out, const struct verb *verb)
{
	fprintf(out, "Usage: ntm %s%s%s [OPTION]...\n\n%c%s.\n\n", verb->name, *verb->operands ? " " : "",
		verb->operands, verb->help[0] - 'a' + 'A', verb->help + 1);
	options_print(out, PROGRAM_NTM, verb_id(verb));
}

/* ntm help. */
void verb_print_help(FILE *out)
{
	static const char *const groups[] = {CONNECT, LOOK, SERVE, CARE};

	fprintf(out, "Usage: ntm VERB [OPTION]...\n\nOne name and one pair of addresses for life, reachable from every "
		     "network.\n");
	for (size_t group = 0; group < sizeof groups / sizeof *groups; group++) {
		fprintf(out, "\n%s\n", groups[group]);
		for (size_t i = 0; i < VERBS_MAX; i++) {
			char left[64];

			if (strcmp(verb_table[i].group, groups[group]) != 0)
				continue;
			snprintf(left, sizeof left, "%s %s", verb_table[i].name, verb_table[i].operands);
			fprintf(out, "  %-20s %s\n", left, verb_table[i].help);
		}
	}
	fprintf(out, "\n`ntm VERB --help` tells a verb's options. A first network: `sudo ntm up --new` here, then type "
		     "what it prints there.\n");
}

/* The same tables as the parser's, so completion never lags behind. */
void verb_print_completion(FILE *out, const char *program, const char *name)
{
	const struct verb *verb = name ? verb_find(name) : NULL;
	unsigned bit = PROGRAM_NTM;

	for (unsigned one = PROGRAM_NTM; one <= PROGRAM_LAST; one <<= 1)
		if (strcmp(program, program_name(one)) == 0)
			bit = one;
	if (bit == PROGRAM_NTM && !verb)
		for (size_t i = 0; i < VERBS_MAX; i++)
			fprintf(out, "%s\n", verb_table[i].name);
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];

		if (!(row->programs & bit) ||
		    (bit == PROGRAM_NTM && row->verbs && !(verb && row->verbs & 1u << verb_id(verb))))
			continue;
		fprintf(out, "--%s%s\n", row->name, row->kind == KIND_FLAG ? "" : "=");
		for (size_t choice = 0; row->choices && row->choices[choice]; choice++)
			fprintf(out, "--%s=%s\n", row->name, row->choices[choice]);
	}
	if (verb && verb_id(verb) == VERB_CONFIG)
		fprintf(out, "check\n");
}
