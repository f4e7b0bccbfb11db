/* host.h: a server program as a child process over loopback, and who asks at its control socket. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "cmd/server_host.h"
#include "io/clock.h"
#include "io/stream.h"

enum { WAIT_S = 20 };

/* One server process with a directory of its own. */
struct host {
	char dir[64], socket[96];
	pid_t pid;
};

void host_init(struct host *host);
void host_start(struct host *host, enum program program, unsigned roles, const char *const extra[]);
int host_wait(struct host *host);
int host_stop(struct host *host);
void host_finish(struct host *host);
struct time_us deadline(void);
struct stream_client *control(struct host *host);
json_t *ask(struct host *host, const char *request, int *ret_exit);
void invite(struct host *host, const char *request, char code[JOIN_CODE_MAX]);
