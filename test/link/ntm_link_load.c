/*
 * ntm-link-load: so many datagrams a second, as evenly as the machine can, to see what a wire carries.
 *
 * usage: ntm-link-load IPV4-ADDRESS PORT PER-SECOND SECONDS BYTES     prints how many were sent, and in how many
 * seconds
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, BYTES_MAX = 1472, ARGUMENTS = 6, SEND_BUFFER_BYTES = 16 << 20 };

static const uint64_t NSEC_PER_SEC = 1000000000;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static int open_socket(const char *address, unsigned long port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SEND_BUFFER_BYTES;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	return fd;
}

/* Whatever is due by now, in batches. Returns how many were sent. */
static uint64_t load(int fd, uint64_t per_second, uint64_t duration_ns, size_t bytes)
{
	static char datagram[BYTES_MAX];
	struct iovec part = {datagram, bytes};
	struct mmsghdr messages[BATCH] = {{{0}}};
	uint64_t start_ns = now_ns(), sent = 0, past_ns;

	for (unsigned i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_iov = &part;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while ((past_ns = now_ns() - start_ns) < duration_ns) {
		uint64_t behind = past_ns * per_second / NSEC_PER_SEC - sent;
		int made = behind > 0 ? sendmmsg(fd, messages, behind < BATCH ? (unsigned)behind : BATCH, 0) : 0;

		sent += made > 0 ? (uint64_t)made : 0;
	}
	return sent;
}

int main(int argc, char **argv)
{
	unsigned long numbers[ARGUMENTS] = {0};
	uint64_t start_ns, sent;
	int fd;

	for (int i = 2; i < argc && i < ARGUMENTS; i++)
		numbers[i] = strtoul(argv[i], NULL, 10);
	if (argc != ARGUMENTS || numbers[2] == 0 || numbers[3] == 0 || numbers[4] == 0 || numbers[5] > BYTES_MAX) {
		fprintf(stderr, "usage: ntm-link-load IPV4-ADDRESS PORT PER-SECOND SECONDS BYTES\n");
		return 2;
	}
	fd = open_socket(argv[1], numbers[2]);
	if (fd < 0) {
		perror("ntm-link-load");
		return 1;
	}
	start_ns = now_ns();
	sent = load(fd, numbers[3], numbers[4] * NSEC_PER_SEC, numbers[5]);
	printf("%" PRIu64 " %.3f\n", sent, (double)(now_ns() - start_ns) / (double)NSEC_PER_SEC);
	return 0;
}
