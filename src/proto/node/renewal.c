#include "proto/node/renewal.h"

#include <string.h>

#define RETRY_MIN_US (5 * USEC_PER_SEC)
#define RETRY_MAX_US (6 * 3600 * USEC_PER_SEC)
#define RETRY_EXPIRED_US (300 * USEC_PER_SEC)
enum { LEFT_SHARE = 32, JITTER_SHARE = 16, FAILURES_MAX = 32, WAIT_MAX_S = 7 * 86400 };

/* A certificate holds from some time before it was made. */
static uint64_t made_s(const struct certificate *certificate)
{
	uint64_t made = certificate->not_before_s + (uint64_t)CERTIFICATE_SKEW_S;

	return made < certificate->not_after_s ? made : certificate->not_before_s;
}

static uint64_t span_s(const struct certificate *certificate)
{
	return certificate->not_after_s - made_s(certificate);
}

/* Contract in the header. */
void renewal_init(struct renewal *renewal, const struct certificate *certificate)
{
	uint64_t span = span_s(certificate);
	uint32_t phase;

	memcpy(&phase, &certificate->id, sizeof phase);
	*renewal = (struct renewal){
		.due_s = made_s(certificate) + span / 2 + span / JITTER_SHARE * (phase % 256) / 256,
		.not_after_s = certificate->not_after_s,
	};
}

/* Contract in the header. */
void renewal_succeeded(struct renewal *renewal, struct time_us now, const struct certificate *certificate)
{
	renewal_init(renewal, certificate);
	renewal->next = time_add(now, (int64_t)(span_s(certificate) / 8) * USEC_PER_SEC);
}

/* What is left decides how rare a try may become. */
static int64_t retry_max_us(const struct renewal *renewal, uint64_t network_s)
{
	uint64_t left_s = renewal->not_after_s > network_s ? renewal->not_after_s - network_s : 0;
	int64_t share_us = (int64_t)(left_s / LEFT_SHARE) * USEC_PER_SEC;

	if (left_s == 0)
		return RETRY_EXPIRED_US;
	return share_us < RETRY_MAX_US ? share_us : RETRY_MAX_US;
}

/* Contract in the header. */
void renewal_failed(struct renewal *renewal, struct time_us now, uint64_t network_s)
{
	int64_t max_us = retry_max_us(renewal, network_s), wait_us = RETRY_MIN_US;

	for (unsigned i = 0; i < renewal->failures && 2 * wait_us <= max_us; i++)
		wait_us *= 2;
	renewal->failures += renewal->failures < FAILURES_MAX;
	renewal->next = time_add(now, wait_us);
}

/* Contract in the header. */
bool renewal_is_due(const struct renewal *renewal, struct time_us now, uint64_t network_s)
{
	return network_s > 0 && network_s >= renewal->due_s && time_reached(now, renewal->next);
}

/* Contract in the header. */
struct time_us renewal_deadline(const struct renewal *renewal, struct time_us now, uint64_t network_s)
{
	uint64_t wait_s = renewal->due_s > network_s ? renewal->due_s - network_s : 0;
	struct time_us due;

	if (network_s == 0)
		return TIME_NEVER;
	due = time_add(now, (int64_t)(wait_s < WAIT_MAX_S ? wait_s : WAIT_MAX_S) * USEC_PER_SEC);
	return due.us > renewal->next.us ? due : renewal->next;
}
