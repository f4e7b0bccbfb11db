#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/stream_path.h"

enum { STREAM_OUTPUT_DEFAULT = 4 << 20, STREAM_OUTPUT_FIRST = 4096 };

/*
 * A slot is free when token is 0; its buffers stay until the next user, so a callback may drop the client whose line
 * it reads.
 */
struct stream_slot {
	struct source source; /* first */
	struct stream_server *server;
	struct stream_peer peer;
	bool is_closing;     /* once the queue is empty */
	bool waits_for_room; /* EPOLLOUT is on */
	size_t input_size;
	char *input; /* STREAM_LINE_MAX + 1 */
	char *output;
	size_t output_at, output_end, output_room;
};

struct stream_server {
	struct source source; /* first: the listening socket */
	struct stream_params params;
	struct loop *loop;
	int lock_fd;
	uint64_t token_last;
	struct stream_counters counters;
	char *path;
	struct stream_slot slots[STREAM_CLIENTS_MAX];
};

static void stream_forget(struct stream_slot *slot)
{
	loop_remove(slot->server->loop, &slot->source);
	close(slot->source.fd);
	slot->source.fd = -1;
	slot->peer.token = 0;
}

/* Ends a connection at once and says so. */
static void stream_drop(struct stream_slot *slot)
{
	struct stream_peer peer = slot->peer;

	stream_forget(slot);
	if (slot->server->params.closed)
		slot->server->params.closed(slot->server->params.ctx, &peer);
}

static struct stream_slot *stream_find(struct stream_server *server, uint64_t token)
{
	for (size_t i = 0; token != 0 && i < STREAM_CLIENTS_MAX; i++)
		if (server->slots[i].peer.token == token)
			return &server->slots[i];
	return NULL;
}

/* Adjusts what the loop watches: no input once it closes, room only while something waits for it. */
static void stream_watch(struct stream_slot *slot)
{
	bool waits = slot->output_at < slot->output_end;
	uint32_t events = (slot->is_closing ? 0 : EPOLLIN) | (waits ? EPOLLOUT : 0);

	slot->waits_for_room = waits;
	if (loop_modify(slot->server->loop, &slot->source, events) != OK)
		stream_drop(slot);
}

/* Writes what the socket takes. False when the client is gone. */
static bool stream_flush(struct stream_slot *slot)
{
	while (slot->output_at < slot->output_end) {
		ssize_t n = send(slot->source.fd, slot->output + slot->output_at, slot->output_end - slot->output_at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			stream_drop(slot);
			return false;
		}
		slot->output_at += (size_t)n;
	}
	if (slot->output_at == slot->output_end) {
		slot->output_at = slot->output_end = 0;
		if (slot->is_closing) {
			stream_drop(slot);
			return false;
		}
	}
	if (slot->waits_for_room != (slot->output_end > 0))
		stream_watch(slot);
	return slot->peer.token != 0;
}

/* Hands out the whole lines of the input, keeps the rest. */
static void stream_take_lines(struct stream_slot *slot)
{
	const struct stream_params *params = &slot->server->params;
	uint64_t token = slot->peer.token;
	size_t at = 0;

	while (slot->peer.token == token && !slot->is_closing) {
		char *line = slot->input + at, *end = memchr(line, '\n', slot->input_size - at);
		struct stream_peer peer = slot->peer;

		if (!end)
			break;
		*end = 0;
		at = (size_t)(end + 1 - slot->input);
		params->line(params->ctx, &peer, line, (size_t)(end - line));
	}
	if (slot->peer.token != token)
		return;
	memmove(slot->input, slot->input + at, slot->input_size - at);
	slot->input_size -= at;
	if (slot->input_size == STREAM_LINE_MAX && !slot->is_closing) {
		slot->server->counters.dropped_oversize++;
		stream_drop(slot);
	}
}

static void stream_slot_ready(struct source *source, uint32_t events)
{
	struct stream_slot *slot = (struct stream_slot *)source;
	ssize_t n;

	if ((events & EPOLLOUT) && !stream_flush(slot))
		return;
	if (slot->is_closing) {
		if (events & (EPOLLHUP | EPOLLERR))
			stream_drop(slot);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(slot->source.fd, slot->input + slot->input_size, STREAM_LINE_MAX - slot->input_size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		stream_drop(slot);
		return;
	}
	slot->input_size += (size_t)n;
	stream_take_lines(slot);
}

/* A free slot, if need be that of a client which was told to go but does not read its last words. */
static struct stream_slot *stream_free_slot(struct stream_server *server)
{
	for (size_t i = 0; i < STREAM_CLIENTS_MAX; i++)
		if (server->slots[i].peer.token == 0)
			return &server->slots[i];
	for (size_t i = 0; i < STREAM_CLIENTS_MAX; i++)
		if (server->slots[i].is_closing) {
			stream_drop(&server->slots[i]);
			return &server->slots[i];
		}
	return NULL;
}

static void stream_accept(struct source *source, uint32_t events)
{
	struct stream_server *server = (struct stream_server *)source;
	struct stream_slot *slot;
	struct ucred credentials = {0};
	socklen_t size = sizeof(credentials);
	int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	slot = stream_free_slot(server);
	if (!slot || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
		server->counters.rejected_full++;
		close(fd);
		return;
	}
	slot->source = (struct source){.fd = fd, .ready = stream_slot_ready};
	slot->server = server;
	slot->is_closing = slot->waits_for_room = false;
	slot->input_size = slot->output_at = slot->output_end = 0;
	if (!slot->input)
		slot->input = mem_alloc(1, STREAM_LINE_MAX + 1);
	if (loop_add(server->loop, &slot->source, EPOLLIN) != OK) {
		close(fd);
		return;
	}
	slot->peer = (struct stream_peer){++server->token_last, credentials.pid, credentials.uid, credentials.gid};
	server->counters.accepted++;
}

/* Makes room for size more bytes, up to the limit. */
static bool stream_reserve(struct stream_slot *slot, size_t size)
{
	size_t used = slot->output_end - slot->output_at,
	       room = slot->output_room ? slot->output_room : STREAM_OUTPUT_FIRST;
	char *bigger;

	if (used + size > slot->server->params.output_max)
		return false;
	if (slot->output && slot->output_end + size <= slot->output_room)
		return true;
	while (room < used + size)
		room *= 2;
	if (slot->output && room == slot->output_room) {
		memmove(slot->output, slot->output + slot->output_at, used);
	} else {
		bigger = mem_alloc(1, room);
		if (used > 0)
			memcpy(bigger, slot->output + slot->output_at, used);
		mem_free(slot->output);
		slot->output = bigger;
		slot->output_room = room;
	}
	slot->output_at = 0;
	slot->output_end = used;
	return true;
}

/* Writes at once what the socket takes, queues the rest. */
enum err stream_send(struct stream_server *server, uint64_t token, const char *line, size_t size)
{
	struct stream_slot *slot = stream_find(server, token);

	if (!slot || slot->is_closing)
		return ERR_UNKNOWN;
	if (!stream_reserve(slot, size + 1)) {
		server->counters.dropped_slow++;
		stream_drop(slot);
		return ERR_FULL;
	}
	memcpy(slot->output + slot->output_end, line, size);
	slot->output_end += size;
	slot->output[slot->output_end++] = '\n';
	if (slot->waits_for_room)
		return OK;
	return stream_flush(slot) ? OK : ERR_UNKNOWN;
}

/* What is queued still goes out. */
void stream_close(struct stream_server *server, uint64_t token)
{
	struct stream_slot *slot = stream_find(server, token);

	if (!slot || slot->is_closing)
		return;
	slot->is_closing = true;
	if (slot->output_end == 0)
		stream_drop(slot);
	else
		stream_watch(slot);
}

/* A copy, as everywhere. */
void stream_get_counters(const struct stream_server *server, struct stream_counters *ret)
{
	*ret = server->counters;
}

/* Ready for clients when it returns. */
enum err stream_serve(const struct stream_params *params, struct loop *loop, struct stream_server **ret,
		      char error[STREAM_ERROR_MAX])
{
	struct stream_server *server;
	int fd, lock_fd;
	enum err err = stream_path_listen(params->path, params->group, &fd, &lock_fd, error);
	size_t path_size = strlen(params->path) + 1;

	if (err != OK)
		return err;
	server = mem_alloc(1, sizeof(*server));
	server->source = (struct source){.fd = fd, .ready = stream_accept};
	server->params = *params;
	if (server->params.output_max == 0)
		server->params.output_max = STREAM_OUTPUT_DEFAULT;
	server->path = mem_alloc(1, path_size);
	memcpy(server->path, params->path, path_size);
	server->params.path = server->path;
	server->params.group = NULL; /* not needed any more, and not ours to keep */
	server->loop = loop;
	server->lock_fd = lock_fd;
	if (loop_add(loop, &server->source, EPOLLIN) != OK) {
		snprintf(error, STREAM_ERROR_MAX, "control socket: the event loop refused it");
		stream_server_destroy(server);
		return ERR_IO;
	}
	*ret = server;
	return OK;
}

/* The lock goes last: until then nobody else touches the file. */
void stream_server_destroy(struct stream_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < STREAM_CLIENTS_MAX; i++) {
		if (server->slots[i].peer.token != 0)
			stream_forget(&server->slots[i]);
		mem_free(server->slots[i].input);
		mem_free(server->slots[i].output);
	}
	loop_remove(server->loop, &server->source);
	unlink(server->path); /* under the lock; fails when privileges were dropped, then the next start removes it */
	close(server->source.fd);
	close(server->lock_fd);
	mem_free(server->path);
	mem_free(server);
}
