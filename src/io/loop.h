/*
 * loop.h: an event loop over epoll. Level-triggered; wakes up for a ready source, a deadline, a signal, a resume from
 * suspend or a step of the wall clock, and for nothing else. One loop belongs to one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "base/time.h"

/*
 * Embed this as the first member and cast back in `ready`. Owned by the caller; must stay in place while it is added.
 */
struct source {
	int fd;
	void (*ready)(struct source *source, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
};

struct loop;

/* NULL with errno when the kernel refuses. */
struct loop *loop_create(void);
/* Does not close the sources' descriptors. Unblocks nothing. Accepts NULL. */
void loop_destroy(struct loop *loop);
/* ERR_IO with errno. events of EPOLLIN | EPOLLOUT. */
must_use enum err loop_add(struct loop *loop, struct source *source, uint32_t events);
must_use enum err loop_modify(struct loop *loop, struct source *source, uint32_t events);
/*
 * Before closing the descriptor. Allowed inside any callback: what was pending for this source is forgotten. Harmless
 * when not added.
 */
void loop_remove(struct loop *loop, struct source *source);
/*
 * Waits until a source is ready or `deadline` has come, calls each ready source once and returns. Returns at once
 * (after a look at the sources) when the deadline has passed. now is the caller's latest reading of clock_now. ERR_IO
 * with errno; EINTR is not an error.
 */
must_use enum err loop_wait(struct loop *loop, struct time_us now, struct time_us deadline);
/*
 * Around each wait: what the loop's callbacks use is others' from `leave` until `enter`. For threads beside the loop,
 * which never call it.
 */
void loop_set_gate(struct loop *loop, void *ctx, void (*leave)(void *ctx), void (*enter)(void *ctx));
/* When the last loop_wait woke up: the frozen "now" of the callbacks it made. */
struct time_us loop_now(const struct loop *loop);
/*
 * Blocks these signals for the calling thread and delivers them as calls of `got` from loop_wait. Once per loop.
 * loop_destroy leaves them blocked.
 */
must_use enum err loop_signals(struct loop *loop, const int *signals, size_t count, void *ctx,
			       void (*got)(void *ctx, int signal));
