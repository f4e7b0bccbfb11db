/* The node daemon's verbs: one JSON object a line in, documents and {"end": true, ...} out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/node_host.h"
#include "io/clock.h"
#include "io/log.h"

#define CONTACT_PATIENCE_US (10 * USEC_PER_SEC)
#define PING_PATIENCE_US (2 * USEC_PER_SEC)
#define HANDOVER_PATIENCE_US (3 * USEC_PER_SEC)
#define CONTACT_POLL_US (20 * USEC_PER_MSEC)

/* Takes over document. */
static void send_json(struct host *host, uint64_t client, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	if (text && stream_send(host->stream, client, text, strlen(text)) != OK)
		log_print(LOG_SEVERITY_DEBUG, "control", "control: a client went away");
	free(text);
	json_decref(document);
}

static void send_end(struct host *host, uint64_t client, int code, const char *error)
{
	send_json(host, client, json_pack("{sb si ss}", "end", 1, "exit", code, "error", error));
}

/* Lower case, with the zone behind a bare label. False for what cannot be a name here. */
static bool full_name(const struct host *host, const char *name, char ret[FQDN_MAX_SIZE + 1])
{
	struct node_status status;
	size_t size = strlen(name);
	int written;

	node_get_status(host->node, clock_now(), &status);
	while (size > 0 && name[size - 1] == '.')
		size--;
	if (size == 0 || size > FQDN_MAX_SIZE)
		return false;
	written = snprintf(ret, FQDN_MAX_SIZE + 1, memchr(name, '.', size) ? "%.*s" : "%.*s.%s", (int)size, name,
			   status.zone);
	for (char *p = ret; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return written > 0 && written <= FQDN_MAX_SIZE;
}

static struct host_task *new_task(struct host *host, uint64_t client, enum host_task_kind kind, struct time_us now)
{
	for (int i = 0; i < HOST_TASKS_MAX; i++)
		if (host->tasks[i].kind == TASK_NONE) {
			host->tasks[i] = (struct host_task){
				.kind = kind, .client = client, .started = now, .next = now, .deadline = TIME_NEVER};
			return &host->tasks[i];
		}
	send_end(host, client, EXIT_FAILED, "the daemon is busy with other requests; try again");
	return NULL;
}

static bool find_peer(const struct host *host, struct time_us now, const char *fqdn, struct node_peer_status *ret)
{
	for (size_t i = 0; i < NODE_PEERS_MAX; i++)
		if (node_get_peer(host->node, now, i, ret) && strcmp(ret->fqdn, fqdn) == 0)
			return true;
	return false;
}

static bool start_named(struct host *host, uint64_t client, const json_t *request, enum host_task_kind kind,
			struct host_task **ret)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct time_us now = clock_now();
	char fqdn[FQDN_MAX_SIZE + 1], error[FQDN_MAX_SIZE + 100];

	if (!name || !full_name(host, name, fqdn)) {
		send_end(host, client, EXIT_USAGE, "a name is needed");
		return false;
	}
	if (node_contact(host->node, now, fqdn) != OK) {
		snprintf(error, sizeof error, "%s: not a name of another node of this network", fqdn);
		send_end(host, client, EXIT_DENIED, error);
		return false;
	}
	*ret = new_task(host, client, kind, now);
	if (!*ret)
		return false;
	memcpy((*ret)->name, fqdn, sizeof fqdn);
	(*ret)->deadline = time_add(now, CONTACT_PATIENCE_US);
	return true;
}

static void verb_status(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	send_json(host, client, document_status(host, clock_now()));
	send_end(host, client, EXIT_DONE, "");
}

static void verb_ping(struct host *host, uint64_t client, const json_t *request)
{
	json_int_t interval_us = json_integer_value(json_object_get(request, "interval_us"));
	json_int_t count = json_integer_value(json_object_get(request, "count"));
	struct host_task *task;

	if (!start_named(host, client, request, TASK_PING, &task))
		return;
	task->count = count > 0 && count < UINT32_MAX ? (uint32_t)count : 0;
	task->interval_us = interval_us >= 1000 ? interval_us : USEC_PER_SEC;
	task->direct = json_is_true(json_object_get(request, "direct"));
	task->relayed_only = true;
	task->rtt_min_us = INT64_MAX;
}

static void verb_why(struct host *host, uint64_t client, const json_t *request)
{
	struct host_task *task;

	(void)start_named(host, client, request, TASK_WHY, &task);
}

static void verb_watch(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	for (int i = 0; i < HOST_WATCHERS_MAX; i++)
		if (host->watchers[i] == 0) {
			host->watchers[i] = client;
			return;
		}
	send_end(host, client, EXIT_FAILED, "too many watchers; end one");
}

static void verb_handover(struct host *host, uint64_t client, const json_t *request)
{
	const char *to = json_string_value(json_object_get(request, "to"));
	const struct net_snapshot *snapshot = net_watch_snapshot(host->watch);
	struct host_task *task;
	uint32_t ifindex = 0;
	char from[NET_NAME_MAX] = "", error[100];

	for (size_t i = 0; to && i < snapshot->count; i++) {
		if (strcmp(snapshot->addresses[i].ifname, to) == 0)
			ifindex = snapshot->addresses[i].ifindex;
		else if (snapshot->addresses[i].is_default)
			snprintf(from, sizeof from, "%s", snapshot->addresses[i].ifname);
	}
	if (ifindex == 0) {
		snprintf(error, sizeof error, "%.15s: no such interface, or it has no usable address; see `ip address`",
			 to ? to : "");
		send_end(host, client, EXIT_DENIED, error);
		return;
	}
	task = new_task(host, client, TASK_HANDOVER, clock_now());
	if (!task)
		return;
	task->ifindex = ifindex;
	memcpy(task->from, from, sizeof from);
	snprintf(task->name, sizeof task->name, "%s", to);
	task->deadline = time_add(clock_now(), HANDOVER_PATIENCE_US);
	if (node_prefer_interface(host->node, clock_now(), ifindex) != OK)
		task->deadline = clock_now();
}

static void verb_down(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	send_end(host, client, EXIT_DONE, "");
	host->stop = true;
}

static void verb_join(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	send_end(host, client, EXIT_FAILED,
		 "this device has joined a network already; to join another one, stop it and remove its state "
		 "directory");
}

static void verb_bugreport(struct host *host, uint64_t client, const json_t *request)
{
	json_t *document = document_status(host, clock_now());

	(void)request;
	json_object_set_new(document, "schema", json_string("ntm.bugreport/1"));
	json_object_set_new(document, "version", json_string(NTM_VERSION));
	json_object_set_new(document, "tun",
			    json_pack("{ss sb sb}", "name", tun_name(host->tun), "tso", tun_has_tso(host->tun), "uso",
				      tun_has_uso(host->tun)));
	send_json(host, client, document);
	send_end(host, client, EXIT_DONE, "");
}

static const struct {
	const char *name;
	void (*run)(struct host *host, uint64_t client, const json_t *request);
} verbs[] = {
	{"status", verb_status},     {"ping", verb_ping}, {"why", verb_why},   {"watch", verb_watch},
	{"handover", verb_handover}, {"down", verb_down}, {"join", verb_join}, {"bugreport", verb_bugreport},
};

/* From the control socket; the socket's mode says who may. */
void host_control_line(void *ctx, const struct stream_peer *peer, char *line, size_t size)
{
	struct host *host = ctx;
	json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(request, "verb"));

	for (size_t i = 0; name && i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0) {
			verbs[i].run(host, peer->token, request);
			json_decref(request);
			host_drain(host);
			return;
		}
	send_end(host, peer->token, EXIT_USAGE,
		 "the node daemon does not know this request; are `ntm` and `ntmd` of the same version?");
	json_decref(request);
}

/* Whatever it waited for is not wanted any more. */
void host_control_closed(void *ctx, const struct stream_peer *peer)
{
	struct host *host = ctx;

	for (int i = 0; i < HOST_WATCHERS_MAX; i++)
		if (host->watchers[i] == peer->token)
			host->watchers[i] = 0;
	for (int i = 0; i < HOST_TASKS_MAX; i++)
		if (host->tasks[i].client == peer->token)
			host->tasks[i].kind = TASK_NONE;
}

static void end_task(struct host *host, struct host_task *task, int code, const char *error)
{
	send_end(host, task->client, code, error);
	task->kind = TASK_NONE;
}

static void end_ping(struct host *host, struct host_task *task)
{
	json_t *summary = json_pack("{ss ss si si}", "schema", "ntm.ping/1", "name", task->name, "sent",
				    (int)task->sent, "received", (int)task->received);
	char error[2 * FQDN_MAX_SIZE + 120] = "";
	int code = EXIT_DONE;

	if (task->received > 0)
		json_object_update_new(summary, json_pack("{sI sI sI}", "rtt_min_us", (json_int_t)task->rtt_min_us,
							  "rtt_avg_us", (json_int_t)(task->rtt_sum_us / task->received),
							  "rtt_max_us", (json_int_t)task->rtt_max_us));
	send_json(host, task->client, summary);
	if (task->refused) {
		code = task->reason == REASON_OFFLINE || task->reason == REASON_BUSY ? EXIT_UNREACHABLE : EXIT_DENIED;
		snprintf(error, sizeof error, "%s: %s", task->name, document_reason(task->reason));
	} else if (task->received == 0) {
		code = EXIT_UNREACHABLE;
		snprintf(error, sizeof error, "%s: no answer; `ntm why %s` tells more", task->name, task->name);
	} else if (task->direct && task->relayed_only) {
		code = EXIT_RELAYED;
		snprintf(error, sizeof error, "%s: reachable, but only through a relay; `ntm why %s` tells more",
			 task->name, task->name);
	}
	end_task(host, task, code, error);
}

/* With --direct it goes on until an answer came directly, at most `count` times. */
static bool is_ping_done(const struct host_task *task)
{
	if (task->direct && !task->relayed_only)
		return true;
	return task->count > 0 && task->sent >= task->count && !task->awaiting;
}

static void run_ping(struct host *host, struct host_task *task, struct time_us now)
{
	enum err err;

	if (task->awaiting && time_reached(now, task->deadline)) {
		task->awaiting = false;
		send_json(host, task->client,
			  json_pack("{ss si ss sb}", "schema", "ntm.ping/1", "seq", (int)task->sent, "name", task->name,
				    "timeout", 1));
	}
	if (task->refused || is_ping_done(task) || (task->sent == 0 && time_reached(now, task->deadline))) {
		end_ping(host, task);
		return;
	}
	if (!time_reached(now, task->next) || task->awaiting)
		return;
	err = node_ping(host->node, now, task->name, (uint64_t)(task - host->tasks) << 32 | (uint32_t)task->client,
			task->sent + 1);
	if (err == ERR_STATE) {
		task->next = time_add(now, CONTACT_POLL_US);
		(void)!node_contact(host->node, now, task->name);
		if (task->sent > 0 && time_since(now, task->started) > CONTACT_PATIENCE_US)
			end_ping(host, task);
		return;
	}
	task->sent++;
	task->awaiting = true;
	task->next = time_add(now, task->interval_us);
	task->deadline = time_add(now, PING_PATIENCE_US);
}

/* Settled when the tunnel stands and had half a second to find a direct way. */
static void run_why(struct host *host, struct host_task *task, struct time_us now)
{
	struct node_peer_status peer;
	bool up = find_peer(host, now, task->name, &peer) && peer.has_session, reachable;
	char error[FQDN_MAX_SIZE + 80];

	task->next = time_add(now, CONTACT_POLL_US);
	if (!task->refused && !time_reached(now, task->deadline) &&
	    !(up && time_since(now, task->started) > USEC_PER_SEC / 2))
		return;
	send_json(host, task->client, document_why(host, task, now, &reachable));
	snprintf(error, sizeof error, "%s: not reachable: the first step that failed tells why", task->name);
	end_task(host, task,
		 reachable			       ? EXIT_DONE
		 : task->reason == REASON_UNKNOWN_NAME ? EXIT_DENIED
						       : EXIT_UNREACHABLE,
		 reachable ? "" : error);
}

static void end_handover(struct host *host, struct host_task *task, int64_t gap_us)
{
	send_json(host, task->client,
		  json_pack("{ss ss ss sI}", "schema", "ntm.handover/1", "from", task->from, "to", task->name, "gap_us",
			    (json_int_t)gap_us));
	end_task(host, task, EXIT_DONE, "");
}

/* With no tunnel up there is nothing to wait for. */
static void run_handover(struct host *host, struct host_task *task, struct time_us now)
{
	struct node_peer_status peer;
	bool any = false;

	for (size_t i = 0; i < NODE_PEERS_MAX; i++)
		any |= node_get_peer(host->node, now, i, &peer) && peer.has_session;
	task->next = time_add(now, 10 * CONTACT_POLL_US);
	if (!any)
		end_handover(host, task, 0);
	else if (time_reached(now, task->deadline))
		end_task(host, task, EXIT_TIMED_OUT,
			 "no peer has answered over that interface yet; tunnels stay where they work");
}

/* Polled while there are tasks; nothing wakes up otherwise. */
struct time_us host_tasks_run(struct host *host, struct time_us now)
{
	struct time_us at = TIME_NEVER;

	for (int i = 0; i < HOST_TASKS_MAX; i++) {
		struct host_task *task = &host->tasks[i];

		if (task->kind == TASK_PING)
			run_ping(host, task, now);
		else if (task->kind == TASK_WHY && time_reached(now, task->next))
			run_why(host, task, now);
		else if (task->kind == TASK_HANDOVER && time_reached(now, task->next))
			run_handover(host, task, now);
		if (task->kind == TASK_NONE)
			continue;
		at = time_min(at, task->awaiting ? task->deadline : time_min(task->next, task->deadline));
	}
	return at;
}

static void echo_received(struct host *host, const struct node_event *event)
{
	size_t index = (size_t)(event->token >> 32);
	struct host_task *task = index < HOST_TASKS_MAX ? &host->tasks[index] : NULL;

	if (!task || task->kind != TASK_PING || (uint32_t)task->client != (uint32_t)event->token ||
	    event->sequence <= task->answered_sequence)
		return;
	task->answered_sequence = event->sequence;
	task->received++;
	task->awaiting = event->sequence != task->sent;
	task->relayed_only &= event->kind == PATH_RELAY;
	task->rtt_sum_us += event->rtt_us;
	if (event->rtt_us < task->rtt_min_us)
		task->rtt_min_us = event->rtt_us;
	if (event->rtt_us > task->rtt_max_us)
		task->rtt_max_us = event->rtt_us;
	send_json(host, task->client, document_ping(event));
}

static void tell_watchers(struct host *host, const struct node_event *event)
{
	json_t *document = document_event(host, event);

	if (document && log_enabled(LOG_SEVERITY_DEBUG)) {
		char *text = json_dumps(document, JSON_COMPACT);

		log_print(LOG_SEVERITY_DEBUG, "event", "%s", text ? text : "");
		free(text);
	}
	for (int i = 0; document && i < HOST_WATCHERS_MAX; i++)
		if (host->watchers[i])
			send_json(host, host->watchers[i], json_incref(document));
	json_decref(document);
}

/* Only notes and sends: the node is in the middle of a call. */
void host_control_event(struct host *host, const struct node_event *event)
{
	if (event->type == NODE_EVENT_ECHO)
		echo_received(host, event);
	for (int i = 0; i < HOST_TASKS_MAX; i++) {
		struct host_task *task = &host->tasks[i];

		if (event->type == NODE_EVENT_HANDOVER && task->kind == TASK_HANDOVER && !event->handover.by_peer)
			end_handover(host, task, event->handover.gap_us);
		if (event->type == NODE_EVENT_PEER_REFUSED && (task->kind == TASK_PING || task->kind == TASK_WHY) &&
		    strcmp(task->name, event->peer) == 0) {
			task->refused = true;
			task->reason = event->reason;
			task->next = event->at;
		}
	}
	if (event->type == NODE_EVENT_REFUSED)
		log_print(LOG_SEVERITY_ERROR, "refused", "coordinator: registration refused: %s",
			  document_reason(event->reason));
	tell_watchers(host, event);
}
