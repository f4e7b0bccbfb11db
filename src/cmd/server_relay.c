#include <stdio.h>

#include "cmd/server_state.h"
#include "io/log.h"

/* Room that is taken only as pairs come: 448 bytes each. */
enum { SERVER_RELAY_PAIRS = 262144 };

static void relay_happened(void *ctx, const struct relay_event *event)
{
	static const char *const texts[] = {"leg bound", "leg moved", "leg idle", "pair gone"};
	char remote[ADDR_TEXT_MAX];
	struct log_field fields[] = {
		log_text(LOG_REMOTE, addr_format(&event->remote, remote)),
		log_number("leg", event->leg),
		log_number("packets", (int64_t)event->packets),
		log_number("bytes", (int64_t)event->bytes),
	};

	(void)ctx;
	if (event->type <= RELAY_EVENT_PAIR_EXPIRED)
		log_event(LOG_SEVERITY_DEBUG, "relay", texts[event->type], fields, 4);
}

/* Contract in server_state.h. */
void server_relay_open_xdp(struct server *server)
{
	static const enum xdp_mode modes[] = {[XDP_WISH_AUTO] = XDP_MODE_AUTO,
					      [XDP_WISH_NATIVE] = XDP_MODE_NATIVE,
					      [XDP_WISH_GENERIC] = XDP_MODE_GENERIC,
					      [XDP_WISH_OFF] = XDP_MODE_OFF};
	const struct settings *settings = server->settings;
	struct xdp_params params = {.mode = modes[settings->xdp], .port = server->port, .local = settings->listen.ip};
	char text[XDP_TEXT_MAX];
	bool is_told;

	if (!(server->roles & SERVER_RELAY))
		return;
	random_kernel(NULL, &params.secret, sizeof(params.secret));
	is_told = params.mode == XDP_MODE_NATIVE || params.mode == XDP_MODE_GENERIC;
	if (xdp_open(&params, &server->xdp, text) == OK)
		(void)snprintf(server->forwarding, sizeof(server->forwarding), "xdp %s",
			       xdp_describe(server->xdp, text));
	else
		(void)snprintf(server->forwarding, sizeof(server->forwarding), "user space: %s", text);
	log_print(is_told && !server->xdp ? LOG_SEVERITY_WARNING : LOG_SEVERITY_INFO, "relay", "forwarding: %s",
		  server->forwarding);
}

static struct relay_copy *install(void *ctx, const struct relay_flow *flow, struct time_us now, struct time_us until)
{
	return xdp_install(ctx, flow, now, until);
}

static bool renew(void *ctx, struct relay_copy *copy, struct time_us until)
{
	return xdp_renew(ctx, copy, until);
}

static void take_back(void *ctx, struct relay_copy *copy, struct time_us now)
{
	xdp_remove(ctx, copy, now);
}

/* Nothing of a relay is durable but its key: tickets bring everything else. */
enum err server_relay_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	struct relay_env env = {.random = {NULL, random_kernel}, .ctx = server, .event = relay_happened};
	struct relay_config config = {.static_keys = server->member_keys[1].dh,
				      .wall_s = clock_wall_s(),
				      .pairs_max = SERVER_RELAY_PAIRS,
				      .memory_bytes = server->settings->relay_memory};

	if (server->xdp)
		env.express = (struct relay_express){server->xdp, install, renew, take_back};
	server->relay = relay_create(&config, &env, loop_now(server->loop));
	return server->relay ? OK : server_fail(error, ERR_FULL, "cannot start the relay");
}

/* Not before the port is open and the network is known. */
void server_relay_announce(struct server *server)
{
	if (!server->relay || !server->udp || !server->network_size)
		return;
	relay_announce(server->relay, loop_now(server->loop), &server->network);
	server_send_relay(server);
}

/* Pairs end with the process; nodes bind again by ticket. */
void server_relay_close(struct server *server)
{
	relay_destroy(server->relay);
	xdp_close(server->xdp);
	server->relay = NULL;
	server->xdp = NULL;
}
