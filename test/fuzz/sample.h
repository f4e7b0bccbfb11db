/* sample.h: messages to encode: sample 0 of each is the fullest, the last one the emptiest. */
#pragma once

#include "wire/information.h"
#include "wire/keep_alive.h"
#include "wire/login.h"
#include "wire/network_part.h"
#include "wire/punch.h"
#include "wire/relay.h"
#include "wire/relay_probe.h"
#include "wire/tunnel.h"

/* Each fills in a zeroed struct. */
void sample_header(unsigned index, void *message);
void sample_message_header(unsigned index, void *message);
void sample_certificate(unsigned index, void *message);
void sample_lease(unsigned index, void *message);
void sample_network(unsigned index, void *message);
void sample_registration_request(unsigned index, void *message);
void sample_registration_response(unsigned index, void *message);
void sample_update_request(unsigned index, void *message);
void sample_update_response(unsigned index, void *message);
void sample_keep_alive(unsigned index, void *message);
void sample_direction_request(unsigned index, void *message);
void sample_direction_refusal(unsigned index, void *message);
void sample_route_direction(unsigned index, void *message);
void sample_route_update(unsigned index, void *message);
void sample_link_request(unsigned index, void *message);
void sample_link_response(unsigned index, void *message);
void sample_node_information_request(unsigned index, void *message);
void sample_node_information_response(unsigned index, void *message);
void sample_route_update_ack(unsigned index, void *message);
void sample_network_request(unsigned index, void *message);
void sample_network_response(unsigned index, void *message);
void sample_tunnel_hello(unsigned index, void *message);
void sample_move(unsigned index, void *message);
void sample_receipt(unsigned index, void *message);
void sample_punch(unsigned index, void *message);
void sample_path_challenge(unsigned index, void *message);
void sample_path_response(unsigned index, void *message);
void sample_echo(unsigned index, void *message);
void sample_rekey(unsigned index, void *message);
void sample_close(unsigned index, void *message);
void sample_hole_punching(unsigned index, void *message);
void sample_ticket(unsigned index, void *message);
void sample_relay_bind(unsigned index, void *message);
void sample_relay_challenge(unsigned index, void *message);
void sample_relay_probe(unsigned index, void *message);
void sample_relay_probed(unsigned index, void *message);
void sample_relay_announce(unsigned index, void *message);
void sample_relay_report(unsigned index, void *message);
void sample_login_request(unsigned index, void *message);
void sample_login_response(unsigned index, void *message);
void sample_login_refusal(unsigned index, void *message);
void sample_join_code(unsigned index, void *message);
