/*
 * The exit's translator: a series of packets, each from a node or from outside, with time passing between. Nothing may
 * be read or written beyond the packet; what passes keeps its size and stays a whole packet; what leaves bears the
 * exit's address and a port of its range; ports in use are as many as the counters say.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/exit/exit.h"

enum { PACKET_MAX = 2048, HEAD = 3 };

static void fill(void *ctx, void *bytes, size_t size)
{
	uint32_t *state = ctx;

	for (size_t i = 0; i < size; i++) {
		*state = *state * 1664525u + 1013904223u;
		((uint8_t *)bytes)[i] = (uint8_t)(*state >> 24);
	}
}

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct exit_config small_config(void)
{
	struct exit_config config = {
		.v4 = {4, {192, 0, 0, 6}},
		.v6 = {6, {0xfd, 1, [15] = 2}},
		.port_min = 20000,
		.port_max = 20007,
		.flows_max = 16,
		.node_flows_max = 8,
		.nodes_max = 2,
	};

	config.policy.quota_bytes = 100000;
	return config;
}

/* In memory of its own, so that a sanitizer sees each byte too far. */
static void run(struct exit_machine *machine, const struct exit_config *config, struct time_us now, uint8_t how,
		const uint8_t *data, size_t size)
{
	uint8_t *buffer = calloc(1, PACKET_ROOM + size + PACKET_ROOM);
	struct packet packet = {.bytes = buffer + PACKET_ROOM, .size = size, .checksum_partial = how & 2};
	struct certificate certificate = {.id.bytes = {(uint8_t)(how >> 2 & 3)}};
	struct exit_guest guest = {&certificate, 1300};
	struct exit_answer answer;
	enum exit_verdict verdict;
	struct inner inner;

	memcpy(packet.bytes, data, size);
	verdict = how & 1 ? exit_input_outer(machine, now, &packet)
			  : exit_input_inner(machine, now, how & 16 ? NULL : &guest, &packet, &answer);
	if (verdict == EXIT_PASSED) {
		require(packet.size == size && inner_parse(packet.bytes, size, &inner) == OK);
		require(how & 1 || memcmp(inner.src, inner.version == 4 ? config->v4.bytes : config->v6.bytes,
					  inner.version == 4 ? 4 : 16) == 0);
	} else if (verdict == EXIT_ANSWERED) {
		require(!(how & 1) && answer.packet.size <= INNER_ICMP_MAX);
		require(inner_parse(answer.packet.bytes, answer.packet.size, &inner) == OK);
	}
	while (exit_next_kept(machine, !(how & 1), &packet))
		require(inner_parse(packet.bytes, packet.size, &inner) == OK && inner.is_fragment);
	free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t state = 1;
	struct exit_config config = small_config();
	struct time_us now = {1000000};
	struct exit_machine *machine = exit_create(&config, &(struct random_source){&state, fill}, now);
	struct exit_counters counters;
	size_t at = 0;

	while (size - at > HEAD) {
		size_t left = size - at - HEAD, wanted = (size_t)(data[at + 1] & 7) << 8 | data[at + 2];

		wanted = wanted < left ? wanted : left;
		if (data[at] & 32)
			now = time_add(now, (data[at + 1] >> 3) * 60 * USEC_PER_SEC);
		run(machine, &config, now, data[at], data + at + HEAD, wanted);
		exit_input_time(machine, now);
		at += HEAD + wanted;
	}
	exit_get_counters(machine, &counters);
	require(counters.flows <= config.flows_max && counters.ports <= counters.flows && counters.nodes <= 2);
	now = time_add(now, 2 * EXIT_TCP_IDLE_US);
	exit_input_time(machine, now);
	exit_get_counters(machine, &counters);
	require(counters.flows == 0 && counters.ports == 0);
	exit_destroy(machine);
	return 0;
}
