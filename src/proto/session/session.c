#include "proto/session/session.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/session/session_state.h"

static void epoch_rest(struct epoch *epoch)
{
	aead_key_destroy(epoch->seal);
	aead_key_destroy(epoch->open);
	epoch->seal = epoch->open = NULL;
}

static void epoch_finish(struct epoch *epoch)
{
	epoch_rest(epoch);
	wipe(epoch, sizeof(*epoch));
}

static void forget_previous(struct session *session)
{
	if (session->previous)
		epoch_finish(session->previous);
	mem_free(session->previous);
	session->previous = NULL;
}

/* Expands the keys, which AES wants to have done once and not for each packet. */
static void epoch_wake(struct epoch *epoch, const struct session *session)
{
	enum aead_algorithm algorithm = session->suite == SUITE_AES256_GCM ? AEAD_AES256_GCM : AEAD_CHACHA20_POLY1305;

	epoch->seal = aead_key_create(session->provider, algorithm, epoch->seal_bytes);
	epoch->open = aead_key_create(session->provider, algorithm, epoch->open_bytes);
}

static void epoch_init(struct epoch *epoch, const struct session *session, uint8_t number,
		       const struct session_keys *keys, struct time_us now)
{
	const uint8_t *own = session->is_initiator ? keys->to_responder : keys->to_initiator;
	const uint8_t *others = session->is_initiator ? keys->to_initiator : keys->to_responder;

	*epoch = (struct epoch){.number = number, .since = now};
	memcpy(epoch->seal_bytes, own, KEY_SIZE);
	memcpy(epoch->open_bytes, others, KEY_SIZE);
	memcpy(epoch->rekey_psk, keys->rekey_psk, KEY_SIZE);
	epoch_wake(epoch, session);
}

/*
 * Does the other end have the newest keys for certain? The initiator does not finish a handshake that the responder has
 * not.
 */
static bool newest_is_shared(const struct session *session)
{
	return session->is_initiator || session->newest.heard || !session->previous;
}

static const struct epoch *sending_epoch(const struct session *session)
{
	return newest_is_shared(session) ? &session->newest : session->previous;
}

/* Contract in the header. */
struct session *session_create(struct aead_provider *provider, enum suite suite, bool is_initiator, uint64_t path_id,
			       const struct session_keys *keys, struct time_us now)
{
	struct session *session = mem_alloc(1, sizeof(*session));

	assert(suite == SUITE_AES256_GCM || suite == SUITE_CHACHA20_POLY1305);
	session->provider = provider;
	session->suite = suite;
	session->is_initiator = is_initiator;
	session->path_id = path_id;
	epoch_init(&session->newest, session, 0, keys, now);
	return session;
}

/* Contract in the header. */
void session_destroy(struct session *session)
{
	if (!session)
		return;
	session_rest(session);
	epoch_finish(&session->newest);
	forget_previous(session);
	wipe(session, sizeof(*session));
	mem_free(session);
}

/* Sixteen bytes in one register, so that they are stored at once: an AEAD's loads that span two stores wait for both.
 */
typedef uint64_t words2 __attribute__((vector_size(16)));

static void store_words(uint64_t first, uint64_t second, uint8_t ret[16])
{
	words2 words = {htobe64(first), htobe64(second)};

	memcpy(ret, &words, sizeof(words));
}

static uint64_t load_word(const uint8_t *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return be64toh(word);
}

/* As header_encode writes it: a number of 8, 8 and 48 bits, and the PathID. */
static void header_put(const struct header *header, uint8_t ret[HEADER_SIZE])
{
	store_words((uint64_t)header->type << 56 | (uint64_t)header->path << COUNTER_BITS | header->counter,
		    header->path_id, ret);
}

/* As header_decode reads it; what it may not be is for the caller to say. */
static void header_get(const uint8_t bytes[HEADER_SIZE], struct header *ret)
{
	uint64_t first = load_word(bytes);

	*ret = (struct header){
		.type = (uint8_t)(first >> 56),
		.path = (uint8_t)(first >> COUNTER_BITS),
		.counter = first & ((UINT64_C(1) << COUNTER_BITS) - 1),
		.path_id = load_word(bytes + 8),
	};
}

/* Room for the nonce, which is the first 12 bytes. */
enum { NONCE_ROOM = 16 };

_Static_assert((int)NONCE_ROOM >= (int)AEAD_NONCE_SIZE && HEADER_SIZE == 16, "sizes of a register");

/* Path number and counter, as 4 and 8 bytes: unique under a key, because the counters of a path outlive its keys. */
static void nonce_make(const struct header *header, uint8_t ret[NONCE_ROOM])
{
	store_words((uint64_t)header->path << 32 | header->counter >> 32, header->counter << 32, ret);
}

/* Contract in the header. */
enum err session_seal(struct session *session, uint8_t path, uint8_t flags, const uint8_t *in, size_t size,
		      uint8_t *out)
{
	struct epoch *epoch = newest_is_shared(session) ? &session->newest : session->previous;
	uint8_t role = session->is_initiator ? 0 : SEALED_RESPONDER;
	uint8_t nonce[NONCE_ROOM];
	struct header header;

	assert(path < PATHS_MAX && (flags & ~(SEALED_CONTROL | SEALED_PARTIAL)) == 0);
	if (session->counters[path] >= COUNTER_LIMIT || epoch->sealed >= COUNTER_LIMIT)
		return ERR_EXHAUSTED;
	header = (struct header){
		.type = (uint8_t)(PACKET_SEALED | role | flags | (epoch->number & SEALED_EPOCH)),
		.path = path,
		.counter = session->counters[path]++,
		.path_id = session->path_id,
	};
	if (!epoch->seal)
		epoch_wake(epoch, session);
	epoch->sealed++;
	header_put(&header, out);
	nonce_make(&header, nonce);
	aead_seal(epoch->seal, nonce, out, HEADER_SIZE, in, size, out + HEADER_SIZE);
	return OK;
}

/* All that can be said of a packet without touching its tag; *ret_epoch is the one that may open it. */
static enum err packet_check(struct session *session, const uint8_t *datagram, size_t size, struct header *ret,
			     struct epoch **ret_epoch)
{
	uint8_t role =
		session->is_initiator ? SEALED_RESPONDER : 0; /* of the other end: our own packets do not come back */
	struct epoch *epoch;

	if (size < OVERHEAD_SIZE)
		return ERR_TRUNCATED;
	header_get(datagram, ret);
	if (!(ret->type & PACKET_SEALED) || ret->type & SEALED_RESERVED || ret->path >= PATHS_MAX ||
	    ret->counter >= COUNTER_LIMIT)
		return ERR_MALFORMED;
	if (ret->path_id != session->path_id)
		return ERR_UNKNOWN;
	if ((ret->type & SEALED_RESPONDER) != role)
		return ERR_AUTH;
	if ((ret->type & SEALED_EPOCH) == (session->newest.number & SEALED_EPOCH))
		epoch = &session->newest;
	else if (session->previous && (ret->type & SEALED_EPOCH) == (session->previous->number & SEALED_EPOCH))
		epoch = session->previous;
	else
		return ERR_UNKNOWN;
	if (!replay_is_fresh(&session->windows[ret->path], ret->counter))
		return ERR_REPLAY;
	*ret_epoch = epoch;
	return OK;
}

/* Contract in the header. */
enum err session_open(struct session *session, const uint8_t *datagram, size_t size, uint8_t *out, struct opened *ret)
{
	uint8_t nonce[NONCE_ROOM];
	struct header header;
	struct epoch *epoch;
	enum err err = packet_check(session, datagram, size, &header, &epoch);

	if (err)
		return err;
	if (!epoch->open)
		epoch_wake(epoch, session);
	nonce_make(&header, nonce);
	err = aead_open(epoch->open, nonce, datagram, HEADER_SIZE, datagram + HEADER_SIZE, size - OVERHEAD_SIZE, out);
	if (err)
		return err;
	*ret = (struct opened){
		.size = size - OVERHEAD_SIZE,
		.path = header.path,
		.counter = header.counter,
		.flags = header.type & (SEALED_CONTROL | SEALED_PARTIAL),
		.highest = replay_mark(&session->windows[header.path], header.counter),
		.first_of_epoch = !epoch->heard,
	};
	epoch->heard = true;
	return OK;
}

/* Contract in the header. */
enum err session_reopen(struct session *session, const uint8_t *datagram, size_t size, uint8_t *out, uint8_t *ret_flags)
{
	struct epoch *epochs[] = {&session->newest, session->previous};
	struct reader r = reader_over(datagram, size);
	uint8_t role = session->is_initiator ? 0 : SEALED_RESPONDER;
	uint8_t nonce[NONCE_ROOM];
	struct header header;

	if (size < OVERHEAD_SIZE || header_decode(&r, &header) != OK || header.path_id != session->path_id ||
	    !(header.type & PACKET_SEALED) || (header.type & SEALED_RESPONDER) != role)
		return ERR_MALFORMED;
	nonce_make(&header, nonce);
	for (int i = 0; i < 2; i++) {
		if (!epochs[i] || (header.type & SEALED_EPOCH) != (epochs[i]->number & SEALED_EPOCH))
			continue;
		if (!epochs[i]->seal)
			epoch_wake(epochs[i], session);
		if (aead_open(epochs[i]->seal, nonce, datagram, HEADER_SIZE, datagram + HEADER_SIZE,
			      size - OVERHEAD_SIZE, out) != OK)
			continue;
		*ret_flags = header.type & (SEALED_CONTROL | SEALED_PARTIAL);
		return OK;
	}
	return ERR_AUTH;
}

/* The id is the same on direct and relayed paths. */
uint64_t session_path_id(const struct session *session)
{
	return session->path_id;
}

/* Roles stay for the session's life; only the initiator begins a rekey, so two never cross. */
bool session_is_initiator(const struct session *session)
{
	return session->is_initiator;
}

/* Fixed by the coordinator for the session's life. */
enum suite session_suite(const struct session *session)
{
	return session->suite;
}

/* What an acknowledgement cannot exceed. */
uint64_t session_next_counter(const struct session *session, uint8_t path)
{
	return session->counters[path];
}

/* Contract in the header. */
uint8_t session_missing(const struct session *session, uint8_t path, uint64_t below, struct span *ret, uint8_t max)
{
	return replay_missing(&session->windows[path], below, ret, max);
}

/* Contract in the header. */
struct time_us session_key_since(const struct session *session)
{
	return sending_epoch(session)->since;
}

/* Counted per key: the counters go on, so a count of theirs would ask for ever. */
bool session_wants_rekey(const struct session *session, struct time_us now)
{
	const struct epoch *epoch = sending_epoch(session);

	return time_since(now, epoch->since) >= REKEY_AFTER_US || epoch->sealed >= COUNTER_REKEY;
}

/* Contract in the header. */
bool session_is_expired(const struct session *session, struct time_us now)
{
	return time_since(now, sending_epoch(session)->since) >= REJECT_AFTER_US;
}

/* Contract in the header. */
void session_forget_old(struct session *session, struct time_us now)
{
	if (session->previous && newest_is_shared(session) &&
	    time_since(now, session->previous->since) >= REJECT_AFTER_US)
		forget_previous(session);
}

/* Contract in the header. */
struct time_us session_old_until(const struct session *session)
{
	return session->previous && newest_is_shared(session) ? time_add(session->previous->since, REJECT_AFTER_US)
							      : TIME_NEVER;
}

/* What is left of REJECT_AFTER_US is time enough to change them. */
void session_wake(struct session *session, struct time_us now)
{
	struct epoch *epoch = newest_is_shared(session) ? &session->newest : session->previous;
	struct time_us oldest = time_add(now, -REKEY_AFTER_US);

	if (time_since(oldest, epoch->since) > 0)
		epoch->since = oldest;
}

/* Contract in the header. */
void session_rest(struct session *session)
{
	epoch_rest(&session->newest);
	if (session->previous)
		epoch_rest(session->previous);
	for (int i = 0; i < PATHS_MAX; i++)
		replay_rest(&session->windows[i]);
}

/*
 * While a responder has not heard the newest keys, a new handshake replaces them: it starts from what both ends have
 * for certain.
 */
const uint8_t *session_rekey_psk(const struct session *session)
{
	return sending_epoch(session)->rekey_psk;
}

/* The epoch that session_install makes. */
uint8_t session_next_epoch(const struct session *session)
{
	return (uint8_t)(sending_epoch(session)->number + 1);
}

/* Contract in the header. */
void session_install(struct session *session, const struct session_keys *keys, struct time_us now)
{
	uint8_t number = session_next_epoch(session);

	if (newest_is_shared(session)) {
		forget_previous(session);
		session->previous = mem_alloc(1, sizeof(*session->previous));
		*session->previous = session->newest;
	} else {
		epoch_finish(&session->newest);
	}
	epoch_init(&session->newest, session, number, keys, now);
}
