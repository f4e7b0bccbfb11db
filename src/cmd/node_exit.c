/* A node that sends what leaves the overlay through an exit: which exit, and which routes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/node_host.h"
#include "cmd/node_task.h"
#include "cmd/node_why.h"
#include "cmd/options_table.h"

static bool wants_exit(const struct settings *settings)
{
	return settings->exit || settings->exit_route;
}

/* Each name once. False: too many, or too long. */
static bool add_name(struct node_exits *exits, struct node_exit_rule *rule, const char *name, size_t size)
{
	uint8_t at = 0;

	if (size == 0 || size > FQDN_MAX_SIZE || rule->count == NODE_EXITS_MAX)
		return false;
	while (at < exits->count && (strlen(exits->names[at]) != size || memcmp(exits->names[at], name, size) != 0))
		at++;
	if (at == NODE_EXITS_MAX)
		return false;
	if (at == exits->count)
		memcpy(exits->names[exits->count++], name, size);
	rule->exits[rule->count++] = at;
	return true;
}

static bool add_rule(struct node_exits *exits, const struct prefix *prefix, const char *names, char separator)
{
	const char separators[] = {separator, '\0'};
	struct node_exit_rule *rule = &exits->rules[exits->rule_count];

	if (exits->rule_count == NODE_EXIT_RULES_MAX)
		return false;
	*rule = (struct node_exit_rule){.prefix = *prefix};
	do {
		size_t size = strcspn(names, separators);

		if (!add_name(exits, rule, names, size))
			return false;
		names += size + (names[size] == separator);
	} while (*names);
	exits->rule_count++;
	return true;
}

static const struct prefix everything[] = {{{4, {0}}, 0}, {{6, {0}}, 0}};

static bool make_exits(const struct settings *settings, struct node_exits *ret)
{
	const char *text = settings->exit_route;
	struct setting_rule rule;
	bool is_good = true;

	while (is_good && text && *text && setting_rule_next(&text, &rule))
		is_good = add_rule(ret, &rule.prefix, rule.via[0] ? rule.via : settings->exit_via,
				   rule.via[0] ? '+' : ',');
	for (int i = 0; i < 2 && settings->exit && is_good; i++)
		is_good = add_rule(ret, &everything[i], settings->exit_via, ',');
	return is_good;
}

/* Names may be of exits that join later. */
enum err node_exit_use(struct host *host, char error[HOST_ERROR_MAX])
{
	const struct settings *settings = &host->settings;
	struct node_exits exits = {0};

	if (!wants_exit(settings))
		return OK;
	if (!make_exits(settings, &exits))
		return server_fail(error, ERR_USAGE, "exits: 1 to %d names between commas, in all", NODE_EXITS_MAX);
	if (node_use_exits(host->node, loop_now(host->loop), &exits) == OK)
		return OK;
	return server_fail(error, ERR_USAGE,
			   "--exit-via %s: not all are names of this network; `ntm status` shows its zone",
			   settings->exit_via);
}

static void add_route(struct net_setup *setup, const struct prefix *prefix)
{
	if (setup->prefix_count < NET_PREFIXES_MAX)
		setup->prefixes[setup->prefix_count++] = *prefix;
}

/*
 * What an exit refuses anyway stays with the other tables: the LAN, its printer and its gateway. The list is fixed, not
 * what the LAN says its prefixes are: whoever runs a LAN could otherwise draw anything out of the tunnel.
 */
static void spare_local(struct net_setup *setup)
{
	static const struct prefix local[] = {
		{{4, {10}}, 8},		 {{4, {100, 64}}, 10}, {{4, {169, 254}}, 16},		{{4, {172, 16}}, 12},
		{{4, {192, 168}}, 16},	 {{4, {224}}, 4},      {{4, {255, 255, 255, 255}}, 32}, {{6, {0xfc}}, 7},
		{{6, {0xfe, 0x80}}, 10}, {{6, {0xff}}, 8},
	};

	for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
		setup->spared[setup->spared_count++] = local[i];
}

/* Into the node's own table, which its own sockets escape by their mark (T2). */
void node_exit_routes(const struct settings *settings, struct net_setup *setup)
{
	const char *text = settings->exit_route;
	struct setting_rule rule;

	if (settings->exit) {
		add_route(setup, &everything[0]);
		add_route(setup, &everything[1]);
	}
	while (text && *text && setting_rule_next(&text, &rule))
		add_route(setup, &rule.prefix);
	if (wants_exit(settings))
		spare_local(setup);
}

/* As if the daemon had been started with these options. "exit": "no" ends routes as well, unless new ones are named. */
static enum err take_options(struct settings *settings, const json_t *request, char error[HOST_ERROR_MAX])
{
	static const enum option_id ids[] = {OPTION_EXIT, OPTION_EXIT_VIA, OPTION_EXIT_ROUTE};
	char why[160];

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		const struct option_row *row = &options_table[ids[i]];
		const char *text = json_string_value(json_object_get(request, row->name));

		if (text && option_convert(settings, row, text, why) != OK)
			return server_fail(error, ERR_USAGE, "%s '%.100s': expected %s", row->name, text, why);
		if (text && ids[i] == OPTION_EXIT && !settings->exit) {
			free(settings->exit_route);
			settings->exit_route = NULL;
		}
	}
	return OK;
}

static enum err change_routes(struct host *host, char error[HOST_ERROR_MAX])
{
	struct node_status status;
	enum err err;

	if (!host->is_set_up)
		return OK; /* it will be, with these */
	node_get_status(host->node, loop_now(host->loop), &status);
	host->setup = host_make_setup(host, &status);
	err = net_setup_apply(&host->setup, error);
	return err == OK ? net_setup_trim(&host->setup, error) : err;
}

/* `ntm up --exit` and its relatives on a node that is up. */
void node_exit_change(struct host *host, uint64_t client, const json_t *request)
{
	char error[HOST_ERROR_MAX] = "";
	enum err err = host->exit ? server_fail(error, ERR_USAGE, "an exit does not use another") : OK;

	if (err == OK)
		err = take_options(&host->settings, request, error);
	if (err == OK && !wants_exit(&host->settings))
		err = node_use_exits(host->node, loop_now(host->loop), &(struct node_exits){0});
	else if (err == OK)
		err = node_exit_use(host, error);
	if (err == OK)
		err = change_routes(host, error);
	task_send_end(host, client, err == OK ? EXIT_DONE : err == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED, error);
}

static const char *reason_of(const struct node_exit_status *status, char text[WHY_TEXT_MAX])
{
	const char *preferred = status->rule.count > 1 ? "the preferred one" : "the only one named";

	if (status->place == 0)
		snprintf(text, WHY_TEXT_MAX, "%s%s", preferred, status->is_up ? "" : "; it does not answer");
	else
		snprintf(text, WHY_TEXT_MAX, "took over from one before it in the list, and keeps its flows%s",
			 status->is_up ? "" : "; it does not answer");
	return text;
}

static json_t *describe(const struct node_exit_status *status)
{
	char prefix[ADDR_TEXT_MAX], why[WHY_TEXT_MAX];

	return json_pack("{ss ss ss ss si si}", "prefix", prefix_format(&status->rule.prefix, prefix), "name",
			 status->name, "state", status->is_up ? "up" : "unreachable", "why", reason_of(status, why),
			 "choices", (int)status->rule.count, "takeovers", (int)status->takeovers);
}

/* All rules. */
json_t *node_exit_list(const struct host *host)
{
	struct node_exit_status status;
	json_t *list = json_array();

	for (size_t i = 0; node_get_exit(host->node, i, &status); i++)
		json_array_append_new(list, describe(&status));
	return list;
}
