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

/*
 * When it works and when it does not. A due time is awaited awake for its last part, since waking takes as long. Who
 * never sleeps starves the rest of its core, and the kernel then takes the core away for up to 50 ms in a second: so
 * it rests after each half millisecond, and frames that come meanwhile wait those 50 us. Their due times do not shift:
 * the kernel stamps arrivals.
 */
enum { SPIN_NSEC = 30000, AWAKE_NSEC = 500000, REST_NSEC = 50000 };

struct rhythm {
	uint64_t awake_since_ns;
	const sigset_t *during;
};

static int nap(struct rhythm *rhythm, struct pollfd *polled, nfds_t count, uint64_t wait_ns)
{
	struct timespec wait = {(time_t)(wait_ns / NSEC_PER_SEC), (long)(wait_ns % NSEC_PER_SEC)};
	uint64_t began_ns = clock_now_ns();
	int ready = ppoll(polled, count, &wait, rhythm->during), saved = errno;

	if (clock_now_ns() - began_ns > REST_NSEC / 2)
		rhythm->awake_since_ns = clock_now_ns();
	errno = saved;
	return ready;
}

/* Until something comes, or shortly before the next frame is due. */
static int wait_for_any(struct rhythm *rhythm, struct pollfd *polled, nfds_t count, uint64_t due_ns)
{
	uint64_t now_ns = clock_now_ns(), wait_ns = NSEC_PER_SEC;

	if (now_ns - rhythm->awake_since_ns > AWAKE_NSEC) {
		if (nap(rhythm, NULL, 0, REST_NSEC) < 0)
			return -1;
		now_ns = clock_now_ns();
	}
	if (due_ns != UINT64_MAX)
		wait_ns = due_ns > now_ns + SPIN_NSEC ? due_ns - now_ns - SPIN_NSEC : 0;
	return nap(rhythm, polled, count, wait_ns);
}

static int run(int control, struct emulator *emulator, const sigset_t *during)
{
	struct pollfd polled[POLLED_MAX] = {{.fd = control, .events = POLLIN}};
	struct rhythm rhythm = {clock_now_ns(), during};

	while (!ended) {
		uint64_t due_ns = emulator_send_due(emulator);
		unsigned ports = emulator->wire_count * WAYS;

		for (unsigned i = 0; i < ports; i++)
			polled[1 + i] = (struct pollfd){emulator->wires[i / WAYS]->ports[i % WAYS].fd, POLLIN, 0};
		if (wait_for_any(&rhythm, polled, 1 + ports, due_ns) < 0) {
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
