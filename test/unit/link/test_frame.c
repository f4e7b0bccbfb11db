/* Frames: addresses, what belongs to a cable's ends only, and the answers to packets that are too big. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frame.h"

enum { ETHERNET = 14, IPV4 = 20, IPV6 = 40, ICMP = 8, UDP = 17, ICMPV6 = 58, FRAME_BYTES = 1514, MTU = 1400 };

static uint8_t answer[FRAME_MAX];

/* 192.0.2.1 to 198.51.100.2, UDP, not to be fragmented. */
static void make4(uint8_t frame[FRAME_BYTES])
{
	static const uint8_t head[] = {2,    0, 0, 0,	 0, 9,	2,   0, 0, 0,	0, 1, 8, 0,   0x45, 0,	 0x05,
				       0xdc, 0, 1, 0x40, 0, 64, UDP, 0, 0, 192, 0, 2, 1, 198, 51,   100, 2};

	memset(frame, 0xab, FRAME_BYTES);
	memcpy(frame, head, sizeof head);
}

/* 2001:db8::1 to 2001:db8::2. */
static void make6(uint8_t frame[FRAME_BYTES], uint8_t protocol)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0x05, 0xb4};

	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, head, sizeof head);
	frame[ETHERNET + 6] = protocol;
	frame[ETHERNET + 7] = 255;
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *address = frame + ETHERNET + 8 + 16 * i;

		memcpy(address, (uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4);
		address[15] = (uint8_t)(i + 1);
	}
}

/* A sum over a part with its checksum in it is all ones. */
static uint32_t folded(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void test_addresses(void **state)
{
	uint8_t frame[FRAME_BYTES];
	char text[ADDR_TEXT_MAX];
	struct ip from = {0}, to = {0};

	(void)state;
	make4(frame);
	assert_int_equal(frame_read(frame, FRAME_BYTES, &from, &to), FRAME_IP);
	assert_string_equal(ip_format(&from, text), "192.0.2.1");
	assert_string_equal(ip_format(&to, text), "198.51.100.2");
	make6(frame, UDP);
	assert_int_equal(frame_read(frame, FRAME_BYTES, &from, &to), FRAME_IP);
	assert_string_equal(ip_format(&from, text), "2001:db8::1");
	assert_string_equal(ip_format(&to, text), "2001:db8::2");
}

static void test_kinds(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct ip from, to;

	(void)state;
	make6(frame, ICMPV6);
	frame[ETHERNET + IPV6] = 135;
	assert_int_equal(frame_read(frame, FRAME_BYTES, &from, &to), FRAME_NEIGHBOUR);
	frame[ETHERNET + IPV6] = 128;
	assert_int_equal(frame_read(frame, FRAME_BYTES, &from, &to), FRAME_IP);
	make4(frame);
	frame[ETHERNET - 1] = 6;
	assert_int_equal(frame_read(frame, 60, &from, &to), FRAME_NEIGHBOUR);
	frame[ETHERNET - 1] = 7;
	assert_int_equal(frame_read(frame, 60, &from, &to), FRAME_OTHER);
	for (size_t size = 0; size < ETHERNET + IPV4; size++) {
		make4(frame);
		assert_int_equal(frame_read(frame, size, &from, &to), FRAME_OTHER);
	}
}

static void test_too_big_ipv4(void **state)
{
	uint8_t frame[FRAME_BYTES];
	const uint8_t *ip = answer + ETHERNET, *icmp = ip + IPV4;
	size_t size;

	(void)state;
	make4(frame);
	size = frame_too_big(frame, FRAME_BYTES, MTU, answer);
	assert_int_equal(size, ETHERNET + 576);
	assert_memory_equal(answer, frame + 6, 6);
	assert_memory_equal(answer + 6, frame, 6);
	assert_memory_equal(ip + 12, frame + ETHERNET + 16, 4);
	assert_memory_equal(ip + 16, frame + ETHERNET + 12, 4);
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(folded(ip, IPV4, 0), 0xffff);
	assert_int_equal(folded(icmp, size - ETHERNET - IPV4, 0), 0xffff);
	assert_int_equal(icmp[0] << 8 | icmp[1], 3 << 8 | 4);
	assert_int_equal(icmp[6] << 8 | icmp[7], MTU);
	assert_memory_equal(icmp + ICMP, frame + ETHERNET, 576 - IPV4 - ICMP);
}

static void test_too_big_ipv6(void **state)
{
	uint8_t frame[FRAME_BYTES];
	const uint8_t *ip = answer + ETHERNET, *icmp = ip + IPV6;
	size_t size;

	(void)state;
	make6(frame, UDP);
	size = frame_too_big(frame, FRAME_BYTES, MTU, answer);
	assert_int_equal(size, ETHERNET + 1280);
	assert_memory_equal(ip, ((uint8_t[]){0x60, 0, 0, 0, 0x04, 0xd8, ICMPV6}), 7);
	assert_memory_equal(ip + 8, frame + ETHERNET + 24, 16);
	assert_memory_equal(ip + 24, frame + ETHERNET + 8, 16);
	assert_int_equal(icmp[0], 2);
	assert_int_equal(icmp[6] << 8 | icmp[7], MTU);
	assert_int_equal(folded(icmp, 1280 - IPV6, folded(ip + 8, 32, 1280 - IPV6 + ICMPV6)), 0xffff);
}

static void test_no_answer(void **state)
{
	uint8_t frame[FRAME_BYTES];

	(void)state;
	make4(frame);
	frame[ETHERNET + 6] = 0; /* may be fragmented */
	assert_int_equal(frame_too_big(frame, FRAME_BYTES, MTU, answer), 0);
	make4(frame);
	frame[ETHERNET + 7] = 9; /* not its first part */
	assert_int_equal(frame_too_big(frame, FRAME_BYTES, MTU, answer), 0);
	make4(frame);
	frame[ETHERNET + 9] = 1;
	frame[ETHERNET + IPV4] = 3; /* itself an error */
	assert_int_equal(frame_too_big(frame, FRAME_BYTES, MTU, answer), 0);
	frame[ETHERNET + IPV4] = 8;
	assert_int_not_equal(frame_too_big(frame, FRAME_BYTES, MTU, answer), 0);
	make6(frame, ICMPV6);
	frame[ETHERNET + IPV6] = 1;
	assert_int_equal(frame_too_big(frame, FRAME_BYTES, MTU, answer), 0);
	make4(frame);
	frame[ETHERNET - 1] = 6;
	assert_int_equal(frame_too_big(frame, FRAME_BYTES, MTU, answer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),    cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_too_big_ipv4), cmocka_unit_test(test_too_big_ipv6),
		cmocka_unit_test(test_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
