#include "io/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/clock.h"

enum { LOG_IDS_MAX = 128, LOG_ID_SIZE = 32 };

/* The token bucket of one message id. */
struct log_bucket {
	char id[LOG_ID_SIZE];
	int64_t credit_us; /* of LOG_BURST seconds' worth */
	struct time_us refilled;
	uint64_t suppressed; /* since the last line that came through */
};

static struct {
	pthread_mutex_t lock;
	enum log_severity severity_max;
	bool json, journal;
	int fd;
	struct log_bucket buckets[LOG_IDS_MAX]; /* the last one is shared by ids that found no place */
	size_t bucket_count;
	uint64_t suppressed;
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER, .severity_max = LOG_SEVERITY_INFO, .fd = STDERR_FILENO};

/* A line in the making; what does not fit is cut, never overrun. */
struct log_line {
	char text[LOG_LINE_MAX];
	size_t size;
};

/* Once at start, and again on SIGHUP. */
void log_setup(enum log_severity severity_max, bool json, int fd)
{
	pthread_mutex_lock(&logger.lock);
	logger.severity_max = severity_max;
	logger.json = json;
	logger.fd = fd;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
	pthread_mutex_unlock(&logger.lock);
}

/* Lets callers skip work for lines that nobody will see. */
bool log_enabled(enum log_severity severity)
{
	return severity <= logger.severity_max;
}

/* For metrics: a flood that is not logged must still be visible. */
uint64_t log_suppressed(void)
{
	uint64_t suppressed;

	pthread_mutex_lock(&logger.lock);
	suppressed = logger.suppressed;
	pthread_mutex_unlock(&logger.lock);
	return suppressed;
}

static struct log_bucket *log_find_bucket(const char *id)
{
	struct log_bucket *bucket;

	for (size_t i = 0; i < logger.bucket_count; i++)
		if (strncmp(logger.buckets[i].id, id, LOG_ID_SIZE - 1) == 0)
			return &logger.buckets[i];
	if (logger.bucket_count == LOG_IDS_MAX)
		return &logger.buckets[LOG_IDS_MAX - 1];
	bucket = &logger.buckets[logger.bucket_count++];
	snprintf(bucket->id, sizeof(bucket->id), "%s", id);
	bucket->credit_us = LOG_BURST * USEC_PER_SEC;
	bucket->refilled = clock_now();
	return bucket;
}

/* May a line of this id be written? *ret_suppressed: how many before it may not. */
static bool log_admit(const char *id, uint64_t *ret_suppressed)
{
	struct log_bucket *bucket = log_find_bucket(id);
	struct time_us now = clock_now();

	bucket->credit_us += time_since(now, bucket->refilled) * LOG_PER_S;
	bucket->refilled = now;
	if (bucket->credit_us > LOG_BURST * USEC_PER_SEC)
		bucket->credit_us = LOG_BURST * USEC_PER_SEC;
	if (bucket->credit_us < USEC_PER_SEC) {
		bucket->suppressed++;
		logger.suppressed++;
		return false;
	}
	bucket->credit_us -= USEC_PER_SEC;
	*ret_suppressed = bucket->suppressed;
	bucket->suppressed = 0;
	return true;
}

static void log_add(struct log_line *line, const char *text)
{
	size_t room = LOG_LINE_MAX - 8 - line->size, size = strlen(text); /* 8: for the end of the line */

	if (size > room)
		size = room;
	memcpy(line->text + line->size, text, size);
	line->size += size;
}

/*
 * With quotes, backslashes and control characters escaped as JSON does; bytes above 127 pass. Cuts only between
 * characters.
 */
static void log_add_escaped(struct log_line *line, const char *text)
{
	for (; *text && line->size < LOG_LINE_MAX - 32; text++) {
		unsigned char c = (unsigned char)*text;
		char one[8];

		if (c == '"' || c == '\\')
			snprintf(one, sizeof(one), "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			snprintf(one, sizeof(one), "\\u%04x", c);
		else
			snprintf(one, sizeof(one), "%c", c);
		log_add(line, one);
	}
}

/* In text mode, a value is quoted only when it must be. */
static bool log_is_plain(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == '"' || *text == '\\' || *text == '=' || *text == 0x7f)
			return false;
	return true;
}

static void log_add_value(struct log_line *line, const struct log_field *field)
{
	char number[24];

	if (!field->text) {
		snprintf(number, sizeof(number), "%lld", (long long)field->number);
		log_add(line, number);
	} else if (!logger.json && log_is_plain(field->text)) {
		log_add(line, field->text);
	} else {
		log_add(line, "\"");
		log_add_escaped(line, field->text);
		log_add(line, "\"");
	}
}

static void log_add_field(struct log_line *line, const struct log_field *field)
{
	if (line->size > LOG_LINE_MAX - 128)
		return; /* a field that is cut would be no JSON any more */
	log_add(line, logger.json ? ",\"" : " ");
	log_add(line, field->key);
	log_add(line, logger.json ? "\":" : "=");
	log_add_value(line, field);
}

static void log_add_time(struct log_line *line)
{
	struct timespec now;
	struct tm parts;
	char text[48];
	size_t size;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + size, sizeof(text) - size, ".%06ldZ", now.tv_nsec / 1000);
	log_add(line, text);
}

static void log_add_head(struct log_line *line, enum log_severity severity, const char *id, const char *message)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};

	if (logger.json) {
		log_add(line, "{\"at\":\"");
		log_add_time(line);
		log_add(line, "\",\"level\":\"");
		log_add(line, names[severity]);
		log_add(line, "\",\"id\":\"");
		log_add_escaped(line, id);
		log_add(line, "\",\"message\":\"");
		log_add_escaped(line, message);
		log_add(line, "\"");
		return;
	}
	if (logger.journal) { /* the journal has the time and takes the priority from this prefix */
		log_add(line, priorities[severity]);
	} else {
		log_add_time(line);
		log_add(line, " ");
		log_add(line, names[severity]);
		log_add(line, " ");
	}
	log_add(line, id);
	log_add(line, ": ");
	log_add_escaped(line, message);
}

/* One write(2) per line, so that lines of several threads never mix. */
void log_event(enum log_severity severity, const char *id, const char *message, const struct log_field *fields,
	       size_t count)
{
	struct log_line line = {.size = 0};
	uint64_t suppressed = 0;
	ssize_t written;

	if (!log_enabled(severity))
		return;
	pthread_mutex_lock(&logger.lock);
	if (log_admit(id, &suppressed)) {
		log_add_head(&line, severity, id, message);
		for (size_t i = 0; i < count && i < LOG_FIELDS_MAX; i++)
			log_add_field(&line, &fields[i]);
		if (suppressed > 0)
			log_add_field(&line, &(struct log_field){.key = "suppressed", .number = (int64_t)suppressed});
		log_add(&line, logger.json ? "}\n" : "\n");
		written = write(logger.fd, line.text, line.size);
		(void)written; /* there is nobody left to tell */
	}
	pthread_mutex_unlock(&logger.lock);
}

/* For lines without fields. */
void log_print(enum log_severity severity, const char *id, const char *format, ...)
{
	char message[LOG_LINE_MAX / 2];
	va_list arguments;

	if (!log_enabled(severity))
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	log_event(severity, id, message, NULL, 0);
}
