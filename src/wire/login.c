#include "wire/login.h"

#include <string.h>

#include "wire/body.h"

/* u32 length of what follows the length, then the type. The hole is filled when the body is known. */
static size_t frame_begin(struct writer *w, uint8_t type)
{
	size_t at = w->at;

	write_u32(w, 0);
	write_u8(w, type);
	return at;
}

static void frame_end(struct writer *w, size_t begun)
{
	size_t size = w->at - begun - 4;

	if (w->err != OK)
		return;
	write_u16_at(w, begun, (uint16_t)(size >> 16));
	write_u16_at(w, begun + 2, (uint16_t)size);
}

/* Too large a length is refused before anything of it is buffered. */
enum err login_frame_next(const uint8_t *data, size_t size, uint8_t *ret_type, struct blob *ret_body, size_t *ret_consumed)
{
	struct reader r = reader_over(data, size);
	uint32_t length = read_u32(&r);

	if (r.err != OK)
		return ERR_TRUNCATED;
	if (length == 0 || length > LOGIN_FRAME_MAX)
		return ERR_MALFORMED;
	if (reader_left(&r) < length)
		return ERR_TRUNCATED;
	*ret_type = read_u8(&r);
	*ret_body = read_blob(&r, length - 1);
	*ret_consumed = r.at;
	return OK;
}

/* Body as it is. */
void login_frame_encode(uint8_t type, struct blob body, struct writer *w)
{
	size_t begun = frame_begin(w, type);

	write_bytes(w, body.data, body.size);
	frame_end(w, begun);
}

/* A whole frame. */
void login_request_encode(const struct login_request *m, struct writer *w)
{
	size_t begun = frame_begin(w, FRAME_LOGIN_REQUEST);

	write_u8(w, PROTOCOL_VERSION);
	write_u8(w, m->role);
	write_bytes(w, m->secret, JOIN_SECRET_SIZE);
	write_bytes(w, m->identity_key, KEY_SIZE);
	write_bytes(w, m->static_key, KEY_SIZE);
	write_text(w, m->name);
	write_u8(w, m->addresses.count);
	for (int i = 0; i < m->addresses.count; i++)
		write_addr(w, &m->addresses.list[i]);
	write_bytes(w, m->proof, SIGNATURE_SIZE);
	frame_end(w, begun);
}

/* The body of a frame. */
enum err login_request_decode(struct reader *r, struct login_request *ret)
{
	struct login_request m = {0};
	enum err err;

	if (read_u8(r) != PROTOCOL_VERSION)
		reader_fail(r, ERR_MALFORMED);
	m.role = read_u8(r);
	read_bytes(r, m.secret, JOIN_SECRET_SIZE);
	read_bytes(r, m.identity_key, KEY_SIZE);
	read_bytes(r, m.static_key, KEY_SIZE);
	read_text(r, m.name, NAME_MAX_SIZE);
	m.addresses.count = read_u8(r);
	if (m.role > ROLE_RELAY || m.addresses.count > SERVER_ADDRESSES_MAX || !text_is_name(m.name))
		reader_fail(r, ERR_MALFORMED);
	for (int i = 0; r->err == OK && i < m.addresses.count; i++)
		m.addresses.list[i] = read_addr(r);
	read_bytes(r, m.proof, SIGNATURE_SIZE);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}

/* A whole frame. */
void login_response_encode(const struct login_response *m, struct writer *w)
{
	size_t begun = frame_begin(w, FRAME_LOGIN_RESPONSE);

	write_u16(w, (uint16_t)m->certificate_size);
	write_bytes(w, m->certificate, m->certificate_size);
	write_u16(w, (uint16_t)m->network_size);
	write_bytes(w, m->network, m->network_size);
	frame_end(w, begun);
}

static size_t read_document(struct reader *r, uint8_t *ret, size_t max)
{
	size_t size = read_u16(r);

	if (size > max) {
		reader_fail(r, ERR_MALFORMED);
		return 0;
	}
	read_bytes(r, ret, size);
	return size;
}

/* Decoded straight into *ret because of its size. */
enum err login_response_decode(struct reader *r, struct login_response *ret)
{
	ret->certificate_size = read_document(r, ret->certificate, sizeof ret->certificate);
	ret->network_size = read_document(r, ret->network, sizeof ret->network);
	return reader_finish(r);
}

/* A whole frame. */
void login_refusal_encode(const struct login_refusal *m, struct writer *w)
{
	size_t begun = frame_begin(w, FRAME_REFUSAL);

	write_u8(w, m->reason);
	write_text(w, m->text);
	frame_end(w, begun);
}

/* Only printable ASCII reaches a terminal. */
enum err login_refusal_decode(struct reader *r, struct login_refusal *ret)
{
	struct login_refusal m = {.reason = read_u8(r)};
	enum err err;

	read_text(r, m.text, sizeof m.text - 1);
	for (size_t i = 0; m.text[i]; i++)
		if (m.text[i] < ' ' || m.text[i] > '~')
			reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = m;
	return err;
}
