/* options_value.c: from the text of a setting to its value, kind by kind. */
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "cmd/options_table.h"
#include "wire/field.h"

/* Each converts into field; on failure why says what was expected and field is untouched. */
typedef enum err converter(void *field, const struct option_row *row, const char *text, char why[160]);

enum { RULES_MOST = 32 };

static enum err expected(char why[160], const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum err expected(char why[160], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, 160, format, arguments);
	va_end(arguments);
	return ERR_USAGE;
}

static enum err store_text(void *field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	free(*(char **)field);
	*(char **)field = copy;
	return OK;
}

static enum err convert_text(void *field, const struct option_row *row, const char *text, char why[160])
{
	if (!*text || strlen(text) > (size_t)row->max)
		return expected(why, "1 to %lld characters", (long long)row->max);
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p))
			return expected(why, "printable characters without spaces");
	return store_text(field, text);
}

/* Letters, digits and inner hyphens: what every DNS server and certificate takes. */
static bool label_is_valid(const char *text, size_t size)
{
	if (size == 0 || size > 63 || text[0] == '-' || text[size - 1] == '-')
		return false;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

static enum err store_lower(void *field, const char *text)
{
	enum err err = store_text(field, text);

	for (char *p = *(char **)field; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return err;
}

static enum err convert_zone(void *field, const struct option_row *row, const char *text, char why[160])
{
	const char *at = text;
	bool good = strlen(text) <= (size_t)row->max;

	while (good) {
		size_t size = strcspn(at, ".");

		good = label_is_valid(at, size);
		if (!at[size])
			break;
		at += size + 1;
	}
	if (!good)
		return expected(why, "letters, digits and inner hyphens, in labels of at most 63");
	return store_lower(field, text);
}

static enum err convert_iface(void *field, const struct option_row *row, const char *text, char why[160])
{
	bool good = *text && strlen(text) <= (size_t)row->max && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;

	for (const char *p = text; good && *p; p++)
		good = isgraph((unsigned char)*p) && !strchr("/:%", *p);
	if (!good)
		return expected(why, "an interface name of at most %lld characters", (long long)row->max);
	return store_text(field, text);
}

/* Absolute, because daemons leave the directory that they were started in. */
static enum err convert_path(void *field, const struct option_row *row, const char *text, char why[160])
{
	char path[PATH_MAX * 2], here[PATH_MAX];

	if (!*text)
		return expected(why, "a path");
	if (text[0] == '/')
		snprintf(path, sizeof path, "%s", text);
	else if (getcwd(here, sizeof here))
		snprintf(path, sizeof path, "%s/%s", here, text);
	else
		return expected(why, "an absolute path, since the current directory is gone");
	if (strlen(path) > (size_t)row->max)
		return expected(why, "a path of at most %lld characters", (long long)row->max);
	return store_text(field, path);
}

/* ":80" and "80" mean the row's host. */
static enum err parse_addr(const struct option_row *row, const char *text, struct addr *ret)
{
	char full[ADDR_TEXT_MAX * 2];
	const char *port = text[0] == ':' ? text + 1 : text;

	if (row->host && *port && strspn(port, "0123456789") == strlen(port)) {
		if (snprintf(full, sizeof full, "%s:%s", row->host, port) >= (int)sizeof full)
			return ERR_MALFORMED;
		text = full;
	}
	return addr_parse(text, row->port, ret);
}

static enum err convert_addr(void *field, const struct option_row *row, const char *text, char why[160])
{
	struct addr addr;

	if (parse_addr(row, text, &addr) != OK)
		return expected(why, "an address and port like 192.0.2.1:%u or [::]:%u", row->port ? row->port : 9090,
				row->port ? row->port : 9090);
	if (addr.port == 0 && row->port == 0)
		return expected(why, "an address with a port, like %s:9090", row->host);
	*(struct addr *)field = addr;
	return OK;
}

static enum err convert_addrs(void *field, const struct option_row *row, const char *text, char why[160])
{
	struct addr addrs[ADVERTISE_MAX] = {0};
	size_t count = 0;

	for (const char *at = text;; at++) {
		char one[ADDR_TEXT_MAX];
		size_t size = strcspn(at, ",");

		if (count == ADVERTISE_MAX)
			return expected(why, "at most %d addresses", ADVERTISE_MAX);
		snprintf(one, sizeof one, "%.*s", (int)size, at);
		if (size >= sizeof one || parse_addr(row, one, &addrs[count]) != OK)
			return expected(why, "addresses like 192.0.2.1 or [2001:db8::1]:7367, separated by commas");
		count++;
		at += size;
		if (!*at)
			break;
	}
	memcpy(field, addrs, sizeof addrs);
	return OK;
}

static enum err convert_prefix(void *field, const struct option_row *row, const char *text, char why[160])
{
	struct prefix prefix;

	if (prefix_parse(text, &prefix) != OK || prefix.ip.family != row->min)
		return expected(why, "a prefix without host bits, like %s", row->fallback);
	*(struct prefix *)field = prefix;
	return OK;
}

/* A number with at most six decimals and a unit; seconds when there is none. */
static bool parse_duration(const char *text, int64_t max, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {
		{"", USEC_PER_SEC},
		{"us", 1},
		{"ms", USEC_PER_MSEC},
		{"s", USEC_PER_SEC},
		{"m", 60 * USEC_PER_SEC},
		{"min", 60 * USEC_PER_SEC},
		{"h", 3600 * USEC_PER_SEC},
		{"d", 86400 * USEC_PER_SEC},
		{"w", 7 * 86400 * USEC_PER_SEC},
	};
	size_t whole = strspn(text, "0123456789");
	size_t dot = text[whole] == '.';
	size_t decimals = dot ? strspn(text + whole + 1, "0123456789") : 0;
	const char *unit = text + whole + dot + decimals;

	if (whole == 0 || whole > 12 || decimals > 6 || (dot && decimals == 0))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		int64_t fraction, scale = 1, value = strtoll(text, NULL, 10);

		if (strcmp(unit, units[i].unit) != 0)
			continue;
		fraction = decimals ? strtoll(text + whole + 1, NULL, 10) : 0;
		for (size_t d = 0; d < decimals; d++)
			scale *= 10;
		if (value > max / units[i].us)
			return false;
		*ret = value * units[i].us + fraction * units[i].us / scale;
		return true;
	}
	return false;
}

static enum err convert_duration(void *field, const struct option_row *row, const char *text, char why[160])
{
	int64_t us;

	if (!parse_duration(text, row->max, &us) || us < row->min || us > row->max)
		return expected(why, "a duration like %s, 500ms, 5m or 1h", row->fallback);
	*(int64_t *)field = us;
	return OK;
}

/* strtoull takes signs and spaces; a person who typed them meant something else. */
static enum err convert_number(void *field, const struct option_row *row, const char *text, char why[160])
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	unsigned long long value;

	if (!*digits || strlen(digits) > 10 ||
	    strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789") != strlen(digits))
		return expected(why, "a number");
	value = strtoull(digits, NULL, hex ? 16 : 10);
	if (value < (unsigned long long)row->min || value > (unsigned long long)row->max)
		return expected(why, "a number from %lld to %lld", (long long)row->min, (long long)row->max);
	*(uint32_t *)field = (uint32_t)value;
	return OK;
}

static enum err convert_enum(void *field, const struct option_row *row, const char *text, char why[160])
{
	char list[120] = "";

	for (int i = 0; row->choices[i]; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			memcpy(field, &i, sizeof i);
			return OK;
		}
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
			 i == 0		       ? ""
			 : row->choices[i + 1] ? ", "
					       : " or ",
			 row->choices[i]);
	}
	return expected(why, "%s", list);
}

/* Between commas, in any order. */
static enum err convert_set(void *field, const struct option_row *row, const char *text, char why[160])
{
	uint32_t set = 0;

	for (const char *at = text; *at;) {
		size_t size = strcspn(at, ",");
		int i = 0;

		while (row->choices[i] && (strlen(row->choices[i]) != size || strncmp(row->choices[i], at, size) != 0))
			i++;
		if (!row->choices[i])
			return expected(why, "a list of names that --help tells, separated by commas");
		set |= UINT32_C(1) << i;
		at += size + (at[size] == ',');
	}
	*(uint32_t *)field = set;
	return OK;
}

static enum err convert_flag(void *field, const struct option_row *row, const char *text, char why[160])
{
	static const char *const words[] = {"no", "yes", "0", "1", "false", "true", "off", "on"};

	(void)row;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i], text) == 0) {
			*(bool *)field = i % 2;
			return OK;
		}
	return expected(why, "yes or no");
}

static bool parse_ports(const char *text, struct setting_rule *ret)
{
	unsigned min, max;
	int used = 0;

	if (sscanf(text, "%5u%n", &min, &used) != 1)
		return false;
	max = min;
	text += used;
	if (*text == '-' && (sscanf(text + 1, "%5u%n", &max, &used) != 1 || text[1 + used] != '\0'))
		return false;
	if ((*text != '-' && *text != '\0') || min == 0 || min > max || max > UINT16_MAX)
		return false;
	ret->port_min = (uint16_t)min;
	ret->port_max = (uint16_t)max;
	return true;
}

/* Nothing is skipped: a list that holds one mistake is a mistake. */
bool setting_rule_next(const char **text, struct setting_rule *ret)
{
	struct setting_rule rule = {0};
	size_t size = strcspn(*text, ",");
	char one[ADDR_TEXT_MAX + 16 + SETTING_VIA_MAX], *ports, *via;

	if (size == 0 || size >= sizeof one)
		return false;
	snprintf(one, sizeof one, "%.*s", (int)size, *text);
	via = strchr(one, '=');
	if (via)
		*via++ = '\0';
	if (via && (*via == '\0' || strlen(via) >= sizeof rule.via))
		return false;
	snprintf(rule.via, sizeof rule.via, "%s", via ? via : "");
	ports = strchr(one, '@');
	if (ports)
		*ports++ = '\0';
	if (prefix_parse(one, &rule.prefix) != OK || (ports && !parse_ports(ports, &rule)))
		return false;
	*text += size + ((*text)[size] == ',');
	*ret = rule;
	return true;
}

static enum err convert_rules(void *field, const struct option_row *row, const char *text, char why[160])
{
	const char *at = text;
	struct setting_rule rule;
	int count = 0;

	while (*at && count <= RULES_MOST) {
		if (!setting_rule_next(&at, &rule) || (row->max == 0 ? rule.port_max > 0 : rule.via[0] != '\0'))
			return expected(why, "prefixes without host bits, like 10.1.0.0/16%s, separated by commas",
					row->max ? " or 0.0.0.0/0@25" : " or 10.1.0.0/16=NAME+NAME");
		count++;
	}
	if (count == 0 || count > RULES_MOST || at[-1] == ',')
		return expected(why, "1 to %d prefixes separated by commas", RULES_MOST);
	return store_text(field, text);
}

static bool parse_key(const char *text, uint8_t ret[KEY_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(text) != 2 * (size_t)KEY_SIZE || strspn(text, digits) != 2 * (size_t)KEY_SIZE)
		return false;
	for (size_t i = 0; i < KEY_SIZE; i++)
		ret[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
				   (strchr(digits, text[2 * i + 1]) - digits));
	return true;
}

/* One prefix of a family, or one of each. */
static bool parse_pools(const char *text, struct trusted_entry *ret)
{
	while (*text) {
		char one[ADDR_TEXT_MAX + 8];
		size_t size = strcspn(text, "@");
		struct prefix prefix, *pool;

		snprintf(one, sizeof one, "%.*s", (int)size, text);
		if (size == 0 || size >= sizeof one || prefix_parse(one, &prefix) != OK)
			return false;
		pool = prefix.ip.family == 4 ? &ret->pool4 : &ret->pool6;
		if (pool->ip.family)
			return false;
		*pool = prefix;
		text += size + (text[size] == '@');
	}
	return true;
}

/* ZONE=KEY@PREFIX[@PREFIX]; an IPv6 prefix must be among them. */
bool setting_trust_next(const char **text, struct trusted_entry *ret)
{
	struct trusted_entry entry = {0};
	size_t size = strcspn(*text, ",");
	char one[TRUST_TEXT_MAX], *key, *pools;

	if (size == 0 || size >= sizeof one)
		return false;
	snprintf(one, sizeof one, "%.*s", (int)size, *text);
	key = strchr(one, '=');
	pools = strchr(one, '@');
	if (!key || !pools || pools < key)
		return false;
	*key++ = *pools++ = '\0';
	if (strlen(one) > ZONE_MAX_SIZE || !name_is_valid(one) || !parse_key(key, entry.authority) ||
	    !parse_pools(pools, &entry) || !entry.pool6.ip.family)
		return false;
	memcpy(entry.zone, one, strlen(one));
	*text += size + ((*text)[size] == ',');
	*ret = entry;
	return true;
}

static enum err convert_trust(void *field, const struct option_row *row, const char *text, char why[160])
{
	const char *at = text;
	struct trusted_entry entry;
	int count = 0;

	(void)row;
	while (*at && count <= TRUSTED_MAX) {
		if (!setting_trust_next(&at, &entry))
			return expected(why, "ZONE=KEY@PREFIX@PREFIX, as the other network's server logs at its "
					     "start (an IPv6 prefix is needed)");
		count++;
	}
	if (count == 0 || count > TRUSTED_MAX || at[-1] == ',')
		return expected(why, "1 to %d networks separated by commas", TRUSTED_MAX);
	return store_text(field, text);
}

/* Decimal units, as networks count. */
static enum err convert_size(void *field, const struct option_row *row, const char *text, char why[160])
{
	static const char units[] = "kMGT";
	size_t digits = strspn(text, "0123456789");
	const char *unit = text[digits] ? strchr(units, text[digits]) : NULL;
	uint64_t value = strtoull(text, NULL, 10);

	if (digits == 0 || digits > 6 || (text[digits] && (!unit || text[digits + 1])))
		return expected(why, "bytes like 500M or 20G, at most 999999 of k, M, G or T");
	for (const char *u = units; unit && u <= unit; u++)
		value *= 1000;
	if (row->max && value > (uint64_t)row->max)
		return expected(why, "at most 4G");
	*(uint64_t *)field = value;
	return OK;
}

/* Which field it is, the row says; counting the list is the one thing that a row cannot. */
enum err option_convert(struct settings *settings, const struct option_row *row, const char *text, char why[160])
{
	static converter *const converters[] = {
		[KIND_TEXT] = convert_text,	[KIND_ZONE] = convert_zone,	    [KIND_IFACE] = convert_iface,
		[KIND_PATH] = convert_path,	[KIND_ADDR] = convert_addr,	    [KIND_ADDRS] = convert_addrs,
		[KIND_PREFIX] = convert_prefix, [KIND_DURATION] = convert_duration, [KIND_NUMBER] = convert_number,
		[KIND_ENUM] = convert_enum,	[KIND_FLAG] = convert_flag,	    [KIND_RULES] = convert_rules,
		[KIND_SIZE] = convert_size,	[KIND_TRUST] = convert_trust,	    [KIND_SET] = convert_set,
	};
	_Static_assert(sizeof(enum dns_mode) == sizeof(int), "enum fields are written as int");
	enum err err = converters[row->kind]((char *)settings + row->offset, row, text, why);

	if (err != OK || row->kind != KIND_ADDRS)
		return err;
	for (settings->advertise_count = 0; settings->advertise_count < ADVERTISE_MAX; settings->advertise_count++)
		if (settings->advertise[settings->advertise_count].ip.family == 0)
			break;
	return OK;
}
