#include <string.h>

#include "wire/credential.h"
#include "wire/field.h"

/* Layout: docs/protocol.md, documents. */
void certificate_encode(const struct certificate *certificate, struct writer *w)
{
	write_u8(w, DOCUMENT_CERTIFICATE);
	write_u8(w, DOCUMENT_VERSION);
	write_u64(w, certificate->serial);
	write_bytes(w, certificate->id.bytes, NODE_ID_SIZE);
	write_bytes(w, certificate->identity_key, KEY_SIZE);
	write_bytes(w, certificate->static_key, KEY_SIZE);
	write_text(w, certificate->fqdn);
	write_text(w, certificate->account);
	write_u8(w, certificate->group_count);
	for (uint8_t i = 0; i < certificate->group_count && i < GROUPS_MAX; i++)
		write_text(w, certificate->groups[i]);
	write_u64(w, certificate->not_before_s);
	write_u64(w, certificate->not_after_s);
	write_bytes(w, certificate->signature, SIGNATURE_SIZE);
}

/* Ascending order makes a set of groups have one encoding. */
static void read_groups(struct reader *r, struct certificate *certificate)
{
	uint8_t count = read_u8(r);

	if (count > GROUPS_MAX) {
		reader_fail(r, ERR_MALFORMED);
		return;
	}
	certificate->group_count = count;
	for (uint8_t i = 0; i < count; i++) {
		read_text(r, certificate->groups[i], GROUP_MAX_SIZE);
		if (certificate->groups[i][0] == '\0' ||
		    (i > 0 && strcmp(certificate->groups[i - 1], certificate->groups[i]) >= 0))
			reader_fail(r, ERR_MALFORMED);
	}
}

/* Bytes only: whether it holds is certificate_judge's affair. */
enum err certificate_decode(struct reader *r, struct certificate *ret)
{
	struct certificate certificate = {0};
	enum err err;

	if (read_u8(r) != DOCUMENT_CERTIFICATE || read_u8(r) != DOCUMENT_VERSION)
		reader_fail(r, ERR_MALFORMED);
	certificate.serial = read_u64(r);
	read_bytes(r, certificate.id.bytes, NODE_ID_SIZE);
	read_bytes(r, certificate.identity_key, KEY_SIZE);
	read_bytes(r, certificate.static_key, KEY_SIZE);
	read_name(r, certificate.fqdn, FQDN_MAX_SIZE);
	read_text(r, certificate.account, ACCOUNT_MAX_SIZE);
	read_groups(r, &certificate);
	certificate.not_before_s = read_u64(r);
	certificate.not_after_s = read_u64(r);
	read_bytes(r, certificate.signature, SIGNATURE_SIZE);
	if (certificate.not_after_s < certificate.not_before_s)
		reader_fail(r, ERR_MALFORMED);
	err = reader_finish(r);
	if (err == OK)
		*ret = certificate;
	return err;
}
