#include "io/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/clock.h"

#define SPAWN_VARIABLE "NTM_READY_FD"

/* What goes through the readiness pipe: one letter and its argument. */
enum { SPAWN_PID = 'P', SPAWN_READY = 'R', SPAWN_FAILED = 'F', SPAWN_NO_EXEC = 'E' };

extern char **environ;

/* Our environment or the one given, plus the variable with the descriptor. */
static char **spawn_environment(char *const *envp, char *variable)
{
	size_t count = 0, at = 0;
	char **ret;

	while (envp[count])
		count++;
	ret = mem_alloc(count + 2, sizeof(*ret));
	for (size_t i = 0; i < count; i++)
		if (strncmp(envp[i], SPAWN_VARIABLE "=", sizeof(SPAWN_VARIABLE)) != 0)
			ret[at++] = envp[i];
	ret[at] = variable;
	return ret;
}

static void spawn_tell(int fd, char kind, const void *bytes, size_t size)
{
	char message[1 + SPAWN_MESSAGE_MAX];
	ssize_t written;

	if (size > SPAWN_MESSAGE_MAX)
		size = SPAWN_MESSAGE_MAX;
	message[0] = kind;
	memcpy(message + 1, bytes, size);
	written = write(fd, message, 1 + size); /* below PIPE_BUF: at once or not at all */
	(void)written;				/* who started us may have given up */
}

/* In the grandchild: never returns. */
static void spawn_become(const struct spawn_params *params, char *const *environment, int ready_fd, int null_fd,
			 int log_fd)
{
	int32_t number = (int32_t)getpid();
	sigset_t none;

	spawn_tell(ready_fd, SPAWN_PID, &number, sizeof(number));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(null_fd, STDIN_FILENO) >= 0 && dup2(log_fd, STDOUT_FILENO) >= 0 && dup2(log_fd, STDERR_FILENO) >= 0 &&
	    fcntl(ready_fd, F_SETFD, 0) == 0 && chdir("/") == 0)
		execvpe(params->path, params->argv, environment);
	number = errno;
	spawn_tell(ready_fd, SPAWN_NO_EXEC, &number, sizeof(number));
	_exit(127);
}

/* The first fork: a child that leaves our session and is gone at once, so that the daemon is nobody's child. */
static enum err spawn_fork(const struct spawn_params *params, int ready_fd, int null_fd, int log_fd)
{
	char variable[40];
	char **environment;
	pid_t child;
	int status;

	snprintf(variable, sizeof(variable), SPAWN_VARIABLE "=%d", ready_fd);
	environment = spawn_environment(params->envp ? params->envp : environ, variable);
	child = fork();
	if (child == 0) {
		if (setsid() < 0)
			_exit(126);
		child = fork();
		if (child == 0)
			spawn_become(params, environment, ready_fd, null_fd, log_fd);
		_exit(child < 0 ? 126 : 0);
	}
	mem_free(environment);
	if (child < 0)
		return ERR_IO;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return OK;
}

/* One message, or ERR_EXPIRED, or ERR_TRUNCATED at the end of the pipe. */
static enum err spawn_listen(int fd, struct time_us deadline, char *ret_bytes, size_t capacity, size_t *ret_size)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		int64_t left_us = time_since(deadline, clock_now());
		struct timespec wait = {.tv_sec = left_us / USEC_PER_SEC, .tv_nsec = left_us % USEC_PER_SEC * 1000};
		ssize_t size;
		int ready;

		if (left_us < 0)
			return ERR_EXPIRED;
		ready = ppoll(&poll_fd, 1, deadline.us == TIME_NEVER.us ? NULL : &wait, NULL);
		if (ready < 0 && errno != EINTR)
			return ERR_IO;
		if (ready <= 0)
			continue;
		size = read(fd, ret_bytes, capacity);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return ERR_TRUNCATED;
		*ret_size = (size_t)size;
		return OK;
	}
}

/* Follows the daemon's start until it is up or not. */
static enum err spawn_follow(int fd, struct time_us deadline, pid_t *ret_pid, char message[SPAWN_MESSAGE_MAX])
{
	char bytes[1 + SPAWN_MESSAGE_MAX];
	size_t size = 0, at = 0;
	int32_t number;

	for (;;) {
		enum err err;

		if (at == size) {
			at = size = 0;
			err = spawn_listen(fd, deadline, bytes, sizeof(bytes), &size);
			if (err != OK)
				return err == ERR_TRUNCATED ? ERR_STATE : err;
		}
		switch (bytes[at]) {
		case SPAWN_PID:
		case SPAWN_NO_EXEC:
			if (size - at < 1 + sizeof(number))
				return ERR_STATE;
			memcpy(&number, bytes + at + 1, sizeof(number));
			if (bytes[at] == SPAWN_NO_EXEC) {
				errno = number;
				return ERR_IO;
			}
			*ret_pid = number;
			at += 1 + sizeof(number);
			break;
		case SPAWN_READY: return OK;
		default: /* SPAWN_FAILED: the rest is text */
			snprintf(message, SPAWN_MESSAGE_MAX, "%.*s", (int)(size - at - 1), bytes + at + 1);
			return ERR_STATE;
		}
	}
}

/* The pipe tells of readiness and of death alike: its end is the daemon's end. */
enum err spawn_daemon(const struct spawn_params *params, pid_t *ret_pid, char message[SPAWN_MESSAGE_MAX])
{
	int null_fd, log_fd = -1, ends[2] = {-1, -1}, saved;
	enum err err = ERR_IO;

	message[0] = 0;
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || pipe2(ends, O_CLOEXEC) != 0)
		goto out;
	log_fd = params->log_path ? open(params->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)
				  : fcntl(null_fd, F_DUPFD_CLOEXEC, 3);
	if (log_fd < 0)
		goto out;
	err = spawn_fork(params, ends[1], null_fd, log_fd);
	close(ends[1]); /* so that the daemon's end is the pipe's end */
	ends[1] = -1;
	if (err == OK)
		err = spawn_follow(ends[0], params->deadline, ret_pid, message);
out:
	saved = errno;
	if (null_fd >= 0)
		close(null_fd);
	if (log_fd >= 0)
		close(log_fd);
	if (ends[0] >= 0)
		close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	errno = saved;
	return err;
}

/* The descriptor that the starter gave us, once; -1 when there is none. */
static int spawn_take_descriptor(void)
{
	const char *text = getenv(SPAWN_VARIABLE);
	char *end;
	long fd;

	if (!text || !*text)
		return -1;
	fd = strtol(text, &end, 10);
	unsetenv(SPAWN_VARIABLE);
	return *end || fd < 3 || fd > INT32_MAX ? -1 : (int)fd;
}

/* The one moment at which `ntm up` may return 0. */
void spawn_ready(void)
{
	int fd = spawn_take_descriptor();

	if (fd < 0)
		return;
	spawn_tell(fd, SPAWN_READY, "", 0);
	close(fd);
}

/* In the daemon's own words, instead of "see the log". */
void spawn_failed(const char *message)
{
	int fd = spawn_take_descriptor();

	if (fd < 0)
		return;
	spawn_tell(fd, SPAWN_FAILED, message, strlen(message));
	close(fd);
}
