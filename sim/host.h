/*
 * host.h: a host drives one protocol machine through a small table of functions, with the same turn as the real event
 * loop.
 */
#pragma once

#include "base/datagram.h"
#include "base/packet.h"
#include "base/time.h"
#include "stream.h"

enum { HOST_NAME = 16, HOST_PORTS_MAX = 4, HOST_CONTACTS_MAX = 2048, HOST_PULLS_MAX = 100000, HOST_SOCKETS_MAX = 512 };
enum { HOST_TURN_US = 20 }; /* what a program takes for one turn: timers that are due at its end wait for the next */

struct world;
struct host;

/* One address of a host, most preferred interface first. */
struct host_address {
	struct ip ip;
	uint32_t ifindex, mtu;
};

/* Bytes to and from one remote address, for the amplification check. */
struct host_contact {
	struct addr remote;
	struct time_us since;
	uint64_t in, out;
};

/* What a machine can do; optional ones may be NULL. m is the machine. */
struct machine_ops {
	void (*input_datagram)(void *m, struct time_us now, const struct datagram *datagram);
	void (*input_time)(void *m, struct time_us now);
	/* Optional: it may want to open and close sockets before it sends. */
	void (*attend)(void *m, struct host *host);
	bool (*next_datagram)(void *m, struct time_us now, struct datagram *ret);
	struct time_us (*next_deadline)(const void *m);
	void (*input_packet)(void *m, struct time_us now, struct packet *packet); /* optional */
	bool (*next_packet)(void *m, struct packet *ret);			  /* optional */
	void (*set_addresses)(void *m, struct time_us now, const struct host_address *list, size_t count);
	void (*too_big)(void *m, struct time_us now, const struct route *route, size_t size); /* optional: EMSGSIZE */
	/* Optional: how many bytes more than remote sent may it get? UINT64_MAX once it has proved to be there. */
	uint64_t (*allowance)(const void *m, const struct host_contact *contact);
	void (*destroy)(void *m);
};

/* An interface: in which net it is plugged, and its addresses there. */
struct host_port {
	uint8_t net; /* 0: unplugged */
	uint32_t ifindex;
	struct ip v4, v6;
};

struct host {
	char name[HOST_NAME];
	uint8_t number; /* 1 .. */
	struct world *world;
	const struct machine_ops *ops;
	void *machine; /* NULL: switched off */
	uint16_t port; /* UDP, where the machine leaves it open */
	uint16_t socket_count, next_socket;
	uint16_t sockets[HOST_SOCKETS_MAX]; /* more ports that it listens at */
	bool joins;			    /* receives trains as UDP_GRO would; else one by one */
	struct host_port ports[HOST_PORTS_MAX];
	uint32_t preferred; /* ifindex of the default route; 0: the first that is plugged */
	uint64_t timer;	    /* number of the timer event that counts */
	struct time_us timer_at;
	struct time_us busy_at; /* instant of the last turns, and how many: a machine that spins is a bug */
	uint32_t busy_turns, busy_timers;
	uint64_t wakeups; /* times that it had something to do after a pause */
	uint32_t contact_count;
	struct host_contact contacts[HOST_CONTACTS_MAX];
	void *ctx;								      /* of on_packet */
	void (*on_packet)(void *ctx, struct host *host, const struct packet *packet); /* what comes out of its TUN */
};

/*
 * Pulls everything the machine has to say, and sets its timer. To be called after anything that was put in from
 * outside.
 */
void host_turn(struct host *host);
/* Arrived from the wire. */
void host_input_datagram(struct host *host, const struct datagram *datagram);
/* From its own programs. bytes are copied. */
void host_input_packet(struct host *host, const uint8_t *bytes, size_t size);
/* Plugs interface ifindex (1 ..) into a net; 0 unplugs it. The machine is told by host_announce. */
void host_plug(struct host *host, uint32_t ifindex, uint8_t net);
void host_announce(struct host *host);
/* Unplug, plug, announce: what a person does when walking out of the house. */
void host_move(struct host *host, uint32_t ifindex, uint8_t net);
/* Switches it off: nothing is said or heard any more. */
void host_kill(struct host *host);
/* Which of its ports has this address; NULL: none. family only, ip NULL: the first that is plugged. */
const struct host_port *host_port_of(const struct host *host, uint8_t family, const struct ip *ip);
/* At this port as well. */
void host_listen(struct host *host, uint16_t port);
/* Opens one more socket; 0: there are too many. */
uint16_t host_open(struct host *host);
void host_close(struct host *host, uint16_t port);
bool host_listens(const struct host *host, uint16_t port);
struct addr host_addr(const struct host *host, uint8_t family);
