/* node_task.h: requests of clients that take a while: where they are kept, and how they are answered. */
#pragma once

#include "cmd/node_host.h"

/* One line to a client. Takes over document; NULL is nothing. */
void task_send(struct host *host, uint64_t client, json_t *document);
/* The last line: exit code and, where that is not 0, why. */
void task_send_end(struct host *host, uint64_t client, int code, const char *error);
/* NULL when too many wait already: the client has been told. */
struct host_task *task_new(struct host *host, uint64_t client, enum host_task_kind kind, struct time_us now);
/* The last line, and the task is over. */
void task_end(struct host *host, struct host_task *task, int code, const char *error);
void task_forget(struct host_task *task);

/* node_handover.c: `ntm handover`. */
void handover_start(struct host *host, uint64_t client, const json_t *request);
void handover_run(struct host *host, struct host_task *task, struct time_us now);
/* A tunnel has moved. */
void handover_event(struct host_task *task, const struct node_event *event);
