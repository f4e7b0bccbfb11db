/*
 * openssl.h: the one place where io meets OpenSSL's headers: one of their types is called like an error of ours
 * (base/err.h).
 */
#pragma once

#define ERR_STATE openssl_err_state
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE
