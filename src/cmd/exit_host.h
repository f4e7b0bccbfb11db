/* exit_host.h: what makes a node daemon an exit: the exit's machine between its node and its device, and the kernel's
 * side of it. */
#pragma once

#include "cmd/node_host.h"
#include "proto/exit/exit.h"

struct exit_host;

/* Before the node exists. */
must_use enum err exit_host_open(struct host *host, char error[HOST_ERROR_MAX]);
/* Addresses are known: from now on packets may leave. */
must_use enum err exit_host_set_up(struct host *host, char error[HOST_ERROR_MAX]);
/* From a node: to the device, or refused. */
void exit_host_inner(struct host *host, struct packet *packet);
/* From the device: false when nobody asked for it. */
bool exit_host_outer(struct host *host, struct packet *packet);
/* Hands refusals to the node; call when nothing more is to be pulled from it. False when there were none. */
bool exit_host_answer(struct host *host);
/* Forgets what is old. Returns when to call again. */
struct time_us exit_host_run(struct host *host, struct time_us now);
void exit_host_counters(const struct host *host, struct exit_counters *ret);
json_t *exit_host_usage(const struct host *host);
/* exit_report.c */
json_t *exit_report_document(const struct host *host); /* the caller owns it */
void exit_report_each(const struct host *host, void *ctx,
		      void (*each)(void *ctx, const char *key, const char *help, uint64_t value, bool is_total));
void exit_host_close(struct host *host); /* accepts a host that is no exit */
