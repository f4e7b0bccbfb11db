/* echo.h: answers that members want later, and for how long members may be silent. For the files of this folder only.
 */
#pragma once

#include "proto/coordinator/state.h"

void echo_init(struct coordinator *c);
/* For how long a member of this patience may be silent. */
int64_t echo_silence_us(unsigned step);
must_use enum err echo_answer(struct coordinator *c, struct channel *channel, const struct echo_due *echo);
void echo_begin(struct coordinator *c, struct member *member, const struct echo_due *asked, uint32_t delay_ms);
void echo_input_time(struct coordinator *c);
struct time_us echo_deadline(const struct coordinator *c);
