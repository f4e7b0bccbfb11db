/*
 * foreign.c: other zones' coordinators as the network document lists them, and whose datagram one is. Each has a link:
 * how it begins is in foreign_handshake.c, what is said on it in foreign_message.c, how it lives in foreign_link.c.
 */
#include "proto/coordinator/foreign.h"

#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "proto/coordinator/realm.h"

/* By static key; those of other networks that DNS has not found yet have none. */
struct foreign *foreign_find_key(const struct coordinator *c, const uint8_t static_key[KEY_SIZE])
{
	for (uint32_t i = 0; i < c->foreign_count; i++)
		if ((!c->foreigns[i]->realm || c->foreigns[i]->state == DIRECTORY_FOUND) &&
		    memcmp(c->foreigns[i]->entry.static_key, static_key, KEY_SIZE) == 0)
			return c->foreigns[i];
	return NULL;
}

/* Whose zone is the name one label below? */
struct foreign *foreign_find_zone(const struct coordinator *c, const char *fqdn)
{
	const char *dot = strchr(fqdn, '.');

	for (uint32_t i = 0; dot && i < c->foreign_count; i++)
		if (strcmp(c->foreigns[i]->entry.zone, dot + 1) == 0)
			return c->foreigns[i];
	return NULL;
}

/* See foreign.h. */
void foreign_hang_up(struct coordinator *c, struct foreign *f)
{
	foreign_set_up(c, f, false);
	realm_forget_from(f);
	visitor_forget_all(c, f);
	foreign_end_session(&f->own);
	foreign_end_session(&f->theirs);
	foreign_end_pending(&f->pending);
	f->is_trying = false;
	memset(&f->requests, 0, sizeof f->requests);
}

static void destroy(struct coordinator *c, struct foreign *f)
{
	foreign_hang_up(c, f);
	wipe(f, sizeof *f);
	mem_free(f);
}

/* Their nodes' pairs are gone by then. */
void foreign_destroy_all(struct coordinator *c)
{
	while (c->foreign_count)
		destroy(c, c->foreigns[--c->foreign_count]);
}

/* See foreign.h. */
void foreign_forget(struct coordinator *c, uint32_t index)
{
	struct foreign *f = c->foreigns[index];

	inquiry_refuse_to(c, f, REASON_OFFLINE);
	c->foreigns[index] = c->foreigns[--c->foreign_count];
	destroy(c, f);
}

static void enter(struct coordinator *c, const struct coordinator_entry *entry)
{
	struct foreign *f = foreign_find_key(c, entry->static_key);

	if (memcmp(entry->static_key, c->config.static_keys.public, KEY_SIZE) == 0 ||
	    (!f && c->foreign_count == FOREIGN_MAX))
		return;
	if (!f) {
		f = mem_alloc(1, sizeof *f);
		f->next_try = c->now;
		c->foreigns[c->foreign_count++] = f;
	}
	f->entry = *entry;
	f->is_listed = true;
}

/* The document is the only one to say who may link, of our network, and which other networks may. */
void foreign_set_network(struct coordinator *c)
{
	realm_set_network(c);
	for (uint32_t i = 0; i < c->foreign_count; i++)
		c->foreigns[i]->is_listed = c->foreigns[i]->realm != NULL;
	for (uint8_t i = 0; i < c->network->coordinator_count; i++)
		enter(c, &c->network->coordinators[i]);
	for (uint32_t i = 0; i < c->foreign_count;)
		if (c->foreigns[i]->is_listed)
			i++;
		else
			foreign_forget(c, i);
	c->counters.coordinators = c->foreign_count;
}

static struct link_session *find_session(struct coordinator *c, uint64_t path_id, struct foreign **ret)
{
	for (uint32_t i = 0; i < c->foreign_count; i++) {
		struct foreign *f = c->foreigns[i];
		struct link_session *all[] = {&f->own, &f->theirs, &f->pending.link};

		for (int k = 0; k < 3; k++)
			if (all[k]->session && all[k]->path_id == path_id) {
				*ret = f;
				return all[k];
			}
	}
	return NULL;
}

/* Few coordinators: a search is as good as a table. */
enum err foreign_input(struct coordinator *c, const struct route *route, const struct header *header,
		       const uint8_t *bytes, size_t size)
{
	struct foreign *f = NULL;
	struct link_session *s;

	if (!(header->type & PACKET_SEALED)) {
		for (uint32_t i = 0; i < c->foreign_count && !f; i++)
			if (c->foreigns[i]->is_trying && c->foreigns[i]->handshake.path_id == header->path_id)
				f = c->foreigns[i];
		if (f)
			return header->type == PACKET_COOKIE ? foreign_input_cookie(c, f, bytes, size)
							     : foreign_input_answer(c, f, route, bytes, size);
	} else {
		s = find_session(c, header->path_id, &f);
		if (s)
			return foreign_input_sealed(c, f, s, route, bytes, size);
	}
	c->counters.dropped_unknown++; /* a node of before our restart finds out by our silence */
	return ERR_UNKNOWN;
}

/* Everything that is due. */
void foreign_input_time(struct coordinator *c)
{
	for (uint32_t i = 0; i < c->foreign_count;) {
		struct foreign *f = c->foreigns[i];
		bool is_due = time_reached(c->now, foreign_deadline_of(f));

		if (is_due && directory_run(c, f))
			continue; /* another one is at its place now */
		if (is_due)
			foreign_run(c, f);
		i++;
	}
}

/* The earliest of all. */
struct time_us foreign_deadline(const struct coordinator *c)
{
	struct time_us deadline = TIME_NEVER;

	for (uint32_t i = 0; i < c->foreign_count; i++)
		deadline = time_min(deadline, foreign_deadline_of(c->foreigns[i]));
	return deadline;
}
