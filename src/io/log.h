/*
 * log.h: one line per event on stderr: text for people or JSON for programs. Under systemd stderr is the journal.
 * Each call has a stable id; a stranger can make an id come at most LOG_BURST times at once and then LOG_PER_S times
 * a second.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_BURST = 10, LOG_PER_S = 1, LOG_LINE_MAX = 1024, LOG_FIELDS_MAX = 12 };

/* In the order of cmd's log_level. */
enum log_severity { LOG_SEVERITY_ERROR, LOG_SEVERITY_WARNING, LOG_SEVERITY_INFO, LOG_SEVERITY_DEBUG };

/*
 * Fixed names, so that one query finds everything about one peer. `key` is one of these or of the caller's own
 * constants.
 */
#define LOG_PEER "peer"
#define LOG_PATH "path"
#define LOG_ADDRESS "address"
#define LOG_LOCAL "local"
#define LOG_REMOTE "remote"
#define LOG_INTERFACE "interface"
#define LOG_SERVER "server"
#define LOG_REASON "reason"
#define LOG_ERROR "error"
#define LOG_COUNT "count"
#define LOG_GAP "gap_us"
#define LOG_RTT "rtt_us"

struct log_field {
	const char *key;  /* a constant of letters, digits, underscore */
	const char *text; /* NULL: number is the value */
	int64_t number;
};

static inline struct log_field log_text(const char *key, const char *text)
{
	return (struct log_field){.key = key, .text = text ? text : ""};
}

static inline struct log_field log_number(const char *key, int64_t number)
{
	return (struct log_field){.key = key, .number = number};
}

/* Process-wide. Before the first call: info, text, file descriptor 2. */
void log_setup(enum log_severity severity_max, bool json, int fd);
bool log_enabled(enum log_severity severity);
/* The message is printf-formatted. id: stable, e.g. "udp-open". */
void log_print(enum log_severity severity, const char *id, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with fields: key=value pairs behind the message. Control characters and quotes in values are escaped. */
void log_event(enum log_severity severity, const char *id, const char *message, const struct log_field *fields,
	       size_t count);
/* Lines that the rate limit swallowed since the start; each id's next line tells its own number as suppressed=N. */
uint64_t log_suppressed(void);
