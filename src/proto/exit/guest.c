/* Nodes that use the exit: what they have used of their share. */
#include <string.h>

#include "crypto/hash.h"
#include "proto/exit/state.h"

#define DAY_US (86400 * USEC_PER_SEC)

/* Counted from its first packet. */
bool guest_day_is_over(const struct exit_machine *machine, const struct exit_node *node)
{
	return time_since(machine->now, node->day) >= DAY_US;
}

/* Whose record may be given to another: nothing is open, and preferably nothing was used of the day. */
static bool is_better_victim(const struct exit_machine *machine, const struct exit_node *node,
			     const struct exit_node *than)
{
	bool blank = node->day_bytes == 0 || guest_day_is_over(machine, node);
	bool than_blank = than && (than->day_bytes == 0 || guest_day_is_over(machine, than));

	if (node->flows > 0)
		return false;
	return !than || (blank && !than_blank) || (blank == than_blank && node->last.us < than->last.us);
}

static struct exit_node *take_slot(struct exit_machine *machine)
{
	struct exit_node *victim = NULL;

	for (uint32_t i = 0; i < machine->config.nodes_max; i++) {
		struct exit_node *node = &machine->nodes[i];

		if (!node->used) {
			machine->counters.nodes++;
			return node;
		}
		if (is_better_victim(machine, node, victim))
			victim = node;
	}
	if (victim)
		map_remove(&machine->nodes_by_id,
			   siphash(machine->hash_key, victim->id.bytes, sizeof victim->id.bytes));
	return victim;
}

static void keep_label(struct exit_node *node, const char *name)
{
	size_t size = strcspn(name, ".");

	if (size > NAME_MAX_SIZE)
		size = NAME_MAX_SIZE;
	memcpy(node->name, name, size);
	node->name[size] = '\0';
}

static struct exit_node *obtain(struct exit_machine *machine, const struct node_id *id, const char *name)
{
	uint64_t key = siphash(machine->hash_key, id->bytes, sizeof id->bytes);
	struct exit_node *node = map_get(&machine->nodes_by_id, key);

	if (node)
		return memcmp(&node->id, id, sizeof *id) == 0 ? node : NULL; /* a hash of two is the first's */
	node = take_slot(machine);
	if (!node)
		return NULL;
	*node = (struct exit_node){.used = true,
				   .id = *id,
				   .oldest = NONE,
				   .newest = NONE,
				   .day = machine->now,
				   .rate_left = machine->config.policy.rate_bytes,
				   .rate_at = machine->now};
	keep_label(node, name);
	if (map_put(&machine->nodes_by_id, key, node) != OK) {
		node->used = false;
		return NULL;
	}
	return node;
}

/* The quota is the identity's, so a new address or name does not renew it. */
struct exit_node *guest_obtain(struct exit_machine *machine, const struct exit_guest *guest)
{
	struct exit_node *node = obtain(machine, &guest->certificate->id, guest->certificate->fqdn);

	if (!node)
		return NULL;
	node->last = machine->now;
	if (guest->mtu)
		node->mtu = guest->mtu;
	return node;
}

/* Never less than what is counted already. */
void guest_restore(struct exit_machine *machine, const struct exit_usage *usage)
{
	struct exit_node *node =
		usage->age_us >= 0 && usage->age_us < DAY_US ? obtain(machine, &usage->id, usage->name) : NULL;

	if (!node || node->day_bytes >= usage->bytes)
		return;
	node->day = time_add(machine->now, -usage->age_us);
	node->day_bytes = usage->bytes;
}

/* A token bucket of one second. */
static bool take_rate(struct exit_machine *machine, struct exit_node *node, size_t size)
{
	uint64_t rate = machine->config.policy.rate_bytes, earned;
	int64_t passed_us = time_since(machine->now, node->rate_at);

	if (rate == 0)
		return true;
	if (passed_us > USEC_PER_SEC)
		passed_us = USEC_PER_SEC;
	earned = (uint64_t)passed_us * (rate / 1000) / 1000;
	if (earned > 0) {
		node->rate_left = node->rate_left + earned > rate ? rate : node->rate_left + earned;
		node->rate_at = machine->now;
	}
	if (node->rate_left < size && node->rate_left < rate)
		return false; /* a full bucket takes any superpacket */
	node->rate_left -= size < node->rate_left ? size : node->rate_left;
	return true;
}

/* Both directions count. */
bool guest_may_send(struct exit_machine *machine, struct exit_node *node, size_t size, bool *ret_quota)
{
	uint64_t quota = machine->config.policy.quota_bytes;

	if (guest_day_is_over(machine, node)) {
		node->day = machine->now;
		node->day_bytes = 0;
	}
	*ret_quota = quota > 0 && node->day_bytes + size > quota;
	if (*ret_quota || !take_rate(machine, node, size))
		return false;
	node->day_bytes += size;
	return true;
}
