#include "coordinator_host.h"

#include <string.h>

#include "base/mem.h"
#include "world.h"

/* Leaves it empty. */
void disk_finish(struct disk *disk)
{
	mem_free(disk->records);
	*disk = (struct disk){0};
}

static struct record *disk_find(struct disk *disk, const struct record *record)
{
	for (size_t i = 0; i < disk->count; i++)
		if (disk->records[i].table == record->table && disk->records[i].key_size == record->key_size &&
		    !memcmp(disk->records[i].key, record->key, record->key_size))
			return &disk->records[i];
	return NULL;
}

/* The latest value of a key wins, as in every store. */
static void disk_write(struct disk *disk, const struct record *record)
{
	struct record *old = disk_find(disk, record);

	if (old && record->erase) {
		*old = disk->records[--disk->count];
		return;
	}
	if (old)
		*old = *record;
	if (old || record->erase)
		return;
	if (disk->count == disk->capacity) {
		struct record *larger = mem_alloc(disk->capacity * 2 + 8, sizeof *larger);

		if (disk->count)
			memcpy(larger, disk->records, disk->count * sizeof *larger);
		mem_free(disk->records);
		disk->records = larger;
		disk->capacity = disk->capacity * 2 + 8;
	}
	disk->records[disk->count++] = *record;
}

static void on_event(void *ctx, const struct coordinator_event *event)
{
	static const char *const texts[] = {"leased",  "online",   "offline",  "moved",	       "refused",
					    "revoked", "restored", "directed", "not directed", "lease reused"};
	struct coordinator_host *c = ctx;

	world_note(c->host->world, c->host->name, "%s %s%s%s", event->fqdn ? event->fqdn : "", texts[event->type],
		   event->peer_fqdn ? " to " : "", event->peer_fqdn ? event->peer_fqdn : "");
	if (addr_is_set(&event->observed))
		c->proven[c->proven_count++ % COORDINATOR_HOST_PROVEN_MAX] = event->observed;
}

/* Randomness depends on when it starts: a restarted one makes other secrets. */
void coordinator_host_start(struct host *host, const struct coordinator_config *config, const struct network *network,
			    struct disk *disk)
{
	struct coordinator_host *c = mem_alloc(1, sizeof *c);
	struct coordinator_env env = {.random = {&c->random, stream_fill}, .ctx = c, .event = on_event};

	c->host = host;
	c->disk = disk;
	c->random = stream_for(host->world->seed ^ (uint64_t)host->world->now.us, "coordinator", host->number);
	c->coordinator = coordinator_create(config, &env, host->world->now);
	for (size_t i = 0; i < disk->count; i++)
		if (coordinator_load(c->coordinator, &disk->records[i]) != OK)
			world_fail(host->world, "%s cannot read record %zu of its own", host->name, i);
	coordinator_set_network(c->coordinator, host->world->now, network);
	host->machine = c;
	host_turn(host);
}

static void input_datagram(void *m, struct time_us now, const struct datagram *datagram)
{
	(void)coordinator_input_datagram(((struct coordinator_host *)m)->coordinator, now, datagram);
}

static void input_time(void *m, struct time_us now)
{
	coordinator_input_time(((struct coordinator_host *)m)->coordinator, now);
}

/* Acknowledged means durable: the disk is written before any answer leaves. */
static bool next_datagram(void *m, struct time_us now, struct datagram *ret)
{
	struct coordinator_host *c = m;
	struct record record;
	bool wrote = false;

	while (coordinator_next_record(c->coordinator, &record)) {
		disk_write(c->disk, &record);
		wrote = true;
	}
	if (wrote)
		coordinator_records_durable(c->coordinator, now);
	return coordinator_next_datagram(c->coordinator, ret);
}

static struct time_us next_deadline(const void *m)
{
	return coordinator_next_deadline(((const struct coordinator_host *)m)->coordinator);
}

/* A node that registered or moved has authenticated itself there. */
static uint64_t allowance(const void *m, const struct addr *remote)
{
	const struct coordinator_host *c = m;

	for (uint32_t i = 0; i < c->proven_count && i < COORDINATOR_HOST_PROVEN_MAX; i++)
		if (addr_equal(&c->proven[i], remote))
			return UINT64_MAX;
	return 0;
}

static void destroy(void *m)
{
	coordinator_destroy(((struct coordinator_host *)m)->coordinator);
	mem_free(m);
}

const struct machine_ops coordinator_host_ops = {
	.input_datagram = input_datagram,
	.input_time = input_time,
	.next_datagram = next_datagram,
	.next_deadline = next_deadline,
	.allowance = allowance,
	.destroy = destroy,
};
