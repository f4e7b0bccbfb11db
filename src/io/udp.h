/*
 * udp.h: one UDP port in both families, in trains (UDP_SEGMENT out, UDP_GRO in). No allocation after opening, no
 * protocol. Datagrams are never fragmented and forged "fragmentation needed" is ignored (IP_PMTUDISC_PROBE): the
 * caller finds path MTUs by probing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/datagram.h"
#include "base/err.h"

enum { UDP_BATCH = 32, UDP_TOO_BIG_MAX = 64, UDP_MORE_MAX = 320 };

struct udp;

struct udp_params {
	struct addr
		local; /* ip none, 0.0.0.0 or ::: both families; otherwise this address only. Port 0: any free one */
	bool port_is_wish; /* another port will do when local.port is taken */
	uint32_t mark;	   /* SO_MARK (T2); 0: none. Needs CAP_NET_ADMIN or CAP_NET_RAW */
	int buffer_bytes;  /* wished SO_RCVBUF and SO_SNDBUF; 0: 7 MiB */
	bool no_segment;   /* never use UDP_SEGMENT */
	bool short_trains; /* 64 segments a call, also where the kernel takes 128 */
	bool no_gro;	   /* do not ask for UDP_GRO: every datagram arrives alone */
	bool shared;	   /* others of this user's sockets may have the same port; set by udp_open_beside */
};

/* What the kernel can and the params allow; as found when opening, and by refusals since. */
struct udp_abilities {
	bool segment;	       /* UDP_SEGMENT is used: false while a device refuses it, too */
	bool gro;	       /* UDP_GRO is used: the kernel joins, and says the size of what it has joined */
	uint16_t segments_max; /* per call */
};

/* Of all sockets together, since opening. */
struct udp_counters {
	uint64_t received, received_bytes; /* datagrams (segments), bytes */
	uint64_t receive_calls;
	uint64_t receive_truncated; /* bytes did not fit, or what says how to cut them: dropped */
	uint64_t receive_malformed;
	uint64_t sent, sent_bytes, send_calls;
	uint64_t send_joined;	    /* datagrams and trains that left in the message of the one before them */
	uint64_t send_waits;	    /* the socket buffer was full and we waited */
	uint64_t send_dropped_full; /* datagrams given up after waiting */
	uint64_t send_too_big;	    /* trains refused with EMSGSIZE */
	uint64_t send_unreachable;  /* trains refused: no route, source gone, not permitted */
	uint64_t segment_fallbacks; /* times that the kernel or device refused UDP_SEGMENT: one message per datagram
				       then, for 16,384 datagrams, before it is asked again */
};

/* Trains as they came. Bytes are writable by nobody, valid until the next udp_receive on the same family. */
struct udp_batch {
	struct datagram datagrams[UDP_BATCH]; /* route.local is our address and port; never v4-mapped */
	size_t count;
	bool is_last; /* nothing more waited: whoever has a level-triggered loop need not ask again */
};

struct udp_result {
	size_t too_big;			       /* trains refused with EMSGSIZE */
	size_t too_big_index[UDP_TOO_BIG_MAX]; /* the first of them, as indices of the array given */
};

/*
 * ERR_EXISTS: the port is taken (and not just a wish). ERR_IO with errno otherwise. A machine without one of the
 * families gets the other alone, unless local names an address of it.
 */
must_use enum err udp_open(const struct udp_params *params, struct udp **ret);
/*
 * Another handle of the same port, for a thread of its own: udp_send through the same sockets, udp_receive from them
 * when `receives`. With `apart` they are new sockets, and the kernel gives each remote address to one of all that
 * receive. It has none of the ports that the first one has beside its own. ERR_IO with errno.
 */
must_use enum err udp_open_beside(struct udp *first, bool receives, bool apart, struct udp **ret);
/* Accepts NULL. */
void udp_close(struct udp *udp);
/* The socket of family 4 or 6, to be polled; -1 when there is none. */
int udp_fd(const struct udp *udp, uint8_t family);
uint16_t udp_port(const struct udp *udp);
void udp_get_counters(const struct udp *udp, struct udp_counters *ret);
void udp_get_abilities(const struct udp *udp, struct udp_abilities *ret);

/*
 * Takes what waits at the socket of one family, at most UDP_BATCH trains, without blocking. ret->count 0: nothing was
 * left; call again until then or be called back by the level-triggered loop.
 */
void udp_receive(struct udp *udp, uint8_t family, struct udp_batch *ret);

/*
 * Sends each train, those to one destination in order; what stands there with the same route and size of segments
 * leaves together, as one train. Every byte has been handed to the kernel or counted as lost when it returns; one bad
 * destination never holds up the others. Waits at most ten times half a millisecond while the socket buffer is full.
 * Segments of a train may be any number and together any size.
 */
void udp_send(struct udp *udp, const struct datagram *datagrams, size_t count, struct udp_result *ret);

/*
 * More ports, IPv4: sockets beside the first one, with the same address and options. What is sent with such a port as
 * route.local.port leaves from there. Port 0: any free one. ERR_EXISTS, ERR_FULL; ERR_IO with errno.
 */
must_use enum err udp_add_port(struct udp *udp, uint16_t wished, uint16_t *ret);
/* Harmless when it is not there. */
void udp_remove_port(struct udp *udp, uint16_t port);
/* To be polled: readable while anything waits at one of them. */
int udp_more_fd(const struct udp *udp);
/* As udp_receive, from one of them; also ends what udp_receive gave for family 4. */
void udp_receive_more(struct udp *udp, struct udp_batch *ret);
