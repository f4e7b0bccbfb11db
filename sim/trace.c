#include "trace.h"

#include <string.h>

/* In the manner of FNV-1a, but eight bytes at a time: it was a quarter of a run's time. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint64_t word;

	for (; size >= sizeof word; size -= sizeof word, p += sizeof word) {
		memcpy(&word, p, sizeof word);
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* The offset basis of FNV. */
void trace_init(struct trace *trace)
{
	*trace = (struct trace){.hash = UINT64_C(0xcbf29ce484222325)};
}

/* Time is hashed too: the same packets at other instants are another run. */
void trace_count(struct trace *trace, struct time_us now, const char *what, const void *bytes, size_t size)
{
	trace->hash = hash_bytes(trace->hash, &now.us, sizeof now.us);
	trace->hash = hash_bytes(trace->hash, what, strlen(what) + 1);
	trace->hash = hash_bytes(trace->hash, bytes, size);
	trace->events++;
}

/* The oldest line makes room. */
void trace_arrow(struct trace *trace, struct time_us now, const char *from, const char *to, bool arrived,
		 const char *note)
{
	struct trace_line *line = &trace->lines[trace->at++ % TRACE_LINES];

	*line = (struct trace_line){.at = now, .arrived = arrived};
	(void)snprintf(line->from, sizeof line->from, "%s", from);
	(void)snprintf(line->to, sizeof line->to, "%s", to);
	(void)snprintf(line->note, sizeof line->note, "%s", note);
}

/* A state change, a move, a fault. */
void trace_note(struct trace *trace, struct time_us now, const char *about, const char *note)
{
	trace_arrow(trace, now, about, "", true, note);
}

/* Can be pasted into any Mermaid viewer. */
void trace_draw(const struct trace *trace, FILE *out)
{
	uint32_t first = trace->at > TRACE_LINES ? trace->at - TRACE_LINES : 0;

	fprintf(out, "sequenceDiagram\n");
	for (uint32_t i = first; i < trace->at; i++) {
		const struct trace_line *line = &trace->lines[i % TRACE_LINES];
		double ms = (double)line->at.us / 1000;

		if (!line->to[0])
			fprintf(out, "    Note over %s: %.3f ms %s\n", line->from, ms, line->note);
		else
			fprintf(out, "    %s%s%s: %.3f ms %s\n", line->from, line->arrived ? "->>" : "-x", line->to, ms,
				line->note);
	}
}
