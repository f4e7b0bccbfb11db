#include "io/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/clock.h"
#include "io/loop.h"

enum { LISTENER_CONNECTIONS = 64, LISTENER_BYTES = 64 * 1024 + 2, LISTENER_BACKLOG = 128 };

#define LISTENER_IDLE_US (10 * USEC_PER_SEC)
#define LISTENER_PAUSE_US USEC_PER_SEC /* without accepting, when descriptors have run out */

/* A slot is free when token is 0. Its buffers are the listener's and stay. */
struct listener_slot {
	struct source source; /* first */
	struct listener *listener;
	uint64_t token;
	struct addr remote;
	struct time_us progress; /* the last time that input was used up or output written */
	bool is_closing, waits_for_room;
	uint8_t *input, *output;
	size_t input_size, output_at, output_end;
};

struct listener {
	struct source source; /* first: the listening socket */
	struct listener_params params;
	struct loop *loop;
	uint64_t token_last;
	struct time_us paused_until; /* TIME_NEVER: not paused */
	struct listener_counters counters;
	struct listener_slot *slots;
};

static socklen_t listener_name(const struct addr *local, struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(local->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(local->port)};

	if (local->ip.family == 4) {
		memcpy(&v4.sin_addr, local->ip.bytes, 4);
		memcpy(ret, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, local->ip.bytes, 16);
	memcpy(ret, &v6, sizeof(v6));
	return sizeof(v6);
}

static enum err listener_open(const struct addr *local, int *ret)
{
	struct sockaddr_storage name = {0};
	socklen_t size = listener_name(local, &name);
	int on = 1, off = 0, saved;
	int fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno == EAFNOSUPPORT ? ERR_UNSUPPORTED : ERR_IO;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* a restart need not wait for TIME_WAIT */
	if (name.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&name, size) == 0 && listen(fd, LISTENER_BACKLOG) == 0) {
		*ret = fd;
		return OK;
	}
	saved = errno;
	close(fd);
	errno = saved;
	if (errno == EADDRNOTAVAIL)
		return ERR_UNSUPPORTED;
	return errno == EADDRINUSE ? ERR_EXISTS : errno == EACCES ? ERR_DENIED : ERR_IO;
}

/* Both families for `::`, IPv4 alone on a machine without IPv6. */
enum err listener_socket(const struct addr *local, int *ret)
{
	static const struct ip any6 = {.family = 6};
	struct addr any4 = {.ip = {.family = 4}, .port = local->port}, any = *local;
	enum err err;

	if (any.ip.family == 0)
		any.ip = any6;
	err = listener_open(&any, ret);
	if (err == ERR_UNSUPPORTED && ip_equal(&any.ip, &any6))
		err = listener_open(&any4, ret); /* a machine without IPv6 */
	return err == ERR_UNSUPPORTED ? ERR_IO : err;
}

static void listener_pause(struct listener *listener)
{
	listener->paused_until = time_add(loop_now(listener->loop), LISTENER_PAUSE_US);
	loop_remove(listener->loop, &listener->source);
}

static void listener_forget(struct listener_slot *slot)
{
	loop_remove(slot->listener->loop, &slot->source);
	close(slot->source.fd);
	slot->source.fd = -1;
	slot->token = 0;
	slot->listener->counters.open--;
}

static void listener_drop(struct listener_slot *slot)
{
	const struct listener_params *params = &slot->listener->params;
	uint64_t token = slot->token;

	listener_forget(slot);
	if (params->closed)
		params->closed(params->ctx, token);
}

static struct listener_slot *listener_find(struct listener *listener, uint64_t token)
{
	for (uint32_t i = 0; token != 0 && i < listener->params.connections_max; i++)
		if (listener->slots[i].token == token)
			return &listener->slots[i];
	return NULL;
}

/* Writes what the socket takes. False when the connection is gone. */
static bool listener_flush(struct listener_slot *slot)
{
	bool waits;

	while (slot->output_at < slot->output_end) {
		ssize_t n = send(slot->source.fd, slot->output + slot->output_at, slot->output_end - slot->output_at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			listener_drop(slot);
			return false;
		}
		slot->output_at += (size_t)n;
		slot->progress = loop_now(slot->listener->loop);
	}
	waits = slot->output_at < slot->output_end;
	if (!waits) {
		slot->output_at = slot->output_end = 0;
		if (slot->is_closing) {
			listener_drop(slot);
			return false;
		}
	}
	if (slot->waits_for_room == waits)
		return true;
	slot->waits_for_room = waits;
	if (loop_modify(slot->listener->loop, &slot->source,
			(slot->is_closing ? 0 : EPOLLIN) | (waits ? EPOLLOUT : 0)) == OK)
		return true;
	listener_drop(slot);
	return false;
}

/* Shows the input until nothing more is used up. */
static void listener_show(struct listener_slot *slot)
{
	struct listener *listener = slot->listener;
	uint64_t token = slot->token;

	while (slot->input_size > 0) {
		ptrdiff_t used = listener->params.input(listener->params.ctx, token, &slot->remote, slot->input,
							slot->input_size);

		if (slot->token != token || slot->is_closing)
			return;
		if (used < 0 || (size_t)used > slot->input_size) {
			listener_drop(slot);
			return;
		}
		if (used == 0)
			break;
		slot->input_size -= (size_t)used;
		memmove(slot->input, slot->input + used, slot->input_size);
		slot->progress = loop_now(listener->loop);
	}
	if (slot->input_size == listener->params.input_max)
		listener_drop(slot); /* full, and still no use for it */
}

static void listener_slot_ready(struct source *source, uint32_t events)
{
	struct listener_slot *slot = (struct listener_slot *)source;
	ssize_t n;

	if ((events & EPOLLOUT) && !listener_flush(slot))
		return;
	if (slot->is_closing) {
		if (events & (EPOLLHUP | EPOLLERR))
			listener_drop(slot);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(source->fd, slot->input + slot->input_size, slot->listener->params.input_max - slot->input_size, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		listener_drop(slot);
		return;
	}
	slot->input_size += (size_t)n;
	listener_show(slot);
}

/* Unmapped: on a socket for both families IPv4 peers look like ::ffff:a.b.c.d. */
static struct addr listener_remote(const struct sockaddr_storage *name)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (name->ss_family == AF_INET) {
		memcpy(&v4, name, sizeof(v4));
		return (struct addr){ip_from_bytes(4, (const uint8_t *)&v4.sin_addr), ntohs(v4.sin_port)};
	}
	memcpy(&v6, name, sizeof(v6));
	if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
		return (struct addr){ip_from_bytes(4, v6.sin6_addr.s6_addr + 12), ntohs(v6.sin6_port)};
	return (struct addr){ip_from_bytes(6, v6.sin6_addr.s6_addr), ntohs(v6.sin6_port)};
}

/* NULL when there is no room, altogether or for this address. */
static struct listener_slot *listener_free_slot(struct listener *listener, const struct ip *remote)
{
	struct listener_slot *ret = NULL;
	uint32_t same = 0;

	for (uint32_t i = 0; i < listener->params.connections_max; i++) {
		struct listener_slot *slot = &listener->slots[i];

		if (slot->token == 0)
			ret = ret ? ret : slot;
		else
			same += ip_equal(&slot->remote.ip, remote);
	}
	return listener->params.per_address_max && same >= listener->params.per_address_max ? NULL : ret;
}

static void listener_accept(struct source *source, uint32_t events)
{
	struct listener *listener = (struct listener *)source;
	struct sockaddr_storage name = {0};
	socklen_t size = sizeof(name);
	struct listener_slot *slot;
	struct addr remote;
	int on = 1, fd = accept4(source->fd, (struct sockaddr *)&name, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			listener_pause(listener); /* else the loop would spin on a socket that stays ready */
		return;
	}
	remote = listener_remote(&name);
	slot = listener_free_slot(listener, &remote.ip);
	if (!slot) {
		listener->counters.rejected_full++;
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	slot->source = (struct source){.fd = fd, .ready = listener_slot_ready};
	slot->is_closing = slot->waits_for_room = false;
	slot->input_size = slot->output_at = slot->output_end = 0;
	slot->remote = remote;
	slot->progress = loop_now(listener->loop);
	if (loop_add(listener->loop, &slot->source, EPOLLIN) != OK) {
		close(fd);
		return;
	}
	slot->token = ++listener->token_last;
	listener->counters.accepted++;
	listener->counters.open++;
}

/* All memory is taken here, so that connections cost none. */
struct listener *listener_create(const struct listener_params *params, struct loop *loop)
{
	struct listener *listener = mem_alloc(1, sizeof(*listener));
	struct listener_params *own = &listener->params;

	*own = *params;
	own->connections_max = own->connections_max ? own->connections_max : LISTENER_CONNECTIONS;
	own->input_max = own->input_max ? own->input_max : LISTENER_BYTES;
	own->output_max = own->output_max ? own->output_max : LISTENER_BYTES;
	own->idle_us = own->idle_us ? own->idle_us : LISTENER_IDLE_US;
	listener->loop = loop;
	listener->paused_until = TIME_NEVER;
	listener->source = (struct source){.fd = params->fd, .ready = listener_accept};
	listener->slots = mem_alloc(own->connections_max, sizeof(*listener->slots));
	for (uint32_t i = 0; i < own->connections_max; i++) {
		listener->slots[i].listener = listener;
		listener->slots[i].source.fd = -1;
		listener->slots[i].input = mem_alloc(1, own->input_max);
		listener->slots[i].output = mem_alloc(1, own->output_max);
	}
	if (loop_add(loop, &listener->source, EPOLLIN) == OK)
		return listener;
	listener_destroy(listener);
	return NULL;
}

/* Silent: `closed` is for those who live on. */
void listener_destroy(struct listener *listener)
{
	int saved = errno;

	if (!listener)
		return;
	for (uint32_t i = 0; i < listener->params.connections_max; i++) {
		if (listener->slots[i].token != 0)
			listener_forget(&listener->slots[i]);
		mem_free(listener->slots[i].input);
		mem_free(listener->slots[i].output);
	}
	loop_remove(listener->loop, &listener->source);
	mem_free(listener->slots);
	mem_free(listener);
	errno = saved;
}

/* Writes at once what the socket takes, queues the rest. */
enum err listener_send(struct listener *listener, uint64_t token, const void *bytes, size_t size, bool then_close)
{
	struct listener_slot *slot = listener_find(listener, token);
	size_t used;

	if (!slot || slot->is_closing)
		return ERR_UNKNOWN;
	used = slot->output_end - slot->output_at;
	if (used + size > listener->params.output_max) {
		listener->counters.dropped_slow++;
		listener_drop(slot);
		return ERR_FULL;
	}
	memmove(slot->output, slot->output + slot->output_at, used);
	if (size > 0)
		memcpy(slot->output + used, bytes, size);
	slot->output_at = 0;
	slot->output_end = used + size;
	slot->is_closing = then_close;
	slot->waits_for_room = slot->waits_for_room && !then_close; /* what is watched changes: no more input */
	return listener_flush(slot) || then_close ? OK : ERR_UNKNOWN;
}

/* Also takes up accepting again after descriptors had run out. */
void listener_expire(struct listener *listener, struct time_us now)
{
	for (uint32_t i = 0; i < listener->params.connections_max; i++) {
		struct listener_slot *slot = &listener->slots[i];

		if (slot->token == 0 || !time_reached(now, time_add(slot->progress, listener->params.idle_us)))
			continue;
		listener->counters.timed_out++;
		listener_drop(slot);
	}
	if (!time_reached(now, listener->paused_until))
		return;
	listener->paused_until = TIME_NEVER;
	if (loop_add(listener->loop, &listener->source, EPOLLIN) != OK)
		listener->paused_until = time_add(now, LISTENER_PAUSE_US);
}

/* A walk over few connections; a heap would not pay. */
struct time_us listener_deadline(const struct listener *listener)
{
	struct time_us ret = listener->paused_until;

	for (uint32_t i = 0; i < listener->params.connections_max; i++)
		if (listener->slots[i].token != 0)
			ret = time_min(ret, time_add(listener->slots[i].progress, listener->params.idle_us));
	return ret;
}

/* A copy, so that metrics need no lock-step. */
void listener_get_counters(const struct listener *listener, struct listener_counters *ret)
{
	*ret = listener->counters;
}
