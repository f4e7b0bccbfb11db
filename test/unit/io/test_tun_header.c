/* test_tun_header.c: virtio headers in, virtio headers out, and every lie that one can tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <string.h>

#include "io/tun_header.h"

enum { GSO_UDP_L4 = 5, CASE_SIZE = 3000 };

static uint8_t buffer[PACKET_ROOM + CASE_SIZE + PACKET_ROOM];
static uint8_t *const packet_bytes = buffer + PACKET_ROOM;

/* A TCP over IPv4 superpacket as the kernel hands it over: headers of 20 + 32 bytes. */
static struct virtio_net_hdr make_tcp4(void)
{
	memset(buffer, 0, sizeof(buffer));
	packet_bytes[0] = 0x45;
	packet_bytes[9] = 6;
	packet_bytes[20 + 12] = 8 << 4;
	return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				       .hdr_len = 9,
				       .gso_size = 1400,
				       .csum_start = 20,
				       .csum_offset = 16};
}

/* UDP over IPv6 behind a hop-by-hop header of 16 bytes. */
static struct virtio_net_hdr make_udp6(void)
{
	memset(buffer, 0, sizeof(buffer));
	packet_bytes[0] = 0x60;
	packet_bytes[6] = 0;
	packet_bytes[40] = 17;
	packet_bytes[41] = 1;
	return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = GSO_UDP_L4,
				       .hdr_len = 64,
				       .gso_size = 1200,
				       .csum_start = 56,
				       .csum_offset = 6};
}

static enum err decode(const struct virtio_net_hdr *header, size_t size, struct packet *ret)
{
	memcpy(packet_bytes - TUN_HEADER_SIZE, header, sizeof(*header));
	return tun_header_decode(packet_bytes, size, ret);
}

static void test_superpackets(void **state)
{
	struct virtio_net_hdr header = make_tcp4();
	struct packet packet;

	(void)state;
	header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	assert_int_equal(decode(&header, CASE_SIZE, &packet), OK);
	assert_int_equal(packet.gso, PACKET_GSO_TCP4);
	assert_int_equal(packet.header_size, 52); /* not the 9 that the header claims */
	assert_int_equal(packet.gso_size, 1400);
	assert_true(packet.checksum_partial);
	assert_int_equal(packet.checksum_start, 20);
	assert_ptr_equal(packet.bytes, packet_bytes);
	header = make_udp6();
	assert_int_equal(decode(&header, CASE_SIZE, &packet), OK);
	assert_int_equal(packet.gso, PACKET_GSO_UDP);
	assert_int_equal(packet.header_size, 64);
}

static void test_plain(void **state)
{
	struct virtio_net_hdr header = {0};
	struct packet packet;

	(void)state;
	make_tcp4();
	assert_int_equal(decode(&header, 20, &packet), OK);
	assert_int_equal(packet.gso, PACKET_GSO_NONE);
	assert_false(packet.checksum_partial);
	assert_int_equal(packet.size, 20);
}

struct lie {
	const char *what;
	size_t size, at; /* at: byte of the packet to change, when value is not negative */
	int value;
	struct virtio_net_hdr header;
};

static void test_lies(void **state)
{
	const struct virtio_net_hdr tcp = make_tcp4();
	struct virtio_net_hdr h[8];
	const struct lie lies[] = {
		{"no bytes", 0, 0, -1, tcp},
		{"19 bytes", 19, 0, -1, tcp},
		{"version 5", CASE_SIZE, 0, 0x55, tcp},
		{"header shorter than 20", CASE_SIZE, 0, 0x44, tcp},
		{"IPv6 bytes under a TCP4 type", CASE_SIZE, 0, 0x60, tcp},
		{"UDP under a TCP type", CASE_SIZE, 9, 17, tcp},
		{"TCP header of 16 bytes", CASE_SIZE, 32, 4 << 4, tcp},
		{"headers only", 52, 0, -1, tcp},
		{"cut inside the TCP header", 38, 0, -1, tcp},
	};
	struct packet packet = {.size = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		make_tcp4();
		if (lies[i].value >= 0)
			packet_bytes[lies[i].at] = (uint8_t)lies[i].value;
		if (decode(&lies[i].header, lies[i].size, &packet) == OK)
			fail_msg("accepted: %s", lies[i].what);
	}
	for (size_t i = 0; i < 8; i++)
		h[i] = tcp;
	h[0].gso_size = 0;
	h[1].csum_start = 24;
	h[2].csum_start = CASE_SIZE;
	h[3].csum_offset = 0xffff;
	h[4].gso_type = VIRTIO_NET_HDR_GSO_UDP; /* fragments: never asked for */
	h[5].gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	h[6].gso_type = GSO_UDP_L4;
	h[7].gso_type = 77;
	make_tcp4();
	for (size_t i = 0; i < 8; i++)
		if (decode(&h[i], CASE_SIZE, &packet) == OK)
			fail_msg("accepted header %zu", i);
	assert_int_equal(packet.size, 77); /* untouched */
}

/* Extension headers that run past the end or never end. */
static void test_extensions(void **state)
{
	struct virtio_net_hdr header = make_udp6();
	struct packet packet;

	(void)state;
	packet_bytes[41] = 255;
	header.csum_start = 40 + 8 + 255 * 8;
	assert_int_equal(decode(&header, 2000, &packet), ERR_MALFORMED);
	header = make_udp6();
	for (size_t at = 40; at < CASE_SIZE; at += 8) { /* hop-by-hop headers without end */
		packet_bytes[at] = 0;
		packet_bytes[at + 1] = 0;
	}
	assert_int_equal(decode(&header, CASE_SIZE, &packet), ERR_MALFORMED);
}

static void test_round_trip(void **state)
{
	struct virtio_net_hdr header = make_tcp4();
	struct packet packet, again;

	(void)state;
	assert_int_equal(decode(&header, CASE_SIZE, &packet), OK);
	memset(buffer, 0xee, PACKET_ROOM);
	tun_header_encode(&packet);
	assert_int_equal(tun_header_decode(packet_bytes, CASE_SIZE, &again), OK);
	assert_int_equal(again.gso, packet.gso);
	assert_int_equal(again.gso_size, packet.gso_size);
	assert_int_equal(again.header_size, packet.header_size);
	assert_true(again.checksum_partial);
	assert_int_equal(again.checksum_start, packet.checksum_start);
	assert_int_equal(again.checksum_offset, packet.checksum_offset);
	assert_int_equal(buffer[PACKET_ROOM - TUN_HEADER_SIZE - 1], 0xee); /* and not a byte before it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_superpackets), cmocka_unit_test(test_plain),	cmocka_unit_test(test_lies),
		cmocka_unit_test(test_extensions),   cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
