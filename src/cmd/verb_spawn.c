/* verb_spawn.c: finding and starting the daemons. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/verb.h"

enum { ARGUMENTS_MAX = OPTIONS_MAX + 16, LOG_MOST = 4 * 1024 * 1024 };

/* Beside the running binary first, so that a build tree or a second version never starts the installed daemon. */
void verb_spawn_find(enum program program, char path[4096])
{
	char self[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (size > 0) {
		self[size] = 0;
		slash = strrchr(self, '/');
		*slash = 0;
		if (snprintf(path, 4096, "%s/%s", self, program_name(program)) < 4096 && access(path, X_OK) == 0)
			return;
	}
	snprintf(path, 4096, "%s", program_name(program));
}

static char *format_option(const char *name, const char *value)
{
	char *text;

	if (asprintf(&text, "--%s=%s", name, value) < 0)
		abort();
	return text;
}

/*
 * Only what was typed: the environment is inherited, and the file is read by the daemon itself, with its own section.
 * Paths were made absolute. The join code never goes here: every user can read argv.
 */
char **verb_spawn_arguments(const struct settings *settings, enum program program, const char *const extra[])
{
	char **arguments = calloc(ARGUMENTS_MAX, sizeof *arguments), path[4096];
	size_t count = 0;

	if (!arguments)
		abort();
	verb_spawn_find(program, path);
	arguments[count++] = strdup(path);
	if (settings->config)
		arguments[count++] = format_option("config", settings->config);
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct option_row *row = &options_table[i];
		const char *value = settings->origin[i].text;

		if (!(row->programs & program) || row->secret || i == OPTION_CONFIG ||
		    settings->origin[i].source != SOURCE_COMMAND_LINE)
			continue;
		if (row->kind == KIND_PATH)
			value = *(char *const *)((const char *)settings + row->offset);
		arguments[count++] = format_option(row->name, value);
	}
	for (; extra && *extra && count + 1 < ARGUMENTS_MAX; extra++)
		arguments[count++] = strdup(*extra);
	return arguments;
}

/* Accepts NULL. */
void verb_spawn_arguments_free(char **arguments)
{
	for (char **at = arguments; at && *at; at++)
		free(*at);
	free(arguments);
}

/* Kept between starts, but never without bound. */
static int open_log(const char *log)
{
	struct stat stat;
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && fstat(fd, &stat) == 0 && stat.st_size > LOG_MOST && ftruncate(fd, 0) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* In the child; returns only on failure. The first two descriptors go to the log, standard input to nowhere. */
static void become(char *const arguments[], int log_fd, const char *join)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	setsid();
	if (null < 0 || dup2(null, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
		_exit(EXIT_FAILED);
	if ((join ? setenv("NTM_JOIN", join, 1) : unsetenv("NTM_JOIN")) != 0)
		_exit(EXIT_FAILED);
	execvp(arguments[0], arguments);
	dprintf(2, "%s: cannot start: %s\n", arguments[0], strerror(errno));
	_exit(EXIT_FAILED);
}

/* The caller stays its parent while it waits, and so learns its exit code; afterwards init adopts it. */
pid_t verb_spawn_daemon(char *const arguments[], const char *log, const char *join)
{
	int log_fd = open_log(log);
	pid_t pid;

	if (log_fd < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		become(arguments, log_fd, join);
	close(log_fd);
	return pid;
}

/* Daemons say why they leave in their last line. */
void verb_spawn_last_line(const char *log, char *text, size_t size)
{
	char tail[1024], *end, *start;
	int fd = open(log, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;
	struct stat stat;

	text[0] = 0;
	if (fd < 0)
		return;
	if (fstat(fd, &stat) == 0)
		got = pread(fd, tail, sizeof tail - 1,
			    stat.st_size > (off_t)sizeof tail - 1 ? stat.st_size - (off_t)sizeof tail + 1 : 0);
	close(fd);
	if (got <= 0)
		return;
	tail[got] = 0;
	for (end = tail + got; end > tail && end[-1] == '\n';)
		*--end = 0;
	start = strrchr(tail, '\n');
	snprintf(text, size, "%s", start ? start + 1 : tail);
}
