/* What a resolver answers to the question for a zone's coordinator: from anybody. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/zone_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct zone_record none;
	struct zone_record record = none;

	if (zone_answer_decode(data, size, "two.ntm.internal", 0x4711, &record) != OK &&
	    memcmp(&record, &none, sizeof none) != 0)
		abort();
	return 0;
}
