#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "io/udp_socket.h"

enum { UDP_WAITS_MAX = 10, UDP_WAIT_STEP_US = 500 };

static size_t udp_segments(const struct udp_message *message)
{
	return message->segment_size ? (message->bytes + message->segment_size - 1) / message->segment_size : 1;
}

static void *udp_add_control(struct msghdr *header, int level, int type, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)header->msg_control + header->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	header->msg_controllen += CMSG_SPACE(size);
	return CMSG_DATA(c);
}

/* Our address and interface as the route wants them, and the segment size. */
static void udp_write_control(struct msghdr *header, const struct route *route, uint16_t segment_size)
{
	bool has_local = route->local.ip.family == route->remote.ip.family;

	header->msg_controllen = 0;
	if ((has_local || route->ifindex) && route->remote.ip.family == 4) {
		struct in_pktinfo info = {.ipi_ifindex = (int)route->ifindex};

		if (has_local)
			memcpy(&info.ipi_spec_dst, route->local.ip.bytes, 4);
		memcpy(udp_add_control(header, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info, sizeof(info));
	} else if (has_local || route->ifindex) {
		struct in6_pktinfo info = {.ipi6_ifindex = route->ifindex};

		if (has_local)
			memcpy(&info.ipi6_addr, route->local.ip.bytes, 16);
		memcpy(udp_add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info, sizeof(info));
	}
	if (segment_size)
		memcpy(udp_add_control(header, IPPROTO_UDP, UDP_OPTION_SEGMENT, sizeof(segment_size)), &segment_size,
		       sizeof(segment_size));
}

/*
 * Waits a little for room; false once the call's budget is used up. Counted in steps, not in time: on a busy machine
 * one step may take as long as all should, and giving up then would drop what the next moment had room for.
 */
static bool udp_wait(struct udp *udp, int fd)
{
	/* ENOBUFS means that a queue below the socket is full; POLLOUT would say "ready" at once. */
	struct pollfd poll_fd = {.fd = fd, .events = errno == EAGAIN ? POLLOUT : 0};
	struct timespec step = {.tv_nsec = UDP_WAIT_STEP_US * 1000};

	if (udp->waits_left == 0)
		return false;
	udp->waits_left--;
	udp->counters.send_waits++;
	ppoll(&poll_fd, 1, &step, NULL);
	return true;
}

/* A refusal may be of trains as such. No memory for all of it at once (after waiting) is the same for once. */
static bool udp_may_be_trains(int error)
{
	return error == EIO || error == EINVAL || error == ENOBUFS || error == ENOMEM;
}

/* The rest has the same destination, and there is no more waiting. */
static bool udp_is_full(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

static void udp_count_sent(struct udp *udp, const struct udp_message *message)
{
	udp->counters.sent += udp_segments(message);
	udp->counters.sent_bytes += message->bytes;
	udp->counters.send_joined += message->part_count - 1;
}

static void udp_count_too_big(struct udp *udp, size_t index, struct udp_result *result)
{
	size_t known = result->too_big < UDP_TOO_BIG_MAX ? result->too_big : UDP_TOO_BIG_MAX;

	if (known > 0 && result->too_big_index[known - 1] == index)
		return; /* another piece of the same train */
	udp->counters.send_too_big++;
	if (result->too_big < UDP_TOO_BIG_MAX)
		result->too_big_index[result->too_big] = index;
	result->too_big++;
}

/* Gives one message, or the rest of one, up, counted by errno. */
static void udp_count_lost(struct udp *udp, const struct udp_message *message, struct udp_result *result)
{
	if (errno == EMSGSIZE)
		udp_count_too_big(udp, udp->part_index[message->first], result);
	else if (udp_is_full(errno))
		udp->counters.send_dropped_full += udp_segments(message);
	else
		udp->counters.send_unreachable++;
}

/* One message by itself; false with errno. */
static bool udp_send_single(struct udp *udp, int fd, const struct msghdr *header)
{
	for (;;) {
		udp->counters.send_calls++;
		if (sendmsg(fd, header, 0) >= 0)
			return true;
		if (errno == EINTR)
			continue;
		if ((errno != EAGAIN && errno != ENOBUFS) || !udp_wait(udp, fd))
			return false;
	}
}

/* So many segments were refused together, and then the first so many of them passed: so that was the reason. */
static void udp_learn(struct udp *udp, int refused, size_t refused_segments, size_t passed_segments)
{
	if (refused != EIO && refused != EINVAL)
		return;
	if (refused == EINVAL && refused_segments > UDP_SEGMENTS && udp->abilities.segments_max > UDP_SEGMENTS) {
		udp->abilities.segments_max = UDP_SEGMENTS;
	} else if (passed_segments == 1 && udp->apart_left == 0) {
		udp->apart_left = UDP_ASK_AGAIN;
		udp->counters.segment_fallbacks++;
	}
}

/* The same way, other bytes, which the caller has to set. */
static struct msghdr udp_header_like(struct udp_message *message, struct iovec *part, const struct route *route,
				     uint16_t segment_size)
{
	struct msghdr header = {
		.msg_name = &message->remote, .msg_iov = part, .msg_iovlen = 1, .msg_control = message->control};

	header.msg_namelen =
		message->remote.any.sa_family == AF_INET ? sizeof(message->remote.v4) : sizeof(message->remote.v6);
	message->segment_size = segment_size;
	message->part_count = 1;
	udp_write_control(&header, route, segment_size);
	return header;
}

/*
 * The kernel refused a train as such (EIO: no checksum offload on the way, or IPsec; EINVAL: more segments than an
 * older kernel takes, and other reasons, also a source that is gone) and has sent nothing of it. Pieces of as many
 * segments as every kernel takes are tried, then the segments one by one, in order.
 */
static void udp_send_apart(struct udp *udp, int fd, const struct udp_message *message, const struct route *route,
			   struct udp_result *result)
{
	const struct iovec *train = &udp->parts[message->first];
	size_t segment = message->segment_size, segments = udp_segments(message);
	size_t step = segments > UDP_SEGMENTS ? UDP_SEGMENTS : 1, at = 0;
	struct udp_message piece = *message;
	int refused = errno;

	while (at < train->iov_len) {
		size_t left = train->iov_len - at, size = left < step * segment ? left : step * segment;
		struct iovec part = {(uint8_t *)train->iov_base + at, size};
		struct msghdr header = udp_header_like(&piece, &part, route, size > segment ? (uint16_t)segment : 0);

		piece.bytes = size;
		if (udp_send_single(udp, fd, &header)) {
			udp_learn(udp, refused, segments, step);
			udp_count_sent(udp, &piece);
			at += size;
		} else if (step > 1 && udp_may_be_trains(errno)) {
			step = 1;
		} else { /* what follows has the same destination and size */
			piece.bytes = left;
			piece.segment_size = (uint16_t)segment;
			udp_count_lost(udp, &piece, result);
			return;
		}
	}
}

/*
 * What was joined was refused as a whole, perhaps for one of its parts, so each goes by itself. The first is as long
 * as a segment: when it passes, and the size was not what the kernel complained of, UDP_SEGMENT was the reason.
 */
static void udp_send_parts(struct udp *udp, int fd, const struct udp_message *message, const struct route *route,
			   struct udp_result *result)
{
	size_t left = message->bytes;
	int refused = errno;

	for (size_t i = 0; i < message->part_count; i++) {
		struct udp_message one = *message;
		struct iovec *part = &udp->parts[message->first + i];
		bool is_train = part->iov_len > message->segment_size;
		struct msghdr header = udp_header_like(&one, part, route, is_train ? message->segment_size : 0);

		one.first = message->first + i;
		one.bytes = part->iov_len;
		if (udp_send_single(udp, fd, &header)) {
			if (i == 0)
				udp_learn(udp, refused, udp_segments(message), udp_segments(&one));
			udp_count_sent(udp, &one);
		} else if (is_train && udp_may_be_trains(errno)) {
			udp_send_apart(udp, fd, &one, route, result);
		} else {
			bool is_full = udp_is_full(errno);

			one.bytes = is_full ? left : one.bytes;
			one.segment_size = is_full ? message->segment_size : one.segment_size;
			udp_count_lost(udp, &one, result);
			if (is_full)
				return;
		}
		left -= part->iov_len;
	}
}

/* Sends all that is queued, in order; leaves the queue empty. */
static void udp_flush(struct udp *udp, const struct datagram *datagrams, struct udp_result *result)
{
	int fd = udp->queued_fd;
	size_t done = 0;

	while (done < udp->queued) {
		const struct udp_message *message = &udp->queue[done];
		const struct route *route;
		int count = sendmmsg(fd, udp->headers + done, (unsigned)(udp->queued - done), 0);

		udp->counters.send_calls++;
		for (int i = 0; i < count; i++)
			udp_count_sent(udp, &udp->queue[done++]);
		if (count >= 0 || errno == EINTR)
			continue;
		if ((errno == EAGAIN || errno == ENOBUFS) && udp_wait(udp, fd))
			continue;
		route = &datagrams[udp->part_index[message->first]].route;
		if (message->part_count > 1)
			udp_send_parts(udp, fd, message, route, result);
		else if (message->segment_size && udp_may_be_trains(errno))
			udp_send_apart(udp, fd, message, route, result);
		else
			udp_count_lost(udp, message, result);
		done++;
	}
	udp->queued = udp->parts_queued = 0;
}

/* A message with one part; more may follow. */
static void udp_enqueue(struct udp *udp, const struct datagram *datagram, size_t index, size_t at, size_t size,
			uint16_t segment_size)
{
	struct udp_message *message = &udp->queue[udp->queued];
	struct msghdr *header = &udp->headers[udp->queued].msg_hdr;

	message->first = udp->parts_queued;
	message->part_count = 1;
	message->bytes = size;
	message->segment_size = segment_size;
	udp->parts[message->first] = (struct iovec){(void *)(datagram->bytes + at), size};
	udp->part_index[message->first] = index;
	header->msg_namelen = udp_sockaddr_from(&datagram->route.remote, &message->remote);
	header->msg_name = &message->remote;
	header->msg_iov = &udp->parts[message->first];
	header->msg_iovlen = 1;
	header->msg_control = message->control;
	udp_write_control(header, &datagram->route, segment_size);
	udp->parts_queued++;
	udp->queued++;
}

static bool udp_uses_trains(const struct udp *udp)
{
	return udp->abilities.segment && udp->apart_left == 0;
}

/* At least one. */
static size_t udp_train_segments(const struct udp *udp, size_t segment)
{
	size_t fitting = UDP_TRAIN_BYTES / segment;

	if (fitting > udp->abilities.segments_max)
		fitting = udp->abilities.segments_max;
	return fitting > 0 ? fitting : 1;
}

/* Cuts a train into messages that the kernel takes. */
static void udp_send_train(struct udp *udp, const struct datagram *datagrams, size_t index, struct udp_result *result)
{
	const struct datagram *datagram = &datagrams[index];
	size_t segment = datagram->segment_size ? datagram->segment_size : datagram->size;
	size_t piece, at = 0;

	do {
		size_t left = datagram->size - at;

		if (udp->queued == UDP_MESSAGES || udp->parts_queued >= UDP_PARTS)
			udp_flush(udp, datagrams, result);
		piece = segment; /* anew for each: a flush may have found out that trains are refused */
		if (udp_uses_trains(udp) && segment > 0)
			piece *= udp_train_segments(udp, segment);
		else if (udp->apart_left > 0)
			udp->apart_left--;
		if (piece > left)
			piece = left;
		udp_enqueue(udp, datagram, index, at, piece, piece > segment ? (uint16_t)segment : 0);
		at += piece;
	} while (at < datagram->size);
}

/* One that leads others is never cut; without trains none is joined. */
static void udp_send_chain(struct udp *udp, const struct datagram *datagrams, size_t block,
			   const struct udp_chains *chains, size_t first, struct udp_result *result)
{
	const struct datagram *head = &datagrams[block + first];
	struct udp_message *message;
	struct msghdr *header;

	if (udp->queued == UDP_MESSAGES || udp->parts_queued >= UDP_PARTS)
		udp_flush(udp, datagrams, result);
	if (chains->next[first] == UDP_JOIN_MAX || !udp_uses_trains(udp)) {
		for (size_t i = first; i < UDP_JOIN_MAX; i = chains->next[i])
			udp_send_train(udp, datagrams, block + i, result);
		return;
	}
	message = &udp->queue[udp->queued];
	header = &udp->headers[udp->queued].msg_hdr;
	udp_enqueue(udp, head, block + first, 0, head->size,
		    head->segment_size ? head->segment_size : (uint16_t)head->size);
	for (size_t i = chains->next[first]; i < UDP_JOIN_MAX; i = chains->next[i]) {
		const struct datagram *datagram = &datagrams[block + i];

		udp->parts[udp->parts_queued] = (struct iovec){(void *)datagram->bytes, datagram->size};
		udp->part_index[udp->parts_queued++] = block + i;
		message->bytes += datagram->size;
		message->part_count++;
	}
	header->msg_iovlen = message->part_count;
}

static void udp_send_block(struct udp *udp, const struct datagram *datagrams, size_t block, size_t count,
			   struct udp_result *result)
{
	struct udp_chains chains;

	udp_find_chains(datagrams + block, count, udp->abilities.segments_max, &chains);
	for (size_t i = 0; i < count; i++) {
		int fd = udp_fd_for(udp, &datagrams[block + i].route);

		if (fd < 0)
			udp->counters.send_unreachable++;
		if (fd < 0 || !chains.is_first[i])
			continue;
		if (udp->queued > 0 && udp->queued_fd != fd)
			udp_flush(udp, datagrams, result);
		udp->queued_fd = fd;
		udp_send_chain(udp, datagrams, block, &chains, i, result);
	}
}

/* Order within a socket is kept for each destination; sockets have no order between them. */
void udp_send(struct udp *udp, const struct datagram *datagrams, size_t count, struct udp_result *ret)
{
	struct udp_result result = {0};

	udp->waits_left = UDP_WAITS_MAX;
	for (size_t block = 0; block < count; block += UDP_JOIN_MAX)
		udp_send_block(udp, datagrams, block, count - block < UDP_JOIN_MAX ? count - block : UDP_JOIN_MAX,
			       &result);
	if (udp->queued > 0)
		udp_flush(udp, datagrams, &result);
	*ret = result;
}
