#include "io/tls_common.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

static int bio_fd(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
	ssize_t n = send(bio_fd(bio), bytes, (size_t)size, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int bio_read(BIO *bio, char *bytes, int size)
{
	ssize_t n = recv(bio_fd(bio), bytes, (size_t)size, 0);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

/* OpenSSL's own socket BIO writes with write(), which raises SIGPIPE when the other end is gone. */
BIO_METHOD *tls_bio_method_create(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");

	if (!method)
		return NULL;
	if (!BIO_meth_set_write(method, bio_write) || !BIO_meth_set_read(method, bio_read) ||
	    !BIO_meth_set_ctrl(method, bio_control)) {
		BIO_meth_free(method);
		return NULL;
	}
	return method;
}

/* The socket must not block. */
BIO *tls_bio_create(const BIO_METHOD *method, int fd)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	return bio;
}

/* One version, one key kind, nothing that is kept from one connection to the next. */
SSL_CTX *tls_context_create(bool is_server)
{
	SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());

	if (!context)
		return NULL;
	if (!SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) || !SSL_CTX_set_num_tickets(context, 0) ||
	    !SSL_CTX_set1_sigalgs_list(context, "ed25519") || !SSL_CTX_set1_groups_list(context, "X25519:P-256")) {
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	return context;
}

/* RFC 8446 7.5, without context. */
bool tls_export(SSL *ssl, uint8_t ret[TLS_EXPORTER_SIZE])
{
	return SSL_export_keying_material(ssl, ret, TLS_EXPORTER_SIZE, TLS_EXPORTER_LABEL,
					  sizeof(TLS_EXPORTER_LABEL) - 1, NULL, 0, 0) == 1;
}

/* What is pinned is the key, not the certificate around it. */
bool tls_certificate_key(X509 *certificate, uint8_t ret[TLS_KEY_SIZE])
{
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
	uint8_t raw[TLS_KEY_SIZE];
	size_t size = sizeof(raw);

	if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(key, raw, &size) != 1 ||
	    size != sizeof(raw))
		return false;
	memcpy(ret, raw, sizeof(raw));
	return true;
}
