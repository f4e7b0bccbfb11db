/*
 * openssl.h: the one door to OpenSSL's headers inside crypto/: they name a type ERR_STATE, as base/err.h names an
 * error.
 */
#pragma once

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#undef ERR_STATE
