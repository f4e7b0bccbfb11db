/*
 * Answers that a member wants later, to learn whether its NAT still lets them in then: one at a time, to where the
 * question came from, no larger than that was. A member that tells a longer interval is not taken for gone before it.
 */
#include <stddef.h>

#include "proto/coordinator/echo.h"
#include "wire/keep_alive.h"
#include "wire/message.h"

#define SILENCE_MAX_US (250 * USEC_PER_SEC) /* below REJECT_AFTER_US: keys older than that are gone anyway */

/* Three of its intervals, two of the longest. */
int64_t echo_silence_us(unsigned step)
{
	int64_t three_us = 3 * (int64_t)keep_alive_step_ms(step) * USEC_PER_MSEC;

	return three_us < SILENCE_MAX_US ? three_us : SILENCE_MAX_US;
}

/* A queue per step: whoever entered first is due first. */
void echo_init(struct coordinator *c)
{
	for (unsigned step = 0; step < KEEPALIVE_STEPS; step++) {
		delay_queue_init(&c->echoes[step], (int64_t)keep_alive_step_ms(step) * USEC_PER_MSEC);
		delay_queue_init(&c->online[step], echo_silence_us(step));
	}
}

/* In the space that shows nothing; ERR_SIZE when it were larger than what it answers (E5). */
enum err echo_answer(struct coordinator *c, struct channel *channel, const struct echo_due *echo)
{
	uint8_t plaintext[CONTROL_MAX], datagram[MESSAGE_MAX];
	struct writer w = writer_over(plaintext, sizeof plaintext);
	struct update_response response = {.observed = echo->route.remote, .network_time_s = coordinator_wall_s(c)};
	size_t size;

	message_header_encode(MESSAGE_KEEP_ALIVE_ANSWER, echo->transaction, &w);
	update_response_encode(&response, &w);
	if (writer_finish(&w, &size) != OK || size > echo->size ||
	    session_seal(channel->session, LINK_SPACE_ASIDE, SEALED_CONTROL, plaintext, size, datagram) != OK)
		return ERR_SIZE;
	coordinator_send(c, &echo->route, datagram, size + OVERHEAD_SIZE);
	return OK;
}

/* A newer question takes the place of one that waits. */
void echo_begin(struct coordinator *c, struct member *member, const struct echo_due *asked, uint32_t delay_ms)
{
	unsigned step = keep_alive_step_of(delay_ms);

	delay_stop(&member->echo.delay);
	member->echo = *asked;
	delay_start(&c->echoes[step], &member->echo.delay, c->now);
	if (member->patience < step)
		member->patience = (uint8_t)step;
	c->counters.echoes++;
}

/* Those whose time has come. */
void echo_input_time(struct coordinator *c)
{
	struct delay *delay;

	for (unsigned step = 0; step < KEEPALIVE_STEPS; step++) {
		while ((delay = delay_take(&c->echoes[step], c->now)) != NULL) {
			struct member *member = (struct member *)((char *)delay - offsetof(struct member, echo.delay));

			if (member->live && !session_is_expired(member->live->session, c->now))
				(void)!echo_answer(c, member->live, &member->echo);
		}
	}
}

/* Of answers and of the silence of members. */
struct time_us echo_deadline(const struct coordinator *c)
{
	struct time_us at = TIME_NEVER;

	for (unsigned step = 0; step < KEEPALIVE_STEPS; step++)
		at = time_min(at, time_min(delay_deadline(&c->echoes[step]), delay_deadline(&c->online[step])));
	return at;
}
