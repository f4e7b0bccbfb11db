#include "wire/credential.h"
#include "wire/field.h"

/* Layout: docs/protocol.md, documents. */
void lease_encode(const struct lease *lease, struct writer *w)
{
	write_u8(w, DOCUMENT_LEASE);
	write_u8(w, DOCUMENT_VERSION);
	write_bytes(w, lease->id.bytes, NODE_ID_SIZE);
	write_ip(w, &lease->v4);
	write_ip(w, &lease->v6);
	write_u64(w, lease->epoch);
	write_u64(w, lease->issued_s);
	write_u64(w, lease->not_after_s);
	write_bytes(w, lease->coordinator_key, KEY_SIZE);
	write_bytes(w, lease->signature, SIGNATURE_SIZE);
}

/* IPv4 is the scarce one and may be missing; IPv6 follows from the NodeID and is always there. */
static void read_addresses(struct reader *r, struct lease *lease)
{
	struct reader ahead = *r;

	if (read_u8(&ahead) == 0)
		*r = ahead;
	else
		lease->v4 = read_ip(r);
	lease->v6 = read_ip(r);
	if (lease->v4.family == 6 || lease->v6.family != 6)
		reader_fail(r, ERR_MALFORMED);
}

/* Bytes only: whether it holds is lease_judge's affair. */
enum err lease_decode(struct reader *r, struct lease *ret)
{
	struct lease lease = {0};
	enum err err;

	if (read_u8(r) != DOCUMENT_LEASE || read_u8(r) != DOCUMENT_VERSION)
		reader_fail(r, ERR_MALFORMED);
	read_bytes(r, lease.id.bytes, NODE_ID_SIZE);
	read_addresses(r, &lease);
	lease.epoch = read_u64(r);
	lease.issued_s = read_u64(r);
	lease.not_after_s = read_u64(r);
	read_bytes(r, lease.coordinator_key, KEY_SIZE);
	read_bytes(r, lease.signature, SIGNATURE_SIZE);
	if (lease.not_after_s < lease.issued_s)
		reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = lease;
	return err;
}
