#include "cmd/node_abilities.h"

#include "cmd/node_lanes.h"
#include "cmd/options_table.h"
#include "io/log.h"
#include "proto/node/cut.h"

/* Contract in the header. */
void abilities_limit_udp(const struct settings *settings, struct udp_params *params)
{
	params->no_segment = settings->without & WITHOUT_SEGMENT;
	params->short_trains = settings->without & WITHOUT_LONG_TRAINS;
	params->no_gro = settings->without & WITHOUT_GRO;
}

/* Contract in the header. */
void abilities_limit_tun(const struct settings *settings, struct tun_params *params)
{
	params->no_header = settings->without & WITHOUT_HEADER;
	params->no_tso = settings->without & WITHOUT_TSO;
	params->no_uso = settings->without & WITHOUT_USO;
}

/* As a value, because it is small. */
struct tun_abilities abilities_of_tun(const struct host *host)
{
	struct tun_abilities abilities;

	tun_get_abilities(host->tun, &abilities);
	return abilities;
}

/* What rests on something that is lacking is lacking too. */
uint32_t abilities_lacking(const struct host *host)
{
	struct tun_abilities tun = abilities_of_tun(host);
	struct udp_abilities udp;

	udp_get_abilities(host->udp, &udp);
	lanes_limit_abilities(host, &udp);
	return (udp.segment ? 0 : WITHOUT_SEGMENT) | (udp.segments_max >= 128 ? 0 : WITHOUT_LONG_TRAINS) |
	       (udp.gro ? 0 : WITHOUT_GRO) | (tun.header ? 0 : WITHOUT_HEADER) | (tun.tso ? 0 : WITHOUT_TSO) |
	       (tun.uso ? 0 : WITHOUT_USO);
}

/* The names are the option's. */
const char *abilities_name(unsigned bit)
{
	return options_table[OPTION_WITHOUT].choices[bit];
}

/* Additions only: scripts read it. */
json_t *abilities_document(const struct host *host)
{
	uint32_t lacking = abilities_lacking(host);
	json_t *lacks = json_array();
	struct udp_abilities udp;
	struct udp_counters counters;
	struct tun_counters tun;
	uint64_t overruns = 0;

	udp_get_abilities(host->udp, &udp);
	lanes_limit_abilities(host, &udp);
	abilities_count(host, &counters, &tun);
	for (unsigned bit = 0; abilities_name(bit); bit++)
		if (lacking & UINT32_C(1) << bit)
			json_array_append_new(lacks, json_string(abilities_name(bit)));
	if (net_link_overruns(tun_ifindex(host->tun), &overruns) != OK)
		overruns = 0; /* the device is gone, and the daemon about to follow */
	return json_pack("{so si sI sI sI sI so}", "lacks", lacks, "udp_segments", udp.segment ? udp.segments_max : 1,
			 "segment_refusals", (json_int_t)counters.segment_fallbacks, "tun_refusals",
			 (json_int_t)tun.write_refused, "tun_drops", (json_int_t)tun.write_dropped, "tun_overruns",
			 (json_int_t)overruns, "threads", lanes_document(host));
}

/* Nothing but counters. */
static void add_all(uint64_t *sum, const uint64_t *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] += values[i];
}

/* Contract in the header. */
void abilities_add_udp(struct udp_counters *sum, const struct udp_counters *counters)
{
	add_all((uint64_t *)sum, (const uint64_t *)counters, sizeof *sum / sizeof(uint64_t));
}

/* Contract in the header. */
void abilities_add_tun(struct tun_counters *sum, const struct tun_counters *counters)
{
	add_all((uint64_t *)sum, (const uint64_t *)counters, sizeof *sum / sizeof(uint64_t));
}

/* Contract in the header. */
void abilities_count(const struct host *host, struct udp_counters *udp, struct tun_counters *tun)
{
	udp_get_counters(host->udp, udp);
	tun_get_counters(host->tun, tun);
	lanes_add_counters(host, udp, tun);
}

/* Each segment by itself, finished; false when the device refuses one of them too. */
static bool write_segments(struct tun *tun, struct packet *packet)
{
	struct inner inner;
	struct cut cut;
	uint8_t *segment;
	size_t size;

	if (inner_parse(packet->bytes, packet->size, &inner) != OK || cut_begin(&cut, packet, &inner) != OK)
		return false;
	while (cut_next(&cut, &segment, &size)) {
		struct packet one = {.bytes = segment, .size = size};

		if (inner_parse(segment, size, &inner) != OK)
			return false;
		if (cut.is_partial)
			inner_complete_checksum(segment, &inner);
		if (tun_write(tun, &one) == ERR_MALFORMED)
			return false;
	}
	return true;
}

/*
 * The kernel takes superpackets of a kind or it does not: when it takes the segments of one that it has refused, no
 * more of that kind are made. When it refuses those too, it was the packet's fault, and nothing is learnt from what a
 * peer may have sent on purpose.
 */
bool abilities_write_to(struct tun *tun, struct packet *packet)
{
	enum packet_gso gso = packet->gso;

	return tun_write(tun, packet) == ERR_MALFORMED && gso != PACKET_GSO_NONE && write_segments(tun, packet);
}

/* The loop's thread. */
void abilities_write(struct host *host, struct packet *packet)
{
	enum packet_gso gso = packet->gso;

	if (abilities_write_to(host->tun, packet))
		abilities_refused(host, gso);
}

/* From now on without them. */
void abilities_refused(struct host *host, enum packet_gso gso)
{
	log_print(LOG_SEVERITY_INFO, "tun-superpackets", "%s: the kernel refuses %s superpackets; going on without",
		  tun_name(host->tun), gso == PACKET_GSO_UDP ? "UDP" : "TCP");
	node_input_refused(host->node, gso);
}
