/* control.h: the socket over which wires are made and altered. A command a datagram; the answer goes to its sender. */
#pragma once

#include "base/err.h"
#include "emulator.h"

/* A Unix datagram socket at the path, which must not exist. ERR_IO, with errno. */
must_use enum err control_open(const char *path, int *ret_fd);

/* Serves one command, if one waits. The answer is "ok", JSON, or "error: " and what is wrong. */
void control_serve(int fd, struct emulator *emulator);
