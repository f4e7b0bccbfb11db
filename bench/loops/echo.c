/*
 * echo.c: reference R2, what one socket and one core can answer: datagrams taken and given back in batches (recvmmsg,
 * sendmmsg), and nothing done with them.
 *
 * usage: echo LOCAL:PORT     IPv4; until it is terminated
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/addr.h"

enum { BATCH = 64, SIZE = 2048 };

static int open_socket(const struct addr *local)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(local->port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = 7 << 20;

	memcpy(&name.sin_addr, local->ip.bytes, 4);
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	return fd;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[BATCH][SIZE];
	struct sockaddr_in names[BATCH];
	struct iovec parts[BATCH];
	struct mmsghdr messages[BATCH];
	struct addr local;
	int fd = argc == 2 && addr_parse(argv[1], 0, &local) == OK ? open_socket(&local) : -1;

	if (fd < 0) {
		fprintf(stderr, "usage: echo LOCAL:PORT (IPv4, free)\n");
		return 1;
	}
	printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		int count;

		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){bytes[i], SIZE};
			messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &names[i],
								   .msg_namelen = sizeof names[i],
								   .msg_iov = &parts[i],
								   .msg_iovlen = 1}};
		}
		count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < count; i++)
			parts[i].iov_len = messages[i].msg_len;
		for (int done = 0, sent; done < count; done += sent)
			if ((sent = sendmmsg(fd, messages + done, (unsigned)(count - done), 0)) <= 0)
				break;
	}
}
