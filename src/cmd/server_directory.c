/*
 * server_directory.c: asks the resolver for the coordinators of other networks' zones. Each try has a socket, a port,
 * an id and capitals of its own, and hears nobody but the resolver (T22); what comes of it is a hint all the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/server_state.h"
#include "io/log.h"
#include "wire/dns.h"
#include "wire/zone_record.h"

enum { QUESTIONS_MAX = 8, TRIES_MAX = 3 };
#define TRY_US (1500 * USEC_PER_MSEC) /* all of them end before the coordinator stops waiting (LOOKUP_US) */

struct question {
	struct source source; /* fd -1: nothing is asked here */
	struct server *server;
	char zone[ZONE_MAX_SIZE + 1];
	unsigned tries;
	struct time_us due;
	uint8_t bytes[ZONE_QUESTION_MAX];
	size_t size;
};

struct server_directory {
	struct question questions[QUESTIONS_MAX];
};

static void hang_up(struct question *question)
{
	if (question->source.fd < 0)
		return;
	loop_remove(question->server->loop, &question->source);
	(void)close(question->source.fd);
	question->source.fd = -1;
}

static void end(struct question *question, enum zone_lookup outcome, const struct zone_record *record, uint32_t ttl_s)
{
	static const char *const texts[] = {"found", "no such record", "no answer"};
	struct server *server = question->server;
	struct log_field fields[] = {log_text("zone", question->zone), log_text(LOG_REASON, texts[outcome])};

	hang_up(question);
	question->tries = 0;
	log_event(LOG_SEVERITY_DEBUG, "zone-lookup", "other network's zone asked of DNS", fields, 2);
	coordinator_input_zone(server->coordinator, loop_now(server->loop), question->zone, outcome, record, ttl_s);
}

static void answered(struct source *source, uint32_t events)
{
	struct question *question = (struct question *)source;
	uint8_t packet[DNS_UDP_MAX];
	ssize_t size = recv(source->fd, packet, sizeof packet, MSG_DONTWAIT);
	struct zone_record record;
	uint32_t ttl_s = 0;
	enum err err;

	(void)events;
	if (size < 0)
		return; /* refused or not: the next try tells */
	err = zone_answer_decode(packet, (size_t)size, (struct blob){question->bytes, question->size}, question->zone,
				 &record, &ttl_s);
	if (err == OK)
		end(question, ZONE_FOUND, &record, ttl_s);
	else if (err == ERR_DENIED)
		end(question, ZONE_ABSENT, NULL, 0);
}

static int open_socket(const struct addr *resolver)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(resolver->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(resolver->port)};
	bool is_v4 = resolver->ip.family == 4;
	int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(&v4.sin_addr, resolver->ip.bytes, 4);
	memcpy(&v6.sin6_addr, resolver->ip.bytes, 16);
	if (connect(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, is_v4 ? sizeof v4 : sizeof v6) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* Whatever fails here is a lost question, as on any network. */
static void ask(struct question *question, struct time_us now)
{
	struct server *server = question->server;
	struct writer w = writer_over(question->bytes, sizeof question->bytes);
	uint8_t letters[ZONE_CASE_SIZE];
	uint16_t id;

	hang_up(question);
	question->tries++;
	question->due = time_add(now, TRY_US);
	random_kernel(NULL, letters, sizeof letters);
	random_kernel(NULL, &id, sizeof id);
	zone_question_encode(question->zone, id, letters, &w);
	question->source = (struct source){.fd = open_socket(&server->settings->resolver), .ready = answered};
	if (question->source.fd >= 0 && loop_add(server->loop, &question->source, EPOLLIN) != OK) {
		(void)close(question->source.fd);
		question->source.fd = -1;
	}
	if (question->source.fd < 0 || writer_finish(&w, &question->size) != OK ||
	    send(question->source.fd, question->bytes, question->size, 0) < 0)
		log_print(LOG_SEVERITY_WARNING, "zone-lookup", "--resolver cannot be asked: %s", strerror(errno));
}

/* What the coordinator wants to know, as far as there is room: the rest waits there. */
static void take(struct server *server, struct time_us now)
{
	for (int i = 0; i < QUESTIONS_MAX; i++) {
		struct question *question = &server->directory->questions[i];

		if (question->tries > 0)
			continue;
		if (!coordinator_next_lookup(server->coordinator, question->zone))
			return;
		ask(question, now);
	}
}

/* Tries that nobody answered, then new questions. */
void server_directory_run(struct server *server, struct time_us now)
{
	if (!server->directory)
		return;
	for (int i = 0; i < QUESTIONS_MAX; i++) {
		struct question *question = &server->directory->questions[i];

		if (question->tries == 0 || !time_reached(now, question->due))
			continue;
		if (question->tries == TRIES_MAX)
			end(question, ZONE_SILENT, NULL, 0);
		else
			ask(question, now);
	}
	take(server, now);
}

/* When a try has waited for long enough. */
struct time_us server_directory_deadline(const struct server *server)
{
	struct time_us at = TIME_NEVER;

	for (int i = 0; server->directory && i < QUESTIONS_MAX; i++)
		if (server->directory->questions[i].tries > 0)
			at = time_min(at, server->directory->questions[i].due);
	return at;
}

/* Only for a coordinator that was told whom to ask. */
void server_directory_open(struct server *server)
{
	if (server->settings->resolver.port == 0 || !server->coordinator)
		return;
	server->directory = calloc(1, sizeof *server->directory);
	if (!server->directory)
		abort();
	for (int i = 0; i < QUESTIONS_MAX; i++) {
		server->directory->questions[i].server = server;
		server->directory->questions[i].source.fd = -1;
	}
}

/* Before the loop goes. */
void server_directory_close(struct server *server)
{
	for (int i = 0; server->directory && i < QUESTIONS_MAX; i++)
		hang_up(&server->directory->questions[i]);
	free(server->directory);
	server->directory = NULL;
}
