/* options_suggest.c: edit distance for "did you mean". */
#include "cmd/options_suggest.h"

#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Three rows of the classic table are enough; words are bounded, so no allocation. */
size_t suggest_distance(const char *a, const char *b)
{
	size_t a_size = strlen(a), b_size = strlen(b);
	size_t rows[3][SUGGEST_WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	if (a_size > SUGGEST_WORD_MAX || b_size > SUGGEST_WORD_MAX)
		return SUGGEST_WORD_MAX;
	for (size_t j = 0; j <= b_size; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t cost = a[i - 1] != b[j - 1];

			now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		size_t *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b_size];
}

/* Short words tolerate one mistake only: otherwise every two-letter word would be near every other. */
int suggest_is_near(size_t distance, const char *word)
{
	size_t allowed = least(3, (strlen(word) + 2) / 3);

	return distance <= allowed;
}
