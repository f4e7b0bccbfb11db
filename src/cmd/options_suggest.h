/* options_suggest.h: what a person probably meant to type. */
#pragma once

#include <stddef.h>

enum { SUGGEST_WORD_MAX = 64 };

/* Edit distance with neighbour swaps (optimal string alignment); words longer than SUGGEST_WORD_MAX count as far from
 * everything. */
size_t suggest_distance(const char *a, const char *b);

/* Is `distance` near enough for a word of this length to be worth suggesting? One mistake in three letters, at most
 * three. */
int suggest_is_near(size_t distance, const char *word);
