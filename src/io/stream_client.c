#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/clock.h"
#include "io/stream.h"

enum { STREAM_ANSWER_MAX = 8 << 20, STREAM_ANSWER_FIRST = 64 * 1024 };

struct stream_client {
	int fd;
	char *buffer;
	size_t room, size;
	size_t given; /* bytes of the line handed out last, newline included */
};

/* Blocking, but a unix socket connects at once or not at all. */
enum err stream_connect(const char *path, struct stream_client **ret)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stream_client *client;
	enum err err = ERR_IO;
	int fd;

	if (strlen(path) >= sizeof(name.sun_path)) {
		errno = ENAMETOOLONG;
		return ERR_IO;
	}
	memcpy(name.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_IO;
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) != 0) {
		int saved = errno;

		if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
			err = ERR_UNKNOWN;
		else if (errno == EACCES || errno == EPERM)
			err = ERR_DENIED;
		close(fd);
		errno = saved;
		return err;
	}
	client = mem_alloc(1, sizeof(*client));
	client->fd = fd;
	client->room = STREAM_ANSWER_FIRST;
	client->buffer = mem_alloc(1, client->room);
	*ret = client;
	return OK;
}

/* The server sees the end of the connection. */
void stream_client_close(struct stream_client *client)
{
	if (!client)
		return;
	close(client->fd);
	mem_free(client->buffer);
	mem_free(client);
}

/* OK when the socket is ready for events, ERR_EXPIRED, ERR_IO. */
static enum err stream_client_wait(const struct stream_client *client, short events, struct time_us deadline)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = client->fd, .events = events};
		int64_t left_us = time_since(deadline, clock_now());
		struct timespec wait = {.tv_sec = left_us / USEC_PER_SEC, .tv_nsec = left_us % USEC_PER_SEC * 1000};
		int ready;

		if (left_us < 0)
			wait = (struct timespec){0};
		ready = ppoll(&poll_fd, 1, deadline.us == TIME_NEVER.us ? NULL : &wait, NULL);
		if (ready > 0)
			return OK;
		if (ready < 0 && errno != EINTR)
			return ERR_IO;
		if (left_us < 0)
			return ERR_EXPIRED;
	}
}

/* Tries before it waits: a unix socket polls as writable only while it is three quarters empty. */
static enum err stream_client_send(struct stream_client *client, const char *bytes, size_t size,
				   struct time_us deadline)
{
	while (size > 0) {
		ssize_t n = send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			bytes += n;
			size -= (size_t)n;
		} else if (errno == EAGAIN) {
			enum err err = stream_client_wait(client, POLLOUT, deadline);

			if (err != OK)
				return err;
		} else if (errno != EINTR) {
			return errno == EPIPE || errno == ECONNRESET ? ERR_TRUNCATED : ERR_IO;
		}
	}
	return OK;
}

/* The newline is ours to add. */
enum err stream_client_write(struct stream_client *client, const char *line, size_t size, struct time_us deadline)
{
	enum err err = stream_client_send(client, line, size, deadline);

	return err == OK ? stream_client_send(client, "\n", 1, deadline) : err;
}

/* Twice the room, up to the limit. */
static bool stream_client_grow(struct stream_client *client)
{
	char *bigger;

	if (client->room >= STREAM_ANSWER_MAX)
		return false;
	bigger = mem_alloc(2, client->room);
	memcpy(bigger, client->buffer, client->size);
	mem_free(client->buffer);
	client->buffer = bigger;
	client->room *= 2;
	return true;
}

/* The buffer grows with the longest answer seen. */
enum err stream_client_read(struct stream_client *client, struct time_us deadline, char **ret, size_t *ret_size)
{
	size_t searched = 0;

	client->size -= client->given;
	memmove(client->buffer, client->buffer + client->given, client->size);
	client->given = 0;
	for (;;) {
		char *end = memchr(client->buffer + searched, '\n', client->size - searched);
		enum err err;
		ssize_t n;

		if (end) {
			*end = 0;
			*ret = client->buffer;
			*ret_size = (size_t)(end - client->buffer);
			client->given = *ret_size + 1;
			return OK;
		}
		searched = client->size;
		if (client->size == client->room && !stream_client_grow(client))
			return ERR_SIZE;
		err = stream_client_wait(client, POLLIN, deadline);
		if (err != OK)
			return err;
		n = recv(client->fd, client->buffer + client->size, client->room - client->size, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n == 0 || errno == ECONNRESET ? ERR_TRUNCATED : ERR_IO;
		client->size += (size_t)n;
	}
}
