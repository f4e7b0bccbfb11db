/* Commands: what each word does, and that a line with one wrong word does nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "command.h"

static char line[COMMAND_MAX];

static struct command parsed(const char *text)
{
	struct command command;
	const char *wrong;

	memmove(line, text, strlen(text) + 1);
	assert_int_equal(command_parse(line, &command, &wrong), OK);
	return command;
}

static void test_wire(void **state)
{
	struct command command = parsed("wire A upay upax\n");

	(void)state;
	assert_int_equal(command.verb, COMMAND_WIRE);
	assert_string_equal(command.wire, "A");
	assert_string_equal(command.interfaces[0], "upay");
	assert_string_equal(command.interfaces[1], "upax");
}

static void test_every_key(void **state)
{
	struct plan_settings settings = {0};
	struct command command =
		parsed("set A forward delay 10.5ms jitter 200us rate 100mbit queue 64k loss 0.5% burst-begin 1% "
		       "burst-end 20% burst-loss 100% duplicate 2% reorder 3% hold 4ms mtu 1400 answers on cut on");

	(void)state;
	assert_int_equal(command.verb, COMMAND_SET);
	assert_true(command.ways[0] && !command.ways[1] && !command.has_class);
	command_apply(&command, &settings);
	assert_int_equal(settings.delay_ns, 10500000);
	assert_int_equal(settings.jitter_ns, 200000);
	assert_int_equal(settings.rate_bps, 100000000);
	assert_int_equal(settings.queue_bytes, 65536);
	assert_int_equal(settings.loss_ppm, 5000);
	assert_int_equal(settings.burst_begin_ppm, 10000);
	assert_int_equal(settings.burst_end_ppm, 200000);
	assert_int_equal(settings.burst_loss_ppm, 1000000);
	assert_int_equal(settings.duplicate_ppm, 20000);
	assert_int_equal(settings.reorder_ppm, 30000);
	assert_int_equal(settings.reorder_ns, 4000000);
	assert_int_equal(settings.mtu, 1400);
	assert_true(settings.answers && settings.cut);
	command = parsed("heal A both");
	assert_true(command.ways[0] && command.ways[1]);
	command_apply(&command, &settings);
	assert_false(settings.cut);
	assert_int_equal(settings.mtu, 1400);
	command = parsed("set A reverse clear loss 1%");
	command_apply(&command, &settings);
	assert_int_equal(settings.mtu, 0);
	assert_int_equal(settings.loss_ppm, 10000);
}

static void test_classes(void **state)
{
	struct command command = parsed("cut s reverse from 203.0.113.11 to 2001:db8::/32");
	struct plan_settings settings = {0};

	(void)state;
	assert_true(command.has_class && command.ways[1] && !command.ways[0]);
	assert_int_equal(command.from.bits, 32);
	assert_int_equal(command.from.ip.family, 4);
	assert_int_equal(command.to.bits, 32);
	assert_int_equal(command.to.ip.family, 6);
	command_apply(&command, &settings);
	assert_true(settings.cut);
	command = parsed("set s both from any to 198.51.100.0/24 delay 0");
	assert_int_equal(command.from.ip.family, 0);
}

static void test_others(void **state)
{
	(void)state;
	assert_int_equal(parsed("stats").verb, COMMAND_STATS);
	assert_null(parsed("stats").wire);
	assert_string_equal(parsed("stats A").wire, "A");
	assert_int_equal(parsed("reset").verb, COMMAND_RESET);
	assert_int_equal(parsed("seed 0x10").seed, 16);
}

static void test_wrong_words(void **state)
{
	static const char *const bad[][2] = {
		{"", "nothing"},
		{"help", "help"},
		{"wire A upay", "upay"},
		{"wire A upay upax upaz", "upaz"},
		{"set", "set"},
		{"set A", "A"},
		{"set A sideways delay 1ms", "sideways"},
		{"set A forward delay", "delay"},
		{"set A forward delay 1", "1"},
		{"set A forward delay 1mbit", "1mbit"},
		{"set A forward delay -1ms", "-1ms"},
		{"set A forward delay nan", "nan"},
		{"set A forward delay nanms", "nanms"},
		{"set A forward delay infms", "infms"},
		{"set A forward delay 61s", "61s"},
		{"set A forward loss 101%", "101%"},
		{"set A forward mtu 65536", "65536"},
		{"set A forward cut maybe", "maybe"},
		{"set A forward colour blue", "colour"},
		{"set A forward from 10.0.0.1/8 delay 1ms", "10.0.0.1/8"},
		{"cut A forward delay 1ms", "delay"},
		{"stats A B", "B"},
		{"reset A", "A"},
		{"seed", "seed"},
		{"seed -1", "-1"},
		{"seed 1x", "1x"},
	};
	struct command command;
	const char *wrong;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(line, sizeof line, "%s", bad[i][0]);
		assert_int_equal(command_parse(line, &command, &wrong), ERR_USAGE);
		assert_string_equal(wrong, bad[i][1]);
	}
}

/* A line with more words than there is room for is refused; nothing is written behind the room. */
static void test_very_long(void **state)
{
	struct command command;
	const char *wrong;

	(void)state;
	snprintf(line, sizeof line, "set A both");
	for (unsigned i = 3; i < COMMAND_WORDS_MAX - 1; i++)
		memcpy(line + strlen(line), " clear", sizeof " clear");
	assert_true(parsed(line).clear);
	snprintf(line, sizeof line, "set A both");
	for (unsigned i = 3; i < COMMAND_WORDS_MAX; i++)
		memcpy(line + strlen(line), " clear", sizeof " clear");
	assert_int_equal(command_parse(line, &command, &wrong), ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire),   cmocka_unit_test(test_every_key),   cmocka_unit_test(test_classes),
		cmocka_unit_test(test_others), cmocka_unit_test(test_wrong_words), cmocka_unit_test(test_very_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
