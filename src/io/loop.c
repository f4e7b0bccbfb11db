#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/clock.h"

enum { LOOP_EVENTS = 32 };

struct loop {
	struct source clock; /* first: see loop_clock_ready */
	struct source signals;
	int fd;
	struct time_us now;
	struct epoll_event events[LOOP_EVENTS];
	int event_count; /* of the batch being dispatched, 0 outside */
	void *signal_ctx;
	void (*got_signal)(void *ctx, int signal);
};

/*
 * A timer that never expires but is cancelled when the wall clock jumps, which the kernel also does on resume.
 * epoll's own timeout does not count the time asleep, so without it deadlines of CLOCK_BOOTTIME would come late by
 * the length of the suspend.
 */
static int loop_arm_clock(int fd)
{
	struct itimerspec far = {.it_value = {.tv_sec = INT64_C(1) << 36}};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static void loop_clock_ready(struct source *source, uint32_t events)
{
	uint64_t expirations;
	ssize_t n = read(source->fd, &expirations, sizeof(expirations));

	(void)n; /* ECANCELED is the news itself: loop_wait returns and the caller looks at its deadlines */
	(void)events;
	loop_arm_clock(source->fd);
}

static void loop_signals_ready(struct source *source, uint32_t events)
{
	struct loop *loop = (struct loop *)((char *)source - offsetof(struct loop, signals));
	struct signalfd_siginfo info;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		loop->got_signal(loop->signal_ctx, (int)info.ssi_signo);
}

/* Fails only when the kernel has no descriptors left. */
struct loop *loop_create(void)
{
	struct loop *loop = mem_alloc(1, sizeof(*loop));

	loop->signals.fd = -1;
	loop->clock = (struct source){.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC),
				      .ready = loop_clock_ready};
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	loop->now = clock_now();
	if (loop->fd >= 0 && loop->clock.fd >= 0 && loop_arm_clock(loop->clock.fd) == 0 &&
	    loop_add(loop, &loop->clock, EPOLLIN) == OK)
		return loop;
	loop_destroy(loop);
	return NULL;
}

/* Leaves the sources alone: they belong to the caller. */
void loop_destroy(struct loop *loop)
{
	int saved = errno;

	if (!loop)
		return;
	if (loop->signals.fd >= 0)
		close(loop->signals.fd);
	if (loop->clock.fd >= 0)
		close(loop->clock.fd);
	if (loop->fd >= 0)
		close(loop->fd);
	mem_free(loop);
	errno = saved;
}

static enum err loop_control(struct loop *loop, int operation, struct source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	assert(source->ready);
	return epoll_ctl(loop->fd, operation, source->fd, &event) == 0 ? OK : ERR_IO;
}

/* Adding twice is refused by the kernel. */
enum err loop_add(struct loop *loop, struct source *source, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_ADD, source, events);
}

/* No events at all still reports EPOLLHUP and EPOLLERR. */
enum err loop_modify(struct loop *loop, struct source *source, uint32_t events)
{
	return loop_control(loop, EPOLL_CTL_MOD, source, events);
}

/* Also forgets what was pending in the batch that is being dispatched. */
void loop_remove(struct loop *loop, struct source *source)
{
	if (source->fd >= 0)
		epoll_ctl(loop->fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
}

/* One batch, each source once; a level-triggered source that was not emptied comes again. */
enum err loop_wait(struct loop *loop, struct time_us now, struct time_us deadline)
{
	int64_t wait_us = time_reached(now, deadline) ? 0 : time_since(deadline, now);
	struct timespec timeout = {.tv_sec = wait_us / USEC_PER_SEC, .tv_nsec = wait_us % USEC_PER_SEC * 1000};
	int count;

	assert(loop->event_count == 0); /* not from inside a callback */
	count = epoll_pwait2(loop->fd, loop->events, LOOP_EVENTS, deadline.us == TIME_NEVER.us ? NULL : &timeout, NULL);
	loop->now = clock_now();
	if (count < 0)
		return errno == EINTR ? OK : ERR_IO;
	loop->event_count = count;
	for (int i = 0; i < loop->event_count; i++) {
		struct source *source = loop->events[i].data.ptr;

		if (source)
			source->ready(source, loop->events[i].events);
	}
	loop->event_count = 0;
	return OK;
}

/* Frozen per wake-up, so that all callbacks of a batch agree on the time. */
struct time_us loop_now(const struct loop *loop)
{
	return loop->now;
}

/* Through a descriptor: no handler, so nothing runs at a bad moment. */
enum err loop_signals(struct loop *loop, const int *signals, size_t count, void *ctx,
		      void (*got)(void *ctx, int signal))
{
	enum err err;
	sigset_t set;
	int fd;

	assert(loop->signals.fd < 0);
	sigemptyset(&set);
	for (size_t i = 0; i < count; i++)
		sigaddset(&set, signals[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return ERR_IO;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return ERR_IO;
	loop->signal_ctx = ctx;
	loop->got_signal = got;
	loop->signals = (struct source){.fd = fd, .ready = loop_signals_ready};
	err = loop_add(loop, &loop->signals, EPOLLIN);
	if (err != OK) {
		close(fd);
		loop->signals.fd = -1;
	}
	return err;
}
