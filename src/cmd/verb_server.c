/* verb_server.c: the verbs of a network of one's own. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "cmd/render_document.h"
#include "cmd/verb.h"

struct shown {
	const struct settings *settings;
	void (*render)(const struct render *render, const json_t *document);
};

static void show_line(void *ctx, const struct render *render, const json_t *line)
{
	struct shown *shown = ctx;

	if (!shown->settings->json)
		shown->render(render, line);
}

/* The code alone on stdout, for `ssh b sudo ntm up $(ntm invite)`. */
static void render_code(const struct render *render, const json_t *document)
{
	char text[512];

	fprintf(render->out, "%s\n", render_clean(document_text(document, "code"), text, sizeof text));
}

static void render_revoked(const struct render *render, const json_t *document)
{
	char text[256];

	fprintf(render->out, "%s is off the network\n",
		render_clean(document_text(document, "name"), text, sizeof text));
}

static int ask_server(const struct settings *settings, const struct render *render, json_t *request,
		      struct shown *shown)
{
	char path[128];

	verb_server_socket(settings, path);
	return verb_stream(settings, render, path, true, request, show_line, shown);
}

/* Becomes the server: a supervisor that started `ntm serve` watches the right process. */
int verb_serve(const struct settings *settings, const struct render *render)
{
	char **arguments = verb_spawn_arguments(settings, PROGRAM_SERVER, NULL);

	(void)render;
	execvp(arguments[0], arguments);
	verb_fail(settings, EXIT_FAILED, "cannot start %s: %s", arguments[0], strerror(errno));
	verb_spawn_arguments_free(arguments);
	return EXIT_FAILED;
}

/* Administration goes over the control socket only (T19). */
int verb_invite(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_code};
	json_t *request = json_pack("{sssIsIss}", "verb", "invite", "uses", (json_int_t)settings->uses, "expires_s",
				    (json_int_t)(settings->expires_us / USEC_PER_SEC), "role",
				    settings->origin[OPTION_ROLE].text);
	if (settings->name)
		json_object_set_new(request, "name", json_string(settings->name));
	if (settings->origin[OPTION_ZONE].source != SOURCE_DEFAULT && settings->role == INVITE_NODE)
		json_object_set_new(request, "zone", json_string(settings->zone));
	return ask_server(settings, render, request, &shown);
}

/* All members, also those that are away. */
int verb_nodes(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_nodes};

	return ask_server(settings, render, json_pack("{ss}", "verb", "nodes"), &shown);
}

/* For good: the identity is revoked, not the certificate (T14). */
int verb_revoke(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_revoked};

	return ask_server(settings, render, json_pack("{ssss}", "verb", "revoke", "name", settings->operands[1]),
			  &shown);
}
