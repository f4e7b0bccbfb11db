#include "proto/session/replay.h"

static uint64_t *word_of(struct replay *replay, uint64_t counter)
{
	return &replay->words[counter / 64 % REPLAY_WORDS];
}

/* Contract in the header. */
bool replay_is_fresh(const struct replay *replay, uint64_t counter)
{
	if (counter >= replay->next)
		return true;
	if (replay->next - counter > REPLAY_WINDOW)
		return false;
	return !(replay->words[counter / 64 % REPLAY_WORDS] >> (counter % 64) & 1);
}

/* Words between the old and the new highest hold bits of counters one ring earlier: they are cleared before use. */
bool replay_mark(struct replay *replay, uint64_t counter)
{
	bool highest = counter >= replay->next;

	if (highest) {
		uint64_t last = replay->next ? (replay->next - 1) / 64 : 0;
		uint64_t ahead = counter / 64 - last;

		if (ahead > REPLAY_WORDS)
			ahead = REPLAY_WORDS;
		for (uint64_t i = 0; i < ahead; i++)
			*word_of(replay, counter - i * 64) = 0;
		replay->next = counter + 1;
	}
	*word_of(replay, counter) |= UINT64_C(1) << (counter % 64);
	return highest;
}
