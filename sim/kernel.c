#include "kernel.h"

#include <string.h>

#include "wire/header.h"

static struct relay_copy *install(void *ctx, const struct relay_flow *flow, struct time_us now, struct time_us until)
{
	struct kernel *kernel = ctx;

	(void)now;
	for (unsigned i = 0; i < KERNEL_COPIES; i++)
		if (!kernel->used[i]) {
			kernel->used[i] = true;
			kernel->copies[i] = (struct relay_copy){.flow = *flow, .until_us = until.us};
			return &kernel->copies[i];
		}
	return NULL;
}

static bool renew(void *ctx, struct relay_copy *copy, struct time_us until)
{
	(void)ctx;
	copy->until_us = until.us;
	return true;
}

static void take_away(void *ctx, struct relay_copy *copy, struct time_us now)
{
	struct kernel *kernel = ctx;

	(void)now;
	kernel->used[copy - kernel->copies] = false;
}

/* Looking for room is linear: worlds have few pairs. */
struct relay_express kernel_express(struct kernel *kernel)
{
	return (struct relay_express){kernel, install, renew, take_away};
}

static struct relay_endpoint endpoint_of(const struct addr *addr)
{
	struct relay_endpoint endpoint = {.port = addr->port, .family = addr->ip.family};

	memcpy(endpoint.ip, addr->ip.bytes, ip_size(&addr->ip));
	return endpoint;
}

static struct addr addr_of(const struct relay_endpoint *endpoint)
{
	struct addr addr = {.port = endpoint->port, .ip.family = endpoint->family};

	memcpy(addr.ip.bytes, endpoint->ip, sizeof endpoint->ip);
	return addr;
}

static struct relay_copy *find(struct kernel *kernel, struct time_us now, const struct datagram *datagram)
{
	struct reader r = reader_over(datagram->bytes + HEADER_SIZE - 8, 8);
	uint64_t path_id = read_u64(&r);

	for (unsigned i = 0; i < KERNEL_COPIES; i++)
		if (kernel->used[i] && kernel->copies[i].flow.path_id == path_id && now.us < kernel->copies[i].until_us)
			return &kernel->copies[i];
	return NULL;
}

/* Trains are the machine's: a card's frames come one by one. */
bool kernel_input(struct kernel *kernel, struct time_us now, const struct datagram *datagram)
{
	struct relay_endpoint src = endpoint_of(&datagram->route.remote), dst = endpoint_of(&datagram->route.local);
	const struct relay_endpoint *remote, *local;
	enum relay_verdict verdict;
	struct relay_copy *copy;
	struct relay_leg *from;
	bool proven;

	kernel->out_count = kernel->out_at = 0;
	if (datagram->size < HEADER_SIZE || datagram->segment_size || !(datagram->bytes[0] & PACKET_SEALED))
		return false;
	copy = find(kernel, now, datagram);
	from = copy ? relay_flow_leg_at(&copy->flow, &src, now.us, &proven) : NULL;
	if (!from || !proven || !relay_endpoint_equal(&from->remote_local, &dst))
		return false;
	verdict = relay_flow_forward_from(&copy->flow, from, true, 1, datagram->size, now.us, &remote, &local);
	if (verdict == RELAY_DROP_RATE)
		copy->dropped_rate++;
	if (verdict == RELAY_FORWARD)
		kernel->out[kernel->out_count++] = (struct datagram){
			.route = {.local = addr_of(local), .remote = addr_of(remote)},
			.bytes = datagram->bytes,
			.size = datagram->size,
		};
	return verdict == RELAY_FORWARD || verdict == RELAY_DROP_RATE;
}

/* Before what the machine itself has to say. */
bool kernel_next(struct kernel *kernel, struct datagram *ret)
{
	if (kernel->out_at == kernel->out_count)
		return false;
	*ret = kernel->out[kernel->out_at++];
	return true;
}
