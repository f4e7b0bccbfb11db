#include "cmd/login_client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "io/tls.h"
#include "proto/account/account.h"
#include "proto/session/trust.h"

enum {
	STEP_TIMEOUT_US = 5 * 1000 * 1000, /* connect with handshake, each question and each answer */
	GUESSES_MAX = 99,		   /* suffixes tried for a guessed name, a connection's worth each time */
	QUESTIONS_PER_CONNECTION = 8,
};

/* One conversation and all that it needs; on the heap for its buffers. */
struct login {
	const uint8_t *pin;	     /* JOIN_PIN_SIZE bytes of the key's hash */
	uint8_t authority[KEY_SIZE]; /* the server's key, once it is known */
	uint32_t mark;
	struct tls_client *client;
	struct addr server;
	char *error;
	size_t used;	 /* bytes received */
	size_t consumed; /* of these, by the last answer */
	uint8_t buffer[LOGIN_FRAME_MAX];
	uint8_t frame[LOGIN_FRAME_MAX];
	struct login_response response;
};

static __attribute__((format(printf, 3, 4))) enum err fail(struct login *login, enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(login->error, LOGIN_ERROR_MAX, format, args);
	va_end(args);
	return err;
}

/* The pin is the server's identity: nothing is sent to anybody else. */
static bool accept_key(void *ctx, const uint8_t key[TLS_KEY_SIZE])
{
	struct login *login = ctx;
	uint8_t pin[JOIN_PIN_SIZE];

	authority_pin(key, pin);
	if (!equal_secret(pin, login->pin, sizeof(pin)))
		return false;
	memcpy(login->authority, key, KEY_SIZE);
	return true;
}

static enum err connect_one(struct login *login, const struct addr *server)
{
	struct tls_client_config config = {
		.remote = *server,
		.timeout_us = STEP_TIMEOUT_US,
		.mark = login->mark,
		.ctx = login,
		.accept_key = accept_key,
	};
	enum tls_step step = TLS_STEP_CONNECT;
	char text[ADDR_TEXT_MAX];
	enum err err;

	login->used = login->consumed = 0;
	err = tls_client_connect(&config, &login->client, &step);
	if (err == OK) {
		login->server = *server;
		return OK;
	}
	(void)addr_format(server, text);
	if (step == TLS_STEP_PIN)
		return fail(login, ERR_AUTH,
			    "%s is not the server that the join code names (its key differs): nothing was sent; "
			    "get a new code, or find out who answers there",
			    text);
	if (err == ERR_EXPIRED)
		return fail(login, ERR_IO,
			    "%s: no answer from %s within 5 s; is the server up, and does a firewall pass TCP?",
			    step == TLS_STEP_CONNECT ? "connect" : "TLS handshake", text);
	if (step == TLS_STEP_CONNECT)
		return fail(login, ERR_IO, "connect: %s: %s; is ntm-server running there?", text, strerror(errno));
	return fail(login, ERR_IO, "TLS handshake: %s does not answer as an NTMobile account server", text);
}

/* Each address in turn. A wrong key at one does not spoil the others, but is what is told in the end. */
static enum err connect_any(struct login *login, const struct server_addresses *servers)
{
	enum err worst = ERR_IO;
	char first[LOGIN_ERROR_MAX] = "the join code names no address of the server";

	for (uint8_t i = 0; i < servers->count && i < SERVER_ADDRESSES_MAX; i++) {
		enum err err = connect_one(login, &servers->list[i]);

		if (err == OK)
			return OK;
		if (i == 0 || (err == ERR_AUTH && worst != ERR_AUTH)) {
			memcpy(first, login->error, sizeof(first));
			worst = err;
		}
	}
	return fail(login, worst, "%s", first);
}

static void hang_up(struct login *login)
{
	tls_client_close(login->client);
	login->client = NULL;
}

/* Sends the frame in login->frame and waits for a whole one. The body lives in login->buffer until the next question.
 */
static enum err ask(struct login *login, size_t size, uint8_t *ret_type, struct blob *ret_body)
{
	enum err err = tls_client_send(login->client, login->frame, size, STEP_TIMEOUT_US);

	memmove(login->buffer, login->buffer + login->consumed, login->used - login->consumed);
	login->used -= login->consumed;
	login->consumed = 0;
	while (err == OK) {
		size_t n = 0;

		err = login_frame_next(login->buffer, login->used, ret_type, ret_body, &login->consumed);
		if (err == OK)
			return OK;
		if (err != ERR_TRUNCATED || login->used == sizeof(login->buffer))
			return fail(login, ERR_AUTH,
				    "login: the server's answer makes no sense; is it of another version?");
		err = tls_client_receive(login->client, login->buffer + login->used,
					 sizeof(login->buffer) - login->used, &n, STEP_TIMEOUT_US);
		if (err == OK)
			login->used += n;
	}
	if (err == ERR_EXPIRED)
		return fail(login, ERR_IO, "login: the server did not answer within 5 s; try again");
	return fail(login, ERR_IO, "login: the server closed the connection; try again, or look at its log");
}

static enum err build_request(struct login *login, const struct login_params *params, const uint8_t *secret,
			      const char *name, size_t *ret_size)
{
	struct login_request request = {.role = params->role, .addresses = params->addresses};
	uint8_t exporter[TLS_EXPORTER_SIZE], text[ACCOUNT_PROOF_TEXT_SIZE];
	struct writer w = writer_over(login->frame, sizeof(login->frame));
	size_t name_size = strlen(name);
	enum err err;

	if (name_size > NAME_MAX_SIZE)
		return fail(login, ERR_USAGE, "--name or --zone: at most %d characters", NAME_MAX_SIZE);
	memcpy(request.name, name, name_size + 1);
	memcpy(request.identity_key, params->identity.public, KEY_SIZE);
	memcpy(request.static_key, params->static_key, KEY_SIZE);
	if (secret)
		memcpy(request.secret, secret, JOIN_SECRET_SIZE);
	tls_client_exporter(login->client, exporter);
	account_proof_text(request.role, exporter, request.static_key, request.identity_key, text);
	sign(&params->identity, text, sizeof(text), request.proof);
	login_request_encode(&request, &w);
	err = writer_finish(&w, ret_size);
	wipe(&request, sizeof(request));
	return err == OK ? OK : fail(login, ERR_USAGE, "login: the request does not fit");
}

static enum err read_refusal(struct login *login, struct blob body, uint8_t *ret_reason)
{
	struct login_refusal refusal;
	struct reader r = reader_over(body.data, body.size);

	if (login_refusal_decode(&r, &refusal) != OK)
		return fail(login, ERR_AUTH, "login: the server's refusal cannot be read");
	*ret_reason = refusal.reason;
	for (char *c = refusal.text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?'; /* it goes to a terminal */
	return fail(login, ERR_DENIED, "refused by the server: %s", refusal.text);
}

static enum err judge_network(struct login *login, struct login_result *ret)
{
	struct blob encoded = {login->response.network, login->response.network_size};

	if (network_judge(encoded, login->authority, &ret->network_decoded) != OK)
		return fail(login, ERR_AUTH, "login: the server's network document does not verify");
	memcpy(ret->network, encoded.data, encoded.size);
	ret->network_size = encoded.size;
	memcpy(ret->authority, login->authority, KEY_SIZE);
	ret->server = login->server;
	return OK;
}

static enum err judge_certificate(struct login *login, const struct login_params *params, struct login_result *ret)
{
	struct blob encoded = {login->response.certificate, login->response.certificate_size};
	struct certificate *certificate = &ret->certificate_decoded;
	enum err err;

	if (params->role != ROLE_NODE && params->role != ROLE_EXIT)
		return OK;
	err = certificate_judge(encoded, login->authority, params->now_s, certificate);
	if (err == ERR_EXPIRED)
		return fail(login, ERR_AUTH,
			    "login: the new certificate is not valid at this machine's time; set its clock");
	if (err != OK || memcmp(certificate->identity_key, params->identity.public, KEY_SIZE) != 0 ||
	    memcmp(certificate->static_key, params->static_key, KEY_SIZE) != 0)
		return fail(login, ERR_AUTH, "login: the server's certificate for this device does not verify");
	memcpy(ret->certificate, encoded.data, encoded.size);
	ret->certificate_size = encoded.size;
	return OK;
}

/* One request and its answer. */
static enum err log_in(struct login *login, const struct login_params *params, const uint8_t *secret, const char *name,
		       struct login_result *ret, uint8_t *ret_reason)
{
	struct blob body;
	struct reader r;
	uint8_t type;
	size_t size;
	enum err err = build_request(login, params, secret, name, &size);

	if (err == OK)
		err = ask(login, size, &type, &body);
	wipe(login->frame, sizeof(login->frame));
	if (err != OK)
		return err;
	if (type == FRAME_REFUSAL)
		return read_refusal(login, body, ret_reason);
	r = reader_over(body.data, body.size);
	if (type != FRAME_LOGIN_RESPONSE || login_response_decode(&r, &login->response) != OK)
		return fail(login, ERR_AUTH, "login: the server's answer cannot be read; is it of another version?");
	err = judge_certificate(login, params, ret);
	return err == OK ? judge_network(login, ret) : err;
}

/* guess 1 is the name itself; then name-2, name-3 ..., cut to fit. */
static void guess_name(const char *name, unsigned guess, char ret[ZONE_MAX_SIZE + 1])
{
	char suffix[8] = "";
	int room = ZONE_MAX_SIZE;

	if (guess > 1)
		room = NAME_MAX_SIZE - snprintf(suffix, sizeof(suffix), "-%u", guess % 1000);
	(void)snprintf(ret, ZONE_MAX_SIZE + 1, "%.*s%s", room, name, suffix);
}

static enum err converse(struct login *login, const struct server_addresses *servers, const struct login_params *params,
			 const uint8_t *secret, struct login_result *ret, uint8_t *ret_reason)
{
	unsigned guesses = params->name_is_guess && params->name[0] ? GUESSES_MAX : 1;
	char name[ZONE_MAX_SIZE + 1];
	enum err err = ERR_IO;

	for (unsigned guess = 1; guess <= guesses; guess++) {
		if (!login->client) {
			err = connect_any(login, servers);
			if (err != OK)
				return err;
		}
		guess_name(params->name, guess, name);
		*ret_reason = 0;
		err = log_in(login, params, secret, name, ret, ret_reason);
		if (err != ERR_DENIED || *ret_reason != LOGIN_NAME_TAKEN)
			break;
		if (guess % QUESTIONS_PER_CONNECTION == 0)
			hang_up(login);
	}
	hang_up(login);
	return err;
}

static struct login *login_create(const uint8_t *pin, uint32_t mark, char *error)
{
	struct login *login = calloc(1, sizeof(*login));

	if (!login)
		abort();
	login->pin = pin;
	login->mark = mark;
	login->error = error;
	error[0] = '\0';
	return login;
}

static void login_destroy(struct login *login)
{
	tls_client_close(login->client);
	wipe(login, sizeof(*login));
	free(login);
}

static enum err run(const uint8_t *pin, const struct server_addresses *servers, const struct login_params *params,
		    const uint8_t *secret, struct login_result *ret, uint8_t *ret_reason, char error[LOGIN_ERROR_MAX])
{
	struct login *login = login_create(pin, params->mark, error);
	struct login_result *result = calloc(1, sizeof(*result));
	uint8_t reason = 0;
	enum err err;

	if (!result)
		abort();
	err = converse(login, servers, params, secret, result, &reason);
	if (err == OK) {
		result->servers = *servers;
		*ret = *result;
	}
	*ret_reason = reason;
	free(result);
	login_destroy(login);
	return err;
}

/* With a code that a person was given. */
enum err login_join(const char *code, const struct login_params *params, struct login_result *ret, uint8_t *ret_reason,
		    char error[LOGIN_ERROR_MAX])
{
	static const char *const roles[] = {"a device (ntm up CODE)", "a coordinator (ntm-dc --join CODE)",
					    "a relay (ntm-rs --join CODE)", "an exit (ntm-exit --join CODE)"};
	struct join_code join;
	enum err err;

	*ret_reason = 0;
	if (join_code_parse(code, &join) != OK) {
		(void)snprintf(error, LOGIN_ERROR_MAX,
			       "the join code is mistyped or cut short; it starts with ntm1- and is one word");
		return ERR_USAGE;
	}
	if (join.role != params->role && join.role <= ROLE_EXIT) {
		(void)snprintf(error, LOGIN_ERROR_MAX, "this join code is for %s", roles[join.role]);
		wipe(&join, sizeof(join));
		return ERR_USAGE;
	}
	err = run(join.pin, &join.addresses, params, join.secret, ret, ret_reason, error);
	wipe(&join, sizeof(join));
	return err;
}

/* By identity key alone. */
enum err login_renew(const uint8_t authority[KEY_SIZE], const struct server_addresses *servers,
		     const struct login_params *params, struct login_result *ret, uint8_t *ret_reason,
		     char error[LOGIN_ERROR_MAX])
{
	uint8_t pin[JOIN_PIN_SIZE];

	authority_pin(authority, pin);
	return run(pin, servers, params, NULL, ret, ret_reason, error);
}

static enum err fetch(struct login *login, const struct server_addresses *servers, struct login_result *ret)
{
	struct writer w = writer_over(login->frame, sizeof(login->frame));
	struct blob body;
	uint8_t type;
	size_t size;
	enum err err = connect_any(login, servers);

	if (err != OK)
		return err;
	login_frame_encode(FRAME_NETWORK_REQUEST, (struct blob){NULL, 0}, &w);
	err = writer_finish(&w, &size);
	if (err == OK)
		err = ask(login, size, &type, &body);
	if (err != OK)
		return err;
	if (type != FRAME_NETWORK_RESPONSE || body.size > sizeof(login->response.network))
		return fail(login, ERR_AUTH, "network: the server's answer cannot be read; is it of another version?");
	memcpy(login->response.network, body.data, body.size);
	login->response.network_size = body.size;
	return judge_network(login, ret);
}

/* Public to all who know the server: no proof is given. */
enum err login_fetch_network(const uint8_t authority[KEY_SIZE], const struct server_addresses *servers, uint32_t mark,
			     struct login_result *ret, char error[LOGIN_ERROR_MAX])
{
	uint8_t pin[JOIN_PIN_SIZE];
	struct login *login;
	struct login_result *result = calloc(1, sizeof(*result));
	enum err err;

	if (!result)
		abort();
	authority_pin(authority, pin);
	login = login_create(pin, mark, error);
	err = fetch(login, servers, result);
	if (err == OK) {
		result->servers = *servers;
		*ret = *result;
	}
	login_destroy(login);
	free(result);
	return err;
}

/* Of cli.md section 5. */
int login_exit_code(enum err err)
{
	switch (err) {
	case OK: return 0;
	case ERR_USAGE: return 2;
	case ERR_DENIED: return 5;
	case ERR_IO: return 6;
	default: return 1;
	}
}
