/* fixture.h: an exit's machine, two nodes that use it, and a clock that the test sets. */
#pragma once

#include "packets.h"

#define OWN4 "192.0.0.6"
#define OWN6 "fdfb::2"
#define HOST4 "93.184.216.34:53"
#define HOST6 "[2a0f:ffff:6::2]:53"

struct fixture {
	struct exit_machine *machine;
	struct exit_config config;
	struct time_us now;
	uint64_t seed;
	struct certificate first, second;
	struct exit_answer answer;
};

/* Fills in the configuration; the test may change it before create. */
void begin(struct fixture *f);
void create(struct fixture *f);
struct exit_counters count(const struct fixture *f);
/* From a node, the first unless said otherwise; from outside. */
enum exit_verdict out_by(struct fixture *f, const struct certificate *certificate, struct made *made);
enum exit_verdict out(struct fixture *f, struct made *made);
enum exit_verdict in(struct fixture *f, struct made *made);
void check_end(struct addr end, const char *text);
/* The exit's address with this port, as text. */
const char *own(uint16_t port, bool is_v4, char text[ADDR_TEXT_MAX]);
/* Sends UDP from an inner end and returns the port outside. */
uint16_t port_of(struct fixture *f, const struct certificate *certificate, const char *from, const char *to);
