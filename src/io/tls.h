/*
 * tls.h: TLS 1.3 for the account server and those who log in. The server's certificate is self-signed by the Ed25519
 * key that join codes pin: there is no certificate authority, no name check, no session ticket, no early data, no
 * client certificate. io knows nothing of what is said inside: bytes in, bytes out, both bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/time.h"

enum { TLS_EXPORTER_SIZE = 32, TLS_KEY_SIZE = 32 };
#define TLS_EXPORTER_LABEL "EXPORTER-ntm-login"

struct loop;
struct tls_server;

struct tls_server_config {
	uint8_t seed[TLS_KEY_SIZE];    /* Ed25519 */
	uint32_t connections_max;      /* 0: 64; one more is closed at once */
	uint32_t accepts_per_s;	       /* 0: 200; more wait in the kernel's queue: packets come first */
	uint32_t per_address_max;      /* from one address; 0: half of connections_max */
	size_t input_max, output_max;  /* bytes buffered per connection; 0: 64 KiB */
	int64_t handshake_us, idle_us; /* 0: 10 s, 30 s */
	void *ctx;
	/*
	 * Bytes of connection `token`: returns how many of `size` were used up (they are not shown again), or a
	 * negative number to close at once. exporter is bound to this connection. The callback may call tls_server_send
	 * for any connection, but not tls_server_destroy.
	 */
	ptrdiff_t (*input)(void *ctx, uint64_t token, const uint8_t exporter[TLS_EXPORTER_SIZE], const uint8_t *bytes,
			   size_t size);
};

struct tls_server_counters {
	uint64_t accepted, rejected_full, handshakes, failed, timed_out;
	uint32_t open;
};

/* Serves a listening, non-blocking TCP socket that stays the caller's; runs on its loop. NULL with errno when OpenSSL
 * or the loop refuse. */
struct tls_server *tls_server_create(const struct tls_server_config *config, struct loop *loop, int listen_fd);
void tls_server_destroy(struct tls_server *server); /* closes every connection; accepts NULL */
/* Queues bytes; then_close ends the connection after them. ERR_UNKNOWN: it is gone. ERR_FULL: over output_max, the
 * connection is closed. */
must_use enum err tls_server_send(struct tls_server *server, uint64_t token, const void *bytes, size_t size,
				  bool then_close);
/* Closes those whose time is up. Call at tls_server_deadline. */
void tls_server_expire(struct tls_server *server, struct time_us now);
struct time_us tls_server_deadline(const struct tls_server *server);
void tls_server_get_counters(const struct tls_server *server, struct tls_server_counters *ret);

/* Blocking client with deadlines. */
struct tls_client;

enum tls_step { TLS_STEP_CONNECT, TLS_STEP_HANDSHAKE, TLS_STEP_PIN }; /* where tls_client_connect failed */

struct tls_client_config {
	struct addr remote;
	int64_t timeout_us; /* for connect and handshake together; 0: 5 s */
	uint32_t mark;	    /* SO_MARK of the socket; 0: none */
	void *ctx;
	/* Is this the server we were told of? Called during the handshake, before a single byte of ours is sent inside.
	 */
	bool (*accept_key)(void *ctx, const uint8_t key[TLS_KEY_SIZE]);
};

/* ERR_IO with errno (connect), ERR_EXPIRED (deadline), ERR_AUTH (pin), ERR_MALFORMED (not TLS 1.3 with Ed25519).
 * *ret_step on failure only. */
must_use enum err tls_client_connect(const struct tls_client_config *config, struct tls_client **ret,
				     enum tls_step *ret_step);
void tls_client_close(struct tls_client *client); /* accepts NULL */
void tls_client_exporter(const struct tls_client *client, uint8_t ret[TLS_EXPORTER_SIZE]);
must_use enum err tls_client_send(struct tls_client *client, const void *bytes, size_t size, int64_t timeout_us);
/* At least one byte, at most capacity. ERR_TRUNCATED: the server has closed. */
must_use enum err tls_client_receive(struct tls_client *client, void *bytes, size_t capacity, size_t *ret_size,
				     int64_t timeout_us);
