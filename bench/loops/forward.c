/*
 * forward.c: reference R3, what a relay of this build could forward at most: trains in, the same trains out, to one
 * address and without a table.
 *
 * usage: forward LOCAL:PORT A:PORT B:PORT     IPv4; what comes from A goes to B and the reverse; until terminated
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/udp.h"

static void turn(struct udp *udp, const struct addr *a, const struct addr *b)
{
	struct udp_batch batch;
	struct udp_result result;

	udp_receive(udp, 4, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		struct datagram *d = &batch.datagrams[i];

		d->route.remote = addr_equal(&d->route.remote, a) ? *b : *a;
		d->route.ifindex = 0; /* the other one may be behind another interface */
	}
	udp_send(udp, batch.datagrams, batch.count, &result);
}

int main(int argc, char **argv)
{
	struct udp_params params = {0};
	struct addr a, b;
	struct udp *udp;
	struct pollfd wait = {.events = POLLIN};

	if (argc != 4 || addr_parse(argv[1], 0, &params.local) != OK || addr_parse(argv[2], 0, &a) != OK ||
	    addr_parse(argv[3], 0, &b) != OK || udp_open(&params, &udp) != OK) {
		fprintf(stderr, "usage: forward LOCAL:PORT A:PORT B:PORT (IPv4, the first one free)\n");
		return 1;
	}
	wait.fd = udp_fd(udp, 4);
	printf("ready\n");
	(void)fflush(stdout);
	while (poll(&wait, 1, -1) >= 0)
		turn(udp, &a, &b);
	udp_close(udp);
	return 0;
}
