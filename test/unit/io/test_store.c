/* test_store.c: what was acknowledged is there after kill -9; what is damaged or not ours is refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/store.h"

static char directory[] = "/tmp/ntm-store-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/ntm-store-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/db", directory);
	return 0;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"db", "db-wal", "db-shm", "db-journal"};
	char name[96];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s/%s", directory, names[i]);
		unlink(name);
	}
	return rmdir(directory);
}

static struct store *open_store(void)
{
	char error[STORE_ERROR_MAX];
	struct store *store;

	assert_int_equal(store_open(path, &store, error), OK);
	return store;
}

static struct record make_record(enum record_table table, uint8_t key, const char *value)
{
	struct record record = {.table = table, .key_size = 2, .value_size = (uint16_t)strlen(value)};

	record.key[1] = key;
	memcpy(record.value, value, record.value_size);
	return record;
}

/* All values of a table, in order, joined by commas. */
static enum err join_value(void *ctx, const struct record *record)
{
	char *text = ctx;

	snprintf(text + strlen(text), 200 - strlen(text), "%d:%.*s,", record->key[1], record->value_size,
		 (const char *)record->value);
	return OK;
}

static void expect_table(struct store *store, enum record_table table, const char *expected)
{
	char text[200] = "";

	assert_int_equal(store_each(store, table, text, join_value), OK);
	assert_string_equal(text, expected);
}

static void test_keeps(void **state)
{
	struct store *store = open_store();
	struct record records[4] = {make_record(RECORD_LEASE, 2, "two"), make_record(RECORD_LEASE, 1, "one"),
				    make_record(RECORD_META, 1, ""), make_record(RECORD_LEASE, 2, "TWO")};
	struct record erase = {.table = RECORD_LEASE, .erase = true, .key_size = 2, .key = {0, 1}};
	struct stat status;

	(void)state;
	assert_int_equal(store_write(store, records, 4), OK);
	expect_table(store, RECORD_LEASE, "1:one,2:TWO,");
	expect_table(store, RECORD_META, "1:,");
	expect_table(store, RECORD_NODE, "");
	assert_int_equal(store_write(store, &erase, 1), OK);
	assert_int_equal(store_write(store, NULL, 0), OK);
	store_close(store);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	store = open_store();
	expect_table(store, RECORD_LEASE, "2:TWO,");
	store_close(store);
	store_close(NULL);
}

static enum err stop_at_once(void *ctx, const struct record *record)
{
	(void)record;
	++*(int *)ctx;
	return ERR_STATE;
}

static void test_largest(void **state)
{
	struct store *store = open_store();
	struct record record = {.table = RECORD_NODE, .key_size = RECORD_KEY_MAX, .value_size = RECORD_VALUE_MAX};
	int calls = 0;

	(void)state;
	memset(record.key, 7, sizeof(record.key));
	memset(record.value, 8, sizeof(record.value));
	assert_int_equal(store_write(store, &record, 1), OK);
	record.key[0] = 8;
	assert_int_equal(store_write(store, &record, 1), OK);
	assert_int_equal(store_each(store, RECORD_NODE, &calls, stop_at_once), ERR_STATE);
	assert_int_equal(calls, 1);
	calls = 0;
	assert_int_equal(store_each(store, RECORD_NODE, &calls, stop_at_once), ERR_STATE); /* begins anew */
	assert_int_equal(calls, 1);
	store_close(store);
}

/* The child writes until it is killed, and says which writes were acknowledged. */
static void write_until_killed(int fd)
{
	char error[STORE_ERROR_MAX];
	struct store *store;

	if (store_open(path, &store, error) != OK)
		_exit(1);
	for (uint32_t i = 0;; i++) {
		struct record records[2] = {{.table = RECORD_LEASE, .key_size = 4, .value_size = 4},
					    {.table = RECORD_META}};

		memcpy(records[0].key, &i, 4);
		memcpy(records[0].value, &i, 4);
		records[1].key_size = 1;
		records[1].value_size = 4;
		memcpy(records[1].value, &i, 4);
		if (store_write(store, records, 2) != OK || write(fd, &i, 4) != 4)
			_exit(1);
	}
}

static enum err count_record(void *ctx, const struct record *record)
{
	(void)record;
	++*(uint32_t *)ctx;
	return OK;
}

static enum err keep_counter(void *ctx, const struct record *record)
{
	memcpy(ctx, record->value, 4);
	return OK;
}

static void test_survives_kill(void **state)
{
	int ends[2], status;
	uint32_t acknowledged = 0, found = 0, counter = 0;
	struct store *store;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0)
		write_until_killed(ends[1]);
	close(ends[1]);
	while (acknowledged < 200)
		assert_int_equal(read(ends[0], &acknowledged, 4), 4);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	while (read(ends[0], &acknowledged, 4) == 4)
		continue;
	close(ends[0]);
	store = open_store();
	assert_int_equal(store_each(store, RECORD_LEASE, &found, count_record), OK);
	assert_int_equal(store_each(store, RECORD_META, &counter, keep_counter), OK);
	assert_true(found >= acknowledged + 1);
	assert_int_equal(counter + 1, found); /* both records of a transaction or none */
	store_close(store);
}

static void run_sql(const char *sql)
{
	sqlite3 *database;

	assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static void expect_refusal(enum err expected, const char *word)
{
	char error[STORE_ERROR_MAX] = "";
	struct store *store = NULL;

	assert_int_equal(store_open(path, &store, error), expected);
	assert_null(store);
	assert_non_null(strstr(error, word));
	assert_null(strchr(error, '\n'));
}

static void test_refuses_newer(void **state)
{
	(void)state;
	store_close(open_store());
	run_sql("PRAGMA user_version = 99");
	expect_refusal(ERR_UNSUPPORTED, "newer");
}

static void test_refuses_foreign(void **state)
{
	(void)state;
	run_sql("CREATE TABLE other (x)");
	expect_refusal(ERR_MALFORMED, "another program");
}

static void test_refuses_second(void **state)
{
	struct store *store = open_store();
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) { /* locks are a process's: a second one in this process would only confuse them */
		char error[STORE_ERROR_MAX];
		struct store *second;

		_exit(store_open(path, &second, error) == ERR_EXISTS && strstr(error, "in use") ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	store_close(store);
}

/* Every damaged page gives an error now or a walk that fails; never a crash. */
static void test_damage(void **state)
{
	static uint8_t noise[4096];
	struct store *store;
	off_t size;
	int fd;

	(void)state;
	store = open_store();
	for (uint8_t i = 0; i < 200; i++) {
		struct record record =
			make_record(RECORD_LEASE, i, "some value that takes room, and more of it, so that pages fill");

		assert_int_equal(store_write(store, &record, 1), OK);
	}
	store_close(store);
	memset(noise, 0xa5, sizeof(noise));
	fd = open(path, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	assert_true(size > 8192);
	assert_int_equal(pwrite(fd, noise, sizeof(noise), 4096), sizeof(noise));
	close(fd);
	expect_refusal(ERR_MALFORMED, "");
	fd = open(path, O_RDWR | O_TRUNC);
	assert_int_equal(write(fd, noise, sizeof(noise)), sizeof(noise));
	close(fd);
	expect_refusal(ERR_MALFORMED, "");
}

static void test_no_directory(void **state)
{
	char error[STORE_ERROR_MAX];
	struct store *store;

	(void)state;
	assert_int_equal(store_open("/nonexistent/db", &store, error), ERR_IO);
	assert_non_null(strstr(error, "/nonexistent/db"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keeps, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_largest, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_survives_kill, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_refuses_newer, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_refuses_foreign, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_refuses_second, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_damage, make_directory, remove_directory),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
