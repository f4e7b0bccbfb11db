/*
 * login_client.h: joining a network by code, and fetching its documents, over TLS (design 4). Blocking, with deadlines:
 * run it before the loop starts or in a thread. Nothing secret is sent before the server has proved that it owns the
 * pinned key.
 */
#pragma once

#include "crypto/keys.h"
#include "wire/login.h"

enum { LOGIN_ERROR_MAX = 256 };

struct login_params {
	uint8_t role; /* enum login_role */
	struct sign_keys identity;
	uint8_t static_key[KEY_SIZE];	   /* public */
	char name[ZONE_MAX_SIZE + 1];	   /* wished: label, zone of a coordinator, name of a relay; may be empty */
	bool name_is_guess;		   /* a host name, say: when taken, -2, -3 ... are tried */
	struct server_addresses addresses; /* servers only */
	uint32_t mark;			   /* SO_MARK; 0: none */
	uint64_t now_s;			   /* 0: validity is not judged (T10) */
};

/* Judged and ready to be kept. Encoded forms are what goes to disk. */
struct login_result {
	uint8_t authority[KEY_SIZE];		   /* the account server's key, matches the pin */
	uint8_t certificate[CERTIFICATE_MAX_SIZE]; /* nodes only */
	size_t certificate_size;
	uint8_t network[NETWORK_MAX_SIZE];
	size_t network_size;
	struct certificate certificate_decoded;
	struct network network_decoded;
	struct addr server;		 /* the address of the code that worked */
	struct server_addresses servers; /* all addresses of the code: for later renewals */
};

/*
 * Logs in with a join code: each address of the code in turn, 5 s each. error gets one line: what failed, on what, what
 * to do. ERR_USAGE: the code is mistyped. ERR_IO: nobody answers. ERR_AUTH: somebody else's server, or a bad document.
 * ERR_DENIED: refused, *ret_reason tells why (enum login_reason; else 0). The exit code of cli.md section 5:
 * login_exit_code.
 */
must_use enum err login_join(const char *code, const struct login_params *params, struct login_result *ret,
			     uint8_t *ret_reason, char error[LOGIN_ERROR_MAX]);
/* The same without a code, for one who is known already: renews a certificate, tells a server's new addresses. */
must_use enum err login_renew(const uint8_t authority[KEY_SIZE], const struct server_addresses *servers,
			      const struct login_params *params, struct login_result *ret, uint8_t *ret_reason,
			      char error[LOGIN_ERROR_MAX]);
/* The current network document only; fills authority, network and server of *ret. */
must_use enum err login_fetch_network(const uint8_t authority[KEY_SIZE], const struct server_addresses *servers,
				      uint32_t mark, struct login_result *ret, char error[LOGIN_ERROR_MAX]);
/* 2 for a mistyped code, 5 when refused, 6 when unreachable, 1 else. */
int login_exit_code(enum err err);
