/* verb_report.c: help, version, config check, bugreport: what needs no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/render_document.h"
#include "cmd/verb.h"

enum { LOG_TAIL = 64 * 1024 };

/* `ntm help VERB` is `ntm VERB --help`. */
int verb_help(const struct settings *settings, const struct render *render)
{
	const struct verb *verb;

	if (settings->operand_count < 2) {
		verb_print_help(render->out);
		return EXIT_DONE;
	}
	verb = verb_find(settings->operands[1]);
	if (!verb)
		return verb_fail(settings, EXIT_USAGE, "unknown verb '%s'; `ntm help` lists them all",
				 settings->operands[1]);
	verb_print_usage(render->out, verb);
	return EXIT_DONE;
}

/* Of this program; daemons tell theirs in `ntm bugreport`. */
int verb_version(const struct settings *settings, const struct render *render)
{
	if (settings->json)
		fprintf(render->out, "{\"schema\":\"ntm.version/1\",\"version\":\"%s\"}\n", NTM_VERSION);
	else
		fprintf(render->out, "ntm %s\n", NTM_VERSION);
	return EXIT_DONE;
}

static const char *value_text(const struct settings *settings, size_t id)
{
	const char *text = settings->origin[id].text;

	if (text && options_table[id].secret)
		return "(secret)";
	if (text && options_table[id].kind == KIND_PATH)
		return *(char *const *)((const char *)settings + options_table[id].offset);
	return text ? text : "";
}

static bool is_setting(size_t id)
{
	return id != OPTION_HELP && id != OPTION_VERSION && id != OPTION_CONFIG;
}

/* Settings that other programs see otherwise than ntm does: their defaults and their sections. */
static void add_settings(struct render_table *table, const struct settings *settings, const struct settings *base)
{
	char from[300];

	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const char *value = value_text(settings, i);

		if (!is_setting(i) || !(options_table[i].programs & settings->program) ||
		    (base && strcmp(value, value_text(base, i)) == 0))
			continue;
		render_table_add(table, COLOUR_NONE, program_name(settings->program));
		render_table_add(table, COLOUR_NONE, options_table[i].name);
		render_table_add(table, COLOUR_NONE, value);
		render_table_add(table, COLOUR_FAINT,
				 settings_origin_format(settings, (enum option_id)i, from, sizeof from));
	}
}

static void dump_settings(const struct settings *settings, json_t *list)
{
	char from[300];

	for (size_t i = 0; i < OPTIONS_MAX; i++)
		if (is_setting(i) && options_table[i].programs & settings->program)
			json_array_append_new(
				list,
				json_pack("{ssssssss}", "program", program_name(settings->program), "name",
					  options_table[i].name, "value", value_text(settings, i), "from",
					  settings_origin_format(settings, (enum option_id)i, from, sizeof from)));
}

/* A misspelt variable is silently nothing; here is the one place to hear about it. */
static void warn_environment(void)
{
	for (char **at = environ; *at; at++) {
		size_t size = strcspn(*at, "=");
		bool known = strncmp(*at, "NTM_", 4) != 0;
		char name[48];

		for (size_t i = 0; i < OPTIONS_MAX && !known; i++)
			known = strlen(option_environment(&options_table[i], name)) == size &&
				strncmp(*at, name, size) == 0;
		if (!known)
			fprintf(stderr,
				"ntm config: environment variable %.*s is no setting; `ntm help` and ntm.conf(5) list "
				"them\n",
				(int)(size < 64 ? size : 64), *at);
	}
}

/* The settings of every program, from one file and one environment; what was typed to ntm counts for ntm. */
static int collect(const struct settings *settings, struct render_table *table, json_t *list)
{
	char error[SETTINGS_ERROR_MAX];
	char *option = NULL;
	int code = EXIT_DONE;

	add_settings(table, settings, NULL);
	dump_settings(settings, list);
	if (settings->config && asprintf(&option, "--config=%s", settings->config) < 0)
		abort();
	for (enum program program = PROGRAM_NTMD; program <= PROGRAM_LAST && code == EXIT_DONE; program <<= 1) {
		char *arguments[] = {"", option};
		struct settings other;

		if (settings_load(&other, program, option ? 2 : 1, arguments, environ, error) != OK) {
			code = verb_fail(settings, EXIT_USAGE, "%s: %s", program_name(program), error);
			break;
		}
		add_settings(table, &other, settings);
		dump_settings(&other, list);
		settings_finish(&other);
	}
	free(option);
	return code;
}

static int print_settings(const struct settings *settings, const struct render *render)
{
	struct render_table table;
	json_t *list = json_array();
	int code;

	render_table_init(&table, 4);
	render_table_add(&table, COLOUR_FAINT, "PROGRAM");
	render_table_add(&table, COLOUR_FAINT, "SETTING");
	render_table_add(&table, COLOUR_FAINT, "VALUE");
	render_table_add(&table, COLOUR_FAINT, "FROM");
	code = collect(settings, &table, list);
	if (code != EXIT_DONE)
		table.count = 0;
	if (code == EXIT_DONE && settings->json) {
		json_t *document = json_pack("{sssssO}", "schema", "ntm.config/1", "file",
					     settings->config ? settings->config : "", "settings", list);

		table.count = 0;
		json_dumpf(document, render->out, JSON_COMPACT);
		fputc('\n', render->out);
		json_decref(document);
	}
	render_table_finish(&table, render, "");
	json_decref(list);
	return code;
}

/* Had anything been wrong with ntm's own settings, main would have said so. */
int verb_config(const struct settings *settings, const struct render *render)
{
	if (strcmp(settings->operands[1], "check") != 0)
		return verb_fail(settings, EXIT_USAGE, "unknown '%s'; try `ntm config check`", settings->operands[1]);
	warn_environment();
	return print_settings(settings, render);
}

static void report_system(FILE *out)
{
	struct utsname system;
	char line[256];
	FILE *release = fopen("/etc/os-release", "re");

	fprintf(out, "ntm %s\n", NTM_VERSION);
	if (uname(&system) == 0)
		fprintf(out, "%s %s %s %s\n", system.sysname, system.release, system.version, system.machine);
	while (release && fgets(line, sizeof line, release))
		if (strncmp(line, "PRETTY_NAME=", 12) == 0)
			fputs(line + 12, out);
	if (release)
		fclose(release);
}

static void report_interfaces(FILE *out)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) != 0)
		return;
	for (struct ifaddrs *at = list; at; at = at->ifa_next) {
		char host[NI_MAXHOST] = "";
		int family = at->ifa_addr ? at->ifa_addr->sa_family : 0;

		if (family != AF_INET && family != AF_INET6)
			continue;
		getnameinfo(at->ifa_addr, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
			    host, sizeof host, NULL, 0, NI_NUMERICHOST);
		fprintf(out, "%s %s%s\n", at->ifa_name, host, at->ifa_flags & IFF_UP ? "" : " down");
	}
	freeifaddrs(list);
}

/* Join codes are the one secret that a person or a log line may have let slip into text. */
static void put_redacted(FILE *out, const char *text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	for (const char *code; (code = strstr(text, "ntm1-")); text = code + strspn(code, alphabet))
		fprintf(out, "%.*s(join code)", (int)(code - text), text);
	fputs(text, out);
}

static void report_log(FILE *out, const char *path)
{
	char *tail = malloc(LOG_TAIL + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	ssize_t got = -1;

	if (tail && fd >= 0 && fstat(fd, &stat) == 0)
		got = pread(fd, tail, LOG_TAIL, stat.st_size > LOG_TAIL ? stat.st_size - LOG_TAIL : 0);
	if (got > 0) {
		tail[got] = 0;
		fprintf(out, "\n== last lines of %s\n", path);
		put_redacted(out, tail);
	}
	if (fd >= 0)
		close(fd);
	free(tail);
}

/* Members with such names never hold anything that a bug report needs. */
static void redact(json_t *value)
{
	static const char *const secrets[] = {"code", "secret", "seed", "private_key", "psk", "join"};
	const char *key;
	json_t *member;
	size_t at;

	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
		if (json_object_get(value, secrets[i]))
			json_object_set_new(value, secrets[i], json_string("(secret)"));
	json_object_foreach(value, key, member) redact(member);
	json_array_foreach(value, at, member) redact(member);
}

static void report_answer(FILE *out, const char *path, const char *verb)
{
	struct verb_answer answer = verb_ask(path, json_pack("{ss}", "verb", verb), 5000);
	char *text;

	fprintf(out, "\n== %s from %s\n", verb, path);
	redact(answer.document);
	text = answer.document ? json_dumps(answer.document, JSON_INDENT(1)) : NULL;
	if (text)
		put_redacted(out, text);
	fprintf(out, "\n%s%s\n", answer.connected ? "" : "nobody answers", answer.error);
	free(text);
	verb_answer_finish(&answer);
}

static void write_report(const struct settings *settings, FILE *out)
{
	struct render render = {.out = out, .now_s = time(NULL)};
	struct settings plain = *settings;
	char server[128], path[4300];

	plain.json = false;
	report_system(out);
	fprintf(out, "\n== settings\n");
	print_settings(&plain, &render);
	fprintf(out, "\n== interfaces\n");
	report_interfaces(out);
	report_answer(out, settings->socket, "status");
	report_answer(out, settings->socket, "bugreport");
	verb_server_socket(settings, server);
	if (strcmp(server, settings->socket) != 0) {
		report_answer(out, server, "status");
		report_answer(out, server, "network");
	}
	snprintf(path, sizeof path, "%s/ntmd.log", settings->state);
	report_log(out, path);
	snprintf(path, sizeof path, "%s/server/ntm-server.log", settings->state);
	report_log(out, path);
}

/* Uploads nothing; an existing file is never overwritten. */
int verb_bugreport(const struct settings *settings, const struct render *render)
{
	char name[64];
	time_t now = time(NULL);
	struct tm tm;
	const char *path = settings->output ? settings->output : name;
	FILE *out;
	int fd;

	gmtime_r(&now, &tm);
	strftime(name, sizeof name, "ntm-bugreport-%Y%m%dT%H%M%SZ.txt", &tm);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!out)
		return verb_fail(settings, EXIT_FAILED, "cannot write %s: %s; try --output FILE", path,
				 strerror(errno));
	write_report(settings, out);
	if (fclose(out) != 0)
		return verb_fail(settings, EXIT_FAILED, "cannot write %s: %s; try --output FILE", path,
				 strerror(errno));
	fprintf(render->out, "%s\n", path);
	return EXIT_DONE;
}
