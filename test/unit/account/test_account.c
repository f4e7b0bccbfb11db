/* The account machine: who is admitted, who is refused and why, what survives a restart and a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/hash.h"
#include "proto/account/account.h"
#include "proto/session/trust.h"

enum { STORE_MAX = 8192, WALL_S = 1800000000 };

/* What a store would keep: the latest value of each key. */
struct store {
	struct record *records;
	size_t count;
};

struct fixture {
	struct account *account;
	struct store store;
	struct time_us now;
	uint64_t random;
};

static const uint8_t exporter[ACCOUNT_EXPORTER_SIZE] = "the exporter of this connection";

static void fill(void *ctx, void *bytes, size_t size)
{
	uint64_t *state = ctx;

	for (size_t i = 0; i < size; i++) {
		*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		((uint8_t *)bytes)[i] = (uint8_t)(*state >> 56);
	}
}

static void store_put(struct store *store, const struct record *record)
{
	size_t i = 0;

	while (i < store->count &&
	       (store->records[i].table != record->table || store->records[i].key_size != record->key_size ||
		memcmp(store->records[i].key, record->key, record->key_size) != 0))
		i++;
	assert_true(i < STORE_MAX);
	store->records[i] = *record;
	if (i == store->count)
		store->count++;
}

static void settle(struct fixture *f)
{
	struct record record;

	while (account_next_record(f->account, &record))
		store_put(&f->store, &record);
	account_records_durable(f->account);
}

static void start(struct fixture *f, uint64_t wall_s)
{
	struct account_config config = {.zone = "ntm.internal", .wall_s = wall_s};
	struct random_source random = {&f->random, fill};

	sign_keys_from_seed((const uint8_t[32]){7}, &config.authority);
	assert_int_equal(prefix_parse("198.18.0.0/15", &config.pool4), OK);
	assert_int_equal(prefix_parse("fd6e:746d::/32", &config.pool6), OK);
	f->account = account_create(&config, &random, f->now);
	for (size_t i = 0; i < f->store.count; i++)
		assert_int_equal(account_load(f->account, &f->store.records[i]), OK);
	assert_int_equal(account_start(f->account, f->now), OK);
}

static void restart(struct fixture *f)
{
	account_destroy(f->account);
	start(f, WALL_S + (uint64_t)(f->now.us / USEC_PER_SEC));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_true(crypto_init());
	f->store.records = calloc(STORE_MAX, sizeof(*f->store.records));
	f->random = 1;
	start(f, WALL_S);
	settle(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	account_destroy(f->account);
	free(f->store.records);
	free(f);
	return 0;
}

static struct server_addresses one_address(uint8_t last)
{
	return (struct server_addresses){.count = 1, .list = {{.ip = ip_v4(192, 0, 2, last), .port = 7367}}};
}

static struct join_code invite(struct fixture *f, uint8_t role, const char *name, uint32_t uses)
{
	struct account_invite wish = {.role = role, .uses = uses, .expires_in_s = 3600, .addresses = one_address(1)};
	struct join_code code;

	(void)snprintf(wish.name, sizeof(wish.name), "%s", name);
	assert_int_equal(account_invite(f->account, f->now, &wish, &code), OK);
	settle(f);
	return code;
}

static struct login_request request_of(uint32_t device, uint8_t role, const char *name, const uint8_t *secret)
{
	struct login_request request = {.role = role,
					.addresses = role == ROLE_NODE ? (struct server_addresses){0} : one_address(9)};
	struct sign_keys keys;
	struct dh_keys static_keys;
	uint8_t seed[32] = {1}, text[ACCOUNT_PROOF_TEXT_SIZE];

	memcpy(seed + 1, &device, sizeof(device));
	sign_keys_from_seed(seed, &keys);
	dh_keys_from_seed(seed, &static_keys);
	memcpy(request.identity_key, keys.public, KEY_SIZE);
	memcpy(request.static_key, static_keys.public, KEY_SIZE);
	if (secret)
		memcpy(request.secret, secret, JOIN_SECRET_SIZE);
	(void)snprintf(request.name, sizeof(request.name), "%s", name);
	account_proof_text(role, exporter, request.static_key, request.identity_key, text);
	sign(&keys, text, sizeof(text), request.proof);
	return request;
}

static struct account_answer *submit(struct fixture *f, const struct login_request *request)
{
	static struct account_answer answer; /* 17 KB */

	assert_int_equal(account_login(f->account, f->now, 42, request, exporter), OK);
	settle(f);
	assert_true(account_next_answer(f->account, &answer));
	assert_int_equal(answer.token, 42);
	return &answer;
}

static struct account_answer *join(struct fixture *f, uint32_t device, const char *name, const struct join_code *code)
{
	struct login_request request = request_of(device, code->role, name, code->secret);

	return submit(f, &request);
}

static void assert_refused(const struct account_answer *answer, uint8_t reason)
{
	assert_true(answer->refused);
	assert_int_equal(answer->refusal.reason, reason);
	assert_true(strlen(answer->refusal.text) > 10);
}

static struct certificate certificate_of(struct fixture *f, const struct account_answer *answer)
{
	struct certificate certificate;
	struct blob encoded = {answer->response.certificate, answer->response.certificate_size};

	assert_false(answer->refused);
	assert_int_equal(certificate_judge(encoded, account_authority(f->account), WALL_S, &certificate), OK);
	return certificate;
}

static void node_is_certified(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct certificate certificate = certificate_of(f, join(f, 1, "laptop", &code));
	struct login_request request = request_of(1, ROLE_NODE, "", NULL);
	struct node_id id = node_id_of(request.identity_key);
	struct account_node_info info;
	uint8_t pin[JOIN_PIN_SIZE];

	assert_string_equal(certificate.fqdn, "laptop.ntm.internal");
	assert_true(node_id_equal(&certificate.id, &id));
	assert_memory_equal(certificate.static_key, request.static_key, KEY_SIZE);
	assert_int_equal(certificate.not_after_s, WALL_S + CERTIFICATE_VALID_S);
	assert_true(account_node_at(f->account, 0, &info));
	assert_string_equal(info.fqdn, "laptop.ntm.internal");
	assert_false(account_node_at(f->account, 1, &info));
	authority_pin(account_authority(f->account), pin);
	assert_memory_equal(code.pin, pin, sizeof(pin));
}

static void unknown_used_and_expired_codes_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1), stranger = code, old = invite(f, ROLE_NODE, "", 1);

	stranger.secret[3] ^= 1;
	assert_refused(join(f, 1, "a", &stranger), LOGIN_BAD_CODE);
	assert_false(join(f, 1, "a", &code)->refused);
	assert_refused(join(f, 2, "b", &code), LOGIN_USED_CODE);
	f->now = time_add(f->now, 3599 * USEC_PER_SEC);
	assert_refused(join(f, 2, "b", &code), LOGIN_USED_CODE);
	f->now = time_add(f->now, 1 * USEC_PER_SEC);
	assert_refused(join(f, 2, "b", &old), LOGIN_EXPIRED_CODE);
	restart(f);
	assert_refused(join(f, 2, "b", &code), LOGIN_USED_CODE);
	assert_refused(join(f, 2, "b", &old), LOGIN_EXPIRED_CODE);
}

static void proof_binds_key_role_and_connection(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct login_request good = request_of(1, ROLE_NODE, "a", code.secret), bad = good;
	uint8_t other[ACCOUNT_EXPORTER_SIZE] = "another connection";
	static struct account_answer answer;

	bad.proof[5] ^= 1;
	assert_refused(submit(f, &bad), LOGIN_BAD_PROOF);
	bad = good;
	bad.static_key[0] ^= 1;
	assert_refused(submit(f, &bad), LOGIN_BAD_PROOF);
	bad = good;
	bad.role = ROLE_RELAY;
	assert_refused(submit(f, &bad), LOGIN_BAD_PROOF);
	bad.role = 200;
	assert_refused(submit(f, &bad), LOGIN_BAD_PROOF);
	assert_int_equal(account_login(f->account, f->now, 1, &good, other), OK);
	settle(f);
	assert_true(account_next_answer(f->account, &answer));
	assert_refused(&answer, LOGIN_BAD_PROOF);
	assert_false(submit(f, &good)->refused);
}

/* Nodes use whoever bears the group "exit" for everything that leaves the overlay: nobody gets it in another way. */
static void only_a_code_for_exits_makes_an_exit(void **state)
{
	struct fixture *f = *state;
	struct join_code node = invite(f, ROLE_NODE, "", 2), exit = invite(f, ROLE_EXIT, "", 1);
	struct login_request request;
	struct certificate certificate = certificate_of(f, join(f, 1, "laptop", &node));

	assert_int_equal(certificate.group_count, 0);
	request = request_of(1, ROLE_EXIT, "", NULL); /* a renewal that calls itself an exit */
	assert_int_equal(certificate_of(f, submit(f, &request)).group_count, 0);
	request = request_of(2, ROLE_EXIT, "", node.secret);
	assert_refused(submit(f, &request), LOGIN_BAD_CODE);
	request = request_of(2, ROLE_NODE, "", exit.secret);
	assert_refused(submit(f, &request), LOGIN_BAD_CODE);
	certificate = certificate_of(f, join(f, 3, "exit", &exit));
	assert_string_equal(certificate.fqdn, "exit.ntm.internal");
	assert_int_equal(certificate.group_count, 1);
	assert_string_equal(certificate.groups[0], "exit");
	restart(f);
	request = request_of(3, ROLE_EXIT, "", NULL);
	assert_int_equal(certificate_of(f, submit(f, &request)).group_count, 1);
}

static void code_is_for_one_role(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_RELAY, "", 1);
	struct login_request request = request_of(1, ROLE_NODE, "a", code.secret);

	assert_refused(submit(f, &request), LOGIN_BAD_CODE);
	request = request_of(1, ROLE_COORDINATOR, "", code.secret);
	assert_refused(submit(f, &request), LOGIN_BAD_CODE);
}

static void names_are_checked_and_derived(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {"-a", "a-", "A", "a.b", "a_b", "\xc3\xa4", "a b"};
	struct join_code code = invite(f, ROLE_NODE, "", 100);
	struct account_answer *answer;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_refused(join(f, 1, bad[i], &code), LOGIN_BAD_NAME);
	assert_false(join(f, 1, "a", &code)->refused);
	assert_refused(join(f, 2, "ns", &code), LOGIN_NAME_TAKEN);
	answer = join(f, 2, "a", &code);
	assert_refused(answer, LOGIN_NAME_TAKEN);
	assert_non_null(strstr(answer->refusal.text, " a "));
	assert_string_equal(certificate_of(f, join(f, 2, "", &code)).fqdn, "node.ntm.internal");
	assert_string_equal(certificate_of(f, join(f, 3, "", &code)).fqdn, "node-2.ntm.internal");
	assert_string_equal(certificate_of(f, join(f, 4, "", &code)).fqdn, "node-3.ntm.internal");
}

static void code_can_fix_the_name(void **state)
{
	struct fixture *f = *state;
	struct join_code one = invite(f, ROLE_NODE, "printer", 1), many = invite(f, ROLE_NODE, "sensor", 3);
	struct account_invite taken = {.uses = 1, .expires_in_s = 1, .name = "printer", .addresses = one_address(1)};
	struct join_code none;

	assert_string_equal(certificate_of(f, join(f, 1, "mine", &one)).fqdn, "printer.ntm.internal");
	assert_string_equal(certificate_of(f, join(f, 2, "", &many)).fqdn, "sensor.ntm.internal");
	assert_string_equal(certificate_of(f, join(f, 3, "x", &many)).fqdn, "sensor-2.ntm.internal");
	assert_int_equal(account_invite(f->account, f->now, &taken, &none), ERR_EXISTS);
}

static void bad_invites_are_refused(void **state)
{
	struct fixture *f = *state;
	struct account_invite good = {.uses = 1, .expires_in_s = 60, .addresses = one_address(1)}, bad = good;
	struct join_code code;

	bad.uses = 0;
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_USAGE);
	bad.uses = ACCOUNT_USES_MAX + 1;
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_USAGE);
	bad = good;
	bad.expires_in_s = 0;
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_USAGE);
	bad = good;
	memcpy(bad.name, "Bad Name", 9);
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_USAGE);
	bad = good;
	bad.role = ROLE_EXIT + 1;
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_USAGE);
	bad = good;
	memcpy(bad.zone, "elsewhere", 10);
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_UNKNOWN);
	bad = good;
	bad.addresses.count = 0;
	assert_int_equal(account_invite(f->account, f->now, &bad, &code), ERR_USAGE);
}

static void lost_answer_is_repeated_and_counts_once(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 2);
	struct certificate first = certificate_of(f, join(f, 1, "a", &code)), again;
	struct account_answer *answer;

	for (int i = 0; i < 5; i++) {
		answer = join(f, 1, "a", &code);
		again = certificate_of(f, answer);
		assert_true(answer->repeated);
		assert_int_equal(again.serial, first.serial);
		assert_memory_equal(again.signature, first.signature, SIGNATURE_SIZE);
	}
	restart(f);
	again = certificate_of(f, join(f, 1, "other", &code)); /* the name stays */
	assert_int_equal(again.serial, first.serial);
	assert_string_equal(again.fqdn, "a.ntm.internal");
	f->now = time_add(f->now, 7200 * USEC_PER_SEC); /* lost, and asked again too late for anybody else */
	assert_false(join(f, 1, "a", &code)->refused);
	f->now.us -= 7200 * USEC_PER_SEC;
	restart(f);
	assert_false(join(f, 2, "b", &code)->refused); /* the second use is still there */
	assert_refused(join(f, 3, "c", &code), LOGIN_USED_CODE);
	assert_false(join(f, 1, "a", &code)->refused);
	assert_false(join(f, 2, "b", &code)->refused);
}

static void thousand_at_one_instant_one_wins(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	static struct account_answer answer;
	unsigned admitted = 0, used = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		struct login_request request = request_of(i, ROLE_NODE, "", code.secret);

		assert_int_equal(account_login(f->account, f->now, i, &request, exporter), OK);
	}
	assert_false(account_next_answer(f->account, &answer)); /* nothing is durable */
	settle(f);
	while (account_next_answer(f->account, &answer)) {
		admitted += !answer.refused;
		used += answer.refused && answer.refusal.reason == LOGIN_USED_CODE;
	}
	assert_int_equal(admitted, 1);
	assert_int_equal(used, 999);
}

static void waiting_logins_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct login_request request = request_of(1, ROLE_NODE, "", code.secret);

	for (uint32_t i = 0; i < ACCOUNT_ANSWERS_MAX; i++)
		assert_int_equal(account_login(f->account, f->now, i, &request, exporter), OK);
	assert_int_equal(account_login(f->account, f->now, 0, &request, exporter), ERR_FULL);
}

static void answer_waits_for_the_disk(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct login_request request = request_of(1, ROLE_NODE, "a", code.secret);
	static struct account_answer answer;
	struct record record;

	assert_int_equal(account_login(f->account, f->now, 1, &request, exporter), OK);
	account_records_durable(f->account); /* of what was pulled: nothing */
	assert_false(account_next_answer(f->account, &answer));
	assert_true(account_next_record(f->account, &record));
	account_records_durable(f->account); /* half of it */
	assert_false(account_next_answer(f->account, &answer));
	while (account_next_record(f->account, &record))
		;
	assert_false(account_next_answer(f->account, &answer));
	account_records_durable(f->account);
	assert_true(account_next_answer(f->account, &answer));
	assert_false(answer.refused);
}

static void crash_before_durable_leaves_the_code_unused(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct login_request request = request_of(1, ROLE_NODE, "a", code.secret);
	static struct account_answer answer;
	struct record record;

	assert_int_equal(account_login(f->account, f->now, 1, &request, exporter), OK);
	while (account_next_record(f->account, &record))
		; /* pulled, but the disk never saw them */
	assert_false(account_next_answer(f->account, &answer));
	restart(f);
	assert_false(join(f, 2, "a", &code)->refused);
	assert_refused(join(f, 1, "b", &code), LOGIN_USED_CODE);
}

static void restart_forgets_nothing(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 3), relay = invite(f, ROLE_RELAY, "", 1);
	struct account_node_info info;
	const struct network *network;
	struct node_id id;
	struct blob bytes;
	uint8_t before[NETWORK_MAX_SIZE];

	assert_false(join(f, 1, "a", &code)->refused);
	assert_false(join(f, 2, "b", &code)->refused);
	assert_false(join(f, 3, "", &relay)->refused);
	assert_int_equal(account_revoke(f->account, f->now, "a", &id), OK);
	settle(f);
	bytes = account_network(f->account, f->now, &network);
	memcpy(before, bytes.data, bytes.size);
	restart(f);
	assert_int_equal(account_network(f->account, f->now, &network).size, bytes.size);
	assert_memory_equal(account_network(f->account, f->now, &network).data, before, bytes.size);
	assert_int_equal(network->revoked_count, 1);
	assert_true(account_node_at(f->account, 0, &info) && account_node_at(f->account, 1, &info));
	assert_refused(join(f, 4, "b", &code), LOGIN_NAME_TAKEN);
	assert_int_equal(certificate_of(f, join(f, 4, "c", &code)).serial, 3);
}

static void revoked_identity_stays_out_and_its_name_is_free(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 9);
	struct certificate lost = certificate_of(f, join(f, 1, "phone", &code));
	struct login_request renewal = request_of(1, ROLE_NODE, "", NULL);
	const struct network *network;
	struct node_id id;
	uint64_t epoch;

	(void)account_network(f->account, f->now, &network);
	epoch = network->epoch;
	assert_int_equal(account_revoke(f->account, f->now, "nobody", &id), ERR_UNKNOWN);
	assert_int_equal(account_revoke(f->account, f->now, "phone", &id), OK);
	assert_true(node_id_equal(&id, &lost.id));
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->epoch, epoch + 1);
	assert_int_equal(network->revoked_count, 1);
	assert_true(node_id_equal(&network->revoked[0], &lost.id));
	assert_int_equal(account_revoke(f->account, f->now, "phone.ntm.internal", &id), OK); /* again: no change */
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->epoch, epoch + 1);
	settle(f);
	assert_refused(join(f, 1, "phone", &code), LOGIN_REVOKED);
	assert_refused(submit(f, &renewal), LOGIN_REVOKED);
	restart(f);
	assert_refused(join(f, 1, "x", &code), LOGIN_REVOKED);
	assert_string_equal(certificate_of(f, join(f, 2, "phone", &code)).fqdn, "phone.ntm.internal");
	restart(f); /* two records with one name: the one in good standing has it */
	assert_refused(join(f, 3, "phone", &code), LOGIN_NAME_TAKEN);
}

static void revoked_list_is_newest_first_and_bounded(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1000);
	const struct network *network;
	struct node_id ids[260];
	char name[16];

	for (uint32_t i = 0; i < 260; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_false(join(f, i, name, &code)->refused);
	}
	for (uint32_t i = 260; i > 0; i--) { /* not in the order of their coming */
		(void)snprintf(name, sizeof(name), "n%u", i - 1);
		assert_int_equal(account_revoke(f->account, f->now, name, &ids[i - 1]), OK);
	}
	settle(f);
	for (int round = 0; round < 2; round++) {
		assert_true(account_network(f->account, f->now, &network).size > 0);
		assert_int_equal(network->revoked_count, 256);
		for (uint32_t i = 0; i < 256; i++)
			assert_true(node_id_equal(&network->revoked[i], &ids[i]));
		restart(f);
	}
}

static void renewal_needs_no_code(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct login_request renewal = request_of(1, ROLE_NODE, "", NULL);
	struct certificate first, second;

	assert_refused(submit(f, &renewal), LOGIN_BAD_CODE);
	first = certificate_of(f, join(f, 1, "a", &code));
	f->now = time_add(f->now, 1000 * USEC_PER_SEC);
	second = certificate_of(f, submit(f, &renewal));
	assert_int_equal(second.not_after_s, first.not_after_s + 1000);
	assert_true(second.serial > first.serial);
	assert_string_equal(second.fqdn, first.fqdn);
}

static void coordinators_get_disjoint_pools(void **state)
{
	struct fixture *f = *state;
	struct account_server builtin = {.role = ROLE_COORDINATOR,
					 .static_key = {1},
					 .sign_key = {2},
					 .addresses = one_address(1),
					 .is_builtin = true};
	struct join_code code = invite(f, ROLE_COORDINATOR, "", 9);
	const struct network *network;
	struct account_answer *answer;

	assert_int_equal(account_put_server(f->account, f->now, &builtin), OK);
	assert_refused(join(f, 10, "", &code), LOGIN_NAME_TAKEN);
	assert_refused(join(f, 10, "example.com", &code), LOGIN_BAD_NAME);
	assert_refused(join(f, 10, "xntm.internal", &code), LOGIN_BAD_NAME);
	assert_false(join(f, 10, "eu.ntm.internal", &code)->refused);
	answer = join(f, 10, "eu.ntm.internal", &code);
	assert_true(!answer->refused && answer->repeated);
	assert_false(join(f, 11, "us.ntm.internal", &code)->refused);
	assert_refused(join(f, 12, "asia.ntm.internal", &code), LOGIN_FULL); /* a /16 and two /17 are the whole /15 */
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->coordinator_count, 3);
	assert_int_equal(network->coordinators[0].pool4.bits, 16);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			assert_int_equal(
				prefix_contains(&network->coordinators[i].pool4, &network->coordinators[j].pool4.ip),
				i == j);
	settle(f);
	restart(f);
	assert_refused(join(f, 12, "asia.ntm.internal", &code), LOGIN_FULL);
	assert_int_equal(account_put_server(f->account, f->now, &builtin), OK);
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->coordinator_count, 3);
}

static void piece_of_a_lost_coordinator_is_not_given_again(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_COORDINATOR, "", 9);
	struct login_request renewal = request_of(1, ROLE_COORDINATOR, "", NULL);
	const struct network *network;
	struct prefix lost;
	struct node_id id;

	assert_false(join(f, 1, "", &code)->refused);
	(void)account_network(f->account, f->now, &network);
	lost = network->coordinators[0].pool4;
	assert_int_equal(account_revoke(f->account, f->now, "ntm.internal", &id), OK);
	settle(f);
	assert_refused(submit(f, &renewal), LOGIN_REVOKED);
	assert_false(join(f, 2, "", &code)->refused);
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->coordinator_count, 1);
	assert_false(prefix_contains(&lost, &network->coordinators[0].pool4.ip));
}

static void server_tells_new_addresses(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_RELAY, "", 1);
	struct login_request renewal = request_of(5, ROLE_RELAY, "", NULL);
	const struct network *network;
	uint64_t epoch;

	assert_refused(submit(f, &renewal), LOGIN_BAD_CODE);
	assert_string_equal(join(f, 5, "", &code)->fqdn, "relay");
	(void)account_network(f->account, f->now, &network);
	epoch = network->epoch;
	assert_false(submit(f, &renewal)->refused); /* nothing new */
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->epoch, epoch);
	renewal.addresses = one_address(77);
	assert_false(submit(f, &renewal)->refused);
	(void)account_network(f->account, f->now, &network);
	assert_int_equal(network->epoch, epoch + 1);
	assert_int_equal(network->relays[0].addresses.list[0].ip.bytes[3], 77);
	renewal.addresses.count = 0;
	assert_refused(submit(f, &renewal), LOGIN_BAD_NAME);
}

static void names_of_nodes_relays_and_zones_do_not_meet(void **state)
{
	struct fixture *f = *state;
	struct join_code nodes = invite(f, ROLE_NODE, "", 9), relays = invite(f, ROLE_RELAY, "", 9);
	struct join_code coordinators = invite(f, ROLE_COORDINATOR, "", 9);

	assert_false(join(f, 1, "r1", &relays)->refused);
	assert_refused(join(f, 2, "r1", &nodes), LOGIN_NAME_TAKEN);
	assert_false(join(f, 2, "eu", &nodes)->refused);
	assert_refused(join(f, 3, "eu", &relays), LOGIN_NAME_TAKEN);
	assert_refused(join(f, 4, "eu.ntm.internal", &coordinators), LOGIN_NAME_TAKEN);
	assert_false(join(f, 4, "us.ntm.internal", &coordinators)->refused);
	assert_refused(join(f, 5, "us", &nodes), LOGIN_NAME_TAKEN);
}

static void network_document_verifies(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_RELAY, "r1", 1);
	static struct network network;
	struct blob bytes;

	assert_false(join(f, 5, "", &code)->refused);
	bytes = account_network(f->account, f->now, NULL);
	assert_int_equal(network_judge(bytes, account_authority(f->account), &network), OK);
	assert_int_equal(network.relay_count, 1);
	assert_string_equal(network.relays[0].name, "r1");
	assert_int_equal(network.version_floor, PROTOCOL_VERSION);
}

static void secret_is_not_stored(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);

	for (size_t i = 0; i < f->store.count; i++) {
		const struct record *record = &f->store.records[i];

		assert_null(memmem(record->value, record->value_size, code.secret, 8));
		assert_null(memmem(record->key, record->key_size, code.secret, 8));
	}
}

static void old_codes_make_room(void **state)
{
	struct fixture *f = *state;
	struct account_invite wish = {.uses = 1, .expires_in_s = 60, .addresses = one_address(1)};
	struct join_code code;
	struct record record;
	unsigned erased = 0;

	for (uint32_t i = 0; i < ACCOUNT_CODES_MAX; i++)
		assert_int_equal(account_invite(f->account, f->now, &wish, &code), OK);
	assert_int_equal(account_invite(f->account, f->now, &wish, &code), ERR_FULL);
	while (account_next_record(f->account, &record))
		;
	account_records_durable(f->account);
	f->now = time_add(f->now, (60 + ACCOUNT_CODE_KEPT_S) * USEC_PER_SEC);
	assert_int_equal(account_invite(f->account, f->now, &wish, &code), OK);
	while (account_next_record(f->account, &record))
		erased += record.erase;
	account_records_durable(f->account);
	assert_int_equal(erased, ACCOUNT_CODES_MAX);
	assert_false(join(f, 1, "a", &code)->refused);
}

static void damaged_records_are_refused(void **state)
{
	struct fixture *f = *state;
	struct join_code code = invite(f, ROLE_NODE, "", 1);
	struct account_config config = {.zone = "z.test"};
	struct random_source random = {&f->random, fill};
	struct account *account = account_create(&config, &random, f->now);

	assert_false(join(f, 1, "a", &code)->refused);
	for (size_t i = 0; i < f->store.count; i++) {
		for (uint16_t size = 0; size < f->store.records[i].value_size; size++) {
			struct record record = f->store.records[i];

			record.value_size = size;
			assert_int_not_equal(account_load(account, &record), OK);
		}
	}
	account_destroy(account);
}

static void impossible_configuration_is_refused(void **state)
{
	struct fixture *f = *state;
	struct random_source random = {&f->random, fill};
	static const char *const zones[] = {"", ".", "a..b", "a.", ".a", "A.b", "a b", "1.2.3.4"};

	for (size_t i = 0; i <= sizeof(zones) / sizeof(zones[0]); i++) {
		struct account_config config = {.zone = "fine.test"};
		struct account *account;

		assert_int_equal(prefix_parse("10.0.0.0/24", &config.pool4), OK);
		assert_int_equal(prefix_parse("fd00::/32", &config.pool6), OK);
		if (i < sizeof(zones) / sizeof(zones[0]))
			(void)snprintf(config.zone, sizeof(config.zone), "%s", zones[i]);
		else
			config.pool6.bits = 64;
		account = account_create(&config, &random, f->now);
		assert_int_equal(account_start(account, f->now), ERR_USAGE);
		account_destroy(account);
	}
}

static struct trusted_entry partner(const char *zone, uint8_t key, const char *pool4, const char *pool6)
{
	struct trusted_entry entry = {.authority = {key}};

	(void)snprintf(entry.zone, sizeof(entry.zone), "%s", zone);
	if (pool4)
		assert_int_equal(prefix_parse(pool4, &entry.pool4), OK);
	if (pool6)
		assert_int_equal(prefix_parse(pool6, &entry.pool6), OK);
	return entry;
}

static uint64_t epoch(struct fixture *f)
{
	const struct network *network;

	(void)account_network(f->account, f->now, &network);
	return network->epoch;
}

static void trust_changes_the_document_once(void **state)
{
	struct fixture *f = *state;
	struct trusted_entry list[] = {partner("b.example", 1, "10.1.0.0/16", "fd01:1::/32"),
				       partner("c.example", 2, NULL, "fd01:2::/32")};
	const struct network *network;
	uint64_t before = epoch(f);
	uint8_t bad;

	for (int life = 0; life < 3; life++) {
		assert_int_equal(account_set_trusted(f->account, f->now, list, 2, &bad), OK);
		settle(f);
		(void)account_network(f->account, f->now, &network);
		assert_int_equal(network->epoch, before + 1);
		assert_int_equal(network->trusted_count, 2);
		assert_string_equal(network->trusted[1].zone, "c.example");
		restart(f);
	}
	assert_int_equal(account_set_trusted(f->account, f->now, list, 1, &bad), OK);
	assert_int_equal(epoch(f), before + 2);
	assert_int_equal(account_set_trusted(f->account, f->now, NULL, 0, &bad), OK);
	assert_int_equal(epoch(f), before + 3);
}

static void trust_that_cannot_be_told_apart_is_refused(void **state)
{
	struct fixture *f = *state;
	struct trusted_entry good = partner("b.example", 1, "10.1.0.0/16", "fd01:1::/32");
	const struct {
		struct trusted_entry entry;
		enum err err;
	} cases[] = {
		{partner("ntm.internal", 2, NULL, "fd01:2::/32"), ERR_EXISTS},
		{partner("b.example", 2, NULL, "fd01:2::/32"), ERR_EXISTS},
		{partner("c.example", 2, "198.19.0.0/16", "fd01:2::/32"), ERR_DENIED}, /* a part of ours */
		{partner("c.example", 2, "198.0.0.0/8", "fd01:2::/32"), ERR_DENIED},
		{partner("c.example", 2, NULL, "fd6e:746d::/32"), ERR_DENIED},
		{partner("c.example", 2, NULL, "fc00::/7"), ERR_DENIED},
		{partner("c.example", 2, "10.1.2.0/24", "fd01:2::/32"), ERR_DENIED}, /* of the other one's */
		{partner("c.example", 2, "10.2.0.0/16", NULL), ERR_DENIED},
		{partner("c.example", 2, "10.2.0.0/16", "fd01:2::/32"), OK},
	};
	struct sign_keys own;
	uint64_t before = epoch(f);
	uint8_t bad = 9;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trusted_entry list[] = {good, cases[i].entry};

		assert_int_equal(account_set_trusted(f->account, f->now, list, 2, &bad), cases[i].err);
		assert_int_equal(epoch(f), before + (cases[i].err == OK));
		if (cases[i].err)
			assert_int_equal(bad, 1);
	}
	sign_keys_from_seed((const uint8_t[32]){7}, &own);
	memcpy(good.authority, own.public, KEY_SIZE);
	assert_int_equal(account_set_trusted(f->account, f->now, &good, 1, &bad), ERR_EXISTS);
	assert_int_equal(bad, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(node_is_certified),
		T(unknown_used_and_expired_codes_are_told_apart),
		T(proof_binds_key_role_and_connection),
		T(only_a_code_for_exits_makes_an_exit),
		T(code_is_for_one_role),
		T(names_are_checked_and_derived),
		T(code_can_fix_the_name),
		T(bad_invites_are_refused),
		T(lost_answer_is_repeated_and_counts_once),
		T(thousand_at_one_instant_one_wins),
		T(waiting_logins_are_bounded),
		T(answer_waits_for_the_disk),
		T(crash_before_durable_leaves_the_code_unused),
		T(restart_forgets_nothing),
		T(revoked_identity_stays_out_and_its_name_is_free),
		T(revoked_list_is_newest_first_and_bounded),
		T(renewal_needs_no_code),
		T(coordinators_get_disjoint_pools),
		T(piece_of_a_lost_coordinator_is_not_given_again),
		T(server_tells_new_addresses),
		T(names_of_nodes_relays_and_zones_do_not_meet),
		T(network_document_verifies),
		T(secret_is_not_stored),
		T(old_codes_make_room),
		T(damaged_records_are_refused),
		T(impossible_configuration_is_refused),
		T(trust_changes_the_document_once),
		T(trust_that_cannot_be_told_apart_is_refused),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
