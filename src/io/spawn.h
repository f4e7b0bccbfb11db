/* spawn.h: starting a daemon in the background and learning whether it came up. */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/time.h"

enum { SPAWN_MESSAGE_MAX = 512 };

struct spawn_params {
	const char *path;	 /* program; looked up like execvp does */
	char *const *argv;	 /* NULL-terminated; no secrets here, others can read it */
	char *const *envp;	 /* NULL: ours */
	const char *log_path;	 /* its stdout and stderr are appended here, 0600; NULL: /dev/null */
	struct time_us deadline; /* for readiness */
};

/*
 * Starts the program in its own session (double fork) with stdin from /dev/null and NTM_READY_FD set, and waits until
 * it calls spawn_ready, fails or ends. OK: it is up, *ret_pid is its process. ERR_STATE: it ended or called
 * spawn_failed; message holds its own words, possibly empty. ERR_EXPIRED: it still runs, *ret_pid is set, but said
 * nothing in time. ERR_IO with errno: it could not be started.
 */
must_use enum err spawn_daemon(const struct spawn_params *params, pid_t *ret_pid, char message[SPAWN_MESSAGE_MAX]);

/*
 * In the daemon: tells whoever started it; harmless when nobody waits. The descriptor is closed and the variable
 * removed.
 */
void spawn_ready(void);
void spawn_failed(const char *message);
