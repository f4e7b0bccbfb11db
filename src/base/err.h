/* err.h: the one error type of the code base. Negative is failure, 0 is success. */
#pragma once

#define must_use __attribute__((warn_unused_result))

/*
 * What can go wrong, as the caller needs to tell it apart. A peer never sees these: the wire has
 * its own reason codes (wire/limits.h).
 */
enum err {
	OK = 0,
	ERR_TRUNCATED = -1,    /* bytes ended before the structure did */
	ERR_MALFORMED = -2,    /* bytes that no correct sender makes */
	ERR_CRITICAL = -3,     /* unknown field marked critical */
	ERR_AUTH = -4,	       /* tag, MAC or signature does not verify */
	ERR_REPLAY = -5,       /* authentic, but seen before or older than the window */
	ERR_UNKNOWN = -6,      /* no such session, peer, name, ticket */
	ERR_EXPIRED = -7,      /* outside its validity */
	ERR_DENIED = -8,       /* known, but not allowed */
	ERR_FULL = -9,	       /* a fixed table, pool or budget is exhausted */
	ERR_EXHAUSTED = -10,   /* a counter or key reached its limit */
	ERR_STATE = -11,       /* right message, wrong moment */
	ERR_EXISTS = -12,      /* name or address is taken by another */
	ERR_SIZE = -13,	       /* does not fit: packet over the path MTU, value over its limit */
	ERR_IO = -14,	       /* the operating system refused; errno tells why */
	ERR_UNSUPPORTED = -15, /* this machine or peer cannot do it */
	ERR_USAGE = -16,       /* what a person typed or configured is wrong */
};

/* Short lower-case English text for e; static storage, never NULL. */
const char *err_text(enum err e);
