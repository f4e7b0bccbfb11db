#include "proto/node/keys.h"

#include <string.h>

#include "crypto/hash.h"
#include "proto/node/machine.h"
#include "wire/message.h"

static enum err write_rekey(uint8_t type, uint32_t transaction, uint8_t epoch, struct blob handshake, uint8_t *ret,
			    size_t *ret_size)
{
	struct writer w = writer_over(ret, CONTROL_MAX);

	message_header_encode(type, transaction, &w);
	rekey_encode(&(struct rekey){.epoch = epoch, .handshake = handshake}, &w);
	return writer_finish(&w, ret_size);
}

/* One at a time; the request table repeats it. */
bool keys_begin(struct node *node, struct rekeying *rekeying, const struct session *session,
		const uint8_t remote_static[KEY_SIZE], struct time_us now, uint8_t *ret, size_t *ret_size)
{
	uint8_t seed[KEY_SIZE], message[REKEY_REQUEST_SIZE];
	enum err err;

	if (rekeying->active || !session_is_initiator(session) || !session_wants_rekey(session, now))
		return false;
	random_fill(&node->env.random, seed, sizeof seed);
	err = rekey_begin(&rekeying->handshake, session, &node->static_keys, remote_static, seed, message);
	wipe(seed, sizeof seed);
	if (err != OK)
		return false;
	rekeying->active = true;
	return write_rekey(MESSAGE_REKEY_REQUEST, ++node->transaction, session_next_epoch(session),
			   (struct blob){message, sizeof message}, ret, ret_size) == OK;
}

/*
 * The keys are in place after the first answer, so a repetition must not run the handshake again. An initiator that
 * gave up and began anew has a higher transaction: its first attempt's keys are replaced.
 */
enum err keys_answer(struct node *node, struct rekeying *rekeying, struct session *session,
		     const uint8_t remote_static[KEY_SIZE], struct time_us now, uint32_t transaction,
		     const struct rekey *request, uint8_t *ret, size_t *ret_size)
{
	uint8_t seed[KEY_SIZE];
	enum err err = OK;

	if (session_is_initiator(session))
		return ERR_STATE;
	if (rekeying->answered && (int32_t)(transaction - rekeying->answered_transaction) < 0)
		return ERR_REPLAY;
	if (!rekeying->answered || rekeying->answered_transaction != transaction ||
	    rekeying->answered_epoch != request->epoch) {
		random_fill(&node->env.random, seed, sizeof seed);
		err = rekey_answer(session, &node->static_keys, remote_static, request, seed, now, rekeying->answer);
		wipe(seed, sizeof seed);
		if (err != OK)
			return err;
		rekeying->answered = true;
		rekeying->answered_epoch = request->epoch;
		rekeying->answered_transaction = transaction;
	}
	return write_rekey(MESSAGE_REKEY_RESPONSE, transaction, request->epoch,
			   (struct blob){rekeying->answer, sizeof rekeying->answer}, ret, ret_size);
}

/* A forged or late answer changes nothing. */
enum err keys_finish(struct node *node, struct rekeying *rekeying, struct session *session,
		     const struct rekey *response, struct time_us now)
{
	enum err err;

	if (!rekeying->active)
		return ERR_STATE;
	err = rekey_finish(&rekeying->handshake, session, &node->static_keys, response, now);
	if (err == OK)
		rekeying->active = false;
	return err;
}
