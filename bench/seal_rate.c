/*
 * seal_rate.c: where the time of a packet's protection goes, in nanoseconds a packet: a copy, the bare AEAD of each
 * library, in place and out of place, and what the session adds (header, counter, nonce, window). Packets are in trains
 * as TUN and sockets have them: one behind the other, from one buffer into another. The cases take turns, the median of
 * many rounds counts; what disturbs one train does not disturb the median.
 *
 * usage: seal-rate [--json] [ROUNDS]     default 2000 rounds
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/session/session.h"
#include "stopwatch.h"

enum { TRAIN = 45, INNER_MAX = 1420, SMALL = 64, ROUNDS_MAX = 20000, PATH_ID = 7, SUITES = 2, BACKENDS = 2 };

static const struct {
	const char *name;
	enum aead_backend backend;
} backends[BACKENDS] = {{"ipsec-mb", AEAD_BACKEND_IPSEC_MB}, {"openssl", AEAD_BACKEND_OPENSSL}};

static const struct {
	const char *name;
	enum aead_algorithm algorithm;
	enum suite suite;
} suites[SUITES] = {{"AES-256-GCM", AEAD_AES256_GCM, SUITE_AES256_GCM},
		    {"ChaCha20-Poly1305", AEAD_CHACHA20_POLY1305, SUITE_CHACHA20_POLY1305}};

/* One way of protecting packets of one size. */
struct bench {
	struct aead_key *key;
	struct session *sealing, *opening;
	size_t inner;
};

static uint8_t plain[TRAIN * INNER_MAX], sealed[TRAIN * (INNER_MAX + OVERHEAD_SIZE)], opened[TRAIN * INNER_MAX];

/* Written long before they are read, as those of a session are written at once. */
static uint8_t nonces[TRAIN][16];

static void fail(const char *what)
{
	fprintf(stderr, "seal-rate: %s\n", what);
	exit(1);
}

static uint8_t *outer_at(const struct bench *b, size_t i)
{
	return sealed + i * (b->inner + OVERHEAD_SIZE);
}

static void nothing(struct bench *b)
{
	(void)b;
}

static void copy(struct bench *b)
{
	for (size_t i = 0; i < TRAIN; i++)
		memcpy(outer_at(b, i) + HEADER_SIZE, plain + i * b->inner, b->inner);
}

static void aead_seal_train(struct bench *b)
{
	for (size_t i = 0; i < TRAIN; i++) {
		aead_seal(b->key, nonces[i], outer_at(b, i), HEADER_SIZE, plain + i * b->inner, b->inner,
			  outer_at(b, i) + HEADER_SIZE);
	}
}

static void aead_seal_in_place(struct bench *b)
{
	for (size_t i = 0; i < TRAIN; i++) {
		uint8_t *at = outer_at(b, i);

		aead_seal(b->key, nonces[i], at, HEADER_SIZE, at + HEADER_SIZE, b->inner, at + HEADER_SIZE);
	}
}

static void aead_open_train(struct bench *b)
{
	for (size_t i = 0; i < TRAIN; i++) {
		if (aead_open(b->key, nonces[i], outer_at(b, i), HEADER_SIZE, outer_at(b, i) + HEADER_SIZE, b->inner,
			      opened + i * b->inner) != OK)
			fail("an AEAD does not open what it sealed");
	}
}

static void session_seal_train(struct bench *b)
{
	for (size_t i = 0; i < TRAIN; i++)
		if (session_seal(b->sealing, 0, 0, plain + i * b->inner, b->inner, outer_at(b, i)) != OK)
			fail("a session does not seal");
}

static void session_open_train(struct bench *b)
{
	struct opened what;

	for (size_t i = 0; i < TRAIN; i++)
		if (session_open(b->opening, outer_at(b, i), b->inner + OVERHEAD_SIZE, opened + i * b->inner, &what) !=
		    OK)
			fail("a session does not open what the other sealed");
}

static const struct {
	const char *name;
	void (*prepare)(struct bench *b), (*run)(struct bench *b);
} steps[] = {
	{"copy", nothing, copy},
	{"AEAD seals out of place", nothing, aead_seal_train},
	{"AEAD seals in place", nothing, aead_seal_in_place},
	{"AEAD opens", aead_seal_train, aead_open_train},
	{"session seals", nothing, session_seal_train},
	{"session opens", session_seal_train, session_open_train},
};

enum { STEPS = sizeof steps / sizeof *steps };

static const size_t sizes[] = {INNER_MAX, SMALL};

enum { SIZES = sizeof sizes / sizeof *sizes };

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

static struct bench bench_make(struct aead_provider *provider, unsigned suite, size_t inner)
{
	struct session_keys keys = {.to_responder = {1}, .to_initiator = {2}, .rekey_psk = {3}};
	struct time_us now = {1};

	return (struct bench){
		.key = aead_key_create(provider, suites[suite].algorithm, keys.to_responder),
		.sealing = session_create(provider, suites[suite].suite, true, PATH_ID, &keys, now),
		.opening = session_create(provider, suites[suite].suite, false, PATH_ID, &keys, now),
		.inner = inner,
	};
}

static void bench_drop(struct bench *b)
{
	aead_key_destroy(b->key);
	session_destroy(b->sealing);
	session_destroy(b->opening);
}

/* Nanoseconds a packet of every step of one way; all zero where the library is missing. */
static void measure(unsigned backend, unsigned suite, size_t inner, unsigned rounds, double ret_ns[STEPS])
{
	static double took[STEPS][ROUNDS_MAX];
	struct aead_provider *provider = aead_provider_create(backends[backend].backend);
	struct bench b;

	memset(ret_ns, 0, STEPS * sizeof *ret_ns);
	if (!provider)
		return;
	b = bench_make(provider, suite, inner);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned step = 0; step < STEPS; step++) {
			uint64_t start;

			steps[step].prepare(&b);
			start = now_ns();
			steps[step].run(&b);
			took[step][round] = (double)(now_ns() - start) / TRAIN;
		}
	for (unsigned step = 0; step < STEPS; step++) {
		qsort(took[step], rounds, sizeof took[step][0], compare);
		ret_ns[step] = took[step][rounds / 2];
	}
	bench_drop(&b);
	aead_provider_destroy(provider);
}

static void print_one(bool is_json, unsigned backend, unsigned suite, size_t inner, const double *ns)
{
	if (is_json) {
		for (unsigned step = 0; step < STEPS; step++)
			printf("{\"backend\": \"%s\", \"suite\": \"%s\", \"bytes\": %zu, \"step\": \"%s\", \"ns\": "
			       "%.1f}\n",
			       backends[backend].name, suites[suite].name, inner, steps[step].name, ns[step]);
		return;
	}
	printf("%-9s %-18s %5zu B", backends[backend].name, suites[suite].name, inner);
	for (unsigned step = 0; step < STEPS; step++)
		printf(" %*.1f", (int)strlen(steps[step].name), ns[step]);
	printf("\n");
}

int main(int argc, char **argv)
{
	bool is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
	unsigned long wished = argc > 1 + is_json ? strtoul(argv[1 + is_json], NULL, 10) : 2000;
	unsigned rounds = wished < 1 ? 1 : wished > ROUNDS_MAX ? ROUNDS_MAX : (unsigned)wished;
	double ns[STEPS];

	if (!crypto_init())
		return 1;
	for (unsigned i = 0; i < TRAIN; i++)
		nonces[i][0] = (uint8_t)i;
	if (!is_json)
		printf("ns a packet, trains of %d        ", TRAIN);
	for (unsigned step = 0; !is_json && step < STEPS; step++)
		printf(" %s", steps[step].name);
	if (!is_json)
		printf("\n");
	for (unsigned size = 0; size < SIZES; size++)
		for (unsigned backend = 0; backend < BACKENDS; backend++)
			for (unsigned suite = 0; suite < SUITES; suite++) {
				measure(backend, suite, sizes[size], rounds, ns);
				if (ns[0] > 0)
					print_one(is_json, backend, suite, sizes[size], ns);
			}
	return 0;
}
