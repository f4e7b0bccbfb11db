#include "cmd/node_renew.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cmd/login_client.h"
#include "crypto/hash.h"
#include "io/clock.h"
#include "io/log.h"
#include "proto/node/renewal.h"

#define LOOK_AGAIN_US (1 * USEC_PER_SEC) /* when awake anyway: clocks are set, machines sleep */
#define FETCH_AFTER_US (60 * USEC_PER_SEC)
#define FETCH_MAX_US (3600 * USEC_PER_SEC)

struct node_renew {
	struct source source; /* eventfd: the answer is there */
	struct host *host;
	struct renewal schedule;
	struct time_us look, deadline; /* no look at the clocks before; when one is wanted in any case */
	struct time_us absent_since;   /* the coordinator; us 0: it is there */
	struct time_us fetch_at;
	int64_t fetch_pause_us;
	pthread_t thread;
	bool is_running, is_renewal;
	struct login_params params;
	uint8_t authority[KEY_SIZE];
	struct server_addresses addresses;
	struct login_result result;
	enum err err;
	uint8_t reason;
	char error[LOGIN_ERROR_MAX];
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

static void *ask(void *ctx)
{
	struct node_renew *renew = ctx;
	uint64_t one = 1;

	if (renew->is_renewal)
		renew->err = login_renew(renew->authority, &renew->addresses, &renew->params, &renew->result,
					 &renew->reason, renew->error);
	else
		renew->err = login_fetch_network(renew->authority, &renew->addresses, renew->params.mark,
						 &renew->result, renew->error);
	return write(renew->source.fd, &one, sizeof one) == sizeof one ? ctx : NULL;
}

/* On disk before anything is sent: a coordinator that has seen it takes none that is older. */
static enum err take_certificate(struct node_renew *renew, struct time_us now)
{
	const struct login_result *result = &renew->result;
	struct host *host = renew->host;
	struct membership *membership = &host->membership;
	char error[HOST_ERROR_MAX];
	enum err err =
		node_input_certificate(host->node, now, (struct blob){result->certificate, result->certificate_size});

	if (err != OK) {
		(void)snprintf(renew->error, sizeof renew->error, "the new one cannot be used (%s)", err_text(err));
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
	bool is_refused = renew->err == ERR_DENIED;
	char until[32];

	renewal_failed(&renew->schedule, now, network_time(renew, now));
	memcpy(renew->last_error, renew->error, sizeof renew->last_error);
	log_print(is_refused ? LOG_SEVERITY_ERROR : LOG_SEVERITY_WARNING, "renew",
		  "certificate: not renewed: %s; good until %s, tried again in %lld s", renew->error,
		  date_of(renew->schedule.not_after_s, until),
		  (long long)(time_since(renew->schedule.next, now) / USEC_PER_SEC));
}

static void answered(struct source *source, uint32_t events)
{
	struct node_renew *renew = (struct node_renew *)source;
	struct time_us now = clock_now();
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof count) != sizeof count || !renew->is_running)
		return;
	(void)pthread_join(renew->thread, NULL);
	renew->is_running = false;
	renew->look = now;
	renew->host->is_swollen = true;
	if (renew->err == OK) {
		node_input_network(renew->host->node, now, &renew->result.network_decoded);
		if (renew->is_renewal)
			renew->err = take_certificate(renew, now);
	}
	if (renew->is_renewal && renew->err == OK)
		renewed(renew, now);
	else if (renew->is_renewal)
		not_renewed(renew, now);
	else if (renew->err != OK)
		log_print(LOG_SEVERITY_WARNING, "network", "network document: %s", renew->error);
}

static void start(struct node_renew *renew, bool is_renewal)
{
	struct host *host = renew->host;

	renew->params = (struct login_params){
		.role = host->exit ? ROLE_EXIT : ROLE_NODE, .identity = host->keys.sign, .mark = host->settings.mark};
	memcpy(renew->params.static_key, host->keys.dh.public, KEY_SIZE);
	memcpy(renew->authority, host->membership.authority, KEY_SIZE);
	renew->addresses = host->membership.account;
	renew->is_renewal = is_renewal;
	renew->error[0] = 0;
	renew->is_running = pthread_create(&renew->thread, NULL, ask, renew) == 0;
	if (renew->is_running)
		return;
	renew->err = ERR_FULL;
	(void)snprintf(renew->error, sizeof renew->error, "no thread to ask with: %s", strerror(errno));
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
	if (!renew || renew->is_running)
		return TIME_NEVER;
	if (time_reached(now, renew->look))
		look(renew, now);
	return renew->is_running ? TIME_NEVER : renew->deadline;
}

/* Contract in the header. */
struct node_renew *node_renew_open(struct host *host)
{
	struct node_renew *renew = calloc(1, sizeof *renew);

	if (!renew)
		abort();
	renew->host = host;
	renewal_init(&renew->schedule, node_get_certificate(host->node));
	renew->source = (struct source){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = answered};
	if (renew->source.fd >= 0 && loop_add(host->loop, &renew->source, EPOLLIN) == OK)
		return renew;
	log_print(LOG_SEVERITY_WARNING, "renew", "certificate: cannot be renewed before the next start: %s",
		  strerror(errno));
	if (renew->source.fd >= 0)
		(void)close(renew->source.fd);
	free(renew);
	return NULL;
}

/* Contract in the header. */
void node_renew_close(struct node_renew *renew)
{
	if (!renew)
		return;
	loop_remove(renew->host->loop, &renew->source);
	if (renew->is_running && pthread_tryjoin_np(renew->thread, NULL) != 0) {
		(void)pthread_detach(renew->thread);
		return; /* its memory is the thread's until the process ends */
	}
	(void)close(renew->source.fd);
	wipe(&renew->params, sizeof renew->params);
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
