/* Fragments through an exit: one decision for all, in any order, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "proto/exit/fragment.h"

enum { PAYLOAD = 3000, PIECE = 1200, PIECES = 3, ID = 0x1234 };

static const struct ends {
	const char *inner, *host;
	bool is_v4;
} both[] = {{"198.18.0.2:4000", HOST4, true}, {"[fd6e:746d::2]:4000", HOST6, false}};

/* Cuts as the sender's kernel would: UDP with its header is in the first piece. */
static void cut(const char *from, const char *to, uint32_t id, struct made pieces[PIECES])
{
	struct made whole;

	make_udp(&whole, from, to, PAYLOAD);
	for (size_t i = 0; i < PIECES; i++) {
		size_t at = i * PIECE, left = PAYLOAD + 8 - at;

		make_piece(&pieces[i], &whole.packet, id, at, left < PIECE ? left : PIECE);
	}
}

/* Gives pieces in this order, also what was kept; true when the whole came out. */
static bool pass_all(struct fixture *f, bool is_outward, struct made pieces[PIECES], const int order[PIECES],
		     struct joined *ret)
{
	struct packet kept;
	bool is_whole = false;

	memset(ret, 0, sizeof *ret);
	for (int i = 0; i < PIECES; i++) {
		struct made *piece = &pieces[order[i]];

		if ((is_outward ? out(f, piece) : in(f, piece)) != EXIT_PASSED)
			continue;
		is_whole |= join_piece(ret, &piece->packet);
		while (exit_next_kept(f->machine, is_outward, &kept))
			is_whole |= join_piece(ret, &kept);
	}
	return is_whole;
}

static const int orders[][PIECES] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {2, 0, 1}};

static void check_both_ways(const struct ends *ends, const int order[PIECES])
{
	struct made pieces[PIECES];
	char text[ADDR_TEXT_MAX];
	struct joined joined;
	struct fixture f;

	begin(&f);
	create(&f);
	cut(ends->inner, ends->host, ID, pieces);
	assert_true(pass_all(&f, true, pieces, order, &joined));
	check_end(source_of(&joined.made.packet), own(source_of(&joined.made.packet).port, ends->is_v4, text));
	check_end(target_of(&joined.made.packet), ends->host);
	assert_int_not_equal(joined.id, ID);
	cut(ends->host, text, ID, pieces);
	assert_true(pass_all(&f, false, pieces, order, &joined));
	check_end(source_of(&joined.made.packet), ends->host);
	check_end(target_of(&joined.made.packet), ends->inner);
	assert_int_equal(count(&f).tx_fragments, PIECES);
	assert_int_equal(count(&f).rx_fragments, PIECES);
	assert_int_equal(count(&f).dropped_fragment, 0);
	exit_destroy(f.machine);
}

static void test_both_ways_in_any_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof both / sizeof both[0]; i++)
		for (size_t k = 0; k < sizeof orders / sizeof orders[0]; k++)
			check_both_ways(&both[i], orders[k]);
}

static void test_echo_in_pieces(void **state)
{
	struct made whole, pieces[2];
	struct joined joined = {0};
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	make_echo(&whole, "198.18.0.2:77", "93.184.216.34:0", true);
	make_piece(&pieces[0], &whole.packet, ID, 0, 24);
	make_piece(&pieces[1], &whole.packet, ID, 24, 16);
	assert_int_equal(out(&f, &pieces[0]), EXIT_PASSED);
	assert_false(join_piece(&joined, &pieces[0].packet));
	assert_int_equal(out(&f, &pieces[1]), EXIT_PASSED);
	assert_true(join_piece(&joined, &pieces[1].packet));
	exit_destroy(f.machine);
}

/* RFC 5722: nothing of it passes any more, whichever piece comes again. */
static void test_overlaps_condemn(void **state)
{
	struct made pieces[PIECES], whole, evil;
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof both / sizeof both[0]; i++) {
		begin(&f);
		create(&f);
		cut(both[i].inner, both[i].host, ID, pieces);
		make_udp(&whole, both[i].inner, both[i].host, PAYLOAD);
		make_piece(&evil, &whole.packet, ID, PIECE - 8, 800);
		assert_int_equal(out(&f, &pieces[0]), EXIT_PASSED);
		assert_int_equal(out(&f, &evil), EXIT_DROPPED);
		assert_int_equal(out(&f, &pieces[1]), EXIT_DROPPED);
		assert_int_equal(out(&f, &pieces[2]), EXIT_DROPPED);
		assert_int_equal(count(&f).dropped_fragment, 3);
		/* One that comes before the first and reaches into its header (RFC 1858, RFC 3128). */
		cut(both[i].inner, both[i].host, ID + 1, pieces);
		make_piece(&evil, &whole.packet, ID + 1, 8, 800);
		assert_int_equal(out(&f, &evil), EXIT_KEPT);
		assert_int_equal(out(&f, &pieces[0]), EXIT_DROPPED);
		assert_int_equal(out(&f, &pieces[1]), EXIT_DROPPED);
		/* What lies behind the last piece. */
		cut(both[i].inner, both[i].host, ID + 2, pieces);
		assert_int_equal(out(&f, &pieces[0]), EXIT_PASSED);
		make_udp(&whole, both[i].inner, both[i].host, PIECE + 80);
		make_piece(&evil, &whole.packet, ID + 2, PIECE + 80, 8);
		assert_int_equal(out(&f, &evil), EXIT_PASSED);
		assert_int_equal(out(&f, &pieces[2]), EXIT_DROPPED);
		exit_destroy(f.machine);
	}
}

/* A refused first piece is answered once; the others vanish with it. */
static void test_a_refusal_is_of_all(void **state)
{
	struct made pieces[PIECES];
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	cut("198.18.0.2:4000", "192.168.1.1:53", ID, pieces);
	assert_int_equal(out(&f, &pieces[1]), EXIT_KEPT);
	assert_int_equal(out(&f, &pieces[0]), EXIT_ANSWERED);
	assert_int_equal(out(&f, &pieces[2]), EXIT_DROPPED);
	assert_false(exit_next_kept(f.machine, true, &(struct packet){0}));
	assert_int_equal(count(&f).refused_destination, 1);
	/* Nobody asked this stranger. */
	cut(HOST4, OWN4 ":10000", ID, pieces);
	assert_int_equal(in(&f, &pieces[0]), EXIT_DROPPED);
	assert_int_equal(in(&f, &pieces[1]), EXIT_DROPPED);
	exit_destroy(f.machine);
}

static void test_patience(void **state)
{
	struct made pieces[PIECES];
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	cut("198.18.0.2:4000", HOST4, ID, pieces);
	assert_int_equal(out(&f, &pieces[0]), EXIT_PASSED);
	f.now.us += FRAGMENT_PATIENCE_US - 1;
	assert_int_equal(out(&f, &pieces[1]), EXIT_PASSED);
	f.now.us += 1;
	assert_int_equal(out(&f, &pieces[2]), EXIT_KEPT); /* of another datagram, as far as anybody knows */
	exit_destroy(f.machine);
}

/* Two nodes and one identification: outside they differ. */
static void test_identifications_are_new(void **state)
{
	struct made one[PIECES], other[PIECES];
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	cut("198.18.0.2:4000", HOST4, ID, one);
	cut("198.18.0.3:4000", HOST4, ID, other);
	assert_int_equal(out(&f, &one[0]), EXIT_PASSED);
	assert_int_equal(out_by(&f, &f.second, &other[0]), EXIT_PASSED);
	assert_int_equal(out_by(&f, &f.second, &other[1]), EXIT_PASSED);
	assert_int_equal(out(&f, &one[1]), EXIT_PASSED);
	assert_int_not_equal(read16(one[0].packet.bytes + 4), read16(other[0].packet.bytes + 4));
	assert_int_equal(read16(one[0].packet.bytes + 4), read16(one[1].packet.bytes + 4));
	assert_int_equal(read16(other[0].packet.bytes + 4), read16(other[1].packet.bytes + 4));
	exit_destroy(f.machine);
}

/* One node's unfinished datagrams, and what it has kept, never cost another's. */
static void test_a_flood_pays_itself(void **state)
{
	struct made pieces[PIECES];
	struct joined joined;
	struct fixture f;
	int kept = 0;

	(void)state;
	begin(&f);
	create(&f);
	for (uint32_t i = 0; i < 1000; i++) {
		cut("198.18.0.3:4000", HOST4, i, pieces);
		kept += out_by(&f, &f.second, &pieces[1]) == EXIT_KEPT;
	}
	assert_in_range(kept, 1, FRAGMENTS_HELD_NODE_MAX);
	for (uint32_t i = 1000; i < 2000; i++) {
		cut("198.18.0.3:4000", HOST4, i, pieces);
		(void)!out_by(&f, &f.second, &pieces[0]);
	}
	cut("198.18.0.2:4000", HOST4, ID, pieces);
	assert_true(pass_all(&f, true, pieces, orders[1], &joined));
	exit_destroy(f.machine);
}

/* Tiny first pieces (RFC 1858), odd sizes, errors in pieces, an end beyond 65,535. */
static void test_nonsense(void **state)
{
	struct made whole, piece;
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	make_tcp(&whole, "198.18.0.2:4000", "93.184.216.34:80", TCP_SYN, 100);
	make_piece(&piece, &whole.packet, ID, 0, 16);
	assert_int_equal(out(&f, &piece), EXIT_DROPPED);
	make_udp(&whole, "198.18.0.2:4000", HOST4, PAYLOAD);
	make_piece(&piece, &whole.packet, ID, 0, 1201);
	assert_int_equal(out(&f, &piece), EXIT_DROPPED);
	make_piece(&piece, &whole.packet, ID, 1200, 800);
	piece.packet.bytes[6] = 0x3f;
	piece.packet.bytes[7] = 0xff;
	assert_int_equal(out(&f, &piece), EXIT_DROPPED);
	make_error(&piece, "198.18.0.2:0", "93.184.216.34:0", 3, 4, &whole.packet, 64);
	piece.packet.bytes[6] = 0x20;
	assert_int_equal(out(&f, &piece), EXIT_DROPPED);
	make_piece(&piece, &whole.packet, ID, 0, 1200);
	piece.packet.checksum_partial = true;
	assert_int_equal(out(&f, &piece), EXIT_DROPPED);
	assert_int_equal(count(&f).dropped_malformed, 5);
	exit_destroy(f.machine);
}

/* "Too big" about a first piece over IPv6 (RFC 8200 4.5) reaches the node that sent it; a wrong checksum never. */
static void test_errors_quote_pieces(void **state)
{
	struct made pieces[PIECES], error;
	char text[ADDR_TEXT_MAX];
	struct fixture f;

	(void)state;
	begin(&f);
	create(&f);
	own(port_of(&f, &f.first, both[1].inner, HOST6), false, text);
	cut(text, HOST6, ID, pieces);
	make_error(&error, "[2001:4860::1]:0", "[" OWN6 "]:0", 2, 0, &pieces[0].packet, 200);
	assert_int_equal(in(&f, &error), EXIT_PASSED);
	assert_true(sums_hold(&error.packet));
	assert_memory_equal(error.packet.bytes + 48 + 8, error.packet.bytes + 24, 16);
	assert_int_equal(read16(error.packet.bytes + 48 + 48), 4000);
	make_error(&error, "[2001:4860::1]:0", "[" OWN6 "]:0", 2, 0, &pieces[0].packet, 200);
	error.packet.bytes[42] ^= 1;
	assert_int_equal(in(&f, &error), EXIT_DROPPED);
	make_error(&error, "[2001:4860::1]:0", "[" OWN6 "]:0", 2, 0, &pieces[1].packet, 200);
	assert_int_equal(in(&f, &error), EXIT_DROPPED);
	exit_destroy(f.machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways_in_any_order),
		cmocka_unit_test(test_echo_in_pieces),
		cmocka_unit_test(test_overlaps_condemn),
		cmocka_unit_test(test_a_refusal_is_of_all),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_identifications_are_new),
		cmocka_unit_test(test_a_flood_pays_itself),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_errors_quote_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
