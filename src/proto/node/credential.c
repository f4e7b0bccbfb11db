/* What the account server gives anew while the node runs: its certificate, the network document. */
#include <string.h>

#include "proto/node/machine.h"

static bool is_same_device(const struct node *node, const struct certificate *certificate)
{
	const struct certificate *own = &node->certificate;

	return node_id_equal(&certificate->id, &own->id) &&
	       memcmp(certificate->identity_key, own->identity_key, KEY_SIZE) == 0 &&
	       memcmp(certificate->static_key, own->static_key, KEY_SIZE) == 0 &&
	       strcmp(certificate->fqdn, own->fqdn) == 0; /* names are for life */
}

/* Validity is what it is fetched for, so by no clock of ours. */
enum err node_input_certificate(struct node *node, struct time_us now, struct blob encoded)
{
	struct certificate certificate;
	enum err err;

	node_enter(node, now);
	err = certificate_judge(encoded, node->authority, 0, &certificate);
	if (err == OK && (encoded.size > sizeof node->certificate_bytes || !is_same_device(node, &certificate)))
		err = ERR_DENIED;
	if (err == OK && certificate.serial <= node->certificate.serial)
		err = ERR_REPLAY;
	if (err != OK)
		return err;
	node->certificate = certificate;
	memcpy(node->certificate_bytes, encoded.data, encoded.size);
	node->certificate_size = encoded.size;
	if (node->local_count > 0)
		link_register(node, node->now);
	return OK;
}

/* A coordinator that has another address by now is looked for there. */
void node_input_network(struct node *node, struct time_us now, const struct network *network)
{
	node_enter(node, now);
	if (document_take(node, node->now, network) && !node->link.up && node->local_count > 0)
		link_register(node, node->now);
}

/* A copy would be stale after the next renewal. */
const struct certificate *node_get_certificate(const struct node *node)
{
	return &node->certificate;
}
