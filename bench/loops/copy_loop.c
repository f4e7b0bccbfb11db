/*
 * copy_loop.c: reference R1, a tunnel with nothing in it but a copy: our TUN, our cutting into trains, our sockets, our
 * joining, with memcpy in place of sealing and opening, and no peers, paths, windows or receipts. What a tunnel of this
 * build could reach at most, with a thread for each direction or one for both. One by one (no trains either way; switch
 * the device's offloads off beside it) it is R1p.
 *
 * usage: copy-loop DEVICE LOCAL:PORT REMOTE:PORT [one-thread | one-by-one]     until it is terminated
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/tun.h"
#include "io/udp.h"
#include "proto/node/cut.h"
#include "proto/node/join.h"
#include "proto/node/outbox.h"
#include "wire/header.h"

enum { SEND_BATCH = 64, READ_BATCH = 8 };

struct copy_loop {
	struct source tun_source, udp_source;
	struct loop *loop;
	struct tun *tun;
	struct udp *udp;
	struct route route;
	struct outbox outbox;
	struct outbox_owner owner;
	struct join join;
	uint64_t counter;
	bool one_by_one;
	bool stop; /* of the first thread alone: the other one ends with the process */
};

static void fail(const char *what)
{
	fprintf(stderr, "copy-loop: %s\n", what);
	exit(1);
}

static void copy_out(struct copy_loop *c, struct time_us now, const uint8_t *segment, size_t size, bool is_partial)
{
	uint8_t *room = outbox_reserve(&c->outbox, now, size + OVERHEAD_SIZE, &c->owner, 1);
	struct writer w = writer_over(room, HEADER_SIZE);

	if (!room)
		return;
	header_encode(&(struct header){.type = (uint8_t)(PACKET_SEALED | (is_partial ? SEALED_PARTIAL : 0)),
				       .counter = c->counter++},
		      &w);
	memcpy(room + HEADER_SIZE, segment, size);
	memset(room + HEADER_SIZE + size, 0, TAG_SIZE);
	outbox_commit(&c->outbox, now, &c->route, 1, &c->owner, 1);
}

/* All that is sent counts as arrived, so that memory stays as small as in a tunnel that works. */
static void send_all(struct copy_loop *c)
{
	struct datagram batch[SEND_BATCH];
	struct udp_result result;
	size_t count = 0;

	while (outbox_next(&c->outbox, &batch[count])) {
		if (++count < SEND_BATCH)
			continue;
		udp_send(c->udp, batch, count, &result);
		count = 0;
	}
	if (count > 0)
		udp_send(c->udp, batch, count, &result);
	c->owner.arrived.spaces[0].next = c->counter;
}

static void tun_ready(struct source *source, uint32_t events)
{
	struct copy_loop *c = (struct copy_loop *)((char *)source - offsetof(struct copy_loop, tun_source));
	struct packet packets[READ_BATCH];
	struct time_us now = clock_now();
	size_t count = tun_read(c->tun, packets, READ_BATCH), size;
	uint8_t *segment;

	(void)events;
	for (size_t i = 0; i < count; i++) {
		struct inner inner;
		struct cut cut;

		if (inner_parse(packets[i].bytes, packets[i].size, &inner) != OK ||
		    cut_begin(&cut, &packets[i], &inner) != OK)
			continue;
		while (cut_next(&cut, &segment, &size))
			copy_out(c, now, segment, size, packets[i].checksum_partial);
	}
	send_all(c);
}

static void write_joined(struct copy_loop *c)
{
	struct packet packet;

	while (join_next(&c->join, &packet))
		(void)!tun_write(c->tun, &packet);
	join_reset(&c->join);
}

static void copy_in(struct copy_loop *c, const uint8_t *bytes, size_t size)
{
	uint8_t *place;
	struct inner inner;

	if (size <= OVERHEAD_SIZE)
		return;
	place = join_place(&c->join, size);
	if (!place) {
		write_joined(c);
		place = join_place(&c->join, size);
	}
	if (!place)
		return;
	memcpy(place, bytes + HEADER_SIZE, size - OVERHEAD_SIZE);
	if (inner_parse(place, size - OVERHEAD_SIZE, &inner) == OK)
		join_accept(&c->join, &inner, bytes[0] & SEALED_PARTIAL);
	else
		join_cancel(&c->join);
}

/* What came in a train goes out at once, while it is in the cache; what came one by one in one call is joined too. */
static void udp_ready(struct source *source, uint32_t events)
{
	struct copy_loop *c = (struct copy_loop *)((char *)source - offsetof(struct copy_loop, udp_source));
	struct udp_batch batch;

	(void)events;
	udp_receive(c->udp, 4, &batch);
	for (size_t i = 0; i < batch.count; i++) {
		const struct datagram *d = &batch.datagrams[i];
		size_t step = d->segment_size ? d->segment_size : d->size;

		for (size_t at = 0; at < d->size; at += step)
			copy_in(c, d->bytes + at, d->size - at < step ? d->size - at : step);
		if (step < d->size || c->one_by_one)
			write_joined(c);
	}
	write_joined(c);
}

static void *run_outward(void *ctx)
{
	struct copy_loop *c = ctx;
	struct pollfd ready = {.fd = tun_fd(c->tun), .events = POLLIN};

	for (;;)
		if (poll(&ready, 1, -1) > 0)
			tun_ready(&c->tun_source, EPOLLIN);
	return NULL;
}

/* From the device, in a thread of its own or in the loop with the rest. */
static void begin_outward(struct copy_loop *c, bool one_thread)
{
	pthread_t thread;

	if (one_thread ? loop_add(c->loop, &c->tun_source, EPOLLIN) != OK
		       : pthread_create(&thread, NULL, run_outward, c) != 0)
		fail("cannot watch the device");
}

static void got_signal(void *ctx, int number)
{
	(void)number;
	((struct copy_loop *)ctx)->stop = true;
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGTERM, SIGINT};
	bool one_by_one = argc == 5 && strcmp(argv[4], "one-by-one") == 0;
	bool one_thread = argc == 5 && strcmp(argv[4], "one-thread") == 0;
	struct udp_params params = {.no_segment = one_by_one, .no_gro = one_by_one};
	static struct copy_loop c;
	char error[TUN_ERROR_MAX];
	struct tun_abilities abilities;

	if ((argc != 4 && !one_by_one && !one_thread) || addr_parse(argv[2], 0, &params.local) != OK ||
	    addr_parse(argv[3], 0, &c.route.remote) != OK)
		fail("usage: copy-loop DEVICE LOCAL:PORT REMOTE:PORT [one-thread | one-by-one]");
	if (tun_open(&(struct tun_params){.name = argv[1]}, &c.tun, error) != OK)
		fail(error);
	c.loop = loop_create();
	if (!c.loop || udp_open(&params, &c.udp) != OK || loop_signals(c.loop, signals, 2, &c, got_signal) != OK)
		fail("cannot open the socket or the loop");
	c.route.local = params.local;
	c.one_by_one = one_by_one;
	outbox_init(&c.outbox, 1);
	tun_get_abilities(c.tun, &abilities);
	join_init(&c.join, abilities.uso);
	c.tun_source = (struct source){.fd = tun_fd(c.tun), .ready = tun_ready};
	c.udp_source = (struct source){.fd = udp_fd(c.udp, 4), .ready = udp_ready};
	if (loop_add(c.loop, &c.udp_source, EPOLLIN) != OK)
		fail("cannot watch the socket");
	begin_outward(&c, one_thread);
	printf("ready\n");
	(void)fflush(stdout);
	while (!c.stop && loop_wait(c.loop, clock_now(), TIME_NEVER) == OK)
		continue;
	return 0; /* the other thread may be at work: the kernel takes back what both hold */
}
