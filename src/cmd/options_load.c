/*
 * options_load.c: fills in settings from defaults, file, environment and command line, each later one winning.
 *
 * Not getopt_long: it accepts every abbreviation that is unique today (a later option would break scripts), keeps its
 * position in process globals (two loads in one process would share it), and cannot report a suggestion or the origin
 * of a value.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/options_table.h"

#define CONFIG_DEFAULT "/etc/ntm/ntm.conf"

enum { GIVEN_MAX = 64 };

/* An option as typed; text is borrowed from argv. */
struct given {
	const struct option_row *row;
	const char *text;
};

struct loader {
	struct settings *settings;
	char *const *envp;
	struct given given[GIVEN_MAX];
	size_t given_count;
	char *error;
	/* While the file is read. */
	FILE *file;
	const char *path;
	unsigned line;
	bool fragment; /* the last read ended inside a line */
};

static enum err fail(struct loader *loader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum err fail(struct loader *loader, const char *format, ...)
{
	char *p = loader->error;
	va_list arguments;

	if (*p) /* the first mistake is the one to mend first */
		return ERR_USAGE;
	va_start(arguments, format);
	vsnprintf(p, SETTINGS_ERROR_MAX, format, arguments);
	va_end(arguments);
	for (; *p; p++)
		if ((unsigned char)*p < ' ') /* one line, whatever was in argv */
			*p = '?';
	return ERR_USAGE;
}

static void origin_describe(const char *path, unsigned line, enum setting_source source, const struct option_row *row,
			    char *text, size_t size)
{
	char name[48];

	switch (source) {
	case SOURCE_DEFAULT: snprintf(text, size, "default"); break;
	case SOURCE_FILE: snprintf(text, size, "%s:%u", path, line); break;
	case SOURCE_ENVIRONMENT: snprintf(text, size, "environment variable %s", option_environment(row, name)); break;
	case SOURCE_COMMAND_LINE: snprintf(text, size, "command line"); break;
	}
}

static void origin_set(struct setting_origin *origin, enum setting_source source, unsigned line, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	free(origin->text);
	*origin = (struct setting_origin){source, line, copy};
}

/* A list that is repeated on the command line grows; everything else is replaced. */
static enum err apply(struct loader *loader, const struct option_row *row, enum setting_source source, const char *text)
{
	struct setting_origin *origin = &loader->settings->origin[option_id(row)];
	char why[160], from[256], joined[4096];

	if ((row->kind == KIND_ADDRS || row->kind == KIND_RULES || row->kind == KIND_TRUST) &&
	    source == SOURCE_COMMAND_LINE && origin->source == source) {
		snprintf(joined, sizeof joined, "%s,%s", origin->text, text);
		text = joined;
	}
	if (option_convert(loader->settings, row, text, why) != OK) {
		origin_describe(loader->path, loader->line, source, row, from, sizeof from);
		return fail(loader, "%s '%s' (%s): expected %s", row->name, row->secret ? "..." : text, from, why);
	}
	origin_set(origin, source, loader->line, text);
	return OK;
}

static enum err fail_unknown(struct loader *loader, const char *name)
{
	enum program program = loader->settings->program;
	const char *near = option_suggest(name, program);

	if (near)
		return fail(loader, "unknown option '--%s'; did you mean '--%s'?", name, near);
	return fail(loader, "unknown option '--%s'; '%s --help' lists them all", name, program_name(program));
}

static enum err give(struct loader *loader, const struct option_row *row, const char *text)
{
	if (loader->given_count == GIVEN_MAX)
		return fail(loader, "more than %d options", GIVEN_MAX);
	loader->given[loader->given_count++] = (struct given){row, text};
	return OK;
}

/* *at is the index of the argument, and moves on when the value is the next one. */
static enum err read_long(struct loader *loader, int argc, char *const argv[], int *at)
{
	const char *name = argv[*at] + 2, *equals = strchr(name, '=');
	char word[64];
	const struct option_row *row;

	snprintf(word, sizeof word, "%.*s", equals ? (int)(equals - name) : (int)strlen(name), name);
	row = option_find(word, loader->settings->program);
	if (!row)
		return fail_unknown(loader, word);
	if (equals)
		return give(loader, row, equals + 1);
	if (row->kind == KIND_FLAG)
		return give(loader, row, "yes");
	if (*at + 1 >= argc)
		return fail(loader, "option '--%s' needs a value: --%s %s", word, word, row->argument);
	return give(loader, row, argv[++*at]);
}

/* "-c 3" and "-c3"; flags are not bundled, there are too few of them. */
static enum err read_short(struct loader *loader, int argc, char *const argv[], int *at)
{
	const char *text = argv[*at];
	const struct option_row *row = option_find_letter(text[1], loader->settings->program);

	if (!row || (row->kind == KIND_FLAG && text[2]))
		return fail(loader, "unknown option '%s'; '%s --help' lists them all", text,
			    program_name(loader->settings->program));
	if (row->kind == KIND_FLAG)
		return give(loader, row, "yes");
	if (text[2])
		return give(loader, row, text + 2);
	if (*at + 1 >= argc)
		return fail(loader, "option '-%c' needs a value: -%c %s", text[1], text[1], row->argument);
	return give(loader, row, argv[++*at]);
}

static enum err read_arguments(struct loader *loader, int argc, char *const argv[])
{
	struct settings *settings = loader->settings;
	bool only_operands = false;

	for (int at = 1; at < argc; at++) {
		const char *text = argv[at];
		enum err err = OK;

		if (!only_operands && strcmp(text, "--") == 0)
			only_operands = true;
		else if (!only_operands && strncmp(text, "--", 2) == 0)
			err = read_long(loader, argc, argv, &at);
		else if (!only_operands && text[0] == '-' && text[1])
			err = read_short(loader, argc, argv, &at);
		else if (settings->operand_count == OPERANDS_MAX)
			err = fail(loader, "too many arguments, from '%s' on", text);
		else
			settings->operands[settings->operand_count++] = text;
		if (err != OK)
			return err;
	}
	return OK;
}

/* The last one given, or NULL. */
static const char *given_text(const struct loader *loader, enum option_id id)
{
	for (size_t i = loader->given_count; i-- > 0;)
		if (option_id(loader->given[i].row) == id)
			return loader->given[i].text;
	return NULL;
}

static const char *environment_text(char *const envp[], const char *name)
{
	size_t size = strlen(name);

	for (; envp && *envp; envp++)
		if (strncmp(*envp, name, size) == 0 && (*envp)[size] == '=')
			return *envp + size + 1;
	return NULL;
}

static enum err apply_environment(struct loader *loader)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];
		char name[48];
		const char *text = row->programs & loader->settings->program
					   ? environment_text(loader->envp, option_environment(row, name))
					   : NULL;

		/* Empty means unset: that is how shells and units clear a variable. --help and --version are not
		 * settings. */
		if (!text || !*text || i == OPTION_HELP || i == OPTION_VERSION)
			continue;
		if (apply(loader, row, SOURCE_ENVIRONMENT, text) != OK)
			return ERR_USAGE;
	}
	return OK;
}

/* Counts lines for messages: Debian's inih does not tell its handler. It reads a long line in fragments. */
static char *read_line(char *text, int size, void *user)
{
	struct loader *loader = user;

	if (!loader->fragment)
		loader->line++;
	if (!fgets(text, size, loader->file))
		return NULL;
	loader->fragment = !strchr(text, '\n') && !feof(loader->file);
	if (loader->fragment)
		fail(loader, "%s:%u: line is longer than %d characters", loader->path, loader->line, size - 2);
	return text;
}

static enum err check_section(struct loader *loader, const char *section, bool *ret_applies)
{
	if (!*section) {
		*ret_applies = true;
		return OK;
	}
	for (unsigned program = PROGRAM_NTM; program <= PROGRAM_LAST; program <<= 1)
		if (strcmp(section, program_name(program)) == 0) {
			*ret_applies = program == loader->settings->program;
			return OK;
		}
	return fail(
		loader,
		"%s:%u: unknown section [%s]; sections are programs: ntm, ntmd, ntm-server, ntm-as, ntm-dc, ntm-rs, "
		"ntm-exit",
		loader->path, loader->line, section);
}

/* inih: 0 stops with an error at this line. Keys of other programs are known, so that one file serves a machine. */
static int take_key(void *user, const char *section, const char *key, const char *value)
{
	struct loader *loader = user;
	const struct option_row *row;
	const char *near;
	bool applies = false;

	if (check_section(loader, section, &applies) != OK)
		return 0;
	row = option_find(key, ~0u);
	if (!row || option_id(row) == OPTION_HELP || option_id(row) == OPTION_VERSION ||
	    option_id(row) == OPTION_CONFIG) {
		near = option_suggest(key, ~0u);
		fail(loader, "%s:%u: unknown key '%s'%s%s%s", loader->path, loader->line, key,
		     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
		return 0;
	}
	if (!applies || !(row->programs & loader->settings->program))
		return 1;
	/* A section's key stands, wherever the section is: ordinary keys come before all sections in an INI file. */
	return apply(loader, row, SOURCE_FILE, value) == OK;
}

static enum err apply_file(struct loader *loader, const char *path, bool must_exist)
{
	int line;

	loader->file = fopen(path, "re");
	if (!loader->file && errno == ENOENT && !must_exist)
		return OK;
	if (!loader->file)
		return fail(loader, "configuration file '%s' cannot be read: %s", path, strerror(errno));
	loader->path = path;
	line = ini_parse_stream(read_line, loader, take_key, loader);
	fclose(loader->file);
	if (line != 0 && !*loader->error)
		return fail(loader, "%s:%d: expected 'key = value'", path, line);
	if (*loader->error)
		return ERR_USAGE;
	origin_set(&loader->settings->origin[OPTION_CONFIG], SOURCE_DEFAULT, 0, path);
	free(loader->settings->config);
	loader->settings->config = strdup(path);
	loader->line = 0;
	return OK;
}

static enum err apply_fallbacks(struct loader *loader)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];
		const char *text = row->programs & loader->settings->program
					   ? option_fallback(row, loader->settings->program)
					   : NULL;

		if (text && apply(loader, row, SOURCE_DEFAULT, text) != OK)
			return ERR_USAGE;
	}
	return OK;
}

static enum err apply_all(struct loader *loader)
{
	const char *config = given_text(loader, OPTION_CONFIG);
	bool named = true;

	if (!config)
		config = environment_text(loader->envp, "NTM_CONFIG");
	if (!config || !*config) {
		config = CONFIG_DEFAULT;
		named = false;
	}
	if (apply_file(loader, config, named) != OK || apply_environment(loader) != OK)
		return ERR_USAGE;
	for (size_t i = 0; i < loader->given_count; i++)
		if (apply(loader, loader->given[i].row, SOURCE_COMMAND_LINE, loader->given[i].text) != OK)
			return ERR_USAGE;
	for (size_t i = 0; i < loader->settings->advertise_count; i++)
		if (loader->settings->advertise[i].port == 0)
			loader->settings->advertise[i].port = loader->settings->listen.port;
	return OK;
}

/* Someone who asks for help gets it, also when the file or the environment is what is wrong. */
static bool asks_for_help(const struct loader *loader)
{
	return given_text(loader, OPTION_HELP) || given_text(loader, OPTION_VERSION);
}

/* On failure nothing of the half-filled settings is left. */
enum err settings_load(struct settings *ret, enum program program, int argc, char *const argv[], char *const envp[],
		       char error[SETTINGS_ERROR_MAX])
{
	struct settings settings = {.program = program};
	struct loader loader = {.settings = &settings, .envp = envp, .error = error};
	enum err err;

	error[0] = 0;
	err = apply_fallbacks(&loader);
	if (err == OK)
		err = read_arguments(&loader, argc, argv);
	if (err == OK && asks_for_help(&loader)) {
		settings.help = given_text(&loader, OPTION_HELP);
		settings.version = given_text(&loader, OPTION_VERSION);
	} else if (err == OK) {
		err = apply_all(&loader);
	}
	if (err != OK) {
		settings_finish(&settings);
		settings = (struct settings){.program = program};
	}
	*ret = settings;
	return err;
}

/* Every char * field has a row, so the table says what to free. */
void settings_finish(struct settings *settings)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];
		bool is_text = row->kind == KIND_TEXT || row->kind == KIND_ZONE || row->kind == KIND_IFACE ||
			       row->kind == KIND_PATH || row->kind == KIND_RULES || row->kind == KIND_TRUST;
		char **field = (char **)((char *)settings + row->offset);

		if (row->secret && *field)
			explicit_bzero(*field, strlen(*field));
		if (row->secret && settings->origin[i].text)
			explicit_bzero(settings->origin[i].text, strlen(settings->origin[i].text));
		if (is_text)
			free(*field);
		free(settings->origin[i].text);
	}
	*settings = (struct settings){.program = settings->program};
}

/* Stable words: `ntm config check --json` prints them as well. */
const char *settings_origin_format(const struct settings *settings, enum option_id id, char *text, size_t size)
{
	const struct setting_origin *origin = &settings->origin[id];

	origin_describe(settings->config, origin->line, origin->source, &options_table[id], text, size);
	return text;
}

/* Daemons take options only; ntm has its own main because its operands are verbs. */
int settings_start(struct settings *ret, enum program program, int argc, char *const argv[])
{
	char error[SETTINGS_ERROR_MAX];

	if (settings_load(ret, program, argc, argv, environ, error) == OK && ret->operand_count > 0) {
		snprintf(error, sizeof error, "unexpected argument '%s'; options begin with --", ret->operands[0]);
		settings_finish(ret);
	}
	if (*error) {
		fprintf(stderr, "%s: %s\n", program_name(program), error);
		return EXIT_USAGE;
	}
	if (!ret->help && !ret->version)
		return -1;
	if (ret->help)
		options_print_program(stdout, program);
	else
		printf("%s %s\n", program_name(program), NTM_VERSION);
	settings_finish(ret);
	return EXIT_DONE;
}
