#include <string.h>

#include "wire/body.h"
#include "wire/credential.h"

enum { CERTIFICATE_VERSION = 1 };

/* Signature last, over all before it. */
void certificate_encode(const struct certificate *c, struct writer *w)
{
	write_u8(w, DOCUMENT_CERTIFICATE);
	write_u8(w, CERTIFICATE_VERSION);
	write_u64(w, c->serial);
	write_bytes(w, c->id.bytes, NODE_ID_SIZE);
	write_bytes(w, c->identity_key, KEY_SIZE);
	write_bytes(w, c->static_key, KEY_SIZE);
	write_text(w, c->fqdn);
	write_text(w, c->account);
	write_u8(w, c->group_count);
	for (int i = 0; i < c->group_count; i++)
		write_text(w, c->groups[i]);
	write_u64(w, c->not_before_s);
	write_u64(w, c->not_after_s);
	write_bytes(w, c->signature, SIGNATURE_SIZE);
}

/* Strictly ascending: one encoding per set (T14). */
static void read_groups(struct reader *r, struct certificate *c)
{
	c->group_count = read_u8(r);
	if (c->group_count > GROUPS_MAX)
		reader_fail(r, ERR_MALFORMED);
	for (int i = 0; i < c->group_count && r->err == OK; i++) {
		read_text(r, c->groups[i], GROUP_MAX_SIZE);
		if (c->groups[i][0] == '\0' || (i > 0 && strcmp(c->groups[i - 1], c->groups[i]) >= 0))
			reader_fail(r, ERR_MALFORMED);
	}
}

/* Shape only: trust.h judges. */
enum err certificate_decode(struct reader *r, struct certificate *ret)
{
	struct certificate c = {0};
	enum err err;

	if (read_u8(r) != DOCUMENT_CERTIFICATE || read_u8(r) != CERTIFICATE_VERSION)
		reader_fail(r, ERR_MALFORMED);
	c.serial = read_u64(r);
	read_bytes(r, c.id.bytes, NODE_ID_SIZE);
	read_bytes(r, c.identity_key, KEY_SIZE);
	read_bytes(r, c.static_key, KEY_SIZE);
	read_text(r, c.fqdn, FQDN_MAX_SIZE);
	read_text(r, c.account, ACCOUNT_MAX_SIZE);
	read_groups(r, &c);
	c.not_before_s = read_u64(r);
	c.not_after_s = read_u64(r);
	read_bytes(r, c.signature, SIGNATURE_SIZE);
	err = reader_finish(r);
	if (err == OK && (c.fqdn[0] == '\0' || !text_is_name(c.fqdn) || c.not_after_s < c.not_before_s))
		err = ERR_MALFORMED;
	if (err == OK)
		*ret = c;
	return err;
}
