/* Settings: every source, their order, every kind of value, and the one line that each mistake gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/options_suggest.h"
#include "cmd/options_table.h"

enum { WORDS_MAX = 12 };

static char config_path[] = "/tmp/ntm-test-XXXXXX";

/* Writes the file anew; the path is the same for all cases. */
static void write_config(const char *text)
{
	FILE *file = fopen(config_path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static enum err load(struct settings *settings, enum program program, const char *config,
		     const char *const environment[], const char *const words[], char *error)
{
	char *argv[WORDS_MAX + 2] = {"program"}, *envp[WORDS_MAX + 2] = {0};
	char variable[64];
	int argc = 1, count = 0;

	for (; words && *words; words++)
		argv[argc++] = (char *)*words;
	snprintf(variable, sizeof variable, "NTM_CONFIG=%s", config_path);
	envp[count++] = variable;
	for (; environment && *environment; environment++)
		envp[count++] = (char *)*environment;
	write_config(config ? config : "");
	return settings_load(settings, program, argc, argv, envp, error);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_order_of_sources(void **state)
{
	static const struct {
		const char *file;
		const char *environment, *word;
		const char *expected;
		enum setting_source source;
	} cases[] = {
		{"", NULL, NULL, "ntm0", SOURCE_DEFAULT},
		{"tun = file0\n", NULL, NULL, "file0", SOURCE_FILE},
		{"tun = file0\n", "NTM_TUN=env0", NULL, "env0", SOURCE_ENVIRONMENT},
		{"tun = file0\n", "NTM_TUN=env0", "--tun=word0", "word0", SOURCE_COMMAND_LINE},
		{"tun = file0\n", "NTM_TUN=", NULL, "file0", SOURCE_FILE},
		{"tun = file0\n[ntmd]\ntun = own0\n[ntm-server]\nzone = a.b\n", NULL, NULL, "own0", SOURCE_FILE},
		{"tun = file0\n[ntm]\ntun = other0\n", NULL, NULL, "file0", SOURCE_FILE},
		{"", NULL, "--tun=word0", "word0", SOURCE_COMMAND_LINE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct settings settings;
		char error[SETTINGS_ERROR_MAX];

		assert_int_equal(load(&settings, PROGRAM_NTMD, cases[i].file, WORDS(cases[i].environment),
				      WORDS(cases[i].word), error),
				 OK);
		assert_string_equal(settings.tun, cases[i].expected);
		assert_int_equal(settings.origin[OPTION_TUN].source, cases[i].source);
		settings_finish(&settings);
	}
}

/* Names in any order make bits; one that is not known is a mistake, and changes nothing. */
static void test_without(void **state)
{
	struct settings settings;
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	assert_int_equal(load(&settings, PROGRAM_NTMD, "", NULL, NULL, error), OK);
	assert_int_equal(settings.without, 0);
	settings_finish(&settings);
	assert_int_equal(load(&settings, PROGRAM_RS, "without = tun-uso,udp-gro\n", NULL, NULL, error), OK);
	assert_int_equal(settings.without, WITHOUT_USO | WITHOUT_GRO);
	settings_finish(&settings);
	assert_int_equal(load(&settings, PROGRAM_NTMD, "",
			      WORDS("NTM_WITHOUT=udp-segment,udp-segment-128,tun-header,tun-tso"), NULL, error),
			 OK);
	assert_int_equal(settings.without, WITHOUT_SEGMENT | WITHOUT_LONG_TRAINS | WITHOUT_HEADER | WITHOUT_TSO);
	settings_finish(&settings);
	assert_int_equal(load(&settings, PROGRAM_NTMD, "", NULL, WORDS("--without=udp-gr"), error), ERR_USAGE);
	assert_non_null(strstr(error, "udp-gr"));
	assert_int_equal(load(&settings, PROGRAM_NTMD, "", NULL, WORDS("--without=udp-gro,,udp-segment"), error),
			 ERR_USAGE);
}

static void test_forms_and_places(void **state)
{
	struct settings settings;
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	assert_int_equal(load(&settings, PROGRAM_NTM, NULL, NULL,
			      WORDS("--json", "ping", "-c", "3", "b", "-i0.25", "--direct", "--", "--odd"), error),
			 OK);
	assert_true(settings.json && settings.direct && !settings.check);
	assert_int_equal(settings.count, 3);
	assert_int_equal(settings.interval_us, 250000);
	assert_int_equal(settings.operand_count, 3);
	assert_string_equal(settings.operands[0], "ping");
	assert_string_equal(settings.operands[1], "b");
	assert_string_equal(settings.operands[2], "--odd");
	settings_finish(&settings);
	assert_int_equal(
		load(&settings, PROGRAM_NTM, NULL, NULL, WORDS("up", "--wait", "5m", "--name", "Alpha"), error), OK);
	assert_int_equal(settings.wait_us, 300000000);
	assert_string_equal(settings.name, "alpha");
	settings_finish(&settings);
}

static void test_defaults_and_values(void **state)
{
	struct settings settings;
	char error[SETTINGS_ERROR_MAX], text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(
		load(&settings, PROGRAM_SERVER, NULL, NULL,
		     WORDS("--listen=192.0.2.9:7000", "--advertise=198.51.100.1,[2001:db8::1]:9", "--advertise",
			   "203.0.113.5", "--metrics=9100", "--log-level", "debug", "--dns-listen", "127.0.0.1"),
		     error),
		OK);
	assert_string_equal(settings.socket, "/run/ntm/server.sock");
	assert_int_equal(settings.advertise_count, 3);
	assert_string_equal(addr_format(&settings.advertise[0], text), "198.51.100.1:7000");
	assert_string_equal(addr_format(&settings.advertise[1], text), "[2001:db8::1]:9");
	assert_string_equal(addr_format(&settings.advertise[2], text), "203.0.113.5:7000");
	assert_string_equal(addr_format(&settings.metrics, text), "127.0.0.1:9100");
	assert_string_equal(addr_format(&settings.dns_listen, text), "127.0.0.1:53");
	assert_int_equal(settings.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(settings.zone, "ntm.internal");
	assert_int_equal(settings.pool6.bits, 32);
	settings_finish(&settings);
	assert_int_equal(load(&settings, PROGRAM_NTMD, NULL, WORDS("NTM_MARK=0x10"), NULL, error), OK);
	assert_string_equal(settings.socket, "/run/ntm/ntm.sock");
	assert_int_equal(settings.mark, 16);
	assert_int_equal(settings.listen.port, PORT_DEFAULT);
	assert_int_equal(settings.metrics.port, 0);
	settings_finish(&settings);
}

/* The line must name the place and the remedy; %s in expected stands for the file's path. */
static void test_mistakes(void **state)
{
	static const struct {
		enum program program;
		const char *file, *environment, *word, *expected;
	} cases[] = {
		{PROGRAM_NTM, "", NULL, "--jsno", "unknown option '--jsno'; did you mean '--json'?"},
		{PROGRAM_NTM, "", NULL, "--zzzzzz", "unknown option '--zzzzzz'; 'ntm --help' lists them all"},
		{PROGRAM_NTMD, "", NULL, "--zone=a.b", "unknown option '--zone'; 'ntmd --help' lists them all"},
		{PROGRAM_NTMD, "", NULL, "-x", "unknown option '-x'; 'ntmd --help' lists them all"},
		{PROGRAM_NTMD, "", NULL, "--tun", "option '--tun' needs a value: --tun NAME"},
		{PROGRAM_NTMD, "", NULL, "--stat=/x", "unknown option '--stat'; did you mean '--state'?"},
		{PROGRAM_NTMD, "", NULL, "--dns=maybe", "dns 'maybe' (command line): expected auto, stub or off"},
		{PROGRAM_NTMD, "", "NTM_LISTEN=here", NULL,
		 "listen 'here' (environment variable NTM_LISTEN): expected an address and port like 192.0.2.1:7367 or "
		 "[::]:7367"},
		{PROGRAM_NTM, "\n\nwait = 3 weeks\n", NULL, NULL,
		 "wait '3 weeks' (%s:3): expected a duration like 30s, 500ms, 5m or 1h"},
		{PROGRAM_NTM, "; remark\ntunn = x\n", NULL, NULL, "%s:2: unknown key 'tunn'; did you mean 'tun'?"},
		{PROGRAM_NTM, "[ntmx]\ntun = x\n", NULL, NULL,
		 "%s:2: unknown section [ntmx]; sections are programs: ntm, ntmd, ntm-server, ntm-as, ntm-dc, ntm-rs, "
		 "ntm-exit"},
		{PROGRAM_NTM, "tun\n", NULL, NULL, "%s:1: expected 'key = value'"},
		{PROGRAM_SERVER, "", NULL, "--pool4=10.0.0.1/8",
		 "pool4 '10.0.0.1/8' (command line): expected a prefix without host bits, like 198.18.0.0/15"},
		{PROGRAM_SERVER, "", NULL, "--pool4=fd00::/8",
		 "pool4 'fd00::/8' (command line): expected a prefix without host bits, like 198.18.0.0/15"},
		{PROGRAM_SERVER, "", NULL, "--zone=a..b",
		 "zone 'a..b' (command line): expected letters, digits and inner hyphens, in labels of at most 63"},
		{PROGRAM_NTMD, "", NULL, "--name=-a",
		 "name '-a' (command line): expected letters, digits and inner hyphens, in labels of at most 63"},
		{PROGRAM_NTMD, "", NULL, "--tun=much-too-long-name",
		 "tun 'much-too-long-name' (command line): expected an interface name of at most 15 characters"},
		{PROGRAM_NTMD, "", NULL, "--table=0",
		 "table '0' (command line): expected a number from 1 to 4294967295"},
		{PROGRAM_NTMD, "", NULL, "--table=99999999999",
		 "table '99999999999' (command line): expected a number"},
		{PROGRAM_NTM, "", NULL, "--json=perhaps", "json 'perhaps' (command line): expected yes or no"},
		{PROGRAM_NTMD, "", "NTM_JOIN=spoken words", NULL,
		 "join '...' (environment variable NTM_JOIN): expected printable characters without spaces"},
		{PROGRAM_NTM, "", NULL, "--config=/nonexistent/x",
		 "configuration file '/nonexistent/x' cannot be read: No such file or directory"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct settings settings;
		char error[SETTINGS_ERROR_MAX], expected[SETTINGS_ERROR_MAX];

		assert_int_equal(load(&settings, cases[i].program, cases[i].file, WORDS(cases[i].environment),
				      WORDS(cases[i].word), error),
				 ERR_USAGE);
		snprintf(expected, sizeof expected, cases[i].expected, config_path);
		assert_string_equal(error, expected);
		assert_null(strchr(error, '\n'));
		assert_null(settings.state);
	}
}

static void test_long_line_in_file(void **state)
{
	char text[600] = "name = ", error[SETTINGS_ERROR_MAX];
	struct settings settings;

	(void)state;
	memset(text + 7, 'a', 500);
	strcpy(text + 507, "\n");
	assert_int_equal(load(&settings, PROGRAM_NTMD, text, NULL, NULL, error), ERR_USAGE);
	assert_non_null(strstr(error, ":1: line is longer than"));
}

static void test_duration_bounds(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{"0", 0},
		{"30", 30000000},
		{"1.5", 1500000},
		{"250ms", 250000},
		{"7us", 7},
		{"2min", 120000000},
		{"1h", 3600000000},
		{"1.5d", 129600000000},
		{"", -1},
		{"-1", -1},
		{"+1", -1},
		{" 1", -1},
		{"1.", -1},
		{".5", -1},
		{"1s1", -1},
		{"999999999999w", -1},
		{"9999999999999", -1},
		{"nan", -1},
		{"0.0000001", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct settings settings = {0};
		char why[160];
		enum err err = option_convert(&settings, &options_table[OPTION_WAIT], cases[i].text, why);

		assert_int_equal(err, cases[i].us < 0 ? ERR_USAGE : OK);
		assert_int_equal(settings.wait_us, cases[i].us < 0 ? 0 : cases[i].us);
	}
}

/* Help is what someone asks for whose configuration is broken. */
static void test_help_survives_a_broken_file(void **state)
{
	struct settings settings;
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	assert_int_equal(load(&settings, PROGRAM_NTM, "nonsense\n", NULL, WORDS("up", "-h"), error), OK);
	assert_true(settings.help);
	settings_finish(&settings);
}

static void test_relative_path_becomes_absolute(void **state)
{
	struct settings settings;
	char error[SETTINGS_ERROR_MAX];

	(void)state;
	assert_int_equal(load(&settings, PROGRAM_NTMD, NULL, NULL, WORDS("--state=here"), error), OK);
	assert_int_equal(settings.state[0], '/');
	assert_string_equal(strrchr(settings.state, '/'), "/here");
	settings_finish(&settings);
}

/* What everyone relies on when adding a row. */
static void test_table_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];

		assert_non_null(row->name);
		assert_non_null(row->help);
		assert_true(row->programs != 0);
		assert_true((row->argument == NULL) == (row->kind == KIND_FLAG));
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(row->name, options_table[j].name);
			assert_true(!row->letter || row->letter != options_table[j].letter);
		}
		for (unsigned program = PROGRAM_NTM; program <= PROGRAM_RS; program <<= 1) {
			struct settings settings = {0};
			char why[160];
			const char *fallback = option_fallback(row, program);

			if (fallback)
				assert_int_equal(option_convert(&settings, row, fallback, why), OK);
			settings.origin[i].text = NULL;
			settings_finish(&settings);
		}
	}
}

static void test_distance(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} cases[] = {
		{"", "", 0},	 {"a", "", 1},	      {"status", "stauts", 1}, {"kitten", "sitting", 3},
		{"up", "pu", 1}, {"ping", "pign", 1}, {"abc", "abc", 0},
	};
	char longer[SUGGEST_WORD_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	assert_int_equal(suggest_distance(longer, "x"), SUGGEST_WORD_MAX);
	assert_true(suggest_is_near(1, "up"));
	assert_false(suggest_is_near(2, "up"));
	assert_false(suggest_is_near(4, "handover"));
}

#define KEY_TEXT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_trust(void **state)
{
	static const char *const bad[] = {
		"partner.example",
		"partner.example=" KEY_TEXT,
		"partner.example=" KEY_TEXT "@198.19.0.0/16",
		"partner.example=" KEY_TEXT "@fd12:3456::/32@fd12:3457::/32",
		"partner.example=" KEY_TEXT "00@fd12:3456::/32",
		"Partner.example=" KEY_TEXT "@fd12:3456::/32",
		"partner.example=" KEY_TEXT "@fd12:3456::1/32",
		"partner.example=" KEY_TEXT "@fd12:3456::/32,",
	};
	struct settings settings;
	struct trusted_entry entry;
	char error[SETTINGS_ERROR_MAX];
	const char *text;

	(void)state;
	assert_int_equal(load(&settings, PROGRAM_SERVER, NULL, NULL,
			      WORDS("--trust", "partner.example=" KEY_TEXT "@198.19.0.0/16@fd12:3456::/32", "--trust",
				    "b=" KEY_TEXT "@fd00:1::/32", "--resolver", "192.0.2.53"),
			      error),
			 OK);
	assert_int_equal(settings.resolver.port, 53);
	text = settings.trust;
	assert_true(setting_trust_next(&text, &entry));
	assert_string_equal(entry.zone, "partner.example");
	assert_int_equal(entry.authority[31], 0xff);
	assert_int_equal(entry.pool4.bits, 16);
	assert_int_equal(entry.pool6.bits, 32);
	assert_true(setting_trust_next(&text, &entry));
	assert_string_equal(entry.zone, "b");
	assert_int_equal(entry.pool4.ip.family, 0);
	assert_false(setting_trust_next(&text, &entry));
	settings_finish(&settings);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(load(&settings, PROGRAM_AS, NULL, NULL, WORDS("--trust", bad[i]), error), ERR_USAGE);
	assert_int_equal(load(&settings, PROGRAM_DC, NULL, NULL, WORDS("--trust", "x"), error), ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_sources),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_forms_and_places),
		cmocka_unit_test(test_defaults_and_values),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_long_line_in_file),
		cmocka_unit_test(test_duration_bounds),
		cmocka_unit_test(test_help_survives_a_broken_file),
		cmocka_unit_test(test_relative_path_becomes_absolute),
		cmocka_unit_test(test_table_is_sound),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_trust),
	};
	int fd = mkstemp(config_path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(config_path);
	return failed;
}
