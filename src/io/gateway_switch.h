/* gateway_switch.h: switches under /proc/sys/net, turned for a while. For gateway.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { SWITCHES_MAX = 64, SWITCH_PATH_MAX = 96, SWITCH_VALUE_MAX = 512 };

struct net_switch {
	char path[SWITCH_PATH_MAX]; /* below /proc/sys/net */
	char before[SWITCH_VALUE_MAX], wanted[SWITCH_VALUE_MAX];
};

struct net_switches {
	size_t count;
	struct net_switch list[SWITCHES_MAX];
};

/* False: there is no such switch. */
bool switch_read(const char *path, char ret[SWITCH_VALUE_MAX]);
/* Adds one to be turned; nothing when it stands so already. False when it does not exist or there are too many. */
bool switch_want(struct net_switches *switches, const char *path, const char *wanted);
/* Notes what is there in the file, then turns them. ERR_IO with errno. */
must_use enum err switches_turn(const struct net_switches *switches, const char *memo);
/* Puts back what the file says, and removes it. Harmless when there is none. */
void switches_restore(const char *memo);
