/*
 * metrics_http.h: answers GET /metrics on one TCP address with a page of Prometheus text. No TLS: bind it to loopback.
 * What a web page made a browser send carries Origin and is turned away (T23).
 */
#pragma once

#include <stddef.h>

#include "base/addr.h"
#include "base/time.h"

enum { METRICS_PAGE_MAX = 65536 };

struct loop;
struct metrics_server;

/* Binds. write fills the page and returns its size. ERR_EXISTS, ERR_DENIED, ERR_IO as listener_socket. */
must_use enum err metrics_server_open(const struct addr *local, void *ctx,
				      size_t (*write)(void *ctx, char *text, size_t capacity),
				      struct metrics_server **ret);
/* Answers from now on. ERR_IO with errno. */
must_use enum err metrics_server_serve(struct metrics_server *server, struct loop *loop);
void metrics_server_close(struct metrics_server *server); /* accepts NULL */
/* Ends idle connections; returns when to call again. Accepts NULL. */
struct time_us metrics_server_run(struct metrics_server *server, struct time_us now);
