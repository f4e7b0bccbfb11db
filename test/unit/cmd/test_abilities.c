/* test_abilities.c: superpackets that the TUN device refuses are written as segments, and the node is told; but not
 * what a peer may have sent on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/node_abilities.h"
#include "cmd/node_lanes.h"
#include "net_space.h"
#include "wire/inner.h"

/* The host of these tests has no threads. */
void lanes_add_counters(const struct host *host, struct udp_counters *udp, struct tun_counters *tun)
{
	(void)host;
	(void)udp;
	(void)tun;
}

void lanes_limit_abilities(const struct host *host, struct udp_abilities *udp)
{
	(void)host;
	(void)udp;
}

json_t *lanes_document(const struct host *host)
{
	(void)host;
	return json_array();
}

enum { SKIPPED = 77, HEADER = 10, PAYLOAD = 4500, SEGMENT = 1000, MOST = 8 };

/* What the device takes, and what it has got. */
static bool refuses_all;
static size_t sizes[MOST], count;
static int told; /* times that the node was told */

ssize_t __wrap_write(int fd, const void *bytes, size_t size);
void __wrap_node_input_refused(struct node *node, enum packet_gso gso);

/* The virtio header's second byte is the kind of superpacket. Segments must be finished. */
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
	const uint8_t *header = bytes, *ip = header + HEADER;
	uint8_t copy[2048];
	struct inner inner;

	(void)fd;
	if (header[1] != 0 || refuses_all) {
		errno = EINVAL;
		return -1;
	}
	assert_int_equal(header[0], 0);
	assert_true(count < MOST && size <= sizeof(copy));
	memcpy(copy, ip, size - HEADER);
	assert_int_equal(inner_parse(copy, size - HEADER, &inner), OK);
	inner_complete_checksum(copy, &inner);
	assert_memory_equal(copy, ip, size - HEADER);
	sizes[count++] = size - HEADER;
	return (ssize_t)size;
}

void __wrap_node_input_refused(struct node *node, enum packet_gso gso)
{
	(void)node;
	assert_int_equal(gso, PACKET_GSO_TCP4);
	told++;
}

/* TCP over IPv4, its checksum as a joiner leaves it. */
static struct packet make_superpacket(void)
{
	static uint8_t buffer[PACKET_ROOM + 40 + PAYLOAD + PACKET_ROOM];
	uint8_t *p = buffer + PACKET_ROOM;
	struct packet packet = {.bytes = p,
				.size = 40 + PAYLOAD,
				.gso = PACKET_GSO_TCP4,
				.gso_size = SEGMENT,
				.header_size = 40,
				.checksum_partial = true,
				.checksum_start = 20,
				.checksum_offset = 16};
	struct inner inner;
	uint16_t sum;

	memset(p, 0, 40);
	p[0] = 0x45;
	p[2] = (uint8_t)(packet.size >> 8);
	p[3] = (uint8_t)packet.size;
	p[8] = 64;
	p[9] = PROTOCOL_TCP;
	memcpy(p + 12, (uint8_t[]){198, 18, 0, 1, 198, 18, 0, 2}, 8);
	p[32] = 5 << 4;
	p[33] = TCP_ACK;
	for (size_t i = 0; i < PAYLOAD; i++)
		p[40 + i] = (uint8_t)(i * 7);
	assert_int_equal(inner_parse(p, packet.size, &inner), OK);
	inner_fix_network_checksum(p, &inner);
	sum = inner_pseudo_sum(&inner, 20 + PAYLOAD);
	p[36] = (uint8_t)(sum >> 8);
	p[37] = (uint8_t)sum;
	return packet;
}

static void check(bool all)
{
	struct tun_params params = {.name = "ntm%d"};
	struct host host = {0};
	struct packet packet = make_superpacket();
	char error[TUN_ERROR_MAX];

	refuses_all = all;
	count = 0;
	told = 0;
	assert_int_equal(tun_open(&params, &host.tun, error), OK);
	abilities_write(&host, &packet);
	tun_close(host.tun);
}

static void a_refused_superpacket_goes_in_segments(void **state)
{
	(void)state;
	check(false);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(sizes[i], i < 4 ? 40 + SEGMENT : 40 + PAYLOAD - 4 * SEGMENT);
	assert_int_equal(told, 1);
}

static void what_is_refused_for_itself_teaches_nothing(void **state)
{
	(void)state;
	check(true);
	assert_int_equal(count, 0);
	assert_int_equal(told, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_superpacket_goes_in_segments),
		cmocka_unit_test(what_is_refused_for_itself_teaches_nothing),
	};

	if (!net_space_enter() || access("/dev/net/tun", R_OK | W_OK) != 0) {
		fprintf(stderr, "no user and network namespaces or no /dev/net/tun here: skipped\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
