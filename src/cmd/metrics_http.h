/* metrics_http.h: answers every HTTP request on one TCP address with a page of Prometheus text. No TLS, no paths: bind
 * it to loopback. */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "base/time.h"

enum { METRICS_PAGE_MAX = 65536 };

struct loop;
struct metrics_server;

/* write fills the page and returns its size. ERR_EXISTS, ERR_DENIED, ERR_IO as listener_socket. */
must_use enum err metrics_server_open(const struct addr *local, struct loop *loop, void *ctx,
				      size_t (*write)(void *ctx, char *text, size_t capacity),
				      struct metrics_server **ret);
void metrics_server_close(struct metrics_server *server); /* accepts NULL */
/* Ends idle connections; returns when to call again. */
struct time_us metrics_server_run(struct metrics_server *server, struct time_us now);
