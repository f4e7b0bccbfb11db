#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/clock.h"
#include "io/loop.h"
#include "io/tls_common.h"

enum {
	CONNECTIONS_DEFAULT = 64,
	BUFFER_DEFAULT = 64 * 1024,
	HANDSHAKE_DEFAULT_US = 10 * 1000 * 1000,
	IDLE_DEFAULT_US = 30 * 1000 * 1000,
	ACCEPTS_PER_TURN = 16, /* then others get their turn */
	ACCEPTS_PER_S_DEFAULT = 200,
	PAUSE_US = 100 * 1000,
};

struct connection {
	struct source source; /* first: cast back in `ready` */
	struct tls_server *server;
	SSL *ssl;
	uint64_t token; /* 0: slot is free */
	struct ip remote;
	struct time_us deadline;
	bool is_open, is_closing; /* handshake done; close once the queue is out */
	bool is_in_input;	  /* its callback runs: do not free it under its feet */
	bool is_dead;
	uint32_t events;
	uint8_t exporter[TLS_EXPORTER_SIZE];
	uint8_t *input, *output;
	size_t input_size, output_size;
};

struct tls_server {
	struct source source; /* the listening socket */
	struct tls_server_config config;
	struct loop *loop;
	SSL_CTX *context;
	BIO_METHOD *method;
	struct connection *connections;
	uint64_t tokens;
	struct time_us window; /* accepts are counted in windows of PAUSE_US */
	uint32_t window_accepts;
	bool is_paused; /* the window's are used up: not on the loop until it ends */
	struct tls_server_counters counters;
};

static void release(struct connection *c)
{
	struct tls_server *server = c->server;

	if (c->is_in_input) {
		c->is_dead = true;
		return;
	}
	loop_remove(server->loop, &c->source);
	ERR_clear_error();
	if (c->is_open)
		(void)SSL_shutdown(c->ssl); /* good-bye; whether it arrives does not matter */
	ERR_clear_error();
	SSL_free(c->ssl);
	(void)close(c->source.fd);
	mem_free(c->input);
	mem_free(c->output);
	OPENSSL_cleanse(c, sizeof(*c));
	c->server = server;
	server->counters.open--;
}

static void want(struct connection *c, uint32_t events)
{
	if (events == c->events)
		return;
	if (loop_modify(c->server->loop, &c->source, events) != OK) {
		release(c);
		return;
	}
	c->events = events;
}

/* What the connection waits for after an OpenSSL call that returned n. False: it is over. */
static bool wants_more(struct connection *c, int n, uint32_t *events)
{
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ: *events |= EPOLLIN; return true;
	case SSL_ERROR_WANT_WRITE: *events |= EPOLLOUT; return true;
	default: return false;
	}
}

static bool shake_hands(struct connection *c, struct time_us now, uint32_t *events)
{
	int n;

	ERR_clear_error();
	n = SSL_accept(c->ssl);
	if (n != 1)
		return wants_more(c, n, events);
	if (!tls_export(c->ssl, c->exporter))
		return false;
	c->is_open = true;
	c->input = mem_alloc(1, c->server->config.input_max);
	c->output = mem_alloc(1, c->server->config.output_max);
	c->deadline = time_add(now, c->server->config.idle_us);
	c->server->counters.handshakes++;
	return true;
}

static bool hand_over(struct connection *c)
{
	const struct tls_server_config *config = &c->server->config;
	ptrdiff_t used;

	while (c->input_size > 0 && !c->is_closing) {
		c->is_in_input = true;
		used = config->input(config->ctx, c->token, c->exporter, c->input, c->input_size);
		c->is_in_input = false;
		if (used < 0 || c->is_dead || (size_t)used > c->input_size)
			return false;
		if (used == 0)
			return c->input_size < config->input_max;
		c->input_size -= (size_t)used;
		memmove(c->input, c->input + used, c->input_size);
	}
	return true;
}

static bool read_input(struct connection *c, struct time_us now, uint32_t *events)
{
	while (!c->is_closing) {
		int n;

		ERR_clear_error();
		n = SSL_read(c->ssl, c->input + c->input_size, (int)(c->server->config.input_max - c->input_size));
		if (n <= 0)
			return wants_more(c, n, events);
		c->input_size += (size_t)n;
		c->deadline = time_add(now, c->server->config.idle_us);
		if (!hand_over(c))
			return false;
	}
	return true;
}

static bool write_output(struct connection *c, struct time_us now, uint32_t *events)
{
	while (c->output_size > 0) {
		int n;

		ERR_clear_error();
		n = SSL_write(c->ssl, c->output, (int)c->output_size);
		if (n <= 0)
			return wants_more(c, n, events);
		c->output_size -= (size_t)n;
		memmove(c->output, c->output + n, c->output_size);
		c->deadline = time_add(now, c->server->config.idle_us);
	}
	return !c->is_closing;
}

/* As far as it goes without waiting. */
static void advance(struct connection *c, struct time_us now)
{
	uint32_t events = 0;
	bool was_open = c->is_open, goes_on = true;

	if (!c->is_open)
		goes_on = shake_hands(c, now, &events);
	if (goes_on && c->is_open)
		goes_on = read_input(c, now, &events) && write_output(c, now, &events);
	if (!goes_on || c->is_dead) {
		c->server->counters.failed += !was_open && !c->is_open;
		release(c);
		return;
	}
	want(c, events ? events : EPOLLIN);
}

static void connection_ready(struct source *source, uint32_t events)
{
	struct connection *c = (struct connection *)source;

	(void)events;
	advance(c, loop_now(c->server->loop));
}

static struct ip remote_ip(const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

	if (from->ss_family == AF_INET)
		return ip_from_bytes(4, (const uint8_t *)&((const struct sockaddr_in *)from)->sin_addr);
	if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return ip_from_bytes(4, six->sin6_addr.s6_addr + 12);
	return ip_from_bytes(6, six->sin6_addr.s6_addr);
}

static struct connection *free_slot(struct tls_server *server, const struct ip *remote)
{
	struct connection *slot = NULL;
	uint32_t same = 0;

	for (uint32_t i = 0; i < server->config.connections_max; i++) {
		struct connection *c = &server->connections[i];

		if (c->token == 0)
			slot = slot ? slot : c;
		else
			same += ip_equal(&c->remote, remote);
	}
	return same < server->config.per_address_max ? slot : NULL;
}

static bool begin(struct connection *c, struct tls_server *server, int fd)
{
	BIO *bio;
	int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->ssl = SSL_new(server->context);
	bio = tls_bio_create(server->method, fd);
	if (!c->ssl || !bio) {
		BIO_free(bio);
		SSL_free(c->ssl);
		c->ssl = NULL;
		return false;
	}
	SSL_set_bio(c->ssl, bio, bio);
	c->server = server;
	c->source = (struct source){.fd = fd, .ready = connection_ready};
	c->events = EPOLLIN;
	if (loop_add(server->loop, &c->source, c->events) == OK)
		return true;
	SSL_free(c->ssl);
	c->ssl = NULL;
	return false;
}

static void admit(struct tls_server *server, int fd, const struct sockaddr_storage *from)
{
	struct ip remote = remote_ip(from);
	struct connection *c = free_slot(server, &remote);

	if (!c) {
		server->counters.rejected_full++;
		(void)close(fd);
		return;
	}
	if (!begin(c, server, fd)) {
		server->counters.failed++;
		(void)close(fd);
		return;
	}
	c->token = ++server->tokens;
	c->remote = remote;
	c->deadline = time_add(loop_now(server->loop), server->config.handshake_us);
	server->counters.accepted++;
	server->window_accepts++;
	server->counters.open++;
}

/* A flood of handshakes costs a bounded share of the loop (security 2.7); those who wait are the kernel's. */
static bool may_accept(struct tls_server *server)
{
	struct time_us now = loop_now(server->loop);
	uint32_t per_window = server->config.accepts_per_s * PAUSE_US / USEC_PER_SEC + 1;

	if (time_reached(now, time_add(server->window, PAUSE_US))) {
		server->window = now;
		server->window_accepts = 0;
	}
	if (server->window_accepts < per_window)
		return true;
	loop_remove(server->loop, &server->source);
	server->is_paused = true;
	return false;
}

static void listener_ready(struct source *source, uint32_t events)
{
	struct tls_server *server = (struct tls_server *)source;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN && may_accept(server); i++) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		int fd = accept4(source->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		admit(server, fd, &from);
	}
}

static X509 *self_sign(EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;
	bool ok = name && X509_set_version(certificate, 2) && ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
		  /* Nobody looks at the dates: the key is pinned, and a clock may be wrong by decades. */
		  ASN1_TIME_set_string(X509_getm_notBefore(certificate), "19700101000000Z") &&
		  ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") &&
		  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"ntm", -1, -1, 0) &&
		  X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
		  X509_sign(certificate, key, NULL);

	if (ok)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static bool use_key(SSL_CTX *context, const uint8_t seed[TLS_KEY_SIZE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, TLS_KEY_SIZE);
	X509 *certificate = key ? self_sign(key) : NULL;
	bool ok = certificate && SSL_CTX_use_certificate(context, certificate) == 1 &&
		  SSL_CTX_use_PrivateKey(context, key) == 1;

	X509_free(certificate);
	EVP_PKEY_free(key);
	return ok;
}

static void set_defaults(struct tls_server_config *config)
{
	if (!config->connections_max)
		config->connections_max = CONNECTIONS_DEFAULT;
	if (!config->per_address_max)
		config->per_address_max = config->connections_max > 1 ? config->connections_max / 2 : 1;
	if (!config->accepts_per_s)
		config->accepts_per_s = ACCEPTS_PER_S_DEFAULT;
	if (!config->input_max)
		config->input_max = BUFFER_DEFAULT;
	if (!config->output_max)
		config->output_max = BUFFER_DEFAULT;
	if (!config->handshake_us)
		config->handshake_us = HANDSHAKE_DEFAULT_US;
	if (!config->idle_us)
		config->idle_us = IDLE_DEFAULT_US;
}

/* The seed is not kept: the key lives inside OpenSSL from here on. */
struct tls_server *tls_server_create(const struct tls_server_config *config, struct loop *loop, int listen_fd)
{
	struct tls_server *server = mem_alloc(1, sizeof(*server));

	server->config = *config;
	OPENSSL_cleanse(server->config.seed, sizeof(server->config.seed));
	set_defaults(&server->config);
	server->loop = loop;
	server->source = (struct source){.fd = listen_fd, .ready = listener_ready};
	server->connections = mem_alloc(server->config.connections_max, sizeof(server->connections[0]));
	server->context = tls_context_create(true);
	server->method = tls_bio_method_create();
	if (server->context && server->method && use_key(server->context, config->seed) &&
	    loop_add(loop, &server->source, EPOLLIN) == OK)
		return server;
	SSL_CTX_free(server->context);
	BIO_meth_free(server->method);
	mem_free(server->connections);
	mem_free(server);
	return NULL;
}

/* Not from within `input`. */
void tls_server_destroy(struct tls_server *server)
{
	if (!server)
		return;
	for (uint32_t i = 0; i < server->config.connections_max; i++)
		if (server->connections[i].token)
			release(&server->connections[i]);
	loop_remove(server->loop, &server->source);
	SSL_CTX_free(server->context);
	BIO_meth_free(server->method);
	mem_free(server->connections);
	mem_free(server);
}

/* Written at once as far as the socket takes it, unless the connection's own input is being looked at. */
enum err tls_server_send(struct tls_server *server, uint64_t token, const void *bytes, size_t size, bool then_close)
{
	struct connection *c = NULL;

	for (uint32_t i = 0; i < server->config.connections_max && !c; i++)
		if (server->connections[i].token == token && token != 0)
			c = &server->connections[i];
	if (!c || !c->is_open || c->is_closing || c->is_dead)
		return ERR_UNKNOWN;
	if (size > server->config.output_max - c->output_size) {
		release(c);
		return ERR_FULL;
	}
	memcpy(c->output + c->output_size, bytes, size);
	c->output_size += size;
	c->is_closing = then_close;
	if (!c->is_in_input)
		advance(c, loop_now(server->loop));
	return OK;
}

/* Slow handshakes and silent connections make room; a pause ends. */
void tls_server_expire(struct tls_server *server, struct time_us now)
{
	if (server->is_paused && time_reached(now, time_add(server->window, PAUSE_US)))
		server->is_paused = loop_add(server->loop, &server->source, EPOLLIN) != OK;
	for (uint32_t i = 0; i < server->config.connections_max; i++) {
		struct connection *c = &server->connections[i];

		if (!c->token || !time_reached(now, c->deadline))
			continue;
		server->counters.timed_out++;
		release(c);
	}
}

/* TIME_NEVER when nobody is connected or kept waiting. */
struct time_us tls_server_deadline(const struct tls_server *server)
{
	struct time_us deadline = server->is_paused ? time_add(server->window, PAUSE_US) : TIME_NEVER;

	for (uint32_t i = 0; i < server->config.connections_max; i++)
		if (server->connections[i].token)
			deadline = time_min(deadline, server->connections[i].deadline);
	return deadline;
}

/* Since creation; open is now. */
void tls_server_get_counters(const struct tls_server *server, struct tls_server_counters *ret)
{
	*ret = server->counters;
}
