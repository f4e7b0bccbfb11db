/*
 * udp_probe.c: what this kernel does with trains, found out between two sockets of our own on loopback before anything
 * depends on it. Whatever cannot be found out there (no loopback, no IPv4) is left to the answers of setsockopt, and to
 * what udp_send learns from refusals.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "io/udp_socket.h"

enum { PROBE_SEGMENT = 16, PROBE_WAIT_MS = 50 };

/* Both ends of a connection to ourselves. */
struct udp_probe {
	int from, to;
	struct sockaddr_in name; /* of `to` */
};

static bool probe_open(struct udp_probe *probe)
{
	socklen_t size = sizeof(probe->name);

	probe->name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	probe->from = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	probe->to = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return probe->from >= 0 && probe->to >= 0 &&
	       bind(probe->to, (struct sockaddr *)&probe->name, sizeof(probe->name)) == 0 &&
	       getsockname(probe->to, (struct sockaddr *)&probe->name, &size) == 0;
}

static void probe_close(struct udp_probe *probe)
{
	if (probe->from >= 0)
		close(probe->from);
	if (probe->to >= 0)
		close(probe->to);
}

/* A train of that many segments; false with errno. */
static bool probe_send(const struct udp_probe *probe, size_t segments)
{
	uint8_t bytes[UDP_SEGMENTS_MOST * PROBE_SEGMENT] = {0};
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	struct iovec part = {bytes, segments * PROBE_SEGMENT};
	struct sockaddr_in name = probe->name;
	struct msghdr message = {.msg_name = &name,
				 .msg_namelen = sizeof(name),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	uint16_t size = PROBE_SEGMENT;

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_OPTION_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	return sendmsg(probe->from, &message, 0) >= 0;
}

/* Does what arrives say how it is cut? True also when nothing arrives or nothing was joined. */
static bool probe_says_size(const struct udp_probe *probe)
{
	uint8_t bytes[UDP_SEGMENTS_MOST * PROBE_SEGMENT];
	_Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL_SIZE];
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct pollfd poll_fd = {.fd = probe->to, .events = POLLIN};

	if (poll(&poll_fd, 1, PROBE_WAIT_MS) != 1 || recvmsg(probe->to, &message, 0) <= PROBE_SEGMENT)
		return true;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		int size;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_OPTION_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return size == PROBE_SEGMENT;
	}
	return false;
}

/* The longer train first; older kernels take half of it. */
static void probe_trains(const struct udp_probe *probe, struct udp_abilities *found)
{
	bool sent = probe_send(probe, UDP_SEGMENTS_MOST);

	if (sent)
		found->segments_max = UDP_SEGMENTS_MOST;
	else
		sent = probe_send(probe, UDP_SEGMENTS);
	if (sent && found->gro)
		found->gro = probe_says_size(probe);
}

/* Contract in udp_socket.h. */
void udp_find_abilities(const struct udp_params *params, struct udp_abilities *ret)
{
	struct udp_abilities found = {.segments_max = UDP_SEGMENTS};
	struct udp_probe probe;
	bool is_open = probe_open(&probe);
	int none = 0, on = 1;

	if (probe.from >= 0)
		found.segment = setsockopt(probe.from, IPPROTO_UDP, UDP_OPTION_SEGMENT, &none, sizeof(none)) == 0;
	else
		found.segment = true; /* no IPv4: the first train tells */
	found.gro = probe.to < 0 || setsockopt(probe.to, IPPROTO_UDP, UDP_OPTION_GRO, &on, sizeof(on)) == 0;
	if (is_open && found.segment)
		probe_trains(&probe, &found);
	probe_close(&probe);
	found.segment = found.segment && !params->no_segment;
	found.gro = found.gro && !params->no_gro;
	if (params->short_trains)
		found.segments_max = UDP_SEGMENTS;
	*ret = found;
}
