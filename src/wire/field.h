/*
 * field.h: the body of every message is a list of fields: type (8 bit, top bit: critical), length (16 bit), value.
 * Unknown optional fields are skipped, unknown critical ones are ERR_CRITICAL, a repeated singular one is ERR_MALFORMED (security 4).
 */
#pragma once

#include "base/addr.h"
#include "base/cursor.h"
#include "wire/limits.h"

enum { FIELD_CRITICAL = 0x80 };

/* One name space for all messages; a field means the same wherever it stands. */
enum field_type {
	FIELD_PAD = 0x00,             /* zeros; may repeat */
	FIELD_CERTIFICATE = 0x01,
	FIELD_LEASE = 0x02,
	FIELD_CANDIDATE = 0x03,       /* may repeat, at most CANDIDATES_MAX */
	FIELD_OBSERVED = 0x04,        /* transport address, as the sender of this message saw the receiver */
	FIELD_NETWORK_TIME = 0x05,    /* u64 seconds since 1970 */
	FIELD_FEATURES = 0x06,        /* u32 */
	FIELD_MOVE_EPOCH = 0x07,      /* u32 */
	FIELD_NAME = 0x08,            /* FQDN, lower case, no final dot */
	FIELD_IP = 0x09,              /* virtual address: u8 family, 4 or 16 bytes */
	FIELD_NODE_ID = 0x0a,
	FIELD_PATH_ID = 0x0b,
	FIELD_TEMP_KEY = 0x0c,
	FIELD_SUITE = 0x0d,           /* u8 */
	FIELD_RELAY = 0x0e,           /* may repeat: struct relay_grant */
	FIELD_REASON = 0x0f,          /* u8 enum reason */
	FIELD_CHALLENGE = 0x10,
	FIELD_HANDSHAKE = 0x11,       /* a whole handshake message, for rekeying */
	FIELD_EPOCH = 0x12,           /* u8 key epoch */
	FIELD_KEEPALIVE = 0x13,       /* u32 milliseconds */
	FIELD_DATA = 0x14,            /* echo payload */
	FIELD_REVOKED = 0x15,         /* may repeat: NodeID */
	FIELD_MTU = 0x16,             /* u16 */
	FIELD_REQUESTED = 0x17,       /* u8: 1 to the end that asked for the direction, 0 to the other */
	FIELD_FIRST_FREE = 0x18,      /* first number without a meaning: what is sent to test tolerance starts here */
};

/* Reason codes on the wire; not enum err. */
enum reason {
	REASON_NONE = 0,
	REASON_UNKNOWN_NAME = 1,    /* no such node in this zone */
	REASON_OFFLINE = 2,         /* the node exists but is not registered now */
	REASON_DENIED = 3,
	REASON_REVOKED = 4,
	REASON_BUSY = 5,            /* over a rate limit; try later */
	REASON_BAD_REQUEST = 6,
	REASON_BAD_CREDENTIAL = 7,
	REASON_LEAVING = 8,         /* Close: the peer goes down on purpose */
	REASON_NO_ADDRESS = 9,      /* pool exhausted */
};

/* Opens a field: type and a hole for its length. Returns what field_end needs. */
size_t field_begin(struct writer *w, uint8_t type);
void field_end(struct writer *w, size_t begun);
void field_put_u8(struct writer *w, uint8_t type, uint8_t value);
void field_put_u16(struct writer *w, uint8_t type, uint16_t value);
void field_put_u32(struct writer *w, uint8_t type, uint32_t value);
void field_put_u64(struct writer *w, uint8_t type, uint64_t value);
void field_put_bytes(struct writer *w, uint8_t type, const void *bytes, size_t size);
/* An unknown optional field derived from `seed`, so that tolerance is exercised by every exchange (security 4). */
void field_put_unknown(struct writer *w, uint32_t seed);
/* u8 family (4, 6), u16 port, 4 or 16 bytes. */
void write_addr(struct writer *w, const struct addr *addr);
struct addr read_addr(struct reader *r);
/* u8 family, 4 or 16 bytes. */
void write_ip(struct writer *w, const struct ip *ip);
struct ip read_ip(struct reader *r);
/* u8 length, bytes. ret has room for max + 1 and is zero-terminated; inner zeros and longer text are ERR_MALFORMED. */
void write_text(struct writer *w, const char *text);
void read_text(struct reader *r, char *ret, size_t max);

/*
 * The next field: false at the end or on error (see r->err). *ret_type lacks the critical bit; *ret_critical has it; *ret_value covers
 * exactly the value.
 */
bool field_next(struct reader *r, uint8_t *ret_type, bool *ret_critical, struct reader *ret_value);
