#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/server_state.h"
#include "io/log.h"
#include "wire/punch.h"

enum { PORTS_TRIED = 32 };

static const char port_file[] = "port";

/* Where nodes learn whether their NAT maps each destination to another port. Nothing else depends on it. */
static void open_second(struct server *server)
{
	uint16_t port = punch_second_port(server->port);

	if ((server->roles & SERVER_COORDINATOR) && udp_add_port(server->udp, port, &port) != OK)
		log_print(LOG_SEVERITY_INFO, "second-port",
			  "UDP port %u: %s; nodes behind hard NATs may not learn what these do", port, strerror(errno));
}

/* Both or none. */
static enum err open_pair(struct server *server, uint16_t port)
{
	struct udp_params params = {.local = {.ip = server->settings->listen.ip, .port = port}};
	struct addr tcp = params.local;
	enum err err;
	int saved;

	params.no_segment = server->settings->without & WITHOUT_SEGMENT;
	params.short_trains = server->settings->without & WITHOUT_LONG_TRAINS;
	params.no_gro = server->settings->without & WITHOUT_GRO;
	err = udp_open(&params, &server->udp);
	if (err != OK)
		return err;
	server->port = udp_port(server->udp);
	tcp.port = server->port;
	if (server->roles & SERVER_ACCOUNT)
		err = listener_socket(&tcp, &server->tcp);
	if (err == OK) {
		open_second(server);
		return OK;
	}
	saved = errno;
	udp_close(server->udp);
	server->udp = NULL;
	errno = saved;
	return err;
}

/* The port that join codes of this network name already. */
static uint16_t remembered_port(const struct server *server)
{
	char text[16] = "", why[SERVER_ERROR_MAX];
	size_t size = 0;
	long port;

	if (server_file_read(server->settings->state, port_file, text, sizeof(text) - 1, &size, why) != OK)
		return 0;
	port = strtol(text, NULL, 10);
	return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static enum err remember_port(const struct server *server, char error[SERVER_ERROR_MAX])
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%u\n", server->port);

	return server_file_write(server->settings->state, port_file, text, (size_t)size, error);
}

/* A node of the same machine may have the default port: the server looks for another once, then keeps it, as join codes
 * name it. */
static enum err open_default(struct server *server, char error[SERVER_ERROR_MAX])
{
	uint16_t known = remembered_port(server), first = known ? known : server->settings->listen.port;
	enum err err = ERR_EXISTS;

	for (uint16_t i = 0; i < (known ? 1 : PORTS_TRIED) && err == ERR_EXISTS; i++)
		err = open_pair(server, (uint16_t)(first + i));
	if (err == OK)
		return known ? OK : remember_port(server, error);
	if (err == ERR_EXISTS)
		return server_fail(
			error, err,
			"--listen: port %u is taken, and join codes of this network name it; stop what uses it "
			"(ss -lnup), or choose another with --listen",
			first);
	return server_fail(error, err, "--listen: port %u: %s", first, strerror(errno));
}

/* UDP for everything, TCP for logins. */
enum err server_port_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	const struct settings *settings = server->settings;
	char text[ADDR_TEXT_MAX];
	enum err err = ERR_EXISTS;
	int tries = settings->listen.port ? 1 : PORTS_TRIED; /* any free UDP port may be taken on TCP */

	if (settings->origin[OPTION_LISTEN].source == SOURCE_DEFAULT)
		return open_default(server, error);
	for (int i = 0; i < tries && err == ERR_EXISTS; i++)
		err = open_pair(server, settings->listen.port);
	if (err == OK)
		return OK;
	return server_fail(error, err == ERR_EXISTS ? ERR_USAGE : err, "--listen %s: %s",
			   addr_format(&settings->listen, text),
			   err == ERR_EXISTS ? "the port is taken; choose another" : strerror(errno));
}
