/*
 * A coordinator that is about to stop says so to its members. They ask for it again at once, and rarer with time, until
 * it is back; who hears nothing finds out with its next beat. Nothing is ended by it: a member's tunnels do not need
 * us.
 */
#include "proto/coordinator/state.h"

#include "wire/message.h"
#include "wire/tunnel.h"

/* Members told between two pulls: each at one place, or at two while it is not clear which is right. */
enum { TOLD_AT_ONCE = OUT_MAX / 2 };

static void tell(struct coordinator *c, struct channel *channel)
{
	uint8_t plaintext[32];
	struct writer w = writer_over(plaintext, sizeof plaintext);

	message_header_encode(MESSAGE_CLOSE, coordinator_random_u32(c), &w);
	close_encode(&(struct close){.reason = REASON_LEAVING}, &w);
	(void)channel_send(c, channel, &w, false);
}

/* Contract in the header. */
bool coordinator_leave(struct coordinator *c, struct time_us now, uint32_t *cursor)
{
	uint32_t end = *cursor + TOLD_AT_ONCE;

	if (c->now.us < now.us)
		c->now = now;
	for (; *cursor < c->counters.nodes && *cursor < end; ++*cursor)
		if (c->members[*cursor]->live)
			tell(c, c->members[*cursor]->live);
	return *cursor < c->counters.nodes;
}
