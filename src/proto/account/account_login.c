#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/account/account_state.h"
#include "proto/session/trust.h"

static const char proof_label[] = "ntm login";

/* One login being judged. */
struct attempt {
	struct account *account;
	struct time_us now;
	uint64_t now_s;
	const struct login_request *request;
	struct account_code *code; /* NULL: a renewal */
	struct account_pending *answer;
};

/* One text on both sides of the wire. */
void account_proof_text(uint8_t role, const uint8_t exporter[ACCOUNT_EXPORTER_SIZE], const uint8_t static_key[KEY_SIZE],
			const uint8_t identity_key[KEY_SIZE], uint8_t ret[ACCOUNT_PROOF_TEXT_SIZE])
{
	struct writer w = writer_over(ret, ACCOUNT_PROOF_TEXT_SIZE);

	_Static_assert(ACCOUNT_PROOF_TEXT_SIZE == sizeof(proof_label) - 1 + 1 + ACCOUNT_EXPORTER_SIZE + 2 * KEY_SIZE,
		       "size");
	write_bytes(&w, proof_label, sizeof(proof_label) - 1);
	write_u8(&w, role);
	write_bytes(&w, exporter, ACCOUNT_EXPORTER_SIZE);
	write_bytes(&w, static_key, KEY_SIZE);
	write_bytes(&w, identity_key, KEY_SIZE);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	uint8_t any = 0;

	for (size_t i = 0; i < size; i++)
		any |= bytes[i];
	return any == 0;
}

static const char *role_text(uint8_t role)
{
	static const char *const texts[] = {"a device", "a coordinator", "a relay", "an exit"};

	return role <= ROLE_EXIT ? texts[role] : "nobody";
}

static __attribute__((format(printf, 3, 4))) uint8_t refuse(struct attempt *a, uint8_t reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(a->answer->text, sizeof(a->answer->text), format, args);
	va_end(args);
	a->answer->reason = reason;
	return reason;
}

static uint8_t check_proof(struct attempt *a, const uint8_t exporter[ACCOUNT_EXPORTER_SIZE])
{
	const struct login_request *request = a->request;
	uint8_t text[ACCOUNT_PROOF_TEXT_SIZE];

	account_proof_text(request->role, exporter, request->static_key, request->identity_key, text);
	if (request->role > ROLE_EXIT || is_zero(request->static_key, KEY_SIZE) ||
	    sign_verify(request->identity_key, text, sizeof(text), request->proof) != OK)
		return refuse(a, LOGIN_BAD_PROOF, "the proof of the identity key does not verify");
	return 0;
}

/* Whoever is admitted by a code that is not theirs already: unknown, used and expired are told apart. */
static uint8_t check_code(struct attempt *a)
{
	const struct account_code *code = a->code;

	if (code->uses >= code->uses_max)
		return refuse(a, LOGIN_USED_CODE, "this join code has been used; ask for another (ntm invite)");
	if (a->now_s >= code->expires_s)
		return refuse(a, LOGIN_EXPIRED_CODE, "this join code has expired; ask for another (ntm invite)");
	return 0;
}

static void count_use(struct attempt *a)
{
	a->code->uses++;
	account_touch(a->account, &a->code->entry);
}

/* The only way to that group: a code that was made for an exit. What a request calls itself gives nothing. */
static void grant_role(struct attempt *a, struct account_node *node)
{
	static const char group[] = "exit";
	struct certificate *certificate = &node->certificate;

	if (!a->code || a->code->role != ROLE_EXIT)
		return;
	certificate->group_count = 1;
	memcpy(certificate->groups[0], group, sizeof(group));
}

/* Signs what the certificate says by now. */
static void certify(struct attempt *a, struct account_node *node)
{
	struct account *account = a->account;
	struct certificate *certificate = &node->certificate;

	certificate->serial = ++account->meta.serial;
	memcpy(certificate->static_key, a->request->static_key, KEY_SIZE);
	certificate->not_before_s = a->now_s > CERTIFICATE_SKEW_S ? a->now_s - CERTIFICATE_SKEW_S : 0;
	certificate->not_after_s = a->now_s + account->config.certificate_valid_s;
	certificate_sign(certificate, &account->config.authority);
	account_touch(account, &account->meta.entry);
	account_touch(account, &node->entry);
}

static uint8_t choose_label(struct attempt *a, const char *zone, char ret[NAME_MAX_SIZE + 1])
{
	struct account *account = a->account;
	const struct account_code *code = a->code;
	const char *wished = code->name[0] ? code->name : a->request->name;
	bool may_derive = wished[0] == '\0' || (code->name[0] && code->uses_max > 1);
	char fqdn[FQDN_MAX_SIZE + 1];

	if (wished[0] == '\0')
		wished = "node";
	if (!account_label_is_valid(wished))
		return refuse(a, LOGIN_BAD_NAME,
			      "a name is 1 to 63 of a-z, 0-9 and inner hyphens; choose another with --name");
	if (may_derive) {
		if (account_name_derive(account, wished, zone, ret) != OK)
			return refuse(a, LOGIN_FULL, "no free name is left; choose one with --name");
		return 0;
	}
	if (account_name_join(wished, zone, fqdn) != OK)
		return refuse(a, LOGIN_BAD_NAME, "the name is too long for this zone; choose another with --name");
	if (account_name_is_taken(account, fqdn))
		return refuse(a, LOGIN_NAME_TAKEN, "the name %.63s is taken; choose another with --name", wished);
	memcpy(ret, wished, strlen(wished) + 1);
	return 0;
}

static uint8_t admit_new_node(struct attempt *a, const struct node_id *id)
{
	struct account *account = a->account;
	const char *zone = a->code->zone[0] ? a->code->zone : account->meta.zone;
	char label[NAME_MAX_SIZE + 1];
	uint8_t reason = choose_label(a, zone, label);
	struct account_node *node;

	if (reason)
		return reason;
	node = mem_alloc(1, sizeof(*node));
	node->entry.table = RECORD_NODE;
	node->joined_s = a->now_s;
	memcpy(node->code_hash, a->code->hash, HASH_SIZE);
	node->certificate.id = *id;
	memcpy(node->certificate.identity_key, a->request->identity_key, KEY_SIZE);
	memcpy(node->certificate.account, "local", sizeof("local"));
	if (account_name_join(label, zone, node->certificate.fqdn) != OK || account_add_node(account, node) != OK) {
		mem_free(node);
		return refuse(a, LOGIN_FULL, "this network is full (%u devices)", account->nodes_max);
	}
	grant_role(a, node);
	certify(a, node);
	count_use(a);
	a->answer->node = node;
	return 0;
}

/* A device keeps one name for life: a known one gets a fresh certificate under the name it has. */
static uint8_t admit_known_node(struct attempt *a, struct account_node *node)
{
	bool is_same_code = a->code && memcmp(node->code_hash, a->code->hash, HASH_SIZE) == 0;
	uint8_t reason;

	if (node->revoked_s)
		return refuse(a, LOGIN_REVOKED,
			      "this device has been revoked; remove its state directory to join as a new one");
	a->answer->node = node;
	a->answer->is_repeated = is_same_code;
	if (is_same_code && memcmp(node->certificate.static_key, a->request->static_key, KEY_SIZE) == 0)
		return 0;
	if (a->code && !is_same_code) {
		reason = check_code(a);
		if (reason)
			return reason;
		memcpy(node->code_hash, a->code->hash, HASH_SIZE);
		count_use(a);
		grant_role(a, node);
	}
	certify(a, node);
	return 0;
}

static uint8_t admit_node(struct attempt *a)
{
	struct node_id id = node_id_of(a->request->identity_key);
	struct account_node *node = account_find_node(a->account, &id);
	uint8_t reason;

	if (node)
		return admit_known_node(a, node);
	if (!a->code)
		return refuse(a, LOGIN_BAD_CODE, "this device is not known here; join with a code (ntm up CODE)");
	reason = check_code(a);
	return reason ? reason : admit_new_node(a, &id);
}

static bool addresses_are_usable(const struct server_addresses *addresses)
{
	if (addresses->count == 0 || addresses->count > SERVER_ADDRESSES_MAX)
		return false;
	for (uint8_t i = 0; i < addresses->count; i++)
		if (!addr_is_set(&addresses->list[i]) || addresses->list[i].port == 0)
			return false;
	return true;
}

static uint8_t admit_known_server(struct attempt *a, struct account_server_entry *server)
{
	const struct login_request *request = a->request;

	if (server->role != request->role || memcmp(server->sign_key, request->identity_key, KEY_SIZE) != 0)
		return refuse(a, LOGIN_BAD_PROOF, "this key belongs to another server");
	if (server->revoked_s)
		return refuse(a, LOGIN_REVOKED,
			      "this server has been revoked; remove its state directory to join as a new one");
	a->answer->is_repeated = a->code && memcmp(server->code_hash, a->code->hash, HASH_SIZE) == 0;
	if (a->code && !a->answer->is_repeated) {
		uint8_t reason = check_code(a);

		if (reason)
			return reason;
		memcpy(server->code_hash, a->code->hash, HASH_SIZE);
		account_touch(a->account, &server->entry);
		count_use(a);
	}
	account_update_server(a->account, a->now, server, &request->addresses);
	memcpy(a->answer->fqdn, server->name, strlen(server->name) + 1);
	return 0;
}

static uint8_t admit_new_server(struct attempt *a)
{
	const struct login_request *request = a->request;
	struct account_server_entry *server = NULL;
	struct account_server_wish wish = {
		.role = request->role,
		.name = a->code->name[0] ? a->code->name : request->name,
		.static_key = request->static_key,
		.sign_key = request->identity_key,
		.code_hash = a->code->hash,
		.addresses = &request->addresses,
		.is_named_by_code = a->code->name[0] != '\0',
	};

	switch (account_enter_server(a->account, a->now, &wish, &server)) {
	case 0: break;
	case LOGIN_NAME_TAKEN:
		return refuse(a, LOGIN_NAME_TAKEN, "%.100s is served or taken already; choose another name or zone",
			      wish.name[0] ? wish.name : a->account->meta.zone);
	case LOGIN_BAD_NAME:
		return refuse(a, LOGIN_BAD_NAME, "not a usable name or zone; zones must lie below %.80s",
			      a->account->meta.zone);
	default:
		return refuse(a, LOGIN_FULL, "no room for another server: too many, or no free piece of the IPv4 pool");
	}
	count_use(a);
	memcpy(a->answer->fqdn, server->name, strlen(server->name) + 1);
	return 0;
}

static uint8_t admit_server(struct attempt *a)
{
	struct account_server_entry *server = account_find_server(a->account, a->request->static_key);
	uint8_t reason;

	if (!addresses_are_usable(&a->request->addresses))
		return refuse(a, LOGIN_BAD_NAME, "a server must tell its addresses (--advertise)");
	if (server)
		return admit_known_server(a, server);
	if (!a->code)
		return refuse(a, LOGIN_BAD_CODE, "this server is not known here; join with a code (--join CODE)");
	reason = check_code(a);
	return reason ? reason : admit_new_server(a);
}

static uint8_t judge(struct attempt *a, const uint8_t exporter[ACCOUNT_EXPORTER_SIZE])
{
	const struct login_request *request = a->request;
	uint8_t hash[HASH_SIZE], reason = check_proof(a, exporter);

	if (reason)
		return reason;
	if (!is_zero(request->secret, JOIN_SECRET_SIZE)) {
		account_hash_secret(request->secret, hash);
		a->code = account_find_code(a->account, hash);
		if (!a->code)
			return refuse(a, LOGIN_BAD_CODE,
				      "this join code is not known here; ask for another (ntm invite)");
		if (a->code->role != request->role)
			return refuse(a, LOGIN_BAD_CODE, "this join code is for %s, not for %s",
				      role_text(a->code->role), role_text(request->role));
	}
	return request->role == ROLE_NODE || request->role == ROLE_EXIT ? admit_node(a) : admit_server(a);
}

/* Judges at once, so that a code is used up before anybody else is looked at; the answer waits for the disk. */
enum err account_login(struct account *account, struct time_us now, uint64_t token, const struct login_request *request,
		       const uint8_t exporter[ACCOUNT_EXPORTER_SIZE])
{
	struct account_counters *counters = &account->counters;
	struct account_pending *answer;
	struct attempt attempt = {
		.account = account, .now = now, .now_s = account_wall_s(account, now), .request = request};
	uint8_t reason;

	if (account->answer_count == ACCOUNT_ANSWERS_MAX)
		return ERR_FULL;
	answer = &account->answers[(account->answer_first + account->answer_count++) % ACCOUNT_ANSWERS_MAX];
	*answer = (struct account_pending){.token = token, .role = request->role};
	attempt.answer = answer;
	reason = judge(&attempt, exporter);
	if (reason)
		counters->refused[reason < sizeof(counters->refused) / sizeof(counters->refused[0]) ? reason : 0]++;
	else if (answer->is_repeated)
		counters->repeated++;
	else if (!attempt.code)
		counters->renewals++;
	else
		counters->logins++;
	answer->change = account->changes;
	return OK;
}
