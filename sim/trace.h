/*
 * trace.h: what happened in a run: a hash over every event (same seed, same hash), and the last of them for people,
 * as a Mermaid diagram.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/time.h"

enum { TRACE_LINES = 16384, TRACE_NAME = 16, TRACE_NOTE = 96 };

struct trace_line {
	struct time_us at;
	char from[TRACE_NAME], to[TRACE_NAME]; /* to is empty: a note about from */
	char note[TRACE_NOTE];
	bool arrived;
};

struct trace {
	uint64_t hash, events;
	uint32_t at;
	struct trace_line lines[TRACE_LINES]; /* ring */
};

void trace_init(struct trace *trace);
/* Takes part in the hash: what, to or by whom, and content. */
void trace_count(struct trace *trace, struct time_us now, const char *what, const void *bytes, size_t size);
/* Only for the diagram. */
void trace_arrow(struct trace *trace, struct time_us now, const char *from, const char *to, bool arrived,
		 const char *note);
void trace_note(struct trace *trace, struct time_us now, const char *about, const char *note);
void trace_draw(const struct trace *trace, FILE *out);
