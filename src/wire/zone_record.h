/*
 * zone_record.h: where a zone's coordinator is, as DNS tells it: a TXT record at _ntm.ZONE, and the question for it.
 * A hint and no more: whose keys count is signed by an account server.
 *
 *   "v=ntm1" "net=PIN" "key=KEY" "at=ADDRESS:PORT" ...     PIN and KEY in lower-case hex
 */
#pragma once

#include "wire/credential.h"

enum {
	ZONE_RECORD_MAX = 512, /* the longest has 364 bytes: 6 + 36 + 68 + 4 * 63 and lengths */
	ZONE_QUESTION_MAX = 12 + 5 + ZONE_MAX_SIZE + 2 + 4 + 11,
	ZONE_CASE_SIZE = 32, /* random bits, one for each letter of the name that is asked for */
};

#define ZONE_RECORD_LABEL "_ntm."

struct zone_record {
	uint8_t pin[JOIN_PIN_SIZE]; /* of the account server's key, as in a join code */
	uint8_t static_key[KEY_SIZE];
	struct server_addresses addresses;
};

/* The data of the TXT record. */
void zone_record_encode(const struct zone_record *record, struct writer *w);
/* Unknown strings behind the first are skipped. */
must_use enum err zone_record_decode(struct reader *r, struct zone_record *ret);
/* A question to a recursive resolver. Capitals where `letters` has a bit: one more thing that a forger has to guess
 * (T22).
 */
void zone_question_encode(const char *zone, uint16_t id, const uint8_t letters[ZONE_CASE_SIZE], struct writer *w);
/*
 * Its answer: ERR_UNKNOWN when it answers something else, or not yet; ERR_DENIED when there is no such record, by the
 * word of one who was asked. The longest answer has 552 bytes, so one that was cut is nobody's.
 */
must_use enum err zone_answer_decode(const uint8_t *packet, size_t size, struct blob question, const char *zone,
				     struct zone_record *ret, uint32_t *ret_ttl_s);
