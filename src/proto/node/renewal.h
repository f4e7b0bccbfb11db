/*
 * renewal.h: when a certificate is to be renewed, and when to try again: numbers alone. By the network's time, which no
 * clock of our own has to know (T10); waiting is done in our own.
 *
 * From half of its time on, and up to a sixteenth later, by NodeID, so that devices that joined together do not come
 * together. A try that failed is repeated after 5 s, then ever more rarely, up to a thirty-second of what is left, at
 * most six hours; each five minutes when nothing is left.
 */
#pragma once

#include "base/time.h"
#include "wire/credential.h"

struct renewal {
	uint64_t due_s, not_after_s; /* since 1970 */
	struct time_us next;	     /* no try before */
	uint8_t failures;	     /* since the last that succeeded */
};

/* Of a certificate that was found. */
void renewal_init(struct renewal *renewal, const struct certificate *certificate);
/* It was renewed: this one is in force. However wrong the clocks are, an eighth of its time has to pass first. */
void renewal_succeeded(struct renewal *renewal, struct time_us now, const struct certificate *certificate);
void renewal_failed(struct renewal *renewal, struct time_us now, uint64_t network_s);
/* network_s 0: not known, nothing is due. */
bool renewal_is_due(const struct renewal *renewal, struct time_us now, uint64_t network_s);
/* When that should be asked again, if nothing happens to the clocks. */
struct time_us renewal_deadline(const struct renewal *renewal, struct time_us now, uint64_t network_s);
