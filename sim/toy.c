#include "toy.h"

#include <string.h>

#include "base/mem.h"

enum { TOY_ASK = 1, TOY_ANSWER = 2 };

/* peer NULL: a server. */
struct toy *toy_create(const struct addr *peer, struct time_us now)
{
	struct toy *toy = mem_alloc(1, sizeof *toy);

	toy->next = peer ? now : TIME_NEVER;
	if (peer)
		toy->peer = *peer;
	return toy;
}

static void toy_say(struct toy *toy, const struct route *route, uint8_t what, uint32_t number)
{
	unsigned at = toy->out_count++ % 4;

	toy->bytes[at][0] = what;
	memcpy(toy->bytes[at] + 1, &number, sizeof number);
	toy->out[at] = (struct datagram){.route = *route, .bytes = toy->bytes[at], .size = 64};
}

static void toy_input_datagram(void *m, struct time_us now, const struct datagram *datagram)
{
	struct toy *toy = m;

	(void)now;
	toy->heard++;
	toy->heard_from = datagram->route.remote;
	if (datagram->size < 64)
		return;
	if (datagram->bytes[0] == TOY_ANSWER) {
		toy->answered++;
		return;
	}
	for (int i = 0; i <= toy->babbles; i++)
		toy_say(toy, &datagram->route, TOY_ANSWER, toy->heard);
}

static void toy_input_time(void *m, struct time_us now)
{
	struct toy *toy = m;

	if (!time_reached(now, toy->next))
		return;
	toy_say(toy, &(struct route){.remote = toy->peer}, TOY_ASK, toy->asked++);
	toy->next = time_add(now, TOY_INTERVAL_US);
}

static bool toy_next_datagram(void *m, struct time_us now, struct datagram *ret)
{
	struct toy *toy = m;

	(void)now;
	if (toy->out_at == toy->out_count)
		return false;
	*ret = toy->out[toy->out_at++ % 4];
	return true;
}

static struct time_us toy_next_deadline(const void *m)
{
	return ((const struct toy *)m)->next;
}

/* Its peer is who it asks; nobody else ever proves anything. */
static uint64_t toy_allowance(const void *m, const struct host_contact *contact)
{
	return addr_equal(&((const struct toy *)m)->peer, &contact->remote) ? UINT64_MAX : 0;
}

static void toy_destroy(void *m)
{
	mem_free(m);
}

const struct machine_ops toy_ops = {
	.input_datagram = toy_input_datagram,
	.input_time = toy_input_time,
	.next_datagram = toy_next_datagram,
	.next_deadline = toy_next_deadline,
	.allowance = toy_allowance,
	.destroy = toy_destroy,
};
