#include "io/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/tun_header.h"

enum {
	TUN_PACKET_MAX = 65536,
	TUN_SLOT = PACKET_ROOM + TUN_PACKET_MAX + PACKET_ROOM,
	TUN_QUEUE_LENGTH = 1024, /* packets; with 500 a burst of UDP superpackets overran it */
};

/* Not in the headers of Debian 12. The kernel takes both or none. */
enum { TUN_OFFLOAD_USO = 0x20 | 0x40 };

struct tun {
	int fd;
	char name[TUN_NAME_MAX];
	uint32_t ifindex;
	bool has_tso, has_uso, is_gone;
	uint8_t *slots;
	struct tun_counters counters;
};

static enum err tun_attach(int fd, const char *name, struct ifreq *request, char error[TUN_ERROR_MAX])
{
	*request = (struct ifreq){.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	if (strlen(name) >= sizeof(request->ifr_name)) {
		snprintf(error, TUN_ERROR_MAX, "interface name %.32s... is longer than %d characters", name,
			 TUN_NAME_MAX - 1);
		return ERR_USAGE;
	}
	memcpy(request->ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, request) == 0)
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

/* The best the kernel has: 6.2 and later USO too, earlier ones TSO, odd ones nothing. */
static void tun_choose_offloads(struct tun *tun)
{
	unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	tun->has_uso = ioctl(tun->fd, TUNSETOFFLOAD, tso | TUN_OFFLOAD_USO) == 0;
	tun->has_tso = tun->has_uso || ioctl(tun->fd, TUNSETOFFLOAD, tso) == 0;
	if (!tun->has_tso)
		ioctl(tun->fd, TUNSETOFFLOAD, 0UL);
}

/* Its number, and a longer queue (which it works without). */
static bool tun_look_up(struct tun *tun, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	request->ifr_qlen = TUN_QUEUE_LENGTH;
	ioctl(fd, SIOCSIFTXQLEN, request);
	tun->ifindex = if_nametoindex(tun->name);
	close(fd);
	return tun->ifindex != 0;
}

/* All buffers are taken here. */
enum err tun_open(const char *name, struct tun **ret, char error[TUN_ERROR_MAX])
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
	err = tun_attach(fd, name, &request, error);
	if (err != OK)
		goto fail;
	tun = mem_alloc(1, sizeof(*tun));
	tun->fd = fd;
	memcpy(tun->name, request.ifr_name, sizeof(tun->name));
	tun->name[TUN_NAME_MAX - 1] = 0;
	err = ERR_IO;
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0 || !tun_look_up(tun, &request)) {
		snprintf(error, TUN_ERROR_MAX, "cannot set up interface %s: %s", tun->name, strerror(errno));
		goto fail;
	}
	tun_choose_offloads(tun);
	tun->slots = mem_alloc_aligned((size_t)TUN_BATCH * TUN_SLOT);
	*ret = tun;
	return OK;
fail:
	mem_free(tun);
	close(fd);
	return err;
}

/* Routes through the device go with it, the guards stay (netlink.h). */
void tun_close(struct tun *tun)
{
	if (!tun)
		return;
	close(tun->fd);
	mem_free(tun->slots);
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

/* False on kernels without offloads: every read is then one small packet. */
bool tun_has_tso(const struct tun *tun)
{
	return tun->has_tso;
}

/* False before Linux 6.2: no UDP superpackets may be written then either. */
bool tun_has_uso(const struct tun *tun)
{
	return tun->has_uso;
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
		ssize_t size = read(tun->fd, slot + PACKET_ROOM - TUN_HEADER_SIZE, TUN_HEADER_SIZE + TUN_PACKET_MAX);

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
		if (size < TUN_HEADER_SIZE ||
		    tun_header_decode(slot + PACKET_ROOM, size - TUN_HEADER_SIZE, &ret[count]) != OK) {
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

/* One system call: the header goes into the room before the packet. */
enum err tun_write(struct tun *tun, const struct packet *packet)
{
	ssize_t written;

	tun_header_encode(packet);
	do
		written = write(tun->fd, packet->bytes - TUN_HEADER_SIZE, TUN_HEADER_SIZE + packet->size);
	while (written < 0 && errno == EINTR);
	if (written >= 0) {
		tun->counters.written_packets++;
		tun->counters.written_bytes += packet->size;
		return OK;
	}
	if (errno == EINVAL) {
		tun->counters.write_refused++;
		return ERR_MALFORMED;
	}
	tun->is_gone = tun->is_gone || errno == EBADFD;
	tun->counters.write_dropped++;
	return ERR_FULL;
}
