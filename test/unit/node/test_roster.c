/* Whose turn it is, against a plain list: everybody who is due is called once, in order, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/node/peer.h"

enum { PEERS = 40, STEPS = 4000, SPAN_US = 100 };

struct model {
	struct roster roster;
	struct peer peers[PEERS];
	bool is_there[PEERS];
	struct time_us due[PEERS];
	uint32_t random;
};

static uint32_t draw(struct model *m, uint32_t below)
{
	m->random = m->random * 1664525 + 1013904223;
	return (m->random >> 8) % below;
}

static void come_or_go(struct model *m, size_t i)
{
	if (m->is_there[i])
		roster_remove(&m->roster, &m->peers[i]);
	else
		roster_add(&m->roster, &m->peers[i]);
	m->is_there[i] = !m->is_there[i];
	m->due[i] = TIME_NEVER;
}

static void plan(struct model *m, size_t i, struct time_us at)
{
	roster_plan(&m->roster, &m->peers[i], at);
	m->due[i] = time_min(m->due[i], at);
}

static void demand_same(const struct model *m)
{
	struct time_us first = TIME_NEVER;
	size_t count = 0;

	for (size_t i = 0; i < PEERS; i++) {
		if (!m->is_there[i])
			continue;
		count++;
		first = time_min(first, m->due[i]);
		assert_ptr_equal(m->roster.all[m->peers[i].place.row], &m->peers[i]);
	}
	assert_int_equal(m->roster.count, count);
	assert_int_equal(roster_deadline(&m->roster).us, first.us);
}

/* Some plan their next turn at once, some plan others' or make them go before these had theirs. */
static void take_turns(struct model *m, struct time_us now)
{
	struct time_us last = {INT64_MIN};
	bool had[PEERS] = {false};
	struct peer *peer;

	roster_call(&m->roster, now);
	while ((peer = roster_next_called(&m->roster)) != NULL) {
		size_t i = (size_t)(peer - m->peers), other = draw(m, PEERS);

		assert_true(m->is_there[i] && time_reached(now, m->due[i]) && !had[i]);
		assert_true(time_reached(m->due[i], last));
		assert_int_equal(peer->place.deadline.us, TIME_NEVER.us);
		last = m->due[i];
		had[i] = true;
		m->due[i] = TIME_NEVER;
		if (draw(m, 4) == 0)
			plan(m, i, now);
		else if (draw(m, 4) == 0)
			come_or_go(m, other);
		else if (m->is_there[other] && time_reached(m->due[other], now))
			plan(m, other, time_add(now, draw(m, SPAN_US)));
	}
	for (size_t i = 0; i < PEERS; i++)
		assert_true(!m->is_there[i] || had[i] || !time_reached(now, m->due[i]) || m->due[i].us == now.us);
}

static void test_against_a_list(void **state)
{
	struct model m = {.random = 12345};
	struct time_us now = {1000};

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		size_t i = draw(&m, PEERS);

		if (draw(&m, 8) == 0)
			come_or_go(&m, i);
		else if (m.is_there[i])
			plan(&m, i, time_add(now, draw(&m, SPAN_US)));
		demand_same(&m);
		if (draw(&m, 16) == 0) {
			now = time_add(now, draw(&m, SPAN_US));
			take_turns(&m, now);
			demand_same(&m);
		}
	}
	roster_finish(&m.roster);
}

/* One that goes from the end of the row while the rest is walked through. */
static void test_all_may_leave_from_the_end(void **state)
{
	struct model m = {0};

	(void)state;
	for (size_t i = 0; i < PEERS; i++)
		come_or_go(&m, i);
	for (size_t i = m.roster.count; i-- > 0;)
		if (i % 3)
			come_or_go(&m, (size_t)(m.roster.all[i] - m.peers));
	assert_int_equal(m.roster.count, (PEERS + 2) / 3);
	demand_same(&m);
	roster_finish(&m.roster);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_list),
		cmocka_unit_test(test_all_may_leave_from_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
