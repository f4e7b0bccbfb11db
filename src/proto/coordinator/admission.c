#include "proto/coordinator/admission.h"

#include <string.h>

#include "crypto/hash.h"

/*
 * Refusing one who has no certificate takes about 300 us here (four Diffie-Hellmans, an ephemeral key, a signature),
 * whoever lacks a key only 50: a prefix gets at most 3 % of a core, all unproven ones together 30 %, and so do those
 * whose source is proved.
 */
static const struct bucket_rate prefix_rate = {.per_s = 100, .burst = 400};
static const struct bucket_rate all_rate = {.per_s = 1000, .burst = 2000};

enum { MILLION = 1000000 };

/* Refills by the time that passed, then takes. */
bool bucket_take(struct bucket *bucket, const struct bucket_rate *rate, struct time_us now)
{
	int64_t full = rate->burst * MILLION;
	int64_t passed_us = time_since(now, bucket->at);

	if (bucket->at.us == 0 || passed_us >= full / rate->per_s)
		bucket->microtokens = full;
	else
		bucket->microtokens += passed_us * rate->per_s;
	if (bucket->microtokens > full)
		bucket->microtokens = full;
	bucket->at = now.us ? now : (struct time_us){1};
	if (bucket->microtokens < MILLION)
		return false;
	bucket->microtokens -= MILLION;
	return true;
}

enum { ASKED = 0x80 }; /* in a prefix's key: what its proved sources take is counted apart */

/* /32 of IPv4, /64 of IPv6: what one party can be expected to hold. */
static uint64_t prefix_key(const struct admission *admission, const struct ip *source, uint8_t flags)
{
	uint8_t bytes[9] = {source->family | flags};
	uint64_t key;

	memcpy(bytes + 1, source->bytes, source->family == 4 ? 4 : 8);
	key = siphash(admission->hash_key, bytes, sizeof bytes);
	return key ? key : 1;
}

/* Its entry, or the one to give up for it: an unproven one that was quiet for longest. NULL when all four are proven
 * others. */
static struct admission_entry *entry_find(struct admission *admission, uint64_t key, struct time_us now)
{
	struct admission_entry *set = admission->entries[key % ADMISSION_SETS];
	struct admission_entry *victim = NULL;

	for (int i = 0; i < ADMISSION_WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	for (int i = 0; i < ADMISSION_WAYS; i++) {
		/* A bucket that had a day to fill says nothing any more. */
		bool is_kept =
			set[i].key && set[i].is_proven && time_since(now, set[i].bucket.at) < 86400 * USEC_PER_SEC;

		if (!is_kept && (!victim || set[i].bucket.at.us < victim->bucket.at.us))
			victim = &set[i];
	}
	if (victim)
		*victim = (struct admission_entry){.key = key};
	return victim;
}

/* Unproven prefixes pass both buckets, proven ones their own only. */
bool admission_take(struct admission *admission, const struct ip *source, struct time_us now)
{
	struct admission_entry *entry = entry_find(admission, prefix_key(admission, source, 0), now);

	if (entry && !bucket_take(&entry->bucket, &prefix_rate, now))
		return false;
	if (entry && entry->is_proven)
		return true;
	return bucket_take(&admission->all, &all_rate, now);
}

/* Contract in the header. */
bool admission_take_asked(struct admission *admission, const struct ip *source, struct time_us now)
{
	struct admission_entry *entry = entry_find(admission, prefix_key(admission, source, ASKED), now);

	if (entry && !bucket_take(&entry->bucket, &prefix_rate, now))
		return false;
	return bucket_take(&admission->asked, &all_rate, now);
}

/* Without an entry, as all of its set are proven others, nothing is held against it. */
bool admission_take_own(struct admission *admission, const struct ip *source, const struct bucket_rate *rate,
			struct time_us now)
{
	struct admission_entry *entry = entry_find(admission, prefix_key(admission, source, 0), now);

	return !entry || bucket_take(&entry->bucket, rate, now);
}

/* Called for authenticated members only, so the table of the proven cannot be filled by forgeries. */
void admission_prove(struct admission *admission, const struct ip *source, struct time_us now)
{
	struct admission_entry *entry = entry_find(admission, prefix_key(admission, source, 0), now);

	if (entry)
		entry->is_proven = true;
}
