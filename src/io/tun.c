#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/netlink.h"
#include "io/tun_header.h"

enum {
	TUN_PACKET_MAX = 65536,
	TUN_SLOT = PACKET_ROOM + TUN_PACKET_MAX + PACKET_ROOM,
	TUN_QUEUE_LENGTH = 1024, /* packets; with 500 a burst of UDP superpackets overran it */
	TUN_WAITS_MAX = 10,	 /* without a successful write in between */
	TUN_WAIT_STEP_US = 500,
};

/* Not in the headers of Debian 12. The kernel takes both or none. */
enum { TUN_OFFLOAD_USO = 0x20 | 0x40 };

struct tun {
	int fd;
	char name[TUN_NAME_MAX];
	uint32_t ifindex;
	struct tun_abilities abilities;
	bool is_gone, is_many;
	size_t header_size; /* before each packet; 0: none */
	unsigned waits_left;
	uint8_t *slots;
	struct tun_counters counters;
};

/* What is asked for first; a device that outlives its programs may have been made for one queue. False with errno. */
static bool tun_request_as(int fd, short flags, bool is_many, struct ifreq *request)
{
	request->ifr_flags = (short)(flags | (is_many ? IFF_MULTI_QUEUE : 0));
	if (ioctl(fd, TUNSETIFF, request) == 0)
		return true;
	if (errno != EINVAL || !is_many)
		return false;
	request->ifr_flags = flags;
	return ioctl(fd, TUNSETIFF, request) == 0;
}

/* With the virtio header where the kernel knows it; request->ifr_flags tell what it has become. False with errno. */
static bool tun_request(int fd, const struct tun_params *params, struct ifreq *request)
{
	if (!params->no_header) {
		if (tun_request_as(fd, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, params->many, request))
			return true;
		if (errno != EINVAL)
			return false;
	}
	return tun_request_as(fd, IFF_TUN | IFF_NO_PI, params->many, request);
}

static enum err tun_attach(int fd, const struct tun_params *params, struct ifreq *request, char error[TUN_ERROR_MAX])
{
	const char *name = params->name;

	*request = (struct ifreq){0};
	if (strlen(name) >= sizeof(request->ifr_name)) {
		snprintf(error, TUN_ERROR_MAX, "interface name %.32s... is longer than %d characters", name,
			 TUN_NAME_MAX - 1);
		return ERR_USAGE;
	}
	memcpy(request->ifr_name, name, strlen(name));
	if (tun_request(fd, params, request))
		return OK;
	if (errno == EBUSY) {
		snprintf(error, TUN_ERROR_MAX, "interface %s is in use by another program: choose another with --tun",
			 name);
		return ERR_EXISTS;
	}
	if (errno == EPERM) {
		snprintf(error, TUN_ERROR_MAX, "cannot make interface %s: run as root or with CAP_NET_ADMIN", name);
		return ERR_DENIED;
	}
	snprintf(error, TUN_ERROR_MAX, "cannot make interface %s: %s", name, strerror(errno));
	return errno == EINVAL ? ERR_USAGE : ERR_IO;
}

/* The best the kernel has: 6.2 and later USO too, earlier ones TSO, odd ones nothing. A device that outlives its
 * programs may still have what the one before asked for. */
static void tun_choose_offloads(struct tun *tun, const struct tun_params *params)
{
	unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	bool wants_tso = tun->abilities.header && !params->no_tso;

	tun->abilities.uso = wants_tso && !params->no_uso && ioctl(tun->fd, TUNSETOFFLOAD, tso | TUN_OFFLOAD_USO) == 0;
	tun->abilities.tso = tun->abilities.uso || (wants_tso && ioctl(tun->fd, TUNSETOFFLOAD, tso) == 0);
	if (!tun->abilities.tso)
		ioctl(tun->fd, TUNSETOFFLOAD, 0UL);
}

/* All buffers are taken here. */
enum err tun_open(const struct tun_params *params, struct tun **ret, char error[TUN_ERROR_MAX])
{
	int header_size = TUN_HEADER_SIZE, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct tun *tun = NULL;
	struct ifreq request;
	enum err err;

	if (fd < 0) {
		snprintf(error, TUN_ERROR_MAX, "/dev/net/tun: %s: load the tun module or give the container the device",
			 strerror(errno));
		return errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_UNSUPPORTED;
	}
	err = tun_attach(fd, params, &request, error);
	if (err != OK)
		goto fail;
	tun = mem_alloc(1, sizeof(*tun));
	tun->fd = fd;
	memcpy(tun->name, request.ifr_name, sizeof(tun->name));
	tun->name[TUN_NAME_MAX - 1] = 0;
	err = ERR_IO;
	tun->abilities.header = request.ifr_flags & IFF_VNET_HDR;
	tun->is_many = request.ifr_flags & IFF_MULTI_QUEUE;
	tun->header_size = tun->abilities.header ? TUN_HEADER_SIZE : 0;
	tun->waits_left = TUN_WAITS_MAX;
	if ((tun->abilities.header && ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0) ||
	    !(tun->ifindex = if_nametoindex(tun->name))) {
		snprintf(error, TUN_ERROR_MAX, "cannot set up interface %s: %s", tun->name, strerror(errno));
		goto fail;
	}
	tun_choose_offloads(tun, params);
	if (net_set_queue(tun->ifindex, TUN_QUEUE_LENGTH) != OK)
		errno = 0; /* it works with the shorter one */
	tun->slots = mem_alloc_aligned((size_t)TUN_BATCH * TUN_SLOT);
	*ret = tun;
	return OK;
fail:
	mem_free(tun);
	close(fd);
	return err;
}

/* Beside the first one; the device is as that has set it up. */
static struct tun *tun_beside(const struct tun *first, int fd, bool reads)
{
	struct tun *tun = mem_alloc(1, sizeof(*tun));

	*tun = *first;
	tun->fd = fd;
	tun->waits_left = TUN_WAITS_MAX;
	tun->slots = reads ? mem_alloc_aligned((size_t)TUN_BATCH * TUN_SLOT) : NULL;
	tun->counters = (struct tun_counters){0};
	return tun;
}

/* Contract in the header. */
enum err tun_add_queue(const struct tun *first, struct tun **ret)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE};
	int fd;

	if (!first->is_many)
		return ERR_UNSUPPORTED;
	if (first->abilities.header)
		request.ifr_flags |= IFF_VNET_HDR;
	memcpy(request.ifr_name, first->name, sizeof(request.ifr_name));
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return ERR_IO;
	if (ioctl(fd, TUNSETIFF, &request) != 0) {
		close(fd);
		return ERR_IO;
	}
	*ret = tun_beside(first, fd, true);
	return OK;
}

/* Contract in the header. */
enum err tun_share(const struct tun *tun, bool reads, struct tun **ret)
{
	int fd = fcntl(tun->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return ERR_IO;
	*ret = tun_beside(tun, fd, reads);
	return OK;
}

/* Routes through the device go with it, the guards stay (netlink.h). */
void tun_close(struct tun *tun)
{
	if (!tun)
		return;
	close(tun->fd);
	mem_free_aligned(tun->slots);
	mem_free(tun);
}

/* Readable when packets wait. */
int tun_fd(const struct tun *tun)
{
	return tun->fd;
}

/* As the kernel numbered it. */
const char *tun_name(const struct tun *tun)
{
	return tun->name;
}

/* For netlink.h. */
uint32_t tun_ifindex(const struct tun *tun)
{
	return tun->ifindex;
}

/* As agreed when it was opened. */
void tun_get_abilities(const struct tun *tun, struct tun_abilities *ret)
{
	*ret = tun->abilities;
}

/* Noticed by the first read or write after the deletion. */
bool tun_is_gone(const struct tun *tun)
{
	return tun->is_gone;
}

/* A copy, as everywhere. */
void tun_get_counters(const struct tun *tun, struct tun_counters *ret)
{
	*ret = tun->counters;
}

/* The size of what was read into slot, header included; 0 when nothing is left. */
static size_t tun_read_slot(struct tun *tun, uint8_t *slot)
{
	for (;;) {
		ssize_t size = read(tun->fd, slot + PACKET_ROOM - tun->header_size, tun->header_size + TUN_PACKET_MAX);

		if (size >= 0)
			return (size_t)size;
		if (errno == EINTR)
			continue;
		if (errno == EBADFD) /* the device was deleted; EIO only means that it is down */
			tun->is_gone = true;
		return 0;
	}
}

/* A malformed packet is skipped, not the end of the batch. */
size_t tun_read(struct tun *tun, struct packet *ret, size_t count_max)
{
	size_t count = 0;

	if (count_max > TUN_BATCH)
		count_max = TUN_BATCH;
	while (count < count_max) {
		uint8_t *slot = tun->slots + count * TUN_SLOT;
		size_t size = tun_read_slot(tun, slot);

		if (size == 0)
			break;
		if (tun->header_size == 0)
			memset(slot + PACKET_ROOM - TUN_HEADER_SIZE, 0, TUN_HEADER_SIZE);
		if (size < tun->header_size ||
		    tun_header_decode(slot + PACKET_ROOM, size - tun->header_size, &ret[count]) != OK) {
			tun->counters.read_malformed++;
			continue;
		}
		tun->counters.read_packets++;
		tun->counters.read_bytes += ret[count].size;
		tun->counters.read_superpackets += ret[count].gso != PACKET_GSO_NONE;
		count++;
	}
	return count;
}

/* Waits a little for room, but not for packet after packet: a device that takes nothing must not hold up the rest. */
static bool tun_wait(struct tun *tun)
{
	/* Only EAGAIN is about the queue that POLLOUT tells of. */
	struct pollfd poll_fd = {.fd = tun->fd, .events = errno == EAGAIN ? POLLOUT : 0};
	struct timespec step = {.tv_nsec = TUN_WAIT_STEP_US * 1000};

	if (tun->waits_left == 0)
		return false;
	tun->waits_left--;
	tun->counters.write_waits++;
	ppoll(&poll_fd, 1, &step, NULL);
	return true;
}

/* One system call: the header goes into the room before the packet. */
enum err tun_write(struct tun *tun, const struct packet *packet)
{
	size_t header = tun->header_size;

	if (header > 0) {
		tun_header_encode(packet);
	} else if (packet->gso != PACKET_GSO_NONE || packet->checksum_partial) {
		tun->counters.write_refused++;
		return ERR_MALFORMED;
	}
	for (;;) {
		if (write(tun->fd, packet->bytes - header, header + packet->size) >= 0) {
			tun->counters.written_packets++;
			tun->counters.written_bytes += packet->size;
			tun->waits_left = TUN_WAITS_MAX;
			return OK;
		}
		if (errno == EINTR)
			continue;
		if (errno == EINVAL) {
			tun->counters.write_refused++;
			return ERR_MALFORMED;
		}
		if ((errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) && tun_wait(tun))
			continue;
		tun->is_gone = tun->is_gone || errno == EBADFD;
		tun->counters.write_dropped++;
		return ERR_FULL;
	}
}
