#include "io/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/udp_socket.h"

enum { UDP_BUFFER_DEFAULT = 7 << 20, UDP_PORT_TRIES = 16, UDP_ALIGN = 64 };

/* With the right to exceed the system's limit, or up to it; the loop does not depend on either. */
static void udp_set_buffers(int fd, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static bool udp_set_family(int fd, int family)
{
	int on = 1, probe;

	if (family == AF_INET) {
		probe = IP_PMTUDISC_PROBE;
		return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) == 0 &&
		       setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof(probe)) == 0;
	}
	probe = IPV6_PMTUDISC_PROBE;
	return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0 &&
	       setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) == 0 &&
	       setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof(probe)) == 0;
}

/* Contract in udp_socket.h. */
int udp_bind(const struct udp_params *params, uint8_t family, uint16_t *port)
{
	struct addr local = {.ip = {.family = family}, .port = *port};
	int domain = family == 4 ? AF_INET : AF_INET6, on = 1, saved;
	union udp_sockaddr name;
	socklen_t size;
	int fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (params->local.ip.family == family)
		local.ip = params->local.ip;
	if (!udp_set_family(fd, domain))
		goto fail;
	if (params->shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		goto fail;
	if (params->mark != 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &params->mark, sizeof(params->mark)) != 0)
		goto fail;
	if (!params->no_gro)
		setsockopt(fd, IPPROTO_UDP, UDP_OPTION_GRO, &on,
			   sizeof(on)); /* without it everything works, only slower */
	udp_set_buffers(fd, params->buffer_bytes > 0 ? params->buffer_bytes : UDP_BUFFER_DEFAULT);
	size = udp_sockaddr_from(&local, &name);
	if (bind(fd, &name.any, size) != 0 || getsockname(fd, &name.any, &size) != 0)
		goto fail;
	*port = ntohs(family == 4 ? name.v4.sin_port : name.v6.sin6_port);
	return fd;
fail:
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* Does this failure mean that the machine does not have the family at all? */
static bool udp_family_is_absent(void)
{
	return errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL || errno == EPROTONOSUPPORT;
}

/* Both families on one port. On failure errno tells why and nothing is open. */
static bool udp_bind_both(const struct udp_params *params, uint16_t wished, int *ret_v4, int *ret_v6,
			  uint16_t *ret_port)
{
	for (int tries = 0; tries < UDP_PORT_TRIES; tries++) {
		uint16_t port = wished;
		int v6 = udp_bind(params, 6, &port), v4;

		if (v6 < 0 && !udp_family_is_absent())
			return false;
		v4 = udp_bind(params, 4, &port);
		if (v4 >= 0 || (v6 >= 0 && udp_family_is_absent())) {
			*ret_v4 = v4;
			*ret_v6 = v6;
			*ret_port = port;
			return true;
		}
		if (v6 >= 0) {
			int saved = errno;

			close(v6);
			errno = saved;
		}
		if (wished != 0 || errno != EADDRINUSE)
			return false;
	}
	errno = EADDRINUSE;
	return false;
}

static bool udp_bind_wished(const struct udp_params *params, uint16_t wished, int *ret_v4, int *ret_v6,
			    uint16_t *ret_port)
{
	static const uint8_t zero[16];
	const struct ip *ip = &params->local.ip;
	uint16_t port = wished;
	int fd;

	if (memcmp(ip->bytes, zero, sizeof(zero)) == 0)
		return udp_bind_both(params, wished, ret_v4, ret_v6, ret_port);
	fd = udp_bind(params, ip->family, &port);
	if (fd < 0)
		return false;
	*ret_v4 = ip->family == 4 ? fd : -1;
	*ret_v6 = ip->family == 6 ? fd : -1;
	*ret_port = port;
	return true;
}

static void udp_prepare(struct udp_socket *socket, int fd, bool receives)
{
	socket->fd = fd;
	if (fd < 0 || !receives)
		return;
	socket->memory = mem_alloc(1, UDP_BATCH * sizeof(*socket->buffers) + UDP_ALIGN);
	socket->buffers = (void *)(((uintptr_t)socket->memory + UDP_ALIGN - 1) / UDP_ALIGN * UDP_ALIGN);
	socket->depth = UDP_TRAINS;
	for (size_t i = 0; i < UDP_BATCH; i++) {
		socket->parts[i] = (struct iovec){socket->buffers[i], UDP_BUFFER_SIZE};
		socket->messages[i].msg_hdr.msg_iov = &socket->parts[i];
		socket->messages[i].msg_hdr.msg_iovlen = 1;
		socket->messages[i].msg_hdr.msg_name = &socket->remotes[i];
		socket->messages[i].msg_hdr.msg_control = socket->controls[i];
	}
}

/* IPv6 first: its port decides, IPv4 follows. */
enum err udp_open(const struct udp_params *params, struct udp **ret)
{
	struct udp_params local = *params;
	struct udp_abilities abilities;
	uint16_t port;
	int v4, v6;
	struct udp *udp;
	bool bound;

	if (local.local.ip.family == 0)
		local.local.ip = (struct ip){0};
	udp_find_abilities(params, &abilities);
	local.no_gro = !abilities.gro; /* ports that come later, too */
	bound = udp_bind_wished(&local, local.local.port, &v4, &v6, &port);
	if (!bound && local.port_is_wish && local.local.port != 0 && (errno == EADDRINUSE || errno == EACCES))
		bound = udp_bind_wished(&local, 0, &v4, &v6, &port);
	if (!bound)
		return errno == EADDRINUSE ? ERR_EXISTS : ERR_IO;
	udp = mem_alloc(1, sizeof(*udp));
	udp->params = local;
	udp->more_fd = epoll_create1(EPOLL_CLOEXEC);
	udp_prepare(&udp->v4, v4, true);
	udp_prepare(&udp->v6, v6, true);
	udp->port = port;
	udp->abilities = abilities;
	*ret = udp;
	return OK;
}

/* The first socket was bound while nobody could share its port; it may be from now on, by us: others bind without. */
static int udp_bind_beside(struct udp *udp, int first, uint8_t family, bool apart)
{
	struct udp_params params = udp->params;
	uint16_t port = udp->port;
	int on = 1;

	if (first < 0)
		return -1;
	if (!apart)
		return fcntl(first, F_DUPFD_CLOEXEC, 0);
	params.shared = true;
	if (setsockopt(first, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		return -1;
	return udp_bind(&params, family, &port);
}

/* Contract in the header. */
enum err udp_open_beside(struct udp *first, bool receives, bool apart, struct udp **ret)
{
	int v4 = udp_bind_beside(first, first->v4.fd, 4, apart), v6 = udp_bind_beside(first, first->v6.fd, 6, apart);
	struct udp *udp;

	if ((v4 < 0 && first->v4.fd >= 0) || (v6 < 0 && first->v6.fd >= 0)) {
		int saved = errno;

		if (v4 >= 0)
			close(v4);
		if (v6 >= 0)
			close(v6);
		errno = saved;
		return ERR_IO;
	}
	udp = mem_alloc(1, sizeof(*udp));
	udp->params = first->params;
	udp->port = first->port;
	udp->abilities = first->abilities;
	udp->more_fd = -1;
	udp_prepare(&udp->v4, v4, receives);
	udp_prepare(&udp->v6, v6, receives);
	*ret = udp;
	return OK;
}

/* What was queued in the kernel still goes out. */
void udp_close(struct udp *udp)
{
	if (!udp)
		return;
	if (udp->v4.fd >= 0)
		close(udp->v4.fd);
	if (udp->v6.fd >= 0)
		close(udp->v6.fd);
	udp_close_more(udp);
	mem_free(udp->v4.memory);
	mem_free(udp->v6.memory);
	mem_free(udp);
}

/* Two sockets, so two descriptors to poll. */
int udp_fd(const struct udp *udp, uint8_t family)
{
	return family == 4 ? udp->v4.fd : udp->v6.fd;
}

/* The same in both families. */
uint16_t udp_port(const struct udp *udp)
{
	return udp->port;
}

/* A copy, as everywhere. */
void udp_get_counters(const struct udp *udp, struct udp_counters *ret)
{
	*ret = udp->counters;
}

/* As they are at this moment. */
void udp_get_abilities(const struct udp *udp, struct udp_abilities *ret)
{
	*ret = udp->abilities;
	ret->segment = ret->segment && udp->apart_left == 0;
}
