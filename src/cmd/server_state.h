/* server_state.h: the inside of server_host.h, shared by the files server_*.c only. Each part is created after those
 * above it. */
#pragma once

#include <jansson.h>

#include "cmd/server_host.h"
#include "io/clock.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/store.h"
#include "io/stream.h"
#include "io/tls.h"
#include "io/udp.h"
#include "io/xdp/xdp.h"
#include "proto/account/account.h"
#include "proto/coordinator/coordinator.h"
#include "proto/relay/relay.h"

enum { SERVER_RECORDS_MAX = 256 };	     /* in one transaction */
enum { HOUSEKEEPING_US = 30 * 1000 * 1000 }; /* own addresses are looked at, the account server is asked */
#define POLL_AGAIN_US (2 * USEC_PER_SEC)     /* the least time between two questions */

struct server;
struct login_task;
struct server_directory;

/* A UDP socket of one family on the loop. */
struct server_socket {
	struct source source;
	struct server *server;
	uint8_t family; /* 0: the second port */
	bool is_dns;
};

struct server {
	const struct settings *settings;
	struct settings reloaded; /* what settings point to after a SIGHUP */
	int argc;
	char **argv; /* NULL: nothing to reload from */
	unsigned roles;
	struct loop *loop;
	bool is_stopping;
	int exit_code;
	uint16_t port;
	struct time_us housekeeping;
	struct server_addresses advertised;

	/* server_udp.c */
	struct udp *udp, *dns_udp;
	struct server_socket sockets[5];

	/* server_account.c */
	struct server_keys account_keys;
	struct account *account;
	struct store *account_store;
	int tcp;
	struct tls_server *tls;

	/* server_coordinator.c and server_relay.c */
	struct server_keys member_keys[2]; /* coordinator, relay */
	struct coordinator *coordinator;
	struct store *coordinator_store;
	struct relay *relay;
	struct xdp *xdp;		    /* NULL: the relay forwards in user space, */
	char forwarding[XDP_TEXT_MAX + 16]; /* and why; or where the kernel does it */

	/* server_directory.c */
	struct server_directory *directory; /* NULL: DNS is not asked */

	/* server_network.c: what is in force. */
	uint8_t authority[KEY_SIZE];
	struct network network;
	uint8_t network_bytes[NETWORK_MAX_SIZE];
	size_t network_size;

	/* server_member.c */
	struct server_addresses account_addresses;
	struct login_task *poll;

	/* server_control.c, server_dns.c, server_metrics.c */
	struct stream_server *control;
	int dns_tcp;
	struct metrics_server *metrics;
	uint64_t tickets_dropped; /* by the relay, when the network document was last asked for because of that */
	uint64_t network_doubts;  /* of the coordinator, likewise */
	struct listener *dns_listener;
	struct record records[SERVER_RECORDS_MAX];
	uint64_t dropped_role; /* datagrams for a role that is not here */
};

/* --- server_udp.c: the port that all roles share --- */
must_use enum err server_udp_open(struct server *server, char error[SERVER_ERROR_MAX]);
void server_udp_close(struct server *server);
/* What the machines want sent: pulled and sent at once. */
void server_send_coordinator(struct server *server);
/* Tells the members that it stops. */
void server_coordinator_leave(struct server *server);
void server_send_relay(struct server *server);

/* --- server_address.c --- */
/* What others are told: --advertise, else the listening address, else the machine's own ones. */
void server_addresses_find(const struct server *server, struct server_addresses *ret);
bool server_addresses_equal(const struct server_addresses *a, const struct server_addresses *b);

/* --- server_port.c --- */
/* Binds UDP, and TCP beside an account server. A default port that is taken is replaced by one that is kept from then
 * on. */
must_use enum err server_port_open(struct server *server, char error[SERVER_ERROR_MAX]);

/* --- server_account.c --- */
must_use enum err server_account_open(struct server *server, char error[SERVER_ERROR_MAX]);
/* Starts to listen to logins. */
must_use enum err server_account_serve(struct server *server, char error[SERVER_ERROR_MAX]);
void server_account_close(struct server *server);
/* Records to disk, then answers out, then news to the roles beside. False: the disk refused, the process must end. */
must_use bool server_account_settle(struct server *server);
/* Enters the roles of this process, with their present addresses. */
must_use enum err server_account_put_members(struct server *server, char error[SERVER_ERROR_MAX]);

/* --- server_coordinator.c, server_relay.c --- */
must_use enum err server_coordinator_open(struct server *server, char error[SERVER_ERROR_MAX]);
void server_coordinator_close(struct server *server);
must_use bool server_coordinator_settle(struct server *server);
/* While there are rights. Whatever comes of it is told and is no reason not to start. */
void server_relay_open_xdp(struct server *server);
must_use enum err server_relay_open(struct server *server, char error[SERVER_ERROR_MAX]);
void server_relay_close(struct server *server);
/* Coordinators are told that the relay here is there; or, at its end, look and find that it is not. */
void server_relay_announce(struct server *server);

/* --- server_directory.c: other networks' zones, by DNS --- */
void server_directory_open(struct server *server);
void server_directory_run(struct server *server, struct time_us now);
struct time_us server_directory_deadline(const struct server *server);
void server_directory_close(struct server *server);

/* --- server_network.c --- */
/* A verified document becomes the one in force, unless it is older: told to the roles here. */
void server_network_set(struct server *server, const struct network *network, struct blob encoded);

/* --- server_member.c: a coordinator or relay without its account server --- */
must_use enum err server_member_join(struct server *server, int *ret_exit, char error[SERVER_ERROR_MAX]);
/* Asks the account server, in a thread; the answer comes through the loop. */
void server_member_poll(struct server *server);
void server_member_close(struct server *server);

/* --- server_control.c --- */
must_use enum err server_control_open(struct server *server, char error[SERVER_ERROR_MAX]);
/* --- server_document.c: new references --- */
json_t *server_status_document(struct server *server);
json_t *server_nodes_document(struct server *server);
json_t *server_network_document(struct server *server);
/* "2026-11-21T09:00:00.000000Z"; null for 0. */
json_t *server_instant(uint64_t wall_s);
json_t *server_hex(const uint8_t *bytes, size_t size);
/* --- server_dns.c --- */
must_use enum err server_dns_open(struct server *server, char error[SERVER_ERROR_MAX]);
must_use enum err server_dns_serve(struct server *server, char error[SERVER_ERROR_MAX]);
void server_dns_close(struct server *server);
/* --- server_metrics.c --- */
must_use enum err server_metrics_open(struct server *server, char error[SERVER_ERROR_MAX]);
must_use enum err server_metrics_serve(struct server *server, char error[SERVER_ERROR_MAX]);
void server_metrics_close(struct server *server);
