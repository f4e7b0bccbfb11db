/* verb_node.c: the verbs that ask the node daemon. */
#include <errno.h>
#include <string.h>

#include "cmd/render_document.h"
#include "cmd/verb.h"

/* What a show function needs besides the line. */
struct shown {
	const struct settings *settings;
	void (*render)(const struct render *render, const json_t *document);
	json_t *last; /* for a look after the end */
};

static void show_line(void *ctx, const struct render *render, const json_t *line)
{
	struct shown *shown = ctx;

	if (!shown->settings->json && !shown->settings->check)
		shown->render(render, line);
	json_decref(shown->last);
	shown->last = json_incref((json_t *)line);
}

static int check_state(const struct settings *settings, const json_t *document)
{
	const json_t *node = json_object_get(document, "node"), *coordinator = json_object_get(document, "coordinator");

	if (strcmp(document_text(node, "state"), "up") == 0)
		return EXIT_DONE;
	if (strcmp(document_text(coordinator, "state"), "unreachable") == 0)
		return verb_fail(settings, EXIT_UNREACHABLE,
				 "the coordinator %s is unreachable; check this machine's network",
				 document_text(coordinator, "address"));
	return verb_fail(settings, EXIT_FAILED, "this node is not up, but %s; wait, or see `ntm status`",
			 document_text(node, "state"));
}

/* With --check only the exit code speaks, and one line on stderr when it is not 0. */
int verb_status(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_status, NULL};
	int code = verb_stream(settings, render, settings->socket, false, json_pack("{ss}", "verb", "status"),
			       show_line, &shown);

	if (code == EXIT_DONE && settings->check)
		code = check_state(settings, shown.last);
	if (code == EXIT_NO_DAEMON && settings->json && !settings->check)
		fprintf(render->out, "{\"schema\":\"ntm.status/1\",\"node\":{\"state\":\"down\"},\"peers\":[]}\n");
	json_decref(shown.last);
	return code;
}

/* Counts along, so that Ctrl-C still ends with a summary. */
struct pings {
	const struct settings *settings;
	const char *name;
	int64_t sent, received, least_us, most_us, total_us, relayed;
	bool summarised;
};

static void show_ping(void *ctx, const struct render *render, const json_t *line)
{
	struct pings *pings = ctx;
	int64_t rtt_us = document_integer(line, "rtt_us");

	if (json_object_get(line, "sent")) {
		pings->summarised = true;
		if (!pings->settings->json)
			render_ping_summary(render, pings->name, line);
		return;
	}
	pings->sent++;
	if (rtt_us >= 0) {
		pings->least_us = pings->received == 0 || rtt_us < pings->least_us ? rtt_us : pings->least_us;
		pings->most_us = rtt_us > pings->most_us ? rtt_us : pings->most_us;
		pings->total_us += rtt_us;
		pings->received++;
		pings->relayed = strcmp(document_text(line, "path"), "relay") == 0;
	}
	if (!pings->settings->json)
		render_ping(render, line);
}

static void summarise(const struct pings *pings, const struct render *render)
{
	json_t *summary = json_pack("{sssssIsI}", "schema", "ntm.ping/1", "name", pings->name, "sent",
				    (json_int_t)pings->sent, "received", (json_int_t)pings->received);

	if (pings->received) {
		json_object_set_new(summary, "rtt_min_us", json_integer(pings->least_us));
		json_object_set_new(summary, "rtt_avg_us", json_integer(pings->total_us / pings->received));
		json_object_set_new(summary, "rtt_max_us", json_integer(pings->most_us));
	}
	if (pings->settings->json) {
		json_dumpf(summary, render->out, JSON_COMPACT);
		fputc(10, render->out);
	} else {
		render_ping_summary(render, pings->name, summary);
	}
	json_decref(summary);
}

/* Interrupted before the end, it judges by what it saw itself. */
int verb_ping(const struct settings *settings, const struct render *render)
{
	struct pings pings = {.settings = settings, .name = settings->operands[1]};
	json_t *request =
		json_pack("{sssssIsIsb}", "verb", "ping", "name", pings.name, "count", (json_int_t)settings->count,
			  "interval_us", (json_int_t)settings->interval_us, "direct", settings->direct);
	int code;

	verb_catch_signals();
	code = verb_stream(settings, render, settings->socket, false, request, show_ping, &pings);
	if (!verb_interrupted() || pings.summarised)
		return code;
	summarise(&pings, render);
	if (pings.received == 0)
		return EXIT_UNREACHABLE;
	return settings->direct && pings.relayed ? EXIT_RELAYED : EXIT_DONE;
}

/* The daemon's exit code says whether NAME is reachable. */
int verb_why(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_why, NULL};
	int code = verb_stream(settings, render, settings->socket, false,
			       json_pack("{ssss}", "verb", "why", "name", settings->operands[1]), show_line, &shown);

	json_decref(shown.last);
	return code;
}

/* Ends with Ctrl-C. */
int verb_watch(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_event, NULL};
	int code;

	verb_catch_signals();
	code = verb_stream(settings, render, settings->socket, false, json_pack("{ss}", "verb", "watch"), show_line,
			   &shown);
	json_decref(shown.last);
	return code;
}

/* --to is what it is about, so it is not optional. */
int verb_handover(const struct settings *settings, const struct render *render)
{
	struct shown shown = {settings, render_handover, NULL};
	int code;

	if (!settings->to)
		return verb_fail(settings, EXIT_USAGE,
				 "no interface given; try `ntm handover --to IFACE`, `ip link` lists them");
	code = verb_stream(settings, render, settings->socket, false,
			   json_pack("{ssss}", "verb", "handover", "to", settings->to), show_line, &shown);
	json_decref(shown.last);
	return code;
}
