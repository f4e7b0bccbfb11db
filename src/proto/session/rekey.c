#include "proto/session/rekey.h"

#include <string.h>

#include "crypto/hash.h"

/* Both ends put the same header before the message, so the transcript names the session and the epoch that is made. */
static void header_write(const struct session *session, uint8_t type, uint8_t ret[HEADER_SIZE])
{
	struct header header = {.type = type, .path_id = session_path_id(session)};
	struct writer w = writer_over(ret, HEADER_SIZE);

	header_encode(&header, &w);
}

/* The psk names the epoch too, so that a message for one epoch is worthless for another. */
static void psk_make(const struct session *session, uint8_t ret[KEY_SIZE])
{
	uint8_t epoch = session_next_epoch(session);

	derive_key(session_rekey_psk(session), "ntm rekey", &epoch, 1, ret);
}

/* A whole datagram for handshake_*, from what was sent of it. */
static void datagram_make(const struct session *session, uint8_t type, struct blob message, uint8_t *ret)
{
	header_write(session, type, ret);
	memcpy(ret + HEADER_SIZE, message.data, message.size);
	memset(ret + HEADER_SIZE + message.size, 0, 2 * MAC_SIZE);
}

/* First message. */
enum err rekey_begin(struct handshake *h, const struct session *session, const struct dh_keys *local_static,
		     const uint8_t remote_static[KEY_SIZE], const uint8_t ephemeral_seed[KEY_SIZE],
		     uint8_t ret[REKEY_REQUEST_SIZE])
{
	uint8_t datagram[MESSAGE_MAX], psk[KEY_SIZE], mac1_key[KEY_SIZE] = {0};
	struct handshake_setup setup = {
		.local_static = local_static,
		.remote_static = remote_static,
		.psk = psk,
		.mac1_key = mac1_key,
		.type = PACKET_TUNNEL_REQUEST,
		.path_id = session_path_id(session),
		.ephemeral_seed = ephemeral_seed,
	};
	size_t size;
	enum err err;

	psk_make(session, psk);
	err = handshake_begin(h, &setup, (struct blob){0}, datagram, &size);
	wipe(psk, sizeof psk);
	if (err)
		return err;
	if (size != HANDSHAKE_OVERHEAD_REQUEST)
		return ERR_SIZE;
	memcpy(ret, datagram + HEADER_SIZE, REKEY_REQUEST_SIZE);
	return OK;
}

/* Responder's whole part. */
enum err rekey_answer(struct session *session, const struct dh_keys *local_static,
		      const uint8_t remote_static[KEY_SIZE], const struct rekey *request,
		      const uint8_t ephemeral_seed[KEY_SIZE], struct time_us now, uint8_t ret[REKEY_RESPONSE_SIZE])
{
	uint8_t datagram[MESSAGE_MAX], payload[MESSAGE_MAX], psk[KEY_SIZE], mac1_key[KEY_SIZE] = {0};
	struct handshake_setup setup = {
		.local_static = local_static,
		.psk = psk,
		.mac1_key = mac1_key,
		.type = PACKET_TUNNEL_RESPONSE,
		.path_id = session_path_id(session),
		.ephemeral_seed = ephemeral_seed,
	};
	struct handshake h;
	struct session_keys keys = {0};
	size_t size;
	enum err err;

	if (session_is_initiator(session) || request->epoch != session_next_epoch(session))
		return ERR_STATE;
	if (request->handshake.size != REKEY_REQUEST_SIZE)
		return ERR_MALFORMED;
	psk_make(session, psk);
	datagram_make(session, PACKET_TUNNEL_REQUEST, request->handshake, datagram);
	err = handshake_accept(&h, &setup, datagram, HANDSHAKE_OVERHEAD_REQUEST, payload, &size);
	if (err == OK && !equal_secret(h.remote_static, remote_static, KEY_SIZE))
		err = ERR_AUTH;
	if (err == OK)
		err = handshake_answer(&h, &setup, (struct blob){0}, datagram, &size, &keys);
	if (err == OK && size != HANDSHAKE_OVERHEAD_RESPONSE)
		err = ERR_SIZE;
	if (err == OK) {
		memcpy(ret, datagram + HEADER_SIZE, REKEY_RESPONSE_SIZE);
		session_install(session, &keys, now);
	}
	wipe(psk, sizeof psk);
	wipe(&keys, sizeof keys);
	wipe(&h, sizeof h);
	return err;
}

/* Second message. */
enum err rekey_finish(struct handshake *h, struct session *session, const struct dh_keys *local_static,
		      const struct rekey *response, struct time_us now)
{
	uint8_t datagram[MESSAGE_MAX], payload[MESSAGE_MAX];
	struct session_keys keys;
	size_t size;
	enum err err;

	if (!session_is_initiator(session) || response->epoch != session_next_epoch(session))
		return ERR_STATE;
	if (response->handshake.size != REKEY_RESPONSE_SIZE)
		return ERR_MALFORMED;
	datagram_make(session, PACKET_TUNNEL_RESPONSE, response->handshake, datagram);
	err = handshake_finish(h, local_static, datagram, HANDSHAKE_OVERHEAD_RESPONSE, payload, &size, &keys);
	if (err)
		return err;
	session_install(session, &keys, now);
	wipe(&keys, sizeof keys);
	return OK;
}
