#include "cmd/node_lanes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/node_abilities.h"
#include "cmd/node_flows.h"
#include "io/clock.h"
#include "io/log.h"

enum {
	READ_BATCH = 8,
	SEND_BATCH = 64,
	PACKETS_MAX = 2048, /* of one turn: as many as the node keeps */
	STACK_BYTES = 512 << 10,
	CORES_FOR_TWO = 4,
	CORES_FOR_FOUR = 8,
	MAIN = 0, /* the lane of the loop's thread */
};

/* One thread. What is not the lock's is its own. */
struct lane {
	struct node_lanes *lanes;
	unsigned number, source; /* of the node's lanes; of the queues or sockets */
	bool is_uplink, is_running, is_over;
	pthread_t thread;
	int wake_fd;
	struct udp *udp;
	struct tun *queues[LANES_THREADS_MAX]; /* own handles, to write; an uplink reads the one of its number */
	struct packet packets[PACKETS_MAX];
	size_t packet_count;
	struct datagram batch[SEND_BATCH], refused[UDP_TOO_BIG_MAX]; /* for their size */
	size_t batch_count, refused_count;
	/* Under the lock: as of the end of its last turn. */
	struct lane_counters counters;
	struct udp_counters udp_counters;
	struct udp_abilities udp_abilities;
	struct tun_counters tun_counters;
};

struct node_lanes {
	struct host *host;
	pthread_mutex_t lock;
	bool is_started;
	unsigned count, queue_count;
	struct lane *list[LANES_THREADS_MAX]; /* lane 1 first */
	struct flows flows;
	struct source wake; /* the loop's thread */
	/* Under the lock. */
	uint32_t woken; /* threads that are on their way here already */
	bool is_stopping, calls_main;
	struct time_us sleeps_until; /* the loop's thread */
	struct node_event *events;
	size_t event_count, event_room;
};

static unsigned count_cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* An exit looks into every packet in one place, so it stays alone. */
unsigned lanes_threads(const struct host *host)
{
	unsigned cores;

	if (host->exit)
		return 1;
	if (host->settings.threads > 0)
		return host->settings.threads;
	cores = count_cores();
	return cores >= CORES_FOR_FOUR ? 4 : cores >= CORES_FOR_TWO ? 2 : 1;
}

/* Sealing costs a little more than opening. */
unsigned lanes_queues(unsigned threads)
{
	return threads < 2 ? 1 : (threads + 1) / 2;
}

static void wake(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof one);

	(void)n; /* full: it will wake up all the same */
}

static void forget_wake(int fd)
{
	uint64_t number;
	ssize_t n = read(fd, &number, sizeof number);

	(void)n; /* nothing: somebody else's wake-up was the same */
}

/* Whoever has something to send that this call has made, or something to see to, is woken once. */
static void wake_others(struct node_lanes *lanes, unsigned caller)
{
	struct node *node = lanes->host->node;
	uint32_t wanted = node_ready_lanes(node);

	if (lanes->calls_main || lanes->event_count > 0 || node_next_deadline(node).us < lanes->sleeps_until.us)
		wanted |= UINT32_C(1) << MAIN;
	if (lanes->is_stopping)
		wanted = UINT32_MAX;
	wanted &= ~(lanes->woken | UINT32_C(1) << caller);
	if (wanted & UINT32_C(1) << MAIN)
		wake(lanes->wake.fd);
	for (unsigned i = 0; i < lanes->count; i++)
		if (wanted >> lanes->list[i]->number & 1)
			wake(lanes->list[i]->wake_fd);
	lanes->woken |= wanted;
}

static void enter(struct lane *lane)
{
	struct node_lanes *lanes = lane->lanes;

	if (pthread_mutex_trylock(&lanes->lock) != 0) {
		pthread_mutex_lock(&lanes->lock);
		lane->counters.waits++;
	}
	lane->counters.turns++;
	lanes->woken &= ~(UINT32_C(1) << lane->number);
	node_use_lane(lanes->host->node, lane->number);
}

static void leave(struct lane *lane)
{
	struct tun_counters *sum = &lane->tun_counters;

	udp_get_counters(lane->udp, &lane->udp_counters);
	udp_get_abilities(lane->udp, &lane->udp_abilities);
	*sum = (struct tun_counters){0};
	for (unsigned i = 0; i < lane->lanes->queue_count; i++) {
		struct tun_counters one;

		tun_get_counters(lane->queues[i], &one);
		abilities_add_tun(sum, &one);
	}
	wake_others(lane->lanes, lane->number);
	pthread_mutex_unlock(&lane->lanes->lock);
}

static void take_packets(struct lane *lane)
{
	struct node *node = lane->lanes->host->node;

	while (lane->packet_count < PACKETS_MAX && node_next_packet(node, &lane->packets[lane->packet_count]))
		lane->packet_count++;
}

/* Timers that are due run in whatever turn comes first. False: they have made packets, which do not outlive the next
 * input. */
static bool begin_turn(struct lane *lane, struct time_us *ret_now)
{
	enter(lane);
	*ret_now = clock_now();
	node_input_time(lane->lanes->host->node, *ret_now);
	take_packets(lane);
	return lane->packet_count == 0;
}

static void note_refused(struct lane *lane, const struct datagram *datagrams, const struct udp_result *result)
{
	for (size_t i = 0; i < result->too_big && i < UDP_TOO_BIG_MAX && lane->refused_count < UDP_TOO_BIG_MAX; i++)
		lane->refused[lane->refused_count++] = datagrams[result->too_big_index[i]];
}

/* Ports beside the first one (hard NATs) come and go with the loop's handle: what leaves from one is sent under the
 * lock. */
static bool send_elsewhere(struct lane *lane, const struct datagram *datagram)
{
	struct udp *udp = lane->lanes->host->udp;
	struct udp_result result;

	if (datagram->route.local.port == 0 || datagram->route.local.port == udp_port(udp))
		return false;
	udp_send(udp, datagram, 1, &result);
	note_refused(lane, datagram, &result);
	return true;
}

/* After all input of the turn: what it has made. */
static void take_output(struct lane *lane)
{
	struct host *host = lane->lanes->host;
	struct datagram *next = lane->batch;

	take_packets(lane);
	host_attend(host);
	while (next < lane->batch + SEND_BATCH && node_next_datagram(host->node, next))
		next += !send_elsewhere(lane, next);
	lane->batch_count = (size_t)(next - lane->batch);
}

/* A flow is written where it was read, so that the kernel goes on to hand it out there; a new one as it falls. */
static struct tun *queue_for(struct lane *lane, const struct packet *packet)
{
	struct node_lanes *lanes = lane->lanes;

	if (lanes->queue_count == 1)
		return lane->queues[0];
	return lane->queues[flows_find(&lanes->flows, packet, lanes->queue_count)];
}

static void write_packets(struct lane *lane)
{
	for (size_t i = 0; i < lane->packet_count; i++) {
		enum packet_gso gso = lane->packets[i].gso;

		if (!abilities_write_to(queue_for(lane, &lane->packets[i]), &lane->packets[i]))
			continue;
		enter(lane);
		abilities_refused(lane->lanes->host, gso);
		leave(lane);
	}
	lane->packet_count = 0;
}

/* The answers are written under the lock: rare, and the bytes that were refused must stay until they are looked at. */
static void tell_too_big(struct lane *lane)
{
	struct node *node = lane->lanes->host->node;
	struct packet packet;

	if (lane->refused_count == 0)
		return;
	enter(lane);
	for (size_t i = 0; i < lane->refused_count; i++) {
		const struct datagram *refused = &lane->refused[i];

		node_input_too_big(node, clock_now(), &refused->route,
				   refused->segment_size ? refused->segment_size : refused->size);
		node_input_oversized(node, clock_now(), refused);
		while (node_next_packet(node, &packet))
			if (abilities_write_to(queue_for(lane, &packet), &packet))
				abilities_refused(lane->lanes->host, packet.gso);
	}
	lane->refused_count = 0;
	leave(lane);
}

/* Beside the others: what was taken goes to the kernel. */
static void put_out(struct lane *lane)
{
	write_packets(lane);
	for (;;) {
		size_t count = lane->batch_count;
		struct udp_result result;

		if (count > 0) {
			udp_send(lane->udp, lane->batch, count, &result);
			note_refused(lane, lane->batch, &result);
		}
		lane->batch_count = 0;
		tell_too_big(lane);
		if (count < SEND_BATCH)
			return;
		enter(lane);
		take_output(lane);
		leave(lane);
		write_packets(lane);
	}
}

static void note_packet(struct lane *lane, const struct packet *packet)
{
	lane->counters.packets++;
	lane->counters.bytes += packet->size;
	if (lane->lanes->queue_count > 1)
		lane->counters.moved += flows_note(&lane->lanes->flows, packet, lane->source);
}

static void tun_is_lost(struct lane *lane)
{
	struct node_lanes *lanes = lane->lanes;

	enter(lane);
	if (!lanes->host->stop && !lanes->is_stopping)
		log_print(LOG_SEVERITY_ERROR, "tun", "%s: somebody removed the device; leaving",
			  tun_name(lanes->host->tun));
	lanes->host->stop = lanes->calls_main = true;
	leave(lane);
	lane->is_over = true;
}

/* Answers of the node's own do not outlive the next packet, so they end a turn. */
static void uplink_turn(struct lane *lane)
{
	struct node *node = lane->lanes->host->node;
	struct packet packets[READ_BATCH];
	size_t count = tun_read(lane->queues[lane->source], packets, READ_BATCH);

	if (tun_is_gone(lane->queues[lane->source]))
		tun_is_lost(lane);
	for (size_t i = 0; i < count;) {
		struct time_us now;

		(void)begin_turn(lane, &now);
		while (i < count && lane->packet_count == 0) {
			note_packet(lane, &packets[i]);
			node_input_packet(node, now, &packets[i++]);
			take_packets(lane);
		}
		take_output(lane);
		leave(lane);
		put_out(lane);
	}
}

static void note_datagram(struct lane *lane, const struct datagram *datagram)
{
	lane->counters.packets++;
	lane->counters.bytes += datagram->size;
}

/* A train, or a row of datagrams that came alone: what the node joins fits in its memory, and a cache. Returns where to
 * go on. */
static size_t downlink_row(struct lane *lane, struct time_us now, const struct udp_batch *batch, size_t i)
{
	struct node *node = lane->lanes->host->node;
	const struct datagram *first = &batch->datagrams[i++];

	note_datagram(lane, first);
	node_input_datagram(node, now, first);
	while (i < batch->count && host_comes_alone(first) && host_comes_alone(&batch->datagrams[i])) {
		note_datagram(lane, &batch->datagrams[i]);
		node_input_another(node, now, &batch->datagrams[i++]);
	}
	return i;
}

static void downlink_turn(struct lane *lane, uint8_t family)
{
	struct udp_batch batch;

	udp_receive(lane->udp, family, &batch);
	for (size_t i = 0; i < batch.count;) {
		struct time_us now;

		if (begin_turn(lane, &now))
			i = downlink_row(lane, now, &batch, i);
		take_output(lane);
		leave(lane);
		put_out(lane);
	}
}

/* Somebody else has made something that leaves by this lane; or it is over. */
static void woken_turn(struct lane *lane)
{
	forget_wake(lane->wake_fd);
	enter(lane);
	lane->is_over = lane->is_over || lane->lanes->is_stopping;
	take_output(lane);
	leave(lane);
	put_out(lane);
}

static void *run(void *ctx)
{
	struct lane *lane = ctx;
	struct pollfd fds[3] = {{.fd = lane->wake_fd, .events = POLLIN}};

	for (int i = 0; i < 2; i++)
		fds[1 + i] = (struct pollfd){.fd = lane->is_uplink ? -1 : udp_fd(lane->udp, i == 0 ? 4 : 6),
					     .events = POLLIN};
	if (lane->is_uplink)
		fds[1].fd = tun_fd(lane->queues[lane->source]);
	while (!lane->is_over) {
		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[0].revents)
			woken_turn(lane);
		else if (lane->is_uplink)
			uplink_turn(lane);
		for (int i = 0; i < 2 && !lane->is_uplink; i++)
			if (fds[1 + i].revents)
				downlink_turn(lane, i == 0 ? 4 : 6);
	}
	return NULL;
}

static void close_lane(struct lane *lane)
{
	if (!lane)
		return;
	for (unsigned i = 0; i < LANES_THREADS_MAX; i++)
		tun_close(lane->queues[i]);
	udp_close(lane->udp);
	if (lane->wake_fd >= 0)
		close(lane->wake_fd);
	mem_free(lane);
}

static void close_all(struct host *host)
{
	struct node_lanes *lanes = host->lanes;

	for (unsigned i = 0; i < lanes->count; i++)
		close_lane(lanes->list[i]);
	if (lanes->wake.fd >= 0)
		close(lanes->wake.fd);
	pthread_mutex_destroy(&lanes->lock);
	mem_free(lanes->events);
	mem_free(lanes);
	host->lanes = NULL;
}

/* The first queue and socket are the loop's own so far; each more is the kernel's new one. */
static bool open_lane(struct node_lanes *lanes, unsigned number, struct tun *const *queues)
{
	struct lane *lane = mem_alloc(1, sizeof *lane);
	bool is_uplink = number <= lanes->queue_count;
	unsigned source = is_uplink ? number - 1 : number - 1 - lanes->queue_count;

	lane->lanes = lanes;
	lane->number = number;
	lane->is_uplink = is_uplink;
	lane->source = source;
	lane->counters = (struct lane_counters){.is_uplink = is_uplink, .number = source};
	lanes->list[lanes->count++] = lane;
	lane->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (lane->wake_fd < 0 ||
	    udp_open_beside(lanes->host->udp, !is_uplink, !is_uplink && source > 0, &lane->udp) != OK)
		return false;
	for (unsigned i = 0; i < lanes->queue_count; i++)
		if (tun_share(queues[i], is_uplink && i == source, &lane->queues[i]) != OK)
			return false;
	return true;
}

static bool open_all(struct node_lanes *lanes, unsigned threads)
{
	struct tun *queues[LANES_THREADS_MAX] = {lanes->host->tun};
	bool is_open = true;

	lanes->queue_count = 1;
	while (lanes->queue_count < lanes_queues(threads) &&
	       tun_add_queue(lanes->host->tun, &queues[lanes->queue_count]) == OK)
		lanes->queue_count++;
	for (unsigned i = 1; i <= threads && is_open; i++)
		is_open = open_lane(lanes, i, queues);
	for (unsigned i = 1; i < lanes->queue_count; i++)
		tun_close(queues[i]); /* the lanes have handles of their own */
	return is_open;
}

static void main_woken(struct source *source, uint32_t events)
{
	struct node_lanes *lanes = (struct node_lanes *)((char *)source - offsetof(struct node_lanes, wake));

	(void)events;
	forget_wake(source->fd);
	host_drain(lanes->host);
}

/* Contract in the header. */
void lanes_open(struct host *host)
{
	unsigned threads = lanes_threads(host);
	struct node_lanes *lanes;

	if (threads < 2 || host->lanes)
		return;
	lanes = mem_alloc(1, sizeof *lanes);
	lanes->host = host;
	lanes->sleeps_until = TIME_NEVER;
	pthread_mutex_init(&lanes->lock, NULL);
	lanes->wake = (struct source){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = main_woken};
	host->lanes = lanes;
	if (lanes->wake.fd >= 0 && open_all(lanes, threads))
		return;
	log_print(LOG_SEVERITY_WARNING, "threads", "threads: %s; going on with one", strerror(errno));
	close_all(host);
}

/* The gate of the loop: others work while it waits. */
static void main_leaves(void *ctx)
{
	struct node_lanes *lanes = ctx;

	wake_others(lanes, MAIN);
	pthread_mutex_unlock(&lanes->lock);
}

static void main_enters(void *ctx)
{
	struct node_lanes *lanes = ctx;

	pthread_mutex_lock(&lanes->lock);
	lanes->woken &= ~(UINT32_C(1) << MAIN);
	lanes->calls_main = false;
	node_use_lane(lanes->host->node, MAIN);
}

static bool start_thread(struct lane *lane, const pthread_attr_t *attributes)
{
	lane->is_running = pthread_create(&lane->thread, attributes, run, lane) == 0;
	return lane->is_running;
}

/* With the lock: they begin when the loop waits for the first time. */
void lanes_start(struct host *host)
{
	struct node_lanes *lanes = host->lanes;
	pthread_attr_t attributes;
	bool all = true;

	if (!lanes || lanes->is_started)
		return;
	lanes->is_started = true;
	pthread_mutex_lock(&lanes->lock);
	loop_set_gate(host->loop, lanes, main_leaves, main_enters);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	all = loop_add(host->loop, &lanes->wake, EPOLLIN) == OK;
	for (unsigned i = 0; i < lanes->count && all; i++)
		all = start_thread(lanes->list[i], &attributes);
	pthread_attr_destroy(&attributes);
	if (!all) {
		log_print(LOG_SEVERITY_WARNING, "threads", "threads: cannot be made; going on with one");
		lanes_stop(host);
		return;
	}
	host_read_no_packets(host);
	log_print(LOG_SEVERITY_INFO, "threads", "%u threads move packets: %u read %s, %u the UDP port", lanes->count,
		  lanes->queue_count, tun_name(host->tun), lanes->count - lanes->queue_count);
}

/* Contract in the header. */
void lanes_stop(struct host *host)
{
	struct node_lanes *lanes = host->lanes;

	if (!lanes)
		return;
	if (lanes->is_started) {
		lanes->is_stopping = true;
		main_leaves(lanes);
		for (unsigned i = 0; i < lanes->count; i++)
			if (lanes->list[i]->is_running)
				pthread_join(lanes->list[i]->thread, NULL);
		loop_set_gate(host->loop, NULL, NULL, NULL);
		loop_remove(host->loop, &lanes->wake);
		node_use_lane(host->node, MAIN);
	}
	close_all(host);
}

/* Contract in the header. */
bool lanes_keep_event(struct host *host, const struct node_event *event)
{
	struct node_lanes *lanes = host->lanes;

	if (!lanes || !lanes->is_started || lanes->is_stopping)
		return false;
	if (lanes->event_count == lanes->event_room) {
		size_t room = 2 * lanes->event_room + 16;
		struct node_event *events = mem_alloc(room, sizeof *events);

		if (lanes->event_count > 0)
			memcpy(events, lanes->events, lanes->event_count * sizeof *events);
		mem_free(lanes->events);
		lanes->events = events;
		lanes->event_room = room;
	}
	lanes->events[lanes->event_count++] = *event;
	return true;
}

/* Whoever takes them may make more. */
void lanes_take_events(struct host *host, void (*take)(struct host *host, const struct node_event *event))
{
	struct node_lanes *lanes = host->lanes;

	if (!lanes)
		return;
	for (size_t i = 0; i < lanes->event_count; i++) {
		struct node_event event = lanes->events[i];

		take(host, &event);
	}
	lanes->event_count = 0;
}

/* Contract in the header. */
struct time_us lanes_sleep(struct host *host, struct time_us deadline)
{
	if (!host->lanes)
		return deadline;
	if (host->lanes->event_count > 0)
		deadline = (struct time_us){0};
	host->lanes->sleeps_until = deadline;
	return deadline;
}

/* Contract in the header. */
void lanes_add_counters(const struct host *host, struct udp_counters *udp, struct tun_counters *tun)
{
	for (unsigned i = 0; host->lanes && i < host->lanes->count; i++) {
		const struct lane *lane = host->lanes->list[i];

		abilities_add_udp(udp, &lane->udp_counters);
		abilities_add_tun(tun, &lane->tun_counters);
	}
}

/* Each finds out by itself what its device refuses. */
void lanes_limit_abilities(const struct host *host, struct udp_abilities *udp)
{
	for (unsigned i = 0; host->lanes && i < host->lanes->count; i++) {
		const struct lane *lane = host->lanes->list[i];

		if (lane->counters.turns == 0)
			continue;
		udp->segment = udp->segment && lane->udp_abilities.segment;
		if (lane->udp_abilities.segments_max < udp->segments_max)
			udp->segments_max = lane->udp_abilities.segments_max;
	}
}

/* Contract in the header. */
bool lanes_get_counters(const struct host *host, unsigned index, struct lane_counters *ret)
{
	if (!host->lanes || index >= host->lanes->count)
		return false;
	*ret = host->lanes->list[index]->counters;
	return true;
}

/* One entry a thread; none when the loop moves the packets. */
json_t *lanes_document(const struct host *host)
{
	json_t *list = json_array();
	struct lane_counters c;

	for (unsigned i = 0; lanes_get_counters(host, i, &c); i++)
		json_array_append_new(list, json_pack("{ss si sI sI sI sI sI}", "reads", c.is_uplink ? "tun" : "udp",
						      "number", (int)c.number, "packets", (json_int_t)c.packets,
						      "bytes", (json_int_t)c.bytes, "moved", (json_int_t)c.moved,
						      "turns", (json_int_t)c.turns, "lock_waits", (json_int_t)c.waits));
	return list;
}
