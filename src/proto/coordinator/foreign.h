/*
 * foreign.h: other zones' coordinators: who they are (foreign.c), the link to each (foreign_handshake.c,
 * foreign_link.c, foreign_message.c), what is asked of them for our nodes and answered for theirs (inquiry.c), their
 * nodes that have tunnels with ours (visitor.c). For the files of this folder only.
 */
#pragma once

#include "proto/coordinator/state.h"
#include "proto/session/cookie.h"
#include "proto/session/request.h"

enum { INQUIRIES_PER_MEMBER = 32 }; /* the oldest is forgotten */

#define LINK_FRESH_US (8 * USEC_PER_SEC)      /* a first message is repeated for so long: below PENDING_US */
#define LINK_RETRY_MAX_US (10 * USEC_PER_SEC) /* between tries when nobody asks for the link */
#define LINK_SILENCE_US                                                                                                \
	(2 * USEC_PER_SEC) /* a question unanswered for this long: the other one is gone, or began anew */

#define COLLISION_US (100 * USEC_PER_MSEC) /* a question that was overtaken by its opposite's answer is no older */

/* One session with another coordinator. */
struct link_session {
	struct session *session; /* NULL: none */
	uint64_t path_id;
	struct route route;
	uint64_t serial; /* order of confirmation */
	struct time_us heard;
	/* Rekeying: of the end that began. */
	bool is_rekeying;
	struct handshake rekey;
	struct rekeyed rekeyed; /* of the end that answered */
};

/* A first message that was answered; the session counts from its first sealed packet on (E8). */
struct link_pending {
	struct link_session link;
	struct time_us until;
	uint8_t ephemeral[KEY_SIZE];
	uint64_t seen_tag;
	size_t answer_size;
	uint8_t answer[MESSAGE_MAX];
};

/* What is known of where another network's coordinator is. */
enum directory_state { DIRECTORY_WANTED, DIRECTORY_ASKED, DIRECTORY_FOUND, DIRECTORY_REFUSED };

struct foreign {
	struct coordinator_entry entry; /* zone, keys, pools, addresses, as its network document has them */
	/* Of another network: see realm.h. */
	struct realm *realm; /* NULL: of ours */
	enum directory_state state;
	uint8_t refusal; /* why, while it is refused */
	bool is_proved;	 /* its network's document names it: until then nothing but that is spoken of */
	struct time_us state_until, needed;
	bool is_listed;			 /* in the network document that is being taken */
	bool is_up;			 /* it answers */
	struct link_session own, theirs; /* began here, began there */
	struct link_pending pending;
	struct link_session *heard_on; /* while a message is judged: where it came */
	/* A first message under way. */
	bool is_trying;
	struct handshake handshake;
	struct time_us tried, next_try;
	int64_t interval_us;
	size_t first_size;
	uint8_t first[MESSAGE_MAX];
	struct cookie cookie; /* of a coordinator under load */
	bool is_cookied;      /* first has been sent with one */

	struct time_us heard, next_keepalive;
	struct request_table requests; /* Keep Alive and Rekey */
	struct bucket budget;	       /* what it may ask of us */
	struct member *visitors;
};

/* Asked of one coordinator for one node of ours. */
struct inquiry {
	struct delay repeat;
	struct inquiry *next; /* in asker->inquiries */
	struct member *asker;
	struct foreign *to;
	uint8_t tries;
	uint32_t transaction, asker_transaction;
	struct direction_request wanted;
	uint64_t path_id;
	struct direction *direction;
};

/* foreign.c */
struct foreign *foreign_find_key(const struct coordinator *c, const uint8_t static_key[KEY_SIZE]);
struct foreign *foreign_find_zone(const struct coordinator *c, const char *fqdn);
/* Out of the table, with all that hangs on it. */
void foreign_forget(struct coordinator *c, uint32_t index);
/* Its sessions end, and its nodes' tunnels are not our affair any more. */
void foreign_hang_up(struct coordinator *c, struct foreign *f);
/* Whoever the network document lists is linked; whoever it does not list any more is forgotten. */
void foreign_set_network(struct coordinator *c);
void foreign_destroy_all(struct coordinator *c);
/* PACKET_REGISTRATION_RESPONSE and sealed packets of no member. */
enum err foreign_input(struct coordinator *c, const struct route *route, const struct header *header,
		       const uint8_t *bytes, size_t size);
void foreign_input_time(struct coordinator *c);
struct time_us foreign_deadline(const struct coordinator *c);

/* foreign_handshake.c */
/* Our first message, to all of its addresses at once. */
void foreign_try(struct coordinator *c, struct foreign *f);
enum err foreign_input_cookie(struct coordinator *c, struct foreign *f, const uint8_t *bytes, size_t size);
enum err foreign_input_answer(struct coordinator *c, struct foreign *f, const struct route *route, const uint8_t *bytes,
			      size_t size);
/* A first message whose sender has proved to hold that static key. */
enum err foreign_accept(struct coordinator *c, struct handshake *handshake, uint32_t transaction, struct reader *body,
			const struct route *route, const uint8_t *bytes, size_t size);
struct foreign *foreign_find_pending(const struct coordinator *c, uint64_t path_id);
/* True when it was a first message that is answered already, with the outcome. */
bool foreign_repeat(struct coordinator *c, const struct route *route, const uint8_t *bytes, size_t size,
		    enum err *ret_err);
/* The first packet under a pending session's keys: it is theirs from now on. */
struct link_session *foreign_confirm_pending(struct coordinator *c, struct foreign *f, const struct route *route);
void foreign_end_pending(struct link_pending *pending);

/* foreign_message.c */
enum err foreign_input_sealed(struct coordinator *c, struct foreign *f, struct link_session *s,
			      const struct route *route, const uint8_t *bytes, size_t size);

/* foreign_link.c */
/* The session to seal under; NULL when there is none. */
struct link_session *foreign_session(struct coordinator *c, struct foreign *f);
void foreign_end_session(struct link_session *s);
void foreign_set_up(struct coordinator *c, struct foreign *f, bool is_up);
/* Both ends have the keys: what waits for the link goes out now. */
void foreign_confirmed(struct coordinator *c, struct foreign *f, struct link_session *s, const struct route *route);
/* Seals and queues; false when there is no session, or it has not proved itself. */
bool foreign_send(struct coordinator *c, struct foreign *f, const struct writer *message);
/* An answer, where the question came from; also to one that has not proved itself. */
void foreign_reply(struct coordinator *c, struct foreign *f, const struct writer *message);
void foreign_send_on(struct coordinator *c, struct link_session *s, const uint8_t *plaintext, size_t size);
/* Somebody needs it: tries now, and finds out whether the other one is still there. */
void foreign_hasten(struct coordinator *c, struct foreign *f);
void foreign_run(struct coordinator *c, struct foreign *f);
struct time_us foreign_deadline_of(const struct foreign *f);

/* inquiry.c */
/* REASON_NONE when it is, or already was, asked elsewhere; else why there is nobody to ask. */
uint8_t inquiry_begin(struct coordinator *c, struct member *asker, uint32_t transaction,
		      const struct direction_request *wanted);
void inquiry_forget_all(struct coordinator *c, struct member *asker);
/* Those to a coordinator that is no more, or not to be asked. */
void inquiry_refuse_to(struct coordinator *c, const struct foreign *f, uint8_t reason);
/* The link has come up: what waits goes out now. */
void inquiry_resend(struct coordinator *c, const struct foreign *f);
void inquiry_input_time(struct coordinator *c);
struct time_us inquiry_deadline(const struct coordinator *c);
enum err inquiry_input_response(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
/* The other way: its node wants one of ours. */
enum err inquiry_input_request(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
enum err inquiry_input_update(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);
enum err inquiry_input_ack(struct coordinator *c, struct foreign *f, uint32_t transaction, struct reader *body);

/* visitor.c */
struct member *visitor_find(const struct coordinator *c, const struct node_id *id);
/* Certificate and lease hold and belong to each other and to that coordinator's zone (T30), and the node is not
 * revoked: REASON_NONE. */
uint8_t visitor_judge(const struct coordinator *c, const struct foreign *f, struct blob encoded_certificate,
		      struct blob encoded_lease, struct certificate *ret_certificate, struct lease *ret_lease);
/* NULL when the table is full. */
struct member *visitor_enter(struct coordinator *c, struct foreign *f, const struct certificate *certificate,
			     struct blob encoded_certificate, const struct lease *lease, struct blob encoded_lease);
/* Forgets it when it has no pair any more; harmless for a member of ours. */
void visitor_release(struct coordinator *c, struct member *member);
void visitor_forget_all(struct coordinator *c, struct foreign *f);

/* direction.c: the other zones' answer, or ours */
/* As asked, so that the node finds who waits. channel NULL: it is gone. is_answer: to the packet that is being handled.
 */
void direction_refuse(struct coordinator *c, struct channel *channel, uint32_t transaction,
		      const struct direction_request *request, uint8_t reason, bool is_answer);
