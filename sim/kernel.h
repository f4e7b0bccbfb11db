/*
 * kernel.h: the forwarder beside a relay's machine, as a real one has it in its kernel (src/io/xdp): the same decision
 * on lent copies of flows, before the machine sees anything.
 */
#pragma once

#include "proto/relay/flow.h"
#include "proto/relay/relay.h"

enum { KERNEL_COPIES = 16, KERNEL_OUT_MAX = 4 };

struct kernel {
	struct relay_copy copies[KERNEL_COPIES];
	bool used[KERNEL_COPIES];
	struct datagram out[KERNEL_OUT_MAX];
	unsigned out_count, out_at;
};

/* What the machine is told of it. */
struct relay_express kernel_express(struct kernel *kernel);
/* True: it was forwarded, or dropped for its rate. Else it is the machine's. */
bool kernel_input(struct kernel *kernel, struct time_us now, const struct datagram *datagram);
bool kernel_next(struct kernel *kernel, struct datagram *ret);
