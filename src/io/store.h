/*
 * store.h: durable records in one SQLite file. Blocking: a write returns when the disk has it. One store belongs to
 * one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/record.h"

enum { STORE_ERROR_MAX = 256, STORE_SCHEMA = 1 };

struct store;

/*
 * Opens or makes the file, mode 0600, WAL with synchronous=FULL, and checks its integrity. ERR_UNSUPPORTED: written
 * by a newer version. ERR_MALFORMED: damaged or not ours. ERR_EXISTS: another process has it open. ERR_IO. error
 * holds one line.
 */
must_use enum err store_open(const char *path, struct store **ret, char error[STORE_ERROR_MAX]);
void store_close(struct store *store); /* accepts NULL */
/*
 * Calls `each` for every record of the table, in order of keys. each must not write; anything but OK ends the walk
 * and is returned.
 */
must_use enum err store_each(struct store *store, enum record_table table, void *ctx,
			     enum err (*each)(void *ctx, const struct record *record));
/* All or none, in one transaction; durable when it returns OK. ERR_IO: nothing was kept, store_error tells why. */
must_use enum err store_write(struct store *store, const struct record *records, size_t count);
/* Why the last call failed; never NULL. */
const char *store_error(const struct store *store);
