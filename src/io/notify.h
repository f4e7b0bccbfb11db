/* notify.h: telling the service manager how we are (sd_notify's protocol, by hand: no libsystemd in the daemons). */
#pragma once

#include "base/err.h"

/*
 * Sends `state`, for instance "READY=1\nSTATUS=..." to $NOTIFY_SOCKET, a path or an abstract name ("@..."). OK
 * without that variable. ERR_IO with errno.
 */
must_use enum err notify_send(const char *state);
/* "READY=1" with this status line; failures do not matter. */
void notify_ready(const char *status);
void notify_stopping(void);
