/* What is kept of a peer's certificate after it has been judged: a fifth of it. */
#include <string.h>

#include "base/mem.h"
#include "proto/node/machine.h"

static char *append(char *at, const char *text)
{
	size_t size = strlen(text) + 1;

	memcpy(at, text, size);
	return at + size;
}

static const char *next_of(const char *text)
{
	return text + strlen(text) + 1;
}

/* To be freed. */
struct peer_identity *peer_identity_create(const struct certificate *certificate)
{
	size_t size = strlen(certificate->fqdn) + 1 + strlen(certificate->account) + 1;
	struct peer_identity *identity;
	char *at;

	for (uint8_t i = 0; i < certificate->group_count; i++)
		size += strlen(certificate->groups[i]) + 1;
	identity = mem_alloc(1, sizeof *identity + size);
	identity->serial = certificate->serial;
	identity->not_before_s = certificate->not_before_s;
	identity->not_after_s = certificate->not_after_s;
	memcpy(identity->static_key, certificate->static_key, KEY_SIZE);
	identity->group_count = certificate->group_count;
	at = append(identity->text, certificate->fqdn);
	at = append(at, certificate->account);
	for (uint8_t i = 0; i < certificate->group_count; i++)
		at = append(at, certificate->groups[i]);
	return identity;
}

/* As it was, but for what only a judge needs. */
void peer_identity_fill(const struct peer *peer, struct certificate *ret)
{
	const struct peer_identity *identity = peer->identity;
	const char *at = identity->text;

	*ret = (struct certificate){
		.serial = identity->serial,
		.id = peer->id,
		.not_before_s = identity->not_before_s,
		.not_after_s = identity->not_after_s,
		.group_count = identity->group_count,
	};
	memcpy(ret->static_key, identity->static_key, KEY_SIZE);
	(void)append(ret->fqdn, at);
	at = next_of(at);
	(void)append(ret->account, at);
	for (uint8_t i = 0; i < identity->group_count; i++) {
		at = next_of(at);
		(void)append(ret->groups[i], at);
	}
}

/* The account server's word. */
bool peer_is_in_group(const struct peer *peer, const char *group)
{
	const char *at = next_of(peer->identity->text);

	for (uint8_t i = 0; i < peer->identity->group_count; i++) {
		at = next_of(at);
		if (strcmp(at, group) == 0)
			return true;
	}
	return false;
}

/* Contract in the header. */
void peer_get_fqdn(const struct peer *peer, char ret[FQDN_MAX_SIZE + 1])
{
	(void)append(ret, peer->identity->text);
}
