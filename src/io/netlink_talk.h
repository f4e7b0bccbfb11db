/* netlink_talk.h: requests to the kernel's route netlink, one at a time. For netlink_*.c. */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"

enum { NL_BUFFER_SIZE = 32768, NL_REQUEST_SIZE = 1024 };

/* A request socket. The buffer holds answers; requests live with their makers. */
struct nl {
	struct mnl_socket *socket;
	uint32_t sequence;
	uint8_t *buffer;
};

/* One request in the making. */
struct nl_request {
	_Alignas(struct nlmsghdr) uint8_t bytes[NL_REQUEST_SIZE];
	struct nlmsghdr *header;
};

must_use enum err nl_open(struct nl *ret);
void nl_close(struct nl *nl);

/* Begins a request; returns its zeroed fixed part of body_size bytes. */
void *nl_begin(struct nl_request *request, uint16_t type, uint16_t flags, size_t body_size);
void nl_put_ip(struct nl_request *request, uint16_t attribute, const struct ip *ip);
/* Sends and waits for the kernel's word: 0 or a positive errno. */
int nl_ask(struct nl *nl, struct nl_request *request);
/*
 * Sends a dump request and calls each for every message; 0 or a positive errno (EINTR: the dump was interrupted by a
 * change, ask again). With one = true the request is no dump: a single answer.
 */
int nl_dump(struct nl *nl, struct nl_request *request, mnl_cb_t each, void *ctx, bool one);

static inline uint8_t nl_family_of(uint8_t ip_family)
{
	return ip_family == 4 ? 2 : 10; /* AF_INET, AF_INET6 */
}
/* The attributes of a message by type, up to max; later ones win. attributes has max + 1 entries and is cleared. */
void nl_attributes(const struct nlmsghdr *header, size_t body_size, const struct nlattr **attributes, size_t max);
/* Zero when absent or too short. */
uint32_t nl_u32(const struct nlattr *attribute);
/* Family 0 when absent or of another size. af is AF_INET or AF_INET6. */
struct ip nl_ip(const struct nlattr *attribute, uint8_t af);
