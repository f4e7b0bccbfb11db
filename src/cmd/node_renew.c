#include "cmd/node_renew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/login_task.h"
#include "io/clock.h"
#include "io/log.h"
#include "proto/node/renewal.h"

#define LOOK_AGAIN_US (1 * USEC_PER_SEC) /* when awake anyway: clocks are set, machines sleep */
#define FETCH_AFTER_US (60 * USEC_PER_SEC)
#define FETCH_MAX_US (3600 * USEC_PER_SEC)

struct node_renew {
	struct host *host;
	struct login_task *task;
	struct renewal schedule;
	struct time_us look, deadline; /* no look at the clocks before; when one is wanted in any case */
	struct time_us absent_since;   /* the coordinator; us 0: it is there */
	struct time_us fetch_at;
	int64_t fetch_pause_us;
	char last_error[LOGIN_ERROR_MAX]; /* of a renewal */
};

/* The network's time, else this machine's, which may be wrong: then it is asked too early or too late, no more (T10).
 */
static uint64_t network_time(const struct node_renew *renew, struct time_us now)
{
	struct node_status status;

	node_get_status(renew->host->node, now, &status);
	return status.network_time_s ? status.network_time_s : clock_wall_s();
}

static const char *date_of(uint64_t wall_s, char text[32])
{
	time_t seconds = (time_t)wall_s;
	struct tm parts;

	gmtime_r(&seconds, &parts);
	(void)strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &parts);
	return text;
}

/* On disk before anything is sent: a coordinator that has seen it takes none that is older. */
static enum err take_certificate(struct node_renew *renew, struct time_us now)
{
	const struct login_result *result = &renew->task->result;
	struct host *host = renew->host;
	struct membership *membership = &host->membership;
	char error[HOST_ERROR_MAX];
	enum err err =
		node_input_certificate(host->node, now, (struct blob){result->certificate, result->certificate_size});

	if (err != OK) {
		(void)snprintf(renew->task->error, sizeof renew->task->error, "the new one cannot be used (%s)",
			       err_text(err));
		return err;
	}
	memcpy(membership->certificate, result->certificate, result->certificate_size);
	membership->certificate_size = result->certificate_size;
	if (membership_save(host->settings.state, membership, error) != OK)
		log_print(LOG_SEVERITY_WARNING, "renew", "certificate: %s", error);
	return OK;
}

static void renewed(struct node_renew *renew, struct time_us now)
{
	const struct certificate *certificate = node_get_certificate(renew->host->node);
	char until[32], due[32];

	renewal_succeeded(&renew->schedule, now, certificate);
	renew->last_error[0] = 0;
	log_print(LOG_SEVERITY_INFO, "renew", "certificate: renewed, good until %s, renewed again from %s on",
		  date_of(certificate->not_after_s, until), date_of(renew->schedule.due_s, due));
}

static void not_renewed(struct node_renew *renew, struct time_us now)
{
	const char *error = renew->task->error;
	bool is_refused = renew->task->err == ERR_DENIED;
	char until[32];

	renewal_failed(&renew->schedule, now, network_time(renew, now));
	memcpy(renew->last_error, error, sizeof renew->last_error);
	log_print(is_refused ? LOG_SEVERITY_ERROR : LOG_SEVERITY_WARNING, "renew",
		  "certificate: not renewed: %s; good until %s, tried again in %lld s", error,
		  date_of(renew->schedule.not_after_s, until),
		  (long long)(time_since(renew->schedule.next, now) / USEC_PER_SEC));
}

static void answered(void *ctx, struct login_task *task)
{
	struct node_renew *renew = ctx;
	struct time_us now = clock_now();

	renew->look = now;
	renew->host->is_swollen = true;
	if (task->err == OK) {
		node_input_network(renew->host->node, now, &task->result.network_decoded);
		if (task->is_renewal)
			task->err = take_certificate(renew, now);
	}
	if (task->is_renewal && task->err == OK)
		renewed(renew, now);
	else if (task->is_renewal)
		not_renewed(renew, now);
	else if (task->err != OK)
		log_print(LOG_SEVERITY_WARNING, "network", "network document: %s", task->error);
}

static void start(struct node_renew *renew, bool is_renewal)
{
	struct login_task *task = renew->task;
	struct host *host = renew->host;

	task->params = (struct login_params){
		.role = host->exit ? ROLE_EXIT : ROLE_NODE, .identity = host->keys.sign, .mark = host->settings.mark};
	memcpy(task->params.static_key, host->keys.dh.public, KEY_SIZE);
	memcpy(task->authority, host->membership.authority, KEY_SIZE);
	task->addresses = host->membership.account;
	if (login_task_start(task, is_renewal))
		return;
	task->err = ERR_FULL;
	(void)snprintf(task->error, sizeof task->error, "no thread to ask with: %s", strerror(errno));
	if (is_renewal)
		not_renewed(renew, clock_now());
}

/* Only our coordinator tells of newer documents; where it has moved, only the account server knows. */
static bool wants_network(struct node_renew *renew, struct time_us now)
{
	struct node_status status;

	node_get_status(renew->host->node, now, &status);
	if (status.coordinator_ok) {
		renew->absent_since = (struct time_us){0};
		return false;
	}
	if (renew->absent_since.us == 0) {
		renew->absent_since = now;
		renew->fetch_pause_us = FETCH_AFTER_US;
		renew->fetch_at = time_add(now, FETCH_AFTER_US);
	}
	if (!time_reached(now, renew->fetch_at))
		return false;
	renew->fetch_pause_us = 2 * renew->fetch_pause_us < FETCH_MAX_US ? 2 * renew->fetch_pause_us : FETCH_MAX_US;
	renew->fetch_at = time_add(now, renew->fetch_pause_us);
	return true;
}

static void look(struct node_renew *renew, struct time_us now)
{
	uint64_t now_s = network_time(renew, now);
	struct time_us at;

	if (renewal_is_due(&renew->schedule, now, now_s))
		start(renew, true);
	else if (wants_network(renew, now))
		start(renew, false);
	renew->look = time_add(now, LOOK_AGAIN_US);
	at = renewal_deadline(&renew->schedule, now, now_s);
	if (renew->absent_since.us)
		at = time_min(at, renew->fetch_at);
	renew->deadline = at.us > renew->look.us ? at : renew->look;
}

/* Contract in the header. */
struct time_us node_renew_run(struct node_renew *renew, struct time_us now)
{
	if (!renew || renew->task->is_running)
		return TIME_NEVER;
	if (time_reached(now, renew->look))
		look(renew, now);
	return renew->task->is_running ? TIME_NEVER : renew->deadline;
}

/* Contract in the header. */
struct node_renew *node_renew_open(struct host *host)
{
	struct node_renew *renew = calloc(1, sizeof *renew);

	if (!renew)
		abort();
	renew->host = host;
	renewal_init(&renew->schedule, node_get_certificate(host->node));
	renew->task = login_task_create(host->loop, renew, answered);
	if (renew->task)
		return renew;
	log_print(LOG_SEVERITY_WARNING, "renew", "certificate: cannot be renewed before the next start: %s",
		  strerror(errno));
	free(renew);
	return NULL;
}

/* Contract in the header. */
void node_renew_close(struct node_renew *renew)
{
	if (!renew)
		return;
	login_task_close(renew->task);
	free(renew);
}

/* Contract in the header. */
void node_renew_get(const struct node_renew *renew, struct time_us now, struct node_renew_status *ret)
{
	uint64_t now_s = network_time(renew, now);

	*ret = (struct node_renew_status){
		.not_after_s = renew->schedule.not_after_s,
		.due_s = renew->schedule.due_s,
		.is_expired = now_s > renew->schedule.not_after_s,
		.is_late = now_s > renew->schedule.due_s && renew->last_error[0],
		.error = renew->last_error,
	};
}
