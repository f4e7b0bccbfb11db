#include <errno.h>
#include <string.h>

#include "cmd/server_state.h"
#include "io/log.h"

enum { OUT_BATCH = 64, TURNS_PER_WAKE = 8 };

/* Where a datagram belongs. PathIDs of a relay's pairs and of a coordinator's sessions are both random 64 bits: the
 * relay is asked. */
static bool is_for_relay(const struct server *server, uint8_t type, uint64_t path_id)
{
	if (!server->relay || !server->coordinator)
		return server->relay != NULL;
	if (type >= PACKET_RELAY_BIND && type <= PACKET_RELAY_PROBE)
		return true;
	return packet_is_end_to_end(type) && relay_knows(server->relay, path_id);
}

static bool segment_is_for_relay(const struct server *server, const uint8_t *bytes, size_t size)
{
	struct reader r = reader_over(bytes, size);
	struct header header;

	if (header_decode(&r, &header) != OK)
		return server->relay && !server->coordinator; /* counted there as malformed */
	return is_for_relay(server, header.type, header.path_id);
}

/* Before the next receive: forwarded bytes are the receive buffers'. */
static void input_relay(struct server *server, const struct datagram *trains, size_t count)
{
	for (size_t at = 0; at < count;) {
		at += relay_input_datagrams(server->relay, loop_now(server->loop), trains + at, count - at);
		server_send_relay(server);
	}
}

static void input_run(struct server *server, const struct datagram *run, bool is_relay)
{
	struct time_us now = loop_now(server->loop);

	if (is_relay) {
		input_relay(server, run, 1);
	} else if (server->coordinator) {
		(void)coordinator_input_datagram(server->coordinator, now, run);
	} else {
		server->dropped_role++;
	}
}

/* A node talks to both roles from one socket, so that a train may hold packets for both: cut into runs. */
static void input_train(struct server *server, const struct datagram *train)
{
	size_t segment = train->segment_size ? train->segment_size : train->size;
	size_t start = 0, at = 0;
	bool is_relay = false;

	while (at < train->size) {
		size_t size = train->size - at < segment ? train->size - at : segment;
		bool is_next_relay = segment_is_for_relay(server, train->bytes + at, size);

		if (at > start && is_next_relay != is_relay) {
			struct datagram run = *train;

			run.bytes += start;
			run.size = at - start;
			input_run(server, &run, is_relay);
			start = at;
		}
		is_relay = is_next_relay;
		at += size;
	}
	if (at > start) {
		struct datagram run = *train;

		run.bytes += start;
		run.size = at - start;
		input_run(server, &run, is_relay);
	}
}

/* Nobody else is asked where there is only one role; and a train mostly goes to one pair. */
static bool is_all_for_relay(const struct server *server, const struct datagram *train)
{
	size_t segment = train->segment_size ? train->segment_size : train->size;

	if (!server->relay || !server->coordinator)
		return server->relay != NULL;
	for (size_t at = 0; at < train->size; at += segment) {
		const uint8_t *bytes = train->bytes + at;
		size_t size = train->size - at < segment ? train->size - at : segment;
		bool is_as_first = at > 0 && size >= HEADER_SIZE && bytes[0] == train->bytes[0] &&
				   memcmp(bytes + 8, train->bytes + 8, 8) == 0;

		if (!is_as_first && !segment_is_for_relay(server, bytes, size))
			return false;
	}
	return true;
}

/* What goes on is sent together as far as it came together. */
static void input_batch(struct server *server, const struct udp_batch *batch)
{
	size_t start = 0;

	for (size_t i = 0; i < batch->count; i++) {
		if (is_all_for_relay(server, &batch->datagrams[i]))
			continue;
		input_relay(server, batch->datagrams + start, i - start);
		input_train(server, &batch->datagrams[i]);
		start = i + 1;
	}
	input_relay(server, batch->datagrams + start, batch->count - start);
}

static void answer_dns(struct server *server, const struct datagram *train)
{
	size_t segment = train->segment_size ? train->segment_size : train->size;

	for (size_t at = 0; at < train->size; at += segment) {
		uint8_t answer[DATAGRAM_MAX];
		size_t size = train->size - at < segment ? train->size - at : segment;
		struct datagram out = {.route = train->route, .bytes = answer};
		struct udp_result result;

		if (!coordinator_admits_dns(server->coordinator, loop_now(server->loop), &train->route.remote.ip))
			continue;
		out.size = coordinator_answer_dns(server->coordinator, loop_now(server->loop), train->bytes + at, size,
						  false, answer, sizeof(answer));
		if (out.size)
			udp_send(server->dns_udp, &out, 1, &result);
	}
}

static void socket_ready(struct source *source, uint32_t events)
{
	struct server_socket *sock = (struct server_socket *)source;
	struct server *server = sock->server;

	(void)events;
	for (int turn = 0; turn < TURNS_PER_WAKE; turn++) {
		struct udp_batch batch;

		if (sock->family)
			udp_receive(sock->is_dns ? server->dns_udp : server->udp, sock->family, &batch);
		else
			udp_receive_more(server->udp, &batch);
		if (!sock->is_dns)
			input_batch(server, &batch);
		for (size_t i = 0; sock->is_dns && i < batch.count; i++)
			answer_dns(server, &batch.datagrams[i]);
		if (batch.is_last)
			return;
	}
}

/* The coordinator's answers, after what they promise is on disk. */
void server_send_coordinator(struct server *server)
{
	struct datagram out[OUT_BATCH];
	struct udp_result result;
	size_t count = 0;

	while (coordinator_next_datagram(server->coordinator, &out[count]))
		if (++count == OUT_BATCH) {
			udp_send(server->udp, out, count, &result);
			count = 0;
		}
	if (count)
		udp_send(server->udp, out, count, &result);
}

/* Before the next input. */
void server_send_relay(struct server *server)
{
	const struct datagram *out;
	struct udp_result result;
	size_t count;

	while ((count = relay_next_datagrams(server->relay, &out)) > 0)
		udp_send(server->udp, out, count, &result);
}

static enum err add_socket(struct server *server, struct server_socket *sock, struct udp *udp, uint8_t family,
			   bool is_dns)
{
	sock->source = (struct source){.fd = family ? udp_fd(udp, family) : udp_more_fd(udp), .ready = socket_ready};
	sock->server = server;
	sock->family = family;
	sock->is_dns = is_dns;
	return sock->source.fd < 0 ? OK : loop_add(server->loop, &sock->source, EPOLLIN);
}

/* Puts the sockets that were opened on the loop. */
enum err server_udp_open(struct server *server, char error[SERVER_ERROR_MAX])
{
	enum err err = OK;

	for (int i = 0; i < 4 && err == OK; i++) {
		bool is_dns = i >= 2;
		struct udp *udp = is_dns ? server->dns_udp : server->udp;

		if (udp)
			err = add_socket(server, &server->sockets[i], udp, i % 2 ? 6 : 4, is_dns);
	}
	if (err == OK)
		err = add_socket(server, &server->sockets[4], server->udp, 0, false);
	return err == OK ? OK : server_fail(error, err, "cannot watch the UDP socket: %s", strerror(errno));
}

/* Off the loop, then closed. */
void server_udp_close(struct server *server)
{
	for (int i = 0; i < 5; i++)
		if (server->sockets[i].server && server->sockets[i].source.fd >= 0)
			loop_remove(server->loop, &server->sockets[i].source);
	udp_close(server->udp);
	udp_close(server->dns_udp);
	server->udp = server->dns_udp = NULL;
}
