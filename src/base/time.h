/* time.h: an instant that cannot be mixed up with an integer. Durations are int64_t named *_us. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define USEC_PER_MSEC INT64_C(1000)
#define USEC_PER_SEC INT64_C(1000000)

/* A monotonic instant in microseconds; the origin is the driver's affair. */
struct time_us {
	int64_t us;
};

/* "No deadline": later than every instant. */
#define TIME_NEVER ((struct time_us){INT64_MAX})

/* t + duration, saturating at TIME_NEVER. */
static inline struct time_us time_add(struct time_us t, int64_t duration_us)
{
	if (duration_us > 0 && t.us > INT64_MAX - duration_us)
		return TIME_NEVER;
	return (struct time_us){t.us + duration_us};
}

/* How long after b is a, in microseconds; negative when a is earlier. */
static inline int64_t time_since(struct time_us a, struct time_us b)
{
	return a.us - b.us;
}

/* Has `deadline` come at `now`? */
static inline bool time_reached(struct time_us now, struct time_us deadline)
{
	return now.us >= deadline.us;
}

/* The earlier of the two. */
static inline struct time_us time_min(struct time_us a, struct time_us b)
{
	return a.us < b.us ? a : b;
}

/* `at`, or a second from now when that has passed: for planning what could not be done when it was due. */
static inline struct time_us time_later(struct time_us now, struct time_us at)
{
	return at.us > now.us ? at : time_add(now, USEC_PER_SEC);
}
