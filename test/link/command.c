#include "command.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"

enum value_kind { VALUE_DURATION, VALUE_RATE, VALUE_BYTES, VALUE_PERCENT, VALUE_NUMBER, VALUE_FLAG };

struct unit {
	const char *name;
	double factor;
};

/* A value is a number with one of its kind's units. A list ends with a factor of 0. */
static const struct unit durations[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {NULL, 0}};
static const struct unit rates[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1}, {"k", 1024}, {"m", 1024 * 1024}, {NULL, 0}};
static const struct unit percents[] = {{"%", DICE_PPM / 100.0}, {NULL, 0}};
static const struct unit numbers[] = {{"", 1}, {NULL, 0}};

static const struct unit *const units_of[] = {
	[VALUE_DURATION] = durations, [VALUE_RATE] = rates,	[VALUE_BYTES] = sizes,
	[VALUE_PERCENT] = percents,   [VALUE_NUMBER] = numbers,
};

static const double limit_of[] = {
	[VALUE_DURATION] = 60e9,    [VALUE_RATE] = 1e12,    [VALUE_BYTES] = 1 << 30,
	[VALUE_PERCENT] = DICE_PPM, [VALUE_NUMBER] = 65535,
};

struct key {
	const char *name;
	enum value_kind kind;
	size_t offset;
};

static const struct key keys[] = {
	{"delay", VALUE_DURATION, offsetof(struct plan_settings, delay_ns)},
	{"jitter", VALUE_DURATION, offsetof(struct plan_settings, jitter_ns)},
	{"rate", VALUE_RATE, offsetof(struct plan_settings, rate_bps)},
	{"queue", VALUE_BYTES, offsetof(struct plan_settings, queue_bytes)},
	{"loss", VALUE_PERCENT, offsetof(struct plan_settings, loss_ppm)},
	{"burst-begin", VALUE_PERCENT, offsetof(struct plan_settings, burst_begin_ppm)},
	{"burst-end", VALUE_PERCENT, offsetof(struct plan_settings, burst_end_ppm)},
	{"burst-loss", VALUE_PERCENT, offsetof(struct plan_settings, burst_loss_ppm)},
	{"duplicate", VALUE_PERCENT, offsetof(struct plan_settings, duplicate_ppm)},
	{"reorder", VALUE_PERCENT, offsetof(struct plan_settings, reorder_ppm)},
	{"hold", VALUE_DURATION, offsetof(struct plan_settings, reorder_ns)},
	{"mtu", VALUE_NUMBER, offsetof(struct plan_settings, mtu)},
	{"answers", VALUE_FLAG, offsetof(struct plan_settings, answers)},
	{"cut", VALUE_FLAG, offsetof(struct plan_settings, cut)},
};

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* 0 needs no unit. */
static bool parse_value(const char *text, enum value_kind kind, uint64_t *ret)
{
	const struct unit *unit;
	char *rest;
	double number;

	if (kind == VALUE_FLAG) {
		*ret = strcmp(text, "on") == 0;
		return *ret || strcmp(text, "off") == 0;
	}
	errno = 0;
	number = strtod(text, &rest);
	if (rest == text || errno != 0 || !isfinite(number) || number < 0)
		return false;
	for (unit = units_of[kind]; unit->name && strcmp(unit->name, rest) != 0; unit++)
		;
	if (!unit->name && !(number == 0 && *rest == '\0'))
		return false;
	number *= unit->name ? unit->factor : 1;
	if (number > limit_of[kind])
		return false;
	*ret = (uint64_t)(number + 0.5);
	return true;
}

static void store(struct plan_settings *settings, const struct key *key, uint64_t value)
{
	void *at = (char *)settings + key->offset;

	switch (key->kind) {
	case VALUE_DURATION:
	case VALUE_RATE:
	case VALUE_BYTES: memcpy(at, &value, sizeof value); break;
	case VALUE_PERCENT:
	case VALUE_NUMBER: memcpy(at, &(uint32_t){(uint32_t)value}, sizeof(uint32_t)); break;
	case VALUE_FLAG: memcpy(at, &(bool){value != 0}, sizeof(bool)); break;
	}
}

/* What parsing has checked cannot fail here. */
void command_apply(const struct command *command, struct plan_settings *settings)
{
	if (command->clear)
		*settings = (struct plan_settings){0};
	for (unsigned i = 0; i + 1 < command->change_count; i += 2) {
		const struct key *key = find_key(command->changes[i]);
		uint64_t value;

		if (key && parse_value(command->changes[i + 1], key->kind, &value))
			store(settings, key, value);
	}
}

static unsigned split(char *line, char *words[COMMAND_WORDS_MAX])
{
	unsigned count = 0;
	char *rest = line;

	while (count < COMMAND_WORDS_MAX) {
		rest += strspn(rest, " \t\n");
		if (*rest == '\0')
			break;
		words[count++] = rest;
		rest += strcspn(rest, " \t\n");
		if (*rest != '\0')
			*rest++ = '\0';
	}
	return count;
}

static bool parse_way(const char *text, bool ways[2])
{
	bool both = strcmp(text, "both") == 0;

	ways[0] = both || strcmp(text, "forward") == 0;
	ways[1] = both || strcmp(text, "reverse") == 0;
	return ways[0] || ways[1];
}

/* A bare address is the prefix of it alone. */
static bool parse_prefix(const char *text, struct prefix *ret)
{
	struct ip ip;

	if (strcmp(text, "any") == 0) {
		*ret = (struct prefix){0};
		return true;
	}
	if (ip_parse(text, &ip) == OK) {
		*ret = (struct prefix){ip, (uint8_t)(ip_size(&ip) * 8)};
		return true;
	}
	return prefix_parse(text, ret) == OK;
}

/* Pairs of words behind a wire's name and way: which class, then what changes. Returns the wrong word, or NULL. */
static const char *parse_pairs(char **words, unsigned count, bool may_change, struct command *command)
{
	for (unsigned i = 0; i < count; i += 2) {
		const struct key *key = find_key(words[i]);
		uint64_t value;

		if (strcmp(words[i], "clear") == 0 && may_change) {
			command->clear = true;
			i--;
			continue;
		}
		if (i + 1 == count)
			return words[i];
		if (strcmp(words[i], "from") == 0 || strcmp(words[i], "to") == 0) {
			struct prefix *prefix = words[i][0] == 'f' ? &command->from : &command->to;

			command->has_class = true;
			if (!parse_prefix(words[i + 1], prefix))
				return words[i + 1];
			continue;
		}
		if (!may_change || !key)
			return words[i];
		if (!parse_value(words[i + 1], key->kind, &value))
			return words[i + 1];
		command->changes[command->change_count++] = words[i];
		command->changes[command->change_count++] = words[i + 1];
	}
	return NULL;
}

/* set, cut and heal: they differ in what changes. */
static const char *parse_set(char **words, unsigned count, struct command *command)
{
	bool cut = strcmp(words[0], "cut") == 0, heal = strcmp(words[0], "heal") == 0;

	if (count < 3)
		return words[count - 1];
	command->wire = words[1];
	if (!parse_way(words[2], command->ways))
		return words[2];
	if (cut || heal) {
		command->changes[command->change_count++] = "cut";
		command->changes[command->change_count++] = cut ? "on" : "off";
	}
	return parse_pairs(words + 3, count - 3, !cut && !heal, command);
}

static const char *parse_seed(char **words, unsigned count, struct command *command)
{
	char *rest;

	if (count != 2)
		return words[count - 1];
	errno = 0;
	command->seed = strtoull(words[1], &rest, 0);
	return errno != 0 || *rest != '\0' || words[1][0] == '-' ? words[1] : NULL;
}

static const char *parse_words(char **words, unsigned count, struct command *command)
{
	if (strcmp(words[0], "wire") == 0) {
		command->verb = COMMAND_WIRE;
		for (unsigned i = 0; i < 2 && i + 2 < count; i++)
			command->interfaces[i] = words[i + 2];
		command->wire = count == 4 ? words[1] : NULL;
		return count == 4 ? NULL : words[count - 1];
	}
	if (strcmp(words[0], "stats") == 0) {
		command->verb = COMMAND_STATS;
		command->wire = count > 1 ? words[1] : NULL;
		return count > 2 ? words[2] : NULL;
	}
	if (strcmp(words[0], "reset") == 0) {
		command->verb = COMMAND_RESET;
		return count > 1 ? words[1] : NULL;
	}
	if (strcmp(words[0], "seed") == 0) {
		command->verb = COMMAND_SEED;
		return parse_seed(words, count, command);
	}
	command->verb = COMMAND_SET;
	if (strcmp(words[0], "set") == 0 || strcmp(words[0], "cut") == 0 || strcmp(words[0], "heal") == 0)
		return parse_set(words, count, command);
	return words[0];
}

/* Nothing is changed by a line of which one word is wrong. */
enum err command_parse(char *line, struct command *ret, const char **ret_wrong)
{
	char *words[COMMAND_WORDS_MAX];
	unsigned count = split(line, words);

	*ret = (struct command){0};
	if (count == COMMAND_WORDS_MAX)
		*ret_wrong = words[count - 1];
	else
		*ret_wrong = count == 0 ? "nothing" : parse_words(words, count, ret);
	return *ret_wrong ? ERR_USAGE : OK;
}
