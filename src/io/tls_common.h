/* tls_common.h: what server and client of tls.h share; only they include it. */
#pragma once

#include "io/openssl.h"

#include "io/tls.h"

/* NULL when OpenSSL refuses. */
BIO_METHOD *tls_bio_method_create(void);
/* NULL when OpenSSL refuses. The socket stays the caller's. */
BIO *tls_bio_create(const BIO_METHOD *method, int fd);
/* TLS 1.3 only, without tickets, cache and compression. NULL when OpenSSL refuses. */
SSL_CTX *tls_context_create(bool is_server);
/* Every secret of a TLS connection of its own, for what must be bound to this one. False before the handshake is over.
 */
must_use bool tls_export(SSL *ssl, uint8_t ret[TLS_EXPORTER_SIZE]);
/* The raw Ed25519 key of a certificate; false when it has another kind. */
must_use bool tls_certificate_key(X509 *certificate, uint8_t ret[TLS_KEY_SIZE]);
