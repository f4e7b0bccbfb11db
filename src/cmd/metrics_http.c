#include "cmd/metrics_http.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/listener.h"

struct metrics_server {
	int fd;
	struct listener *listener;
	void *ctx;
	size_t (*write)(void *ctx, char *text, size_t capacity);
	char page[METRICS_PAGE_MAX + 256];
};

/* HTTP/1.0: one answer, then the connection ends. What was asked for does not matter, as long as it is a GET. */
static ptrdiff_t answer(void *ctx, uint64_t token, const struct addr *remote, const uint8_t *bytes, size_t size)
{
	static const char head[] =
		"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\r\n";
	static const char refused[] = "HTTP/1.0 405 Method Not Allowed\r\nAllow: GET\r\nConnection: close\r\n\r\n";
	struct metrics_server *server = ctx;
	size_t used = sizeof head - 1;

	(void)remote;
	if (!bytes || size < 4 || !memmem(bytes, size, "\r\n\r\n", 4))
		return size > 8192 ? -1 : 0;
	if (memcmp(bytes, "GET ", 4) != 0)
		return listener_send(server->listener, token, refused, sizeof refused - 1, true) == OK ? (ptrdiff_t)size
												       : -1;
	memcpy(server->page, head, used);
	used += server->write(server->ctx, server->page + used, METRICS_PAGE_MAX);
	return listener_send(server->listener, token, server->page, used, true) == OK ? (ptrdiff_t)size : -1;
}

/* The page is made when it is asked for. */
enum err metrics_server_open(const struct addr *local, struct loop *loop, void *ctx,
			     size_t (*write)(void *ctx, char *text, size_t capacity), struct metrics_server **ret)
{
	struct metrics_server *server = mem_alloc(1, sizeof *server);
	struct listener_params params = {
		.connections_max = 8, .output_max = sizeof server->page, .ctx = server, .input = answer};
	enum err err = listener_socket(local, &server->fd);

	if (err != OK) {
		mem_free(server);
		return err;
	}
	server->ctx = ctx;
	server->write = write;
	params.fd = server->fd;
	server->listener = listener_create(&params, loop);
	if (!server->listener) {
		close(server->fd);
		mem_free(server);
		return ERR_IO;
	}
	*ret = server;
	return OK;
}

/* Open connections are cut. */
void metrics_server_close(struct metrics_server *server)
{
	if (!server)
		return;
	listener_destroy(server->listener);
	close(server->fd);
	mem_free(server);
}

/* TIME_NEVER while nobody is connected. */
struct time_us metrics_server_run(struct metrics_server *server, struct time_us now)
{
	if (!server)
		return TIME_NEVER;
	listener_expire(server->listener, now);
	return listener_deadline(server->listener);
}
