/* inner.c: packets of a TUN or of a peer. Whatever parses lies inside its bytes, and an ICMP answer to it parses too.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/inner.h"

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_icmp(const uint8_t *bytes, size_t size, uint16_t mtu)
{
	uint8_t answer[INNER_ICMP_MAX];
	size_t answer_size = inner_icmp_error(bytes, size, mtu, answer);
	struct inner inner;

	require(answer_size <= sizeof answer);
	require(answer_size == 0 ||
		(inner_parse(answer, answer_size, &inner) == OK && inner.total_size == answer_size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inner inner;
	uint8_t *copy;
	size_t header_size;

	if (inner_parse(data, size, &inner) != OK)
		return 0;
	require(inner.total_size <= size && inner.network_size <= inner.total_size);
	header_size = inner_header_size(&inner, data);
	require(header_size <= inner.total_size);
	check_icmp(data, size, 1280);
	check_icmp(data, size, 0);
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	if (inner_parse(copy, size, &inner) != OK)
		abort();
	inner_fix_network_checksum(copy, &inner);
	if (header_size)
		inner_complete_checksum(copy, &inner);
	free(copy);
	return 0;
}
