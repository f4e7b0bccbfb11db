/* state.h: what a coordinator remembers. For the files of this folder only; each file owns the parts named after it. */
#pragma once

#include "base/map.h"
#include "proto/coordinator/admission.h"
#include "proto/coordinator/coordinator.h"
#include "proto/coordinator/delay.h"
#include "proto/coordinator/place.h"
#include "proto/coordinator/relays.h"
#include "proto/session/rekey.h"
#include "proto/session/session.h"
#include "proto/session/trust.h"
#include "wire/direction.h"
#include "wire/information.h"
#include "wire/keep_alive.h"
#include "wire/network_part.h"
#include "wire/registration.h"

enum {
	PENDING_PER_MEMBER = 2, /* handshakes answered and not yet confirmed; E8 */
	PAIRS_PER_MEMBER = 256, /* as many as a node has peers; the oldest is forgotten */
	OUT_MAX = 512,		/* datagrams between two pulls; 64 segments of a train with a few answers each fit */
	DELIVERY_TRIES = 8,
	SEEN_SLOTS = 65536, /* first messages that were accepted once: replays of ended sessions */
	RECORD_VERSION = 1,
	TUNNELS_PER_NODE = 4,		    /* with other zones' nodes, on average */
	FOREIGN_MAX = 2 * COORDINATORS_MAX, /* other zones' coordinators, of all networks that are trusted */
};

#define PENDING_US (10 * USEC_PER_SEC)
#define DIRECTION_SECRET_US (10 * USEC_PER_SEC) /* as long as a direction may be asked for again */
#define LAST_SEEN_S 86400			/* how coarse "last seen" is in the store */
#define LEASE_GRACE_S LEASE_VALID_S		/* a lost extension of a lease (never held for) stays harmless */

struct member;
struct foreign;
struct inquiry;

/* The last rekey that was answered: the same request gets the same answer, as the keys are in place already. */
struct rekeyed {
	bool has;
	uint8_t epoch;
	uint8_t hash[HASH_SIZE];
	uint8_t answer[REKEY_RESPONSE_SIZE];
};

/* One session with a member: pending until the first packet under its keys, then live. */
struct channel {
	struct member *member;
	struct session *session;
	uint64_t path_id;
	uint64_t serial;    /* order of creation */
	struct place place; /* where it is spoken to */
	bool is_live;
	struct delay pending;	     /* its end, unless confirmed */
	struct delay held;	     /* in the queue of answers that wait for the store */
	uint64_t held_until;	     /* record number */
	uint8_t ephemeral[KEY_SIZE]; /* of the first message: a repetition is known without a key exchange */
	uint64_t seen_tag;	     /* what is remembered of that message when it is confirmed */
	uint8_t *answer;	     /* the datagram, until confirmed */
	struct addr answered[2];     /* where that went first, of each family */
	bool is_copied, is_newborn;  /* and to another address too; it remembers no tunnel */
	size_t answer_size;
	/* Said in the first message, believed when confirmed. */
	uint32_t features, move_epoch;
	struct candidates candidates;
	struct rekeyed rekeyed;
};

enum delivery_kind { DELIVER_DIRECTION, DELIVER_UPDATE, DELIVERIES };

/* A message to one end of a pair that is repeated until acknowledged; encoded anew each time from current state. */
struct delivery {
	struct delay repeat;
	uint32_t transaction;
	uint8_t tries;
	uint8_t kind, end;
	struct pair *pair;
};

struct pair_end {
	struct member *member;
	struct pair_end *prev, *next; /* in member->ends, newest first */
	struct pair *pair;
	bool has_asked, is_reborn; /* reborn: it has forgotten this tunnel */
	uint32_t transaction;	   /* of its Direction Request */
	struct delivery deliveries[DELIVERIES];
};

/* Secrets of a direction; forgotten after DIRECTION_SECRET_US. */
struct direction {
	uint8_t temp_key[KEY_SIZE];
	uint8_t leg_keys[2][KEY_SIZE];
	uint8_t ticket[TICKET_MAX_SIZE]; /* another coordinator's is opaque */
	uint16_t ticket_size;
	struct relay_entry relay;
	uint32_t relay_tag; /* 0: none, or one that our network document does not have */
	uint8_t relay_cause;
	bool has_relay;
};

/* An answer that is wanted later. */
struct echo_due {
	struct delay delay;
	struct route route;
	uint32_t transaction;
	size_t size; /* of the question: the answer is no larger */
};

/* Two members that were directed to each other; ends[0] has the lower NodeID. */
struct pair {
	uint64_t path_id;
	enum suite suite;
	bool is_stale; /* an end has a new session: the direction must not be given again */
	uint8_t turn;  /* how many directions the two had before: each with another relay */
	bool is_asked; /* another zone's coordinator was asked for it, from here */
	struct time_us made;
	uint32_t update_transaction; /* the last Route Update of a visitor's coordinator: repetitions tell nothing */
	struct direction *direction; /* NULL when forgotten */
	struct delay secret;
	struct pair_relay relay;
	struct pair_end ends[2];
};

/* One identity: its lease and name, and where it is now. A visitor is another zone's: it stands in no table but
 * by_visitor, and is there for its pairs only. */
struct member {
	struct node_id id;
	uint32_t index; /* in coordinator->members */
	/* Durable. */
	char fqdn[FQDN_MAX_SIZE + 1]; /* empty: revoked before it ever came, or lost its name */
	uint64_t certificate_serial;
	uint16_t certificate_size, lease_size;
	uint8_t certificate[CERTIFICATE_MAX_SIZE];
	uint8_t lease_bytes[LEASE_MAX_SIZE];
	struct lease lease;
	bool has_lease, is_revoked;
	uint64_t last_seen_s;
	/* The store. */
	bool is_dirty, is_erased;
	uint64_t dirty_number, fact_number; /* its place in the queue; the last change that answers wait for */
	struct member *dirty_next;
	/* Where it is. */
	struct channel *live;
	struct channel *pending[PENDING_PER_MEMBER];
	bool is_online;
	struct addr observed;
	uint32_t features, move_epoch;
	struct candidates candidates;
	struct relay_sight sight;
	struct delay silence;
	uint8_t patience; /* step of keep_alive.h: in which queue that waits */
	struct echo_due echo;
	struct bucket requests;
	struct pair_end *ends;
	uint32_t end_count;
	struct inquiry *inquiries; /* its Direction Requests that another coordinator has to answer, newest first */
	uint32_t inquiry_count;
	/* Visitors. */
	struct foreign *home;		      /* its coordinator; NULL: it is ours */
	struct member *home_prev, *home_next; /* in home->visitors */
	bool is_held;			      /* not to be forgotten just now, though it has no pair */
};

struct outgoing {
	struct route route;
	uint16_t size;
	uint8_t bytes[MESSAGE_MAX];
};

struct coordinator {
	struct coordinator_config config;
	struct coordinator_env env;
	struct aead_provider *aead;
	struct signature_cache *signatures; /* of members' documents */
	uint8_t mac1_key[KEY_SIZE];
	uint8_t hash_key[16], challenge_key[KEY_SIZE];
	struct time_us now; /* of the current input */
	struct time_us wall_at;
	uint64_t wall_s; /* network time at wall_at */
	struct coordinator_counters counters;

	struct member **members; /* without gaps */
	struct map by_id, by_name, by_v4, by_v6, by_path;
	uint64_t pool4_next; /* offset of the first address never leased */
	uint32_t zone_serial;

	struct delay_queue pendings, held, idle, secrets, doubts, repeats[DELIVERY_TRIES];
	struct delay_queue online[KEEPALIVE_STEPS], echoes[KEEPALIVE_STEPS]; /* echo.c */
	uint64_t channel_serial;
	struct admission admission, questions; /* of first messages; of DNS over UDP */
	uint64_t seen[SEEN_SLOTS];

	struct network *network; /* copy; NULL before the first */
	size_t network_size;
	uint8_t network_bytes[NETWORK_MAX_SIZE]; /* encoded, for nodes whose own is older */
	struct foreign *foreigns[FOREIGN_MAX];
	uint32_t foreign_count;
	struct realms *realms;			      /* realm.h */
	struct map by_visitor, by_tunnel, by_inquiry; /* visitors; their pairs by PathID; inquiries by transaction */
	struct delay_queue inquiries[DELIVERY_TRIES];
	struct relays relays;

	struct member *dirty_first, *dirty_last;
	uint64_t records_queued, records_pulled, records_durable;

	uint32_t out_first, out_count;
	struct outgoing out[OUT_MAX];
};

/* coordinator.c */
uint64_t coordinator_wall_s(const struct coordinator *c);
void coordinator_send(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size);
void coordinator_tell(struct coordinator *c, enum coordinator_event_type type, const struct member *member,
		      const struct member *peer, uint8_t reason);
uint32_t coordinator_random_u32(struct coordinator *c);

/* Of this coordinator's own zone entry; NULL while the network document does not have it. */
const struct coordinator_entry *coordinator_own_entry(const struct coordinator *c);

/* member.c: the table of identities and its records. */
struct member *member_find(const struct coordinator *c, const struct node_id *id);
struct member *member_find_name(const struct coordinator *c, const char *fqdn);
struct member *member_find_ip(const struct coordinator *c, const struct ip *ip);
/* NULL when the table is full and nobody in it is long gone. */
struct member *member_add(struct coordinator *c, const struct node_id *id);
/* Takes it out of every index; the memory goes when its erasure has been pulled. */
void member_remove(struct coordinator *c, struct member *member);
/* Somebody whose lease ran out longest ago, beyond grace, and who is not here; NULL. */
struct member *member_find_reusable(const struct coordinator *c);
/* False while another identity holds the name and is neither revoked nor long gone. */
bool member_may_take_name(const struct coordinator *c, const struct node_id *id, const char *fqdn);
must_use enum err member_set_name(struct coordinator *c, struct member *member, const char *fqdn);
void member_clear_name(struct coordinator *c, struct member *member);
/* is_fact: acknowledgements wait until this change is durable. */
void member_changed(struct coordinator *c, struct member *member, bool is_fact);
void member_destroy(struct member *member);
/* Its sessions and all that hangs on them end now. */
void member_drop_sessions(struct coordinator *c, struct member *member);
bool member_is_revoked(const struct coordinator *c, const struct node_id *id);

/* pool.c: leases. */
must_use enum err pool_lease(struct coordinator *c, struct member *member);
must_use enum err pool_adopt(struct coordinator *c, struct member *member, const struct lease *lease);
void pool_release(struct coordinator *c, struct member *member);

/* registration.c */
/* What is remembered of a first message: its header and ephemeral key. Never 0. */
uint64_t registration_seen_tag(const struct coordinator *c, const uint8_t *bytes);
/* Is it one host label below the zone, and not the name server's own? */
bool registration_name_fits(const char *fqdn, const char *zone);
enum err registration_input(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size);
void registration_release_held(struct coordinator *c);

/* channel.c */
/* First messages that were accepted and confirmed are not worth a second key exchange. */
uint64_t *channel_seen_slot(struct coordinator *c, uint64_t tag);
enum err channel_input(struct coordinator *c, struct channel *channel, const struct route *route, const uint8_t *bytes,
		       size_t size);
void channel_destroy(struct coordinator *c, struct channel *channel);
/* is_answer: to a request that just arrived from that address; else the budget of an unproven address applies. False:
 * nothing went out. */
bool channel_send(struct coordinator *c, struct channel *channel, const struct writer *message, bool is_answer);
/* Answers a rekey of a session that the other end began; the answer is then in ret. */
must_use enum err channel_rekey(struct coordinator *c, struct session *session, const uint8_t remote_static[KEY_SIZE],
				const struct rekey *request, struct rekeyed *ret);
/* Nobody can make others probe loopback, multicast or link-local addresses through us (T26). */
void channel_take_candidates(struct member *member, const struct candidates *told);
/* To this one address, its own or the rival's. */
bool channel_send_to(struct coordinator *c, struct channel *channel, const struct writer *message,
		     const struct route *route, bool is_answer);
/* Takes from the member's budget of messages. */
bool channel_charge(struct coordinator *c, struct member *member);

/* direction.c and pair.c */
enum err direction_input(struct coordinator *c, struct channel *channel, uint32_t transaction, struct reader *body);
void pair_push_updates(struct coordinator *c, struct member *member, bool at_once);
void pair_resend(struct coordinator *c, struct member *member);
void pair_acknowledge(struct coordinator *c, struct member *member, uint32_t transaction);
void pair_forget_all(struct coordinator *c, struct member *member);
void pair_mark_stale(struct member *member);
void pair_tell_reborn(struct coordinator *c, struct member *member);
void pair_input_time(struct coordinator *c);
struct pair *pair_find(const struct member *a, const struct member *b);
struct pair *pair_create(struct coordinator *c, struct member *a, struct member *b);
/* The same with a PathID, a suite and secrets that are there already; the pair owns them from now on. NULL when the
 * PathID is taken: then they are still the caller's. */
struct pair *pair_install(struct coordinator *c, struct member *a, struct member *b, uint64_t path_id, enum suite suite,
			  struct direction *direction);
/* Fresh secrets, and that relay. */
struct direction *direction_make(struct coordinator *c, uint64_t path_id, const struct relay_choice *choice);
void direction_forget(struct direction *direction); /* wipes; accepts NULL */
uint64_t direction_path_id(struct coordinator *c);
void pair_destroy(struct coordinator *c, struct pair *pair);
struct pair_end *pair_end_of(struct pair *pair, const struct member *member);
/* Sends now and repeats until acknowledged. */
void pair_deliver(struct coordinator *c, struct pair_end *end, enum delivery_kind kind, uint32_t transaction);
/* The message for this end as it is now; ERR_STATE when there is nothing to tell any more. */
must_use enum err direction_encode(const struct coordinator *c, const struct pair_end *end, uint32_t transaction,
				   struct writer *w);
