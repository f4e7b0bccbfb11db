/* ntm-portmap: asks the NATs before this machine to open a port, for ntmd, which starts it (portmap.h). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/portmap_ask.h"
#include "io/clock.h"
#include "io/privilege.h"

#define SETTLE_US (200 * USEC_PER_MSEC)	  /* networks come in several steps */
#define RENEW_MAX_US (600 * USEC_PER_SEC) /* a gateway that was restarted has forgotten */
#define RENEW_MIN_US (1 * USEC_PER_SEC)
#define LOST_RETRY_US (15 * USEC_PER_SEC)     /* it worked a moment ago */
#define SILENT_RETRY_US (1800 * USEC_PER_SEC) /* it never did, here */
#define LEAVE_MAX_S 5

struct asked {
	struct mapping mapping;
	struct time_us next;
	bool used;
};

struct program {
	struct portmap_locals locals;
	struct asked asked[PORTMAP_LOCALS_MAX];
	char line[PORTMAP_LINE_MAX];
	size_t size;
	bool is_skipping; /* the rest of a line that was too long */
	bool is_over;
};

static volatile sig_atomic_t got_signal;

static void note_signal(int number)
{
	got_signal = number;
}

/* ntmd may be gone: then there is nobody to tell, and the next read says so. */
static void tell(const struct portmap_answer *answer)
{
	char line[PORTMAP_LINE_MAX + 1];
	ssize_t written;
	size_t size;

	portmap_answer_format(answer, line);
	size = strlen(line);
	line[size++] = '\n';
	written = write(STDOUT_FILENO, line, size);
	(void)written;
}

static bool is_wanted(const struct portmap_locals *locals, const struct portmap_local *local)
{
	for (size_t i = 0; i < locals->count; i++)
		if (ip_equal(&locals->list[i].ip, &local->ip) && strcmp(locals->list[i].ifname, local->ifname) == 0)
			return true;
	return false;
}

static void start_asking(struct program *program, const struct portmap_local *local, struct time_us now)
{
	for (int i = 0; i < PORTMAP_LOCALS_MAX; i++)
		if (!program->asked[i].used) {
			program->asked[i] = (struct asked){
				.mapping = {.local = *local}, .next = time_add(now, SETTLE_US), .used = true};
			return;
		}
}

/* A network was left: what its gateway opened it closes by itself. Every change asks again, also where nobody answered
 * before: it may be another network with the same addresses. */
static void take_locals(struct program *program, const struct portmap_locals *locals, struct time_us now)
{
	for (int i = 0; i < PORTMAP_LOCALS_MAX; i++) {
		struct asked *asked = &program->asked[i];

		if (asked->used &&
		    (locals->port != program->locals.port || !is_wanted(locals, &asked->mapping.local))) {
			mapping_finish(&asked->mapping);
			asked->used = false;
		}
	}
	program->locals = *locals;
	for (size_t i = 0; i < locals->count; i++) {
		struct asked *asked = NULL;

		for (int k = 0; k < PORTMAP_LOCALS_MAX; k++)
			if (program->asked[k].used &&
			    ip_equal(&program->asked[k].mapping.local.ip, &locals->list[i].ip))
				asked = &program->asked[k];
		if (asked)
			asked->next = time_add(now, SETTLE_US);
		else
			start_asking(program, &locals->list[i], now);
	}
}

static void take_byte(struct program *program, char byte, struct time_us now)
{
	struct portmap_locals locals;

	if (byte != '\n') {
		program->is_skipping |= program->size + 1 == sizeof program->line;
		if (!program->is_skipping)
			program->line[program->size++] = byte;
		return;
	}
	program->line[program->size] = 0;
	if (!program->is_skipping && portmap_locals_parse(program->line, &locals) == OK)
		take_locals(program, &locals, now);
	program->is_skipping = false;
	program->size = 0;
}

/* The end of the input is ntmd's end, however it came about. */
static void read_input(struct program *program, struct time_us now)
{
	char bytes[PORTMAP_LINE_MAX];
	ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);

	if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN))
		program->is_over = true;
	for (ssize_t i = 0; i < size; i++)
		take_byte(program, bytes[i], now);
}

static struct time_us next_time(const struct asked *asked, bool was_mapped, struct time_us now)
{
	int64_t half_us = (int64_t)asked->mapping.answer.lifetime_s * USEC_PER_SEC / 2;

	if (!asked->mapping.is_mapped)
		return time_add(now, was_mapped ? LOST_RETRY_US : SILENT_RETRY_US);
	return time_add(now, half_us > RENEW_MAX_US ? RENEW_MAX_US : half_us < RENEW_MIN_US ? RENEW_MIN_US : half_us);
}

/* Told at every renewal: ntmd may count on the lifetime in it. */
static void ask(struct program *program, struct asked *asked)
{
	bool was_mapped = asked->mapping.is_mapped;

	if (mapping_ask(&asked->mapping, &program->locals))
		tell(&asked->mapping.answer);
	else
		tell(&(struct portmap_answer){.local = asked->mapping.local.ip});
	asked->next = next_time(asked, was_mapped, clock_now());
}

static struct asked *find_next(struct program *program)
{
	struct asked *next = NULL;

	for (int i = 0; i < PORTMAP_LOCALS_MAX; i++)
		if (program->asked[i].used && (!next || program->asked[i].next.us < next->next.us))
			next = &program->asked[i];
	return next;
}

/* One thing at a time: waits for what comes first, and input goes before questions. */
static void run(struct program *program)
{
	while (!program->is_over && !got_signal) {
		struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
		struct asked *next = find_next(program);
		int64_t left_us = next ? time_since(next->next, clock_now()) : 0;
		int wait_ms = !next ? -1 : left_us <= 0 ? 0 : (int)(left_us / USEC_PER_MSEC) + 1;

		if (poll(&input, 1, wait_ms) > 0)
			read_input(program, clock_now());
		else if (next && time_reached(clock_now(), next->next))
			ask(program, next);
	}
}

static void withdraw_all(struct program *program)
{
	alarm(LEAVE_MAX_S); /* a gateway that is gone does not keep us */
	for (int i = 0; i < PORTMAP_LOCALS_MAX; i++)
		if (program->asked[i].used) {
			mapping_withdraw(&program->asked[i].mapping, &program->locals);
			mapping_finish(&program->asked[i].mapping);
		}
}

/* What a gateway says is parsed here, so this process has nothing to lose. */
static bool give_up_privileges(void)
{
	char error[PRIVILEGE_ERROR_MAX];
	bool is_restricted;

	privilege_harden();
	if (privilege_drop("nobody", NULL, false, error) != OK) {
		fprintf(stderr, "ntm-portmap: %s\n", error);
		return false;
	}
	return privilege_restrict_files(NULL, 0, &is_restricted) == OK &&
	       privilege_restrict_calls(PRIVILEGE_SERVER) != ERR_IO;
}

int main(int argc, char **argv)
{
	static struct program program;
	struct sigaction action = {.sa_handler = note_signal};

	(void)argv;
	if (argc > 1 || isatty(STDIN_FILENO)) {
		fprintf(stderr, "usage: ntm-portmap\n\nntmd starts it; see ntm-portmap(8)\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (!give_up_privileges())
		return 1;
	run(&program);
	withdraw_all(&program);
	return 0;
}
