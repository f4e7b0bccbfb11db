/*
 * field.h: the body of every message is a list of fields: type (8 bit, top bit: critical), length (16 bit), value.
 * Unknown optional fields are skipped, unknown critical ones are ERR_CRITICAL, a repeated singular one is
 * ERR_MALFORMED (security 4). Encoders mark critical what a receiver must not act without.
 */
#pragma once

#include "base/addr.h"
#include "base/cursor.h"
#include "wire/limits.h"

enum { FIELD_CRITICAL = 0x80 };

/* One name space for all messages; a field means the same wherever it stands. */
enum field_type {
	FIELD_PAD = 0x00, /* zeros; may repeat, in every message */
	FIELD_CERTIFICATE = 0x01,
	FIELD_LEASE = 0x02,
	FIELD_CANDIDATE = 0x03,	   /* may repeat, at most CANDIDATES_MAX */
	FIELD_OBSERVED = 0x04,	   /* transport address, as the sender of this message saw the receiver */
	FIELD_NETWORK_TIME = 0x05, /* u64 seconds since 1970 */
	FIELD_FEATURES = 0x06,	   /* u32 */
	FIELD_MOVE_EPOCH = 0x07,   /* u32 */
	FIELD_NAME = 0x08,	   /* FQDN, lower case, no final dot */
	FIELD_IP = 0x09,	   /* virtual address: u8 family, 4 or 16 bytes */
	FIELD_NODE_ID = 0x0a,
	FIELD_PATH_ID = 0x0b,
	FIELD_TEMP_KEY = 0x0c,
	FIELD_SUITE = 0x0d,  /* u8 */
	FIELD_RELAY = 0x0e,  /* may repeat: struct relay_grant */
	FIELD_REASON = 0x0f, /* u8 enum reason */
	FIELD_CHALLENGE = 0x10,
	FIELD_HANDSHAKE = 0x11, /* a whole handshake message, for rekeying */
	FIELD_EPOCH = 0x12,	/* u8 key epoch */
	FIELD_KEEPALIVE = 0x13, /* u32 milliseconds */
	FIELD_DATA = 0x14,	/* echo payload */
	FIELD_REVOKED = 0x15,	/* may repeat: NodeID */
	FIELD_MTU = 0x16,	/* u16 */
	FIELD_REQUESTED = 0x17, /* empty: the receiver's own Direction Request led to this */
	/* Login frames. */
	FIELD_ROLE = 0x18, /* u8 enum login_role */
	FIELD_SECRET = 0x19,
	FIELD_IDENTITY_KEY = 0x1a,
	FIELD_STATIC_KEY = 0x1b,
	FIELD_WISH = 0x1c,	     /* text: name as a person typed it */
	FIELD_SERVER_ADDRESS = 0x1d, /* transport address; may repeat, at most SERVER_ADDRESSES_MAX */
	FIELD_PROOF = 0x1e,
	FIELD_NETWORK = 0x1f,	    /* network document */
	FIELD_TEXT = 0x20,	    /* one line for a person */
	FIELD_RECEIVED = 0x21,	    /* what has arrived in one counter space; repeats, at most PATHS_MAX */
	FIELD_KEPT = 0x22,	    /* empty: the address that the sender had before still works */
	FIELD_LEG_KEY = 0x23,	    /* of leg 1, beside a grant for leg 0: one coordinator to another */
	FIELD_NETWORK_EPOCH = 0x24, /* u64: of the network document that the sender has */
	FIELD_OFFSET = 0x25,	    /* u16: in the network document */
	FIELD_SIZE = 0x26,	    /* u16: of the network document */
	FIELD_DELAY = 0x27,	    /* u32 milliseconds: the answer is wanted that much later */
	FIELD_RELAY_SEEN = 0x28,    /* one relay as a node sees it: tag, RTT, loss; repeats, at most RELAY_SEEN_MAX */
	FIELD_RELAY_SILENT = 0x29,  /* u32 tag of a relay that does not answer, u32 milliseconds */
	FIELD_RELAY_CAUSE = 0x2a,   /* u8 enum relay_cause */
	FIELD_MAPPING = 0x30,	    /* how a NAT maps: u8 enum mapping_kind, u16 each of the ports to knock at */
	FIELD_FIRST_FREE = 0x31,    /* next number to give away; beyond 0x3f fields_decode needs a wider mask */
	FIELD_TOLERANCE = 0x60,	    /* 0x60..0x7f never get a meaning: sent so that skipping stays tested */
};

/* Reason codes on the wire; not enum err. */
enum reason {
	REASON_NONE = 0,
	REASON_UNKNOWN_NAME = 1, /* no such node in this zone */
	REASON_OFFLINE = 2,	 /* the node exists but is not registered now */
	REASON_DENIED = 3,
	REASON_REVOKED = 4,
	REASON_BUSY = 5, /* over a rate limit; try later */
	REASON_BAD_REQUEST = 6,
	REASON_BAD_CREDENTIAL = 7,
	REASON_LEAVING = 8,	 /* Close: the peer goes down on purpose */
	REASON_NO_ADDRESS = 9,	 /* pool exhausted */
	REASON_NO_ZONE = 10,	 /* DNS knows no coordinator of that zone */
	REASON_NOT_TRUSTED = 11, /* the zone is of a network that ours does not trust, or not of the one that it does */
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
/*
 * Zeros, so that at least `size` bytes lie between offset `from` and the writer's position; nothing when they do
 * already.
 */
void field_put_pad(struct writer *w, size_t from, size_t size);
/* Nothing for an address of family 0: it is not known. */
void field_put_addr(struct writer *w, uint8_t type, const struct addr *addr);
void field_put_ip(struct writer *w, uint8_t type, const struct ip *ip);
/* The text fills the field; nothing for an empty one. */
void field_put_text(struct writer *w, uint8_t type, const char *text);
/* u8 family (4, 6), u16 port, 4 or 16 bytes. A v4-mapped address is ERR_MALFORMED: it would be a second encoding. */
void write_addr(struct writer *w, const struct addr *addr);
struct addr read_addr(struct reader *r);
/* u8 family, 4 or 16 bytes. */
void write_ip(struct writer *w, const struct ip *ip);
struct ip read_ip(struct reader *r);
/*
 * u8 length, bytes. ret has room for max + 1 and is zero-terminated; longer text and all but printable ASCII are
 * ERR_MALFORMED.
 */
void write_text(struct writer *w, const char *text);
void read_text(struct reader *r, char *ret, size_t max);
/* The same for text that fills the rest of the reader. */
void read_text_rest(struct reader *r, char *ret, size_t max);
/* As read_text, and the text must satisfy name_is_valid. */
void read_name(struct reader *r, char *ret, size_t max);
/* FIELD_NAME that names a zone: it fills the rest. */
void zone_name_take(struct reader *value, char ret[ZONE_MAX_SIZE + 1]);
/* Labels of 1 to 63 lower-case letters, digits and inner hyphens, separated by dots. */
bool name_is_valid(const char *name);
/* All that is left must be one value of at most max bytes: for credentials and tickets inside fields. */
struct blob read_blob_rest(struct reader *r, size_t max);

/*
 * The next field: false at the end or on error (see r->err). *ret_type lacks the critical bit; *ret_critical has it;
 * *ret_value covers exactly the value.
 */
bool field_next(struct reader *r, uint8_t *ret_type, bool *ret_critical, struct reader *ret_value);

/* What fields_decode has to know of a message; masks have bit 1 << type. */
struct field_rules {
	uint64_t mandatory, repeatable;
	/* Reads one field, to its end, into the message; false when the type is none of this message's. */
	bool (*take)(void *message, uint8_t type, struct reader *value);
};
/* Reads all fields by the rules above. *ret_seen has bit 1 << type for every field that was taken. */
must_use enum err fields_decode(struct reader *r, const struct field_rules *rules, void *message, uint64_t *ret_seen);
