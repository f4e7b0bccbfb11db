/* limits.h: every size, count and time that the protocol fixes, with its reason. One page to audit. */
#pragma once

enum {
	PROTOCOL_VERSION = 1,

	/* Sizes in bytes. */
	HEADER_SIZE = 16, /* outer header of every datagram (design 5) */
	TAG_SIZE = 16,	  /* both AEADs */
	OVERHEAD_SIZE = HEADER_SIZE + TAG_SIZE,
	KEY_SIZE = 32,				   /* X25519, Ed25519 public, AEAD, TempKey, NegoKey, leg keys */
	HASH_SIZE = 32,				   /* BLAKE2s */
	SIGNATURE_SIZE = 64,			   /* Ed25519 */
	MAC_SIZE = 16,				   /* mac1, mac2, probes, relay binds */
	NODE_ID_SIZE = 16,			   /* BLAKE2s(identity key), truncated: 128 bit second-preimage */
	CHALLENGE_SIZE = 16,			   /* Path Challenge (RFC 9000 8.2.1 has 8; security.md E2 wants 16) */
	MESSAGE_MAX = 1232,			   /* any message but data: fits IPv6 minimum MTU 1280 - 40 - 8 */
	CONTROL_MAX = MESSAGE_MAX - OVERHEAD_SIZE, /* plaintext of a sealed message */
	HANDSHAKE_OVERHEAD_REQUEST = HEADER_SIZE + 32 + 48 + 16 + 2 * MAC_SIZE, /* e, s, tag, mac1, mac2 */
	HANDSHAKE_OVERHEAD_RESPONSE = HEADER_SIZE + 32 + 16 + 2 * MAC_SIZE,
	HANDSHAKE_PAYLOAD_MAX = MESSAGE_MAX - HANDSHAKE_OVERHEAD_REQUEST,
	DATAGRAM_MAX = 65535,
	SUPERPACKET_MAX = 65535, /* largest inner packet the TUN hands over */
	SEGMENTS_MAX = 64,	 /* per UDP GSO call: what every kernel with UDP_SEGMENT takes */
	PAD_TO = 16,		 /* inner sizes are rounded up to this (T3) */

	/* Names and lists. */
	NAME_MAX_SIZE = 63, /* one DNS label */
	ZONE_MAX_SIZE = 127,
	FQDN_MAX_SIZE = NAME_MAX_SIZE + 1 + ZONE_MAX_SIZE,
	ACCOUNT_MAX_SIZE = 63,
	GROUPS_MAX = 4,
	GROUP_MAX_SIZE = 31,
	CANDIDATES_MAX = 8,	  /* per node (T26) */
	SERVER_ADDRESSES_MAX = 4, /* transport addresses of one server */
	RELAYS_MAX = 16,	  /* in one network document */
	COORDINATORS_MAX = 16,
	RELAY_SEEN_MAX = 8, /* relays that a node measures and reports */
	TRUSTED_MAX = 8,    /* other networks in one network document */
	REVOKED_MAX = 256,  /* NodeIDs in one network document: 4 KiB of its 16 */
	EARLY_MAX =
		1000, /* inner packet in a Tunnel Request: below HANDSHAKE_PAYLOAD_MAX with all that stands beside it */
	ECHO_MAX = 1000, /* bytes of an echo: with headers and tag below MESSAGE_MAX */
	TICKET_MAX_SIZE = 256,
	CERTIFICATE_MAX_SIZE = 640,
	LEASE_MAX_SIZE = 256,
	NETWORK_MAX_SIZE = 16384, /* network document, over TLS only */
	LOGIN_FRAME_MAX = 32768,
	JOIN_SECRET_SIZE = 16,
	JOIN_PIN_SIZE = 16, /* of BLAKE2s(account server's key) */
	JOIN_CODE_MAX = 256,

	/* Paths and replay (design 5, security 1). */
	PATHS_MAX = 4,	      /* counter spaces of one session */
	MISSING_MAX = 8,      /* spans of counters that a Receipt tells as missing, per space */
	LINK_SPACE = 0,	      /* of node and coordinator: its packets show where the node is */
	LINK_SPACE_ASIDE = 1, /* the node asks how it is seen from another of its addresses: shows nothing */
	REPLAY_WINDOW = 8192, /* packets; 5 ms at 10 Gbit/s of full segments is 4,400 */
	COUNTER_BITS = 48,
	PROBES_PER_CANDIDATE = 5, /* hole punching, then silence (T26) */
};

/* Durations in microseconds. */
#define CHALLENGE_INTERVAL_US (100 * 1000LL)   /* E6: one per candidate */
#define OLD_PATH_SILENCE_MIN_US (250 * 1000LL) /* E3: max(3 RTT, this) */
#define REPLAY_SPAN_MAX_US (2000 * 1000LL)     /* older packets are the inner connections' own affair */
#define PROBE_INTERVAL_US (50 * 1000LL)	       /* hole punching */
#define HANDSHAKE_RETRY_US (100 * 1000LL)      /* first retransmission; then rarer, up to the maximum */
#define HANDSHAKE_RETRY_MAX_US (2000 * 1000LL)
#define REQUEST_RETRY_US (100 * 1000LL)	       /* of a control message before an RTT is known */
#define REKEY_AFTER_US (120 * 1000000LL)       /* of use */
#define REKEY_IDLE_US (240 * 1000000LL)	       /* at the latest; an idle node does it when it is awake anyway */
#define REJECT_AFTER_US (300 * 1000000LL)      /* a key this old opens and seals nothing */
#define REST_KEYS_US (24 * 3600 * 1000000LL)   /* but one that was made after the last data, and waits for more */
#define KEEPALIVE_US (20 * 1000000LL)	       /* below the 30 s that RFC 4787 REQ-5 exceptions leave */
#define COORDINATOR_DOUBT_US (1 * 1000000LL)   /* unanswered for this long: it may have restarted and know us no more */
#define COORDINATOR_SILENCE_US (5 * 1000000LL) /* ... for this long: unreachable */
#define LEG_UNBOUND_US (30 * 1000000LL)	       /* relay: ticket seen, never bound */
#define LEG_IDLE_US (300 * 1000000LL)	       /* relay: bound, silent */
#define COOKIE_SECRET_US (120 * 1000000LL)

/* Validities in seconds. */
#define CERTIFICATE_SKEW_S 3600LL /* it holds so long before it was made: coordinators' clocks differ */
#define CERTIFICATE_VALID_S (365 * 86400LL)
#define LEASE_VALID_S (30 * 86400LL)
#define TICKET_VALID_S (24 * 3600LL)

/* Counters. */
#define COUNTER_LIMIT ((UINT64_C(1) << 48) - (UINT64_C(1) << 20)) /* seal nothing beyond; rekey long before */
#define COUNTER_REKEY (UINT64_C(1) << 47)
#define UNVALIDATED_BURST_BYTES (256 * 1024) /* E5 */
