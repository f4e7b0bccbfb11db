/* What a resolver answers to the question for a zone's coordinator: from anybody. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/zone_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct zone_record none;
	static const uint8_t small[ZONE_CASE_SIZE];
	struct zone_record record = none;
	uint8_t question[ZONE_QUESTION_MAX];
	struct writer w = writer_over(question, sizeof question);
	uint32_t ttl_s;

	zone_question_encode("two.ntm.internal", 0x4711, small, &w);
	if (zone_answer_decode(data, size, (struct blob){question, w.at}, "two.ntm.internal", &record, &ttl_s) != OK &&
	    memcmp(&record, &none, sizeof none) != 0)
		abort();
	return 0;
}
