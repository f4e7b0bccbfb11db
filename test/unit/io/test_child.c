/* A child at the other end of a socket: what goes in comes out, and the end of either is seen by the other. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/child.h"

enum { PATIENCE_MS = 5000 };

/* Reads once something is there; 0 at the end. */
static ssize_t wait_read(const struct child *child, char *ret, size_t size)
{
	struct pollfd end = {.fd = child->fd, .events = POLLIN};

	assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
	return read(child->fd, ret, size);
}

static void what_is_told_comes_back(void **state)
{
	char *argv[] = {"cat", NULL}, bytes[16];
	struct child child;
	pid_t pid;

	(void)state;
	assert_int_equal(child_start("cat", argv, &child), OK);
	pid = child.pid;
	assert_int_equal(child_tell(&child, "hello", 5), OK);
	assert_int_equal(wait_read(&child, bytes, sizeof bytes), 5);
	assert_memory_equal(bytes, "hello", 5);
	child_leave(&child);
	assert_int_equal(child.pid, 0);
	(void)waitpid(pid, NULL, 0); /* its input has ended, and so does it: this returns */
	child_leave(&child);
}

static void a_program_that_is_not_there_has_ended(void **state)
{
	char *argv[] = {"no-such-program", NULL}, byte;
	struct child child;

	(void)state;
	assert_int_equal(child_start("/no/such/program", argv, &child), OK);
	assert_int_equal(wait_read(&child, &byte, 1), 0);
	assert_int_equal(child_tell(&child, "hello", 5), ERR_IO); /* and no SIGPIPE */
	child_leave(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_comes_back),
		cmocka_unit_test(a_program_that_is_not_there_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
