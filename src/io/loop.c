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
#define ALARM_EARLY_US (20 * USEC_PER_MSEC) /* so much before its time it may ring */

struct loop {
	struct source clock; /* first: see loop_clock_ready */
	struct source signals, alarm;
	struct time_us alarm_at; /* TIME_NEVER: it is off */
	int fd;
	struct time_us now;
	struct epoll_event events[LOOP_EVENTS];
	int event_count; /* of the batch being dispatched, 0 outside */
	void *signal_ctx;
	void (*got_signal)(void *ctx, int signal);
	void *gate_ctx;
	void (*leave)(void *ctx), (*enter)(void *ctx); /* NULL: nobody else is there */
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

static void loop_alarm_ready(struct source *source, uint32_t events)
{
	struct loop *loop = (struct loop *)((char *)source - offsetof(struct loop, alarm));
	uint64_t expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) > 0)
		loop->alarm_at = TIME_NEVER;
}

/*
 * While packets flow, deadlines are some milliseconds ahead and move with every packet. One that would ring a little
 * too early stays as it is: setting a timer anew, as epoll's own timeout does each time, costs a virtual machine an
 * exit to its host, twice for every packet.
 */
static enum err loop_set_alarm(struct loop *loop, struct time_us at)
{
	struct itimerspec when = {.it_value = {.tv_sec = at.us / USEC_PER_SEC, .tv_nsec = at.us % USEC_PER_SEC * 1000}};

	if (loop->alarm_at.us <= at.us && time_since(at, loop->alarm_at) <= ALARM_EARLY_US)
		return OK;
	if (at.us == TIME_NEVER.us)
		when = (struct itimerspec){0};
	if (timerfd_settime(loop->alarm.fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
		return ERR_IO;
	loop->alarm_at = at;
	return OK;
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
	loop->alarm_at = TIME_NEVER;
	loop->alarm = (struct source){.fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC),
				      .ready = loop_alarm_ready};
	loop->clock = (struct source){.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC),
				      .ready = loop_clock_ready};
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	loop->now = clock_now();
	if (loop->fd >= 0 && loop->clock.fd >= 0 && loop->alarm.fd >= 0 && loop_arm_clock(loop->clock.fd) == 0 &&
	    loop_add(loop, &loop->clock, EPOLLIN) == OK && loop_add(loop, &loop->alarm, EPOLLIN) == OK)
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
	if (loop->alarm.fd >= 0)
		close(loop->alarm.fd);
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

/* Nothing but the alarm, and before its time. */
static bool loop_rang_early(const struct loop *loop, int count, struct time_us deadline)
{
	return count == 1 && loop->events[0].data.ptr == &loop->alarm && !time_reached(loop->now, deadline);
}

static int loop_sleep(struct loop *loop, bool is_due)
{
	int count, saved;

	if (loop->leave)
		loop->leave(loop->gate_ctx);
	count = epoll_wait(loop->fd, loop->events, LOOP_EVENTS, is_due ? 0 : -1);
	saved = errno;
	if (loop->enter)
		loop->enter(loop->gate_ctx);
	errno = saved;
	return count;
}

/* One batch, each source once; a level-triggered source that was not emptied comes again. */
enum err loop_wait(struct loop *loop, struct time_us now, struct time_us deadline)
{
	bool is_due = time_reached(now, deadline);
	int count;

	assert(loop->event_count == 0); /* not from inside a callback */
	for (;;) {
		if (!is_due && loop_set_alarm(loop, deadline) != OK)
			return ERR_IO;
		count = loop_sleep(loop, is_due);
		loop->now = clock_now();
		if (is_due || !loop_rang_early(loop, count, deadline))
			break;
		loop_alarm_ready(&loop->alarm, EPOLLIN);
	}
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

/* Contract in the header. */
void loop_set_gate(struct loop *loop, void *ctx, void (*leave)(void *ctx), void (*enter)(void *ctx))
{
	loop->gate_ctx = ctx;
	loop->leave = leave;
	loop->enter = enter;
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
