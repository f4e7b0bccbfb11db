/* render_document.c: status, ping, why, watch, handover and nodes for people. */
#include "cmd/render_document.h"

#include <string.h>
#include <time.h>

/* Never NULL, so that callers compare and print without asking. */
const char *document_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* Every number of the contract is a size, a count or a duration, so -1 is free to mean "not told". */
int64_t document_integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

static enum render_colour state_colour(const char *state)
{
	static const struct {
		const char *state;
		enum render_colour colour;
	} known[] = {
		{"up", COLOUR_GOOD},	     {"ok", COLOUR_GOOD},	  {"active", COLOUR_GOOD},
		{"joining", COLOUR_WAIT},    {"connecting", COLOUR_WAIT}, {"idle", COLOUR_FAINT},
		{"unreachable", COLOUR_BAD}, {"down", COLOUR_BAD},	  {"revoked", COLOUR_BAD},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].state, state) == 0)
			return known[i].colour;
	return COLOUR_NONE;
}

/* "12 s ago" from an instant; empty when there is none. */
static const char *format_ago(const struct render *render, const char *instant, char *text, size_t size)
{
	char age[32];
	int64_t at_s;
	unsigned us;

	text[0] = 0;
	if (render_instant(instant, &at_s, &us))
		snprintf(text, size, "%s ago", render_age(render->now_s - at_s, age, sizeof age));
	return text;
}

/* What a NAT has opened; no line where there is nothing. */
static void print_mapped(const struct render *render, const json_t *mapped)
{
	char local[64], external[96], method[32];
	const json_t *port;
	size_t at;

	json_array_foreach(mapped, at, port)
		fprintf(render->out, "\n  port opened  %s for %s, by %s",
			render_clean(document_text(port, "external"), external, sizeof external),
			render_clean(document_text(port, "local"), local, sizeof local),
			render_clean(document_text(port, "method"), method, sizeof method));
}

/* What makes it slower than it could be; no line where there is nothing. */
static void print_lacks(const struct render *render, const json_t *packet_path)
{
	const json_t *name;
	char text[32];
	size_t at;

	json_array_foreach(json_object_get(packet_path, "lacks"), at, name)
		fprintf(render->out, "%s%s", at == 0 ? "\n  packets      without " : ", ",
			render_clean(json_is_string(name) ? json_string_value(name) : "", text, sizeof text));
}

/* "until 2027-11-21, renewed from 2027-05-23 on"; and why that has not worked, when it is late. */
static void print_certificate(const struct render *render, const json_t *certificate)
{
	const char *state = document_text(certificate, "state");
	char until[16], due[16], error[200];

	if (!json_is_object(certificate))
		return;
	fputs("\n  certificate  ", render->out);
	if (strcmp(state, "ok") != 0) {
		render_print(render, COLOUR_BAD, strcmp(state, "expired") == 0 ? "expired" : "not renewed");
		fputs("  ", render->out);
	}
	snprintf(until, sizeof until, "%.10s", document_text(certificate, "not_after"));
	snprintf(due, sizeof due, "%.10s", document_text(certificate, "renew_at"));
	fprintf(render->out, "until %s, renewed from %s on", until, due);
	if (*document_text(certificate, "error"))
		fprintf(render->out, ": %s", render_clean(document_text(certificate, "error"), error, sizeof error));
}

/* Only where the loop does not do it alone. */
static void print_threads(const struct render *render, const json_t *packet_path)
{
	size_t count = json_array_size(json_object_get(packet_path, "threads"));

	if (count > 0)
		fprintf(render->out, "\n  threads      %zu move packets", count);
}

static void print_node(const struct render *render, const json_t *node, const json_t *coordinator,
		       const json_t *packet_path)
{
	char line[256], name[128], age[48], rtt[32];
	const char *state = document_text(node, "state");

	render_print(render, COLOUR_NONE, *document_text(node, "name") ? document_text(node, "name") : "this node");
	fputs("  ", render->out);
	render_print(render, state_colour(state), *state ? state : "-");
	if (*format_ago(render, document_text(node, "since"), age, sizeof age))
		fprintf(render->out, " (since %s)", age);
	fprintf(render->out, "\n  name         %s\n", render_clean(document_text(node, "fqdn"), name, sizeof name));
	snprintf(line, sizeof line, "%s  %s", document_text(node, "v4"), document_text(node, "v6"));
	fputs("  addresses    ", render->out);
	render_print(render, COLOUR_NONE, line);
	if (coordinator) {
		fputs("\n  coordinator  ", render->out);
		render_print(render, COLOUR_NONE, document_text(coordinator, "address"));
		fputs("  ", render->out);
		render_print(render, state_colour(document_text(coordinator, "state")),
			     document_text(coordinator, "state"));
		if (document_integer(coordinator, "rtt_us") >= 0)
			fprintf(render->out, "  %s",
				render_duration(document_integer(coordinator, "rtt_us"), rtt, sizeof rtt));
	}
	print_certificate(render, json_object_get(node, "certificate"));
	print_mapped(render, json_object_get(node, "mapped"));
	print_lacks(render, packet_path);
	print_threads(render, packet_path);
	fputc('\n', render->out);
}

/* "direct", "relay NAME", "2 paths"; ret_path is the first active one, for its RTT and loss. */
static const char *format_path(const json_t *paths, char *text, size_t size, const json_t **ret_path)
{
	const json_t *first = NULL, *path;
	size_t at, active = 0;

	json_array_foreach(paths, at, path)
	{
		if (!json_is_true(json_object_get(path, "active")))
			continue;
		if (active++ == 0)
			first = path;
	}
	*ret_path = first;
	if (active > 1)
		snprintf(text, size, "%zu paths", active);
	else if (!first)
		text[0] = 0;
	else if (strcmp(document_text(first, "kind"), "relay") == 0)
		snprintf(text, size, "relay %s", document_text(first, "relay"));
	else
		snprintf(text, size, "%s", document_text(first, "kind"));
	return text;
}

/* Why data takes another path, in words; what is not known is shown as it came. */
static const char *cause_sentence(const char *cause)
{
	static const struct {
		const char *cause, *sentence;
	} known[] = {
		{"first", "there was none before"},
		{"better-rtt", "it is shorter"},
		{"direct-over-relay", "it needs no relay"},
		{"moved", "this node moved"},
		{"peer-moved", "the peer moved"},
		{"silent", "data on the old one was not acknowledged any more"},
		{"path-died", "the old one is gone"},
		{"asked", "somebody asked for it"},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].cause, cause) == 0)
			return known[i].sentence;
	return cause;
}

static void print_cause(const struct render *render, const json_t *object)
{
	char text[96];

	if (*document_text(object, "cause"))
		fprintf(render->out, ", because %s",
			render_clean(cause_sentence(document_text(object, "cause")), text, sizeof text));
}

/* ", gap 12.3 ms, 5 packets sent again, 0 lost": what is not told is left out. */
static void print_cost(const struct render *render, const json_t *object)
{
	int64_t replayed = document_integer(object, "replayed_packets"),
		lost = document_integer(object, "lost_packets");
	char gap[32];

	fprintf(render->out, ", gap %s", render_duration(document_integer(object, "gap_us"), gap, sizeof gap));
	if (replayed >= 0)
		fprintf(render->out, ", %lld packets sent again", (long long)replayed);
	if (lost >= 0)
		fprintf(render->out, ", %lld lost", (long long)lost);
}

static void print_last_handover(const struct render *render, const json_t *peer)
{
	const json_t *last = json_object_get(peer, "last_handover");
	char text[160], ago[48];

	if (!json_is_object(last) || !*document_text(last, "to"))
		return;
	fprintf(render->out, "  %s", render_clean(document_text(peer, "name"), text, sizeof text));
	if (*format_ago(render, document_text(last, "at"), ago, sizeof ago))
		fprintf(render->out, ", %s", ago);
	if (*document_text(last, "from"))
		fprintf(render->out, ": from %s", render_clean(document_text(last, "from"), text, sizeof text));
	fprintf(render->out, " to %s", render_clean(document_text(last, "to"), text, sizeof text));
	print_cost(render, last);
	print_cause(render, last);
	fputc('\n', render->out);
}

/* One line for each peer whose tunnel has moved; no heading where none has. */
static void print_last_handovers(const struct render *render, const json_t *peers)
{
	const json_t *peer;
	bool is_first = true;
	size_t at;

	json_array_foreach(peers, at, peer)
	{
		if (!*document_text(json_object_get(peer, "last_handover"), "to"))
			continue;
		if (is_first)
			fputs("\nlast handovers\n", render->out);
		is_first = false;
		print_last_handover(render, peer);
	}
}

static void add_last_handover(struct render_table *table, const struct render *render, const json_t *peer)
{
	const json_t *last = json_object_get(peer, "last_handover");
	char ago[48] = "", gap[32], text[96] = "";

	if (json_is_object(last)) {
		format_ago(render, document_text(last, "at"), ago, sizeof ago);
		snprintf(text, sizeof text, "%s%sgap %s", ago, *ago ? ", " : "",
			 render_duration(document_integer(last, "gap_us"), gap, sizeof gap));
	}
	render_table_add(table, COLOUR_NONE, text);
}

static void add_traffic(struct render_table *table, const json_t *peer, const char *key)
{
	char text[32];
	int64_t bytes = document_integer(peer, key);

	render_table_add(table, COLOUR_NONE, bytes < 0 ? "" : render_bytes(bytes, text, sizeof text));
}

static void add_peer(struct render_table *table, const struct render *render, const json_t *peer)
{
	const json_t *path;
	char text[RENDER_CELL_MAX];
	int64_t loss;

	render_table_add(table, COLOUR_NONE, document_text(peer, "name"));
	render_table_add(table, COLOUR_NONE, document_text(peer, "v4"));
	render_table_add(table, COLOUR_NONE, document_text(peer, "v6"));
	render_table_add(table, state_colour(document_text(peer, "state")), document_text(peer, "state"));
	render_table_add(table, COLOUR_NONE, format_path(json_object_get(peer, "paths"), text, sizeof text, &path));
	render_table_add(table, COLOUR_NONE,
			 path ? render_duration(document_integer(path, "rtt_us"), text, sizeof text) : "");
	loss = path ? document_integer(path, "loss_permille") : -1;
	snprintf(text, sizeof text, "%lld.%lld %%", (long long)loss / 10, (long long)loss % 10);
	render_table_add(table, loss >= 50 ? COLOUR_BAD : COLOUR_NONE, loss < 0 ? "" : text);
	add_last_handover(table, render, peer);
	add_traffic(table, peer, "rx_bytes");
	add_traffic(table, peer, "tx_bytes");
}

/* Through which exit what leaves, and why that one. */
static void print_exits(const struct render *render, const json_t *exits)
{
	const json_t *exit;
	char text[512];
	size_t at;

	json_array_foreach(exits, at, exit)
	{
		fprintf(render->out, "  %-14s%s", at ? "" : "exits",
			render_clean(document_text(exit, "prefix"), text, sizeof text));
		fprintf(render->out, " through %s, ", render_clean(document_text(exit, "name"), text, sizeof text));
		render_print(render, state_colour(document_text(exit, "state")), document_text(exit, "state"));
		fprintf(render->out, ": %s\n", render_clean(document_text(exit, "why"), text, sizeof text));
	}
}

/* What runs at a server; of a relay, who moves its datagrams and why. */
static void print_server(const struct render *render, const json_t *server)
{
	const json_t *relay = json_object_get(server, "relay"), *role;
	int64_t bytes = document_integer(relay, "forwarded_bytes");
	char text[256];
	size_t at;

	fprintf(render->out, "this server  %s", render_clean(document_text(server, "version"), text, sizeof text));
	fprintf(render->out, "\n  zone         %s\n  roles       ",
		render_clean(document_text(server, "zone"), text, sizeof text));
	json_array_foreach(json_object_get(server, "roles"), at, role) if (json_is_string(role))
		fprintf(render->out, " %s", render_clean(json_string_value(role), text, sizeof text));
	fputc('\n', render->out);
	if (!json_is_object(relay))
		return;
	fprintf(render->out, "  relay        %lld pairs, %s forwarded\n", (long long)document_integer(relay, "pairs"),
		render_bytes(bytes < 0 ? 0 : bytes, text, sizeof text));
	fprintf(render->out, "  forwarding   %s\n",
		render_clean(document_text(relay, "forwarding"), text, sizeof text));
}

/* The node in a block, its peers in a table. */
void render_status(const struct render *render, const json_t *document)
{
	static const char *const headings[] = {"PEER", "IPV4", "IPV6",		"STATE",    "PATH",
					       "RTT",  "LOSS", "LAST HANDOVER", "RECEIVED", "SENT"};
	const json_t *peers = json_object_get(document, "peers"), *peer;
	struct render_table table;
	size_t at;

	if (json_is_object(json_object_get(document, "server"))) {
		print_server(render, json_object_get(document, "server"));
		return;
	}
	print_node(render, json_object_get(document, "node"), json_object_get(document, "coordinator"),
		   json_object_get(document, "packet_path"));
	print_exits(render, json_object_get(document, "exits"));
	if (json_array_size(peers) == 0) {
		fputs("  no peers yet\n", render->out);
		return;
	}
	fputc('\n', render->out);
	render_table_init(&table, sizeof headings / sizeof *headings);
	for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
		render_table_add(&table, COLOUR_FAINT, headings[i]);
	json_array_foreach(peers, at, peer) add_peer(&table, render, peer);
	render_table_finish(&table, render, "");
	print_last_handovers(render, peers);
}

static void print_route(const struct render *render, const json_t *object, const char *kind)
{
	char remote[96], relay[96];

	if (strcmp(kind, "relay") == 0)
		fprintf(render->out, " relay %s", render_clean(document_text(object, "relay"), relay, sizeof relay));
	else if (*kind)
		fprintf(render->out, " %s", render_clean(kind, relay, sizeof relay));
	if (*document_text(object, "remote"))
		fprintf(render->out, " %s", render_clean(document_text(object, "remote"), remote, sizeof remote));
}

/* "1: b via direct 192.0.2.1:7367, 3.2 ms": each answer names its path. */
void render_ping(const struct render *render, const json_t *document)
{
	char text[96];

	fprintf(render->out, "%lld: ", (long long)document_integer(document, "seq"));
	if (json_is_true(json_object_get(document, "timeout"))) {
		render_print(render, COLOUR_BAD,
			     *document_text(document, "error") ? document_text(document, "error") : "no answer");
	} else {
		fprintf(render->out, "%s via", render_clean(document_text(document, "name"), text, sizeof text));
		print_route(render, document, document_text(document, "path"));
		fprintf(render->out, ", %s", render_duration(document_integer(document, "rtt_us"), text, sizeof text));
	}
	fputc('\n', render->out);
	fflush(render->out);
}

/* The three round trips are left out when nothing came back. */
void render_ping_summary(const struct render *render, const char *name, const json_t *summary)
{
	int64_t sent = document_integer(summary, "sent"), received = document_integer(summary, "received");
	char least[32], average[32], most[32], clean[96];

	if (sent < 0)
		sent = 0;
	if (received < 0)
		received = 0;
	fprintf(render->out, "%s: %lld sent, %lld received, %lld %% lost", render_clean(name, clean, sizeof clean),
		(long long)sent, (long long)received,
		sent > received ? (long long)((sent - received) * 100 / sent) : 0);
	if (received > 0)
		fprintf(render->out, "; rtt %s / %s / %s (min / avg / max)",
			render_duration(document_integer(summary, "rtt_min_us"), least, sizeof least),
			render_duration(document_integer(summary, "rtt_avg_us"), average, sizeof average),
			render_duration(document_integer(summary, "rtt_max_us"), most, sizeof most));
	fputc('\n', render->out);
}

/* A table of steps, each remedy right under the step that needs it, and one line of verdict. */
void render_why(const struct render *render, const json_t *document)
{
	const json_t *steps = json_object_get(document, "steps"), *step;
	bool reachable = json_is_true(json_object_get(document, "reachable"));
	size_t at, width = 0;
	char text[512];

	json_array_foreach(steps, at, step) if (strlen(document_text(step, "step")) > width) width =
		strlen(document_text(step, "step"));
	if (width > 40)
		width = 40;
	json_array_foreach(steps, at, step)
	{
		bool good = json_is_true(json_object_get(step, "ok"));

		fprintf(render->out, "%-*s  ", (int)width,
			render_clean(document_text(step, "step"), text, sizeof text));
		render_print(render, good ? COLOUR_GOOD : COLOUR_BAD, good ? "ok    " : "FAILED");
		fprintf(render->out, "  %s\n", render_clean(document_text(step, "detail"), text, sizeof text));
		if (*document_text(step, "fix"))
			fprintf(render->out, "%*s  -> %s\n", (int)width + 8, "",
				render_clean(document_text(step, "fix"), text, sizeof text));
	}
	fprintf(render->out, "%s is ", render_clean(document_text(document, "name"), text, sizeof text));
	render_print(render, reachable ? COLOUR_GOOD : COLOUR_BAD, reachable ? "reachable" : "not reachable");
	if (reachable && *document_text(document, "path"))
		fprintf(render->out, ", path: %s", render_clean(document_text(document, "path"), text, sizeof text));
	fputc('\n', render->out);
}

static void print_clock(const struct render *render, const char *instant)
{
	int64_t s;
	unsigned us;
	time_t at;
	struct tm tm;

	if (!render_instant(instant, &s, &us))
		return;
	at = (time_t)s;
	localtime_r(&at, &tm);
	fprintf(render->out, "%02d:%02d:%02d.%03u  ", tm.tm_hour, tm.tm_min, tm.tm_sec, us / 1000);
}

/* "gap 12.3 ms" for gap_us, "lost_packets 3" for the rest: later versions add members, and they show without a change
 * here. */
static void print_member(const struct render *render, const char *key, const json_t *value)
{
	size_t size = strlen(key);
	char text[256], unit[32];

	if (json_is_integer(value) && size > 3 && strcmp(key + size - 3, "_us") == 0)
		fprintf(render->out, "  %.*s %s", (int)size - 3, key,
			render_duration((int64_t)json_integer_value(value), unit, sizeof unit));
	else if (json_is_integer(value))
		fprintf(render->out, "  %s %lld", render_clean(key, text, sizeof text),
			(long long)json_integer_value(value));
	else if (json_is_string(value) && *json_string_value(value))
		fprintf(render->out, "  %s %s", render_clean(key, unit, sizeof unit),
			render_clean(json_string_value(value), text, sizeof text));
}

/* Time, what, whom, then everything else that the event says. */
void render_event(const struct render *render, const json_t *event)
{
	static const char *const shown[] = {"schema", "event", "at", "peer", "cause", "moved", "began"};
	const char *what = document_text(event, "event"), *key;
	json_t *value;
	bool bad = strcmp(what, "error") == 0 || strstr(what, "-down"),
	     good = strstr(what, "-up") || strcmp(what, "handover") == 0;
	char text[32];

	print_clock(render, document_text(event, "at"));
	snprintf(text, sizeof text, "%-16s", what);
	render_print(render, bad ? COLOUR_BAD : good ? COLOUR_GOOD : COLOUR_NONE, text);
	fputs("  ", render->out);
	render_print(render, COLOUR_NONE, document_text(event, "peer"));
	json_object_foreach((json_t *)event, key, value)
	{
		bool is_shown = false;

		for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
			is_shown |= strcmp(shown[i], key) == 0;
		if (!is_shown)
			print_member(render, key, value);
	}
	print_cause(render, event);
	fputc('\n', render->out);
	fflush(render->out);
}

static void print_moved_peer(const struct render *render, const json_t *moved)
{
	char text[160];

	fprintf(render->out, "  %s", render_clean(document_text(moved, "peer"), text, sizeof text));
	if (*document_text(moved, "to"))
		fprintf(render->out, " to %s", render_clean(document_text(moved, "to"), text, sizeof text));
	print_cost(render, moved);
	fputc('\n', render->out);
}

/* What moved and what it cost, then each tunnel where there are several. */
void render_handover(const struct render *render, const json_t *document)
{
	const json_t *peers = json_object_get(document, "peers"), *moved;
	int64_t unanswered = document_integer(document, "unanswered");
	char text[96];
	size_t at;

	fputs("moved", render->out);
	if (*document_text(document, "from"))
		fprintf(render->out, " from %s", render_clean(document_text(document, "from"), text, sizeof text));
	fprintf(render->out, " to %s", render_clean(document_text(document, "to"), text, sizeof text));
	if (json_is_array(peers) && json_array_size(peers) == 0)
		fputs("; no tunnel had to move", render->out);
	else
		print_cost(render, document);
	if (unanswered > 0)
		fprintf(render->out, "; %lld peers have not answered yet", (long long)unanswered);
	fputc('\n', render->out);
	if (json_array_size(peers) > 1)
		json_array_foreach(peers, at, moved) print_moved_peer(render, moved);
}

/* Who belongs to the network. */
void render_nodes(const struct render *render, const json_t *document)
{
	static const char *const headings[] = {"NODE", "IPV4", "IPV6", "STATE", "LAST SEEN"};
	const json_t *nodes = json_object_get(document, "nodes"), *node;
	struct render_table table;
	char ago[48];
	size_t at;

	if (json_array_size(nodes) == 0) {
		fputs("no nodes yet; `ntm invite` prints a join code\n", render->out);
		return;
	}
	render_table_init(&table, sizeof headings / sizeof *headings);
	for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
		render_table_add(&table, COLOUR_FAINT, headings[i]);
	json_array_foreach(nodes, at, node)
	{
		const char *state = document_text(node, "state");

		render_table_add(&table, COLOUR_NONE,
				 *document_text(node, "fqdn") ? document_text(node, "fqdn")
							      : document_text(node, "name"));
		render_table_add(&table, COLOUR_NONE, document_text(node, "v4"));
		render_table_add(&table, COLOUR_NONE, document_text(node, "v6"));
		render_table_add(&table, state_colour(state), state);
		render_table_add(&table, COLOUR_NONE,
				 format_ago(render, document_text(node, "last_seen"), ago, sizeof ago));
	}
	render_table_finish(&table, render, "");
}
