/* stream_path.h: the file side of the control socket: directories, lock, stale files, modes. For stream_server.c. */
#pragma once

#include "base/err.h"
#include "io/stream.h"

/*
 * A listening, non-blocking socket at path, and a lock that says so as long as its descriptor is open. ERR_EXISTS,
 * ERR_USAGE, ERR_IO; error holds one line.
 */
must_use enum err stream_path_listen(const char *path, const char *group, int *ret_fd, int *ret_lock_fd,
				     char error[STREAM_ERROR_MAX]);
