/* Ports beside the first one: few at most times, some hundred for seconds. One epoll stands for them all. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/udp_socket.h"

static struct udp_more *udp_find_more(struct udp *udp, uint16_t port)
{
	for (size_t i = 0; i < udp->more_count; i++)
		if (udp->more[i].port == port)
			return &udp->more[i];
	return NULL;
}

static bool udp_watch(struct udp *udp, const struct udp_more *more)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = more->port};

	return epoll_ctl(udp->more_fd, EPOLL_CTL_ADD, more->fd, &event) == 0;
}

/* Contract in the header. */
enum err udp_add_port(struct udp *udp, uint16_t wished, uint16_t *ret)
{
	struct udp_more more = {.port = wished};

	if (udp->more_count == UDP_MORE_MAX)
		return ERR_FULL;
	if (udp->v4.fd < 0 || udp_more_fd(udp) < 0)
		return ERR_IO;
	more.fd = udp_bind(&udp->params, 4, &more.port);
	if (more.fd < 0)
		return errno == EADDRINUSE ? ERR_EXISTS : ERR_IO;
	if (!udp_watch(udp, &more)) {
		close(more.fd);
		return ERR_IO;
	}
	udp->more[udp->more_count++] = more;
	*ret = more.port;
	return OK;
}

/* Closing takes it out of the epoll. */
void udp_remove_port(struct udp *udp, uint16_t port)
{
	struct udp_more *more = udp_find_more(udp, port);

	if (!more)
		return;
	close(more->fd);
	*more = udp->more[--udp->more_count];
}

/* Contract in udp_socket.h. */
void udp_close_more(struct udp *udp)
{
	while (udp->more_count > 0)
		close(udp->more[--udp->more_count].fd);
	if (udp->more_fd >= 0)
		close(udp->more_fd);
	udp->more_fd = -1;
}

/* Contract in the header. */
int udp_more_fd(const struct udp *udp)
{
	return udp->more_fd;
}

/* The first socket of the family, unless the route names another of our ports. */
int udp_fd_for(const struct udp *udp, const struct route *route)
{
	uint8_t family = route->remote.ip.family;

	if (family == 0)
		return -1;
	if (family == 6 || route->local.port == 0 || route->local.port == udp->port)
		return udp_fd(udp, family);
	for (size_t i = 0; i < udp->more_count; i++)
		if (udp->more[i].port == route->local.port)
			return udp->more[i].fd;
	return -1;
}

/* The kernel gives those that are ready in turn. */
void udp_receive_more(struct udp *udp, struct udp_batch *ret)
{
	struct epoll_event event;
	struct udp_more *more;

	ret->count = 0;
	ret->is_last = true;
	if (udp->more_fd < 0 || epoll_wait(udp->more_fd, &event, 1, 0) != 1)
		return;
	more = udp_find_more(udp, (uint16_t)event.data.u32);
	if (more)
		udp_receive_at(udp, &udp->v4, more->fd, more->port, ret);
	ret->is_last = false; /* there may be others */
}
