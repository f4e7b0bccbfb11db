#include "io/gateway_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ROOT "/proc/sys/net/"

static bool full_path(const char *path, char ret[SWITCH_PATH_MAX + sizeof ROOT])
{
	if (strstr(path, "..") || (strncmp(path, "ipv4/", 5) != 0 && strncmp(path, "ipv6/", 5) != 0))
		return false;
	snprintf(ret, SWITCH_PATH_MAX + sizeof ROOT, ROOT "%s", path);
	return true;
}

/* Without the line's end. */
bool switch_read(const char *path, char ret[SWITCH_VALUE_MAX])
{
	char full[SWITCH_PATH_MAX + sizeof ROOT];
	ssize_t size = -1;
	int fd = full_path(path, full) ? open(full, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		size = read(fd, ret, SWITCH_VALUE_MAX - 1);
		close(fd);
	}
	if (size < 0)
		return false;
	ret[size] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static bool turn(const char *path, const char *value)
{
	char full[SWITCH_PATH_MAX + sizeof ROOT];
	int fd = full_path(path, full) ? open(full, O_WRONLY | O_CLOEXEC) : -1;
	ssize_t size;

	if (fd < 0)
		return false;
	size = *value ? write(fd, value, strlen(value)) : write(fd, "\n", 1);
	close(fd);
	return size > 0;
}

/* A name of an interface may be long: what does not fit is not turned. */
bool switch_want(struct net_switches *switches, const char *path, const char *wanted)
{
	struct net_switch *one = &switches->list[switches->count];

	if (switches->count == SWITCHES_MAX || strlen(path) >= sizeof one->path ||
	    strlen(wanted) >= sizeof one->wanted || !switch_read(path, one->before))
		return false;
	if (strcmp(one->before, wanted) == 0)
		return true;
	snprintf(one->path, sizeof one->path, "%s", path);
	snprintf(one->wanted, sizeof one->wanted, "%s", wanted);
	switches->count++;
	return true;
}

static enum err write_memo(const struct net_switches *switches, const char *memo)
{
	int fd = open(memo, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd >= 0;

	for (size_t i = 0; ok && i < switches->count; i++)
		ok = dprintf(fd, "%s %s\n", switches->list[i].path, switches->list[i].before) > 0;
	ok = ok && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok ? OK : ERR_IO;
}

/* In the order in which they were wanted. */
enum err switches_turn(const struct net_switches *switches, const char *memo)
{
	if (switches->count == 0)
		return OK;
	if (write_memo(switches, memo) != OK)
		return ERR_IO;
	for (size_t i = 0; i < switches->count; i++)
		if (!turn(switches->list[i].path, switches->list[i].wanted))
			return ERR_IO;
	return OK;
}

/* The last one turned comes first. */
void switches_restore(const char *memo)
{
	char lines[SWITCHES_MAX][SWITCH_PATH_MAX + SWITCH_VALUE_MAX + 2];
	FILE *file = fopen(memo, "re");
	size_t count = 0;

	if (!file)
		return;
	while (count < SWITCHES_MAX && fgets(lines[count], sizeof lines[count], file))
		count++;
	fclose(file);
	while (count > 0) {
		char *line = lines[--count], *value = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (!value)
			continue;
		*value++ = '\0';
		(void)turn(line, value); /* its interface may be gone */
	}
	unlink(memo);
}
