/* Quotas outlive the exit's process: what each node has used of its day is written to the state directory. */
#include "cmd/exit_quota.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/server_keys.h"
#include "io/clock.h"
#include "io/log.h"

#define FILE_QUOTA "quota"
#define SAVE_INTERVAL_US (5 * USEC_PER_SEC)
enum { FILE_MAX = 1 << 20, NODE_TEXT = 2 * NODE_ID_SIZE + 1 };

static void format_id(const struct node_id *id, char text[NODE_TEXT])
{
	for (size_t i = 0; i < NODE_ID_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
}

static bool parse_id(const char *text, struct node_id *ret)
{
	if (!text || strlen(text) != 2 * (size_t)NODE_ID_SIZE)
		return false;
	for (size_t i = 0; i < NODE_ID_SIZE; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1]};
		char *end;

		ret->bytes[i] = (uint8_t)strtoul(pair, &end, 16);
		if (*end)
			return false;
	}
	return true;
}

/* Ages in seconds: the clock of another run is another one. */
static json_t *usage_json(const struct exit_usage *usage)
{
	char id[NODE_TEXT];

	format_id(&usage->id, id);
	return json_pack("{ss ss sI sI}", "id", id, "name", usage->name, "age_s",
			 (json_int_t)(usage->age_us / USEC_PER_SEC), "bytes", (json_int_t)usage->bytes);
}

/* For status, and with ids for the file. */
json_t *exit_quota_list(const struct exit_machine *machine, struct time_us now)
{
	json_t *list = json_array();
	struct exit_usage usage;
	size_t index = 0;

	while (exit_next_usage(machine, now, &index, &usage))
		json_array_append_new(list, usage_json(&usage));
	return list;
}

static void restore_one(struct exit_machine *machine, struct time_us now, uint64_t away_s, const json_t *row)
{
	struct exit_usage usage = {.bytes = (uint64_t)json_integer_value(json_object_get(row, "bytes"))};
	const char *name = json_string_value(json_object_get(row, "name"));
	json_int_t age_s = json_integer_value(json_object_get(row, "age_s"));

	if (!parse_id(json_string_value(json_object_get(row, "id")), &usage.id) || age_s < 0 || age_s > 86400 ||
	    away_s > 86400)
		return;
	snprintf(usage.name, sizeof usage.name, "%s", name ? name : "");
	usage.age_us = ((int64_t)age_s + (int64_t)away_s) * USEC_PER_SEC;
	exit_restore_usage(machine, now, &usage);
}

/* A file that is not there or makes no sense is a first start: an exit that does not start helps nobody. A clock that
 * was set back lets days last longer, never shorter. */
void exit_quota_load(struct exit_quota *quota, const char *dir, struct exit_machine *machine, struct time_us now)
{
	char ignored[SERVER_ERROR_MAX];
	uint8_t *bytes = malloc(FILE_MAX);
	uint64_t wall_s = clock_wall_s(), saved_s;
	json_t *document = NULL;
	const json_t *row;
	size_t size, at;

	*quota = (struct exit_quota){.dir = dir, .save_at = TIME_NEVER};
	if (!bytes)
		abort();
	if (server_file_read(dir, FILE_QUOTA, bytes, FILE_MAX, &size, ignored) == OK)
		document = json_loadb((const char *)bytes, size, 0, NULL);
	free(bytes);
	saved_s = (uint64_t)json_integer_value(json_object_get(document, "saved_s"));
	json_array_foreach(json_object_get(document, "nodes"), at, row)
		restore_one(machine, now, wall_s > saved_s ? wall_s - saved_s : 0, row);
	json_decref(document);
}

/* Beside, then over, on disk when it returns. */
void exit_quota_save(struct exit_quota *quota, const struct exit_machine *machine, struct time_us now)
{
	char error[SERVER_ERROR_MAX];
	json_t *document =
		json_pack("{sI so}", "saved_s", (json_int_t)clock_wall_s(), "nodes", exit_quota_list(machine, now));
	char *text = json_dumps(document, JSON_COMPACT);

	json_decref(document);
	if (!text)
		abort();
	if (server_file_write(quota->dir, FILE_QUOTA, text, strlen(text), error) != OK && !quota->has_failed) {
		log_print(LOG_SEVERITY_WARNING, "exit", "quotas are not kept over a restart: %s", error);
		quota->has_failed = true; /* said once */
	}
	free(text);
}

/* While something passes. */
struct time_us exit_quota_run(struct exit_quota *quota, const struct exit_machine *machine, struct time_us now)
{
	struct exit_counters counters;
	uint64_t bytes;

	exit_get_counters(machine, &counters);
	bytes = counters.tx_bytes + counters.rx_bytes;
	if (bytes == quota->saved_bytes)
		return TIME_NEVER;
	if (quota->save_at.us == TIME_NEVER.us)
		quota->save_at = time_add(now, SAVE_INTERVAL_US);
	if (!time_reached(now, quota->save_at))
		return quota->save_at;
	quota->save_at = TIME_NEVER;
	quota->saved_bytes = bytes;
	exit_quota_save(quota, machine, now);
	return TIME_NEVER;
}
