/* control_client.c: blocking client of a control socket, with deadlines. */
#include "cmd/control_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* CLOCK_MONOTONIC: a step of the wall clock must not end a wait. */
int64_t control_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Connecting to a unix socket either works at once or fails. */
enum err control_open(struct control *ret, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, saved;

	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return ERR_IO;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_IO;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return ERR_IO;
	}
	*ret = (struct control){.fd = fd};
	return OK;
}

/* Ends a running stream too: the daemon sees the hang-up. */
void control_close(struct control *control)
{
	if (control->fd >= 0)
		close(control->fd);
	free(control->buffer);
	*control = (struct control){.fd = -1};
}

/* MSG_NOSIGNAL: a daemon that is just leaving is an error to report, not a reason to die. */
enum err control_send(struct control *control, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t size = text ? strlen(text) : 0;
	enum err err = text ? OK : ERR_IO;

	json_decref(request);
	if (text)
		text[size++] = '\n'; /* over the terminating zero */
	for (size_t at = 0; err == OK && at < size;) {
		ssize_t sent = send(control->fd, text + at, size - at, MSG_NOSIGNAL);

		if (sent >= 0)
			at += (size_t)sent;
		else if (errno != EINTR)
			err = ERR_IO;
	}
	free(text);
	return err;
}

static enum err wait_readable(const struct control *control, int64_t deadline_ms)
{
	struct pollfd wait = {.fd = control->fd, .events = POLLIN};
	int64_t left = deadline_ms < 0 ? -1 : deadline_ms - control_now_ms();
	int ready;

	if (deadline_ms >= 0 && left < 0)
		left = 0;
	ready = poll(&wait, 1, left > 3600 * 1000 ? 3600 * 1000 : (int)left);
	if (ready > 0)
		return OK;
	if (ready < 0)
		return errno == EINTR ? ERR_STATE : ERR_IO;
	return control_now_ms() >= deadline_ms ? ERR_EXPIRED : OK;
}

/* One byte of room stays for the zero that ends a line. */
static enum err receive(struct control *control)
{
	ssize_t got;

	if (control->size + 1 >= control->room) {
		size_t room = control->room ? control->room * 2 : 4096;
		char *buffer = room <= CONTROL_LINE_MAX ? realloc(control->buffer, room) : NULL;

		if (!buffer)
			return ERR_MALFORMED;
		control->buffer = buffer;
		control->room = room;
	}
	got = recv(control->fd, control->buffer + control->size, control->room - control->size - 1, MSG_DONTWAIT);
	if (got == 0)
		return ERR_TRUNCATED;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? OK : errno == ECONNRESET ? ERR_TRUNCATED : ERR_IO;
	control->size += (size_t)got;
	return OK;
}

/* Lines are handed out of the buffer in place; what was handed out is dropped at the next call. */
enum err control_next(struct control *control, int64_t deadline_ms, json_t **ret, const char **ret_text)
{
	size_t searched = 0;
	char *end = NULL;
	json_t *line;

	control->size -= control->consumed;
	if (control->consumed && control->size)
		memmove(control->buffer, control->buffer + control->consumed, control->size);
	control->consumed = 0;
	for (;;) {
		enum err err;

		if (control->size > searched)
			end = memchr(control->buffer + searched, '\n', control->size - searched);
		if (end)
			break;
		searched = control->size;
		err = wait_readable(control, deadline_ms);
		if (err == OK)
			err = receive(control);
		if (err != OK)
			return err;
	}
	*end = 0;
	control->consumed = (size_t)(end - control->buffer) + 1;
	line = json_loads(control->buffer, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(line)) {
		json_decref(line);
		return ERR_MALFORMED;
	}
	*ret = line;
	if (ret_text)
		*ret_text = control->buffer;
	return OK;
}
