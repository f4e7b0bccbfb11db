#include "cmd/login_task.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "crypto/hash.h"

static void *ask(void *ctx)
{
	struct login_task *task = ctx;
	uint64_t one = 1;

	if (task->is_renewal)
		task->err = login_renew(task->authority, &task->addresses, &task->params, &task->result, &task->reason,
					task->error);
	else
		task->err = login_fetch_network(task->authority, &task->addresses, task->params.mark, &task->result,
						task->error);
	return write(task->source.fd, &one, sizeof one) == sizeof one ? ctx : NULL;
}

static void answered(struct source *source, uint32_t events)
{
	struct login_task *task = (struct login_task *)source;
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof count) != sizeof count || !task->is_running)
		return;
	(void)pthread_join(task->thread, NULL);
	wipe(&task->params, sizeof task->params); /* the identity's key among them */
	task->is_running = false;
	task->answered(task->ctx, task);
}

/* Contract in the header. */
struct login_task *login_task_create(struct loop *loop, void *ctx, void (*tell)(void *ctx, struct login_task *task))
{
	struct login_task *task = calloc(1, sizeof *task);
	int saved;

	if (!task)
		abort();
	task->loop = loop;
	task->ctx = ctx;
	task->answered = tell;
	task->source = (struct source){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = answered};
	if (task->source.fd >= 0 && loop_add(loop, &task->source, EPOLLIN) == OK)
		return task;
	saved = errno;
	if (task->source.fd >= 0)
		(void)close(task->source.fd);
	free(task);
	errno = saved;
	return NULL;
}

/* Contract in the header. */
bool login_task_start(struct login_task *task, bool is_renewal)
{
	task->is_renewal = is_renewal;
	task->error[0] = 0;
	errno = pthread_create(&task->thread, NULL, ask, task);
	task->is_running = errno == 0;
	return task->is_running;
}

/* Contract in the header. */
void login_task_close(struct login_task *task)
{
	if (!task)
		return;
	loop_remove(task->loop, &task->source);
	if (task->is_running && pthread_tryjoin_np(task->thread, NULL) != 0) {
		(void)pthread_detach(task->thread);
		return; /* its memory is the thread's until the process ends */
	}
	(void)close(task->source.fd);
	wipe(&task->params, sizeof task->params);
	free(task);
}
