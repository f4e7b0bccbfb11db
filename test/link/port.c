#include "port.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOCKET_BUFFER_BYTES = 32 << 20 };

static const uint64_t NSEC_PER_SEC = 1000000000;

static uint64_t nanoseconds(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * NSEC_PER_SEC + (uint64_t)time->tv_nsec;
}

/* The clock of all due times. */
uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return nanoseconds(&now);
}

/* Frames that the interface's own host sends on it are none of ours; what we send passes no queue. */
static bool set_options(int fd)
{
	int on = 1, size = SOCKET_BUFFER_BYTES;

	return setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0 &&
	       setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0 &&
	       setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0;
}

/* A packet socket of protocol 0 hears nothing until it is bound, so no frame of another interface gets in. */
enum err port_init(struct port *port, const char *interface)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), saved;

	if (fd < 0)
		return ERR_IO;
	address.sll_ifindex = (int)if_nametoindex(interface);
	if (address.sll_ifindex == 0 || !set_options(fd) ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return ERR_IO;
	}
	*port = (struct port){.fd = fd};
	return OK;
}

/* The interface stays. */
void port_finish(struct port *port)
{
	close(port->fd);
	port->fd = -1;
}

/* The kernel's stamp, moved from the wall clock to ours by what lies between them now. */
static uint64_t arrival(struct port *port, struct msghdr *message, uint64_t now_ns, uint64_t wall_now_ns)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct timespec stamp;
	uint64_t age_ns = 0;

	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&stamp, CMSG_DATA(control), sizeof stamp);
		age_ns = wall_now_ns > nanoseconds(&stamp) ? wall_now_ns - nanoseconds(&stamp) : 0;
	}
	/* A wall clock that was set meanwhile must not throw frames into the past. */
	if (age_ns > NSEC_PER_SEC || now_ns - age_ns < port->last_arrival_ns)
		return port->last_arrival_ns = port->last_arrival_ns < now_ns ? now_ns : port->last_arrival_ns;
	return port->last_arrival_ns = now_ns - age_ns;
}

static unsigned take_slots(struct depot *depot, struct port_frame frames[PORT_BATCH])
{
	unsigned taken = 0;

	while (taken < PORT_BATCH && depot_take(depot, &frames[taken].slot) == OK)
		taken++;
	return taken;
}

static unsigned drop_one(struct port *port)
{
	uint8_t byte;

	return recv(port->fd, &byte, sizeof byte, MSG_TRUNC) >= 0;
}

static void stamp_all(struct port *port, struct mmsghdr *messages, unsigned count, struct port_frame *frames)
{
	struct timespec wall;
	uint64_t now_ns;

	clock_gettime(CLOCK_REALTIME, &wall);
	now_ns = clock_now_ns();
	for (unsigned i = 0; i < count; i++) {
		frames[i].size_bytes = messages[i].msg_len;
		frames[i].arrival_ns = arrival(port, &messages[i].msg_hdr, now_ns, nanoseconds(&wall));
	}
}

/* Slots are taken for a whole batch, and those that were not needed given back. */
unsigned port_receive(struct port *port, struct depot *depot, struct port_frame frames[PORT_BATCH],
		      uint64_t *ret_dropped)
{
	struct mmsghdr messages[PORT_BATCH];
	struct iovec parts[PORT_BATCH];
	uint64_t controls[PORT_BATCH][CMSG_SPACE(sizeof(struct timespec)) / sizeof(uint64_t)];
	unsigned room = take_slots(depot, frames), count;
	int received;

	*ret_dropped = 0;
	if (room == 0) {
		*ret_dropped = drop_one(port);
		return 0;
	}
	for (unsigned i = 0; i < room; i++) {
		parts[i] = (struct iovec){depot_bytes(depot, frames[i].slot), FRAME_MAX};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i],
							   .msg_iovlen = 1,
							   .msg_control = controls[i],
							   .msg_controllen = sizeof controls[i]}};
	}
	received = recvmmsg(port->fd, messages, room, MSG_DONTWAIT | MSG_TRUNC, NULL);
	count = received > 0 ? (unsigned)received : 0;
	for (unsigned i = room; i > count; i--)
		depot_give(depot, frames[i - 1].slot);
	stamp_all(port, messages, count, frames);
	return count;
}

/* The caller flushes a full port first. */
void port_gather(struct port *port, const struct depot_item *item)
{
	assert(port->count < PORT_BATCH);
	port->gathered[port->count++] = *item;
}

/* Nothing waits for a full queue: a link that takes no more loses the frame, as links do. */
unsigned port_flush(struct port *port, struct depot *depot)
{
	struct mmsghdr messages[PORT_BATCH];
	struct iovec parts[PORT_BATCH];
	int sent;

	for (unsigned i = 0; i < port->count; i++) {
		const struct depot_item *item = &port->gathered[i];

		parts[i] = (struct iovec){depot_bytes(depot, item->slot), item->size_bytes};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
	}
	sent = sendmmsg(port->fd, messages, port->count, MSG_DONTWAIT);
	return sent > 0 ? (unsigned)sent : 0;
}

/* The kernel forgets its count with each answer. */
uint64_t port_overrun(struct port *port)
{
	struct tpacket_stats stats = {0};
	socklen_t size = sizeof stats;

	if (getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
		port->overrun += stats.tp_drops;
	return port->overrun;
}
