#include "io/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One datagram; the manager never answers. */
enum err notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t size;
	ssize_t sent;
	int fd;

	if (!path || !*path)
		return OK;
	size = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || size >= sizeof(name.sun_path)) {
		errno = EINVAL;
		return ERR_IO;
	}
	memcpy(name.sun_path, path, size);
	if (path[0] == '@')
		name.sun_path[0] = 0; /* abstract: the length counts, there is no terminating zero */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_IO;
	sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&name,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '/')));
	close(fd);
	return sent >= 0 ? OK : ERR_IO;
}

/* After set-up is complete, not before: dependents start on it. */
void notify_ready(const char *status)
{
	char state[512];

	snprintf(state, sizeof(state), "READY=1\nSTATUS=%.480s", status);
	if (notify_send(state) != OK)
		return; /* nobody listens: the service still works */
}

/* So that the manager does not take the end for a crash. */
void notify_stopping(void)
{
	if (notify_send("STOPPING=1") != OK)
		return; /* as above */
}
