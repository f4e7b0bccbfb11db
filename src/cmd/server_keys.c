#include "cmd/server_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hash.h"

enum { SEED_FILE_SIZE = 2 * KEY_BYTES }; /* Ed25519 seed, X25519 seed */

/* Cut when it is too long: a path may be longer than any line. */
enum err server_fail(char error[SERVER_ERROR_MAX], enum err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(error, SERVER_ERROR_MAX, format, args);
	va_end(args);
	return err;
}

static enum err fail_errno(char error[SERVER_ERROR_MAX], const char *what, const char *path)
{
	return server_fail(error, ERR_IO, "%s %s: %s", what, path, strerror(errno));
}

static enum err join_path(const char *dir, const char *name, const char *suffix, char ret[PATH_MAX],
			  char error[SERVER_ERROR_MAX])
{
	if (snprintf(ret, PATH_MAX, "%s/%s%s", dir, name, suffix) < PATH_MAX)
		return OK;
	return server_fail(error, ERR_USAGE, "--state: the path is too long");
}

/* Like mkdir -p, but what it makes is for us alone. */
enum err server_state_open(const char *dir, char error[SERVER_ERROR_MAX])
{
	char path[PATH_MAX];
	struct stat status;
	size_t size = strlen(dir);

	if (size == 0 || size >= sizeof(path))
		return server_fail(error, ERR_USAGE, "--state: the path is empty or too long");
	memcpy(path, dir, size + 1);
	for (size_t i = 1; i <= size; i++) {
		char end = path[i];

		if (end != '/' && end != '\0')
			continue;
		path[i] = '\0';
		if (mkdir(path, i == size ? 0700 : 0755) != 0 && errno != EEXIST)
			return fail_errno(error, "cannot make the state directory", path);
		path[i] = end;
	}
	if (stat(dir, &status) != 0)
		return fail_errno(error, "cannot use the state directory", dir);
	if (!S_ISDIR(status.st_mode) || access(dir, R_OK | W_OK | X_OK) != 0) {
		return server_fail(error, ERR_IO,
				   "%s: not a directory that this user may write; choose another with --state", dir);
	}
	return OK;
}

static enum err read_all(int fd, const char *path, void *bytes, size_t capacity, size_t *ret_size,
			 char error[SERVER_ERROR_MAX])
{
	size_t size = 0;
	uint8_t more;

	while (size < capacity) {
		ssize_t n = read(fd, (uint8_t *)bytes + size, capacity - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(error, "cannot read", path);
		if (n == 0)
			break;
		size += (size_t)n;
	}
	if (size == capacity && read(fd, &more, 1) == 1)
		return server_fail(error, ERR_SIZE, "%s: longer than it can be", path);
	*ret_size = size;
	return OK;
}

/* The whole file. */
enum err server_file_read(const char *dir, const char *name, void *bytes, size_t capacity, size_t *ret_size,
			  char error[SERVER_ERROR_MAX])
{
	char path[PATH_MAX];
	enum err err = join_path(dir, name, "", path, error);
	int fd;

	if (err != OK)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return server_fail(error, ERR_UNKNOWN, "%s: there is no such file", path);
	if (fd < 0)
		return fail_errno(error, "cannot open", path);
	err = read_all(fd, path, bytes, capacity, ret_size, error);
	(void)close(fd);
	return err;
}

static bool write_synced(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		size -= (size_t)n;
	}
	return fsync(fd) == 0;
}

static bool sync_directory(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_synced = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		(void)close(fd);
	return is_synced;
}

/* Beside, then over. */
enum err server_file_write(const char *dir, const char *name, const void *bytes, size_t size,
			   char error[SERVER_ERROR_MAX])
{
	char path[PATH_MAX], beside[PATH_MAX];
	enum err err = join_path(dir, name, "", path, error);
	bool is_written;
	int fd;

	if (err == OK)
		err = join_path(dir, name, ".new", beside, error);
	if (err != OK)
		return err;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_errno(error, "cannot write", beside);
	is_written = write_synced(fd, bytes, size);
	if (close(fd) != 0 || !is_written || rename(beside, path) != 0 || !sync_directory(dir)) {
		err = fail_errno(error, "cannot write", path);
		(void)unlink(beside);
		return err;
	}
	return OK;
}

static enum err check_private(const char *dir, const char *name, char error[SERVER_ERROR_MAX])
{
	char path[PATH_MAX];
	struct stat status;
	enum err err = join_path(dir, name, "", path, error);

	if (err != OK)
		return err;
	if (stat(path, &status) != 0)
		return fail_errno(error, "cannot look at", path);
	if (status.st_mode & 077) {
		return server_fail(error, ERR_DENIED, "%s: others may read this key; chmod 600 %s", path, path);
	}
	return OK;
}

static enum err make_seeds(const char *dir, const char *name, uint8_t seeds[SEED_FILE_SIZE],
			   char error[SERVER_ERROR_MAX])
{
	if (getrandom(seeds, SEED_FILE_SIZE, 0) != SEED_FILE_SIZE)
		return fail_errno(error, "no randomness for", name);
	return server_file_write(dir, name, seeds, SEED_FILE_SIZE, error);
}

/* A key is made once and never replaced: a damaged file is an error, not a reason to become somebody else. */
enum err server_keys_open(const char *dir, const char *name, struct server_keys *ret, bool *ret_is_new,
			  char error[SERVER_ERROR_MAX])
{
	uint8_t seeds[SEED_FILE_SIZE];
	size_t size = 0;
	bool is_new = false;
	enum err err = server_file_read(dir, name, seeds, sizeof(seeds), &size, error);

	if (err == ERR_UNKNOWN) {
		is_new = true;
		size = sizeof(seeds);
		err = make_seeds(dir, name, seeds, error);
	}
	if (err == OK && size != sizeof(seeds)) {
		err = server_fail(error, ERR_MALFORMED, "%s/%s: not a key of %d bytes; restore it from a backup", dir,
				  name, SEED_FILE_SIZE);
	}
	if (err == OK)
		err = check_private(dir, name, error);
	if (err == OK) {
		sign_keys_from_seed(seeds, &ret->sign);
		dh_keys_from_seed(seeds + KEY_BYTES, &ret->dh);
		if (ret_is_new)
			*ret_is_new = is_new;
	}
	wipe(seeds, sizeof(seeds));
	return err;
}
