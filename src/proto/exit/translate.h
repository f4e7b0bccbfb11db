/*
 * translate.h: one packet's addresses and ports read, and replaced, with all checksums kept true: TCP, UDP, ICMP echo
 * and ICMP errors with what they quote; superpackets, whose checksum holds only the pseudo header's sum, as well.
 * Pure functions on bytes (RFC 1624, RFC 5508, RFC 7915 for what is quoted).
 */
#pragma once

#include "base/packet.h"
#include "wire/inner.h"

enum translate_kind {
	TRANSLATE_TCP,
	TRANSLATE_UDP,
	TRANSLATE_ECHO, /* its identifier counts as the asker's port; the other end's is 0 */
	TRANSLATE_ERROR,
	TRANSLATE_OTHER,
	TRANSLATE_FRAGMENT, /* any but the first: it has no ports */
};

/* One packet as the translator sees it. Of an error, what counts is the quoted packet. */
struct translate {
	struct packet *packet;
	struct inner inner;
	enum translate_kind kind;
	bool is_request;	    /* of an echo */
	struct addr source, target; /* of the packet */
	uint8_t tcp_flags;
	/* A first fragment has the kind of what it begins. */
	bool is_fragment, has_more;
	uint32_t fragment_id;
	uint16_t fragment_at; /* where its payload belongs, in bytes */
	/* TRANSLATE_ERROR: the packet that it quotes */
	enum translate_kind quoted_kind;
	bool quoted_request;
	struct addr quoted_source, quoted_target;
	size_t quoted_at, quoted_transport_at; /* offsets in the packet */
};

/* ERR_MALFORMED: not a whole packet, or headers that do not fit. */
must_use enum err translate_parse(struct translate *ret, struct packet *packet);
/* The checksum of an ICMP error, as it came (RFC 5508 REQ-3). */
bool translate_error_holds(const struct translate *t);
/* A new identification, of a fragment. */
void translate_set_fragment_id(struct translate *t, uint32_t id);
/* A new source or target; of an error, only its IP address; of a fragment that is not the first, as well. */
void translate_set_source(struct translate *t, const struct addr *to);
void translate_set_target(struct translate *t, const struct addr *to);
/* Of what an error quotes; then translate_finish_error. */
void translate_set_quoted_source(struct translate *t, const struct addr *to);
void translate_set_quoted_target(struct translate *t, const struct addr *to);
/* The checksum of an error anew, after all changes. */
void translate_finish_error(struct translate *t);
/* RFC 879: lowers the MSS option of a SYN to what fits into mtu. */
void translate_clamp_mss(struct translate *t, uint16_t mtu);
