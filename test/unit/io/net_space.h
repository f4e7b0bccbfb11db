/* net_space.h: a user and network namespace of the test's own, so that what it sets up touches nothing and needs no
 * root. */
#pragma once

#include <stdbool.h>

/* False when this kernel or container does not allow it; the test is then skipped (exit code 77). */
bool net_space_enter(void);
/* A further, empty network namespace becomes the current one; returns a descriptor to come back to it. */
int net_space_add(void);
/* Makes this namespace the current one. */
void net_space_switch(int space);
/* A descriptor of the current one. */
int net_space_current(void);
/* Runs a shell command, printf-formatted; true when it exits with 0. Its output goes to stderr. */
bool net_space_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
