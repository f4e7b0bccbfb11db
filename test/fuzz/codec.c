#include "codec.h"

#include <string.h>

#include "sample.h"

static void put_certificate(const void *message, struct writer *w)
{
	certificate_encode(message, w);
}

static enum err get_certificate(struct reader *r, void *ret)
{
	return certificate_decode(r, ret);
}

static void put_lease(const void *message, struct writer *w)
{
	lease_encode(message, w);
}

static enum err get_lease(struct reader *r, void *ret)
{
	return lease_decode(r, ret);
}

static void put_network(const void *message, struct writer *w)
{
	network_encode(message, w);
}

static enum err get_network(struct reader *r, void *ret)
{
	return network_decode(r, ret);
}

static void put_registration_request(const void *message, struct writer *w)
{
	registration_request_encode(message, w);
}

static enum err get_registration_request(struct reader *r, void *ret)
{
	return registration_request_decode(r, ret);
}

static void put_registration_response(const void *message, struct writer *w)
{
	registration_response_encode(message, w);
}

static enum err get_registration_response(struct reader *r, void *ret)
{
	return registration_response_decode(r, ret);
}

static void put_update_request(const void *message, struct writer *w)
{
	update_request_encode(message, w);
}

static enum err get_update_request(struct reader *r, void *ret)
{
	return update_request_decode(r, ret);
}

static void put_update_response(const void *message, struct writer *w)
{
	update_response_encode(message, w);
}

static enum err get_update_response(struct reader *r, void *ret)
{
	return update_response_decode(r, ret);
}

static void put_keep_alive(const void *message, struct writer *w)
{
	keep_alive_encode(message, w);
}

static enum err get_keep_alive(struct reader *r, void *ret)
{
	return keep_alive_decode(r, ret);
}

static void put_direction_request(const void *message, struct writer *w)
{
	direction_request_encode(message, w);
}

static enum err get_direction_request(struct reader *r, void *ret)
{
	return direction_request_decode(r, ret);
}

static void put_direction_refusal(const void *message, struct writer *w)
{
	direction_refusal_encode(message, w);
}

static enum err get_direction_refusal(struct reader *r, void *ret)
{
	return direction_refusal_decode(r, ret);
}

static void put_route_direction(const void *message, struct writer *w)
{
	route_direction_encode(message, w);
}

static enum err get_route_direction(struct reader *r, void *ret)
{
	return route_direction_decode(r, ret);
}

static void put_route_update(const void *message, struct writer *w)
{
	route_update_encode(message, w);
}

static enum err get_route_update(struct reader *r, void *ret)
{
	return route_update_decode(r, ret);
}

static void put_link_request(const void *message, struct writer *w)
{
	link_request_encode(message, w);
}

static enum err get_link_request(struct reader *r, void *ret)
{
	return link_request_decode(r, ret);
}

static void put_link_response(const void *message, struct writer *w)
{
	link_response_encode(message, w);
}

static enum err get_link_response(struct reader *r, void *ret)
{
	return link_response_decode(r, ret);
}

static void put_node_information_request(const void *message, struct writer *w)
{
	node_information_request_encode(message, w);
}

static enum err get_node_information_request(struct reader *r, void *ret)
{
	return node_information_request_decode(r, ret);
}

static void put_node_information_response(const void *message, struct writer *w)
{
	node_information_response_encode(message, w);
}

static enum err get_node_information_response(struct reader *r, void *ret)
{
	return node_information_response_decode(r, ret);
}

static void put_route_update_ack(const void *message, struct writer *w)
{
	route_update_ack_encode(message, w);
}

static enum err get_route_update_ack(struct reader *r, void *ret)
{
	return route_update_ack_decode(r, ret);
}

static void put_network_request(const void *message, struct writer *w)
{
	network_request_encode(message, w);
}

static enum err get_network_request(struct reader *r, void *ret)
{
	return network_request_decode(r, ret);
}

static void put_network_response(const void *message, struct writer *w)
{
	network_response_encode(message, w);
}

static enum err get_network_response(struct reader *r, void *ret)
{
	return network_response_decode(r, ret);
}

static void put_tunnel_hello(const void *message, struct writer *w)
{
	tunnel_hello_encode(message, w);
}

static enum err get_tunnel_hello(struct reader *r, void *ret)
{
	return tunnel_hello_decode(r, ret);
}

static void put_move(const void *message, struct writer *w)
{
	move_encode(message, w);
}

static enum err get_move(struct reader *r, void *ret)
{
	return move_decode(r, ret);
}

static void put_receipt(const void *message, struct writer *w)
{
	receipt_encode(message, w);
}

static enum err get_receipt(struct reader *r, void *ret)
{
	return receipt_decode(r, ret);
}

static void put_punch(const void *message, struct writer *w)
{
	punch_message_encode(message, w);
}

static enum err get_punch(struct reader *r, void *ret)
{
	return punch_message_decode(r, ret);
}

static void put_path_challenge(const void *message, struct writer *w)
{
	path_challenge_encode(message, w);
}

static enum err get_path_challenge(struct reader *r, void *ret)
{
	return path_challenge_decode(r, ret);
}

static void put_path_response(const void *message, struct writer *w)
{
	path_response_encode(message, w);
}

static enum err get_path_response(struct reader *r, void *ret)
{
	return path_response_decode(r, ret);
}

static void put_echo(const void *message, struct writer *w)
{
	echo_encode(message, w);
}

static enum err get_echo(struct reader *r, void *ret)
{
	return echo_decode(r, ret);
}

static void put_rekey(const void *message, struct writer *w)
{
	rekey_encode(message, w);
}

static enum err get_rekey(struct reader *r, void *ret)
{
	return rekey_decode(r, ret);
}

static void put_close(const void *message, struct writer *w)
{
	close_encode(message, w);
}

static enum err get_close(struct reader *r, void *ret)
{
	return close_decode(r, ret);
}

static void put_hole_punching(const void *message, struct writer *w)
{
	hole_punching_encode(message, w);
}

static enum err get_hole_punching(struct reader *r, void *ret)
{
	return hole_punching_decode(r, ret);
}

static void put_ticket(const void *message, struct writer *w)
{
	ticket_encode(message, w);
}

static enum err get_ticket(struct reader *r, void *ret)
{
	return ticket_decode(r, ret);
}

/* These two leave the reader behind the header; here nothing may follow. */
static void put_header(const void *message, struct writer *w)
{
	header_encode(message, w);
}

static enum err get_header(struct reader *r, void *ret)
{
	struct header m;
	enum err err = header_decode(r, &m);

	if (err == OK)
		err = reader_finish(r);
	if (err == OK)
		*(struct header *)ret = m;
	return err;
}

static void put_message_header(const void *message, struct writer *w)
{
	const struct message_header *m = message;

	message_header_encode(m->type, m->transaction, w);
}

static enum err get_message_header(struct reader *r, void *ret)
{
	struct message_header m;
	enum err err = message_header_decode(r, &m);

	if (err == OK)
		err = reader_finish(r);
	if (err == OK)
		*(struct message_header *)ret = m;
	return err;
}

/* MACs are written as they are: making them is not wire/'s affair. */
static void put_relay_bind(const void *message, struct writer *w)
{
	relay_bind_encode_unsigned(message, w);
	write_bytes(w, ((const struct relay_bind *)message)->mac, MAC_SIZE);
}

static enum err get_relay_bind(struct reader *r, void *ret)
{
	return relay_bind_decode(r, ret);
}

static void put_relay_challenge(const void *message, struct writer *w)
{
	relay_challenge_encode_unsigned(message, w);
	write_bytes(w, ((const struct relay_challenge *)message)->mac, MAC_SIZE);
}

static enum err get_relay_challenge(struct reader *r, void *ret)
{
	return relay_challenge_decode(r, ret);
}

/* Exactly one frame of the type. */
static enum err frame_body(struct reader *r, uint8_t type, struct reader *ret)
{
	struct blob all = read_blob(r, reader_left(r)), body;
	size_t consumed;
	uint8_t found;
	enum err err = login_frame_next(all.data, all.size, &found, &body, &consumed);

	if (err == OK && (found != type || consumed != all.size))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = reader_over(body.data, body.size);
	return err;
}

static void put_login_request(const void *message, struct writer *w)
{
	login_request_encode(message, w);
}

static enum err get_login_request(struct reader *r, void *ret)
{
	struct reader body;
	enum err err = frame_body(r, FRAME_LOGIN_REQUEST, &body);

	return err == OK ? login_request_decode(&body, ret) : err;
}

static void put_login_response(const void *message, struct writer *w)
{
	login_response_encode(message, w);
}

static enum err get_login_response(struct reader *r, void *ret)
{
	struct reader body;
	enum err err = frame_body(r, FRAME_LOGIN_RESPONSE, &body);

	return err == OK ? login_response_decode(&body, ret) : err;
}

static void put_login_refusal(const void *message, struct writer *w)
{
	login_refusal_encode(message, w);
}

static enum err get_login_refusal(struct reader *r, void *ret)
{
	struct reader body;
	enum err err = frame_body(r, FRAME_REFUSAL, &body);

	return err == OK ? login_refusal_decode(&body, ret) : err;
}

static void put_join_code(const void *message, struct writer *w)
{
	char text[JOIN_CODE_MAX];

	if (join_code_format(message, text) == OK)
		write_bytes(w, text, strlen(text));
	else
		w->err = ERR_MALFORMED;
}

static enum err get_join_code(struct reader *r, void *ret)
{
	char text[2 * JOIN_CODE_MAX] = {0};
	struct blob all = read_blob(r, reader_left(r));

	if (all.size >= sizeof text || (all.size && memchr(all.data, 0, all.size)))
		return ERR_MALFORMED;
	if (all.size)
		memcpy(text, all.data, all.size);
	return join_code_parse(text, ret);
}

static void put_relay_probe(const void *message, struct writer *w)
{
	relay_probe_encode_unsigned(message, w);
	write_bytes(w, ((const struct relay_probe *)message)->mac, MAC_SIZE);
}

static enum err get_relay_probe(struct reader *r, void *ret)
{
	return relay_probe_decode(r, ret);
}

static void put_relay_probed(const void *message, struct writer *w)
{
	relay_probed_encode_unsigned(message, w);
	write_bytes(w, ((const struct relay_probed *)message)->mac, MAC_SIZE);
}

static enum err get_relay_probed(struct reader *r, void *ret)
{
	return relay_probed_decode(r, ret);
}

static void put_relay_announce(const void *message, struct writer *w)
{
	relay_announce_encode_unsigned(message, w);
	write_bytes(w, ((const struct relay_announce *)message)->mac, MAC_SIZE);
}

static enum err get_relay_announce(struct reader *r, void *ret)
{
	return relay_announce_decode(r, ret);
}

static void put_relay_report(const void *message, struct writer *w)
{
	relay_report_encode(message, w);
}

static enum err get_relay_report(struct reader *r, void *ret)
{
	return relay_report_decode(r, ret);
}

const struct codec codecs[] = {
	{"header", true, sizeof(struct header), 3, sample_header, put_header, get_header},
	{"message_header", true, sizeof(struct message_header), 1, sample_message_header, put_message_header,
	 get_message_header},
	{"certificate", true, sizeof(struct certificate), 2, sample_certificate, put_certificate, get_certificate},
	{"lease", true, sizeof(struct lease), 2, sample_lease, put_lease, get_lease},
	{"network", true, sizeof(struct network), 3, sample_network, put_network, get_network},
	{"registration_request", false, sizeof(struct registration_request), 2, sample_registration_request,
	 put_registration_request, get_registration_request},
	{"registration_response", false, sizeof(struct registration_response), 2, sample_registration_response,
	 put_registration_response, get_registration_response},
	{"update_request", false, sizeof(struct update_request), 2, sample_update_request, put_update_request,
	 get_update_request},
	{"update_response", false, sizeof(struct update_response), 1, sample_update_response, put_update_response,
	 get_update_response},
	{"keep_alive", false, sizeof(struct keep_alive), 1, sample_keep_alive, put_keep_alive, get_keep_alive},
	{"direction_request", false, sizeof(struct direction_request), 2, sample_direction_request,
	 put_direction_request, get_direction_request},
	{"direction_refusal", false, sizeof(struct direction_refusal), 2, sample_direction_refusal,
	 put_direction_refusal, get_direction_refusal},
	{"route_direction", false, sizeof(struct route_direction), 2, sample_route_direction, put_route_direction,
	 get_route_direction},
	{"route_update", false, sizeof(struct route_update), 2, sample_route_update, put_route_update,
	 get_route_update},
	{"link_request", false, sizeof(struct link_request), 2, sample_link_request, put_link_request,
	 get_link_request},
	{"link_response", false, sizeof(struct link_response), 1, sample_link_response, put_link_response,
	 get_link_response},
	{"node_information_request", false, sizeof(struct node_information_request), 3, sample_node_information_request,
	 put_node_information_request, get_node_information_request},
	{"node_information_response", false, sizeof(struct node_information_response), 2,
	 sample_node_information_response, put_node_information_response, get_node_information_response},
	{"route_update_ack", false, sizeof(struct route_update_ack), 1, sample_route_update_ack, put_route_update_ack,
	 get_route_update_ack},
	{"network_request", false, sizeof(struct network_request), 2, sample_network_request, put_network_request,
	 get_network_request},
	{"network_response", false, sizeof(struct network_response), 1, sample_network_response, put_network_response,
	 get_network_response},
	{"tunnel_hello", false, sizeof(struct tunnel_hello), 1, sample_tunnel_hello, put_tunnel_hello,
	 get_tunnel_hello},
	{"move", false, sizeof(struct move), 2, sample_move, put_move, get_move},
	{"receipt", false, sizeof(struct receipt), 3, sample_receipt, put_receipt, get_receipt},
	{"punch", false, sizeof(struct punch_message), 3, sample_punch, put_punch, get_punch},
	{"path_challenge", false, sizeof(struct path_challenge), 1, sample_path_challenge, put_path_challenge,
	 get_path_challenge},
	{"path_response", false, sizeof(struct path_response), 2, sample_path_response, put_path_response,
	 get_path_response},
	{"echo", false, sizeof(struct echo), 2, sample_echo, put_echo, get_echo},
	{"rekey", false, sizeof(struct rekey), 1, sample_rekey, put_rekey, get_rekey},
	{"close", false, sizeof(struct close), 1, sample_close, put_close, get_close},
	{"hole_punching", true, sizeof(struct hole_punching), 2, sample_hole_punching, put_hole_punching,
	 get_hole_punching},
	{"ticket", true, sizeof(struct ticket), 1, sample_ticket, put_ticket, get_ticket},
	{"relay_bind", true, sizeof(struct relay_bind), 2, sample_relay_bind, put_relay_bind, get_relay_bind},
	{"relay_challenge", true, sizeof(struct relay_challenge), 3, sample_relay_challenge, put_relay_challenge,
	 get_relay_challenge},
	{"relay_probe", true, sizeof(struct relay_probe), 2, sample_relay_probe, put_relay_probe, get_relay_probe},
	{"relay_probed", true, sizeof(struct relay_probed), 2, sample_relay_probed, put_relay_probed, get_relay_probed},
	{"relay_announce", true, sizeof(struct relay_announce), 1, sample_relay_announce, put_relay_announce,
	 get_relay_announce},
	{"relay_report", false, sizeof(struct relay_report), 2, sample_relay_report, put_relay_report,
	 get_relay_report},
	{"login_request", false, sizeof(struct login_request), 2, sample_login_request, put_login_request,
	 get_login_request},
	{"login_response", false, sizeof(struct login_response), 2, sample_login_response, put_login_response,
	 get_login_response},
	{"login_refusal", false, sizeof(struct login_refusal), 1, sample_login_refusal, put_login_refusal,
	 get_login_refusal},
	{"join_code", true, sizeof(struct join_code), 2, sample_join_code, put_join_code, get_join_code},
};
const size_t codec_count = sizeof codecs / sizeof codecs[0];

/* By name, as fuzz targets and corpus folders are called. */
const struct codec *codec_find(const char *name)
{
	for (size_t i = 0; i < codec_count; i++)
		if (strcmp(codecs[i].name, name) == 0)
			return &codecs[i];
	return NULL;
}
