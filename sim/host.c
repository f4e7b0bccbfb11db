#include "host.h"

#include <string.h>

#include "base/mem.h"
#include "world.h"

enum { HOST_TURNS_MAX = 20000 }; /* at one instant, or of timers with no pause between: more is a machine that spins */

static struct host_contact *contact_of(struct host *host, const struct addr *remote)
{
	for (uint32_t i = 0; i < host->contact_count; i++)
		if (addr_equal(&host->contacts[i].remote, remote))
			return &host->contacts[i];
	if (host->contact_count == HOST_CONTACTS_MAX)
		return NULL;
	host->contacts[host->contact_count] = (struct host_contact){.remote = *remote, .since = host->world->now};
	return &host->contacts[host->contact_count++];
}

/* T6: to an address that proved nothing never more bytes than came from it, on every datagram of every run. */
static void check_amplification(struct host *host, const struct datagram *datagram)
{
	struct host_contact *contact = contact_of(host, &datagram->route.remote);
	char text[ADDR_TEXT_MAX];
	uint64_t allowance;

	if (!contact)
		return;
	contact->out += datagram->size;
	if (!host->ops->allowance)
		return;
	allowance = host->ops->allowance(host->machine, contact);
	if (contact->out > contact->in && contact->out - contact->in > allowance)
		world_fail(host->world, "%s sent %llu bytes to %s, which proved nothing and sent only %llu", host->name,
			   (unsigned long long)contact->out, addr_format(&contact->remote, text),
			   (unsigned long long)contact->in);
}

static void timer_drop(struct event *event)
{
	mem_free(event);
}

struct timer {
	struct event event;
	struct host *host;
	uint64_t number;
};

static void timer_run(void *ctx, struct event *event)
{
	struct timer *timer = (struct timer *)event;
	struct host *host = timer->host;
	bool current = timer->number == host->timer;

	(void)ctx;
	mem_free(timer);
	if (!current || !host->machine)
		return;
	host->timer_at = TIME_NEVER;
	host->ops->input_time(host->machine, host->world->now);
	host_turn(host);
}

static void demand_rest(struct host *host)
{
	if (++host->busy_timers > HOST_TURNS_MAX)
		world_fail(host->world, "%s spins: %u timers with no pause", host->name, host->busy_timers);
}

static void set_timer(struct host *host)
{
	struct time_us at = host->ops->next_deadline(host->machine);
	struct timer *timer;

	if (time_reached(host->world->now, at)) {
		at = time_add(host->world->now, HOST_TURN_US);
		demand_rest(host);
	} else {
		host->busy_timers = 0;
	}
	if (at.us == host->timer_at.us)
		return;
	host->timer_at = at;
	host->timer++;
	if (at.us == TIME_NEVER.us)
		return;
	timer = mem_alloc(1, sizeof *timer);
	*timer = (struct timer){
		.event = {.at = at, .run = timer_run, .drop = timer_drop},
		.host = host,
		.number = host->timer,
	};
	heap_push(&host->world->heap, &timer->event);
}

static void count_turn(struct host *host)
{
	host->wakeups += time_since(host->world->now, host->busy_at) > HOST_TURN_US;
	if (host->busy_at.us != host->world->now.us)
		host->busy_turns = 0;
	host->busy_at = host->world->now;
	if (++host->busy_turns > HOST_TURNS_MAX)
		world_fail(host->world, "%s spins: %u turns at one instant", host->name, host->busy_turns);
}

/* Datagrams are copied on their way out, packets are looked at before the next input. */
void host_turn(struct host *host)
{
	struct datagram datagram;
	struct packet packet;
	uint32_t pulls = 0;

	if (!host->machine)
		return;
	count_turn(host);
	if (host->ops->attend)
		host->ops->attend(host->machine, host);
	while (host->ops->next_datagram(host->machine, host->world->now, &datagram) && ++pulls < HOST_PULLS_MAX) {
		check_amplification(host, &datagram);
		world_send(host->world, host, &datagram);
	}
	while (host->ops->next_packet && host->ops->next_packet(host->machine, &packet) && ++pulls < HOST_PULLS_MAX)
		if (host->on_packet)
			host->on_packet(host->ctx, host, &packet);
	if (pulls >= HOST_PULLS_MAX)
		world_fail(host->world, "%s never stops talking", host->name);
	set_timer(host);
}

static void input_one(struct host *host, const struct datagram *datagram)
{
	host->ops->input_datagram(host->machine, host->world->now, datagram);
	host_turn(host);
}

/* A host that does not join gets each segment by itself. */
void host_input_datagram(struct host *host, const struct datagram *datagram)
{
	size_t step = datagram->segment_size ? datagram->segment_size : datagram->size;
	struct host_contact *contact = contact_of(host, &datagram->route.remote);

	if (!host->machine)
		return;
	if (contact)
		contact->in += datagram->size;
	if (host->joins || datagram->size <= step) {
		input_one(host, datagram);
		return;
	}
	for (size_t at = 0; at < datagram->size && host->machine; at += step) {
		struct datagram one = *datagram;

		one.bytes = datagram->bytes + at;
		one.size = datagram->size - at < step ? datagram->size - at : step;
		one.segment_size = 0;
		input_one(host, &one);
	}
}

/* With the room before and after that TUN buffers have. */
void host_input_packet(struct host *host, const uint8_t *bytes, size_t size)
{
	uint8_t *buffer;
	struct packet packet;

	if (!host->machine || !host->ops->input_packet)
		return;
	buffer = mem_alloc(1, size + 2 * PACKET_ROOM);
	memcpy(buffer + PACKET_ROOM, bytes, size);
	packet = (struct packet){.bytes = buffer + PACKET_ROOM, .size = size};
	host->ops->input_packet(host->machine, host->world->now, &packet);
	host_turn(host);
	mem_free(buffer);
}

/* A port keeps its ifindex through all nets. */
void host_plug(struct host *host, uint32_t ifindex, uint8_t number)
{
	struct host_port *port = &host->ports[ifindex - 1];
	struct net *net = &host->world->nets[number];

	*port = (struct host_port){.ifindex = ifindex};
	if (!number)
		return;
	port->net = number;
	net->hosts++;
	port->v4 = net_lease(net, (uint8_t)(net->hosts + 1), 4);
	port->v6 = net_lease(net, (uint8_t)(net->hosts + 1), 6);
	world_note(host->world, host->name, "plugged into %s", net->config.name);
}

/* IPv6 first on each interface, as getaddrinfo would order them. */
static size_t list_port(const struct host *host, const struct host_port *port, struct host_address *ret)
{
	uint32_t mtu = host->world->nets[port->net].config.host_mtu;
	size_t count = 0;

	if (port->v6.family)
		ret[count++] = (struct host_address){port->v6, port->ifindex, mtu};
	if (port->v4.family)
		ret[count++] = (struct host_address){port->v4, port->ifindex, mtu};
	return count;
}

/* The preferred interface first. */
void host_announce(struct host *host)
{
	struct host_address list[2 * HOST_PORTS_MAX];
	size_t count = 0;

	if (!host->machine || !host->ops->set_addresses)
		return;
	if (host->preferred)
		count = list_port(host, &host->ports[host->preferred - 1], list);
	for (unsigned i = 0; i < HOST_PORTS_MAX; i++)
		if (i + 1 != host->preferred)
			count += list_port(host, &host->ports[i], list + count);
	host->ops->set_addresses(host->machine, host->world->now, list, count);
	host_turn(host);
}

/* Between the two there is no instant without addresses that the machine would see. */
void host_move(struct host *host, uint32_t ifindex, uint8_t net)
{
	host_plug(host, ifindex, 0);
	host_plug(host, ifindex, net);
	host_announce(host);
}

/* Its packets on the wire still arrive. */
void host_kill(struct host *host)
{
	if (host->machine && host->ops->destroy)
		host->ops->destroy(host->machine);
	host->machine = NULL;
	host->socket_count = 0;
	host->contact_count = 0; /* its successor knows nobody, and nobody has proved anything to it */
	world_note(host->world, host->name, "is dead");
}

/* ip NULL: what the kernel would choose. */
const struct host_port *host_port_of(const struct host *host, uint8_t family, const struct ip *ip)
{
	for (unsigned i = 0; i < HOST_PORTS_MAX; i++) {
		const struct host_port *port = &host->ports[i];
		const struct ip *own = family == 6 ? &port->v6 : &port->v4;

		if (port->net && own->family == family && (!ip || ip_equal(own, ip)))
			return port;
	}
	return NULL;
}

/* family 0 when it has none. */
struct addr host_addr(const struct host *host, uint8_t family)
{
	const struct host_port *port = host_port_of(host, family, NULL);

	if (!port)
		return (struct addr){0};
	return (struct addr){.ip = family == 6 ? port->v6 : port->v4, .port = host->port};
}

/* Once. */
void host_listen(struct host *host, uint16_t port)
{
	if (!host_listens(host, port) && host->socket_count < HOST_SOCKETS_MAX)
		host->sockets[host->socket_count++] = port;
}

/* As a kernel gives ports: another one each time. */
uint16_t host_open(struct host *host)
{
	if (host->socket_count == HOST_SOCKETS_MAX)
		return 0;
	do
		host->next_socket = host->next_socket < 32768 || host->next_socket >= 60999
					    ? 32768
					    : (uint16_t)(host->next_socket + 1);
	while (host_listens(host, host->next_socket));
	host->sockets[host->socket_count++] = host->next_socket;
	return host->next_socket;
}

/* Harmless when it is not open. */
void host_close(struct host *host, uint16_t port)
{
	for (unsigned i = 0; i < host->socket_count; i++)
		if (host->sockets[i] == port) {
			host->sockets[i] = host->sockets[--host->socket_count];
			return;
		}
}

/* One that leaves its port open takes anything. */
bool host_listens(const struct host *host, uint16_t port)
{
	bool listens = !host->port || port == host->port;

	for (unsigned i = 0; i < host->socket_count && !listens; i++)
		listens = host->sockets[i] == port;
	return listens;
}
