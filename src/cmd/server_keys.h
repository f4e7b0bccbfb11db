/* server_keys.h: the state directory of a server: secret seeds and small files in it, written so that a crash leaves
 * the old or the new. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/keys.h"

enum { SERVER_ERROR_MAX = 512 };

/* What a coordinator or relay is: one seed each. An account server uses sign only. */
struct server_keys {
	struct sign_keys sign;
	struct dh_keys dh;
};

/* One line for a person; returns err. */
enum err server_fail(char error[SERVER_ERROR_MAX], enum err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Makes the directory (0700) and those above it, when absent. error gets one line. */
must_use enum err server_state_open(const char *dir, char error[SERVER_ERROR_MAX]);
/* Reads dir/name (0600), or makes it from fresh randomness. *ret_is_new may be NULL. A key that others can read is
 * refused. */
must_use enum err server_keys_open(const char *dir, const char *name, struct server_keys *ret, bool *ret_is_new,
				   char error[SERVER_ERROR_MAX]);
/* ERR_UNKNOWN: there is none. ERR_SIZE: more than capacity. */
must_use enum err server_file_read(const char *dir, const char *name, void *bytes, size_t capacity, size_t *ret_size,
				   char error[SERVER_ERROR_MAX]);
/* 0600, fsynced, renamed into place. */
must_use enum err server_file_write(const char *dir, const char *name, const void *bytes, size_t size,
				    char error[SERVER_ERROR_MAX]);
