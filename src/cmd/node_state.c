/* What a joined device keeps: who it is to whom, written so that a crash leaves the old or the new. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/login_client.h"
#include "cmd/node_host.h"
#include "proto/session/trust.h"

#define FILE_MEMBERSHIP "membership"
#define FILE_LEASE "lease"

enum {
	MEMBERSHIP_VERSION = 1,
	ADDRESSES_MAX = 1 + SERVER_ADDRESSES_MAX * 19,
	FILE_MAX = 1 + KEY_SIZE + ADDRESSES_MAX + 4 + CERTIFICATE_MAX_SIZE + NETWORK_MAX_SIZE,
};

static enum err decode(const uint8_t *bytes, size_t size, struct membership *ret)
{
	struct reader r = reader_over(bytes, size);

	if (read_u8(&r) != MEMBERSHIP_VERSION)
		return ERR_MALFORMED;
	read_bytes(&r, ret->authority, KEY_SIZE);
	read_server_addresses(&r, &ret->account);
	ret->certificate_size = read_u16(&r);
	if (ret->certificate_size > sizeof ret->certificate)
		return ERR_MALFORMED;
	read_bytes(&r, ret->certificate, ret->certificate_size);
	ret->network_size = read_u16(&r);
	if (ret->network_size > sizeof ret->network_bytes)
		return ERR_MALFORMED;
	read_bytes(&r, ret->network_bytes, ret->network_size);
	if (reader_finish(&r) != OK)
		return ERR_MALFORMED;
	return network_judge((struct blob){ret->network_bytes, ret->network_size}, ret->authority, &ret->network);
}

/* The lease is a hint for a quick start: without it the coordinator tells it again. */
enum err membership_load(const char *dir, struct membership *ret, char error[HOST_ERROR_MAX])
{
	uint8_t bytes[FILE_MAX];
	char ignored[HOST_ERROR_MAX];
	size_t size;
	enum err err = server_file_read(dir, FILE_MEMBERSHIP, bytes, sizeof bytes, &size, error);

	if (err != OK)
		return err;
	memset(ret, 0, sizeof *ret);
	if (decode(bytes, size, ret) != OK)
		return server_fail(error, ERR_MALFORMED,
				   "%s/%s is damaged; join again with a new code after removing it", dir,
				   FILE_MEMBERSHIP);
	if (server_file_read(dir, FILE_LEASE, ret->lease, sizeof ret->lease, &ret->lease_size, ignored) != OK)
		ret->lease_size = 0;
	return OK;
}

/* All documents in one file: they belong together. */
enum err membership_save(const char *dir, const struct membership *membership, char error[HOST_ERROR_MAX])
{
	uint8_t bytes[FILE_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	size_t size;

	write_u8(&w, MEMBERSHIP_VERSION);
	write_bytes(&w, membership->authority, KEY_SIZE);
	write_server_addresses(&w, &membership->account);
	write_u16(&w, (uint16_t)membership->certificate_size);
	write_bytes(&w, membership->certificate, membership->certificate_size);
	write_u16(&w, (uint16_t)membership->network_size);
	write_bytes(&w, membership->network_bytes, membership->network_size);
	if (writer_finish(&w, &size) != OK)
		return ERR_SIZE;
	return server_file_write(dir, FILE_MEMBERSHIP, bytes, size, error);
}

/* So that the next start has its addresses before the coordinator answers. */
enum err membership_save_lease(const char *dir, struct blob lease, char error[HOST_ERROR_MAX])
{
	return server_file_write(dir, FILE_LEASE, lease.data, lease.size, error);
}

/* The first label of the host's name, as far as it is one that DNS takes. */
static void guess_name(char *ret, size_t capacity)
{
	char host[256] = {0};
	size_t at = 0;

	if (gethostname(host, sizeof host - 1) != 0)
		return;
	for (const char *p = host; *p && *p != '.' && at + 1 < capacity && at < NAME_MAX_SIZE; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p == '_' ? '-' : *p;

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && at > 0))
			ret[at++] = c;
	}
	while (at > 0 && ret[at - 1] == '-')
		at--;
	ret[at] = '\0';
}

static void take_result(struct membership *membership, const struct login_result *result)
{
	memcpy(membership->authority, result->authority, KEY_SIZE);
	memcpy(membership->certificate, result->certificate, result->certificate_size);
	membership->certificate_size = result->certificate_size;
	memcpy(membership->network_bytes, result->network, result->network_size);
	membership->network_size = result->network_size;
	membership->network = result->network_decoded;
}

static uint8_t role_of(const struct settings *settings)
{
	return settings->program == PROGRAM_EXIT ? ROLE_EXIT : ROLE_NODE;
}

/* Blocking: nothing else runs before a device has joined. */
int membership_join(const struct settings *settings, const struct server_keys *keys, struct membership *ret,
		    char error[HOST_ERROR_MAX])
{
	struct login_params params = {.role = role_of(settings), .identity = keys->sign, .mark = settings->mark};
	struct login_result *result = calloc(1, sizeof *result);
	uint8_t reason = 0;
	enum err err;

	if (!result)
		return EXIT_FAILED;
	memcpy(params.static_key, keys->dh.public, KEY_SIZE);
	if (settings->name)
		snprintf(params.name, sizeof params.name, "%s", settings->name);
	else
		guess_name(params.name, sizeof params.name);
	params.name_is_guess = !settings->name;
	err = login_join(settings->join, &params, result, &reason, error);
	if (err == OK) {
		memset(ret, 0, sizeof *ret);
		take_result(ret, result);
		ret->account = result->servers;
		err = membership_save(settings->state, ret, error);
	}
	free(result);
	return err == OK ? EXIT_DONE : login_exit_code(err);
}
