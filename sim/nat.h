/*
 * nat.h: a NAT or a stateful firewall by the words of RFC 4787: mapping and filtering are each one of three
 * dependences, which are one key function.
 */
#pragma once

#include "base/addr.h"
#include "base/time.h"
#include "stream.h"

enum nat_dependence { NAT_ENDPOINT_INDEPENDENT, NAT_ADDRESS_DEPENDENT, NAT_ADDRESS_PORT_DEPENDENT, NAT_DEPENDENCES };

enum { NAT_MAPPINGS_MAX = 1024, NAT_PERMITS_MAX = 64, NAT_PORT_FIRST = 20000 };

struct nat_config {
	bool translates; /* false: a firewall, addresses stay */
	enum nat_dependence mapping, filtering;
	bool preserves_ports, draws_ports; /* neither: one after the other, */
	uint16_t port_step;		   /* so far apart; 0: 1 */
	bool hairpins;
	int64_t timeout_us; /* of a mapping that sends nothing; 0: 120 s */
};

/* One contact from inside that opened the way back. */
struct nat_permit {
	struct addr key;
	struct time_us last;
};

struct nat_mapping {
	struct addr inside, outside;
	struct addr key; /* of the remote it was made for, by the mapping's dependence */
	struct time_us last;
	uint32_t permit_count;
	struct nat_permit permits[NAT_PERMITS_MAX];
};

struct nat {
	struct nat_config config;
	struct ip external;
	struct stream random; /* of ports */
	uint16_t next_port;
	uint32_t mapping_count;
	struct nat_mapping *mappings;
};

void nat_init(struct nat *nat, const struct nat_config *config, struct ip external);
void nat_finish(struct nat *nat);
/* From inside to remote: the source as the world sees it. False when the table is full. */
bool nat_out(struct nat *nat, struct time_us now, const struct addr *inside, const struct addr *remote,
	     struct addr *ret);
/* From remote to one of our outside addresses: the host behind it, or false. */
bool nat_in(struct nat *nat, struct time_us now, const struct addr *outside, const struct addr *remote,
	    struct addr *ret);
/* Reboot: all mappings are forgotten, new ones get other ports. */
void nat_flush(struct nat *nat);
/* "endpoint-independent" and so on. */
const char *nat_dependence_text(enum nat_dependence dependence);
