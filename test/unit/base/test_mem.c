/* Aligned memory: zeroed, also where it was used before, and not touched before it is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

enum { ALIGNMENT = 64, LARGE = 1 << 20, PAGES_MAX = LARGE / 4096 };

static void expect_zero(const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(p[i], 0);
}

static void test_aligned_and_zeroed(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 1216, 100000, LARGE};

	(void)state;
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			uint8_t *p = mem_alloc_aligned(sizes[i]);

			assert_int_equal((uintptr_t)p % ALIGNMENT, 0);
			expect_zero(p, sizes[i]);
			memset(p, 0xa5, sizes[i]);
			mem_free_aligned(p);
		}
	mem_free_aligned(NULL);
}

/* How much of it the kernel has given pages for. */
static size_t resident_pages(uint8_t *p, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 0;
	uint8_t *from = p + (page - (uintptr_t)p % page) % page;
	size_t pages = size / page - 1;
	unsigned char resident[PAGES_MAX];

	assert_int_equal(mincore(from, pages * page, resident), 0);
	for (size_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	return count;
}

static void test_large_is_not_touched(void **state)
{
	uint8_t *p = mem_alloc_aligned(LARGE);
	size_t before = resident_pages(p, LARGE);

	(void)state;
	memset(p, 1, LARGE);
	assert_true(resident_pages(p, LARGE) >= 16);
	assert_true(before <= resident_pages(p, LARGE) / 2); /* a sanitizer's allocator may touch some */
	mem_free_aligned(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_is_not_touched),
		cmocka_unit_test(test_aligned_and_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
