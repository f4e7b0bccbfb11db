#include "cmd/portmap_pcp.h"

#include <string.h>

#include "base/cursor.h"

enum {
	PCP_VERSION = 2,
	PCP_OPCODE_MAP = 1,
	PCP_IS_ANSWER = 0x80,
	PCP_UDP = 17,
	PCP_HEADER_SIZE = 24,
	PCP_IP_SIZE = 16
};

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

static void write_mapped_ip(struct writer *w, const struct ip *ip)
{
	static const uint8_t any[4];

	write_bytes(w, v4_mapped, sizeof v4_mapped);
	write_bytes(w, ip->family == 4 ? ip->bytes : any, 4);
}

/* Without options: a port that is taken gets us another one, which is as good. */
void pcp_map_encode(const struct pcp_map *map, uint8_t ret[PCP_MAP_SIZE])
{
	struct writer w = writer_over(ret, PCP_MAP_SIZE);

	write_u8(&w, PCP_VERSION);
	write_u8(&w, PCP_OPCODE_MAP);
	write_u16(&w, 0);
	write_u32(&w, map->lifetime_s);
	write_mapped_ip(&w, &map->client);
	write_bytes(&w, map->nonce, sizeof map->nonce);
	write_u8(&w, PCP_UDP);
	write_zeros(&w, 3);
	write_u16(&w, map->port);
	write_u16(&w, map->external.port);
	write_mapped_ip(&w, &map->external.ip);
}

/* A server that knows only NAT-PMP answers in its own words: version 0, and eight bytes. */
static enum err judge_header(const uint8_t *bytes, size_t size)
{
	if (size < 4 || !(bytes[1] & PCP_IS_ANSWER))
		return ERR_MALFORMED;
	if (bytes[0] == 0)
		return ERR_UNSUPPORTED;
	if (bytes[0] != PCP_VERSION || bytes[1] != (PCP_IS_ANSWER | PCP_OPCODE_MAP) || size < PCP_MAP_SIZE)
		return ERR_MALFORMED;
	return OK;
}

/* The nonce is what tells our answer from a stranger's. */
enum err pcp_answer_decode(const void *bytes, size_t size, const struct pcp_map *asked, struct pcp_map *ret)
{
	struct reader r = reader_over(bytes, size);
	struct pcp_map map = *asked;
	uint8_t nonce[PORTMAP_NONCE_SIZE], skipped[PCP_HEADER_SIZE], ip[PCP_IP_SIZE], protocol, result;
	uint16_t port;
	enum err err = judge_header(bytes, size);

	if (err != OK)
		return err;
	read_bytes(&r, skipped, 3);
	result = read_u8(&r);
	map.lifetime_s = read_u32(&r);
	read_bytes(&r, skipped, 4 + 12); /* epoch, reserved */
	read_bytes(&r, nonce, sizeof nonce);
	protocol = read_u8(&r);
	read_bytes(&r, skipped, 3);
	port = read_u16(&r);
	map.external.port = read_u16(&r);
	read_bytes(&r, ip, sizeof ip);
	if (memcmp(nonce, asked->nonce, sizeof nonce) != 0 || protocol != PCP_UDP || port != asked->port)
		return ERR_MALFORMED;
	if (result != 0 || memcmp(ip, v4_mapped, sizeof v4_mapped) != 0)
		return ERR_DENIED;
	map.external.ip = ip_from_bytes(4, ip + sizeof v4_mapped);
	*ret = map;
	return OK;
}
