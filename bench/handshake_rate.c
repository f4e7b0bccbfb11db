/*
 * handshake_rate.c: what a handshake costs each end, and what a message that is none costs whom it is sent to, in CPU
 * microseconds of one core, beside what X25519 allows (reference R5). Cases take turns, round by round; the median
 * counts. A handshake of this pattern has five X25519 at each end (ephemeral key, es, ss, ee, se), and four when the
 * peer is known: ss is computed once for each.
 *
 * usage: handshake-rate [--json] [ROUNDS]     default 30 rounds of 10 of each case
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "proto/session/cookie.h"
#include "proto/session/handshake.h"
#include "proto/session/session.h"
#include "proto/session/trust.h"
#include "stopwatch.h"

enum { ROUNDS_MAX = 500, REPEATS = 10, X25519_FRESH = 10, X25519_KNOWN = 8, PATH_ID = 7, PAYLOAD = 700 };

struct end {
	struct dh_keys keys;
	uint8_t mac1_key[KEY_SIZE];
	struct static_pair known;
	struct handshake_prepared prepared;
};

/* Two ends, their messages, and a certificate. */
struct world {
	struct end initiator, responder;
	uint8_t psk[KEY_SIZE], seed[KEY_SIZE], payload[MESSAGE_MAX];
	struct handshake begun, accepted;
	uint8_t request[MESSAGE_MAX], response[MESSAGE_MAX], forged[MESSAGE_MAX];
	size_t request_size, response_size;
	struct session_keys keys[2];
	struct aead_provider *aead;
	struct sign_keys authority;
	uint8_t certificate[CERTIFICATE_MAX_SIZE];
	size_t certificate_size;
	struct signature_cache *signatures;
};

static void fail(const char *what)
{
	fprintf(stderr, "handshake-rate: %s does not work\n", what);
	exit(1);
}

static void must(enum err err, const char *what)
{
	if (err != OK)
		fail(what);
}

static struct handshake_setup setup_of(const struct world *w, const struct end *own, const struct end *other,
				       uint8_t type, bool known, bool prepared)
{
	return (struct handshake_setup){
		.local_static = &own->keys,
		.remote_static = other->keys.public,
		.psk = w->psk,
		.known = known ? &own->known : NULL,
		.prepared = prepared ? &own->prepared : NULL,
		.mac1_key = other->mac1_key,
		.type = type,
		.path_id = PATH_ID,
		.ephemeral_seed = w->seed,
	};
}

static void begin(struct world *w, bool known, bool prepared)
{
	struct handshake_setup setup =
		setup_of(w, &w->initiator, &w->responder, PACKET_TUNNEL_REQUEST, known, prepared);

	w->seed[0]++;
	must(handshake_begin(&w->begun, &setup, (struct blob){w->payload, PAYLOAD}, w->request, &w->request_size),
	     "begin");
}

/* The responder's whole part, in the order of a node: MAC, contents, answer. */
static void respond(struct world *w, bool known, bool prepared)
{
	struct handshake_setup setup =
		setup_of(w, &w->responder, &w->initiator, PACKET_TUNNEL_RESPONSE, known, prepared);
	uint8_t payload[MESSAGE_MAX];
	size_t size;

	w->seed[0]++;
	must(handshake_mac1_check(w->request, w->request_size, w->responder.mac1_key), "mac1");
	must(handshake_accept(&w->accepted, &setup, w->request, w->request_size, payload, &size), "accept");
	must(handshake_answer(&w->accepted, &setup, (struct blob){w->payload, 16}, w->response, &w->response_size,
			      &w->keys[1]),
	     "answer");
}

static void finish(struct world *w)
{
	uint8_t payload[MESSAGE_MAX];
	size_t size;

	must(handshake_mac1_check(w->response, w->response_size, w->initiator.mac1_key), "mac1");
	must(handshake_finish(&w->begun, &w->initiator.keys, w->response, w->response_size, payload, &size,
			      &w->keys[0]),
	     "finish");
}

static void run_x25519(struct world *w)
{
	uint8_t shared[KEY_SIZE];

	must(dh(w->initiator.keys.secret, w->responder.keys.public, shared), "dh");
}

static void run_key(struct world *w)
{
	struct dh_keys keys;

	w->seed[0]++;
	dh_keys_from_seed(w->seed, &keys);
}

static void run_fresh(struct world *w)
{
	begin(w, false, false);
	respond(w, false, false);
	finish(w);
}

static void run_known(struct world *w)
{
	begin(w, true, false);
	respond(w, true, false);
	finish(w);
}

/* What is between the first request and its answer's arrival when both ends had a moment before. */
static void run_prepared(struct world *w)
{
	begin(w, true, true);
	respond(w, true, true);
	finish(w);
}

static void run_prepare(struct world *w)
{
	w->seed[0]++;
	must(handshake_prepare(w->seed, w->initiator.keys.public, &w->responder.prepared), "prepare");
}

static void run_begin(struct world *w)
{
	begin(w, true, false);
}

static void run_respond(struct world *w)
{
	respond(w, true, false);
}

static void run_session(struct world *w)
{
	struct session *session =
		session_create(w->aead, SUITE_AES256_GCM, true, PATH_ID, &w->keys[0], (struct time_us){1});

	session_destroy(session);
}

/* --- messages that are none; w->request holds a good one --- */

static void run_short(struct world *w)
{
	if (handshake_mac1_check(w->request, HEADER_SIZE, w->responder.mac1_key) == OK)
		fail("refusing a short message");
}

static void run_bad_mac1(struct world *w)
{
	memcpy(w->forged, w->request, w->request_size);
	w->forged[HEADER_SIZE] ^= 1;
	if (handshake_mac1_check(w->forged, w->request_size, w->responder.mac1_key) == OK)
		fail("refusing a forged message");
}

static void judge_forged(struct world *w)
{
	struct handshake_setup setup = setup_of(w, &w->responder, &w->initiator, PACKET_TUNNEL_RESPONSE, true, false);
	uint8_t payload[MESSAGE_MAX];
	struct handshake h;
	size_t size;

	mac(w->responder.mac1_key, w->forged, w->request_size - 2 * MAC_SIZE,
	    w->forged + w->request_size - 2 * MAC_SIZE);
	must(handshake_mac1_check(w->forged, w->request_size, w->responder.mac1_key), "mac1");
	if (handshake_accept(&h, &setup, w->forged, w->request_size, payload, &size) == OK)
		fail("refusing a forged message");
}

/* Whoever knows mac1's key, but not the rest: an ephemeral key of its own. */
static void run_bad_ephemeral(struct world *w)
{
	memcpy(w->forged, w->request, w->request_size);
	w->forged[HEADER_SIZE] ^= 1;
	judge_forged(w);
}

/* The last bytes: only what both static keys share and the psk tell. */
static void run_bad_payload(struct world *w)
{
	memcpy(w->forged, w->request, w->request_size);
	w->forged[w->request_size - 2 * MAC_SIZE - 1] ^= 1;
	judge_forged(w);
}

static const struct addr source = {.ip = {.family = 4, .bytes = {192, 0, 2, 1}}, .port = 7367};

/* Over the budget: what is done instead of a key exchange. */
static void run_cookie(struct world *w)
{
	static const uint8_t nonce[COOKIE_NONCE_SIZE];
	uint8_t reply[COOKIE_REPLY_SIZE];

	must(handshake_mac1_holds(w->request, w->request_size, w->responder.mac1_key), "mac1");
	if (cookie_is_proof(w->psk, (struct time_us){1}, &source, w->request, w->request_size))
		fail("refusing a message without a cookie");
	cookie_reply_make(w->psk, w->responder.keys.public, (struct time_us){1}, &source, w->request, w->request_size,
			  nonce, reply);
}

/* A mac2 that proves nothing costs most: both periods are tried. */
static void run_false_proof(struct world *w)
{
	memcpy(w->forged, w->request, w->request_size);
	w->forged[w->request_size - 1] = 1;
	must(handshake_mac1_holds(w->forged, w->request_size, w->responder.mac1_key), "mac1");
	if (cookie_is_proof(w->psk, (struct time_us){1}, &source, w->forged, w->request_size))
		fail("refusing a false proof");
}

static void run_certificate(struct world *w)
{
	struct certificate certificate;

	must(certificate_judge((struct blob){w->certificate, w->certificate_size}, w->authority.public, 1,
			       &certificate),
	     "certificate");
}

static void run_certificate_again(struct world *w)
{
	struct certificate certificate;

	must(certificate_judge_cached(w->signatures, (struct blob){w->certificate, w->certificate_size},
				      w->authority.public, 1, &certificate),
	     "certificate");
}

enum { CASE_X25519, CASE_FRESH = 2, CASE_KNOWN = 3 };

static const struct {
	const char *name;
	void (*run)(struct world *w);
} cases[] = {
	[CASE_X25519] = {"X25519 (R5)", run_x25519},
	{"X25519 of a new key", run_key},
	[CASE_FRESH] = {"handshake, both ends", run_fresh},
	[CASE_KNOWN] = {"handshake, both ends, peers known", run_known},
	{"handshake, what is on the way when both are prepared", run_prepared},
	{"preparing one end", run_prepare},
	{"request, peer known", run_begin},
	{"answer, peer known", run_respond},
	{"keys of a session, AES-256-GCM", run_session},
	{"stranger: too short", run_short},
	{"stranger: mac1 wrong", run_bad_mac1},
	{"stranger: mac1 right, ephemeral key wrong", run_bad_ephemeral},
	{"stranger: mac1 right, payload wrong", run_bad_payload},
	{"over the budget: a cookie instead", run_cookie},
	{"over the budget: mac2 wrong", run_false_proof},
	{"certificate", run_certificate},
	{"certificate seen before", run_certificate_again},
};

enum { CASES = sizeof cases / sizeof *cases };

static void end_make(struct end *end, uint8_t fill)
{
	uint8_t seed[KEY_SIZE];

	memset(seed, fill, sizeof seed);
	dh_keys_from_seed(seed, &end->keys);
	handshake_mac1_key(end->keys.public, NULL, end->mac1_key);
}

static void end_know(struct end *own, const struct end *other, uint8_t fill)
{
	uint8_t seed[KEY_SIZE];

	memset(seed, fill, sizeof seed);
	must(static_pair_make(&own->keys, other->keys.public, &own->known), "pair");
	must(handshake_prepare(seed, other->keys.public, &own->prepared), "prepare");
}

static void world_make(struct world *w)
{
	struct certificate certificate = {
		.serial = 1, .fqdn = "laptop.mobile.example", .account = "alice", .not_after_s = 1000};
	struct writer writer = writer_over(w->certificate, sizeof w->certificate);
	uint8_t seed[KEY_SIZE] = {9};

	end_make(&w->initiator, 1);
	end_make(&w->responder, 2);
	end_know(&w->initiator, &w->responder, 3);
	end_know(&w->responder, &w->initiator, 4);
	w->aead = aead_provider_create(AEAD_BACKEND_AUTO);
	w->signatures = signature_cache_create(64);
	sign_keys_from_seed(seed, &w->authority);
	memcpy(certificate.identity_key, w->authority.public, KEY_SIZE);
	certificate.id = node_id_of(certificate.identity_key);
	memcpy(certificate.static_key, w->initiator.keys.public, KEY_SIZE);
	certificate_sign(&certificate, &w->authority);
	certificate_encode(&certificate, &writer);
	must(writer_finish(&writer, &w->certificate_size), "certificate");
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static void print_text(const double *us)
{
	for (unsigned i = 0; i < CASES; i++)
		printf("%-54s %8.2f us\n", cases[i].name, us[i]);
	printf("handshakes a second on one core, both ends %.0f, peers known %.0f; X25519 %.0f\n", 1e6 / us[CASE_FRESH],
	       1e6 / us[CASE_KNOWN], 1e6 / us[CASE_X25519]);
	printf("share of what R5 allows: %.3f (%d X25519 each), peers known %.3f (%d)\n",
	       X25519_FRESH * us[CASE_X25519] / us[CASE_FRESH], X25519_FRESH,
	       X25519_KNOWN * us[CASE_X25519] / us[CASE_KNOWN], X25519_KNOWN);
}

static void print_json(const double *us)
{
	printf("{");
	for (unsigned i = 0; i < CASES; i++)
		printf("\"%s\": %.3f, ", cases[i].name, us[i]);
	printf("\"x25519_fresh\": %d, \"x25519_known\": %d}\n", X25519_FRESH, X25519_KNOWN);
}

int main(int argc, char **argv)
{
	static struct world world;
	static double took[CASES][ROUNDS_MAX];
	bool is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
	unsigned long wished = argc > 1 + is_json ? strtoul(argv[1 + is_json], NULL, 10) : 30;
	unsigned rounds = wished < 1 ? 1 : wished > ROUNDS_MAX ? ROUNDS_MAX : (unsigned)wished;
	double medians[CASES];

	if (!crypto_init())
		return 1;
	world_make(&world);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < CASES; i++) {
			uint64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

			for (int k = 0; k < REPEATS; k++)
				cases[i].run(&world);
			took[i][round] = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / 1e3 / REPEATS;
		}
	for (unsigned i = 0; i < CASES; i++) {
		qsort(took[i], rounds, sizeof took[i][0], compare);
		medians[i] = took[i][rounds / 2];
	}
	if (is_json)
		print_json(medians);
	else
		print_text(medians);
	signature_cache_destroy(world.signatures);
	aead_provider_destroy(world.aead);
	return 0;
}
