/* udp_socket.h: what udp.c (opening), udp_receive.c and udp_send.c share. Not for others. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "io/udp.h"

enum {
	UDP_BUFFER_SIZE = 65536, /* the largest datagram, or train that GRO builds */
	UDP_CONTROL_SIZE = 128,	 /* PKTINFO of either family and a segment size */
	UDP_MESSAGES = 32,	 /* per sendmmsg */
	UDP_PARTS = 128,	 /* of the messages of one sendmmsg, and one chain more */
	UDP_JOIN_MAX = 64,	 /* datagrams that are looked at together: how many may leave in one message */
	UDP_TRAINS = 8,		 /* per recvmmsg while what comes is long: as much as a cache holds */
	UDP_LONG_BYTES = 4096,	 /* messages of this size at the average are long */
	UDP_SEGMENTS = 64,	 /* per message: what every kernel with UDP_SEGMENT takes */
	UDP_SEGMENTS_MOST = 128, /* ... and what newer ones take */
	UDP_TRAIN_BYTES = 65450, /* per message: with all headers below the 65,536 that cross a device whole */
	UDP_ASK_AGAIN = 16384,	 /* datagrams sent one by one before a kernel that refused trains is asked again */
};

/* As the kernel wants them, not in older headers. */
enum { UDP_OPTION_SEGMENT = 103, UDP_OPTION_GRO = 104 };

union udp_sockaddr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* One socket's receive side. */
struct udp_socket {
	int fd;	      /* -1: this family is not there */
	void *memory; /* of the buffers: pages that nothing was received into are never touched */
	uint8_t (*buffers)[UDP_BUFFER_SIZE];
	unsigned depth; /* of the next recvmmsg */
	struct mmsghdr messages[UDP_BATCH];
	struct iovec parts[UDP_BATCH];
	union udp_sockaddr remotes[UDP_BATCH];
	_Alignas(struct cmsghdr) uint8_t controls[UDP_BATCH][UDP_CONTROL_SIZE];
};

/* A message that waits to be sent: at most abilities.segments_max segments of one train, or of several to one
 * destination. */
struct udp_message {
	size_t first, part_count; /* of the parts */
	size_t bytes;
	uint16_t segment_size; /* 0: a single datagram */
	union udp_sockaddr remote;
	_Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_SIZE];
};

/* What may leave together: lists through an array of datagrams, each in the order of the array. */
struct udp_chains {
	uint8_t next[UDP_JOIN_MAX]; /* UDP_JOIN_MAX: none */
	bool is_first[UDP_JOIN_MAX];
};

/* One of the sockets beside the first. */
struct udp_more {
	int fd;
	uint16_t port;
};

struct udp {
	struct udp_params params;
	struct udp_socket v4, v6;
	uint16_t port;
	int more_fd; /* epoll of them all */
	size_t more_count;
	struct udp_more more[UDP_MORE_MAX];
	struct udp_abilities abilities;
	unsigned apart_left; /* datagrams to send one by one after a refusal */
	unsigned waits_left; /* of the udp_send under way */
	struct udp_counters counters;
	struct udp_message queue[UDP_MESSAGES];
	struct mmsghdr headers[UDP_MESSAGES];
	struct iovec parts[UDP_PARTS + UDP_JOIN_MAX];
	size_t part_index[UDP_PARTS + UDP_JOIN_MAX]; /* of the caller's datagram */
	size_t queued, parts_queued;
	int queued_fd;
};

/* udp_probe.c: never fails; what cannot be found out is taken for there. */
void udp_find_abilities(const struct udp_params *params, struct udp_abilities *ret);
/* udp.c: a bound socket of that family or -1 with errno. *port is replaced when it was 0. */
int udp_bind(const struct udp_params *params, uint8_t family, uint16_t *port);
/* udp_receive.c: what waits at this socket, into the buffers of `socket`. */
void udp_receive_at(struct udp *udp, struct udp_socket *socket, int fd, uint16_t port, struct udp_batch *ret);
/* udp_join.c: at most UDP_JOIN_MAX datagrams; to one destination the order of the firsts is the order of all. */
void udp_find_chains(const struct datagram *datagrams, size_t count, size_t segments_max, struct udp_chains *ret);
/* udp_more.c: which socket a datagram of that route leaves from; -1: none. */
int udp_fd_for(const struct udp *udp, const struct route *route);
/* All of them, with what polls them. */
void udp_close_more(struct udp *udp);

/* The socket address of addr; returns its size. */
static inline socklen_t udp_sockaddr_from(const struct addr *addr, union udp_sockaddr *ret)
{
	*ret = (union udp_sockaddr){0};
	if (addr->ip.family == 4) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(addr->port);
		__builtin_memcpy(&ret->v4.sin_addr, addr->ip.bytes, 4);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(addr->port);
	__builtin_memcpy(&ret->v6.sin6_addr, addr->ip.bytes, 16);
	return sizeof(ret->v6);
}
