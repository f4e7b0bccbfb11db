/*
 * fixture.h: a relay with one coordinator, virtual time, and a referee that watches every byte which goes to an
 * address that proved nothing.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/relay/relay.h"
#include "proto/session/leg.h"
#include "proto/session/trust.h"

enum { FIXTURE_PLACES = 64, FIXTURE_EVENTS = 64, FIXTURE_OUT_MAX = 2048 };

/* What went in and out for one address. */
struct place {
	struct addr addr;
	bool proven;
	uint64_t in, out;
};

struct fixture {
	struct relay *relay;
	struct dh_keys relay_keys, coordinator_keys;
	uint8_t ticket_key[KEY_SIZE];
	uint64_t random_state;
	struct time_us now;
	struct place places[FIXTURE_PLACES];
	struct relay_event events[FIXTURE_EVENTS];
	uint32_t event_count;
	struct datagram out[FIXTURE_OUT_MAX];
	uint32_t out_count;
};

/* A grant as a coordinator would make it, for both ends. */
struct grants {
	struct relay_grant leg[2];
	uint8_t sealed[TICKET_SEALED_SIZE];
};

extern const struct addr relay_addr, relay_addr6; /* ours, by family */

void fixture_init(struct fixture *f, const struct relay_config *config);
/* With a forwarder beside the machine. */
void fixture_init_express(struct fixture *f, const struct relay_config *config, const struct relay_express *express);
void fixture_finish(struct fixture *f);
struct addr place_addr(uint8_t host, uint16_t port);
/* Seals a ticket whose leg keys follow from path_id. */
void fixture_seal(struct fixture *f, const struct ticket *ticket, struct grants *ret);
struct ticket fixture_ticket(uint64_t path_id);
/* Sends and pulls everything; f->out has it. Checks amplification. */
enum err fixture_send(struct fixture *f, const struct addr *from, const uint8_t *bytes, size_t size,
		      uint16_t segment_size);
void fixture_wait(struct fixture *f, int64_t us);
/* Runs leg's half from `from` until neither side has more to say. */
void fixture_run_leg(struct fixture *f, struct leg *leg, const struct addr *from);
/* Both legs of path_id bound at host 1 and host 2, port 1000. */
void fixture_bind_both(struct fixture *f, uint64_t path_id, struct leg legs[2]);
/* At these addresses. */
void fixture_bind_at(struct fixture *f, uint64_t path_id, struct leg legs[2], const struct addr places[2]);
/* A sealed packet of this PathID: size bytes, the first counter byte is `mark`. */
void make_sealed(uint8_t *ret, size_t size, uint64_t path_id, uint8_t mark);
void fixture_counters(struct fixture *f, struct relay_counters *ret);
