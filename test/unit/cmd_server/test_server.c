/*
 * The server programs end to end over loopback: child processes run the real hosts, this process is the device that
 * joins, registers, is revoked, and the person at the control socket. Waits are for events, with deadlines.
 */
#include <arpa/inet.h>
#include <ftw.h>
#include <jansson.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/login_client.h"
#include "cmd/server_host.h"
#include "crypto/hash.h"
#include "host.h"
#include "io/clock.h"
#include "io/stream.h"
#include "proto/session/session.h"
#include "proto/session/trust.h"
#include "wire/registration.h"

struct device {
	struct sign_keys identity;
	struct dh_keys keys;
	struct login_result login;
};

static struct device *device_create(void)
{
	struct device *device = calloc(1, sizeof(*device));
	uint8_t seeds[64];

	assert_non_null(device);
	assert_true(crypto_init());
	assert_int_equal(getrandom(seeds, sizeof(seeds), 0), sizeof(seeds));
	sign_keys_from_seed(seeds, &device->identity);
	dh_keys_from_seed(seeds + 32, &device->keys);
	return device;
}

static enum err join(struct device *device, const char *code, const char *name, uint8_t *reason,
		     char error[LOGIN_ERROR_MAX])
{
	struct login_params params = {.role = ROLE_NODE, .identity = device->identity, .now_s = clock_wall_s()};

	memcpy(params.static_key, device->keys.public, KEY_SIZE);
	(void)snprintf(params.name, sizeof(params.name), "%s", name);
	return login_join(code, &params, &device->login, reason, error);
}

static int udp_connect(const struct addr *to)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(to->ip.family, 4);
	memcpy(&address.sin_addr, to->ip.bytes, 4);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static size_t build_first(struct device *device, const struct coordinator_entry *coordinator,
			  struct handshake *handshake, uint8_t *datagram)
{
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX], mac1_key[KEY_SIZE], seed[KEY_SIZE];
	struct writer w = writer_over(payload, sizeof(payload));
	struct registration_request request = {
		.certificate = {device->login.certificate, device->login.certificate_size},
		.padded_size = HANDSHAKE_PAYLOAD_MAX - 8,
	};
	struct handshake_setup setup = {
		.local_static = &device->keys,
		.remote_static = coordinator->static_key,
		.mac1_key = mac1_key,
		.type = PACKET_REGISTRATION_REQUEST,
		.ephemeral_seed = seed,
	};
	size_t size;

	assert_int_equal(getrandom(seed, sizeof(seed), 0), sizeof(seed));
	assert_int_equal(getrandom(&setup.path_id, sizeof(setup.path_id), 0), sizeof(setup.path_id));
	handshake_mac1_key(coordinator->static_key, NULL, mac1_key);
	message_header_encode(MESSAGE_REGISTRATION_REQUEST, 1, &w);
	registration_request_encode(&request, &w);
	assert_int_equal(writer_finish(&w, &size), OK);
	assert_int_equal(handshake_begin(handshake, &setup, (struct blob){payload, size}, datagram, &size), OK);
	return size;
}

/* Says one thing under the new session and waits for the answer: from here on the coordinator calls the node online. */
static void keep_alive(int fd, const struct session_keys *keys, uint64_t path_id)
{
	struct aead_provider *aead = aead_provider_create(AEAD_BACKEND_OPENSSL);
	struct session *session = session_create(aead, SUITE_CHACHA20_POLY1305, true, path_id, keys, clock_now());
	uint8_t plaintext[128] = {0}, datagram[sizeof(plaintext) + OVERHEAD_SIZE], answer[DATAGRAM_MAX],
		opened_bytes[DATAGRAM_MAX];
	struct writer w = writer_over(plaintext, sizeof(plaintext));
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct message_header header = {0};
	size_t size;

	message_header_encode(MESSAGE_KEEP_ALIVE, 7, &w);
	assert_int_equal(writer_finish(&w, &size), OK);
	assert_int_equal(session_seal(session, 0, SEALED_CONTROL, plaintext, sizeof(plaintext), datagram), OK);
	assert_int_equal(send(fd, datagram, sizeof(datagram), 0), sizeof(datagram));
	while (header.type != MESSAGE_KEEP_ALIVE_ANSWER) {
		struct opened opened;
		struct reader r;
		ssize_t n;

		assert_int_equal(poll(&p, 1, WAIT_S * 1000), 1);
		n = recv(fd, answer, sizeof(answer), 0);
		assert_true(n > 0);
		if (session_open(session, answer, (size_t)n, opened_bytes, &opened) != OK)
			continue; /* the handshake's answer once more */
		r = reader_over(opened_bytes, opened.size);
		assert_int_equal(message_header_decode(&r, &header), OK);
	}
	session_destroy(session);
	aead_provider_destroy(aead);
}

/* Registers with the network's first coordinator as a node does; repeats while nobody answers. REASON_NONE: *ret_lease
 * is judged. */
static uint8_t register_device(struct device *device, struct lease *ret_lease, bool talk)
{
	const struct coordinator_entry *coordinator = &device->login.network_decoded.coordinators[0];
	struct handshake handshake;
	struct session_keys keys;
	struct registration_response response;
	struct message_header header;
	struct time_us until = deadline();
	uint64_t path_id;
	uint8_t first[MESSAGE_MAX], answer[MESSAGE_MAX], payload[MESSAGE_MAX];
	size_t first_size = build_first(device, coordinator, &handshake, first), payload_size = 0;
	int fd = udp_connect(&coordinator->addresses.list[0]);
	struct node_id id = node_id_of(device->identity.public);
	ssize_t n = -1;
	struct reader r;

	while (n < 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_false(time_reached(clock_now(), until));
		assert_int_equal(send(fd, first, first_size, 0), first_size);
		if (poll(&p, 1, 200) > 0)
			n = recv(fd, answer, sizeof(answer), 0);
	}
	assert_true((size_t)n <= first_size);
	path_id = handshake.path_id;
	assert_int_equal(handshake_finish(&handshake, &device->keys, answer, (size_t)n, payload, &payload_size, &keys),
			 OK);
	r = reader_over(payload, payload_size);
	assert_int_equal(message_header_decode(&r, &header), OK);
	assert_int_equal(registration_response_decode(&r, &response), OK);
	if (response.reason == REASON_NONE) {
		assert_int_equal(
			lease_judge(response.lease, &device->login.network_decoded, &id, clock_wall_s(), ret_lease),
			OK);
		if (talk)
			keep_alive(fd, &keys, path_id);
	}
	close(fd);
	return response.reason;
}

static json_t *find_node(json_t *document, const char *name)
{
	json_t *node;
	size_t i;

	json_array_foreach(json_object_get(document, "nodes"), i,
			   node) if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0) return node;
	return NULL;
}

static const unsigned all_roles = SERVER_ACCOUNT | SERVER_COORDINATOR | SERVER_RELAY;

static void device_joins_registers_and_is_revoked(void **state)
{
	struct host host;
	struct device *device = device_create(), *other = device_create();
	char code[JOIN_CODE_MAX], error[LOGIN_ERROR_MAX], v4[ADDR_TEXT_MAX];
	uint8_t reason = 0;
	struct lease lease;
	json_t *document, *node;
	int exit_code;

	(void)state;
	host_init(&host);
	host_start(&host, PROGRAM_SERVER, all_roles, NULL);
	invite(&host, "{\"verb\":\"invite\",\"uses\":1,\"expires_s\":600}", code);
	assert_int_equal(join(device, code, "laptop", &reason, error), OK);
	assert_string_equal(device->login.certificate_decoded.fqdn, "laptop.ntm.internal");
	assert_int_equal(device->login.network_decoded.coordinator_count, 1);
	assert_int_equal(device->login.network_decoded.relay_count, 1);
	assert_int_equal(join(other, code, "thief", &reason, error), ERR_DENIED);
	assert_int_equal(reason, LOGIN_USED_CODE);
	assert_non_null(strstr(error, "has been used"));
	assert_int_equal(login_exit_code(ERR_DENIED), 5);
	assert_int_equal(join(device, code, "laptop", &reason, error), OK); /* as after a lost answer */

	assert_int_equal(register_device(device, &lease, true), REASON_NONE);
	document = ask(&host, "{\"verb\":\"nodes\"}", &exit_code);
	assert_int_equal(json_array_size(json_object_get(document, "nodes")), 1);
	node = find_node(document, "laptop");
	assert_string_equal(json_string_value(json_object_get(node, "state")), "up");
	assert_string_equal(json_string_value(json_object_get(node, "v4")), ip_format(&lease.v4, v4));
	json_decref(document);

	document = ask(&host, "{\"verb\":\"revoke\",\"name\":\"laptop\"}", &exit_code);
	assert_int_equal(exit_code, 0);
	json_decref(document);
	assert_int_equal(register_device(device, &lease, true), REASON_REVOKED);
	document = ask(&host, "{\"verb\":\"nodes\"}", &exit_code);
	assert_string_equal(json_string_value(json_object_get(find_node(document, "laptop"), "state")), "revoked");
	json_decref(document);
	document = ask(&host, "{\"verb\":\"network\"}", &exit_code);
	assert_int_equal(json_array_size(json_object_get(document, "revoked")), 1);
	json_decref(document);
	assert_int_equal(join(device, code, "laptop", &reason, error), ERR_DENIED);
	assert_int_equal(reason, LOGIN_REVOKED);
	host_finish(&host);
	free(device);
	free(other);
}

static void restart_forgets_nothing(void **state)
{
	struct host host;
	struct device *device = device_create();
	char code[JOIN_CODE_MAX], open_code[JOIN_CODE_MAX], error[LOGIN_ERROR_MAX], port[32], v4[ADDR_TEXT_MAX];
	const char *const again[] = {"--listen", port, NULL};
	uint8_t reason = 0;
	struct lease before, after;
	json_t *document;
	int exit_code;

	(void)state;
	host_init(&host);
	host_start(&host, PROGRAM_SERVER, all_roles, NULL);
	invite(&host, "{\"verb\":\"invite\"}", code);
	invite(&host, "{\"verb\":\"invite\"}", open_code);
	assert_int_equal(join(device, code, "laptop", &reason, error), OK);
	assert_int_equal(register_device(device, &before, true), REASON_NONE);
	(void)snprintf(port, sizeof(port), "127.0.0.1:%u", device->login.server.port);
	assert_int_equal(kill(host.pid, SIGKILL), 0); /* not asked */
	assert_int_equal(host_wait(&host), -1);
	host_start(&host, PROGRAM_SERVER, all_roles, again);
	document = ask(&host, "{\"verb\":\"nodes\"}", &exit_code);
	assert_string_equal(json_string_value(json_object_get(find_node(document, "laptop"), "v4")),
			    ip_format(&before.v4, v4));
	json_decref(document);
	assert_int_equal(register_device(device, &after, true), REASON_NONE);
	assert_true(ip_equal(&before.v4, &after.v4) && ip_equal(&before.v6, &after.v6));
	document = ask(&host, "{\"verb\":\"network\"}", &exit_code);
	assert_int_equal(json_integer_value(json_object_get(document, "epoch")), device->login.network_decoded.epoch);
	json_decref(document);
	assert_int_equal(join(device, open_code, "desk", &reason, error),
			 OK); /* made before the crash; the name stays */
	assert_string_equal(device->login.certificate_decoded.fqdn, "laptop.ntm.internal");
	host_finish(&host);
	free(device);
}

static void wrong_codes_are_explained(void **state)
{
	struct host host, other;
	struct device *device = device_create();
	char code[JOIN_CODE_MAX], relay[JOIN_CODE_MAX], foreign[JOIN_CODE_MAX], error[LOGIN_ERROR_MAX];
	struct join_code mine, theirs;
	uint8_t reason = 0;

	(void)state;
	host_init(&host);
	host_init(&other);
	host_start(&host, PROGRAM_AS, SERVER_ACCOUNT, NULL);
	host_start(&other, PROGRAM_AS, SERVER_ACCOUNT, NULL);
	invite(&host, "{\"verb\":\"invite\"}", code);
	invite(&host, "{\"verb\":\"invite\",\"role\":\"relay\"}", relay);
	invite(&other, "{\"verb\":\"invite\"}", foreign);

	code[20] = code[20] == 'A' ? 'B' : 'A';
	assert_int_equal(join(device, code, "a", &reason, error), ERR_USAGE);
	assert_int_equal(join(device, "rubbish", "a", &reason, error), ERR_USAGE);
	assert_int_equal(join(device, relay, "a", &reason, error), ERR_USAGE);
	assert_non_null(strstr(error, "relay"));

	/* A fake server: the code's addresses lead to somebody with another key. Nothing is sent, and the code is not
	 * used up. */
	assert_int_equal(join_code_parse(foreign, &theirs), OK);
	invite(&host, "{\"verb\":\"invite\"}", code);
	assert_int_equal(join_code_parse(code, &mine), OK);
	mine.addresses = theirs.addresses;
	assert_int_equal(join_code_format(&mine, foreign), OK);
	assert_int_equal(join(device, foreign, "a", &reason, error), ERR_AUTH);
	assert_non_null(strstr(error, "not the server"));
	assert_int_equal(join(device, code, "a", &reason, error), OK);

	assert_int_equal(host_stop(&other), 0);
	assert_int_equal(join_code_format(&(struct join_code){.addresses = theirs.addresses}, foreign), OK);
	assert_int_equal(join(device, foreign, "a", &reason, error), ERR_IO);
	assert_non_null(strstr(error, "connect: 127.0.0.1:"));
	assert_int_equal(login_exit_code(ERR_IO), 6);
	host_finish(&host);
	host_finish(&other);
	free(device);
}

static void guessed_names_get_suffixes(void **state)
{
	struct host host;
	char code[JOIN_CODE_MAX], error[LOGIN_ERROR_MAX], expected[FQDN_MAX_SIZE + 1];
	uint8_t reason = 0;

	(void)state;
	host_init(&host);
	host_start(&host, PROGRAM_AS, SERVER_ACCOUNT, (const char *const[]){"--zone", "home.test", NULL});
	invite(&host, "{\"verb\":\"invite\",\"uses\":12}", code);
	for (unsigned i = 1; i <= 12; i++) { /* more than one connection's worth of questions */
		struct device *device = device_create();
		struct login_params params = {.identity = device->identity, .name = "pi", .name_is_guess = true};

		memcpy(params.static_key, device->keys.public, KEY_SIZE);
		assert_int_equal(login_join(code, &params, &device->login, &reason, error), OK);
		(void)snprintf(expected, sizeof(expected), i == 1 ? "pi.home.test" : "pi-%u.home.test", i);
		assert_string_equal(device->login.certificate_decoded.fqdn, expected);
		free(device);
	}
	host_finish(&host);
}

static void one_code_for_many_at_once(void **state)
{
	enum { MANY = 24 };
	struct host host;
	char code[JOIN_CODE_MAX];
	pid_t pids[MANY];
	int admitted = 0, used = 0;

	(void)state;
	host_init(&host);
	host_start(&host, PROGRAM_AS, SERVER_ACCOUNT, NULL);
	invite(&host, "{\"verb\":\"invite\"}", code);
	for (int i = 0; i < MANY; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct device *device = device_create();
			char error[LOGIN_ERROR_MAX];
			uint8_t reason = 0;
			enum err err = join(device, code, "", &reason, error);

			_exit(err == OK ? 100 : reason);
		}
	}
	for (int i = 0; i < MANY; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		admitted += WIFEXITED(status) && WEXITSTATUS(status) == 100;
		used += WIFEXITED(status) && WEXITSTATUS(status) == LOGIN_USED_CODE;
	}
	assert_int_equal(admitted, 1);
	assert_int_equal(used, MANY - 1);
	host_finish(&host);
}

static void roles_in_processes_of_their_own(void **state)
{
	struct host as, dc, rs;
	struct device *device = device_create();
	char code[JOIN_CODE_MAX], error[LOGIN_ERROR_MAX];
	const char *const joins[] = {"--join", code, NULL};
	struct time_us until;
	uint8_t reason = 0;
	struct lease lease;
	json_t *document;
	int exit_code;

	(void)state;
	host_init(&as);
	host_init(&dc);
	host_init(&rs);
	host_start(&dc, PROGRAM_DC, SERVER_COORDINATOR, NULL);
	assert_int_equal(host_wait(&dc), 4); /* not joined */
	host_start(&as, PROGRAM_AS, SERVER_ACCOUNT, NULL);
	invite(&as, "{\"verb\":\"invite\",\"role\":\"relay\",\"name\":\"r1\"}", code);
	host_start(&rs, PROGRAM_RS, SERVER_RELAY, joins);
	document = ask(&rs, "{\"verb\":\"status\"}", &exit_code);
	assert_int_equal(exit_code, 0);
	json_decref(document);
	invite(&as, "{\"verb\":\"invite\",\"role\":\"coordinator\"}", code);
	host_start(&dc, PROGRAM_DC, SERVER_COORDINATOR, joins);
	document = ask(&dc, "{\"verb\":\"status\"}", &exit_code);
	json_decref(document);
	assert_null(ask(&dc, "{\"verb\":\"invite\"}", &exit_code)); /* only the account server */
	assert_int_equal(exit_code, 5);

	invite(&as, "{\"verb\":\"invite\"}", code);
	assert_int_equal(join(device, code, "laptop", &reason, error), OK);
	assert_int_equal(device->login.network_decoded.relay_count, 1);
	assert_string_equal(device->login.network_decoded.relays[0].name, "r1");
	assert_int_equal(register_device(device, &lease, true), REASON_NONE);

	/* Later starts need no code, and no account server either. */
	assert_int_equal(host_stop(&rs), 0);
	document = ask(&as, "{\"verb\":\"revoke\",\"name\":\"laptop\"}", &exit_code);
	json_decref(document);
	assert_int_equal(kill(dc.pid, SIGHUP), 0); /* asks at once instead of within 30 s */
	until = deadline();
	while (register_device(device, &lease, false) != REASON_REVOKED)
		assert_false(time_reached(clock_now(), until));
	host_finish(&as);
	host_start(&rs, PROGRAM_RS, SERVER_RELAY, NULL);
	document = ask(&rs, "{\"verb\":\"network\"}", &exit_code);
	assert_int_equal(json_array_size(json_object_get(document, "coordinators")),
			 0); /* joined after the relay last asked */
	json_decref(document);
	host_finish(&rs);
	host_finish(&dc);
	free(device);
}

/* A port that is free now on UDP and, most likely, on TCP. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static size_t tcp_exchange(uint16_t port, const void *request, size_t size, uint8_t *ret, size_t capacity)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval timeout = {.tv_sec = WAIT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t got = 0;
	ssize_t n;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, request, size, MSG_NOSIGNAL), size);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (got < capacity && (n = recv(fd, ret + got, capacity - got, 0)) > 0)
		got += (size_t)n;
	close(fd);
	return got;
}

/* The A record of laptop.ntm.internal is the last thing in the answer but its EDNS-less nothing. */
static void assert_answer(const uint8_t *answer, size_t size, const struct ip *v4)
{
	assert_true(size > 40);
	assert_int_equal(answer[0] << 8 | answer[1], 0x1234);
	assert_int_equal(answer[3] & 15, 0);
	assert_int_equal(answer[7], 1);
	assert_non_null(memmem(answer, size, v4->bytes, 4));
}

static void zone_and_metrics_are_served(void **state)
{
	static const uint8_t query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
				       "\x06"
				       "laptop"
				       "\x03"
				       "ntm"
				       "\x08"
				       "internal"
				       "\x00\x00\x01\x00\x01";
	static const char scrape[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
	static const char browser[] = "GET /metrics HTTP/1.1\r\nHost: evil.test\r\nOrigin: http://evil.test\r\n\r\n";
	static uint8_t answer[100000];
	struct host host;
	struct device *device = device_create();
	char code[JOIN_CODE_MAX], error[LOGIN_ERROR_MAX], metrics[32], dns[32];
	const char *const extra[] = {"--metrics", metrics, "--dns-listen", dns, NULL};
	struct addr at = {.ip = ip_v4(127, 0, 0, 1)};
	uint16_t metrics_port = free_port();
	uint8_t framed[2 + sizeof(query) - 1] = {0, sizeof(query) - 1}, reason = 0;
	struct lease lease;
	ssize_t n;
	int fd;

	(void)state;
	at.port = free_port();
	(void)snprintf(metrics, sizeof(metrics), "127.0.0.1:%u", metrics_port);
	(void)snprintf(dns, sizeof(dns), "127.0.0.1:%u", at.port);
	host_init(&host);
	host_start(&host, PROGRAM_SERVER, all_roles, extra);
	invite(&host, "{\"verb\":\"invite\"}", code);
	assert_int_equal(join(device, code, "laptop", &reason, error), OK);
	assert_int_equal(register_device(device, &lease, true), REASON_NONE);

	fd = udp_connect(&at);
	assert_int_equal(send(fd, query, sizeof(query) - 1, 0), sizeof(query) - 1);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, WAIT_S * 1000), 1);
	n = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	assert_true(n > 0);
	assert_answer(answer, (size_t)n, &lease.v4);
	memcpy(framed + 2, query, sizeof(query) - 1);
	n = (ssize_t)tcp_exchange(at.port, framed, sizeof(framed), answer, sizeof(answer));
	assert_true(n > 2 && n == 2 + (answer[0] << 8 | answer[1]));
	assert_answer(answer + 2, (size_t)n - 2, &lease.v4);

	n = (ssize_t)tcp_exchange(metrics_port, scrape, sizeof(scrape) - 1, answer, sizeof(answer) - 1);
	answer[n] = 0;
	assert_non_null(strstr((char *)answer, "HTTP/1.0 200 OK\r\n"));
	assert_non_null(strstr((char *)answer, "\nntm_as_nodes 1\n"));
	assert_non_null(strstr((char *)answer, "\nntm_dc_nodes_online 1\n"));
	assert_non_null(strstr((char *)answer, "\nntm_rs_pairs 0\n"));
	assert_int_equal(tcp_exchange(metrics_port, browser, sizeof(browser) - 1, answer, sizeof(answer)), 0);
	host_finish(&host);
	free(device);
}

static long metric(const uint8_t *page, const char *name)
{
	const char *line = strstr((const char *)page, name);

	assert_non_null(line);
	return strtol(line + strlen(name), NULL, 10);
}

static long read_metric(uint16_t port, const char *name)
{
	static const char scrape[] = "GET /metrics HTTP/1.0\r\n\r\n";
	static uint8_t page[100000];
	size_t n = tcp_exchange(port, scrape, sizeof(scrape) - 1, page, sizeof(page) - 1);

	page[n] = 0;
	return metric(page, name);
}

static void wait_for_metric(uint16_t port, const char *name, long least)
{
	struct time_us until = deadline();

	while (read_metric(port, name) < least)
		assert_false(time_reached(clock_now(), until));
}

/* A train with packets for both roles: each gets its own. */
static void a_train_is_cut_for_its_roles(void **state)
{
	enum { SEGMENT = 64, SEGMENTS = 6, RELAYS = 2 };
	static const uint8_t types[SEGMENTS] = {PACKET_SEALED,	     PACKET_SEALED,	    PACKET_RELAY_ANSWER,
						PACKET_RELAY_ANSWER, PACKET_TUNNEL_REQUEST, PACKET_SEALED};
	uint8_t train[SEGMENTS * SEGMENT] = {0};
	uint16_t metrics_port = free_port();
	char code[JOIN_CODE_MAX], metrics[32];
	struct host host;
	struct join_code join;
	long before, relay_before, coordinator_before;
	int fd, segment = SEGMENT;

	(void)state;
	(void)snprintf(metrics, sizeof(metrics), "127.0.0.1:%u", metrics_port);
	host_init(&host);
	host_start(&host, PROGRAM_SERVER, all_roles, (const char *const[]){"--metrics", metrics, NULL});
	invite(&host, "{\"verb\":\"invite\"}", code);
	assert_int_equal(join_code_parse(code, &join), OK);
	wait_for_metric(metrics_port, "\nntm_rs_received_datagrams_total ", 1); /* its announcement is answered */
	before = read_metric(metrics_port, "\nntm_server_udp_received_datagrams_total ");
	relay_before = read_metric(metrics_port, "\nntm_rs_received_datagrams_total ");
	coordinator_before = read_metric(metrics_port, "\nntm_dc_received_datagrams_total ");
	fd = udp_connect(&join.addresses.list[0]);
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
	for (int i = 0; i < SEGMENTS; i++)
		train[i * SEGMENT] = types[i];
	assert_int_equal(send(fd, train, sizeof(train), 0), sizeof(train));
	close(fd);
	wait_for_metric(metrics_port, "\nntm_server_udp_received_datagrams_total ", before + SEGMENTS);
	assert_int_equal(read_metric(metrics_port, "\nntm_rs_received_datagrams_total "), relay_before + RELAYS);
	assert_int_equal(read_metric(metrics_port, "\nntm_dc_received_datagrams_total "),
			 coordinator_before + SEGMENTS - RELAYS);
	host_finish(&host);
}

static void mistakes_at_the_control_socket_are_told(void **state)
{
	static const struct {
		const char *request;
		int exit_code;
	} cases[] = {
		{"rubbish", 2},
		{"[]", 2},
		{"{}", 2},
		{"{\"verb\":\"explode\"}", 2},
		{"{\"verb\":\"revoke\"}", 2},
		{"{\"verb\":\"revoke\",\"name\":\"nobody\"}", 5},
		{"{\"verb\":\"invite\",\"role\":\"king\"}", 2},
		{"{\"verb\":\"invite\",\"uses\":0}", 2},
		{"{\"verb\":\"invite\",\"uses\":\"many\"}", 2},
		{"{\"verb\":\"invite\",\"expires_s\":-5}", 2},
		{"{\"verb\":\"invite\",\"name\":\"Not A Name\"}", 2},
		{"{\"verb\":\"invite\",\"zone\":\"elsewhere.test\"}", 2},
	};
	struct host host;
	int exit_code;

	(void)state;
	host_init(&host);
	host_start(&host, PROGRAM_SERVER, all_roles, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(ask(&host, cases[i].request, &exit_code));
		assert_int_equal(exit_code, cases[i].exit_code);
	}
	host_finish(&host);
}

static void a_network_keeps_its_zone(void **state)
{
	struct host host;
	int exit_code;

	(void)state;
	host_init(&host);
	host_start(&host, PROGRAM_SERVER, all_roles, (const char *const[]){"--zone", "one.test", NULL});
	json_decref(ask(&host, "{\"verb\":\"down\"}", &exit_code));
	assert_int_equal(host_wait(&host), 0);
	host_start(&host, PROGRAM_SERVER, all_roles, (const char *const[]){"--zone", "two.test", NULL});
	assert_int_equal(host_wait(&host), 2);
	host_start(&host, PROGRAM_SERVER, all_roles, NULL);
	json_decref(ask(&host, "{\"verb\":\"status\"}", &exit_code));
	host_finish(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_joins_registers_and_is_revoked),
		cmocka_unit_test(restart_forgets_nothing),
		cmocka_unit_test(wrong_codes_are_explained),
		cmocka_unit_test(guessed_names_get_suffixes),
		cmocka_unit_test(one_code_for_many_at_once),
		cmocka_unit_test(roles_in_processes_of_their_own),
		cmocka_unit_test(zone_and_metrics_are_served),
		cmocka_unit_test(a_train_is_cut_for_its_roles),
		cmocka_unit_test(mistakes_at_the_control_socket_are_told),
		cmocka_unit_test(a_network_keeps_its_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
