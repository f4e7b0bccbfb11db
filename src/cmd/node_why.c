#include "cmd/node_why.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/node_portmap.h"
#include "cmd/node_renew.h"
#include "wire/punch.h"

#define TUNNEL_PATIENCE_US (500 * USEC_PER_MSEC) /* within this it finds its direct way */
#define ECHO_PATIENCE_US (2 * USEC_PER_SEC)
#define ALONE_PATIENCE_US (2 * USEC_PER_SEC) /* for an answer of somebody who is known to be away */

/* The steps so far. */
struct steps {
	json_t *list;
	char *cause; /* of the first failure */
};

static void add(struct steps *steps, const char *step, bool ok, const char *detail, const char *fix)
{
	if (!ok && *fix && !steps->cause[0])
		snprintf(steps->cause, WHY_TEXT_MAX, "%s: %s; %s", step, detail, fix);
	json_array_append_new(steps->list, json_pack("{ss sb ss ss}", "step", step, "ok", ok, "detail", detail, "fix",
						     ok ? "" : fix));
}

static bool find_peer(const struct host *host, struct time_us now, const char *fqdn, struct node_peer_status *ret)
{
	for (size_t i = 0; i < node_peer_count(host->node); i++)
		if (node_get_peer(host->node, now, i, ret) && strcmp(ret->fqdn, fqdn) == 0)
			return true;
	return false;
}

static void add_this_node(struct steps *steps, const struct host *host, const struct node_status *status)
{
	char text[WHY_TEXT_MAX], v4[ADDR_TEXT_MAX];
	bool ok = status->v4.family != 0 && host->is_set_up;

	if (ok)
		snprintf(text, sizeof text, "%s, %s", status->fqdn, ip_format(&status->v4, v4));
	else
		snprintf(text, sizeof text, "%s has no virtual address yet", status->fqdn);
	add(steps, "this node", ok, text, "it needs its coordinator once: see the next steps");
}

static void add_network(struct steps *steps, const struct host *host)
{
	const struct net_snapshot *snapshot = net_watch_snapshot(host->watch);
	char text[WHY_TEXT_MAX], ip[ADDR_TEXT_MAX];
	size_t at = 0;
	bool has_default = false;

	text[0] = 0;
	for (size_t i = 0; i < snapshot->count && at + 80 < sizeof text; i++) {
		const struct net_address *address = &snapshot->addresses[i];

		has_default |= address->is_default;
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s on %.15s%s", at ? ", " : "",
				       ip_format(&address->ip, ip), address->ifname,
				       address->is_default ? " (default)" : "");
	}
	if (snapshot->count == 0)
		add(steps, "network", false, "this machine has no address on any network",
		    "connect it; `ip address` shows what it has");
	else if (!has_default)
		add(steps, "network", false, text, "there is no default route: `ip route` shows what there is");
	else
		add(steps, "network", true, text, "");
}

/* What the NAT has opened for us; its absence is no failure. */
static void add_mapped(struct steps *steps, const struct host *host)
{
	char text[WHY_TEXT_MAX], local[ADDR_TEXT_MAX], external[ADDR_TEXT_MAX];
	uint64_t renewals;

	for (size_t i = 0; i < node_portmap_count(host, &renewals); i++) {
		const struct portmap_answer *answer = node_portmap_get(host, i);

		snprintf(text, sizeof text, "the NAT forwards %s to %s, by %s",
			 addr_format(&answer->external, external), ip_format(&answer->local, local),
			 portmap_method_name(answer->method));
		add(steps, "port mapping", true, text, "");
	}
}

/* Nothing is said of one that is good and renewed in time. */
static void add_own_certificate(struct steps *steps, const struct host *host, struct time_us now)
{
	struct node_renew_status status;
	char text[WHY_TEXT_MAX], until[32];
	time_t seconds;
	struct tm parts;

	if (!host->renew)
		return;
	node_renew_get(host->renew, now, &status);
	if (!status.is_expired && !status.is_late)
		return;
	seconds = (time_t)status.not_after_s;
	gmtime_r(&seconds, &parts);
	(void)strftime(until, sizeof until, "%Y-%m-%d %H:%M:%S UTC", &parts);
	snprintf(text, sizeof text, "%s %s%s%.200s", status.is_expired ? "expired" : "not renewed yet, good until",
		 until, *status.error ? ": " : "", status.error);
	add(steps, "own certificate", !status.is_expired, text,
	    "it is renewed by itself as soon as the account server answers at the TCP port that it had when we joined");
}

static void add_name(struct steps *steps, const struct why_question *question, const struct node_status *status)
{
	char text[WHY_TEXT_MAX];

	if (question->is_foreign && strcmp(question->name, status->fqdn) == 0)
		add(steps, "name", false, "that is this node itself", "ask about another one");
	else if (question->is_foreign) {
		snprintf(text, sizeof text,
			 "%s is no name of this network, whose zone is %s, nor of one that it trusts", question->name,
			 status->zone);
		add(steps, "name", false, text,
		    "check the name; another network's zone has to be named by --trust of our account server");
	} else {
		snprintf(text, sizeof text, "%s", question->name);
		add(steps, "name", true, text, "");
	}
}

static void add_directory(struct steps *steps, const struct node_status *status)
{
	char text[WHY_TEXT_MAX], address[ADDR_TEXT_MAX], rtt[40] = "";

	if (status->coordinator_rtt_us >= 0)
		snprintf(rtt, sizeof rtt, ", %.1f ms", (double)status->coordinator_rtt_us / 1000);
	snprintf(text, sizeof text, "coordinator %s %s%s", addr_format(&status->coordinator, address),
		 status->coordinator_ok ? "answers" : "does not answer", status->coordinator_ok ? rtt : "");
	add(steps, "directory", status->coordinator_ok, text,
	    "does its server run, and does every firewall on the way let UDP to that port pass?");
}

/* What a person can do about a refusal. */
static const char *refusal_fix(uint8_t reason)
{
	switch (reason) {
	case REASON_UNKNOWN_NAME: return "check the name with `ntm nodes` on the server";
	case REASON_OFFLINE: return "start it there with `sudo ntm up`, or see there with `ntm status` what it lacks";
	case REASON_REVOKED:
		return "it was taken off the network for good; a new join code would make it another member";
	case REASON_BUSY: return "try again in a moment";
	case REASON_NO_ZONE:
		return "does our coordinator have a --resolver, and does that know _ntm. in that zone (`dig TXT`)?";
	case REASON_NOT_TRUSTED:
		return "our account server's --trust must name that zone with the key that the other network's server "
		       "logs at its start";
	default: return "ask who runs the server; its log tells more";
	}
}

static void add_direction(struct steps *steps, const struct why_question *question, const struct node_peer_status *peer)
{
	char text[WHY_TEXT_MAX];

	if (question->refused)
		add(steps, "direction", false, document_reason(question->reason), refusal_fix(question->reason));
	else if (!peer)
		add(steps, "direction", false, "the coordinator has not told how to reach it",
		    "a coordinator that answers tells at once: see the step before");
	else {
		snprintf(text, sizeof text, "%d addresses of it are known%s", peer->candidate_count,
			 peer->has_relay ? ", and a relay" : "");
		add(steps, "direction", true, text, "");
	}
}

static void add_credentials(struct steps *steps, const struct node_peer_status *peer)
{
	char text[WHY_TEXT_MAX], v4[ADDR_TEXT_MAX], v6[ADDR_TEXT_MAX];

	snprintf(text, sizeof text, "%s, signed by %s account server", peer->fqdn,
		 peer->is_foreign ? "its own, trusted network's" : "this network's");
	add(steps, "certificate", peer->has_certificate, text, "it has to join anew");
	snprintf(text, sizeof text, "%s, %s", ip_format(&peer->v4, v4), ip_format(&peer->v6, v6));
	add(steps, "lease", peer->v4.family != 0 || peer->v6.family != 0, text,
	    "its coordinator has to lease addresses");
}

static void format_way(const struct node_peer_status *peer, const struct node_path_status *path, char ret[WHY_TEXT_MAX])
{
	char local[ADDR_TEXT_MAX], remote[ADDR_TEXT_MAX], rtt[40] = "", loss[40] = "", use[60] = "";

	if (path->rtt_us >= 0)
		snprintf(rtt, sizeof rtt, ", %.1f ms", (double)path->rtt_us / 1000);
	if (path->loss_permille > 0)
		snprintf(loss, sizeof loss, ", %.1f %% lost", path->loss_permille / 10.0);
	if (path->active)
		snprintf(use, sizeof use, ", in use (%s)", tally_cause_name(peer->cause));
	snprintf(ret, WHY_TEXT_MAX, "%s > %s: %u asked, %u answered%s%s%s%s", ip_format(&path->route.local.ip, local),
		 addr_format(&path->route.remote, remote), path->challenges_tx, path->challenges_rx, rtt, loss,
		 path->valid ? "" : ", does not answer now", use);
}

/* Ways that fail need no remedy where another one works. */
static void add_ways(struct steps *steps, const struct node_peer_status *peer, enum path_kind kind, bool is_needed)
{
	static const char *const fixes[] = {
		[PATH_DIRECT] = "a NAT or firewall on the way drops UDP to this address, or it is not there any more",
		[PATH_RELAY] = "does the relay run, and do both ends reach its UDP port?",
	};
	char text[WHY_TEXT_MAX];

	for (int i = 0; i < peer->path_count; i++)
		if (peer->paths[i].kind == kind) {
			format_way(peer, &peer->paths[i], text);
			add(steps, kind == PATH_RELAY ? "relay path" : "candidate", peer->paths[i].valid, text,
			    is_needed ? fixes[kind] : "");
		}
}

static const struct node_path_status *way_in_use(const struct node_peer_status *peer)
{
	for (int i = 0; i < peer->path_count; i++)
		if (peer->paths[i].active && peer->paths[i].valid)
			return &peer->paths[i];
	return NULL;
}

static int count_answering(const struct node_peer_status *peer)
{
	int good = 0;

	for (int i = 0; i < peer->path_count; i++)
		good += peer->paths[i].valid;
	return good;
}

/* In one line what the ways below say one by one. */
static void add_paths(struct steps *steps, const struct node_peer_status *peer)
{
	char text[WHY_TEXT_MAX];
	int good = count_answering(peer);

	snprintf(text, sizeof text, "%d of %d ways to it answer", good, peer->path_count);
	add(steps, "paths", good > 0, text,
	    "a firewall before this machine or before the other drops UDP, or the other is off");
}

/* Whatever the tables say: does something come back? */
static void add_echo(struct steps *steps, const struct node_peer_status *peer, const struct why_question *question)
{
	char text[WHY_TEXT_MAX];

	if (!question->has_asked)
		return;
	snprintf(text, sizeof text, question->has_answered ? "answered in %.1f ms" : "no answer for %.1f ms",
		 (double)question->echo_us / 1000);
	add(steps, "echo", question->has_answered, text,
	    count_answering(peer) > 0
		    ? "the way in use carries nothing now; another one is being looked for"
		    : "a firewall before this machine or before the other drops UDP, or the other is off");
}

static void add_tunnel(struct steps *steps, const struct node_peer_status *peer)
{
	char text[WHY_TEXT_MAX];

	if (peer->has_session)
		snprintf(text, sizeof text, "%s, keys %lld s old", peer->suite,
			 (long long)(peer->key_age_us / USEC_PER_SEC));
	else
		snprintf(text, sizeof text, "no answer to the handshake on any way");
	add(steps, "tunnel", peer->has_session, text, "is it up there? every way to it is listed below");
}

/* Why the coordinator chose it. */
static const char *relay_reason(uint8_t cause)
{
	static const char *const texts[RELAY_CAUSES] = {
		[RELAY_CAUSE_SPREAD] = "chosen without a measurement",
		[RELAY_CAUSE_NEAR] = "the shortest way between the two",
		[RELAY_CAUSE_SILENT] = "the one before does not answer any more",
		[RELAY_CAUSE_BETTER] = "much nearer than the one before",
		[RELAY_CAUSE_LOAD] = "the one before is about to stop",
		[RELAY_CAUSE_GONE] = "the one before has left the network",
	};

	return cause < RELAY_CAUSES && texts[cause] ? texts[cause] : "the only one told";
}

static void add_relay(struct steps *steps, const struct node_peer_status *peer, bool is_needed)
{
	char text[WHY_TEXT_MAX];

	if (!peer->has_relay)
		add(steps, "relay", false, "none was named for this pair",
		    is_needed ? "a network whose nodes are behind NATs needs one: `ntm invite --role relay`" : "");
	else {
		char rtt[32] = "";

		if (peer->relay_rtt_us >= 0)
			snprintf(rtt, sizeof rtt, ", %lld.%lld ms away", (long long)(peer->relay_rtt_us / 1000),
				 (long long)(peer->relay_rtt_us / 100 % 10));
		snprintf(text, sizeof text, "%s: %s%s; %s", peer->relay, relay_reason(peer->relay_cause), rtt,
			 peer->relay_bound ? "our leg is bound" : "our leg is not bound");
		add(steps, "relay", peer->relay_bound, text,
		    is_needed ? "does the relay run, and do we reach its UDP port?" : "");
	}
}

static const char *mapping_text(uint8_t kind)
{
	static const char *const texts[MAPPING_KINDS] = {
		[MAPPING_UNKNOWN] = "not known",
		[MAPPING_STEADY] = "one port for all destinations",
		[MAPPING_GUESSABLE] = "another port for each destination, in an order that can be guessed",
		[MAPPING_RANDOM] = "another port for each destination, at random",
	};

	return texts[kind < MAPPING_KINDS ? kind : MAPPING_UNKNOWN];
}

/* What knocking at NATs that let nothing in has come to; nothing where nobody had to knock. */
static void add_punch(struct steps *steps, const struct node_peer_status *peer, bool is_needed)
{
	static const char *const states[PUNCH_STATES] = {
		[PUNCH_STATE_NONE] = "begins in a moment",
		[PUNCH_STATE_TRYING] = "is being tried",
		[PUNCH_STATE_FOUND] = "has found a way",
		[PUNCH_STATE_FAILED] = "was not heard; tried again later",
		[PUNCH_STATE_HOPELESS] = "cannot work: random ports at one end need one port for all at the other",
		[PUNCH_STATE_BLIND] = "an end could not learn what its NAT does",
		[PUNCH_STATE_SILENT] = "the other end has not answered the question",
		[PUNCH_STATE_NO_TARGET] = "the coordinator has seen no address of it that may be knocked at",
	};
	static const char *const fixes[PUNCH_STATES] = {
		[PUNCH_STATE_FAILED] = "data stays on the relay meanwhile",
		[PUNCH_STATE_HOPELESS] =
			"data stays on the relay; a NAT that opens ports (PCP, NAT-PMP, UPnP), or IPv6, would help",
		[PUNCH_STATE_BLIND] =
			"a relay at another address than the coordinator's, or the coordinator's second UDP port "
			"(its own and 10000), tells it",
		[PUNCH_STATE_SILENT] = "it may be of an older version, or busy with somebody else",
		[PUNCH_STATE_NO_TARGET] = "both may be behind the same NAT, or only one has IPv4",
	};
	const struct node_punch_status *punch = &peer->punch;
	char text[WHY_TEXT_MAX];
	bool ok = punch->state <= PUNCH_STATE_FOUND;

	if (punch->tries == 0 && punch->state == PUNCH_STATE_NONE)
		return;
	snprintf(text, sizeof text, "%s (the NAT here: %s; there: %s; tried %u times, %u knocks)", states[punch->state],
		 mapping_text(punch->own), mapping_text(punch->theirs), punch->tries, punch->knocks);
	add(steps, "hard NATs", ok || !is_needed, text, is_needed && fixes[punch->state] ? fixes[punch->state] : "");
}

/* The peer's part of the steps; returns the way that data takes. */
static const struct node_path_status *add_peer(struct steps *steps, const struct node_peer_status *peer,
					       const struct why_question *question)
{
	const struct node_path_status *way = way_in_use(peer);

	add_credentials(steps, peer);
	add_tunnel(steps, peer);
	add_echo(steps, peer, question);
	add_paths(steps, peer);
	add_ways(steps, peer, PATH_DIRECT, !way || way->kind == PATH_RELAY);
	add_punch(steps, peer, !way || way->kind == PATH_RELAY);
	add_relay(steps, peer, !way);
	add_ways(steps, peer, PATH_RELAY, !way);
	return way;
}

/* Which prefix decides, and who carries it. */
static bool add_exit(struct steps *steps, const struct host *host, const struct ip *ip)
{
	char text[WHY_TEXT_MAX], prefix[ADDR_TEXT_MAX], other[60] = "";
	int rule = node_exit_rule_for(host->node, ip);
	struct node_exit_status status;

	if (rule < 0 || !node_get_exit(host->node, (size_t)rule, &status)) {
		add(steps, "exit", true, "none is used for it: it is reached from this machine's own address", "");
		return false;
	}
	if (status.place > 0)
		snprintf(other, sizeof other, ", which took over from the one before it in the list");
	else if (status.rule.count > 1)
		snprintf(other, sizeof other, ", the first of %u", status.rule.count);
	snprintf(text, sizeof text, "%s goes through %s%s", prefix_format(&status.rule.prefix, prefix), status.name,
		 other);
	add(steps, "exit", true, text, "");
	return true;
}

/* What became of our echo there. Many hosts answer none: silence is no failure. */
static void add_general(struct steps *steps, const struct host *host, const struct ip *ip)
{
	static const char *const refusals[] = {
		[NODE_REFUSAL_DESTINATION] = "the exit refuses this destination by its rules",
		[NODE_REFUSAL_NODE] = "the exit lets only other nodes out",
		[NODE_REFUSAL_QUOTA] = "the exit says that this node's quota of today is used up",
	};
	struct node_general_answer answer;
	char text[WHY_TEXT_MAX];

	node_get_general_answer(host->node, ip, &answer);
	if (answer.refusal != NODE_REFUSAL_NONE) {
		add(steps, "host", false, refusals[answer.refusal],
		    "whoever runs the exit decides that: exit-for, exit-allow, exit-deny and exit-quota there");
		return;
	}
	if (answer.has_answered)
		snprintf(text, sizeof text, "answered an echo in %.1f ms", (double)answer.rtt_us / 1000);
	else
		snprintf(text, sizeof text, "%s", "has not answered an echo; the exit has refused nothing");
	add(steps, "host", true, text, "");
}

/* Everything that can be known is told, also behind a step that failed: a tunnel may live on without a coordinator. */
void why_make(const struct host *host, const struct why_question *question, struct time_us now, struct why *ret)
{
	struct node_peer_status peer;
	struct node_status status;
	const struct node_path_status *way = NULL;
	struct steps steps = {json_array(), ret->cause};
	char asked[ADDR_TEXT_MAX];
	bool has_peer = !question->is_foreign, known = has_peer && find_peer(host, now, question->name, &peer);

	ret->cause[0] = 0;
	node_get_status(host->node, now, &status);
	add_this_node(&steps, host, &status);
	add_network(&steps, host);
	add_mapped(&steps, host);
	add_own_certificate(&steps, host, now);
	if (question->general.family)
		has_peer = add_exit(&steps, host, &question->general);
	else
		add_name(&steps, question, &status);
	if (has_peer) {
		add_directory(&steps, &status);
		add_direction(&steps, question, known ? &peer : NULL);
	}
	if (known)
		way = add_peer(&steps, &peer, question);
	if (has_peer && question->general.family)
		add_general(&steps, host, &question->general);
	ret->reachable = way && peer.has_session && (!question->has_asked || question->has_answered) &&
			 (!question->general.family || !ret->cause[0]);
	if (!has_peer && question->general.family)
		ret->reachable = net_watch_snapshot(host->watch)->count > 0;
	ret->document = json_pack("{ss ss so sb so}", "schema", "ntm.why/1", "name",
				  question->general.family ? ip_format(&question->general, asked) : question->name,
				  "steps", steps.list, "reachable", ret->reachable, "path",
				  way ? json_string(way->kind == PATH_RELAY ? "relay" : "direct") : json_null());
}

/* Where nobody can answer, a person is not kept waiting. */
bool why_is_hopeless(const struct host *host, const char *name, int64_t waited_us, struct time_us now)
{
	struct node_peer_status peer;
	struct node_status status;

	if (waited_us <= ALONE_PATIENCE_US)
		return false;
	node_get_status(host->node, now, &status);
	return net_watch_snapshot(host->watch)->count == 0 ||
	       (!status.coordinator_ok && !find_peer(host, now, name, &peer));
}

/* Refused; or a tunnel that answers and has had the time to find its best way; or one that does not answer. */
bool why_is_settled(const struct host *host, const struct why_question *question, int64_t waited_us, struct time_us now)
{
	if (question->refused || why_is_hopeless(host, question->name, waited_us, now))
		return true;
	if (question->has_answered)
		return waited_us > TUNNEL_PATIENCE_US;
	return question->has_asked && question->echo_us > ECHO_PATIENCE_US;
}
