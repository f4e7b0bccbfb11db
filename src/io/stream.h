/*
 * stream.h: the control socket: lines of text over a unix stream socket, both sides. io does not look inside a line.
 * The server never blocks and never waits for a slow reader: who does not read is dropped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/time.h"

enum { STREAM_LINE_MAX = 64 * 1024, STREAM_CLIENTS_MAX = 16, STREAM_ERROR_MAX = 200 };

struct loop;
struct stream_server;

struct stream_peer {
	uint64_t token; /* never 0, never used twice */
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

struct stream_params {
	const char *path;
	const char *group; /* may use the socket (0660) when it exists; NULL: owner only (0600) */
	size_t output_max; /* bytes queued per client; 0: 4 MiB */
	void *ctx;
	/* A whole line without its newline, zero-terminated. May send to and close any client. */
	void (*line)(void *ctx, const struct stream_peer *peer, char *line, size_t size);
	void (*closed)(void *ctx,
		       const struct stream_peer *peer); /* also for those that the server dropped; may be NULL */
};

struct stream_counters {
	uint64_t accepted, rejected_full, dropped_slow, dropped_oversize;
};

/*
 * Makes missing directories of the path (0755, the last one 0750 with the group), replaces a stale socket file.
 * ERR_EXISTS: another daemon answers there. ERR_USAGE: path too long or not a socket. error holds one line.
 */
must_use enum err stream_serve(const struct stream_params *params, struct loop *loop, struct stream_server **ret,
			       char error[STREAM_ERROR_MAX]);
/* Closes all clients without telling `closed`, removes the socket file. Accepts NULL. */
void stream_server_destroy(struct stream_server *server);
/*
 * Queues a line; the newline is added. ERR_UNKNOWN: that client is gone. ERR_FULL: its queue is over output_max, it
 * is dropped.
 */
must_use enum err stream_send(struct stream_server *server, uint64_t token, const char *line, size_t size);
/* Ends a connection once its queue is written. */
void stream_close(struct stream_server *server, uint64_t token);
void stream_get_counters(const struct stream_server *server, struct stream_counters *ret);

/* Blocking client. */
struct stream_client;

/* ERR_UNKNOWN: no socket there or nobody behind it. ERR_DENIED: not permitted. ERR_IO with errno. */
must_use enum err stream_connect(const char *path, struct stream_client **ret);
void stream_client_close(struct stream_client *client); /* accepts NULL */
/* ERR_EXPIRED: not written by the deadline (of clock_now). ERR_TRUNCATED: the server is gone. */
must_use enum err stream_client_write(struct stream_client *client, const char *line, size_t size,
				      struct time_us deadline);
/*
 * The next line without its newline, zero-terminated, valid until the next call. ERR_EXPIRED, ERR_TRUNCATED, ERR_SIZE
 * (over 8 MiB).
 */
must_use enum err stream_client_read(struct stream_client *client, struct time_us deadline, char **ret,
				     size_t *ret_size);
