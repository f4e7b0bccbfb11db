/* The DNS stub's socket on the node's virtual addresses, and systemd-resolved's hint to use it for the zone.
 * resolv.conf is never touched. */
#include <arpa/inet.h>
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/node_host.h"
#include "io/clock.h"
#include "io/log.h"

enum { STUB_PORT = 53, STUB_ASKERS = 512, STUB_QUERY_MAX = 512 };

struct asker {
	uint64_t token;
	int fd;
	struct sockaddr_storage remote;
	socklen_t remote_size;
};

struct node_stub {
	struct source sources[2]; /* IPv4, IPv6 */
	struct host *host;
	uint64_t next_token;
	struct asker askers[STUB_ASKERS]; /* by token modulo: the oldest gives way */
};

static void receive(struct node_stub *stub, int fd)
{
	uint8_t query[STUB_QUERY_MAX];

	for (int i = 0; i < 32; i++) {
		struct asker asker = {.fd = fd, .remote_size = sizeof asker.remote};
		ssize_t size = recvfrom(fd, query, sizeof query, MSG_DONTWAIT, (struct sockaddr *)&asker.remote,
					&asker.remote_size);

		if (size < 0)
			break;
		asker.token = stub->next_token++;
		stub->askers[asker.token % STUB_ASKERS] = asker;
		node_input_dns(stub->host->node, clock_now(), asker.token, query, (size_t)size);
	}
	host_drain(stub->host);
}

static void v4_ready(struct source *source, uint32_t events)
{
	(void)events;
	receive((struct node_stub *)source, source->fd);
}

static void v6_ready(struct source *source, uint32_t events)
{
	(void)events;
	receive((struct node_stub *)(source - 1), source->fd);
}

static int open_socket(const struct ip *ip)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(STUB_PORT)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(STUB_PORT)};
	int fd = socket(ip->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -1;
	memcpy(&v4.sin_addr, ip->bytes, 4);
	memcpy(&v6.sin6_addr, ip->bytes, 16);
	result = ip->family == 4 ? bind(fd, (struct sockaddr *)&v4, sizeof v4)
				 : bind(fd, (struct sockaddr *)&v6, sizeof v6);
	if (result != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void run_resolvectl(char *const argv[])
{
	pid_t child;

	if (posix_spawnp(&child, "resolvectl", NULL, NULL, argv, NULL) == 0)
		(void)waitpid(child, NULL, 0);
}

/* Per domain only, and only where systemd-resolved runs (design 8). It forgets the link's settings when the link goes.
 */
static void tell_resolved(const struct host *host, const struct node_status *status)
{
	char v4[ADDR_TEXT_MAX], zones[COORDINATORS_MAX + TRUSTED_MAX][ZONE_MAX_SIZE + 2], name[TUN_NAME_MAX];
	char *dns[] = {"resolvectl", "dns", name, v4, NULL};
	char *domain[COORDINATORS_MAX + TRUSTED_MAX + 4] = {"resolvectl", "domain", name};

	const struct network *network = &host->membership.network;

	if (host->settings.dns != DNS_AUTO || access("/run/systemd/resolve/io.systemd.Resolve", F_OK) != 0)
		return;
	ip_format(&status->v4, v4);
	for (uint8_t i = 0; i < network->coordinator_count + network->trusted_count; i++) {
		zones[i][0] = '~';
		memcpy(zones[i] + 1,
		       i < network->coordinator_count ? network->coordinators[i].zone
						      : network->trusted[i - network->coordinator_count].zone,
		       ZONE_MAX_SIZE + 1);
		domain[3 + i] = zones[i];
	}
	memcpy(name, tun_name(host->tun), strnlen(tun_name(host->tun), sizeof name - 1) + 1);
	run_resolvectl(dns);
	run_resolvectl(domain);
}

/* On both virtual addresses; one of them is enough. */
enum err node_stub_open(struct host *host, struct node_stub **ret, char error[HOST_ERROR_MAX])
{
	struct node_stub *stub = mem_alloc(1, sizeof *stub);
	struct node_status status;

	node_get_status(host->node, clock_now(), &status);
	stub->host = host;
	stub->sources[0] = (struct source){.fd = open_socket(&status.v4), .ready = v4_ready};
	stub->sources[1] = (struct source){.fd = open_socket(&status.v6), .ready = v6_ready};
	for (int i = 0; i < 2; i++)
		if (stub->sources[i].fd >= 0 && loop_add(host->loop, &stub->sources[i], EPOLLIN) != OK) {
			close(stub->sources[i].fd);
			stub->sources[i].fd = -1;
		}
	if (stub->sources[0].fd < 0 && stub->sources[1].fd < 0) {
		mem_free(stub);
		return server_fail(error, ERR_IO, "port 53 of the virtual addresses: %s", strerror(errno));
	}
	tell_resolved(host, &status);
	*ret = stub;
	return OK;
}

/* Before the loop goes. */
void node_stub_close(struct node_stub *stub)
{
	if (!stub)
		return;
	for (int i = 0; i < 2; i++)
		if (stub->sources[i].fd >= 0) {
			loop_remove(stub->host->loop, &stub->sources[i]);
			close(stub->sources[i].fd);
		}
	mem_free(stub);
}

/* An answer whose asker was forgotten is dropped. */
void node_stub_drain(struct node_stub *stub, struct node *node)
{
	uint8_t answer[STUB_QUERY_MAX];
	uint64_t token;
	size_t size;

	while (node_next_dns(node, &token, answer, &size)) {
		const struct asker *asker = &stub->askers[token % STUB_ASKERS];

		if (asker->token == token && asker->remote_size > 0 &&
		    sendto(asker->fd, answer, size, MSG_DONTWAIT, (const struct sockaddr *)&asker->remote,
			   asker->remote_size) < 0)
			log_print(LOG_SEVERITY_DEBUG, "dns", "DNS stub: an answer could not be sent: %s",
				  strerror(errno));
	}
}
