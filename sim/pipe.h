/*
 * pipe.h: a reliable inner byte stream, as a TCP of the common kind: cumulative acknowledgements, fast retransmission
 * after three duplicates (RFC 6582), slow start, a retransmission timer as in RFC 6298 with Linux's minimum of 200 ms.
 * What a user of the overlay would feel: stalls, timeouts, retransmissions. That bytes come out once, in order and as
 * they went in is checked at each of them.
 */
#pragma once

#include "world.h"

enum { PIPE_PORT = 10, PIPE_WINDOW = 4096, PIPE_BYTES = 512, PIPE_ACKS_MAX = 512 };

struct pipe_ack {
	uint32_t delivered;
	struct time_us echo;
};

struct pipe {
	struct world *world;
	struct host *from, *to;
	struct ip src, dst; /* virtual */
	int64_t interval_us;
	uint32_t number;
	bool runs;
	/* Sender, in segments of PIPE_BYTES. */
	uint32_t written, next, furthest, acked, duplicates, recover, window;
	int64_t srtt_us, rttvar_us, rto_us;
	struct time_us timer_at; /* TIME_NEVER: all is acknowledged */
	bool timer_runs, resends;
	/* Receiver. */
	uint32_t delivered; /* in order */
	bool early[PIPE_WINDOW];
	struct time_us heard;
	uint32_t ack_count; /* due at this instant */
	struct pipe_ack acks[PIPE_ACKS_MAX];
	bool pumps; /* what a packet caused is sent after all that came with it was looked at */
	/* What happened since pipe_mark. */
	uint32_t timeouts, retransmits;
	int64_t stall_us;
};

/* Writes a segment every interval_us from now on. src and dst of one family. */
void pipe_start(struct pipe *pipe, struct world *world, struct host *from, struct host *to, const struct ip *src,
		const struct ip *dst, int64_t interval_us);
/* No more is written; what was written is still delivered. */
void pipe_stop(struct pipe *pipe);
void pipe_mark(struct pipe *pipe);
/* A packet to PIPE_PORT came out at this host: data or an acknowledgement. */
void pipe_input(struct pipe *pipe, struct host *host, const uint8_t *payload, size_t size);
/* Which pipe it belongs to. */
uint32_t pipe_number(const uint8_t *payload);
