/* One target per codec: FUZZ_CODEC names it. What decodes must encode, and come back as it was. */
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "fuzz.h"

static void require(bool condition)
{
	if (!condition)
		abort();
}

static size_t encode(const struct codec *codec, const void *message, uint8_t bytes[CODEC_BYTES_MAX])
{
	struct writer w = writer_over(bytes, CODEC_BYTES_MAX);
	size_t size = 0;

	codec->encode(message, &w);
	require(writer_finish(&w, &size) == OK);
	return size;
}

/* An error leaves the output as it was; success survives being encoded and decoded again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t first[CODEC_MESSAGE_MAX], second[CODEC_MESSAGE_MAX], a[CODEC_BYTES_MAX], b[CODEC_BYTES_MAX];
	const struct codec *codec = codec_find(FUZZ_CODEC);
	struct reader r = reader_over(data, size);
	size_t a_size, b_size;

	require(codec && codec->message_size <= CODEC_MESSAGE_MAX);
	memset(first, 0xaa, codec->message_size);
	if (codec->decode(&r, first) != OK) {
		for (size_t i = 0; i < codec->message_size; i++)
			require(first[i] == 0xaa);
		return 0;
	}
	a_size = encode(codec, first, a);
	require(!codec->is_canonical || (a_size == size && memcmp(a, data, size) == 0));
	r = reader_over(a, a_size);
	require(codec->decode(&r, second) == OK);
	b_size = encode(codec, second, b);
	require(a_size == b_size && memcmp(a, b, a_size) == 0);
	return 0;
}
