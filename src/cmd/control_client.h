/*
 * control_client.h: a program's side of the control socket: one JSON object a line.
 *
 * Request:  {"verb": "ping", ...arguments}
 * Response: documents and events, each with "schema" or "event", then {"end": true, "exit": N, "error": "one line or
 * empty"}.
 *
 * Node:   status · ping {name, count, interval_us, direct} · why {name} · watch · handover {to} · down · join {code,
 * name} · bugreport Server: status · network · invite {name, uses, expires_s, role} -> ntm.invite/1 {code, name, uses,
 * expires, role} · nodes -> ntm.nodes/1 {nodes: [{name, fqdn, id, v4, v6, state, last_seen}]} · revoke {name} ->
 * ntm.revoke/1 {name} · down
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { CONTROL_LINE_MAX = 8 * 1024 * 1024 }; /* a status document of 256 peers is a tenth of it */

struct control {
	int fd;
	char *buffer;
	size_t size, room, consumed;
};

/* Milliseconds of a monotonic clock. */
int64_t control_now_ms(void);

/* ERR_IO with errno from connect(2) when nobody answers there. */
must_use enum err control_open(struct control *ret, const char *path);
void control_close(struct control *control);

/* Takes over request. ERR_IO. */
must_use enum err control_send(struct control *control, json_t *request);

/*
 * The next line; *ret is the caller's. text, when not NULL, gets the line as it came, valid until the next call.
 * ERR_EXPIRED: deadline_ms (of control_now_ms; negative: none) passed. ERR_STATE: a signal came first. ERR_TRUNCATED:
 * the other side closed. ERR_MALFORMED: what came is not our protocol.
 */
must_use enum err control_next(struct control *control, int64_t deadline_ms, json_t **ret, const char **ret_text);
