/*
 * ntm-link: wires between network interfaces that delay, lose, double, reorder and cut what passes, for kernels without
 * such a thing. The far ends of the interfaces need `ethtool -K IF tx off tso off gso off gro off`, so that whole
 * frames arrive. It measures how late each frame leaves; `stats` tells.
 *
 * usage: ntm-link SOCKET [SEED]     prints "ready"; commands (command.h) come as datagrams to SOCKET; ends on SIGTERM
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control.h"
#include "emulator.h"

enum { POLLED_MAX = 1 + EMULATOR_WIRES_MAX * WAYS };

static const uint64_t NSEC_PER_SEC = 1000000000;

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

/* Sleeps until something comes, or until shortly before the next frame is due; the rest of the time it looks again and
 * again. */
static int wait_for_any(struct pollfd *polled, nfds_t count, uint64_t due_ns, const sigset_t *during)
{
	uint64_t now_ns = clock_now_ns(), wait_ns = NSEC_PER_SEC;
	struct timespec wait;

	if (due_ns != UINT64_MAX)
		wait_ns = due_ns > now_ns + EMULATOR_SPIN_NSEC ? due_ns - now_ns - EMULATOR_SPIN_NSEC : 0;
	wait = (struct timespec){(time_t)(wait_ns / NSEC_PER_SEC), (long)(wait_ns % NSEC_PER_SEC)};
	return ppoll(polled, count, &wait, during);
}

static int run(int control, struct emulator *emulator, const sigset_t *during)
{
	struct pollfd polled[POLLED_MAX] = {{.fd = control, .events = POLLIN}};

	while (!ended) {
		uint64_t due_ns = emulator_send_due(emulator);
		unsigned ports = emulator->wire_count * WAYS;

		for (unsigned i = 0; i < ports; i++)
			polled[1 + i] = (struct pollfd){emulator->wires[i / WAYS]->ports[i % WAYS].fd, POLLIN, 0};
		if (wait_for_any(polled, 1 + ports, due_ns, during) < 0) {
			if (errno == EINTR)
				continue;
			perror("ntm-link: ppoll");
			return 1;
		}
		for (unsigned i = 0; i < ports; i++)
			if (polled[1 + i].revents & POLLIN)
				emulator_receive(emulator, i);
		if (polled[0].revents & POLLIN)
			control_serve(control, emulator);
	}
	return 0;
}

/* Signals arrive only while it waits. Real time, where allowed: it sleeps whenever it can, and others must not make it
 * late. */
static void settle(sigset_t *ret_during)
{
	struct sigaction action = {.sa_handler = end};
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, ret_during);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1);
	if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) != 0)
		perror("ntm-link: no real time, so frames may be late");
}

static bool parse_seed(int argc, char **argv, uint64_t *ret)
{
	char *rest;

	*ret = 1;
	if (argc == 2)
		return true;
	errno = 0;
	*ret = argc == 3 ? strtoull(argv[2], &rest, 0) : 0;
	return argc == 3 && errno == 0 && *argv[2] != '\0' && *rest == '\0';
}

int main(int argc, char **argv)
{
	struct emulator *emulator;
	sigset_t during;
	uint64_t seed;
	int control, code;

	if (argc < 2 || !parse_seed(argc, argv, &seed)) {
		fprintf(stderr, "usage: ntm-link SOCKET [SEED]\n");
		return 2;
	}
	emulator = emulator_create(seed);
	if (!emulator || control_open(argv[1], &control) != OK) {
		fprintf(stderr, "ntm-link: %s: %s\n", argv[1], strerror(errno));
		emulator_destroy(emulator);
		return 1;
	}
	settle(&during);
	printf("ready, seed %" PRIu64 "\n", seed);
	fflush(stdout);
	code = run(control, emulator, &during);
	close(control);
	unlink(argv[1]);
	emulator_destroy(emulator);
	return code;
}
