#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/tls_common.h"

enum { CONNECT_TIMEOUT_US = 5 * 1000 * 1000 };

struct tls_client {
	int fd;
	SSL_CTX *context;
	BIO_METHOD *method;
	SSL *ssl;
	const struct tls_client_config *config; /* during the handshake only */
	bool is_key_refused;
	uint8_t exporter[TLS_EXPORTER_SIZE];
};

static struct time_us now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct time_us){(int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000};
}

/* ERR_EXPIRED at the deadline. */
static enum err wait_for(int fd, short events, struct time_us deadline)
{
	for (;;) {
		int64_t left_us = time_since(deadline, now_us());
		struct pollfd p = {.fd = fd, .events = events};
		int n;

		if (left_us <= 0)
			return ERR_EXPIRED;
		n = poll(&p, 1, (int)((left_us + 999) / 1000));
		if (n > 0)
			return OK;
		if (n < 0 && errno != EINTR)
			return ERR_IO;
	}
}

/* After an OpenSSL call that returned n: OK to try again, or why not. */
static enum err wait_for_ssl(struct tls_client *client, int n, struct time_us deadline)
{
	switch (SSL_get_error(client->ssl, n)) {
	case SSL_ERROR_WANT_READ: return wait_for(client->fd, POLLIN, deadline);
	case SSL_ERROR_WANT_WRITE: return wait_for(client->fd, POLLOUT, deadline);
	case SSL_ERROR_ZERO_RETURN: return ERR_TRUNCATED;
	case SSL_ERROR_SYSCALL: return ERR_TRUNCATED;
	default: return ERR_MALFORMED;
	}
}

static socklen_t to_sockaddr(const struct addr *addr, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (addr->ip.family == 4) {
		four->sin_family = AF_INET;
		four->sin_port = htons(addr->port);
		memcpy(&four->sin_addr, addr->ip.bytes, 4);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(addr->port);
	memcpy(&six->sin6_addr, addr->ip.bytes, 16);
	return sizeof(*six);
}

static enum err connect_socket(struct tls_client *client, const struct tls_client_config *config,
			       struct time_us deadline)
{
	struct sockaddr_storage to;
	socklen_t size = to_sockaddr(&config->remote, &to), error_size = sizeof(int);
	int one = 1, error = 0;
	enum err err;

	client->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return ERR_IO;
	if (config->mark && setsockopt(client->fd, SOL_SOCKET, SO_MARK, &config->mark, sizeof(config->mark)) != 0 &&
	    errno != EPERM)
		return ERR_IO;
	(void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(client->fd, (struct sockaddr *)&to, size) == 0)
		return OK;
	if (errno != EINPROGRESS)
		return ERR_IO;
	err = wait_for(client->fd, POLLOUT, deadline);
	if (err != OK)
		return err;
	if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0)
		return ERR_IO;
	errno = error;
	return error ? ERR_IO : OK;
}

/* The only check of the certificate: is this the pinned key? The signature by it is checked by the handshake itself. */
static int verify(X509_STORE_CTX *store, void *ctx)
{
	struct tls_client *client = ctx;
	uint8_t key[TLS_KEY_SIZE];

	if (tls_certificate_key(X509_STORE_CTX_get0_cert(store), key) &&
	    client->config->accept_key(client->config->ctx, key))
		return 1;
	client->is_key_refused = true;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static enum err shake_hands(struct tls_client *client, struct time_us deadline)
{
	BIO *bio;

	client->context = tls_context_create(false);
	client->method = tls_bio_method_create();
	if (!client->context || !client->method)
		return ERR_UNSUPPORTED;
	SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(client->context, verify, client);
	client->ssl = SSL_new(client->context);
	bio = tls_bio_create(client->method, client->fd);
	if (!client->ssl || !bio) {
		BIO_free(bio);
		return ERR_UNSUPPORTED;
	}
	SSL_set_bio(client->ssl, bio, bio);
	for (;;) {
		int n;
		enum err err;

		ERR_clear_error();
		n = SSL_connect(client->ssl);
		if (n == 1)
			break;
		if (client->is_key_refused)
			return ERR_AUTH;
		err = wait_for_ssl(client, n, deadline);
		if (err != OK)
			return err == ERR_TRUNCATED ? ERR_MALFORMED : err;
	}
	return tls_export(client->ssl, client->exporter) ? OK : ERR_MALFORMED;
}

/* One attempt at one address. */
enum err tls_client_connect(const struct tls_client_config *config, struct tls_client **ret, enum tls_step *ret_step)
{
	struct tls_client *client = mem_alloc(1, sizeof(*client));
	int64_t timeout_us = config->timeout_us ? config->timeout_us : CONNECT_TIMEOUT_US;
	struct time_us deadline = time_add(now_us(), timeout_us);
	enum tls_step step = TLS_STEP_CONNECT;
	enum err err;
	int saved;

	client->config = config;
	err = connect_socket(client, config, deadline);
	if (err == OK) {
		step = TLS_STEP_HANDSHAKE;
		err = shake_hands(client, deadline);
		if (err == ERR_AUTH)
			step = TLS_STEP_PIN;
	}
	client->config = NULL;
	if (err == OK) {
		*ret = client;
		return OK;
	}
	saved = errno;
	tls_client_close(client);
	errno = saved;
	*ret_step = step;
	return err;
}

/* Says good-bye without waiting for an answer. */
void tls_client_close(struct tls_client *client)
{
	if (!client)
		return;
	ERR_clear_error();
	if (client->ssl && SSL_is_init_finished(client->ssl))
		(void)SSL_shutdown(client->ssl);
	ERR_clear_error();
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	BIO_meth_free(client->method);
	if (client->fd >= 0)
		(void)close(client->fd);
	OPENSSL_cleanse(client->exporter, sizeof(client->exporter));
	mem_free(client);
}

/* Bound to this one connection. */
void tls_client_exporter(const struct tls_client *client, uint8_t ret[TLS_EXPORTER_SIZE])
{
	memcpy(ret, client->exporter, TLS_EXPORTER_SIZE);
}

/* All of it, or an error. */
enum err tls_client_send(struct tls_client *client, const void *bytes, size_t size, int64_t timeout_us)
{
	struct time_us deadline = time_add(now_us(), timeout_us);
	const uint8_t *p = bytes;

	while (size > 0) {
		int n;
		enum err err;

		ERR_clear_error();
		n = SSL_write(client->ssl, p, size > INT32_MAX ? INT32_MAX : (int)size);
		if (n > 0) {
			p += n;
			size -= (size_t)n;
			continue;
		}
		err = wait_for_ssl(client, n, deadline);
		if (err != OK)
			return err;
	}
	return OK;
}

/* As much as is there. */
enum err tls_client_receive(struct tls_client *client, void *bytes, size_t capacity, size_t *ret_size,
			    int64_t timeout_us)
{
	struct time_us deadline = time_add(now_us(), timeout_us);

	for (;;) {
		int n;
		enum err err;

		ERR_clear_error();
		n = SSL_read(client->ssl, bytes, capacity > INT32_MAX ? INT32_MAX : (int)capacity);
		if (n > 0) {
			*ret_size = (size_t)n;
			return OK;
		}
		err = wait_for_ssl(client, n, deadline);
		if (err != OK)
			return err;
	}
}
