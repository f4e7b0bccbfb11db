#include "io/netlink_talk.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

/* Strict checking on: the kernel then filters dumps by table. */
enum err nl_open(struct nl *ret)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int on = 1;

	if (!socket)
		return ERR_IO;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) != 0) {
		int saved = errno;

		mnl_socket_close(socket);
		errno = saved;
		return ERR_IO;
	}
	mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on,
			      sizeof(on)); /* the kernel then filters dumps by table */
	*ret = (struct nl){.socket = socket, .sequence = 1, .buffer = mem_alloc(1, NL_BUFFER_SIZE)};
	return OK;
}

/* Harmless when it was never opened. */
void nl_close(struct nl *nl)
{
	if (nl->socket)
		mnl_socket_close(nl->socket);
	mem_free(nl->buffer);
	*nl = (struct nl){0};
}

/* Everything zero, as strict checking demands. */
void *nl_begin(struct nl_request *request, uint16_t type, uint16_t flags, size_t body_size)
{
	memset(request->bytes, 0, sizeof(request->bytes));
	request->header = mnl_nlmsg_put_header(request->bytes);
	request->header->nlmsg_type = type;
	request->header->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(request->header, body_size);
}

/* In the length that the family has. */
void nl_put_ip(struct nl_request *request, uint16_t attribute, const struct ip *ip)
{
	mnl_attr_put(request->header, attribute, ip_size(ip), ip->bytes);
}

/* Does the dump end in these bytes? libmnl stops looking at the first message of an interrupted dump. */
static bool nl_has_end(const uint8_t *bytes, size_t size)
{
	const struct nlmsghdr *header = (const struct nlmsghdr *)bytes;
	int left = (int)size;

	for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left))
		if (header->nlmsg_type == NLMSG_DONE)
			return true;
	return false;
}

/* Reads answers until the last one; 0 or errno. */
static int nl_run(struct nl *nl, mnl_cb_t each, void *ctx, bool one)
{
	unsigned port = mnl_socket_get_portid(nl->socket);
	int interrupted = 0;

	for (;;) {
		ssize_t size = mnl_socket_recvfrom(nl->socket, nl->buffer, NL_BUFFER_SIZE);
		int more;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno;
		if (((struct nlmsghdr *)nl->buffer)->nlmsg_seq != nl->sequence)
			continue; /* a late answer to an earlier question */
		more = mnl_cb_run(nl->buffer, (size_t)size, nl->sequence, port, each, ctx);
		if (more < 0 &&
		    errno == EINTR) { /* a dump that was changed under way still has to be read to its end */
			interrupted = EINTR;
			if (nl_has_end(nl->buffer, (size_t)size))
				return interrupted;
			continue;
		}
		if (more < 0)
			return errno;
		if (more == MNL_CB_STOP || one)
			return interrupted;
	}
}

/* Waits for the acknowledgement: route changes are done when it returns. */
int nl_ask(struct nl *nl, struct nl_request *request)
{
	request->header->nlmsg_flags |= NLM_F_ACK;
	request->header->nlmsg_seq = ++nl->sequence;
	if (mnl_socket_sendto(nl->socket, request->header, request->header->nlmsg_len) < 0)
		return errno;
	return nl_run(nl, NULL, NULL, false);
}

/* Stale answers are skipped by sequence number. */
int nl_dump(struct nl *nl, struct nl_request *request, mnl_cb_t each, void *ctx, bool one)
{
	if (!one)
		request->header->nlmsg_flags |= NLM_F_DUMP;
	request->header->nlmsg_seq = ++nl->sequence;
	if (mnl_socket_sendto(nl->socket, request->header, request->header->nlmsg_len) < 0)
		return errno;
	return nl_run(nl, each, ctx, one);
}

struct nl_attribute_table {
	const struct nlattr **attributes;
	size_t max;
};

static int nl_keep_attribute(const struct nlattr *attribute, void *ctx)
{
	struct nl_attribute_table *table = ctx;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type <= table->max)
		table->attributes[type] = attribute;
	return MNL_CB_OK;
}

/* Unknown types are skipped: newer kernels have more. */
void nl_attributes(const struct nlmsghdr *header, size_t body_size, const struct nlattr **attributes, size_t max)
{
	struct nl_attribute_table table = {attributes, max};

	memset(attributes, 0, (max + 1) * sizeof(*attributes));
	mnl_attr_parse(header, (unsigned)body_size, nl_keep_attribute, &table);
}

/* Never reads beyond a short attribute. */
uint32_t nl_u32(const struct nlattr *attribute)
{
	return attribute && mnl_attr_get_payload_len(attribute) >= 4 ? mnl_attr_get_u32(attribute) : 0;
}

/* Never trusts the length. */
struct ip nl_ip(const struct nlattr *attribute, uint8_t af)
{
	uint8_t family = af == AF_INET ? 4 : 6;

	if (!attribute || mnl_attr_get_payload_len(attribute) != (family == 4 ? 4 : 16))
		return (struct ip){0};
	return ip_from_bytes(family, mnl_attr_get_payload(attribute));
}
