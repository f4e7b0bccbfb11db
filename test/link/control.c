#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "command.h"

enum { ANSWER_MAX = 4096, PERCENT_MOST = 99, PERCENT_HALF = 50, LATE_USEC = 500 };

static const char *const fate_names[PLAN_FATES] = {
	[PLAN_PASSES] = "passed",	  [PLAN_CUT] = "cut",
	[PLAN_TOO_BIG] = "too_big",	  [PLAN_LOST] = "lost",
	[PLAN_BURST_LOST] = "burst_lost", [PLAN_QUEUE_FULL] = "queue_full",
};

/* Datagrams: a command is whole, and its sender has an address for the answer. */
enum err control_open(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, saved;

	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return ERR_IO;
	}
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_IO;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return ERR_IO;
	}
	*ret_fd = fd;
	return OK;
}

/* Text that grows as long as there is room; what does not fit is left out. */
struct answer {
	size_t size;
	char text[ANSWER_MAX];
};

__attribute__((format(printf, 2, 3))) static void say(struct answer *answer, const char *format, ...)
{
	va_list arguments;
	int made;

	va_start(arguments, format);
	made = vsnprintf(answer->text + answer->size, sizeof answer->text - answer->size, format, arguments);
	va_end(arguments);
	if (made > 0 && (size_t)made < sizeof answer->text - answer->size)
		answer->size += (size_t)made;
}

static void say_lateness(struct answer *answer, const struct histogram *lateness)
{
	say(answer,
	    "\"late_us\":{\"frames\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"max\":%" PRIu64
	    ",\"late\":%" PRIu64 "}",
	    lateness->frames, histogram_percentile(lateness, PERCENT_HALF),
	    histogram_percentile(lateness, PERCENT_MOST), lateness->max_usec, histogram_above(lateness, LATE_USEC));
}

static void say_way(struct answer *answer, const char *name, struct way *way)
{
	const struct way_counts *c = &way->counts;

	say(answer, "\"%s\":{\"received\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"neighbours\":%" PRIu64, name, c->received,
	    c->sent, c->neighbours);
	for (unsigned fate = 0; fate < PLAN_FATES; fate++)
		say(answer, ",\"%s\":%" PRIu64, fate_names[fate], c->fates[fate]);
	say(answer, ",\"answered\":%" PRIu64 ",\"doubled\":%" PRIu64 ",\"oversized\":%" PRIu64, c->answered, c->doubled,
	    c->oversized);
	say(answer, ",\"no_slot\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"overrun\":%" PRIu64 ",", c->no_slot, c->refused,
	    port_overrun(way->in));
	say_lateness(answer, &way->lateness);
	say(answer, "}");
}

static uint64_t broken(struct way *way)
{
	return way->counts.oversized + way->counts.no_slot + way->counts.refused + port_overrun(way->in);
}

/* Of all wires together: the lateness, and frames that were lost by none of the plans. */
static void say_all(struct answer *answer, struct emulator *emulator)
{
	struct histogram all = {0};
	uint64_t frames_broken = 0;

	for (unsigned i = 0; i < emulator->wire_count * WAYS; i++) {
		struct way *way = &emulator->wires[i / WAYS]->ways[i % WAYS];

		histogram_merge(&all, &way->lateness);
		frames_broken += broken(way);
	}
	say(answer, "{\"schema\":\"ntm.link/1\",\"wires\":%u,\"broken\":%" PRIu64 ",", emulator->wire_count,
	    frames_broken);
	say_lateness(answer, &all);
	say(answer, "}");
}

static void do_stats(const struct command *command, struct emulator *emulator, struct answer *answer)
{
	struct wire *wire = command->wire ? emulator_wire(emulator, command->wire) : NULL;

	if (command->wire && !wire) {
		say(answer, "error: no wire is called %s", command->wire);
		return;
	}
	if (!wire) {
		say_all(answer, emulator);
		return;
	}
	say(answer, "{\"schema\":\"ntm.link/1\",\"wire\":\"%s\",", wire->name);
	say_way(answer, "forward", &wire->ways[WAY_FORWARD]);
	say(answer, ",");
	say_way(answer, "reverse", &wire->ways[WAY_REVERSE]);
	say(answer, "}");
}

static void do_wire(const struct command *command, struct emulator *emulator, struct answer *answer)
{
	enum err err = emulator_add(emulator, command->wire, command->interfaces[0], command->interfaces[1]);

	if (err == ERR_IO)
		say(answer, "error: %s or %s: %s", command->interfaces[0], command->interfaces[1], strerror(errno));
	else
		say(answer, err == OK ? "ok" : "error: %s: %s", command->wire, err_text(err));
}

static enum err set_way(const struct command *command, struct emulator *emulator, struct way *way)
{
	struct way_class *class = &way->classes[0];
	struct plan_settings settings;
	enum err err = OK;

	if (command->has_class)
		err = emulator_class(emulator, way, &command->from, &command->to, &class);
	if (err != OK)
		return err;
	settings = class->plan.settings;
	command_apply(command, &settings);
	plan_set(&class->plan, &settings);
	return OK;
}

static void do_set(const struct command *command, struct emulator *emulator, struct answer *answer)
{
	struct wire *wire = emulator_wire(emulator, command->wire);
	enum err err = wire ? OK : ERR_UNKNOWN;

	for (unsigned w = 0; wire && err == OK && w < WAYS; w++)
		if (command->ways[w])
			err = set_way(command, emulator, &wire->ways[w]);
	if (err == OK)
		say(answer, "ok");
	else
		say(answer, "error: %s: %s", command->wire, err_text(err));
}

static void execute(char *line, struct emulator *emulator, struct answer *answer)
{
	const char *wrong = NULL;
	struct command command;

	if (command_parse(line, &command, &wrong) != OK) {
		say(answer, "error: at '%s': see command.h", wrong);
		return;
	}
	switch (command.verb) {
	case COMMAND_WIRE: do_wire(&command, emulator, answer); return;
	case COMMAND_SET: do_set(&command, emulator, answer); return;
	case COMMAND_STATS: do_stats(&command, emulator, answer); return;
	case COMMAND_RESET: emulator_reset(emulator); break;
	case COMMAND_SEED: emulator_seed(emulator, command.seed); break;
	}
	say(answer, "ok");
}

/* An answer that its asker does not take is lost. */
void control_serve(int fd, struct emulator *emulator)
{
	char line[COMMAND_MAX];
	struct answer answer = {0};
	struct sockaddr_un asker;
	socklen_t asker_size = sizeof asker;
	ssize_t size = recvfrom(fd, line, sizeof line - 1, MSG_DONTWAIT, (struct sockaddr *)&asker, &asker_size);

	if (size < 0)
		return;
	line[size] = '\0';
	execute(line, emulator, &answer);
	(void)sendto(fd, answer.text, answer.size, MSG_DONTWAIT, (struct sockaddr *)&asker, asker_size);
}
