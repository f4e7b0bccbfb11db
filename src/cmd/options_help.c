/* options_help.c: the options as --help shows them. */
#include <string.h>

#include "cmd/options_table.h"

enum { COLUMN = 30 };

static void print_row(FILE *out, const struct option_row *row, enum program program)
{
	const char *fallback = option_fallback(row, program);
	char left[64];

	snprintf(left, sizeof left, "  %c%c%s --%s%s%s", row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
		 row->letter ? "," : " ", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
	fprintf(out, "%-*s%s%s", COLUMN, left, strlen(left) >= COLUMN ? "  " : "", row->help);
	if (row->choices) {
		for (int i = 0; row->choices[i]; i++)
			fprintf(out, "%s%s", i == 0 ? ": " : ", ", row->choices[i]);
	}
	if (fallback && row->kind != KIND_FLAG && !strstr(row->help, "(default"))
		fprintf(out, " (default: %s)", fallback);
	fputc('\n', out);
}

static void print_where(FILE *out, enum program program, uint32_t verbs, bool own)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];

		if (row->programs & program &&
		    (program != PROGRAM_NTM || (own ? (row->verbs & verbs) != 0 : row->verbs == 0)))
			print_row(out, row, program);
	}
}

/* The verb's own first, then those that every verb takes. */
void options_print(FILE *out, enum program program, enum verb_id verb)
{
	print_where(out, program, 1u << verb, true);
	print_where(out, program, 0, false);
}

/* One screen: usage, options, and where else they can stand. */
void options_print_program(FILE *out, enum program program)
{
	fprintf(out, "Usage: %s [OPTION]...\n\n", program_name(program));
	print_where(out, program, 0, false);
	fprintf(out,
		"\nEvery option is also an environment variable (--log-level: NTM_LOG_LEVEL) and a key of "
		"/etc/ntm/ntm.conf;\n"
		"the command line wins, then the environment, then the file. See %s(8) and ntm.conf(5).\n",
		program_name(program));
}
