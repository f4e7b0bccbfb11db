#include "io/stream_path.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STREAM_GROUP_BYTES = 16384, STREAM_BACKLOG = 16 };

static enum err stream_refuse(enum err err, char error[STREAM_ERROR_MAX], const char *path, const char *what)
{
	snprintf(error, STREAM_ERROR_MAX, "control socket %.110s: %s", path, what);
	return err;
}

/* (gid_t)-1 when there is no such group. */
static gid_t stream_find_group(const char *name)
{
	char bytes[STREAM_GROUP_BYTES];
	struct group entry, *found = NULL;

	if (!name || getgrnam_r(name, &entry, bytes, sizeof(bytes), &found) != 0 || !found)
		return (gid_t)-1;
	return entry.gr_gid;
}

/* Makes missing parents; the last one only for the group, if there is one. */
static bool stream_make_directories(const char *path, gid_t group)
{
	char copy[PATH_MAX];
	char *directory;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
		errno = ENAMETOOLONG;
		return false;
	}
	directory = dirname(copy);
	for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(directory, 0755) != 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	if (mkdir(directory, group == (gid_t)-1 ? 0755 : 0750) != 0)
		return errno == EEXIST;
	return group == (gid_t)-1 || chown(directory, (uid_t)-1, group) == 0 || errno == EPERM;
}

/*
 * Two daemons that start at once must not each take the other's file for stale, so the file is only touched under a
 * lock.
 */
static enum err stream_lock(const char *path, int *ret, char error[STREAM_ERROR_MAX])
{
	char name[PATH_MAX];
	int fd;

	if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
		return stream_refuse(ERR_USAGE, error, path, "path is too long");
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return stream_refuse(ERR_IO, error, path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return stream_refuse(ERR_EXISTS, error, path, "another daemon is running there");
	}
	*ret = fd;
	return OK;
}

/* Removes a socket that nobody serves. */
static enum err stream_clear(const char *path, const struct sockaddr_un *name, char error[STREAM_ERROR_MAX])
{
	struct stat status;
	int fd, connected;

	if (lstat(path, &status) != 0)
		return errno == ENOENT ? OK : stream_refuse(ERR_IO, error, path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return stream_refuse(ERR_USAGE, error, path,
				     "is a file that is no socket: choose another with --socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return stream_refuse(ERR_IO, error, path, strerror(errno));
	connected = connect(fd, (const struct sockaddr *)name, sizeof(*name));
	if (connected == 0 || errno == EAGAIN) {
		close(fd);
		return stream_refuse(ERR_EXISTS, error, path, "another daemon answers there");
	}
	close(fd);
	return unlink(path) == 0 ? OK : stream_refuse(ERR_IO, error, path, strerror(errno));
}

static enum err stream_bind(const char *path, const struct sockaddr_un *name, gid_t group, int *ret,
			    char error[STREAM_ERROR_MAX])
{
	mode_t mask;
	int bound, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return stream_refuse(ERR_IO, error, path, strerror(errno));
	mask = umask(0177); /* so that nobody gets in before the mode is right */
	bound = bind(fd, (const struct sockaddr *)name, sizeof(*name));
	umask(mask);
	if (bound != 0)
		goto fail;
	if (group != (gid_t)-1 && chown(path, (uid_t)-1, group) == 0 && chmod(path, 0660) != 0)
		goto fail;
	if (listen(fd, STREAM_BACKLOG) != 0)
		goto fail;
	*ret = fd;
	return OK;
fail:
	(void)stream_refuse(ERR_IO, error, path, strerror(errno));
	close(fd);
	return ERR_IO;
}

/* In this order: directory, lock, stale file, socket; each leaves things as they were when it fails. */
enum err stream_path_listen(const char *path, const char *group, int *ret_fd, int *ret_lock_fd,
			    char error[STREAM_ERROR_MAX])
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	gid_t gid = stream_find_group(group);
	enum err err;
	int lock;

	if (strlen(path) >= sizeof(name.sun_path))
		return stream_refuse(ERR_USAGE, error, path, "path is longer than 107 characters");
	memcpy(name.sun_path, path, strlen(path));
	if (!stream_make_directories(path, gid))
		return stream_refuse(ERR_IO, error, path, strerror(errno));
	err = stream_lock(path, &lock, error);
	if (err != OK)
		return err;
	err = stream_clear(path, &name, error);
	if (err == OK)
		err = stream_bind(path, &name, gid, ret_fd, error);
	if (err != OK) {
		close(lock);
		return err;
	}
	*ret_lock_fd = lock;
	return OK;
}
