#include <errno.h>
#include <string.h>

#include "io/udp_socket.h"

enum { UDP_RECEIVE_TRIES = 4 };

/* What the kernel tells besides the bytes: our address, the interface, the size of GRO's segments. */
static void udp_read_control(struct msghdr *message, struct datagram *datagram)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			datagram->route.local.ip = ip_from_bytes(4, (const uint8_t *)&info.ipi_spec_dst);
			datagram->route.ifindex = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			datagram->route.local.ip = ip_from_bytes(6, info.ipi6_addr.s6_addr);
			datagram->route.ifindex = info.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_OPTION_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			if (size > 0 && (size_t)size < datagram->size)
				datagram->segment_size = (uint16_t)size;
		}
	}
}

/* False for what no correct sender makes: port 0, no bytes, a v4-mapped source on the wire. */
static bool udp_read_remote(const union udp_sockaddr *name, struct addr *ret)
{
	if (name->any.sa_family == AF_INET) {
		ret->ip = ip_from_bytes(4, (const uint8_t *)&name->v4.sin_addr);
		ret->port = ntohs(name->v4.sin_port);
	} else if (name->any.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&name->v6.sin6_addr)) {
		ret->ip = ip_from_bytes(6, name->v6.sin6_addr.s6_addr);
		ret->port = ntohs(name->v6.sin6_port);
	} else {
		return false;
	}
	return ret->port != 0;
}

static bool udp_take(struct udp *udp, struct udp_socket *socket, size_t i, uint16_t port, struct datagram *ret)
{
	struct mmsghdr *message = &socket->messages[i];
	struct datagram datagram = {.bytes = socket->buffers[i], .size = message->msg_len};

	if (message->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		udp->counters.receive_truncated++;
		return false;
	}
	if (datagram.size == 0 || !udp_read_remote(&socket->remotes[i], &datagram.route.remote)) {
		udp->counters.receive_malformed++;
		return false;
	}
	udp_read_control(&message->msg_hdr, &datagram);
	datagram.route.local.port = port;
	udp->counters.received +=
		datagram.segment_size ? (datagram.size + datagram.segment_size - 1) / datagram.segment_size : 1;
	udp->counters.received_bytes += datagram.size;
	*ret = datagram;
	return true;
}

/*
 * Errors that ICMP left on the socket are nobody's news here (the caller judges paths by what arrives), so they are
 * skipped.
 */
static int udp_receive_messages(struct udp *udp, struct udp_socket *socket, int fd)
{
	for (int tries = 0; tries < UDP_RECEIVE_TRIES; tries++) {
		int count = recvmmsg(fd, socket->messages, socket->depth, MSG_DONTWAIT, NULL);

		udp->counters.receive_calls++;
		if (count >= 0)
			return count;
		if (errno == EAGAIN)
			return 0;
	}
	return 0;
}

/* One system call for up to UDP_BATCH trains. */
void udp_receive(struct udp *udp, uint8_t family, struct udp_batch *ret)
{
	struct udp_socket *socket = family == 4 ? &udp->v4 : &udp->v6;

	ret->count = 0;
	ret->is_last = true;
	if (socket->fd >= 0)
		udp_receive_at(udp, socket, socket->fd, udp->port, ret);
}

/* Many short messages or few long ones: either fits a cache, and many long ones would not. */
static unsigned udp_depth(const struct udp_socket *socket, size_t count)
{
	size_t bytes = 0;

	if (!count)
		return socket->depth;
	for (size_t i = 0; i < count; i++)
		bytes += socket->messages[i].msg_len;
	return bytes < count * UDP_LONG_BYTES ? UDP_BATCH : UDP_TRAINS;
}

/* Contract in udp_socket.h. */
void udp_receive_at(struct udp *udp, struct udp_socket *socket, int fd, uint16_t port, struct udp_batch *ret)
{
	size_t count, depth;

	ret->count = 0;
	do { /* a batch of nothing but refuse must not look like "nothing left" */
		depth = socket->depth;
		for (size_t i = 0; i < depth; i++) {
			socket->messages[i].msg_hdr.msg_namelen = sizeof(socket->remotes[i]);
			socket->messages[i].msg_hdr.msg_controllen = UDP_CONTROL_SIZE;
			socket->messages[i].msg_hdr.msg_flags = 0;
		}
		count = (size_t)udp_receive_messages(udp, socket, fd);
		for (size_t i = 0; i < count; i++)
			if (udp_take(udp, socket, i, port, &ret->datagrams[ret->count]))
				ret->count++;
		socket->depth = udp_depth(socket, count);
	} while (count == depth && ret->count == 0);
	ret->is_last = count < depth;
}
