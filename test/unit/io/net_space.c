#include "net_space.h"

#include <assert.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	bool good;

	if (!file)
		return false;
	good = fputs(text, file) >= 0;
	return fclose(file) == 0 && good;
}

bool net_space_enter(void)
{
	char map[40];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return false;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	if (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", map))
		return false;
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return write_file("/proc/self/gid_map", map) && net_space_run("ip link set dev lo up");
}

int net_space_current(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

int net_space_add(void)
{
	int failed = unshare(CLONE_NEWNET);

	assert(failed == 0);
	assert(net_space_run("ip link set dev lo up"));
	return net_space_current();
}

void net_space_switch(int space)
{
	int failed = setns(space, CLONE_NEWNET);

	assert(failed == 0);
}

bool net_space_run(const char *format, ...)
{
	char command[512], whole[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	snprintf(whole, sizeof(whole), "{ %s; } >&2", command);
	return system(whole) == 0;
}
