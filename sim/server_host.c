#include "server_host.h"

#include <string.h>

#include "base/mem.h"
#include "wire/dns.h"
#include "wire/punch.h"
#include "world.h"

static struct relay *relay_of(void *m)
{
	return ((struct server_host *)m)->relay;
}

static struct coordinator *coordinator_of(void *m)
{
	return ((struct server_host *)m)->coordinator;
}

/* Randomness depends on when it starts: a restarted one makes other secrets. */
static struct server_host *server_create(struct host *host, const char *purpose)
{
	struct server_host *s = mem_alloc(1, sizeof *s);

	s->host = host;
	s->random = stream_for(host->world->seed ^ (uint64_t)host->world->now.us, purpose, host->number);
	return s;
}

static void server_run(struct server_host *s)
{
	s->host->machine = s;
	host_turn(s->host);
}

/* Strict: nothing for free to anybody not authenticated from there, but what E5 gives to a moved leg. */
static uint64_t allowance(const void *m, const struct host_contact *contact)
{
	const struct server_host *s = m;
	struct relay_counters counters = {0};

	if (proven_has(&s->proven, &contact->remote))
		return UINT64_MAX;
	if (s->relay)
		relay_get_counters(s->relay, &counters);
	return counters.bursts * UNVALIDATED_BURST_BYTES;
}

static void on_coordinator_event(void *ctx, const struct coordinator_event *event)
{
	static const char *const texts[] = {
		"leased",   "online",	    "offline",	    "moved",  "refused",    "revoked", "restored",
		"directed", "not directed", "lease reused", "linked", "not linked", "proved",  "gets another relay",
		"trusted",  "not trusted"};
	struct server_host *s = ctx;

	world_note(s->host->world, s->host->name, "%s %s%s%s", event->fqdn ? event->fqdn : "", texts[event->type],
		   event->peer_fqdn ? " to " : "", event->peer_fqdn ? event->peer_fqdn : "");
	if (addr_is_set(&event->observed))
		proven_add(&s->proven, &event->observed);
}

/* Contract in the header. */
void server_host_trust(struct server_host *s, const struct network *network)
{
	for (uint8_t i = 0; i < network->coordinator_count; i++)
		for (uint8_t k = 0; k < network->coordinators[i].addresses.count; k++)
			proven_add(&s->proven, &network->coordinators[i].addresses.list[k]); /* signed */
	for (uint8_t i = 0; i < network->relay_count; i++)
		for (uint8_t k = 0; k < network->relays[i].addresses.count; k++)
			proven_add(&s->proven, &network->relays[i].addresses.list[k]);
}

/* Contract in the header. */
void coordinator_host_start(struct host *host, const struct coordinator_config *config, const struct network *network,
			    struct disk *disk)
{
	struct server_host *s = server_create(host, "coordinator");
	struct coordinator_env env = {.random = {&s->random, stream_fill}, .ctx = s, .event = on_coordinator_event};

	s->disk = disk;
	host_listen(host, punch_second_port(host->port));
	s->coordinator = coordinator_create(config, &env, host->world->now);
	for (size_t i = 0; i < disk->count; i++)
		if (coordinator_load(s->coordinator, &disk->records[i]) != OK)
			world_fail(host->world, "%s cannot read record %zu of its own", host->name, i);
	coordinator_set_network(s->coordinator, host->world->now, network);
	server_host_trust(s, network);
	server_run(s);
}

static void coordinator_datagram(void *m, struct time_us now, const struct datagram *datagram)
{
	(void)coordinator_input_datagram(coordinator_of(m), now, datagram);
}

/* Contract in the header. */
void coordinator_host_ask(struct host *host, struct host *directory)
{
	((struct server_host *)host->machine)->directory = directory;
}

/* As a recursive resolver would that asks the other coordinator. What it names may be spoken to, as what a person
 * configured. */
static void answer_zone(struct server_host *s, struct time_us now)
{
	struct server_host *other = s->directory ? s->directory->machine : NULL;
	uint8_t question[ZONE_QUESTION_MAX], answer[DNS_UDP_MAX], letters[ZONE_CASE_SIZE] = {0xaa};
	struct writer w = writer_over(question, sizeof question);
	struct zone_record record = {0};
	char zone[ZONE_MAX_SIZE + 1];
	enum err err = ERR_UNKNOWN;
	uint32_t ttl_s = 0;
	size_t size;

	memcpy(zone, s->zone, sizeof zone);
	s->zone[0] = '\0';
	zone_question_encode(zone, 7, letters, &w);
	if (other) {
		size = coordinator_answer_dns(other->coordinator, now, question, w.at, false, answer, sizeof answer);
		err = zone_answer_decode(answer, size, (struct blob){question, w.at}, zone, &record, &ttl_s);
	}
	for (uint8_t i = 0; err == OK && i < record.addresses.count; i++)
		proven_add(&s->proven, &record.addresses.list[i]);
	coordinator_input_zone(s->coordinator, now, zone,
			       err == OK	   ? ZONE_FOUND
			       : err == ERR_DENIED ? ZONE_ABSENT
						   : ZONE_SILENT,
			       &record, ttl_s);
}

static void coordinator_time(void *m, struct time_us now)
{
	struct server_host *s = m;

	if (s->zone[0] && time_reached(now, s->zone_due))
		answer_zone(s, now);
	coordinator_input_time(s->coordinator, now);
}

/* Acknowledged means durable: the disk is written before any answer leaves. */
static bool coordinator_next(void *m, struct time_us now, struct datagram *ret)
{
	struct server_host *s = m;
	struct record record;
	bool wrote = false;

	while (coordinator_next_record(s->coordinator, &record)) {
		disk_write(s->disk, &record);
		wrote = true;
	}
	if (wrote)
		coordinator_records_durable(s->coordinator, now);
	if (!s->zone[0] && coordinator_next_lookup(s->coordinator, s->zone))
		s->zone_due = time_add(now, stream_range(&s->random, 2, 300) * USEC_PER_MSEC);
	return coordinator_next_datagram(s->coordinator, ret);
}

static struct time_us coordinator_deadline(const void *m)
{
	const struct server_host *s = m;
	struct time_us at = coordinator_next_deadline(s->coordinator);

	return s->zone[0] ? time_min(at, s->zone_due) : at;
}

static void coordinator_end(void *m)
{
	coordinator_destroy(coordinator_of(m));
	mem_free(m);
}

const struct machine_ops coordinator_host_ops = {
	.input_datagram = coordinator_datagram,
	.input_time = coordinator_time,
	.next_datagram = coordinator_next,
	.next_deadline = coordinator_deadline,
	.allowance = allowance,
	.destroy = coordinator_end,
};

static void on_relay_event(void *ctx, const struct relay_event *event)
{
	static const char *const texts[] = {"bound", "moved", "idle", "expired"};
	struct server_host *s = ctx;

	world_note(s->host->world, s->host->name, "leg %u %s", event->leg, texts[event->type]);
	if (event->type == RELAY_EVENT_LEG_BOUND || event->type == RELAY_EVENT_LEG_MOVED)
		proven_add(&s->proven, &event->remote);
}

/* Contract in the header. */
void relay_host_start(struct host *host, const struct relay_config *config, const struct network *network,
		      bool has_kernel)
{
	uint8_t keys[COORDINATORS_MAX][KEY_SIZE];
	struct server_host *s = server_create(host, "relay");
	struct relay_env env = {.random = {&s->random, stream_fill}, .ctx = s, .event = on_relay_event};

	s->has_kernel = has_kernel;
	if (has_kernel)
		env.express = kernel_express(&s->kernel);
	s->relay = relay_create(config, &env, host->world->now);
	for (uint8_t i = 0; i < network->coordinator_count; i++)
		memcpy(keys[i], network->coordinators[i].static_key, KEY_SIZE);
	if (relay_set_coordinators(s->relay, (const uint8_t(*)[KEY_SIZE])keys, network->coordinator_count) != OK)
		world_fail(host->world, "%s refuses its coordinators", host->name);
	server_host_trust(s, network);
	relay_announce(s->relay, host->world->now, network);
	server_run(s);
}

static void relay_datagram(void *m, struct time_us now, const struct datagram *datagram)
{
	struct server_host *s = m;

	if (!s->has_kernel || !kernel_input(&s->kernel, now, datagram))
		(void)relay_input_datagram(s->relay, now, datagram);
}

static void relay_time(void *m, struct time_us now)
{
	relay_input_time(relay_of(m), now);
}

static bool relay_next(void *m, struct time_us now, struct datagram *ret)
{
	struct server_host *s = m;

	(void)now;
	return (s->has_kernel && kernel_next(&s->kernel, ret)) || relay_next_datagram(s->relay, ret);
}

static struct time_us relay_deadline(const void *m)
{
	return relay_next_deadline(((const struct server_host *)m)->relay);
}

static void relay_end(void *m)
{
	relay_destroy(relay_of(m));
	mem_free(m);
}

const struct machine_ops relay_host_ops = {
	.input_datagram = relay_datagram,
	.input_time = relay_time,
	.next_datagram = relay_next,
	.next_deadline = relay_deadline,
	.allowance = allowance,
	.destroy = relay_end,
};
