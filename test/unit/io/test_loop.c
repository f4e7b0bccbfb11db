/* test_loop.c: deadlines, removal inside callbacks, signals. No assertion depends on how fast the machine is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/loop.h"

struct counted {
	struct source source; /* first */
	int calls;
	struct loop *loop;
	struct source *remove; /* in the callback */
};

static void count_ready(struct source *source, uint32_t events)
{
	struct counted *counted = (struct counted *)source;

	assert_true(events & EPOLLIN);
	counted->calls++;
	if (counted->remove)
		loop_remove(counted->loop, counted->remove);
}

static void test_deadline(void **state)
{
	struct loop *loop = loop_create();
	struct time_us start = clock_now(), deadline = time_add(start, 2345);

	(void)state;
	assert_non_null(loop);
	assert_int_equal(loop_wait(loop, start, deadline), OK);
	assert_true(time_reached(loop_now(loop), deadline)); /* never early, not even by part of a millisecond */
	assert_int_equal(loop_wait(loop, loop_now(loop), start), OK); /* passed already: returns */
	loop_destroy(loop);
	loop_destroy(NULL);
}

/* The alarm of an earlier deadline is still set, a little or much too early: neither ends the wait. */
static void test_deadline_moves(void **state)
{
	static const int64_t moves_us[] = {1000, 19000, 40000, -1000};
	struct counted counted = {.source.ready = count_ready};
	int ends[2];

	(void)state;
	for (size_t i = 0; i < sizeof moves_us / sizeof *moves_us; i++) {
		struct loop *loop = loop_create();
		struct time_us first = time_add(clock_now(), 3000), then = time_add(first, moves_us[i]);

		assert_int_equal(pipe(ends), 0);
		counted.source.fd = ends[0];
		assert_int_equal(loop_add(loop, &counted.source, EPOLLIN), OK);
		assert_int_equal(write(ends[1], "x", 1), 1);
		assert_int_equal(loop_wait(loop, clock_now(), first), OK);
		loop_remove(loop, &counted.source);
		assert_int_equal(loop_wait(loop, loop_now(loop), then), OK);
		assert_true(time_reached(loop_now(loop), then));
		assert_int_equal(loop_wait(loop, loop_now(loop), time_add(then, 50000)), OK);
		assert_true(time_reached(loop_now(loop), time_add(then, 50000)));
		loop_destroy(loop);
		close(ends[0]);
		close(ends[1]);
	}
	assert_int_equal(counted.calls, 4);
}

static void test_ready(void **state)
{
	struct loop *loop = loop_create();
	struct counted counted = {.source.ready = count_ready};
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	counted.source.fd = ends[0];
	assert_int_equal(loop_add(loop, &counted.source, EPOLLIN), OK);
	assert_int_equal(loop_add(loop, &counted.source, EPOLLIN), ERR_IO);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(loop_wait(loop, clock_now(), TIME_NEVER), OK); /* waits for the source, not for a deadline */
	assert_int_equal(counted.calls, 1);
	assert_int_equal(loop_modify(loop, &counted.source, 0), OK);
	assert_int_equal(loop_wait(loop, clock_now(), clock_now()), OK);
	assert_int_equal(counted.calls, 1);
	loop_remove(loop, &counted.source);
	loop_remove(loop, &counted.source);
	loop_destroy(loop);
	close(ends[0]);
	close(ends[1]);
}

/* Two are ready at once and each removes the other: exactly one is called. */
static void test_remove_pending(void **state)
{
	struct loop *loop = loop_create();
	struct counted a = {.source.ready = count_ready, .loop = loop}, b = a;
	int first[2], second[2];

	(void)state;
	assert_int_equal(pipe(first), 0);
	assert_int_equal(pipe(second), 0);
	a.source.fd = first[0];
	b.source.fd = second[0];
	a.remove = &b.source;
	b.remove = &a.source;
	assert_int_equal(loop_add(loop, &a.source, EPOLLIN), OK);
	assert_int_equal(loop_add(loop, &b.source, EPOLLIN), OK);
	assert_int_equal(write(first[1], "x", 1), 1);
	assert_int_equal(write(second[1], "x", 1), 1);
	assert_int_equal(loop_wait(loop, clock_now(), TIME_NEVER), OK);
	assert_int_equal(a.calls + b.calls, 1);
	loop_destroy(loop);
	for (int i = 0; i < 2; i++) {
		close(first[i]);
		close(second[i]);
	}
}

static void keep_signal(void *ctx, int signal)
{
	*(int *)ctx = signal;
}

static void test_signals(void **state)
{
	static const int wanted[] = {SIGTERM, SIGHUP};
	struct loop *loop = loop_create();
	int got = 0;

	(void)state;
	assert_int_equal(loop_signals(loop, wanted, 2, &got, keep_signal), OK);
	assert_int_equal(raise(SIGHUP), 0);
	assert_int_equal(loop_wait(loop, clock_now(), TIME_NEVER), OK);
	assert_int_equal(got, SIGHUP);
	loop_destroy(loop);
}

struct gate {
	struct loop *loop;
	bool is_open;
	int passed;
};

static void gate_leave(void *ctx)
{
	struct gate *gate = ctx;

	assert_false(gate->is_open);
	gate->is_open = true;
	gate->passed++;
}

static void gate_enter(void *ctx)
{
	struct gate *gate = ctx;

	assert_true(gate->is_open);
	gate->is_open = false;
}

struct gated {
	struct source source; /* first */
	struct gate *gate;
};

static void gated_ready(struct source *source, uint32_t events)
{
	(void)events;
	assert_false(((struct gated *)source)->gate->is_open);
}

/* Others may work while it waits, and never while a callback runs. */
static void test_gate(void **state)
{
	struct gate gate = {.loop = loop_create()};
	struct gated gated = {.source.ready = gated_ready, .gate = &gate};
	struct time_us now = clock_now();
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	gated.source.fd = ends[0];
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(loop_add(gate.loop, &gated.source, EPOLLIN), OK);
	loop_set_gate(gate.loop, &gate, gate_leave, gate_enter);
	assert_int_equal(loop_wait(gate.loop, now, TIME_NEVER), OK);
	assert_int_equal(gate.passed, 1);
	loop_set_gate(gate.loop, NULL, NULL, NULL);
	assert_int_equal(loop_wait(gate.loop, now, TIME_NEVER), OK);
	assert_int_equal(gate.passed, 1);
	loop_destroy(gate.loop);
	close(ends[0]);
	close(ends[1]);
}

static void test_random(void **state)
{
	uint8_t a[300] = {0}, b[300] = {0};

	(void)state;
	random_kernel(NULL, a, sizeof(a)); /* more than getrandom promises at once */
	random_kernel(NULL, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 280, b + 280, 20);
	random_kernel(NULL, a, 0);
	assert_true(clock_wall_s() > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline), cmocka_unit_test(test_deadline_moves),
		cmocka_unit_test(test_ready),	 cmocka_unit_test(test_remove_pending),
		cmocka_unit_test(test_signals),	 cmocka_unit_test(test_random),
		cmocka_unit_test(test_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
