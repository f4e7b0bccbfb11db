#include "cmd/exit_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/exit_quota.h"
#include "cmd/node_abilities.h"
#include "crypto/hash.h"
#include "io/clock.h"
#include "io/gateway.h"
#include "io/log.h"

/* Refusals wait until the node's packets are pulled; what does not fit is not answered. */
enum { ANSWERS_MAX = 32, ANSWER_SLOT = PACKET_ROOM + INNER_ICMP_MAX + PACKET_ROOM, INNER_MTU = 1420 };

/* What packets bear between the exit and the kernel's masquerading: an address that RFC 7335 gives to translators on a
 * host, and one of a local prefix of our own. */
static const struct ip own4 = {4, {192, 0, 0, 6}};
static const struct ip own6 = {6, {0xfd, 0x6e, 0x74, 0x65, 0x78, 0x69, [15] = 2}};

struct exit_host {
	struct exit_machine *machine;
	struct gateway *gateway;
	struct exit_quota quota;
	bool has_quota;
	struct exit_answer answers[ANSWERS_MAX];
	size_t answer_count;
};

static void add_rules(struct exit_policy *policy, const char *text, bool is_allowed)
{
	struct setting_rule rule;

	while (text && *text && policy->rule_count < EXIT_RULES_MAX && setting_rule_next(&text, &rule))
		policy->rules[policy->rule_count++] = (struct exit_rule){.prefix = rule.prefix,
									 .port_min = rule.port_min,
									 .port_max = rule.port_max,
									 .is_allowed = is_allowed};
}

/* An exit leads out of the overlay, never back into it: nobody opens that. */
static void refuse_overlay(struct exit_policy *policy, const struct network *network)
{
	for (int i = 0; i < network->coordinator_count; i++) {
		const struct prefix *pools[] = {&network->coordinators[i].pool4, &network->coordinators[i].pool6};

		for (int k = 0; k < 2 && policy->rule_count < EXIT_RULES_MAX; k++)
			if (pools[k]->ip.family)
				policy->rules[policy->rule_count++] =
					(struct exit_rule){.prefix = *pools[k], .is_final = true};
	}
}

static enum err add_names(struct exit_policy *policy, const char *text, char error[HOST_ERROR_MAX])
{
	while (text && *text) {
		size_t size = strcspn(text, ",");

		if (size == 0 || size >= EXIT_ALLOWED_SIZE || policy->allowed_count == EXIT_ALLOWED_MAX)
			return server_fail(error, ERR_USAGE, "--exit-for: at most %d names or @groups between commas",
					   EXIT_ALLOWED_MAX);
		memcpy(policy->allowed[policy->allowed_count++], text, size);
		text += size + (text[size] == ',');
	}
	return OK;
}

static enum err make_policy(const struct host *host, struct exit_policy *ret, char error[HOST_ERROR_MAX])
{
	const struct settings *settings = &host->settings;

	ret->quota_bytes = settings->exit_quota;
	ret->rate_bytes = settings->exit_rate;
	refuse_overlay(ret, &host->membership.network);
	add_rules(ret, settings->exit_allow, true);
	add_rules(ret, settings->exit_deny, false);
	return add_names(ret, settings->exit_for, error);
}

/* Memory for all flows is taken here. */
enum err exit_host_open(struct host *host, char error[HOST_ERROR_MAX])
{
	struct random_source random = {NULL, random_kernel};
	struct exit_config config = {.v4 = own4, .v6 = own6};
	enum err err = make_policy(host, &config.policy, error);

	if (err != OK)
		return err;
	host->exit = calloc(1, sizeof *host->exit);
	if (!host->exit)
		abort();
	host->exit->machine = exit_create(&config, &random, clock_now());
	host->exit->has_quota = config.policy.quota_bytes > 0;
	if (host->exit->has_quota)
		exit_quota_load(&host->exit->quota, host->settings.state, host->exit->machine, clock_now());
	return OK;
}

/* Needs CAP_NET_ADMIN and a writable /proc/sys. */
enum err exit_host_set_up(struct host *host, char error[HOST_ERROR_MAX])
{
	char memo[4200];
	struct gateway_params params = {
		.ifname = tun_name(host->tun),
		.ifindex = tun_ifindex(host->tun),
		.mtu = INNER_MTU,
		.v4 = own4,
		.v6 = own6,
		.port_min = EXIT_PORT_MIN,
		.port_max = EXIT_PORT_MAX,
		.udp_idle_s = EXIT_UDP_IDLE_US / USEC_PER_SEC,
		.memo = memo,
	};

	enum err err;

	_Static_assert((int)GATEWAY_ERROR_MAX <= (int)HOST_ERROR_MAX, "its error fits");
	if (host->exit->gateway)
		return OK;
	snprintf(memo, sizeof memo, "%s/forwarding-before", host->settings.state);
	err = gateway_open(&params, &host->exit->gateway, error);
	if (err == OK)
		log_print(LOG_SEVERITY_INFO, "exit", "exit open: ports %d to %d%s", EXIT_PORT_MIN, EXIT_PORT_MAX,
			  gateway_has_v6(host->exit->gateway) ? "" : "; this machine has no IPv6");
	return err;
}

static void write_kept(struct host *host)
{
	struct packet packet;

	while (exit_next_kept(host->exit->machine, true, &packet))
		(void)!tun_write(host->tun, &packet);
}

/* The node has checked that the source is leased to the peer that sent it (T12). */
void exit_host_inner(struct host *host, struct packet *packet)
{
	struct exit_host *gate = host->exit;
	struct exit_guest guest = {0};
	struct exit_answer *answer = &gate->answers[gate->answer_count % ANSWERS_MAX];
	struct inner inner;

	if (!gate->gateway || inner_parse(packet->bytes, packet->size, &inner) != OK)
		return;
	guest.certificate = node_holder(host->node, inner.version, inner.src, &guest.mtu);
	switch (exit_input_inner(gate->machine, clock_now(), guest.certificate ? &guest : NULL, packet, answer)) {
	case EXIT_PASSED:
		abilities_write(host, packet);
		write_kept(host);
		break;
	case EXIT_ANSWERED: gate->answer_count += gate->answer_count < ANSWERS_MAX - 1; break;
	case EXIT_KEPT:
	case EXIT_DROPPED: break;
	}
}

/* Rewritten in place. */
bool exit_host_outer(struct host *host, struct packet *packet)
{
	struct packet kept;

	if (exit_input_outer(host->exit->machine, clock_now(), packet) != EXIT_PASSED)
		return false;
	while (exit_next_kept(host->exit->machine, false, &kept))
		node_input_packet(host->node, clock_now(), &kept);
	return true;
}

/* They may make the node send, or speak itself: pull again. */
bool exit_host_answer(struct host *host)
{
	struct exit_host *gate = host->exit;
	size_t count = gate->answer_count;

	gate->answer_count = 0;
	for (size_t i = 0; i < count; i++)
		node_input_packet(host->node, clock_now(), &gate->answers[i].packet);
	return count > 0;
}

/* A slice of the table at a time. */
struct time_us exit_host_run(struct host *host, struct time_us now)
{
	struct exit_host *gate = host->exit;
	struct time_us at = TIME_NEVER;

	exit_input_time(gate->machine, now);
	if (gate->has_quota)
		at = exit_quota_run(&gate->quota, gate->machine, now);
	return time_min(at, exit_next_deadline(gate->machine));
}

/* For status and metrics. */
void exit_host_counters(const struct host *host, struct exit_counters *ret)
{
	exit_get_counters(host->exit->machine, ret);
}

/* The caller's; NULL: there is no quota. */
json_t *exit_host_usage(const struct host *host)
{
	return host->exit->has_quota ? exit_quota_list(host->exit->machine, clock_now()) : NULL;
}

/* Forwarding ends first. */
void exit_host_close(struct host *host)
{
	if (!host->exit)
		return;
	gateway_close(host->exit->gateway);
	if (host->exit->has_quota)
		exit_quota_save(&host->exit->quota, host->exit->machine, clock_now());
	exit_destroy(host->exit->machine);
	free(host->exit);
	host->exit = NULL;
}
