/*
 * login.h: frames between a device or server and the account server, over TLS 1.3: u32 length of what follows, u8
 * type, fields or a document. The TLS certificate is self-signed by the account server's Ed25519 key; the client
 * compares it with the pin from the join code.
 */
#pragma once

#include "wire/credential.h"

enum login_frame_type {
	FRAME_LOGIN_REQUEST = 1,
	FRAME_LOGIN_RESPONSE = 2,
	FRAME_NETWORK_REQUEST = 3, /* anyone who pinned the server: the current network document */
	FRAME_NETWORK_RESPONSE = 4,
	FRAME_REFUSAL = 5,
};

/* An exit is a node whose certificate bears the group "exit"; only a code for that role gives it. */
enum login_role { ROLE_NODE = 0, ROLE_COORDINATOR = 1, ROLE_RELAY = 2, ROLE_EXIT = 3 };

/*
 * proof: Ed25519 signature by identity_key over "ntm login" || role || TLS exporter (32 bytes) || static_key ||
 * identity_key. A server's identity_key is the one that signs its leases.
 */
struct login_request {
	uint8_t role;
	uint8_t secret[JOIN_SECRET_SIZE]; /* from the join code */
	uint8_t identity_key[KEY_SIZE];
	uint8_t static_key[KEY_SIZE];
	char name[NAME_MAX_SIZE + 1];	   /* wish, as typed: label, zone of a coordinator, name of a relay; or "" */
	struct server_addresses addresses; /* servers only */
	uint8_t proof[SIGNATURE_SIZE];
};

struct login_response {
	uint8_t certificate[CERTIFICATE_MAX_SIZE]; /* encoded; empty for servers */
	size_t certificate_size;
	uint8_t network[NETWORK_MAX_SIZE]; /* encoded network document */
	size_t network_size;
};

struct login_refusal {
	uint8_t reason; /* enum login_reason */
	char text[160]; /* one line for the person, ASCII */
};
enum login_reason {
	LOGIN_BAD_CODE = 1,
	LOGIN_USED_CODE = 2,
	LOGIN_EXPIRED_CODE = 3,
	LOGIN_NAME_TAKEN = 4,
	LOGIN_BAD_PROOF = 5,
	LOGIN_BAD_NAME = 6,
	LOGIN_BUSY = 7,
	LOGIN_FULL = 8,
	LOGIN_REVOKED = 9,
};

/* Each encodes a whole frame with its length prefix; decoders take the body that login_frame_next found. */
void login_request_encode(const struct login_request *m, struct writer *w);
must_use enum err login_request_decode(struct reader *r, struct login_request *ret);
void login_response_encode(const struct login_response *m, struct writer *w);
must_use enum err login_response_decode(struct reader *r, struct login_response *ret);
void login_refusal_encode(const struct login_refusal *m, struct writer *w);
must_use enum err login_refusal_decode(struct reader *r, struct login_refusal *ret);
/*
 * Looks at a stream's start: OK and the frame's type and body when it is whole; ERR_TRUNCATED when more bytes are
 * needed; else the stream is dead. No frame is larger than LOGIN_FRAME_MAX, its length included.
 */
must_use enum err login_frame_next(const uint8_t *data, size_t size, uint8_t *ret_type, struct blob *ret_body,
				   size_t *ret_consumed);
/* A frame without body (FRAME_NETWORK_REQUEST) or with a document as body (FRAME_NETWORK_RESPONSE). */
void login_frame_encode(uint8_t type, struct blob body, struct writer *w);

/*
 * Join code: "ntm1-" and base64url without padding of: u8 version, u8 role, pin, secret, u8 n, n transport addresses,
 * u32 check: CRC-32 (IEEE 802.3) of all before it.
 */
struct join_code {
	uint8_t role;
	uint8_t pin[JOIN_PIN_SIZE];
	uint8_t secret[JOIN_SECRET_SIZE];
	struct server_addresses addresses; /* of the account server (TCP) */
};
/* text has room for JOIN_CODE_MAX; zero-terminated. */
must_use enum err join_code_format(const struct join_code *code, char text[JOIN_CODE_MAX]);
/* Typing mistakes are caught by the check bytes: ERR_MALFORMED. A later version is ERR_UNSUPPORTED. */
must_use enum err join_code_parse(const char *text, struct join_code *ret);
