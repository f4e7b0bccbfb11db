#include "cmd/portmap_ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <natpmp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/portmap_pcp.h"
#include "io/clock.h"

#define PCP_FIRST_WAIT_US (250 * USEC_PER_MSEC)
#define NATPMP_PATIENCE_US (1500 * USEC_PER_MSEC)

enum { LIFETIME_S = 7200, PCP_TRIES = 3, ROUTES_MAX = 512 };

/* Of the default route through this interface, from the kernel's table as text. */
static bool find_gateway(const char *ifname, struct ip *ret)
{
	FILE *routes = fopen("/proc/net/route", "re");
	char line[256], name[64];
	unsigned destination, gateway;
	bool found = false;

	for (int i = 0; routes && !found && i < ROUTES_MAX && fgets(line, sizeof line, routes); i++)
		if (sscanf(line, "%63s %x %x", name, &destination, &gateway) == 3 && strcmp(name, ifname) == 0 &&
		    destination == 0 && gateway != 0) {
			*ret = ip_from_bytes(4, (const uint8_t *)&gateway); /* printed as a number of this machine */
			found = true;
		}
	if (routes)
		fclose(routes);
	return found;
}

static struct sockaddr_in to_sockaddr(const struct ip *ip, uint16_t port)
{
	struct sockaddr_in ret = {.sin_family = AF_INET, .sin_port = htons(port)};

	memcpy(&ret.sin_addr, ip->bytes, 4);
	return ret;
}

/* Two networks may have the same prefix and the same gateway's address: the interface tells them apart. */
static bool steer(int fd, const struct mapping *mapping)
{
	struct sockaddr_in local = to_sockaddr(&mapping->local.ip, 0),
			   gateway = to_sockaddr(&mapping->gateway, PCP_PORT);
	const char *ifname = mapping->local.ifname;

	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, ifname, (socklen_t)strlen(ifname)) == 0 &&
	       bind(fd, (struct sockaddr *)&local, sizeof local) == 0 &&
	       connect(fd, (struct sockaddr *)&gateway, sizeof gateway) == 0;
}

static int open_towards(const struct mapping *mapping)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && steer(fd, mapping))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Waits for the answer to one request; ERR_EXPIRED: there was none. */
static enum err pcp_wait(int fd, const struct pcp_map *asked, struct time_us until, struct pcp_map *ret)
{
	uint8_t bytes[PCP_DATAGRAM_MAX];

	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		int64_t left_us = time_since(until, clock_now());
		enum err err;
		ssize_t size;

		if (left_us <= 0 || poll(&poll_fd, 1, (int)(left_us / USEC_PER_MSEC) + 1) <= 0)
			return ERR_EXPIRED;
		size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (size < 0)
			return ERR_IO; /* nobody listens there */
		err = pcp_answer_decode(bytes, (size_t)size, asked, ret);
		if (err != ERR_MALFORMED)
			return err;
	}
}

/* RFC 6887 waits 3 s before the second try; a home's gateway is nearer than that. */
static enum err pcp_exchange(const struct mapping *mapping, const struct pcp_map *asked, struct pcp_map *ret)
{
	int fd = open_towards(mapping);
	int64_t wait_us = PCP_FIRST_WAIT_US;
	uint8_t bytes[PCP_MAP_SIZE];
	enum err err = ERR_EXPIRED;

	if (fd < 0)
		return ERR_IO;
	pcp_map_encode(asked, bytes);
	for (int i = 0; i < PCP_TRIES && err == ERR_EXPIRED; i++, wait_us *= 2)
		err = send(fd, bytes, sizeof bytes, 0) < 0 ? ERR_IO
							   : pcp_wait(fd, asked, time_add(clock_now(), wait_us), ret);
	close(fd);
	return err;
}

static struct pcp_map pcp_request(const struct mapping *mapping, const struct portmap_locals *locals)
{
	struct pcp_map map = {.client = mapping->local.ip, .port = locals->port, .lifetime_s = LIFETIME_S};

	memcpy(map.nonce, locals->nonce, sizeof map.nonce);
	map.external = mapping->is_mapped ? mapping->answer.external : (struct addr){.port = locals->port};
	return map;
}

static enum err pcp_ask(const struct mapping *mapping, const struct portmap_locals *locals, struct portmap_answer *ret)
{
	struct pcp_map asked = pcp_request(mapping, locals), given;
	enum err err = pcp_exchange(mapping, &asked, &given);

	if (err == OK)
		*ret = (struct portmap_answer){
			.external = given.external, .lifetime_s = given.lifetime_s, .method = PORTMAP_PCP};
	return err;
}

/* The library has its own retries, up to two minutes of them. */
static bool natpmp_wait(natpmp_t *natpmp, natpmpresp_t *ret)
{
	struct time_us until = time_add(clock_now(), NATPMP_PATIENCE_US);
	int result = NATPMP_TRYAGAIN;

	while (result == NATPMP_TRYAGAIN && !time_reached(clock_now(), until)) {
		struct pollfd poll_fd = {.fd = natpmp->s, .events = POLLIN};
		struct timeval wait = {.tv_sec = 1};

		getnatpmprequesttimeout(natpmp, &wait);
		poll(&poll_fd, 1, wait.tv_sec > 0 ? 1000 : (int)(wait.tv_usec / 1000) + 1);
		result = readnatpmpresponseorretry(natpmp, ret);
	}
	return result == 0;
}

static bool natpmp_map(natpmp_t *natpmp, uint16_t port, uint16_t wished, uint32_t lifetime_s, natpmpresp_t *ret)
{
	return sendnewportmappingrequest(natpmp, NATPMP_PROTOCOL_UDP, port, wished, lifetime_s) > 0 &&
	       natpmp_wait(natpmp, ret) && ret->type == NATPMP_RESPTYPE_UDPPORTMAPPING &&
	       ret->pnu.newportmapping.privateport == port;
}

/* The library has connected by whatever interface the kernel liked. */
static bool natpmp_open(const struct mapping *mapping, natpmp_t *ret)
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	in_addr_t gateway;

	memcpy(&gateway, mapping->gateway.bytes, sizeof gateway);
	if (initnatpmp(ret, 1, gateway) != 0)
		return false;
	if (connect(ret->s, &nowhere, sizeof nowhere) == 0 && steer(ret->s, mapping))
		return true;
	closenatpmp(ret);
	return false;
}

/* Two questions: which address is outside, and which port. */
static bool natpmp_ask(const struct mapping *mapping, const struct portmap_locals *locals, struct portmap_answer *ret)
{
	uint16_t wished = mapping->is_mapped ? mapping->answer.external.port : locals->port;
	natpmp_t natpmp;
	natpmpresp_t outside, opened;
	bool done;

	if (!natpmp_open(mapping, &natpmp))
		return false;
	done = sendpublicaddressrequest(&natpmp) > 0 && natpmp_wait(&natpmp, &outside) &&
	       outside.type == NATPMP_RESPTYPE_PUBLICADDRESS &&
	       natpmp_map(&natpmp, locals->port, wished, LIFETIME_S, &opened);
	closenatpmp(&natpmp);
	if (done)
		*ret = (struct portmap_answer){
			.external = {ip_from_bytes(4, (const uint8_t *)&outside.pnu.publicaddress.addr),
				     opened.pnu.newportmapping.mappedpublicport},
			.lifetime_s = opened.pnu.newportmapping.lifetime,
			.method = PORTMAP_NATPMP};
	return done;
}

/* PCP and NAT-PMP share a port: where nobody listens, neither is spoken. */
static bool ask_anew(struct mapping *mapping, const struct portmap_locals *locals, struct portmap_answer *ret)
{
	enum err err = pcp_ask(mapping, locals, ret);

	if (err == OK)
		return true;
	if (err != ERR_IO && natpmp_ask(mapping, locals, ret))
		return true;
	return upnp_ask(mapping, locals->port, ret);
}

static bool ask_again(struct mapping *mapping, const struct portmap_locals *locals, struct portmap_answer *ret)
{
	switch (mapping->answer.method) {
	case PORTMAP_PCP: return pcp_ask(mapping, locals, ret) == OK;
	case PORTMAP_NATPMP: return natpmp_ask(mapping, locals, ret);
	default: return upnp_ask(mapping, locals->port, ret);
	}
}

/* What worked last time first. An outside that others cannot reach is no mapping. */
bool mapping_ask(struct mapping *mapping, const struct portmap_locals *locals)
{
	struct portmap_answer answer;
	bool done = find_gateway(mapping->local.ifname, &mapping->gateway) &&
		    ((mapping->is_mapped && ask_again(mapping, locals, &answer)) || ask_anew(mapping, locals, &answer));

	done = done && answer.lifetime_s > 0 && addr_is_probeable(&answer.external);
	answer.local = mapping->local.ip;
	mapping->is_mapped = done;
	if (done)
		mapping->answer = answer;
	return done;
}

/* The same request with no time to live. */
void mapping_withdraw(struct mapping *mapping, const struct portmap_locals *locals)
{
	struct pcp_map asked = pcp_request(mapping, locals), given;
	natpmpresp_t closed;
	natpmp_t natpmp;

	if (!mapping->is_mapped)
		return;
	mapping->is_mapped = false;
	asked.lifetime_s = 0;
	switch (mapping->answer.method) {
	case PORTMAP_PCP:
		asked.external = (struct addr){0};
		if (pcp_exchange(mapping, &asked, &given) == OK)
			mapping->answer.lifetime_s = 0;
		return;
	case PORTMAP_NATPMP:
		if (natpmp_open(mapping, &natpmp)) {
			natpmp_map(&natpmp, locals->port, 0, 0, &closed);
			closenatpmp(&natpmp);
		}
		return;
	default: upnp_withdraw(mapping);
	}
}

/* What the methods keep. */
void mapping_finish(struct mapping *mapping)
{
	upnp_finish(mapping->device);
	*mapping = (struct mapping){0};
}
