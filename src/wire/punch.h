/*
 * punch.h: what two ends whose NATs let nothing in tell each other, through their relay, before they knock: how each
 * one's NAT maps, and where it will be.
 */
#pragma once

#include "base/cursor.h"
#include "wire/limits.h"

enum { PUNCH_PORTS_MAX = 16 };

/* What a NAT does with one socket that speaks to several others (RFC 4787 4.1), and with one socket more. */
enum mapping_kind {
	MAPPING_UNKNOWN,   /* nobody could tell */
	MAPPING_STEADY,	   /* endpoint-independent, or no NAT: one outside port for all */
	MAPPING_GUESSABLE, /* another port for another destination, but the next ones are known */
	MAPPING_RANDOM,	   /* any port */
	MAPPING_KINDS,
};

/*
 * A coordinator answers at this port too, if it can have it: from whom both see at one port the NAT maps steadily. Not
 * the next one, where another server of the machine may be.
 */
static inline uint16_t punch_second_port(uint16_t port)
{
	return (uint16_t)(port <= 55535 ? port + 10000 : port - 10000);
}

struct punch_message {
	uint8_t kind;
	uint8_t key[KEY_SIZE]; /* under which probes to the sender are authenticated */
	uint8_t port_count;    /* steady: 1, guessable: 1 to PUNCH_PORTS_MAX, else 0 */
	uint16_t ports[PUNCH_PORTS_MAX];
};

void punch_message_encode(const struct punch_message *m, struct writer *w);
must_use enum err punch_message_decode(struct reader *r, struct punch_message *ret);
