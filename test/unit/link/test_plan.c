/* What becomes of frames: each impairment by itself, the same again for the same seed, order, the bounded queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dice.h"
#include "histogram.h"
#include "plan.h"

enum { FRAMES = 20000, FRAME_BYTES = 1014, SEED = 7 };

static const uint64_t MSEC = 1000000;
static const uint64_t GAP_NSEC = 1000000;

struct tally {
	unsigned fates[PLAN_FATES];
	unsigned copies, late, overtaken;
	unsigned longest_loss; /* frames in a row */
	uint64_t least_ns, most_ns, sum_ns;
	uint64_t trace; /* of every decision in turn */
};

/* Sends FRAMES frames a millisecond apart and counts what became of them. */
static struct tally send_all(const struct plan_settings *settings, uint64_t seed, uint64_t gap_ns)
{
	struct tally tally = {.least_ns = UINT64_MAX};
	struct plan_verdict verdict;
	struct plan plan;
	uint64_t latest_ns = 0;
	unsigned lost_now = 0;

	plan_init(&plan, seed);
	plan_set(&plan, settings);
	for (uint64_t i = 0; i < FRAMES; i++) {
		uint64_t arrival_ns = 50 * MSEC + i * gap_ns, took_ns;

		plan_decide(&plan, arrival_ns, FRAME_BYTES, &verdict);
		tally.fates[verdict.fate]++;
		tally.copies += verdict.copies;
		tally.trace = (tally.trace ^ (verdict.due_ns[0] + verdict.fate)) * 0x100000001b3u;
		lost_now = verdict.copies == 0 ? lost_now + 1 : 0;
		tally.longest_loss = lost_now > tally.longest_loss ? lost_now : tally.longest_loss;
		if (verdict.copies == 0)
			continue;
		took_ns = verdict.due_ns[0] - arrival_ns;
		tally.least_ns = took_ns < tally.least_ns ? took_ns : tally.least_ns;
		tally.most_ns = took_ns > tally.most_ns ? took_ns : tally.most_ns;
		tally.sum_ns += took_ns;
		tally.overtaken += verdict.due_ns[0] < latest_ns;
		latest_ns = verdict.due_ns[0] > latest_ns ? verdict.due_ns[0] : latest_ns;
	}
	return tally;
}

static void assert_share(unsigned count, double share)
{
	assert_in_range(count, (uintmax_t)(FRAMES * share * 0.85), (uintmax_t)(FRAMES * share * 1.15));
}

static void test_nothing_set(void **state)
{
	struct tally tally = send_all(&(struct plan_settings){0}, SEED, GAP_NSEC);

	(void)state;
	assert_int_equal(tally.copies, FRAMES);
	assert_int_equal(tally.most_ns, 0);
}

static void test_delay_and_jitter(void **state)
{
	struct plan_settings settings = {.delay_ns = 10 * MSEC};
	struct tally tally = send_all(&settings, SEED, GAP_NSEC);

	(void)state;
	assert_int_equal(tally.least_ns, 10 * MSEC);
	assert_int_equal(tally.most_ns, 10 * MSEC);
	settings.jitter_ns = 2 * MSEC;
	tally = send_all(&settings, SEED, 10 * GAP_NSEC);
	assert_in_range(tally.least_ns, 8 * MSEC, 8 * MSEC + MSEC / 10);
	assert_in_range(tally.most_ns, 12 * MSEC - MSEC / 10, 12 * MSEC);
	assert_in_range(tally.sum_ns / FRAMES, 10 * MSEC - MSEC / 10, 10 * MSEC + MSEC / 10);
	/* Frames closer together than the jitter wait for each other. */
	tally = send_all(&settings, SEED, GAP_NSEC / 10);
	assert_int_equal(tally.overtaken, 0);
	/* More jitter than delay: nothing leaves before it came. */
	settings = (struct plan_settings){.delay_ns = MSEC, .jitter_ns = 5 * MSEC};
	tally = send_all(&settings, SEED, 10 * GAP_NSEC);
	assert_int_equal(tally.least_ns, 0);
}

static void test_loss(void **state)
{
	struct plan_settings settings = {.loss_ppm = 50000};
	struct tally tally = send_all(&settings, SEED, GAP_NSEC);

	(void)state;
	assert_share(tally.fates[PLAN_LOST], 0.05);
	assert_int_equal(tally.copies + tally.fates[PLAN_LOST], FRAMES);
	settings.loss_ppm = DICE_PPM;
	tally = send_all(&settings, SEED, GAP_NSEC);
	assert_int_equal(tally.fates[PLAN_LOST], FRAMES);
}

/* Gilbert-Elliott: bad 1/(1+20) of the time, bursts of 5 frames in the mean: far longer than chance makes them. */
static void test_burst_loss(void **state)
{
	struct plan_settings settings = {.burst_begin_ppm = 10000, .burst_end_ppm = 200000, .burst_loss_ppm = DICE_PPM};
	struct tally burst = send_all(&settings, SEED, GAP_NSEC), single;

	(void)state;
	assert_share(burst.fates[PLAN_BURST_LOST], 1.0 / 21);
	settings = (struct plan_settings){.loss_ppm = DICE_PPM / 21};
	single = send_all(&settings, SEED, GAP_NSEC);
	assert_share(single.fates[PLAN_LOST], 1.0 / 21);
	assert_true(burst.longest_loss > 2 * single.longest_loss);
}

static void test_duplicates(void **state)
{
	struct plan_settings settings = {.duplicate_ppm = 100000, .delay_ns = MSEC};
	struct tally tally = send_all(&settings, SEED, GAP_NSEC);

	(void)state;
	assert_share(tally.copies - FRAMES, 0.1);
}

static void test_reordering(void **state)
{
	struct plan_settings settings = {.reorder_ppm = 20000, .reorder_ns = 5 * MSEC, .delay_ns = MSEC};
	struct tally tally = send_all(&settings, SEED, GAP_NSEC);

	(void)state;
	assert_int_equal(tally.copies, FRAMES);
	assert_int_equal(tally.most_ns, 6 * MSEC);
	/* Four others pass each one that is held back for five gaps. */
	assert_share(tally.overtaken, 4 * 0.02);
}

/* 8.112 Mbit/s is one frame of 1014 bytes a millisecond. */
static void test_rate(void **state)
{
	struct plan_settings settings = {.rate_bps = 8112000, .queue_bytes = 10140};
	struct tally tally = send_all(&settings, SEED, GAP_NSEC);

	(void)state;
	assert_int_equal(tally.copies, FRAMES);
	assert_int_equal(tally.most_ns, GAP_NSEC);
	/* Twice as fast as it takes them: half passes, and none waits longer than the queue is. */
	tally = send_all(&settings, SEED, GAP_NSEC / 2);
	assert_in_range(tally.fates[PLAN_PASSES], FRAMES / 2, FRAMES / 2 + 12);
	assert_int_equal(tally.fates[PLAN_QUEUE_FULL] + tally.fates[PLAN_PASSES], FRAMES);
	assert_in_range(tally.most_ns, 10 * GAP_NSEC, 11 * GAP_NSEC);
	/* No queue given: 50 ms. */
	settings.queue_bytes = 0;
	tally = send_all(&settings, SEED, GAP_NSEC / 2);
	assert_in_range(tally.most_ns, 49 * MSEC, 52 * MSEC);
}

static void test_mtu_and_cut(void **state)
{
	struct plan_settings settings = {.mtu = FRAME_BYTES - PLAN_ETHERNET_BYTES};

	(void)state;
	assert_int_equal(send_all(&settings, SEED, GAP_NSEC).copies, FRAMES);
	settings.mtu--;
	assert_int_equal(send_all(&settings, SEED, GAP_NSEC).fates[PLAN_TOO_BIG], FRAMES);
	settings.cut = true;
	assert_int_equal(send_all(&settings, SEED, GAP_NSEC).fates[PLAN_CUT], FRAMES);
}

static void test_seed_repeats(void **state)
{
	struct plan_settings settings = {.delay_ns = MSEC,
					 .jitter_ns = MSEC / 2,
					 .rate_bps = 10000000,
					 .loss_ppm = 10000,
					 .burst_begin_ppm = 1000,
					 .burst_end_ppm = 100000,
					 .burst_loss_ppm = 500000,
					 .duplicate_ppm = 10000,
					 .reorder_ppm = 10000,
					 .reorder_ns = 3 * MSEC};
	uint64_t trace = send_all(&settings, SEED, GAP_NSEC).trace;

	(void)state;
	assert_int_equal(send_all(&settings, SEED, GAP_NSEC).trace, trace);
	assert_int_not_equal(send_all(&settings, SEED + 1, GAP_NSEC).trace, trace);
}

/* Which frames are lost does not depend on whether others are doubled or delayed. */
static void test_settings_do_not_disturb_each_other(void **state)
{
	struct plan_settings loss = {.loss_ppm = 30000}, more = loss;
	struct plan one, other;
	struct plan_verdict a, b;

	(void)state;
	more.duplicate_ppm = 300000;
	more.delay_ns = more.jitter_ns = MSEC;
	plan_init(&one, SEED);
	plan_init(&other, SEED);
	plan_set(&one, &loss);
	plan_set(&other, &more);
	for (uint64_t i = 0; i < FRAMES; i++) {
		plan_decide(&one, i * GAP_NSEC, FRAME_BYTES, &a);
		plan_decide(&other, i * GAP_NSEC, FRAME_BYTES, &b);
		assert_int_equal(a.fate, b.fate);
	}
}

/* With one throw for both, exactly those would be doubled that are lost. */
static void test_purposes_are_apart(void **state)
{
	struct plan_settings settings = {.loss_ppm = 100000, .duplicate_ppm = 100000};
	struct tally tally = send_all(&settings, SEED, GAP_NSEC);

	(void)state;
	assert_share(tally.fates[PLAN_LOST], 0.1);
	assert_share(tally.copies - tally.fates[PLAN_PASSES], 0.09);
	settings = (struct plan_settings){.duplicate_ppm = 100000, .reorder_ppm = 100000, .reorder_ns = MSEC / 2};
	tally = send_all(&settings, SEED, GAP_NSEC);
	assert_share(tally.copies - FRAMES, 0.1);
	assert_share((unsigned)(tally.sum_ns / settings.reorder_ns), 0.1);
}

/* A shorter way that is set meanwhile overtakes what is still on the longer one; within one setting order stays. */
static void test_new_delay_at_once(void **state)
{
	struct plan_settings settings = {.delay_ns = 100 * MSEC};
	struct plan_verdict verdict;
	struct plan plan;

	(void)state;
	plan_init(&plan, SEED);
	plan_set(&plan, &settings);
	plan_decide(&plan, MSEC, FRAME_BYTES, &verdict);
	assert_int_equal(verdict.due_ns[0], 101 * MSEC);
	settings.delay_ns = MSEC;
	plan_set(&plan, &settings);
	plan_decide(&plan, 2 * MSEC, FRAME_BYTES, &verdict);
	assert_int_equal(verdict.due_ns[0], 3 * MSEC);
}

static void test_histogram(void **state)
{
	static struct histogram one, other;

	(void)state;
	assert_int_equal(histogram_percentile(&one, 99), 0);
	for (uint64_t i = 1; i <= 98; i++)
		histogram_add(&one, i);
	histogram_add(&other, 600);
	histogram_add(&other, 9000000);
	histogram_merge(&one, &other);
	assert_int_equal(one.frames, 100);
	assert_int_equal(histogram_percentile(&one, 50), 50);
	assert_int_equal(histogram_percentile(&one, 98), 98);
	assert_int_equal(histogram_percentile(&one, 99), 600);
	assert_int_equal(histogram_percentile(&one, 100), 9000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_set),
		cmocka_unit_test(test_delay_and_jitter),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_burst_loss),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_reordering),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_mtu_and_cut),
		cmocka_unit_test(test_seed_repeats),
		cmocka_unit_test(test_settings_do_not_disturb_each_other),
		cmocka_unit_test(test_purposes_are_apart),
		cmocka_unit_test(test_new_delay_at_once),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
