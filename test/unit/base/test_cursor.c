/* The cursor: never past the end, the first error stays, numbers are big-endian and never cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21};

static void test_numbers(void **state)
{
	struct reader r = reader_over(bytes, sizeof bytes);
	uint8_t copy[sizeof bytes];
	struct writer w = writer_over(copy, sizeof copy);
	size_t size;

	(void)state;
	assert_int_equal(read_u8(&r), 0x01);
	assert_int_equal(read_u16(&r), 0x0203);
	assert_int_equal(read_u32(&r), 0x04050607);
	assert_int_equal(read_u48(&r), UINT64_C(0x08090a0b0c0d));
	assert_int_equal(read_u64(&r), UINT64_C(0x0e0f101112131415));
	assert_int_equal(reader_finish(&r), OK);
	write_u8(&w, 0x01);
	write_u16(&w, 0x0203);
	write_u32(&w, 0x04050607);
	write_u48(&w, UINT64_C(0x08090a0b0c0d));
	write_u64(&w, UINT64_C(0x0e0f101112131415));
	assert_int_equal(writer_finish(&w, &size), OK);
	assert_int_equal(size, sizeof bytes);
	assert_memory_equal(copy, bytes, size);
}

/* After the first failure everything is zero, even what would still fit. */
static void test_reader_error_sticks(void **state)
{
	struct reader r = reader_over(bytes, 5), part;
	uint8_t two[2] = {9, 9};
	struct blob blob;

	(void)state;
	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(read_u64(&r), 0);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(read_u8(&r), 0);
	read_bytes(&r, two, sizeof two);
	assert_memory_equal(two, "\0\0", 2);
	blob = read_blob(&r, 1);
	assert_null(blob.data);
	assert_int_equal(blob.size, 0);
	part = read_part(&r, 1);
	assert_int_equal(part.err, ERR_TRUNCATED);
	reader_fail(&r, ERR_AUTH);
	assert_int_equal(reader_finish(&r), ERR_TRUNCATED);
}

static void test_reader_leftover(void **state)
{
	struct reader r = reader_over(bytes, 2);

	(void)state;
	assert_int_equal(read_u8(&r), 1);
	assert_int_equal(reader_finish(&r), ERR_MALFORMED);
	assert_int_equal(read_u8(&r), 2);
	assert_int_equal(reader_finish(&r), OK);
	reader_fail(&r, ERR_AUTH);
	assert_int_equal(reader_finish(&r), ERR_AUTH);
}

/* Sizes near the top must not wrap around. */
static void test_huge_sizes(void **state)
{
	struct reader r = reader_over(bytes, sizeof bytes);
	uint8_t room[4];
	struct writer w = writer_over(room, sizeof room);
	struct blob blob;

	(void)state;
	(void)read_u32(&r);
	blob = read_blob(&r, SIZE_MAX);
	assert_null(blob.data);
	assert_int_equal(r.err, ERR_TRUNCATED);
	write_u8(&w, 1);
	write_zeros(&w, SIZE_MAX);
	assert_int_equal(w.err, ERR_SIZE);
	assert_int_equal(w.at, 1);
}

static void test_parts(void **state)
{
	struct reader r = reader_over(bytes, 6), part;
	struct blob blob;

	(void)state;
	part = read_part(&r, 4);
	assert_int_equal(reader_left(&part), 4);
	assert_int_equal(read_u32(&part), 0x01020304);
	assert_int_equal(read_u8(&part), 0); /* the part ends here, though the whole goes on */
	assert_int_equal(part.err, ERR_TRUNCATED);
	assert_int_equal(r.err, OK);
	blob = read_blob(&r, 2);
	assert_ptr_equal(blob.data, bytes + 4);
	assert_int_equal(reader_finish(&r), OK);
}

static void test_empty_reader(void **state)
{
	struct reader r = reader_over(NULL, 0);
	struct blob blob = read_blob(&r, 0);

	(void)state;
	assert_int_equal(blob.size, 0);
	assert_int_equal(reader_finish(&r), OK);
	assert_int_equal(read_u8(&r), 0);
	assert_int_equal(reader_finish(&r), ERR_TRUNCATED);
}

/* What does not fit leaves no trace, and what follows is not written either. */
static void test_writer_error_sticks(void **state)
{
	uint8_t room[4] = {0xaa, 0xaa, 0xaa, 0xaa};
	struct writer w = writer_over(room, 3);
	size_t size = 77;

	(void)state;
	write_u16(&w, 0x0102);
	write_u32(&w, 1);
	write_u8(&w, 3);
	write_bytes(&w, bytes, 1);
	assert_int_equal(writer_finish(&w, &size), ERR_SIZE);
	assert_int_equal(size, 77);
	assert_memory_equal(room, "\x01\x02\xaa\xaa", 4);
}

/* A counter that does not fit 48 bits is an error, not another counter. */
static void test_numbers_are_not_cut(void **state)
{
	uint8_t room[16];
	struct writer w = writer_over(room, sizeof room);

	(void)state;
	write_u48(&w, (UINT64_C(1) << 48) - 1);
	assert_int_equal(w.err, OK);
	write_u48(&w, UINT64_C(1) << 48);
	assert_int_equal(w.err, ERR_SIZE);
	assert_int_equal(w.at, 6);
}

static void test_holes(void **state)
{
	uint8_t room[5] = {0};
	struct writer w = writer_over(room, sizeof room);
	size_t hole;

	(void)state;
	write_u8(&w, 1);
	hole = write_hole_u16(&w);
	write_u16(&w, 0x0405);
	write_u16_at(&w, hole, 0x0203);
	assert_int_equal(w.err, OK);
	assert_memory_equal(room, bytes, sizeof room);
	hole = write_hole_u16(&w); /* no room */
	write_u16_at(&w, hole, 0xffff);
	assert_memory_equal(room, bytes, sizeof room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_reader_error_sticks),
		cmocka_unit_test(test_reader_leftover),
		cmocka_unit_test(test_huge_sizes),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_empty_reader),
		cmocka_unit_test(test_writer_error_sticks),
		cmocka_unit_test(test_numbers_are_not_cut),
		cmocka_unit_test(test_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
