/* `ntm handover --to IFACE`: all tunnels move, and each tells what that cost. */
#include <stdio.h>
#include <string.h>

#include "cmd/node_task.h"
#include "io/clock.h"

#define PATIENCE_US (3 * USEC_PER_SEC)
#define POLL_US (20 * USEC_PER_MSEC)

/* The interface by name, and the one that the kernel's default goes through now. */
static uint32_t find_interface(const struct host *host, const char *to, char from[NET_NAME_MAX])
{
	const struct net_snapshot *snapshot = net_watch_snapshot(host->watch);
	uint32_t ifindex = 0;

	from[0] = 0;
	for (size_t i = 0; i < snapshot->count; i++) {
		const struct net_address *address = &snapshot->addresses[i];

		if (strcmp(address->ifname, to) == 0)
			ifindex = address->ifindex;
		else if (address->is_default)
			memcpy(from, address->ifname, NET_NAME_MAX);
	}
	return ifindex;
}

/* Tunnels whose data leaves from another interface. */
static uint32_t count_elsewhere(const struct host *host, uint32_t ifindex)
{
	struct node_peer_status peer;
	uint32_t count = 0;

	for (size_t i = 0; i < node_peer_count(host->node); i++) {
		if (!node_get_peer(host->node, clock_now(), i, &peer) || !peer.has_session)
			continue;
		for (int k = 0; k < peer.path_count; k++)
			count += peer.paths[k].active && peer.paths[k].route.ifindex != ifindex;
	}
	return count;
}

/* Refused before anything changes; with no tunnel to move the wish is kept for those to come. */
void handover_start(struct host *host, uint64_t client, const json_t *request)
{
	const char *to = json_string_value(json_object_get(request, "to"));
	char from[NET_NAME_MAX], error[120];
	uint32_t ifindex = find_interface(host, to ? to : "", from);
	struct host_task *task;

	if (ifindex == 0) {
		snprintf(error, sizeof error, "%.15s: no such interface, or it has no usable address; see `ip address`",
			 to ? to : "");
		task_send_end(host, client, EXIT_DENIED, error);
		return;
	}
	task = task_new(host, client, TASK_HANDOVER, clock_now());
	if (!task)
		return;
	task->expected = count_elsewhere(host, ifindex);
	task->moved = json_array();
	memcpy(task->from, from, sizeof from);
	snprintf(task->name, sizeof task->name, "%s", to);
	task->deadline = time_add(clock_now(), PATIENCE_US);
	if (node_prefer_interface(host->node, clock_now(), ifindex) != OK)
		task->deadline = clock_now();
}

/* The worst gap and the sums stand for all. */
static json_t *summary(const struct host_task *task)
{
	json_int_t gap_us = 0, replayed = 0, lost = 0;
	json_t *moved;
	size_t at;

	json_array_foreach(task->moved, at, moved)
	{
		json_int_t gap = json_integer_value(json_object_get(moved, "gap_us"));

		gap_us = gap > gap_us ? gap : gap_us;
		replayed += json_integer_value(json_object_get(moved, "replayed_packets"));
		lost += json_integer_value(json_object_get(moved, "lost_packets"));
	}
	return json_pack("{ss ss ss sI sI sI sI sO}", "schema", "ntm.handover/1", "from", task->from, "to", task->name,
			 "gap_us", gap_us, "replayed_packets", replayed, "lost_packets", lost, "unanswered",
			 (json_int_t)task->expected - (json_int_t)json_array_size(task->moved), "peers", task->moved);
}

/* Until every tunnel has moved, or has had time enough. */
void handover_run(struct host *host, struct host_task *task, struct time_us now)
{
	bool done = json_array_size(task->moved) >= task->expected, late = time_reached(now, task->deadline);

	task->next = time_add(now, POLL_US);
	if (!done && !late)
		return;
	if (!done && json_array_size(task->moved) == 0) {
		task_end(host, task, EXIT_TIMED_OUT,
			 "no peer has answered over that interface yet; tunnels stay where they work, and `ntm why "
			 "PEER` "
			 "tells more");
		return;
	}
	task_send(host, task->client, summary(task));
	task_end(host, task, EXIT_DONE, "");
}

/* Inside a call of the node: only notes. One line a peer, though it may report twice. */
void handover_event(struct host_task *task, const struct node_event *event)
{
	json_t *moved;
	size_t at;

	if (task->kind != TASK_HANDOVER || event->type != NODE_EVENT_HANDOVER || event->handover.by_peer)
		return;
	json_array_foreach(task->moved, at, moved) if (strcmp(json_string_value(json_object_get(moved, "peer")),
							      event->peer) == 0) return;
	moved = document_handover(&event->handover);
	json_object_set_new(moved, "peer", json_string(event->peer));
	json_array_append_new(task->moved, moved);
	task->next = event->at;
}
