/* nat_theory.h against the NATs of nat.h themselves: two ideal ends that send to every address they know of each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "nat_theory.h"

enum { KNOWN_MAX = 32, ROUNDS = 6 };

struct end {
	struct nat nat;
	struct addr inside;
	uint32_t count;
	struct addr known[KNOWN_MAX]; /* of the other end */
	bool heard;
};

static void learn(struct end *end, const struct addr *addr)
{
	for (uint32_t i = 0; i < end->count; i++)
		if (addr_equal(&end->known[i], addr))
			return;
	if (end->count < KNOWN_MAX)
		end->known[end->count++] = *addr;
}

static void set_up(struct end *end, struct nat_kind kind, uint8_t number)
{
	struct nat_config config = {.translates = true, .mapping = kind.mapping, .filtering = kind.filtering};

	*end = (struct end){.inside = {.ip = ip_v4(192, 168, 1, number), .port = 7367}};
	nat_init(&end->nat, &config, ip_v4(50, number, 0, 1));
}

/* As the coordinator sees it. */
static struct addr seen_of(struct end *end)
{
	struct addr coordinator = {.ip = ip_v4(50, 9, 1, 1), .port = 7367}, seen;

	assert_true(nat_out(&end->nat, (struct time_us){0}, &end->inside, &coordinator, &seen));
	return seen;
}

static void send_to_all(struct end *from, struct end *to)
{
	struct time_us now = {1};
	struct addr outside, inside;

	for (uint32_t i = 0, count = from->count; i < count; i++) {
		struct addr target = from->known[i];

		assert_true(nat_out(&from->nat, now, &from->inside, &target, &outside));
		if (!nat_in(&to->nat, now, &target, &outside, &inside))
			continue;
		to->heard = true;
		learn(to, &outside);
	}
}

static bool can_talk(struct nat_kind kind_a, struct nat_kind kind_b)
{
	struct end a, b;
	struct addr seen_a, seen_b;

	set_up(&a, kind_a, 1);
	set_up(&b, kind_b, 2);
	seen_a = seen_of(&a);
	seen_b = seen_of(&b);
	learn(&a, &seen_b);
	learn(&b, &seen_a);
	for (int i = 0; i < ROUNDS; i++) {
		send_to_all(&a, &b);
		send_to_all(&b, &a);
	}
	nat_finish(&a.nat);
	nat_finish(&b.nat);
	return a.heard && b.heard;
}

static void test_theory_is_what_the_nats_do(void **state)
{
	unsigned direct = 0;

	(void)state;
	for (unsigned i = 0; i < 81; i++) {
		struct nat_kind a = {i / 9 / 3, i / 9 % 3}, b = {i % 9 / 3, i % 9 % 3};
		const char *reason = NULL;

		assert_int_equal(nat_theory_direct(a, b, &reason), can_talk(a, b));
		assert_int_equal(nat_theory_direct(b, a, &reason), can_talk(a, b));
		assert_non_null(reason);
		direct += can_talk(a, b);
	}
	assert_int_equal(direct, 45);
}

/* Guessing takes nothing away; random ports want a steady end. */
static void test_what_guessing_adds(void **state)
{
	unsigned sure = 0, chances = 0;

	(void)state;
	for (unsigned i = 0; i < 729; i++) {
		struct nat_kind a = {i / 81 / 3 % 3, i / 81 % 3, i / 243}, b = {i % 81 / 27, i % 27 / 9, i % 9 / 3};
		const char *reason = NULL;
		bool is_chance, is_chance_back, may = nat_theory_guess(a, b, &reason, &is_chance);
		bool is_random = (a.mapping != NAT_ENDPOINT_INDEPENDENT && a.ports == NAT_PORTS_DRAWN) ||
				 (b.mapping != NAT_ENDPOINT_INDEPENDENT && b.ports == NAT_PORTS_DRAWN);

		assert_int_equal(may, nat_theory_guess(b, a, &reason, &is_chance_back));
		assert_int_equal(is_chance, is_chance_back);
		assert_true(may || !nat_theory_direct(a, b, &reason));
		assert_true(may || is_random);
		if (is_chance)
			assert_true(is_random &&
				    (a.mapping == NAT_ENDPOINT_INDEPENDENT || b.mapping == NAT_ENDPOINT_INDEPENDENT));
		sure += may && !is_chance;
		chances += is_chance;
	}
	assert_true(sure > 0 && chances > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_theory_is_what_the_nats_do),
		cmocka_unit_test(test_what_guessing_adds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
