/* node_metrics.h: the node's counters as Prometheus text. */
#pragma once

#include "cmd/node_host.h"

must_use enum err node_metrics_open(struct host *host, char error[HOST_ERROR_MAX]);
void node_metrics_close(struct host *host);
