/*
 * login_task.h: a question to the account server while a program does its work: TLS takes its time, packets do not wait
 * for it. One at a time, in a thread of its own; the answer is told in the loop's thread.
 */
#pragma once

#include <pthread.h>

#include "cmd/login_client.h"
#include "io/loop.h"

struct login_task {
	struct source source; /* eventfd: the answer is there; first */
	struct loop *loop;
	void *ctx;
	void (*answered)(void *ctx, struct login_task *task);
	pthread_t thread;
	bool is_running, is_renewal;
	/* The question: written by the caller while none runs. */
	struct login_params params;
	uint8_t authority[KEY_SIZE];
	struct server_addresses addresses;
	/* The answer, until the next start. */
	struct login_result result;
	enum err err;
	uint8_t reason;
	char error[LOGIN_ERROR_MAX];
};

/* The caller's; NULL with errno when the kernel has no descriptor for it. */
struct login_task *login_task_create(struct loop *loop, void *ctx,
				     void (*answered)(void *ctx, struct login_task *task));
/* A renewal of the certificate, else only the network document. False with errno: no thread to ask with. */
must_use bool login_task_start(struct login_task *task, bool is_renewal);
/* A question under way ends with its own deadlines, a few seconds at most; nobody waits for it. */
void login_task_close(struct login_task *task);
