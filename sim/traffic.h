/*
 * traffic.h: numbered inner packets between hosts, and their book-keeping: each comes out at most once, at the right
 * host, as it went in; what does not come out is counted as lost, and gaps are measured.
 */
#pragma once

#include "pipe.h"
#include "world.h"

enum { TRAFFIC_FLOWS_MAX = 8, TRAFFIC_PIPES_MAX = 4, TRAFFIC_PACKETS_MAX = 200000, TRAFFIC_SIZE_MIN = 64 };

struct traffic;

struct flow {
	struct traffic *traffic;
	struct host *from, *to;
	struct ip src, dst; /* virtual */
	int64_t interval_us;
	size_t size; /* inner IP bytes */
	bool runs;
	uint32_t number;
	uint32_t sent, delivered, late; /* late: delivered after a younger one */
	uint32_t youngest;		/* highest number delivered */
	struct time_us heard;		/* last delivery */
	int64_t gap_us;			/* longest pause between deliveries since flow_mark */
	struct time_us marked;
	uint32_t told, late_told;		/* of sent and late, in stats */
	uint32_t sent_marked, delivered_marked; /* of packets sent since flow_mark */
	struct time_us *sent_at;		/* by packet number; 0: delivered */
	struct time_us *came_at;		/* by packet number; 0: it did not */
};

struct traffic {
	struct world *world;
	uint32_t flow_count;
	struct flow flows[TRAFFIC_FLOWS_MAX];
	uint32_t pipe_count;
	struct pipe pipes[TRAFFIC_PIPES_MAX];
	uint32_t other_packets; /* ICMP and the like that the nodes made themselves */
};

void traffic_init(struct traffic *traffic, struct world *world);
void traffic_finish(struct traffic *traffic);
/* Listens at the host's TUN. */
void traffic_attach(struct traffic *traffic, struct host *host);
/* Sends one packet now and then every interval_us. src and dst of one family. */
struct flow *traffic_start(struct traffic *traffic, struct host *from, struct host *to, const struct ip *src,
			   const struct ip *dst, int64_t interval_us, size_t size);
/* Of family-equal addresses, as traffic_start; a segment of PIPE_BYTES every interval_us. */
struct pipe *traffic_start_pipe(struct traffic *traffic, struct host *from, struct host *to, const struct ip *src,
				const struct ip *dst, int64_t interval_us);
void flow_stop(struct flow *flow);
/* From now on gap_us and *_marked count anew. */
void flow_mark(struct flow *flow);
