#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/server_state.h"

enum { LENGTH_SIZE = 2, DNS_ANSWER_MAX = 16384 };

/* RFC 1035 4.2.2: two bytes of length, then the message. Several questions may follow each other. */
static ptrdiff_t input(void *ctx, uint64_t token, const struct addr *remote, const uint8_t *bytes, size_t size)
{
	struct server *server = ctx;
	uint8_t answer[LENGTH_SIZE + DNS_ANSWER_MAX];
	size_t question, length;

	(void)remote;
	if (size < LENGTH_SIZE)
		return 0;
	question = (size_t)bytes[0] << 8 | bytes[1];
	if (size < LENGTH_SIZE + question)
		return 0;
	length = coordinator_answer_dns(server->coordinator, loop_now(server->loop), bytes + LENGTH_SIZE, question,
					true, answer + LENGTH_SIZE, DNS_ANSWER_MAX);
	if (length == 0)
		return -1;
	answer[0] = (uint8_t)(length >> 8);
	answer[1] = (uint8_t)length;
	if (listener_send(server->dns_listener, token, answer, LENGTH_SIZE + length, false) != OK)
		return -1;
	return (ptrdiff_t)(LENGTH_SIZE + question);
}

/* Port 53 needs rights that are given up later. */
enum err server_dns_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	const struct addr *at = &server->settings->dns_listen;
	struct udp_params params = {.local = *at, .no_gro = true, .no_segment = true};
	char text[ADDR_TEXT_MAX];
	enum err err;

	if (at->port == 0 || !(server->roles & SERVER_COORDINATOR))
		return OK;
	err = udp_open(&params, &server->dns_udp);
	if (err == OK)
		err = listener_socket(at, &server->dns_tcp);
	if (err == OK)
		return OK;
	return server_fail(error, err, "--dns-listen %s: %s", addr_format(at, text),
			   err == ERR_EXISTS ? "another program serves DNS there; choose another address or port"
					     : strerror(errno));
}

/* UDP is in server_udp.c. */
enum err server_dns_serve(struct server *server, char error[SERVER_ERROR_MAX])
{
	struct listener_params params = {.fd = server->dns_tcp, .per_address_max = 8, .ctx = server, .input = input};

	if (server->dns_tcp < 0)
		return OK;
	server->dns_listener = listener_create(&params, server->loop);
	return server->dns_listener ? OK : server_fail(error, ERR_IO, "cannot serve DNS over TCP: %s", strerror(errno));
}

/* The UDP side goes with the other sockets. */
void server_dns_close(struct server *server)
{
	listener_destroy(server->dns_listener);
	server->dns_listener = NULL;
	if (server->dns_tcp >= 0)
		(void)close(server->dns_tcp);
	server->dns_tcp = -1;
}
