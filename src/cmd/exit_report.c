/* What an exit tells about itself: one table for status and metrics. */
#include <stddef.h>

#include "cmd/exit_host.h"

static const struct {
	const char *key, *help;
	size_t offset;
} totals[] = {
	{"tx_packets", "Packets and superpackets to general hosts.", offsetof(struct exit_counters, tx_packets)},
	{"tx_bytes", "Bytes to general hosts.", offsetof(struct exit_counters, tx_bytes)},
	{"rx_packets", "Packets and superpackets back to nodes.", offsetof(struct exit_counters, rx_packets)},
	{"rx_bytes", "Bytes back to nodes.", offsetof(struct exit_counters, rx_bytes)},
	{"tx_fragments", "Fragments to general hosts.", offsetof(struct exit_counters, tx_fragments)},
	{"rx_fragments", "Fragments back to nodes.", offsetof(struct exit_counters, rx_fragments)},
	{"flows_opened", "Flows that began.", offsetof(struct exit_counters, flows_opened)},
	{"flows_expired", "Flows forgotten because nothing passed.", offsetof(struct exit_counters, flows_expired)},
	{"flows_evicted", "Flows that their own node's newer ones replaced.",
	 offsetof(struct exit_counters, flows_evicted)},
	{"refused_node", "Packets of nodes that may not leave here.", offsetof(struct exit_counters, refused_node)},
	{"refused_destination", "Packets to destinations that are refused.",
	 offsetof(struct exit_counters, refused_destination)},
	{"refused_quota", "Packets over a node's daily quota.", offsetof(struct exit_counters, refused_quota)},
	{"refused_rate", "Packets over a node's rate.", offsetof(struct exit_counters, refused_rate)},
	{"refused_full", "Packets for which there was no port or flow.", offsetof(struct exit_counters, refused_full)},
	{"refused_protocol", "Packets of other protocols than TCP, UDP and echo.",
	 offsetof(struct exit_counters, refused_protocol)},
	{"dropped_malformed", "Packets that make no sense.", offsetof(struct exit_counters, dropped_malformed)},
	{"dropped_fragment", "Fragments that overlap, whose first one was refused, or for which there was no room.",
	 offsetof(struct exit_counters, dropped_fragment)},
	{"dropped_guest", "Packets that nobody answers for.", offsetof(struct exit_counters, dropped_guest)},
	{"dropped_stranger", "Packets from outside that nobody asked for.",
	 offsetof(struct exit_counters, dropped_stranger)},
	{"reset_unknown", "TCP of connections that the exit does not know, answered with a reset.",
	 offsetof(struct exit_counters, reset_unknown)},
};

static uint64_t value_of(const struct exit_counters *counters, size_t offset)
{
	return *(const uint64_t *)(const void *)((const char *)counters + offset);
}

/* In status --json. */
json_t *exit_report_document(const struct host *host)
{
	struct exit_counters counters;
	json_t *document, *usage = exit_host_usage(host);

	exit_host_counters(host, &counters);
	document = json_pack("{sI sI sI}", "nodes", (json_int_t)counters.nodes, "flows", (json_int_t)counters.flows,
			     "ports", (json_int_t)counters.ports);
	json_object_set_new(document, "nodes_exhausted", json_integer(counters.nodes_exhausted));
	json_object_set_new(document, "quota_bytes", json_integer((json_int_t)host->settings.exit_quota));
	json_object_set_new(document, "usage", usage ? usage : json_array());
	for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++)
		json_object_set_new(document, totals[i].key,
				    json_integer((json_int_t)value_of(&counters, totals[i].offset)));
	return document;
}

/* Names and helps live as long as the program. */
void exit_report_each(const struct host *host, void *ctx,
		      void (*each)(void *ctx, const char *key, const char *help, uint64_t value, bool is_total))
{
	struct exit_counters counters;

	exit_host_counters(host, &counters);
	each(ctx, "nodes", "Nodes that have used the exit.", counters.nodes, false);
	each(ctx, "flows", "Flows that are open.", counters.flows, false);
	each(ctx, "ports", "Ports in use.", counters.ports, false);
	each(ctx, "nodes_exhausted", "Nodes whose quota of today is used up.", counters.nodes_exhausted, false);
	for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++)
		each(ctx, totals[i].key, totals[i].help, value_of(&counters, totals[i].offset), true);
}
