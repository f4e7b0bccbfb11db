/* A node that sends what leaves the overlay through an exit: which exit, and which routes. */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/node_host.h"
#include "cmd/node_task.h"
#include "cmd/options_table.h"

static bool wants_exit(const struct settings *settings)
{
	return settings->exit || settings->exit_route;
}

/* The name may be of an exit that joins later. */
enum err node_exit_use(struct host *host, char error[HOST_ERROR_MAX])
{
	const struct settings *settings = &host->settings;

	if (!wants_exit(settings))
		return OK;
	if (node_use_exit(host->node, loop_now(host->loop), settings->exit_via) == OK)
		return OK;
	return server_fail(error, ERR_USAGE, "--exit-via %s: not a name of this network; `ntm status` shows its zone",
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
	static const struct prefix everything[] = {{{4, {0}}, 0}, {{6, {0}}, 0}};
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
		err = node_use_exit(host->node, loop_now(host->loop), "");
	else if (err == OK)
		err = node_exit_use(host, error);
	if (err == OK)
		err = change_routes(host, error);
	task_send_end(host, client, err == OK ? EXIT_DONE : err == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED, error);
}
