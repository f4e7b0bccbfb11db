#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"

static void fill_bytes(void *ctx, void *bytes, size_t size)
{
	uint64_t *seed = ctx;

	for (size_t i = 0; i < size; i++) {
		*seed = *seed * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)bytes)[i] = (uint8_t)(*seed >> 56);
	}
}

/* One seed for all. */
void begin(struct fixture *f)
{
	*f = (struct fixture){.now = {1000000}, .seed = 1};
	(void)!ip_parse(OWN4, &f->config.v4);
	(void)!ip_parse(OWN6, &f->config.v6);
	f->first =
		(struct certificate){.id.bytes = {1}, .fqdn = "a.ntm.internal", .group_count = 1, .groups = {"staff"}};
	f->second = (struct certificate){.id.bytes = {2}, .fqdn = "b.ntm.internal"};
}

/* With what the test has set. */
void create(struct fixture *f)
{
	f->machine = exit_create(&f->config, &(struct random_source){&f->seed, fill_bytes}, f->now);
}

/* A copy. */
struct exit_counters count(const struct fixture *f)
{
	struct exit_counters counters;

	exit_get_counters(f->machine, &counters);
	return counters;
}

/* Verdict only: the packet is rewritten in place. */
enum exit_verdict out_by(struct fixture *f, const struct certificate *certificate, struct made *made)
{
	return exit_input_inner(f->machine, f->now, &(struct exit_guest){certificate, 1400}, &made->packet, &f->answer);
}

/* By the first node. */
enum exit_verdict out(struct fixture *f, struct made *made)
{
	return out_by(f, &f->first, made);
}

/* As the gateway hands it in. */
enum exit_verdict in(struct fixture *f, struct made *made)
{
	return exit_input_outer(f->machine, f->now, &made->packet);
}

/* As text, so that a failure can be read. */
void check_end(struct addr end, const char *text)
{
	char seen[ADDR_TEXT_MAX], wanted[ADDR_TEXT_MAX];
	struct addr expected = at(text);

	assert_string_equal(addr_format(&end, seen), addr_format(&expected, wanted));
}

/* What strangers see. */
const char *own(uint16_t port, bool is_v4, char text[ADDR_TEXT_MAX])
{
	struct addr addr = at(is_v4 ? OWN4 ":0" : "[" OWN6 "]:0");

	addr.port = port;
	return addr_format(&addr, text);
}

/* It has to pass. */
uint16_t port_of(struct fixture *f, const struct certificate *certificate, const char *from, const char *to)
{
	struct made made;

	make_udp(&made, from, to, 20);
	assert_int_equal(out_by(f, certificate, &made), EXIT_PASSED);
	return source_of(&made.packet).port;
}
