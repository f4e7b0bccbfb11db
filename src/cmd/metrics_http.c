#include "cmd/metrics_http.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/listener.h"

enum { REQUEST_MAX = 4096, HEAD_MAX = 256 };

struct metrics_server {
	int fd;
	struct listener *listener;
	void *ctx;
	size_t (*write)(void *ctx, char *text, size_t capacity);
	char page[METRICS_PAGE_MAX];
};

static enum err respond(struct metrics_server *server, uint64_t token, bool is_found)
{
	static const char elsewhere[] = "metrics are at /metrics\n";
	const char *body = is_found ? server->page : elsewhere;
	size_t size = is_found ? server->write(server->ctx, server->page, sizeof server->page) : sizeof elsewhere - 1;
	char head[HEAD_MAX];
	int head_size = snprintf(head, sizeof head,
				 "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\n"
				 "Connection: close\r\n\r\n",
				 is_found ? "200 OK" : "404 Not Found", size);
	enum err err = listener_send(server->listener, token, head, (size_t)head_size, false);

	return err == OK ? listener_send(server->listener, token, body, size, true) : err;
}

/* HTTP/1.0, one GET, then the connection ends. */
static ptrdiff_t input(void *ctx, uint64_t token, const struct addr *remote, const uint8_t *bytes, size_t size)
{
	char request[REQUEST_MAX + 1];
	bool is_found;

	(void)remote;
	if (size > REQUEST_MAX)
		return -1;
	memcpy(request, bytes, size);
	request[size] = '\0';
	if (strlen(request) != size)
		return -1;
	if (!strstr(request, "\r\n\r\n") && !strstr(request, "\n\n"))
		return 0;
	if (strncmp(request, "GET ", 4) != 0 || strcasestr(request, "\nOrigin:"))
		return -1;
	is_found = strncmp(request + 4, "/metrics ", 9) == 0 || strncmp(request + 4, "/metrics\r", 9) == 0 ||
		   strncmp(request + 4, "/metrics?", 9) == 0;
	return respond(ctx, token, is_found) == OK ? (ptrdiff_t)size : -1;
}

/* Before privileges are dropped. */
enum err metrics_server_open(const struct addr *local, void *ctx,
			     size_t (*write)(void *ctx, char *text, size_t capacity), struct metrics_server **ret)
{
	struct metrics_server *server = mem_alloc(1, sizeof *server);
	enum err err = listener_socket(local, &server->fd);

	if (err != OK) {
		mem_free(server);
		return err;
	}
	server->ctx = ctx;
	server->write = write;
	*ret = server;
	return OK;
}

/* The page is made when it is asked for. */
enum err metrics_server_serve(struct metrics_server *server, struct loop *loop)
{
	struct listener_params params = {
		.fd = server->fd,
		.connections_max = 8,
		.input_max = REQUEST_MAX + 1,
		.output_max = METRICS_PAGE_MAX + HEAD_MAX,
		.ctx = server,
		.input = input,
	};

	server->listener = listener_create(&params, loop);
	return server->listener ? OK : ERR_IO;
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
	if (!server || !server->listener)
		return TIME_NEVER;
	listener_expire(server->listener, now);
	return listener_deadline(server->listener);
}
