/* packets.h: inner packets made by hand, and checksums counted apart from the code under test. */
#pragma once

#include "base/packet.h"
#include "proto/exit/exit.h"

enum { BUFFER_SIZE = 4096 };

/* A packet in a buffer with the room that packets have. */
struct made {
	uint8_t buffer[PACKET_ROOM + BUFFER_SIZE + PACKET_ROOM];
	struct packet packet;
};

struct addr at(const char *text);
/* payload bytes are a counting pattern; all checksums complete. */
void make_udp(struct made *made, const char *from, const char *to, size_t payload);
void make_tcp(struct made *made, const char *from, const char *to, uint8_t flags, size_t payload);
/* With an MSS option, after `padding` bytes of no-operation. */
void make_syn(struct made *made, const char *from, const char *to, uint16_t mss, size_t padding);
/* Ports in the texts: the identifier is the asker's. */
void make_echo(struct made *made, const char *from, const char *to, bool is_request);
/* An error from a router about a packet; quoted: how many of its bytes. */
void make_error(struct made *made, const char *from, const char *to, uint8_t type, uint8_t code,
		const struct packet *about, size_t quoted);
/* A fragment of a packet that is not cut: `size` bytes of its payload from `at` on. */
void make_piece(struct made *made, const struct packet *whole, uint32_t id, size_t at, size_t size);
/* Puts one back into what it is of; true when the whole is there, with sums that hold. begun: zeroed at first. */
struct joined {
	struct made made;
	size_t seen, total;
	uint32_t id;
	bool is_mixed; /* addresses or identifications differ */
};
bool join_piece(struct joined *joined, const struct packet *piece);
/* Source and target as the packet has them; for errors, of the quoted packet. */
struct addr source_of(const struct packet *packet);
struct addr target_of(const struct packet *packet);
struct addr quoted_source_of(const struct packet *packet);
/* Network and transport checksum are right, counted here. */
bool sums_hold(const struct packet *packet);
/* Of the packet that an error quotes, as far as it was quoted whole. */
bool quoted_sums_hold(const struct packet *packet);
uint16_t read16(const uint8_t *p);
