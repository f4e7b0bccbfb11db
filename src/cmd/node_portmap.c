#include "cmd/node_portmap.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "io/child.h"
#include "io/clock.h"
#include "io/log.h"

#define NONCE_LABEL "ntm port mapping"

enum { READ_MAX = 2048 };

struct node_portmap {
	struct source source;
	struct host *host;
	struct child child;
	uint8_t nonce[PORTMAP_NONCE_SIZE];
	char line[PORTMAP_LINE_MAX];
	size_t size;
	struct portmap_locals locals; /* last told */
	struct portmap_answer answers[PORTMAP_LOCALS_MAX];
	size_t count;
	uint64_t renewals;
};

/* Beside ntmd, or wherever programs are. */
static void find_program(char ret[4096])
{
	static const char name[] = "ntm-portmap";
	char self[4096 - sizeof name];
	ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (size > 0) {
		self[size] = 0;
		slash = strrchr(self, '/');
		*slash = 0;
		snprintf(ret, 4096, "%s/%s", self, name);
		if (access(ret, X_OK) == 0)
			return;
	}
	snprintf(ret, 4096, "%s", name);
}

static void tell_node(struct node_portmap *portmap)
{
	struct node_mapped mapped[NODE_MAPPED_MAX];
	size_t count = 0;

	for (size_t i = 0; i < portmap->count && count < NODE_MAPPED_MAX; i++)
		mapped[count++] = (struct node_mapped){portmap->answers[i].local, portmap->answers[i].external};
	node_input_mapped(portmap->host->node, clock_now(), mapped, count);
}

static void log_answer(const struct portmap_answer *answer)
{
	char local[ADDR_TEXT_MAX], external[ADDR_TEXT_MAX];

	log_print(LOG_SEVERITY_INFO, "portmap", "port mapping: %s is %s outside, by %s",
		  ip_format(&answer->local, local), addr_format(&answer->external, external),
		  portmap_method_name(answer->method));
}

static bool is_asked(const struct node_portmap *portmap, const struct ip *local)
{
	for (size_t i = 0; i < portmap->locals.count; i++)
		if (ip_equal(&portmap->locals.list[i].ip, local))
			return true;
	return false;
}

static void forget(struct node_portmap *portmap, size_t index)
{
	portmap->count--;
	memmove(&portmap->answers[index], &portmap->answers[index + 1],
		(portmap->count - index) * sizeof *portmap->answers);
}

/* One for each address that we asked for, whatever comes. */
static void take_answer(struct node_portmap *portmap, const struct portmap_answer *answer)
{
	bool is_mapped = addr_is_set(&answer->external), is_news = is_mapped;
	size_t at = 0;

	if (!is_asked(portmap, &answer->local))
		return; /* of an address that we have left meanwhile */
	while (at < portmap->count && !ip_equal(&portmap->answers[at].local, &answer->local))
		at++;
	if (at < portmap->count) {
		is_news = is_mapped && !addr_equal(&portmap->answers[at].external, &answer->external);
		if (!is_mapped) {
			forget(portmap, at);
			host_tell_watchers(portmap->host, document_mapped(answer));
		}
	}
	if (is_mapped && at < PORTMAP_LOCALS_MAX) {
		portmap->answers[at] = *answer;
		portmap->count += at == portmap->count;
		portmap->renewals++;
	}
	if (is_news) {
		log_answer(answer);
		host_tell_watchers(portmap->host, document_mapped(answer));
	}
	tell_node(portmap);
}

static void take_line(struct node_portmap *portmap)
{
	struct portmap_answer answer;

	portmap->line[portmap->size] = 0;
	portmap->size = 0;
	if (portmap_answer_parse(portmap->line, &answer) == OK)
		take_answer(portmap, &answer);
}

static void child_ended(struct node_portmap *portmap)
{
	log_print(LOG_SEVERITY_INFO, "portmap",
		  "port mapping: ntm-portmap is not there or has ended; going on without");
	loop_remove(portmap->host->loop, &portmap->source);
	child_leave(&portmap->child);
	portmap->count = 0;
	tell_node(portmap);
}

/* A line that does not fit is cut: it will not parse. */
static void child_ready(struct source *source, uint32_t events)
{
	struct node_portmap *portmap = (struct node_portmap *)source;
	char bytes[READ_MAX];
	ssize_t size = read(source->fd, bytes, sizeof bytes);

	(void)events;
	if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
		child_ended(portmap);
	for (ssize_t i = 0; i < size; i++)
		if (bytes[i] == '\n')
			take_line(portmap);
		else if (portmap->size + 1 < sizeof portmap->line)
			portmap->line[portmap->size++] = bytes[i];
	host_drain(portmap->host);
}

/* A restart must be able to renew what the run before made, and nobody else. */
static void make_nonce(const struct host *host, uint8_t ret[PORTMAP_NONCE_SIZE])
{
	uint8_t key[KEY_SIZE];

	derive_key(host->keys.dh.secret, NONCE_LABEL, NULL, 0, key);
	memcpy(ret, key, PORTMAP_NONCE_SIZE);
	wipe(key, sizeof key);
}

/* In its own process because the libraries block, and because they parse what strangers say. */
void node_portmap_open(struct host *host)
{
	char path[4096], *argv[] = {path, NULL};
	struct node_portmap *portmap;

	if (host->settings.portmap == PORTMAP_OFF)
		return;
	find_program(path);
	portmap = mem_alloc(1, sizeof *portmap);
	portmap->host = host;
	make_nonce(host, portmap->nonce);
	if (child_start(path, argv, &portmap->child) != OK) {
		log_print(LOG_SEVERITY_WARNING, "portmap", "port mapping: %s: %s", path, strerror(errno));
		mem_free(portmap);
		return;
	}
	portmap->source = (struct source){.fd = portmap->child.fd, .ready = child_ready};
	host->portmap = portmap;
	if (loop_add(host->loop, &portmap->source, EPOLLIN) != OK)
		node_portmap_close(host);
	else
		node_portmap_locals(host, net_watch_snapshot(host->watch));
}

/* Before the loop goes. */
void node_portmap_close(struct host *host)
{
	if (!host->portmap)
		return;
	child_leave(&host->portmap->child);
	mem_free(host->portmap);
	host->portmap = NULL;
}

/* Only addresses that need it, the kernel's default first. */
static void collect_locals(const struct host *host, const struct net_snapshot *snapshot, struct portmap_locals *ret)
{
	memcpy(ret->nonce, host->portmap->nonce, sizeof ret->nonce);
	ret->port = udp_port(host->udp);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < snapshot->count && ret->count < PORTMAP_LOCALS_MAX; i++) {
			const struct net_address *address = &snapshot->addresses[i];
			struct portmap_local *local = &ret->list[ret->count];

			if (address->is_default != (pass == 0) || address->ip.family != 4 ||
			    !ip_is_private(&address->ip))
				continue;
			local->ip = address->ip;
			snprintf(local->ifname, sizeof local->ifname, "%.15s", address->ifname);
			ret->count++;
		}
}

/* A pipe that is full belongs to a child that hangs: it gets no more, and what it said stays true for its time. */
void node_portmap_locals(struct host *host, const struct net_snapshot *snapshot)
{
	struct node_portmap *portmap = host->portmap;
	struct portmap_locals locals = {0};
	char line[PORTMAP_LINE_MAX + 1];
	size_t kept = 0, size;

	if (!portmap || portmap->child.pid == 0)
		return;
	collect_locals(host, snapshot, &locals);
	portmap->locals = locals;
	for (size_t i = 0; i < portmap->count; i++)
		if (is_asked(portmap, &portmap->answers[i].local))
			portmap->answers[kept++] = portmap->answers[i];
	portmap->count = kept;
	portmap_locals_format(&locals, line);
	size = strlen(line);
	line[size++] = '\n';
	if (child_tell(&portmap->child, line, size) != OK)
		log_print(LOG_SEVERITY_DEBUG, "portmap", "port mapping: ntm-portmap does not listen: %s",
			  strerror(errno));
	tell_node(portmap);
}

/* For metrics and status. */
size_t node_portmap_count(const struct host *host, uint64_t *ret_renewals)
{
	*ret_renewals = host->portmap ? host->portmap->renewals : 0;
	return host->portmap ? host->portmap->count : 0;
}

/* Lives until the next turn of the loop. */
const struct portmap_answer *node_portmap_get(const struct host *host, size_t index)
{
	return &host->portmap->answers[index];
}
