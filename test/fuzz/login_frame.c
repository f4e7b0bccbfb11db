/* login_frame.c: a stream of frames. Whatever is found lies inside the input, and a stream that needs more stays that
 * way. */
#include <stdlib.h>

#include "fuzz.h"
#include "wire/login.h"

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Both kinds of bodies may arrive under any type: all decoders get them. */
static void decode_body(struct blob body)
{
	static struct login_response response;
	struct reader r = reader_over(body.data, body.size);
	struct login_request request;
	struct login_refusal refusal;

	if (login_request_decode(&r, &request) == OK)
		require(request.role <= ROLE_RELAY && request.addresses.count <= SERVER_ADDRESSES_MAX);
	r = reader_over(body.data, body.size);
	if (login_response_decode(&r, &response) == OK)
		require(response.network_size <= NETWORK_MAX_SIZE && response.certificate_size <= CERTIFICATE_MAX_SIZE);
	r = reader_over(body.data, body.size);
	(void)!login_refusal_decode(&r, &refusal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	while (at < size) {
		size_t consumed = 0;
		struct blob body = {0};
		uint8_t type;
		enum err err = login_frame_next(data + at, size - at, &type, &body, &consumed);

		require(err == OK || err == ERR_TRUNCATED || err == ERR_MALFORMED);
		if (err != OK)
			break;
		require(consumed > 4 && consumed <= LOGIN_FRAME_MAX && consumed <= size - at);
		require(body.data >= data + at && body.data + body.size == data + at + consumed);
		require(login_frame_next(data + at, consumed - 1, &type, &body, &consumed) == ERR_TRUNCATED);
		decode_body(body);
		at += consumed;
	}
	return 0;
}
