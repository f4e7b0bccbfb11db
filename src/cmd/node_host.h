/* node_host.h: the node daemon's insides: one node machine, driven on one loop by UDP, TUN, netlink, control socket and
 * DNS stub. */
#pragma once

#include <jansson.h>

#include "cmd/node_tally.h"
#include "cmd/options.h"
#include "cmd/server_keys.h"
#include "io/loop.h"
#include "io/netlink.h"
#include "io/stream.h"
#include "io/tun.h"
#include "io/udp.h"
#include "proto/node/node.h"

struct portmap_answer;
struct node_renew;
struct exit_host;
struct node_lanes;

enum { HOST_ERROR_MAX = 512, HOST_TASKS_MAX = 32, HOST_WATCHERS_MAX = 16 };

/* What a joined device keeps in its state directory, beside its keys. */
struct membership {
	uint8_t authority[KEY_SIZE];
	struct server_addresses account; /* where the account server was when we joined */
	uint8_t certificate[CERTIFICATE_MAX_SIZE];
	size_t certificate_size;
	uint8_t network_bytes[NETWORK_MAX_SIZE];
	size_t network_size;
	struct network network;
	uint8_t lease[LEASE_MAX_SIZE];
	size_t lease_size;
};

enum host_task_kind { TASK_NONE, TASK_PING, TASK_WHY, TASK_HANDOVER };

/* A request of a client that takes a while. */
struct host_task {
	enum host_task_kind kind;
	uint64_t client;
	char name[FQDN_MAX_SIZE + 1];
	struct time_us started, next, deadline, awaiting_since;
	/* ping */
	uint32_t count, sent, received, answered_sequence;
	bool direct, relayed_only, awaiting;
	int64_t interval_us, rtt_min_us, rtt_max_us, rtt_sum_us;
	/* why */
	struct ip general; /* a host outside the overlay, asked about with its exit */
	bool refused;
	uint8_t reason;
	/* handover */
	char from[NET_NAME_MAX];
	uint32_t expected; /* tunnels that have to move */
	json_t *moved;	   /* how those did that have; owned */
};

struct host {
	struct settings settings;
	struct server_keys keys;
	struct membership membership;
	struct loop *loop;
	struct udp *udp;
	struct source udp_source[2], more_source, tun_source, watch_source;
	struct tun *tun;
	struct net_watch *watch;
	struct net_setup setup;
	bool is_set_up;	 /* addresses and routes are in the kernel */
	bool has_filter; /* io/filter.h */
	bool setup_pending, lease_pending, network_pending;
	struct stream_server *stream;
	struct node_stub *stub;
	struct aead_provider *aead;
	struct node *node;
	struct node_lanes *lanes; /* NULL: the loop moves the packets */
	struct metrics_server *metrics;
	struct node_portmap *portmap; /* NULL: off */
	struct node_renew *renew;     /* NULL: cannot be had */
	struct exit_host *exit;	      /* NULL: an ordinary node */
	struct tally tally;
	struct host_task tasks[HOST_TASKS_MAX];
	uint64_t watchers[HOST_WATCHERS_MAX];
	struct time_us repaired_at; /* routes or rules were put back */
	bool announced;		    /* whoever started us was told that we are up */
	bool is_swollen;	    /* a start or a contact has used code that moving packets does not need */
	bool stop, reload;
	struct time_us joined_at;
};

/* node_state.c */
/* ERR_UNKNOWN: never joined. */
must_use enum err membership_load(const char *dir, struct membership *ret, char error[HOST_ERROR_MAX]);
must_use enum err membership_save(const char *dir, const struct membership *membership, char error[HOST_ERROR_MAX]);
must_use enum err membership_save_lease(const char *dir, struct blob lease, char error[HOST_ERROR_MAX]);
/* Logs in with settings->join and keeps what came of it. Returns an exit code. */
int membership_join(const struct settings *settings, const struct server_keys *keys, struct membership *ret,
		    char error[HOST_ERROR_MAX]);

/* node_main.c: the whole of a node program's main. */
int node_main(enum program program, int argc, char **argv);

/* node_exit.c: what leaves the overlay, as the settings say. */
must_use enum err node_exit_use(struct host *host, char error[HOST_ERROR_MAX]);
void node_exit_routes(const struct settings *settings, struct net_setup *setup);
json_t *node_exit_list(const struct host *host); /* the caller's */
/* The control socket's "exit": other settings of it for a node that is up. */
void node_exit_change(struct host *host, uint64_t client, const json_t *request);

/* node_host.c */
must_use enum err host_open(struct host *host, char error[HOST_ERROR_MAX]);
int host_run(struct host *host);
void host_close(struct host *host);
/* The kernel's side of the node's device, as the settings say. */
struct net_setup host_make_setup(const struct host *host, const struct node_status *status);
/* Sends and writes everything the node has ready. */
void host_drain(struct host *host);
/* What it wants beside that: answers of the DNS stub, sockets. */
void host_attend(struct host *host);
/* Others read the packets from now on. */
void host_read_no_packets(struct host *host);
/* A short datagram, and not a train. */
bool host_comes_alone(const struct datagram *datagram);

/* node_control.c: verbs of the control socket. */
void host_control_line(void *ctx, const struct stream_peer *peer, char *line, size_t size);
void host_control_closed(void *ctx, const struct stream_peer *peer);
/* Goes on with tasks: pings due, answers that will not come. Returns when to call again. */
struct time_us host_tasks_run(struct host *host, struct time_us now);
/* A node event that a task may wait for, or a watcher wants to see. */
void host_control_event(struct host *host, const struct node_event *event);

/* One line to everybody who watches. */
void host_tell_watchers(struct host *host, json_t *document);

/* node_document.c: JSON of the user's contract. The caller owns what is returned. */
json_t *document_status(const struct host *host, struct time_us now);
json_t *document_watching(const struct host *host);
json_t *document_event(const struct host *host, const struct node_event *event);
json_t *document_ping(const struct node_event *event);
json_t *document_handover(const struct handover *handover);
const char *document_reason(uint8_t reason);
/* A port that a NAT has opened for us, or not any more. */
json_t *document_mapped(const struct portmap_answer *answer);

/* node_stub.c: the DNS stub on the node's own virtual addresses, port 53, and the system resolver's hint to it. */
must_use enum err node_stub_open(struct host *host, struct node_stub **ret, char error[HOST_ERROR_MAX]);
void node_stub_close(struct node_stub *stub); /* accepts NULL */
/* Sends the answers that the node has ready. */
void node_stub_drain(struct node_stub *stub, struct node *node);
