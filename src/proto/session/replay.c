#include "proto/session/replay.h"

#include "base/mem.h"

static uint64_t *word_of(struct replay *replay, uint64_t counter)
{
	return &replay->words[counter / 64 % REPLAY_WORDS];
}

/* Of one with a ring. */
static bool was_seen(const struct replay *replay, uint64_t counter)
{
	return replay->words[counter / 64 % REPLAY_WORDS] >> (counter % 64) & 1;
}

/* Contract in the header. */
bool replay_is_fresh(const struct replay *replay, uint64_t counter)
{
	if (counter >= replay->next)
		return true;
	if (counter < replay->floor || replay->next - counter > REPLAY_WINDOW)
		return false;
	if (!replay->words)
		return !(replay->recent >> (replay->next - 1 - counter) & 1);
	return !was_seen(replay, counter);
}

/* Whole words that were seen are passed at once. */
uint8_t replay_missing(const struct replay *replay, uint64_t below, struct span *ret, uint8_t max)
{
	uint64_t floor = replay->next > REPLAY_WINDOW ? replay->next - REPLAY_WINDOW : 0;
	uint8_t count = 0;

	if (!replay->words)
		return 0;
	if (floor < replay->floor)
		floor = replay->floor;
	for (uint64_t at = below; at > floor && count < max;) {
		uint64_t end;

		if (at % 64 == 0 && at >= floor + 64 && ~replay->words[(at - 1) / 64 % REPLAY_WORDS] == 0) {
			at -= 64;
			continue;
		}
		end = at--;
		if (was_seen(replay, at))
			continue;
		while (at > floor && !was_seen(replay, at - 1))
			at--;
		ret[count++] = (struct span){at, end};
	}
	return count;
}

/* A ring as it was when it went to rest, as far as that is known. */
static void wake(struct replay *replay)
{
	replay->words = mem_alloc(REPLAY_WORDS, sizeof(*replay->words));
	for (uint64_t at = replay->floor; at < replay->next; at++)
		if (replay->recent >> (replay->next - 1 - at) & 1)
			*word_of(replay, at) |= UINT64_C(1) << (at % 64);
}

/* Words between the old and the new highest hold bits of counters one ring earlier: they are cleared before use. */
bool replay_mark(struct replay *replay, uint64_t counter)
{
	bool highest = counter >= replay->next;

	if (!replay->words)
		wake(replay);
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

/* Contract in the header. */
void replay_rest(struct replay *replay)
{
	uint64_t floor = replay->next > REPLAY_RECENT ? replay->next - REPLAY_RECENT : 0;

	if (!replay->words)
		return;
	if (replay->floor < floor)
		replay->floor = floor;
	replay->recent = 0;
	for (uint64_t at = replay->floor; at < replay->next; at++)
		if (was_seen(replay, at))
			replay->recent |= UINT64_C(1) << (replay->next - 1 - at);
	mem_free(replay->words);
	replay->words = NULL;
}
