/* child.h: a program of our own at the other end of a socket that is its standard input and output. It ends when we do:
 * it reads the end of its input. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid; /* 0: none */
	int fd;	   /* ours of the two ends; non-blocking */
};

/*
 * Its standard error is ours, its session its own, so that a terminal's Ctrl-C does not reach it. Looked up like
 * execvp does; a program that is not there shows as the end of its output. ERR_IO with errno.
 */
must_use enum err child_start(const char *path, char *const *argv, struct child *ret);
/* All of it or, when it does not fit or nobody is there, nothing that counts: ERR_IO with errno. */
must_use enum err child_tell(const struct child *child, const void *bytes, size_t size);
/* Closes our end: its sign to finish, which is not waited for. Harmless when there is none. */
void child_leave(struct child *child);
