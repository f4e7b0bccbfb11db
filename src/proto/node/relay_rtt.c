/*
 * relay_rtt.c: three questions to each relay, 50 ms apart, and one report when all is answered or a second has passed.
 * With one relay there is nothing to choose, so nothing is asked.
 */
#include "proto/node/relay_rtt.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "proto/session/probe.h"
#include "wire/message.h"

#define ROUND_US (50 * USEC_PER_MSEC)
#define PATIENCE_US (1 * USEC_PER_SEC)
#define AGAIN_US (5 * USEC_PER_SEC) /* flapping measures no more often */
#define ALIKE_US (2 * USEC_PER_MSEC)

enum { LOST_PERCENT = 50 }; /* two of three: one may be chance */

static void add(struct node *node, const struct relay_entry *entry)
{
	struct relay_metered *metered = &node->meter.list[node->meter.count];
	struct route route;

	*metered = (struct relay_metered){.tag = relay_tag(entry->static_key), .rtt_us = -1};
	probe_key_node(entry->static_key, metered->key);
	for (uint8_t i = 0; i < entry->addresses.count; i++)
		if (node_route_to(node, &entry->addresses.list[i], &route)) {
			metered->remote = entry->addresses.list[i];
			node->meter.count++;
			return;
		}
}

static void start(struct node *node, struct time_us now)
{
	struct relay_meter *meter = &node->meter;

	meter->is_wanted = false;
	meter->later = (struct time_us){0};
	if (node->network->relay_count < 2)
		return;
	meter->is_running = true;
	meter->begun = meter->next = now;
	meter->rounds = meter->count = 0;
	for (uint8_t i = 0; i < node->network->relay_count; i++)
		add(node, &node->network->relays[i]);
	node->counters.relay_measurements++;
	node_plan(node, now);
}

/* Contract in the header. */
void relay_rtt_want(struct node *node, bool is_forgotten)
{
	node->meter.is_wanted = true;
	node->meter.is_running = false; /* what was asked from where we were tells nothing */
	if (is_forgotten)
		node->meter.has_told = false;
}

/* Contract in the header. */
void relay_rtt_begin(struct node *node, struct time_us now)
{
	struct relay_meter *meter = &node->meter;

	if (!meter->is_wanted)
		return;
	if (meter->begun.us == 0 || !meter->has_told || time_since(now, meter->begun) >= AGAIN_US) {
		start(node, now);
		return;
	}
	meter->later = time_add(meter->begun, AGAIN_US);
	node_plan(node, meter->later);
}

/* Contract in the header. */
void relay_rtt_relisted(struct node *node, struct time_us now)
{
	node->meter.is_wanted = true;
	if (node->link.session && node->link.up)
		start(node, now);
}

static void ask(struct node *node, struct time_us now, struct relay_metered *metered)
{
	struct relay_probe probe = {.asker = RELAY_ASKER_NODE};
	uint8_t bytes[RELAY_PROBE_SIZE];
	struct route route;

	if (!node_route_to(node, &metered->remote, &route))
		return;
	random_fill(&node->env.random, &probe.nonce, sizeof probe.nonce);
	probe_write(&probe, metered->key, bytes);
	metered->asked[node->meter.rounds].nonce = probe.nonce;
	metered->asked[node->meter.rounds].at = now;
	(void)outbox_put(&node->outbox, now, &route, bytes, sizeof bytes);
}

static bool is_complete(const struct relay_meter *meter)
{
	for (uint8_t i = 0; i < meter->count; i++)
		if (meter->list[i].answered < RELAY_ROUNDS)
			return false;
	return meter->rounds == RELAY_ROUNDS;
}

/* Nearest first; who did not answer is last. */
static void insert(struct relay_sight *sight, const struct relay_seen *seen)
{
	uint8_t at = sight->count < RELAY_SEEN_MAX ? sight->count : RELAY_SEEN_MAX - 1;

	if (sight->count == RELAY_SEEN_MAX && sight->list[at].rtt_us <= seen->rtt_us)
		return;
	for (; at > 0 && sight->list[at - 1].rtt_us > seen->rtt_us; at--)
		sight->list[at] = sight->list[at - 1];
	sight->list[at] = *seen;
	sight->count += sight->count < RELAY_SEEN_MAX;
}

static void summarize(const struct relay_meter *meter, struct relay_sight *ret)
{
	*ret = (struct relay_sight){0};
	for (uint8_t i = 0; i < meter->count; i++) {
		const struct relay_metered *metered = &meter->list[i];
		struct relay_seen seen = {.tag = metered->tag,
					  .rtt_us = metered->rtt_us < 0 ? RELAY_NO_ANSWER : (uint32_t)metered->rtt_us,
					  .lost_percent = metered->answered == 1 ? LOST_PERCENT : 0};

		insert(ret, &seen);
	}
}

static bool is_alike(const struct relay_seen *a, const struct relay_seen *b)
{
	uint32_t less = a->rtt_us < b->rtt_us ? a->rtt_us : b->rtt_us;
	uint32_t more = a->rtt_us < b->rtt_us ? b->rtt_us : a->rtt_us;

	return a->lost_percent == b->lost_percent && more - less <= (less / 10 > ALIKE_US ? less / 10 : ALIKE_US);
}

/* What the coordinator knows already need not be said. */
static bool is_news(const struct relay_meter *meter, const struct relay_sight *sight)
{
	if (!meter->has_told || meter->told.count != sight->count)
		return true;
	for (uint8_t i = 0; i < sight->count; i++) {
		const struct relay_seen *told = relay_sight_find(&meter->told, sight->list[i].tag);

		if (!told || !is_alike(told, &sight->list[i]))
			return true;
	}
	return false;
}

static void finish(struct node *node, struct time_us now)
{
	struct relay_meter *meter = &node->meter;
	uint8_t plaintext[CONTROL_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct relay_report report = {0};

	meter->is_running = false;
	summarize(meter, &report.sight);
	if (report.sight.count == 0 || !is_news(meter, &report.sight)) {
		rhythm_begin(node, now);
		return;
	}
	meter->told = report.sight;
	meter->has_told = true;
	message_header_encode(MESSAGE_RELAY_REPORT, ++node->transaction, &w);
	relay_report_encode(&report, &w);
	link_request_more(node, now, MESSAGE_RELAY_REPORT, &w);
}

/* Strangers do not know what we asked. */
void relay_rtt_received(struct node *node, struct time_us now, const uint8_t *bytes, size_t size)
{
	struct relay_meter *meter = &node->meter;
	struct relay_probed probed;

	for (uint8_t i = 0; meter->is_running && size == RELAY_PROBE_SIZE && i < meter->count; i++) {
		struct relay_metered *metered = &meter->list[i];

		if (probed_read(bytes, size, metered->key, &probed) != OK)
			continue;
		for (unsigned k = 0; k < RELAY_ROUNDS; k++) {
			int64_t rtt_us = time_since(now, metered->asked[k].at);

			if (!metered->asked[k].nonce || metered->asked[k].nonce != probed.nonce)
				continue;
			metered->asked[k].nonce = 0;
			metered->answered++;
			metered->rtt_us = metered->rtt_us < 0 || rtt_us < metered->rtt_us ? rtt_us : metered->rtt_us;
			if (is_complete(meter))
				finish(node, now);
			return;
		}
	}
	node->counters.dropped_stranger++;
}

/* The next round, or the end. */
void relay_rtt_run(struct node *node, struct time_us now)
{
	struct relay_meter *meter = &node->meter;

	if (meter->later.us && node->link.up && time_reached(now, meter->later))
		start(node, now);
	if (meter->later.us && node->link.up)
		node_plan(node, meter->later);
	if (!meter->is_running)
		return;
	if (time_reached(now, meter->next) && meter->rounds < RELAY_ROUNDS) {
		for (uint8_t i = 0; i < meter->count; i++)
			ask(node, now, &meter->list[i]);
		meter->rounds++;
		meter->next =
			meter->rounds < RELAY_ROUNDS ? time_add(now, ROUND_US) : time_add(meter->begun, PATIENCE_US);
	} else if (time_reached(now, meter->next)) {
		finish(node, now);
		return;
	}
	node_plan(node, meter->next);
}
