#include "io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: never returns. */
static void child_become(const char *path, char *const *argv, int end)
{
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(end, STDIN_FILENO) >= 0 && dup2(end, STDOUT_FILENO) >= 0 &&
	    close_range(STDERR_FILENO + 1, ~0U, 0) == 0)
		execvp(path, argv);
	_exit(127);
}

/* One socket for both directions: nothing to tell apart, and its end is seen on either side. */
enum err child_start(const char *path, char *const *argv, struct child *ret)
{
	int ends[2], saved;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return ERR_IO;
	pid = fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 ? fork() : -1;
	if (pid == 0)
		child_become(path, argv, ends[1]);
	saved = errno;
	close(ends[1]);
	errno = saved;
	if (pid > 0) {
		*ret = (struct child){.pid = pid, .fd = ends[0]};
		return OK;
	}
	close(ends[0]);
	errno = saved;
	return ERR_IO;
}

/* Never raises SIGPIPE, never waits. */
enum err child_tell(const struct child *child, const void *bytes, size_t size)
{
	ssize_t sent = send(child->fd, bytes, size, MSG_NOSIGNAL);

	return sent == (ssize_t)size ? OK : ERR_IO;
}

/* One that has ended already is not left as a zombie; one that still works becomes init's. */
void child_leave(struct child *child)
{
	if (child->pid == 0)
		return;
	close(child->fd);
	waitpid(child->pid, NULL, WNOHANG);
	*child = (struct child){0};
}
