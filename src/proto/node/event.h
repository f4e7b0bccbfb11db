/* event.h: what a node tells its driver: state changes for logs, metrics and tests, and snapshots for people. Values;
 * text is zero-terminated. */
#pragma once

#include "base/datagram.h"
#include "base/time.h"
#include "wire/credential.h"

enum path_kind { PATH_DIRECT, PATH_RELAY };

/* Why data takes another path from now on. */
enum path_cause {
	CAUSE_NONE,
	CAUSE_FIRST,	  /* there was none before */
	CAUSE_RTT,	  /* it is shorter */
	CAUSE_DIRECT,	  /* it needs no relay, or the address is one that the peer named */
	CAUSE_MOVED,	  /* we have another address */
	CAUSE_PEER_MOVED, /* the peer has */
	CAUSE_SILENT,	  /* data on the old one was no longer acknowledged */
	CAUSE_DIED,	  /* the old one is gone, or did not answer any more */
	CAUSE_ASKED,	  /* a person wanted that interface */
	PATH_CAUSES,
};

enum node_event_type {
	NODE_EVENT_ADDRESSED, /* virtual addresses known for the first time: set up the TUN, `lease` may be persisted */
	NODE_EVENT_LEASE,     /* lease renewed: persist */
	NODE_EVENT_COORDINATOR_UP,
	NODE_EVENT_COORDINATOR_DOWN,
	NODE_EVENT_NETWORK,	  /* a newer network document is in force: persist */
	NODE_EVENT_REFUSED,	  /* the coordinator refused registration: reason */
	NODE_EVENT_ADDRESS_ADDED, /* address */
	NODE_EVENT_ADDRESS_REMOVED,
	NODE_EVENT_PEER_UP,
	NODE_EVENT_PEER_DOWN,	 /* reason */
	NODE_EVENT_PEER_REFUSED, /* Direction Refusal: name, reason */
	NODE_EVENT_PATH_UP,	 /* validated: kind, route */
	NODE_EVENT_PATH_DOWN,
	NODE_EVENT_PATH_SELECTED, /* data flows on it from now on */
	NODE_EVENT_HANDOVER,	  /* handover */
	NODE_EVENT_REKEY,
	NODE_EVENT_ECHO,	  /* token, sequence, rtt_us, kind, route */
	NODE_EVENT_EXIT_SELECTED, /* peer: another exit has taken over from the one before */
};

/* A finished move, ours or the peer's. */
struct handover {
	struct time_us at; /* when it began */
	struct route from, to;
	enum path_kind from_kind, to_kind;
	enum path_cause cause;
	bool by_peer;	/* the peer moved; else we did */
	int64_t gap_us; /* from the last packet heard on the old path (or the move, when that is later) to the first on
			   the new one */
	uint32_t replayed_packets;
	uint32_t lost_packets; /* sealed packets that could not be kept for replay */
};

struct node_event {
	enum node_event_type type;
	struct time_us at;
	char peer[FQDN_MAX_SIZE + 1]; /* empty where it is not about a peer */
	struct ip address;
	uint8_t reason; /* enum reason */
	enum path_kind kind;
	struct route route;
	enum path_cause cause; /* PATH_SELECTED */
	char relay[NAME_MAX_SIZE + 1];
	int64_t rtt_us;
	uint64_t token;
	uint32_t sequence;
	struct handover handover;
};

enum node_state { NODE_JOINING, NODE_UP };
enum node_peer_state { NODE_PEER_IDLE, NODE_PEER_CONNECTING, NODE_PEER_UP, NODE_PEER_UNREACHABLE };

/* How far a try to get through hard NATs has come, or how the last one ended. */
enum punch_state {
	PUNCH_STATE_NONE,
	PUNCH_STATE_TRYING,
	PUNCH_STATE_FOUND,
	PUNCH_STATE_FAILED,    /* nothing came in */
	PUNCH_STATE_HOPELESS,  /* both ends' ports, or one end's and the other's, cannot be guessed */
	PUNCH_STATE_BLIND,     /* an end could not learn what its NAT does */
	PUNCH_STATE_SILENT,    /* the peer did not answer: it may be of an older version */
	PUNCH_STATE_NO_TARGET, /* the coordinator has not seen the peer at an address that may be knocked at */
	PUNCH_STATES,
};

struct node_punch_status {
	enum punch_state state;
	uint8_t own, theirs; /* enum mapping_kind */
	uint32_t tries, knocks;
	uint32_t sockets; /* open for it now */
};

struct node_counters {
	uint64_t dropped_stranger; /* unknown PathID or failed MAC */
	uint64_t dropped_malformed, dropped_auth, dropped_replay;
	uint64_t dropped_inner_source; /* T12 */
	uint64_t dropped_no_peer, dropped_queue_full, dropped_no_path, dropped_too_big;
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes; /* inner, after cutting and before joining */
	uint64_t tx_superpackets, rx_superpackets;
	uint64_t handovers, replayed, rescued, relay_tx_packets; /* rescued: sealed anew for a peer that came back */
	uint64_t oversized; /* trains refused for their size whose sender was told */
	uint64_t challenges_tx, challenges_rx, receipts_tx, handshakes;
	uint64_t doubts, silent_deaths; /* data not acknowledged for longer than usual; for so long that it is dead */
	uint64_t relay_measurements, relay_complaints, relay_changes;
	uint64_t suspects; /* own addresses from which nothing was answered any more */
	uint64_t punches, punches_found, knocks_tx, punch_sockets; /* tries through hard NATs; sockets opened */
};

struct node_status {
	enum node_state state;
	struct time_us since;
	char name[NAME_MAX_SIZE + 1], fqdn[FQDN_MAX_SIZE + 1], zone[ZONE_MAX_SIZE + 1];
	struct node_id id;
	struct ip v4, v6; /* family 0 until addressed */
	bool coordinator_ok;
	struct addr coordinator;
	int64_t coordinator_rtt_us; /* -1: not known */
	struct addr observed;	    /* own server-reflexive address */
	uint64_t network_time_s;    /* 0: not known */
	struct node_counters counters;
};

enum { NODE_PATHS_MAX = 16 };

struct node_path_status {
	enum path_kind kind;
	struct route route;
	bool valid, active;
	int64_t rtt_us;		       /* -1: not known */
	char relay[NAME_MAX_SIZE + 1]; /* whose way it is; empty when direct */
	uint16_t loss_permille;
	uint16_t mtu;			       /* inner bytes */
	uint32_t challenges_tx, challenges_rx; /* sent and answered: what `why` shows for a candidate */
};

/* Tunnels by where their data goes now. */
struct node_ways {
	uint32_t direct, relay, nowhere;
};

struct node_peer_status {
	enum node_peer_state state;
	char fqdn[FQDN_MAX_SIZE + 1], name[NAME_MAX_SIZE + 1], relay[NAME_MAX_SIZE + 1];
	struct node_id id;
	struct ip v4, v6;
	uint8_t last_reason; /* of the last refusal, enum reason */
	bool is_foreign;     /* of another network */
	bool has_certificate, has_session, relay_bound, has_relay;
	uint8_t relay_cause;  /* enum relay_cause */
	int64_t relay_rtt_us; /* to it and back; -1: not known */
	uint8_t candidate_count;
	uint8_t path_count;
	struct node_path_status paths[NODE_PATHS_MAX];
	enum path_cause cause; /* why the active path was chosen */
	uint32_t handovers;
	bool has_last_handover;
	struct handover last_handover;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	int64_t key_age_us;
	const char *suite; /* static text */
	struct node_punch_status punch;
};
