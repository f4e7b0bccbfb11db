#include "base/err.h"

/* Short text for an error, for logs and the control socket. */
const char *err_text(enum err e)
{
	switch (e) {
	case OK: return "ok";
	case ERR_TRUNCATED: return "truncated";
	case ERR_MALFORMED: return "malformed";
	case ERR_CRITICAL: return "unknown critical field";
	case ERR_AUTH: return "not authentic";
	case ERR_REPLAY: return "replayed";
	case ERR_UNKNOWN: return "unknown";
	case ERR_EXPIRED: return "expired";
	case ERR_DENIED: return "denied";
	case ERR_FULL: return "table full";
	case ERR_EXHAUSTED: return "limit reached";
	case ERR_STATE: return "out of sequence";
	case ERR_EXISTS: return "already taken";
	case ERR_SIZE: return "too large";
	case ERR_IO: return "system error";
	case ERR_UNSUPPORTED: return "not supported";
	case ERR_USAGE: return "usage";
	}
	return "unknown error";
}
