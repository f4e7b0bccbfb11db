/* ntm.c: the one command that people type: finds the verb, checks that its options are its own, runs it. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/verb.h"

/* An option may stand before its verb, so only now is it known whether it belongs to it. */
static int check_options(const struct settings *settings, const struct verb *verb)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];

		if (settings->origin[i].source == SOURCE_COMMAND_LINE && row->verbs &&
		    !(row->verbs & 1u << verb_id(verb)))
			return verb_fail(
				settings, EXIT_USAGE,
				"option --%s does not belong to this verb; `ntm %s --help` lists those that do",
				row->name, verb->name);
	}
	return EXIT_DONE;
}

static int check_operands(const struct settings *settings, const struct verb *verb)
{
	size_t count = settings->operand_count - 1;

	if (count < verb->operands_min)
		return verb_fail(settings, EXIT_USAGE, "missing argument; usage: ntm %s %s", verb->name,
				 verb->operands);
	if (count > verb->operands_max)
		return verb_fail(settings, EXIT_USAGE, "unexpected argument '%s'; usage: ntm %s%s%s",
				 settings->operands[1 + verb->operands_max], verb->name, *verb->operands ? " " : "",
				 verb->operands);
	return EXIT_DONE;
}

static int fail_unknown(const char *name)
{
	const char *near = verb_suggest(name);
	char clean[96];

	render_clean(name, clean, sizeof clean);
	if (near)
		fprintf(stderr, "ntm: unknown verb '%s'; did you mean 'ntm %s'?\n", clean, near);
	else
		fprintf(stderr, "ntm: unknown verb '%s'; `ntm help` lists them all\n", clean);
	return EXIT_USAGE;
}

static int run(const struct settings *settings)
{
	struct render render = {
		.out = stdout, .colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), .now_s = time(NULL)};
	const struct verb *verb;
	int code;

	if (settings->version)
		return verb_version(settings, &render);
	if (settings->operand_count == 0) {
		verb_print_help(settings->help ? stdout : stderr);
		return settings->help ? EXIT_DONE : EXIT_USAGE;
	}
	verb = verb_find(settings->operands[0]);
	if (!verb)
		return fail_unknown(settings->operands[0]);
	if (settings->help) {
		verb_print_usage(stdout, verb);
		return EXIT_DONE;
	}
	code = check_options(settings, verb);
	if (code == EXIT_DONE)
		code = check_operands(settings, verb);
	return code == EXIT_DONE ? verb->run(settings, &render) : code;
}

int main(int argc, char *argv[])
{
	char error[SETTINGS_ERROR_MAX];
	struct settings settings;
	int code;

	/* For shells; takes its words as they are, which may be half-typed options. */
	if (argc > 1 && strcmp(argv[1], "completion-data") == 0) {
		verb_print_completion(stdout, argc > 2 ? argv[2] : "ntm", argc > 3 ? argv[3] : NULL);
		return EXIT_DONE;
	}
	if (settings_load(&settings, PROGRAM_NTM, argc, argv, environ, error) != OK) {
		fprintf(stderr, "ntm: %s\n", error);
		return EXIT_USAGE;
	}
	code = run(&settings);
	settings_finish(&settings);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_FAILED;
	return code;
}
