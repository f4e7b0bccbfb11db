#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/portmap.h"

enum { NUMBER_DIGITS_MAX = 10 };

static const char *const method_names[PORTMAP_METHODS] = {"pcp", "nat-pmp", "upnp"};

/* As in the lines, in logs and in JSON. */
const char *portmap_method_name(enum portmap_method method)
{
	return method_names[method];
}

/* The next word of a line, cut out; NULL at its end. */
static char *next_word(char **at)
{
	char *word = *at;

	if (!word || !*word)
		return NULL;
	*at = word + strcspn(word, " ");
	if (**at)
		*(*at)++ = 0;
	return word;
}

static bool read_number(const char *word, uint64_t max, uint64_t *ret)
{
	size_t size = word ? strlen(word) : 0;

	if (size == 0 || size > NUMBER_DIGITS_MAX || strspn(word, "0123456789") != size)
		return false;
	*ret = strtoull(word, NULL, 10);
	return *ret <= max;
}

static bool read_nonce(const char *word, uint8_t ret[PORTMAP_NONCE_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	if (!word || strlen(word) != 2 * PORTMAP_NONCE_SIZE || strspn(word, digits) != 2 * PORTMAP_NONCE_SIZE)
		return false;
	for (int i = 0; i < PORTMAP_NONCE_SIZE; i++)
		ret[i] = (uint8_t)((strchr(digits, word[2 * i]) - digits) << 4 |
				   (strchr(digits, word[2 * i + 1]) - digits));
	return true;
}

static bool read_ip4(const char *word, struct ip *ret)
{
	return word && ip_parse(word, ret) == OK && ret->family == 4;
}

/* Addresses to ask for; none: withdraw what there is. */
void portmap_locals_format(const struct portmap_locals *locals, char ret[PORTMAP_LINE_MAX])
{
	size_t at = (size_t)snprintf(ret, PORTMAP_LINE_MAX, "locals ");
	char text[ADDR_TEXT_MAX];

	for (int i = 0; i < PORTMAP_NONCE_SIZE; i++)
		at += (size_t)snprintf(ret + at, PORTMAP_LINE_MAX - at, "%02x", locals->nonce[i]);
	at += (size_t)snprintf(ret + at, PORTMAP_LINE_MAX - at, " %u", locals->port);
	for (size_t i = 0; i < locals->count; i++)
		at += (size_t)snprintf(ret + at, PORTMAP_LINE_MAX - at, " %s%%%.15s",
				       ip_format(&locals->list[i].ip, text), locals->list[i].ifname);
}

static bool read_local(char *word, struct portmap_local *ret)
{
	char *ifname = strchr(word, '%');

	if (!ifname || ifname[1] == 0 || strlen(ifname + 1) >= sizeof ret->ifname)
		return false;
	*ifname++ = 0;
	memcpy(ret->ifname, ifname, strlen(ifname) + 1);
	return read_ip4(word, &ret->ip);
}

/* ntmd is trusted, but a mistake must not become a mapping. */
enum err portmap_locals_parse(const char *line, struct portmap_locals *ret)
{
	char copy[PORTMAP_LINE_MAX], *at = copy, *word;
	struct portmap_locals locals = {0};
	uint64_t port;

	if (snprintf(copy, sizeof copy, "%s", line) >= (int)sizeof copy)
		return ERR_MALFORMED;
	word = next_word(&at);
	if (!word || strcmp(word, "locals") != 0 || !read_nonce(next_word(&at), locals.nonce) ||
	    !read_number(next_word(&at), UINT16_MAX, &port) || port == 0)
		return ERR_MALFORMED;
	locals.port = (uint16_t)port;
	while ((word = next_word(&at)))
		if (locals.count == PORTMAP_LOCALS_MAX || !read_local(word, &locals.list[locals.count++]))
			return ERR_MALFORMED;
	*ret = locals;
	return OK;
}

/* One line for each address whenever it is asked about. */
void portmap_answer_format(const struct portmap_answer *answer, char ret[PORTMAP_LINE_MAX])
{
	char local[ADDR_TEXT_MAX], external[ADDR_TEXT_MAX];

	ip_format(&answer->local, local);
	if (!addr_is_set(&answer->external))
		snprintf(ret, PORTMAP_LINE_MAX, "unmapped %s", local);
	else
		snprintf(ret, PORTMAP_LINE_MAX, "mapped %s %s %u %s", local, addr_format(&answer->external, external),
			 answer->lifetime_s, portmap_method_name(answer->method));
}

static bool read_mapped(char **at, struct portmap_answer *ret)
{
	const char *external = next_word(at), *lifetime = next_word(at), *method = next_word(at);
	uint64_t lifetime_s;

	if (!external || addr_parse(external, 0, &ret->external) != OK || ret->external.ip.family != 4 ||
	    ret->external.port == 0 || !read_number(lifetime, UINT32_MAX, &lifetime_s) || !method)
		return false;
	ret->lifetime_s = (uint32_t)lifetime_s;
	for (int i = 0; i < PORTMAP_METHODS; i++)
		if (strcmp(method, method_names[i]) == 0) {
			ret->method = (enum portmap_method)i;
			return true;
		}
	return false;
}

/* Whatever a gateway has talked ntm-portmap into saying. */
enum err portmap_answer_parse(const char *line, struct portmap_answer *ret)
{
	char copy[PORTMAP_LINE_MAX], *at = copy;
	struct portmap_answer answer = {0};
	const char *word;
	bool is_mapped;

	if (snprintf(copy, sizeof copy, "%s", line) >= (int)sizeof copy)
		return ERR_MALFORMED;
	word = next_word(&at);
	is_mapped = word && strcmp(word, "mapped") == 0;
	if (!word || (!is_mapped && strcmp(word, "unmapped") != 0) || !read_ip4(next_word(&at), &answer.local))
		return ERR_MALFORMED;
	if ((is_mapped && !read_mapped(&at, &answer)) || *at)
		return ERR_MALFORMED;
	*ret = answer;
	return OK;
}
