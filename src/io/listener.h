/*
 * listener.h: TCP connections with limits, for DNS over TCP and whatever else speaks a byte stream: bounded number,
 * bounded buffers, an idle limit each. TLS has its own (tls.h); both begin with listener_socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/time.h"

struct loop;
struct listener;

struct listener_params {
	int fd;			      /* listening, non-blocking, e.g. from listener_socket; stays the caller's */
	uint32_t connections_max;     /* 0: 64; one more is closed at once */
	uint32_t per_address_max;     /* from one address; 0: no limit of its own */
	size_t input_max, output_max; /* bytes per connection; 0: 64 KiB + 2 each, one DNS message */
	int64_t idle_us;	      /* without progress; 0: 10 s */
	void *ctx;
	/*
	 * Bytes not used up yet. Returns how many are, or a negative number to close at once. May call listener_send
	 * and listener_finish for any connection, not listener_destroy.
	 */
	ptrdiff_t (*input)(void *ctx, uint64_t token, const struct addr *remote, const uint8_t *bytes, size_t size);
	void (*closed)(void *ctx, uint64_t token); /* may be NULL */
};

struct listener_counters {
	uint64_t accepted, rejected_full, timed_out, dropped_slow;
	uint32_t open;
};

/*
 * A listening, non-blocking socket, close-on-exec. `::` takes both families. ERR_EXISTS: the port is taken.
 * ERR_DENIED: a low port without the right to it. ERR_IO with errno.
 */
must_use enum err listener_socket(const struct addr *local, int *ret);
/* NULL with errno when the loop refuses. */
struct listener *listener_create(const struct listener_params *params, struct loop *loop);
void listener_destroy(struct listener *listener); /* closes every connection; accepts NULL */
/*
 * Queues bytes; then_close ends the connection after them. ERR_UNKNOWN: it is gone. ERR_FULL: over output_max, it is
 * closed.
 */
must_use enum err listener_send(struct listener *listener, uint64_t token, const void *bytes, size_t size,
				bool then_close);
/* Closes those that were idle too long. Call at listener_deadline. */
void listener_expire(struct listener *listener, struct time_us now);
struct time_us listener_deadline(const struct listener *listener);
void listener_get_counters(const struct listener *listener, struct listener_counters *ret);
