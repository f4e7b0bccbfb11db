/* The node daemon's verbs: one JSON object a line in, documents and {"end": true, ...} out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/node_abilities.h"
#include "cmd/node_host.h"
#include "cmd/node_task.h"
#include "cmd/node_why.h"
#include "io/clock.h"
#include "io/log.h"

#define CONTACT_PATIENCE_US (10 * USEC_PER_SEC)
#define PING_PATIENCE_US (2 * USEC_PER_SEC)
#define CONTACT_POLL_US (20 * USEC_PER_MSEC)

/* The driver's socket holds it until the client reads. */
void task_send(struct host *host, uint64_t client, json_t *document)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	if (text && stream_send(host->stream, client, text, strlen(text)) != OK)
		log_print(LOG_SEVERITY_DEBUG, "control", "control: a client went away");
	free(text);
	json_decref(document);
}

/* What `ntm` exits with, and says. */
void task_send_end(struct host *host, uint64_t client, int code, const char *error)
{
	task_send(host, client, json_pack("{sb si ss}", "end", 1, "exit", code, "error", error));
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

/* A handful: each is one person's or script's command. */
struct host_task *task_new(struct host *host, uint64_t client, enum host_task_kind kind, struct time_us now)
{
	for (int i = 0; i < HOST_TASKS_MAX; i++)
		if (host->tasks[i].kind == TASK_NONE) {
			host->tasks[i] = (struct host_task){
				.kind = kind, .client = client, .started = now, .next = now, .deadline = TIME_NEVER};
			return &host->tasks[i];
		}
	task_send_end(host, client, EXIT_FAILED, "the daemon is busy with other requests; try again");
	return NULL;
}

/* Whatever it kept goes. */
void task_forget(struct host_task *task)
{
	json_decref(task->moved);
	*task = (struct host_task){0};
}

/* The client has its answer. */
void task_end(struct host *host, struct host_task *task, int code, const char *error)
{
	task_send_end(host, task->client, code, error);
	task_forget(task);
}

static bool start_named(struct host *host, uint64_t client, const json_t *request, enum host_task_kind kind,
			struct host_task **ret)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct time_us now = clock_now();
	char fqdn[FQDN_MAX_SIZE + 1], error[FQDN_MAX_SIZE + 100];

	if (!name || !full_name(host, name, fqdn)) {
		task_send_end(host, client, EXIT_USAGE, "a name is needed");
		return false;
	}
	if (node_contact(host->node, now, fqdn) != OK) {
		snprintf(error, sizeof error,
			 "%s: not a name of another node of this network, or of one that its --trust names", fqdn);
		task_send_end(host, client, EXIT_DENIED, error);
		return false;
	}
	*ret = task_new(host, client, kind, now);
	if (!*ret)
		return false;
	memcpy((*ret)->name, fqdn, sizeof fqdn);
	(*ret)->deadline = time_add(now, CONTACT_PATIENCE_US);
	return true;
}

static void verb_status(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	task_send(host, client, document_status(host, clock_now()));
	task_send_end(host, client, EXIT_DONE, "");
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

/* Who is away may come back; who is not known, or not wanted, does not by waiting. */
static int refusal_code(uint8_t reason)
{
	return reason == REASON_NONE || reason == REASON_OFFLINE || reason == REASON_BUSY ? EXIT_UNREACHABLE
											  : EXIT_DENIED;
}

/* The steps, and the one that failed as the error. */
static void tell_why(struct host *host, uint64_t client, const struct why_question *question)
{
	char error[WHY_TEXT_MAX + FQDN_MAX_SIZE + 40];
	struct why why;

	why_make(host, question, clock_now(), &why);
	task_send(host, client, why.document);
	snprintf(error, sizeof error, "%s is not reachable: %s", question->name,
		 why.cause[0] ? why.cause : "no way to it works now; it is still being looked for");
	task_send_end(host, client,
		      why.reachable	     ? EXIT_DONE
		      : question->is_foreign ? EXIT_DENIED
					     : refusal_code(question->refused ? question->reason : REASON_NONE),
		      why.reachable ? "" : error);
}

static bool is_inside(const struct host *host, const struct ip *ip)
{
	const struct network *network = node_get_network(host->node);

	for (int i = 0; i < network->coordinator_count; i++)
		if (prefix_contains(&network->coordinators[i].pool4, ip) ||
		    prefix_contains(&network->coordinators[i].pool6, ip))
			return true;
	return false;
}

/* A host outside the overlay: why it is reached is why its exit is, and what that says. */
static void why_general(struct host *host, uint64_t client, const struct ip *ip)
{
	struct why_question question = {.name = "", .general = *ip};
	struct node_exit_status status;
	struct host_task *task;
	int rule = node_exit_rule_for(host->node, ip);
	json_t *request;

	if (rule < 0 || !node_get_exit(host->node, (size_t)rule, &status)) {
		question.is_foreign = true;
		tell_why(host, client, &question);
		return;
	}
	request = json_pack("{ss}", "name", status.name);
	if (start_named(host, client, request, TASK_WHY, &task))
		task->general = *ip;
	json_decref(request);
}

/* A name that cannot be contacted has its answer at once. */
static void verb_why(struct host *host, uint64_t client, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	char fqdn[FQDN_MAX_SIZE + 1];
	struct host_task *task;
	struct ip ip;

	if (name && ip_parse(name, &ip) == OK && !is_inside(host, &ip)) {
		why_general(host, client, &ip);
		return;
	}
	if (name && full_name(host, name, fqdn) && node_contact(host->node, clock_now(), fqdn) != OK)
		tell_why(host, client, &(struct why_question){.name = fqdn, .is_foreign = true});
	else
		(void)start_named(host, client, request, TASK_WHY, &task);
}

static void verb_watch(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	for (int i = 0; i < HOST_WATCHERS_MAX; i++)
		if (host->watchers[i] == 0) {
			host->watchers[i] = client;
			task_send(host, client, document_watching(host));
			return;
		}
	task_send_end(host, client, EXIT_FAILED, "too many watchers; end one");
}

static void verb_down(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	task_send_end(host, client, EXIT_DONE, "");
	host->stop = true;
}

static void verb_join(struct host *host, uint64_t client, const json_t *request)
{
	(void)request;
	task_send_end(host, client, EXIT_FAILED,
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
			    json_pack("{ss sb sb}", "name", tun_name(host->tun), "tso", abilities_of_tun(host).tso,
				      "uso", abilities_of_tun(host).uso));
	task_send(host, client, document);
	task_send_end(host, client, EXIT_DONE, "");
}

static const struct {
	const char *name;
	void (*run)(struct host *host, uint64_t client, const json_t *request);
} verbs[] = {
	{"status", verb_status}, {"ping", verb_ping},	       {"why", verb_why},
	{"watch", verb_watch},	 {"handover", handover_start}, {"down", verb_down},
	{"join", verb_join},	 {"exit", node_exit_change},   {"bugreport", verb_bugreport},
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
	task_send_end(host, peer->token, EXIT_USAGE,
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
			task_forget(&host->tasks[i]);
}

/* What came of our echoes goes along: a tunnel that stands may carry nothing. */
static struct why_question why_question_of(const struct host_task *task, struct time_us now)
{
	return (struct why_question){
		.name = task->name,
		.general = task->general,
		.refused = task->refused,
		.reason = task->reason,
		.has_asked = task->sent > 0,
		.has_answered = task->received > 0,
		.echo_us = task->received > 0 ? task->rtt_max_us
			   : task->sent > 0   ? time_since(now, task->awaiting_since)
					      : 0,
	};
}

/* One line: the first step that failed, else where to look. */
static void say_why_silent(const struct host *host, const struct host_task *task, char *ret, size_t size)
{
	struct why_question question = why_question_of(task, clock_now());
	struct why why;

	why_make(host, &question, clock_now(), &why);
	json_decref(why.document);
	if (why.cause[0])
		snprintf(ret, size, "%s is not reachable: %s", task->name, why.cause);
	else
		snprintf(ret, size, "%s: no answer; `ntm why %s` tells more", task->name, task->name);
}

static void end_ping(struct host *host, struct host_task *task)
{
	json_t *summary = json_pack("{ss ss si si}", "schema", "ntm.ping/1", "name", task->name, "sent",
				    (int)task->sent, "received", (int)task->received);
	char error[2 * FQDN_MAX_SIZE + WHY_TEXT_MAX] = "";
	int code = EXIT_DONE;

	if (task->received > 0)
		json_object_update_new(summary, json_pack("{sI sI sI}", "rtt_min_us", (json_int_t)task->rtt_min_us,
							  "rtt_avg_us", (json_int_t)(task->rtt_sum_us / task->received),
							  "rtt_max_us", (json_int_t)task->rtt_max_us));
	task_send(host, task->client, summary);
	if (task->refused) {
		code = refusal_code(task->reason);
		say_why_silent(host, task, error, sizeof error);
	} else if (task->received == 0) {
		code = EXIT_UNREACHABLE;
		say_why_silent(host, task, error, sizeof error);
	} else if (task->direct && task->relayed_only) {
		code = EXIT_RELAYED;
		snprintf(error, sizeof error, "%s: reachable, but only through a relay; `ntm why %s` tells more",
			 task->name, task->name);
	}
	task_end(host, task, code, error);
}

/* With --direct it goes on until an answer came directly, at most `count` times. */
static bool is_ping_done(const struct host_task *task)
{
	if (task->direct && !task->relayed_only)
		return true;
	return task->count > 0 && task->sent >= task->count && !task->awaiting;
}

/* Comes back with the answer. */
static uint64_t token_of(const struct host *host, const struct host_task *task)
{
	return (uint64_t)(task - host->tasks) << 32 | (uint32_t)task->client;
}

static void tell_timeout(struct host *host, const struct host_task *task, const char *error)
{
	json_t *line = json_pack("{ss si ss sb}", "schema", "ntm.ping/1", "seq", (int)task->sent, "name", task->name,
				 "timeout", 1);

	if (*error)
		json_object_set_new(line, "error", json_string(error));
	task_send(host, task->client, line);
}

/* Before the first answer the tunnel is waited for; after it, a tunnel that is lost is a ping that is lost. */
static void wait_for_path(struct host *host, struct host_task *task, struct time_us now)
{
	(void)!node_contact(host->node, now, task->name);
	task->next = time_add(now, task->sent == 0 ? CONTACT_POLL_US : task->interval_us);
	if (task->sent == 0)
		return;
	task->sent++;
	tell_timeout(host, task, "no path");
}

static void run_ping(struct host *host, struct host_task *task, struct time_us now)
{
	enum err err;

	if (task->awaiting && time_reached(now, task->deadline)) {
		task->awaiting = false;
		tell_timeout(host, task, "");
	}
	if (task->refused || is_ping_done(task) ||
	    (task->sent == 0 && (time_reached(now, task->deadline) ||
				 why_is_hopeless(host, task->name, time_since(now, task->started), now)))) {
		end_ping(host, task);
		return;
	}
	if (!time_reached(now, task->next) || task->awaiting)
		return;
	err = node_ping(host->node, now, task->name, token_of(host, task), task->sent + 1);
	if (err == ERR_STATE) {
		wait_for_path(host, task, now);
		return;
	}
	if (task->sent++ == 0)
		task->awaiting_since = now;
	task->awaiting = true;
	task->next = time_add(now, task->interval_us);
	task->deadline = time_add(now, PING_PATIENCE_US);
}

static void end_why(struct host *host, struct host_task *task, const struct why_question *question)
{
	tell_why(host, task->client, question);
	task_forget(task);
}

static void run_why(struct host *host, struct host_task *task, struct time_us now)
{
	struct why_question question = why_question_of(task, now);

	if (task->sent == 0 && node_ping(host->node, now, task->name, token_of(host, task), 1) == OK) {
		task->sent = 1;
		task->awaiting_since = now;
		if (task->general.family)
			(void)!node_ask_general(host->node, now, &task->general);
	}
	task->next = time_add(now, CONTACT_POLL_US);
	if (time_reached(now, task->deadline) || why_is_settled(host, &question, time_since(now, task->started), now))
		end_why(host, task, &question);
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
			handover_run(host, task, now);
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

	if (!task || (task->kind != TASK_PING && task->kind != TASK_WHY) ||
	    (uint32_t)task->client != (uint32_t)event->token || event->sequence <= task->answered_sequence)
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
	if (task->kind == TASK_PING)
		task_send(host, task->client, document_ping(event));
	task->next = task->kind == TASK_WHY ? event->at : task->next;
}

/* Takes over document; NULL is nothing. */
void host_tell_watchers(struct host *host, json_t *document)
{
	if (document && log_enabled(LOG_SEVERITY_DEBUG)) {
		char *text = json_dumps(document, JSON_COMPACT);

		log_print(LOG_SEVERITY_DEBUG, "event", "%s", text ? text : "");
		free(text);
	}
	for (int i = 0; document && i < HOST_WATCHERS_MAX; i++)
		if (host->watchers[i])
			task_send(host, host->watchers[i], json_incref(document));
	json_decref(document);
}

/* Only notes and sends: the node is in the middle of a call. */
void host_control_event(struct host *host, const struct node_event *event)
{
	if (event->type == NODE_EVENT_ECHO)
		echo_received(host, event);
	for (int i = 0; i < HOST_TASKS_MAX; i++) {
		struct host_task *task = &host->tasks[i];

		handover_event(task, event);
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
	host_tell_watchers(host, document_event(host, event));
}
