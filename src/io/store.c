#include "io/store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { STORE_APPLICATION = 0x4e544d73 }; /* "NTMs" in the file's header */

struct store {
	sqlite3 *database;
	sqlite3_stmt *each, *put, *erase;
	char error[STORE_ERROR_MAX];
};

static enum err store_err_from(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return ERR_MALFORMED;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return ERR_EXISTS;
	default: return ERR_IO;
	}
}

/* Notes why and returns the error for it. */
static enum err store_fail(struct store *store, const char *doing)
{
	int code = sqlite3_extended_errcode(store->database);

	snprintf(store->error, sizeof(store->error), "%s: %s", doing, sqlite3_errmsg(store->database));
	return store_err_from(code);
}

static enum err store_run(struct store *store, const char *sql)
{
	return sqlite3_exec(store->database, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : store_fail(store, sql);
}

/* The first column of the first row. */
static enum err store_ask(struct store *store, const char *sql, int64_t *ret, bool *ret_is_ok)
{
	sqlite3_stmt *statement;
	enum err err = OK;

	if (sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK)
		return store_fail(store, sql);
	if (sqlite3_step(statement) == SQLITE_ROW) {
		const unsigned char *text = sqlite3_column_text(statement, 0);

		*ret_is_ok = text && strcmp((const char *)text, "ok") == 0;
		*ret = sqlite3_column_int64(statement, 0);
	} else {
		err = store_fail(store, sql);
	}
	sqlite3_finalize(statement);
	return err;
}

static enum err store_check_schema(struct store *store)
{
	int64_t application = 0, version = 0, tables = 0;
	bool is_ok = false;
	enum err err = store_ask(store, "PRAGMA quick_check(1)", &version, &is_ok);

	if (err != OK)
		return err;
	if (!is_ok) {
		snprintf(store->error, sizeof(store->error), "is damaged: restore a backup or remove the file");
		return ERR_MALFORMED;
	}
	err = store_ask(store, "PRAGMA application_id", &application, &is_ok);
	if (err == OK)
		err = store_ask(store, "PRAGMA user_version", &version, &is_ok);
	if (err == OK)
		err = store_ask(store, "SELECT count(*) FROM sqlite_master", &tables, &is_ok);
	if (err != OK)
		return err;
	if (application != STORE_APPLICATION && (application != 0 || tables != 0)) {
		snprintf(store->error, sizeof(store->error), "belongs to another program");
		return ERR_MALFORMED;
	}
	if (version > STORE_SCHEMA) {
		snprintf(store->error, sizeof(store->error),
			 "was written by a newer version (schema %lld, this one knows %d): "
			 "upgrade",
			 (long long)version, STORE_SCHEMA);
		return ERR_UNSUPPORTED;
	}
	return OK;
}

static enum err store_make_schema(struct store *store)
{
	char sql[400];

	snprintf(sql, sizeof(sql),
		 "BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; "
		 "CREATE TABLE IF NOT EXISTS record (kind INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, "
		 "PRIMARY KEY (kind, key)) WITHOUT ROWID; COMMIT",
		 STORE_APPLICATION, STORE_SCHEMA);
	return store_run(store, sql);
}

static enum err store_prepare(struct store *store, sqlite3_stmt **ret, const char *sql)
{
	int code = sqlite3_prepare_v3(store->database, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

	return code == SQLITE_OK ? OK : store_fail(store, "prepare");
}

static enum err store_start(struct store *store, const char *path)
{
	enum err err;

	if (sqlite3_open_v2(path, &store->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK)
		return store_fail(store, "cannot open");
	sqlite3_extended_result_codes(store->database, 1);
	err = store_run(store, "PRAGMA locking_mode = EXCLUSIVE");
	if (err == OK)
		err = store_run(store, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON");
	if (err == OK)
		err = store_run(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
	if (err == OK)
		err = store_run(store, "BEGIN EXCLUSIVE; COMMIT"); /* takes the lock now, not at the first write */
	if (err == OK)
		err = store_check_schema(store);
	if (err == OK)
		err = store_make_schema(store);
	if (err == OK)
		err = store_prepare(store, &store->each, "SELECT key, value FROM record WHERE kind = ? ORDER BY key");
	if (err == OK)
		err = store_prepare(store, &store->put,
				    "INSERT OR REPLACE INTO record (kind, key, value) VALUES (?, ?, ?)");
	if (err == OK)
		err = store_prepare(store, &store->erase, "DELETE FROM record WHERE kind = ? AND key = ?");
	return err;
}

/* Makes an empty file that survives a power cut: SQLite would leave its directory entry to chance. */
static enum err store_make_file(const char *path)
{
	char directory[PATH_MAX];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), parent;

	if (fd < 0 || snprintf(directory, sizeof(directory), "%s", path) >= (int)sizeof(directory))
		goto fail;
	if (fchmod(fd, 0600) != 0)
		goto fail;
	parent = open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		goto fail;
	if (fsync(parent) != 0) {
		close(parent);
		goto fail;
	}
	close(parent);
	close(fd);
	return OK;
fail:
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}

/* Refuses at once what would go wrong later: damage, a newer schema, a second process. */
enum err store_open(const char *path, struct store **ret, char error[STORE_ERROR_MAX])
{
	struct store *store;
	enum err err;

	if (store_make_file(path) != OK) {
		snprintf(error, STORE_ERROR_MAX, "cannot make or open %s: %s", path, strerror(errno));
		return ERR_IO;
	}
	store = mem_alloc(1, sizeof(*store));
	err = store_start(store, path);
	if (err == OK) {
		*ret = store;
		return OK;
	}
	if (err == ERR_EXISTS)
		snprintf(error, STORE_ERROR_MAX, "%.160s is in use by another process", path);
	else
		snprintf(error, STORE_ERROR_MAX, "%.120s: %.120s", path, store->error);
	store_close(store);
	return err;
}

/* Harmless after a failed opening. */
void store_close(struct store *store)
{
	if (!store)
		return;
	sqlite3_finalize(store->each);
	sqlite3_finalize(store->put);
	sqlite3_finalize(store->erase);
	sqlite3_close(store->database);
	mem_free(store);
}

/* ERR_MALFORMED for a row that we cannot have written. */
static enum err store_take(struct store *store, enum record_table table, struct record *ret)
{
	int key_size = sqlite3_column_bytes(store->each, 0), value_size = sqlite3_column_bytes(store->each, 1);

	if (key_size > RECORD_KEY_MAX || value_size > RECORD_VALUE_MAX) {
		snprintf(store->error, sizeof(store->error), "a record of kind %d is too large (%d, %d)", table,
			 key_size, value_size);
		return ERR_MALFORMED;
	}
	*ret = (struct record){.table = table, .key_size = (uint16_t)key_size, .value_size = (uint16_t)value_size};
	if (key_size > 0)
		memcpy(ret->key, sqlite3_column_blob(store->each, 0), (size_t)key_size);
	if (value_size > 0)
		memcpy(ret->value, sqlite3_column_blob(store->each, 1), (size_t)value_size);
	return OK;
}

/* By key, so that two runs see the same order. */
enum err store_each(struct store *store, enum record_table table, void *ctx,
		    enum err (*each)(void *ctx, const struct record *record))
{
	struct record record;
	enum err err = OK;
	int code;

	sqlite3_bind_int(store->each, 1, (int)table);
	while (err == OK && (code = sqlite3_step(store->each)) != SQLITE_DONE) {
		err = code == SQLITE_ROW ? store_take(store, table, &record) : store_fail(store, "read");
		if (err == OK)
			err = each(ctx, &record);
	}
	sqlite3_reset(store->each);
	return err;
}

static enum err store_write_one(struct store *store, const struct record *record)
{
	sqlite3_stmt *statement = record->erase ? store->erase : store->put;
	int code;

	sqlite3_bind_int(statement, 1, (int)record->table);
	sqlite3_bind_blob(statement, 2, record->key, record->key_size, SQLITE_STATIC);
	if (!record->erase)
		sqlite3_bind_blob(statement, 3, record->value, record->value_size, SQLITE_STATIC);
	code = sqlite3_step(statement);
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return code == SQLITE_DONE ? OK : store_fail(store, "write");
}

/* COMMIT returns after fsync (synchronous=FULL), so OK means durable. */
enum err store_write(struct store *store, const struct record *records, size_t count)
{
	enum err err;

	if (count == 0)
		return OK;
	err = store_run(store, "BEGIN IMMEDIATE");
	if (err != OK)
		return err;
	for (size_t i = 0; i < count && err == OK; i++)
		err = store_write_one(store, &records[i]);
	if (err == OK)
		err = store_run(store, "COMMIT");
	if (err != OK)
		sqlite3_exec(store->database, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* Text of SQLite, for the log. */
const char *store_error(const struct store *store)
{
	return store->error;
}
