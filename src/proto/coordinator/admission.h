/* admission.h: token buckets: strangers' first messages by source prefix and in total (security 2), members' requests.
 * Fixed memory. */
#pragma once

#include "base/addr.h"
#include "base/time.h"

/* Tokens in millionths, so that rates per second work with microseconds. */
struct bucket {
	int64_t microtokens;
	struct time_us at;
};

struct bucket_rate {
	int64_t per_s, burst;
};

/* Takes one token if there is one. An all-zero bucket is a full one. */
bool bucket_take(struct bucket *bucket, const struct bucket_rate *rate, struct time_us now);

enum { ADMISSION_WAYS = 4, ADMISSION_SETS = 2048 };

struct admission_entry {
	uint64_t key; /* 0: free */
	bool is_proven;
	struct bucket bucket;
};

struct admission {
	uint8_t hash_key[16];
	uint8_t cookie_secret[32];
	struct bucket all, asked;
	struct admission_entry entries[ADMISSION_SETS][ADMISSION_WAYS];
};

/*
 * May a first message from here cost a key exchange now? Prefixes that proved themselves do not share the budget of
 * those that did not, so a flood from forged sources cannot lock out who was here before.
 */
bool admission_take(struct admission *admission, const struct ip *source, struct time_us now);
/*
 * The same for a message over that budget whose source is proved by a cookie: such sources share another one, of which
 * forged sources can take nothing, neither in common nor in their name.
 */
bool admission_take_asked(struct admission *admission, const struct ip *source, struct time_us now);
/* The same for what has no budget in common: the prefix's own one at this rate. */
bool admission_take_own(struct admission *admission, const struct ip *source, const struct bucket_rate *rate,
			struct time_us now);
/* A handshake from here was finished: the source is no forgery. */
void admission_prove(struct admission *admission, const struct ip *source, struct time_us now);
