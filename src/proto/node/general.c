/* Hosts outside the overlay: what may pass between them and us, and what an exit says about it. */
#include "proto/node/general.h"

#include <string.h>

#include "proto/node/machine.h"

enum { ECHO4 = 8, ECHO4_REPLY = 0, ECHO6 = 128, ECHO6_REPLY = 129, ECHO_SIZE = 8, ICMP_HEADER = 8, TTL = 64 };

/* Group addresses stay on their link. */
bool general_is_outside(const struct node *node, uint8_t version, const uint8_t *address)
{
	struct ip ip = ip_from_bytes(version, address);
	bool is_group = version == 4 ? address[0] >= 224 : address[0] == 0xff;

	return !is_group && !node_is_virtual(node, &ip);
}

/* Does this packet go to an exit, whether or not that can be reached now? */
bool general_takes(const struct node *node, const struct inner *inner)
{
	struct ip ip;

	if (node->general.use.rule_count == 0 || !general_is_outside(node, inner->version, inner->dst))
		return false;
	ip = ip_from_bytes(inner->version, inner->dst);
	return node_exit_rule_for(node, &ip) >= 0;
}

/* An exit hands in what general hosts sent. */
bool general_may_send(const struct node *node, const struct inner *inner)
{
	return node->general.is_exit && general_is_outside(node, inner->version, inner->src);
}

static bool is_own(const struct node *node, uint8_t version, const uint8_t *address)
{
	const struct ip *own = version == 4 ? &node->lease.v4 : &node->lease.v6;

	return own->family == version && memcmp(own->bytes, address, ip_size(own)) == 0;
}

/* T12 for what comes from outside: only an exit of ours may bring it, and never under an address of the overlay. An
 * exit takes packets to general hosts, under the sender's own address. */
bool general_is_allowed(struct node *node, const struct peer *peer, const struct inner *inner)
{
	const struct ip *leased = inner->version == 4 ? &peer->v4 : &peer->v6;

	if (node->general.is_exit) /* never for another network's nodes, whatever its account server says of them */
		return !peer->is_foreign && leased->family == inner->version &&
		       memcmp(inner->src, leased->bytes, ip_size(leased)) == 0 &&
		       general_is_outside(node, inner->version, inner->dst);
	return node->general.use.rule_count > 0 && general_is_outside(node, inner->version, inner->src) &&
	       is_own(node, inner->version, inner->dst) && exits_may_bring(node, peer, inner);
}

static const uint8_t *icmp_of(const struct inner *inner)
{
	const uint8_t *start = inner->src - (inner->version == 4 ? 12 : 8);

	return start + inner->network_size;
}

/* As refuse.c of the exit says it. */
static enum node_refusal refusal_of(uint8_t version, const uint8_t *icmp)
{
	static const enum node_refusal codes4[] = {
		[9] = NODE_REFUSAL_NODE, [10] = NODE_REFUSAL_QUOTA, [13] = NODE_REFUSAL_DESTINATION};
	static const enum node_refusal codes6[] = {
		[1] = NODE_REFUSAL_DESTINATION, [5] = NODE_REFUSAL_NODE, [6] = NODE_REFUSAL_QUOTA};

	if (version == 4)
		return icmp[0] == 3 && icmp[1] < sizeof codes4 / sizeof codes4[0] ? codes4[icmp[1]] : NODE_REFUSAL_NONE;
	return icmp[0] == 1 && icmp[1] < sizeof codes6 / sizeof codes6[0] ? codes6[icmp[1]] : NODE_REFUSAL_NONE;
}

/* Its source is the destination that was refused. */
static void note_refusal(struct node *node, const struct ip *ip, enum node_refusal why)
{
	struct general *general = &node->general;

	for (int i = 0; i < REFUSALS_KEPT; i++)
		if (ip_equal(&general->refusals[i].ip, ip)) {
			general->refusals[i].why = why;
			return;
		}
	if (why == NODE_REFUSAL_NONE)
		return;
	general->refusals[general->refusal_next] = (struct general_refusal){*ip, why};
	general->refusal_next = (general->refusal_next + 1) % REFUSALS_KEPT;
}

/* Only ICMP says anything here; it goes on to the kernel as everything does. */
void general_heard(struct node *node, struct time_us now, const struct inner *inner)
{
	struct general_question *question = &node->general.question;
	uint8_t protocol = inner->version == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6;
	const uint8_t *icmp;
	struct ip ip;

	if (node->general.use.rule_count == 0 || inner->protocol != protocol || inner->is_fragment ||
	    inner->total_size < inner->network_size + ICMP_HEADER)
		return;
	icmp = icmp_of(inner);
	ip = ip_from_bytes(inner->version, inner->src);
	if (refusal_of(inner->version, icmp) != NODE_REFUSAL_NONE)
		note_refusal(node, &ip, refusal_of(inner->version, icmp));
	if (icmp[0] != (inner->version == 4 ? ECHO4_REPLY : ECHO6_REPLY) || !ip_equal(&question->ip, &ip) ||
	    (icmp[4] << 8 | icmp[5]) != question->identifier || question->has_answered)
		return;
	question->has_answered = true;
	question->rtt_us = time_since(now, question->at);
	note_refusal(node, &ip, NODE_REFUSAL_NONE);
}

/* Returns its size. */
static size_t make_echo(const struct node *node, const struct general_question *question, uint8_t *bytes)
{
	const struct ip *own = question->ip.family == 4 ? &node->lease.v4 : &node->lease.v6, *to = &question->ip;
	size_t header = to->family == 4 ? 20 : 40, size = header + ECHO_SIZE;
	uint8_t *icmp = bytes + header;
	struct inner inner;

	memset(bytes, 0, size);
	if (to->family == 4) {
		bytes[0] = 0x45;
		bytes[3] = (uint8_t)size;
		bytes[8] = TTL;
		bytes[9] = PROTOCOL_ICMP;
	} else {
		bytes[0] = 0x60;
		bytes[5] = ECHO_SIZE;
		bytes[6] = PROTOCOL_ICMP6;
		bytes[7] = TTL;
	}
	memcpy(bytes + header - 2 * ip_size(to), own->bytes, ip_size(to));
	memcpy(bytes + header - ip_size(to), to->bytes, ip_size(to));
	icmp[0] = to->family == 4 ? ECHO4 : ECHO6;
	icmp[4] = (uint8_t)(question->identifier >> 8);
	icmp[5] = (uint8_t)question->identifier;
	if (inner_parse(bytes, size, &inner) != OK)
		return 0;
	inner_complete_icmp(bytes, &inner);
	inner_fix_network_checksum(bytes, &inner);
	return size;
}

/* As if a program had sent it. */
enum err node_ask_general(struct node *node, struct time_us now, const struct ip *ip)
{
	uint8_t buffer[PACKET_ROOM + 40 + ECHO_SIZE + PACKET_ROOM] = {0};
	struct general_question *question = &node->general.question;
	struct packet packet = {.bytes = buffer + PACKET_ROOM};
	const struct ip *own = ip->family == 4 ? &node->lease.v4 : &node->lease.v6;

	if (node_exit_rule_for(node, ip) < 0 || own->family != ip->family)
		return ERR_STATE;
	node_enter(node, now);
	*question = (struct general_question){.ip = *ip, .at = node->now};
	random_fill(&node->env.random, &question->identifier, sizeof question->identifier);
	packet.size = make_echo(node, question, packet.bytes);
	outbound_packet(node, node->now, &packet);
	return OK;
}

/* Of the last question, and of what was refused since. */
void node_get_general_answer(const struct node *node, const struct ip *ip, struct node_general_answer *ret)
{
	const struct general_question *question = &node->general.question;

	*ret = (struct node_general_answer){.is_asked = ip_equal(&question->ip, ip)};
	ret->has_answered = ret->is_asked && question->has_answered;
	ret->rtt_us = ret->has_answered ? question->rtt_us : -1;
	for (int i = 0; i < REFUSALS_KEPT; i++)
		if (ip_equal(&node->general.refusals[i].ip, ip))
			ret->refusal = node->general.refusals[i].why;
}
