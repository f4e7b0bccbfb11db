/*
 * noise_peer.c: the handshake and one session on stdin and stdout, so that another implementation can be its other end.
 * One command a line, words apart by one blank, bytes in hexadecimal, "-" for none; each is answered by one line,
 * "error ..." when it fails.
 *
 *   begin STATIC_SEED REMOTE_STATIC PSK EPHEMERAL_SEED PAYLOAD    -> DATAGRAM
 *   finish DATAGRAM                                               -> PAYLOAD TO_RESPONDER TO_INITIATOR REKEY_PSK
 *   accept STATIC_SEED PSK DATAGRAM                               -> PAYLOAD REMOTE_STATIC
 *   answer EPHEMERAL_SEED PAYLOAD                                 -> DATAGRAM TO_RESPONDER TO_INITIATOR REKEY_PSK
 *   session SUITE                                                 -> ok (after finish or answer)
 *   seal PATH PLAINTEXT                                           -> PACKET
 *   open PACKET                                                   -> PLAINTEXT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "proto/session/handshake.h"
#include "proto/session/session.h"

enum { LINE_SIZE_MAX = 16384, WORDS_MAX = 6, PATH_ID = 0x0a0b0c0d };

struct bytes {
	uint8_t data[4096];
	size_t size;
};

struct peer {
	struct aead_provider *provider;
	bool is_initiator;
	struct dh_keys keys;
	struct handshake handshake;
	struct session_keys session_keys;
	struct session *session;
	struct bytes words[WORDS_MAX]; /* the command's arguments */
	size_t word_count;
};

/* Each reads peer->words, prints its answer and returns OK, or prints nothing. */
struct command {
	const char *name;
	size_t word_count;
	enum err (*run)(struct peer *peer);
};

static void print_bytes(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
	printf(size ? " " : "- ");
}

static void print_keys(const struct session_keys *keys)
{
	print_bytes(keys->to_responder, KEY_SIZE);
	print_bytes(keys->to_initiator, KEY_SIZE);
	print_bytes(keys->rekey_psk, KEY_SIZE);
}

static bool hex_decode(const char *text, struct bytes *ret)
{
	unsigned int byte;

	ret->size = 0;
	if (strcmp(text, "-") == 0)
		return true;
	for (; text[0] && text[1] && ret->size < sizeof(ret->data); text += 2) {
		if (sscanf(text, "%2x", &byte) != 1)
			return false;
		ret->data[ret->size++] = (uint8_t)byte;
	}
	return *text == '\0';
}

static const uint8_t *psk_of(const struct bytes *word)
{
	return word->size == KEY_SIZE ? word->data : NULL;
}

static struct blob blob_of(const struct bytes *word)
{
	return (struct blob){word->data, word->size};
}

static enum err run_begin(struct peer *peer)
{
	uint8_t datagram[MESSAGE_MAX], mac1_key[KEY_SIZE];
	struct handshake_setup setup = {
		.local_static = &peer->keys,
		.remote_static = peer->words[1].data,
		.psk = psk_of(&peer->words[2]),
		.mac1_key = mac1_key,
		.type = PACKET_TUNNEL_REQUEST,
		.path_id = PATH_ID,
		.ephemeral_seed = peer->words[3].data,
	};
	size_t size;
	enum err err;

	peer->is_initiator = true;
	dh_keys_from_seed(peer->words[0].data, &peer->keys);
	handshake_mac1_key(setup.remote_static, NULL, mac1_key);
	err = handshake_begin(&peer->handshake, &setup, blob_of(&peer->words[4]), datagram, &size);
	if (err == OK)
		print_bytes(datagram, size);
	return err;
}

static enum err run_finish(struct peer *peer)
{
	const struct bytes *datagram = &peer->words[0];
	uint8_t payload[MESSAGE_MAX], mac1_key[KEY_SIZE];
	size_t size;
	enum err err;

	handshake_mac1_key(peer->keys.public, NULL, mac1_key);
	err = handshake_mac1_check(datagram->data, datagram->size, mac1_key);
	if (err == OK)
		err = handshake_finish(&peer->handshake, &peer->keys, datagram->data, datagram->size, payload, &size,
				       &peer->session_keys);
	if (err)
		return err;
	print_bytes(payload, size);
	print_keys(&peer->session_keys);
	return OK;
}

static enum err run_accept(struct peer *peer)
{
	const struct bytes *datagram = &peer->words[2];
	uint8_t payload[MESSAGE_MAX], mac1_key[KEY_SIZE];
	size_t size;
	enum err err;

	peer->is_initiator = false;
	dh_keys_from_seed(peer->words[0].data, &peer->keys);
	handshake_mac1_key(peer->keys.public, NULL, mac1_key);
	err = handshake_mac1_check(datagram->data, datagram->size, mac1_key);
	if (err == OK)
		err = handshake_accept(
			&peer->handshake,
			&(struct handshake_setup){.local_static = &peer->keys, .psk = psk_of(&peer->words[1])},
			datagram->data, datagram->size, payload, &size);
	if (err)
		return err;
	print_bytes(payload, size);
	print_bytes(peer->handshake.remote_static, KEY_SIZE);
	return OK;
}

static enum err run_answer(struct peer *peer)
{
	uint8_t datagram[MESSAGE_MAX], mac1_key[KEY_SIZE];
	struct handshake_setup setup = {
		.local_static = &peer->keys,
		.mac1_key = mac1_key,
		.type = PACKET_TUNNEL_RESPONSE,
		.path_id = peer->handshake.path_id,
		.ephemeral_seed = peer->words[0].data,
	};
	size_t size;
	enum err err;

	handshake_mac1_key(peer->handshake.remote_static, NULL, mac1_key);
	err = handshake_answer(&peer->handshake, &setup, blob_of(&peer->words[1]), datagram, &size,
			       &peer->session_keys);
	if (err)
		return err;
	print_bytes(datagram, size);
	print_keys(&peer->session_keys);
	return OK;
}

static enum err run_session(struct peer *peer)
{
	uint8_t suite = peer->words[0].data[0];

	if (suite != SUITE_AES256_GCM && suite != SUITE_CHACHA20_POLY1305)
		return ERR_USAGE;
	session_destroy(peer->session);
	peer->session = session_create(peer->provider, suite, peer->is_initiator, PATH_ID, &peer->session_keys,
				       (struct time_us){0});
	printf("ok");
	return OK;
}

static enum err run_seal(struct peer *peer)
{
	const struct bytes *plaintext = &peer->words[1];
	uint8_t packet[sizeof(plaintext->data) + OVERHEAD_SIZE];
	enum err err;

	if (!peer->session || peer->words[0].data[0] >= PATHS_MAX)
		return ERR_USAGE;
	err = session_seal(peer->session, peer->words[0].data[0], 0, plaintext->data, plaintext->size, packet);
	if (err == OK)
		print_bytes(packet, plaintext->size + OVERHEAD_SIZE);
	return err;
}

static enum err run_open(struct peer *peer)
{
	uint8_t plaintext[sizeof(peer->words[0].data)];
	struct opened opened;
	enum err err;

	if (!peer->session)
		return ERR_USAGE;
	err = session_open(peer->session, peer->words[0].data, peer->words[0].size, plaintext, &opened);
	if (err == OK)
		print_bytes(plaintext, opened.size);
	return err;
}

static const struct command COMMANDS[] = {
	{"begin", 5, run_begin},     {"finish", 1, run_finish}, {"accept", 3, run_accept}, {"answer", 2, run_answer},
	{"session", 1, run_session}, {"seal", 2, run_seal},	{"open", 1, run_open},
};

/* Splits line into the command's name and peer->words. */
static enum err line_run(struct peer *peer, char *line)
{
	char *rest = NULL;
	char *name = strtok_r(line, " \n", &rest);
	char *word;

	if (!name)
		return ERR_USAGE;
	for (peer->word_count = 0; (word = strtok_r(NULL, " \n", &rest)); peer->word_count++)
		if (peer->word_count == WORDS_MAX || !hex_decode(word, &peer->words[peer->word_count]))
			return ERR_USAGE;
	for (size_t i = 0; i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
		if (strcmp(name, COMMANDS[i].name) == 0)
			return COMMANDS[i].word_count == peer->word_count ? COMMANDS[i].run(peer) : ERR_USAGE;
	return ERR_USAGE;
}

int main(void)
{
	static struct peer peer;
	static char line[LINE_SIZE_MAX];

	if (!crypto_init())
		return EXIT_FAILURE;
	peer.provider = aead_provider_create(AEAD_BACKEND_AUTO);
	while (fgets(line, sizeof(line), stdin)) {
		enum err err = line_run(&peer, line);

		if (err)
			printf("error %s", err_text(err));
		printf("\n");
		fflush(stdout);
	}
	session_destroy(peer.session);
	aead_provider_destroy(peer.provider);
	return EXIT_SUCCESS;
}
