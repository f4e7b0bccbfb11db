#include "wire/login.h"

#include <string.h>

#include "wire/field.h"

enum { LENGTH_SIZE = 4 };

static size_t frame_begin(struct writer *w, uint8_t type)
{
	size_t begun = w->at;

	write_u32(w, 0);
	write_u8(w, type);
	return begun;
}

/* A frame over LOGIN_FRAME_MAX fails the writer: no receiver would take it. */
static void frame_end(struct writer *w, size_t begun)
{
	struct writer length;

	if (w->err != OK)
		return;
	if (w->at - begun > LOGIN_FRAME_MAX) {
		w->err = ERR_SIZE;
		return;
	}
	length = writer_over(w->data + begun, LENGTH_SIZE);
	write_u32(&length, (uint32_t)(w->at - begun - LENGTH_SIZE));
}

/* Without body, or with a document that has an encoding of its own. */
void login_frame_encode(uint8_t type, struct blob body, struct writer *w)
{
	size_t begun = frame_begin(w, type);

	write_bytes(w, body.data, body.size);
	frame_end(w, begun);
}

/* ERR_TRUNCATED asks for more bytes; a length that no frame has ends the connection at once. */
enum err login_frame_next(const uint8_t *data, size_t size, uint8_t *ret_type, struct blob *ret_body,
			  size_t *ret_consumed)
{
	struct reader r = reader_over(data, size);
	uint32_t length = read_u32(&r);
	struct blob body;
	uint8_t type;

	if (r.err == OK && (length == 0 || length > LOGIN_FRAME_MAX - LENGTH_SIZE))
		return ERR_MALFORMED;
	type = read_u8(&r);
	body = read_blob(&r, length - 1);
	if (r.err != OK)
		return r.err;
	*ret_type = type;
	*ret_body = body;
	*ret_consumed = r.at;
	return OK;
}

/* The wished name goes as typed: the account server can tell the person what is wrong with it. */
void login_request_encode(const struct login_request *m, struct writer *w)
{
	size_t begun = frame_begin(w, FRAME_LOGIN_REQUEST);

	field_put_u8(w, FIELD_ROLE, m->role);
	field_put_bytes(w, FIELD_SECRET, m->secret, JOIN_SECRET_SIZE);
	field_put_bytes(w, FIELD_IDENTITY_KEY, m->identity_key, KEY_SIZE);
	field_put_bytes(w, FIELD_STATIC_KEY, m->static_key, KEY_SIZE);
	field_put_text(w, FIELD_WISH, m->name);
	for (uint8_t i = 0; i < m->addresses.count && i < SERVER_ADDRESSES_MAX; i++)
		field_put_addr(w, FIELD_SERVER_ADDRESS, &m->addresses.list[i]);
	field_put_bytes(w, FIELD_PROOF, m->proof, SIGNATURE_SIZE);
	field_put_unknown(w, (uint32_t)(w->at - begun));
	frame_end(w, begun);
}

static void take_address(struct server_addresses *addresses, struct reader *value)
{
	if (addresses->count == SERVER_ADDRESSES_MAX)
		reader_fail(value, ERR_MALFORMED);
	else
		addresses->list[addresses->count++] = read_addr(value);
}

static bool take_login_request(void *message, uint8_t type, struct reader *value)
{
	struct login_request *m = message;

	switch (type) {
	case FIELD_ROLE: m->role = read_u8(value); return true;
	case FIELD_SECRET: read_bytes(value, m->secret, JOIN_SECRET_SIZE); return true;
	case FIELD_IDENTITY_KEY: read_bytes(value, m->identity_key, KEY_SIZE); return true;
	case FIELD_STATIC_KEY: read_bytes(value, m->static_key, KEY_SIZE); return true;
	case FIELD_WISH: read_text_rest(value, m->name, NAME_MAX_SIZE); return true;
	case FIELD_SERVER_ADDRESS: take_address(&m->addresses, value); return true;
	case FIELD_PROOF: read_bytes(value, m->proof, SIGNATURE_SIZE); return true;
	default: return false;
	}
}

/* Secret, wish and proof are the account server's to judge. */
enum err login_request_decode(struct reader *r, struct login_request *ret)
{
	static const struct field_rules rules = {
		.mandatory = 1ull << FIELD_ROLE | 1ull << FIELD_SECRET | 1ull << FIELD_IDENTITY_KEY |
			     1ull << FIELD_STATIC_KEY | 1ull << FIELD_PROOF,
		.repeatable = 1ull << FIELD_SERVER_ADDRESS,
		.take = take_login_request,
	};
	struct login_request m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK && m.role > ROLE_EXIT)
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = m;
	return err;
}

/* Servers have no certificate: they are listed in the network document. */
void login_response_encode(const struct login_response *m, struct writer *w)
{
	size_t begun = frame_begin(w, FRAME_LOGIN_RESPONSE);

	if (m->certificate_size)
		field_put_bytes(w, FIELD_CERTIFICATE, m->certificate, m->certificate_size);
	field_put_bytes(w, FIELD_NETWORK, m->network, m->network_size);
	field_put_unknown(w, (uint32_t)m->network_size);
	frame_end(w, begun);
}

static void take_copy(struct reader *value, uint8_t *ret, size_t max, size_t *ret_size)
{
	struct blob blob = read_blob_rest(value, max);

	if (blob.size == 0) {
		reader_fail(value, ERR_MALFORMED);
		return;
	}
	memcpy(ret, blob.data, blob.size);
	*ret_size = blob.size;
}

static bool take_login_response(void *message, uint8_t type, struct reader *value)
{
	struct login_response *m = message;

	switch (type) {
	case FIELD_CERTIFICATE:
		take_copy(value, m->certificate, CERTIFICATE_MAX_SIZE, &m->certificate_size);
		return true;
	case FIELD_NETWORK: take_copy(value, m->network, NETWORK_MAX_SIZE, &m->network_size); return true;
	default: return false;
	}
}

/* The documents are copied, not looked into. */
enum err login_response_decode(struct reader *r, struct login_response *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_NETWORK, .take = take_login_response};
	struct login_response m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}

/* A code for programs, a line for people. */
void login_refusal_encode(const struct login_refusal *m, struct writer *w)
{
	size_t begun = frame_begin(w, FRAME_REFUSAL);

	field_put_u8(w, FIELD_REASON, m->reason);
	field_put_text(w, FIELD_TEXT, m->text);
	field_put_unknown(w, m->reason);
	frame_end(w, begun);
}

static bool take_login_refusal(void *message, uint8_t type, struct reader *value)
{
	struct login_refusal *m = message;

	switch (type) {
	case FIELD_REASON: m->reason = read_u8(value); return true;
	case FIELD_TEXT: read_text_rest(value, m->text, sizeof m->text - 1); return true;
	default: return false;
	}
}

/* The text is printable, whoever wrote it: it goes to a terminal. */
enum err login_refusal_decode(struct reader *r, struct login_refusal *ret)
{
	static const struct field_rules rules = {.mandatory = 1ull << FIELD_REASON, .take = take_login_refusal};
	struct login_refusal m = {0};
	uint64_t seen;
	enum err err = fields_decode(r, &rules, &m, &seen);

	if (err == OK)
		*ret = m;
	return err;
}
