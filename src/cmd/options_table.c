/* options_table.c: every option of every program: one row each. */
#include "cmd/options_table.h"

#include <ctype.h>
#include <string.h>

#include "base/time.h"
#include "cmd/options_suggest.h"

#define FIELD(member) offsetof(struct settings, member)
#define MINUTE_US (60 * USEC_PER_SEC)
#define DAY_US (86400 * USEC_PER_SEC)

enum {
	NTM = PROGRAM_NTM,
	SERVERS = PROGRAM_SERVER | PROGRAM_AS | PROGRAM_DC | PROGRAM_RS,
	NODES = PROGRAM_NTMD | PROGRAM_EXIT,
	DAEMONS = NODES | SERVERS,
	ALL = NTM | DAEMONS,

	STARTS_NODE = 1 << VERB_UP | 1 << VERB_CONFIG,
	STARTS_SERVER = 1 << VERB_UP | 1 << VERB_SERVE | 1 << VERB_CONFIG,
	STARTS = STARTS_NODE | STARTS_SERVER,
	READS = 1 << VERB_STATUS | 1 << VERB_PING | 1 << VERB_WHY | 1 << VERB_WATCH | 1 << VERB_HANDOVER |
		1 << VERB_INVITE | 1 << VERB_NODES | 1 << VERB_CONFIG | 1 << VERB_VERSION | 1 << VERB_REVOKE |
		1 << VERB_UP | 1 << VERB_DOWN,
	PATH_MOST = 4000,
	SOCKET_MOST = 107, /* sun_path less its zero */
};

static const char *const dns_choices[] = {"auto", "stub", "off", NULL};
static const char *const cipher_choices[] = {"auto", "chacha20", NULL};
static const char *const portmap_choices[] = {"auto", "off", NULL};
static const char *const filter_choices[] = {"on", "off", NULL};
static const char *const without_choices[] = {"udp-segment", "udp-segment-128", "udp-gro", "tun-header",
					      "tun-tso",     "tun-uso",		NULL};
static const char *const thread_choices[] = {"auto", "1", "2", "3", "4", "5", "6", "7", "8", NULL};
static const char *const xdp_choices[] = {"auto", "native", "generic", "off", NULL};
static const char *const level_choices[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_choices[] = {"text", "json", NULL};
static const char *const role_choices[] = {"node", "coordinator", "relay", "exit", NULL};

const struct option_row options_table[OPTIONS_MAX] = {
	[OPTION_CONFIG] = {"config", KIND_PATH, FIELD(config), NULL, ALL, .argument = "FILE", .max = PATH_MOST,
			   .help = "read settings from FILE (default: /etc/ntm/ntm.conf where it exists)"},
	[OPTION_STATE] = {"state", KIND_PATH, FIELD(state), "/var/lib/ntm", ALL, .argument = "DIR", .max = PATH_MOST,
			  .help = "keys, certificates, leases, stores"},
	[OPTION_SOCKET] = {"socket", KIND_PATH, FIELD(socket), "/run/ntm/ntm.sock", ALL, .argument = "PATH",
			   .max = SOCKET_MOST, .help = "control socket"},
	[OPTION_USER] = {"user", KIND_TEXT, FIELD(user), "ntm", ALL, STARTS, .argument = "NAME", .max = 32,
			 .help = "account to drop privileges to after set-up"},
	[OPTION_GROUP] = {"group", KIND_TEXT, FIELD(group), "ntm", ALL, STARTS, .argument = "NAME", .max = 32,
			  .help = "group that may use the control socket"},
	[OPTION_FOREGROUND] = {"foreground", KIND_FLAG, FIELD(foreground), "no", ALL, 1 << VERB_UP | 1 << VERB_SERVE,
			       .help = "stay in the foreground and log to the terminal"},
	[OPTION_LOG_LEVEL] = {"log-level", KIND_ENUM, FIELD(log_level), "info", ALL, STARTS, .argument = "LEVEL",
			      .choices = level_choices, .help = "how much to log"},
	[OPTION_LOG_FORMAT] = {"log-format", KIND_ENUM, FIELD(log_format), "text", ALL, STARTS, .argument = "FORMAT",
			       .choices = format_choices, .help = "how to log"},
	[OPTION_METRICS] = {"metrics", KIND_ADDR, FIELD(metrics), NULL, ALL, STARTS, .argument = "ADDR:PORT",
			    .host = "127.0.0.1", .help = "serve Prometheus metrics there (default: off)"},
	[OPTION_LISTEN] = {"listen", KIND_ADDR, FIELD(listen), "[::]:7367", ALL, STARTS, .argument = "ADDR:PORT",
			   .host = "[::]", .port = PORT_DEFAULT,
			   .help = "UDP port for everything, and TCP for logins to a server"},
	[OPTION_ADVERTISE] = {"advertise", KIND_ADDRS, FIELD(advertise), NULL, NTM | SERVERS, STARTS_SERVER,
			      .argument = "ADDR[:PORT],...",
			      .help = "addresses under which others reach this server (default: the host's own)"},
	[OPTION_JOIN] = {"join", KIND_TEXT, FIELD(join), NULL, NTM | NODES | PROGRAM_DC | PROGRAM_RS, STARTS_NODE,
			 .argument = "CODE", .max = 255, .secret = true,
			 .help = "join code; prefer the environment, which other users cannot read"},
	[OPTION_NAME] = {"name", KIND_ZONE, FIELD(name), NULL, ALL, STARTS | 1 << VERB_INVITE, .argument = "NAME",
			 .max = 127, .help = "name of this node or server, or that an invitation is for"},
	[OPTION_TUN] = {"tun", KIND_IFACE, FIELD(tun), "ntm0", NTM | NODES, STARTS_NODE, .argument = "NAME", .max = 15,
			.help = "virtual interface"},
	[OPTION_DNS] = {"dns", KIND_ENUM, FIELD(dns), "auto", NTM | PROGRAM_NTMD, STARTS_NODE, .argument = "MODE",
			.choices = dns_choices,
			.help = "names: through systemd-resolved, only on the node's own address, or not at all"},
	[OPTION_CIPHER] = {"cipher", KIND_ENUM, FIELD(cipher), "auto", NTM | NODES, STARTS_NODE, .argument = "NAME",
			   .choices = cipher_choices,
			   .help = "cipher of tunnels: the faster one, or ChaCha20-Poly1305 always"},
	[OPTION_PORTMAP] = {"portmap", KIND_ENUM, FIELD(portmap), "auto", NTM | NODES, STARTS_NODE, .argument = "MODE",
			    .choices = portmap_choices,
			    .help = "ask the NAT to open our port (PCP, NAT-PMP, UPnP), or do not"},
	[OPTION_FILTER] = {"filter", KIND_ENUM, FIELD(filter), "on", NTM | PROGRAM_NTMD, STARTS_NODE,
			   .argument = "MODE", .choices = filter_choices,
			   .help = "virtual addresses on other interfaces than ours: dropped, or as the kernel likes"},
	[OPTION_WITHOUT] = {"without", KIND_SET, FIELD(without), NULL, ALL, STARTS, .argument = "NAME,...",
			    .choices = without_choices, .help = "do without these abilities of the kernel"},
	[OPTION_THREADS] = {"threads", KIND_ENUM, FIELD(threads), "auto", NTM | NODES, STARTS_NODE, .argument = "N",
			    .choices = thread_choices,
			    .help = "threads that move packets, 1 to 8, or as there are processors"},
	[OPTION_MARK] = {"mark", KIND_NUMBER, FIELD(mark), "0x6e746d", NTM | NODES, STARTS_NODE, .argument = "N",
			 .min = 1, .max = UINT32_MAX, .help = "firewall mark of the node's own sockets"},
	[OPTION_TABLE] = {"table", KIND_NUMBER, FIELD(table), "7367", NTM | PROGRAM_NTMD, STARTS_NODE, .argument = "N",
			  .min = 1, .max = UINT32_MAX, .help = "routing table for virtual addresses"},
	[OPTION_EXIT] = {"exit", KIND_FLAG, FIELD(exit), "no", NTM | PROGRAM_NTMD, STARTS_NODE,
			 .help = "send everything that leaves the overlay through an exit"},
	[OPTION_EXIT_VIA] = {"exit-via", KIND_TEXT, FIELD(exit_via), "exit", NTM | PROGRAM_NTMD, STARTS_NODE,
			     .argument = "NAME,...", .max = 900,
			     .help = "exits to use: the first one, the next when it is silent"},
	[OPTION_EXIT_ROUTE] = {"exit-route", KIND_RULES, FIELD(exit_route), NULL, NTM | PROGRAM_NTMD, STARTS_NODE,
			       .argument = "PREFIX[=NAME[+NAME...]],...",
			       .help = "send these destinations through an exit, of these names or --exit-via"},
	[OPTION_EXIT_FOR] = {"exit-for", KIND_TEXT, FIELD(exit_for), NULL, PROGRAM_EXIT, .argument = "NAME,...",
			     .max = 900, .help = "nodes and @groups that may leave here (default: every node)"},
	[OPTION_EXIT_ALLOW] = {"exit-allow", KIND_RULES, FIELD(exit_allow), NULL, PROGRAM_EXIT,
			       .argument = "PREFIX[@PORT[-PORT]],...", .max = 1,
			       .help = "destinations that are allowed although a wider rule refuses them"},
	[OPTION_EXIT_DENY] = {"exit-deny", KIND_RULES, FIELD(exit_deny), NULL, PROGRAM_EXIT,
			      .argument = "PREFIX[@PORT[-PORT]],...", .max = 1,
			      .help = "destinations that are refused, beside all special-purpose ranges"},
	[OPTION_EXIT_QUOTA] = {"exit-quota", KIND_SIZE, FIELD(exit_quota), "0", PROGRAM_EXIT, .argument = "SIZE",
			       .help = "bytes that a node may move in a day, 0: any"},
	[OPTION_EXIT_RATE] = {"exit-rate", KIND_SIZE, FIELD(exit_rate), "0", PROGRAM_EXIT, .argument = "SIZE",
			      .help = "bytes that a node may move in a second, 0: any"},
	[OPTION_ZONE] = {"zone", KIND_ZONE, FIELD(zone), "ntm.internal", NTM | SERVERS,
			 STARTS_SERVER | 1 << VERB_INVITE, .argument = "NAME", .max = 127,
			 .help = "name zone of the server; in an invitation: of the node"},
	[OPTION_POOL4] = {"pool4", KIND_PREFIX, FIELD(pool4), "198.18.0.0/15", NTM | SERVERS, STARTS_SERVER,
			  .argument = "PREFIX", .min = 4, .help = "IPv4 addresses to lease"},
	[OPTION_POOL6] = {"pool6", KIND_PREFIX, FIELD(pool6), "fd6e:746d::/32", NTM | SERVERS, STARTS_SERVER,
			  .argument = "PREFIX", .min = 6, .help = "prefix of all virtual IPv6 addresses"},
	[OPTION_CERTIFICATE_TIME] = {"certificate-time", KIND_DURATION, FIELD(certificate_time_us), "365d",
				     NTM | PROGRAM_SERVER | PROGRAM_AS, STARTS_SERVER, .argument = "TIME",
				     .min = 10 * USEC_PER_SEC, .max = 3650 * DAY_US,
				     .help = "how long a device's certificate holds; it is renewed at half of it"},
	[OPTION_DNS_LISTEN] = {"dns-listen", KIND_ADDR, FIELD(dns_listen), NULL, NTM | PROGRAM_SERVER | PROGRAM_DC,
			       STARTS_SERVER, .argument = "ADDR[:PORT]", .host = "[::]", .port = 53,
			       .help = "serve the zone to the public there (default: off)"},
	[OPTION_RELAY_MEMORY] = {"relay-memory", KIND_SIZE, FIELD(relay_memory), "16M",
				 NTM | PROGRAM_SERVER | PROGRAM_RS, STARTS_SERVER, .argument = "SIZE",
				 .max = 4000000000,
				 .help = "memory of what a relay forwarded last, for nodes that move, 0: none"},
	[OPTION_XDP] =
		{"xdp", KIND_ENUM, FIELD(xdp), "auto", NTM | PROGRAM_SERVER | PROGRAM_RS, STARTS_SERVER,
		 .argument = "MODE", .choices = xdp_choices,
		 .help = "let the kernel forward for the relay: where a driver can, insist, without one, or not"},
	[OPTION_RESOLVER] = {"resolver", KIND_ADDR, FIELD(resolver), NULL, NTM | PROGRAM_SERVER | PROGRAM_DC,
			     STARTS_SERVER, .argument = "ADDR[:PORT]", .port = 53,
			     .help = "DNS server to ask for the coordinators of trusted networks (default: none)"},
	[OPTION_TRUST] = {"trust", KIND_TRUST, FIELD(trust), NULL, NTM | PROGRAM_SERVER | PROGRAM_AS, STARTS_SERVER,
			  .argument = "ZONE=KEY@PREFIX@PREFIX,...",
			  .help = "let nodes meet those of this other network (default: none)"},
	[OPTION_JSON] = {"json", KIND_FLAG, FIELD(json), "no", NTM, READS,
			 .help = "print JSON documents instead of text"},
	[OPTION_WAIT] = {"wait", KIND_DURATION, FIELD(wait_us), "30s", NTM, 1 << VERB_UP | 1 << VERB_DOWN,
			 .argument = "TIME", .min = 0, .max = 365 * DAY_US, .help = "give up after TIME"},
	[OPTION_NEW] = {"new", KIND_FLAG, FIELD(new_network), "no", NTM, 1 << VERB_UP,
			.help = "found a network: also serve it from here"},
	[OPTION_SERVER] = {"server", KIND_FLAG, FIELD(server), "no", NTM, 1 << VERB_DOWN,
			   .help = "stop the server on this machine as well"},
	[OPTION_CHECK] = {"check", KIND_FLAG, FIELD(check), "no", NTM, 1 << VERB_STATUS,
			  .help = "print nothing; exit 0 only when this node is up"},
	[OPTION_COUNT_PINGS] = {"count", KIND_NUMBER, FIELD(count), "0", NTM, 1 << VERB_PING, 'c', "N", 0, UINT32_MAX,
				.help = "stop after N pings (default: until interrupted)"},
	[OPTION_INTERVAL] = {"interval", KIND_DURATION, FIELD(interval_us), "1s", NTM, 1 << VERB_PING, 'i', "TIME",
			     1000, DAY_US, .help = "time between pings, in seconds or with a unit"},
	[OPTION_DIRECT] = {"direct", KIND_FLAG, FIELD(direct), "no", NTM, 1 << VERB_PING,
			   .help = "exit 7 unless the answers came on a direct path"},
	[OPTION_TO] = {"to", KIND_IFACE, FIELD(to), NULL, NTM, 1 << VERB_HANDOVER, .argument = "IFACE", .max = 15,
		       .help = "interface to move all tunnels to"},
	[OPTION_USES] = {"uses", KIND_NUMBER, FIELD(uses), "1", NTM, 1 << VERB_INVITE, .argument = "N", .min = 1,
			 .max = 1000000, .help = "how many may join with the code"},
	[OPTION_EXPIRES] = {"expires", KIND_DURATION, FIELD(expires_us), "1h", NTM, 1 << VERB_INVITE,
			    .argument = "TIME", .min = USEC_PER_SEC, .max = 3650 * DAY_US,
			    .help = "how long the code is good"},
	[OPTION_ROLE] = {"role", KIND_ENUM, FIELD(role), "node", NTM, 1 << VERB_INVITE, .argument = "ROLE",
			 .choices = role_choices, .help = "what the code lets join"},
	[OPTION_OUTPUT] = {"output", KIND_PATH, FIELD(output), NULL, NTM, 1 << VERB_BUGREPORT, .argument = "FILE",
			   .max = PATH_MOST, .help = "file to write (default: ntm-bugreport-TIME.txt here)"},
	[OPTION_HELP] = {"help", KIND_FLAG, FIELD(help), "no", ALL, .letter = 'h', .help = "print this"},
	[OPTION_VERSION] = {"version", KIND_FLAG, FIELD(version), "no", ALL, .help = "print the version"},
};

/* Linear: the table is small and read a few times per start. */
const struct option_row *option_find(const char *name, unsigned programs)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++)
		if (options_table[i].programs & programs && strcmp(options_table[i].name, name) == 0)
			return &options_table[i];
	return NULL;
}

/* Letters are unique over the whole table, so that an option may stand before its verb. */
const struct option_row *option_find_letter(char letter, unsigned programs)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++)
		if (options_table[i].programs & programs && options_table[i].letter == letter)
			return &options_table[i];
	return NULL;
}

/* The index in the table is the id. */
enum option_id option_id(const struct option_row *row)
{
	return (enum option_id)(row - options_table);
}

/* log-level -> NTM_LOG_LEVEL. */
const char *option_environment(const struct option_row *row, char text[48])
{
	size_t at = (size_t)snprintf(text, 48, "NTM_");

	for (const char *from = row->name; *from && at + 1 < 48; from++)
		text[at++] = *from == '-' ? '_' : (char)toupper((unsigned char)*from);
	text[at] = 0;
	return text;
}

/* Servers keep their own state and socket, so that a node and its network's server run side by side without any
 * setting. */
const char *option_fallback(const struct option_row *row, enum program program)
{
	enum option_id id = option_id(row);

	if (id == OPTION_STATE && program & SERVERS)
		return program == PROGRAM_DC   ? "/var/lib/ntm/dc"
		       : program == PROGRAM_RS ? "/var/lib/ntm/rs"
					       : "/var/lib/ntm/server";
	if (id == OPTION_SOCKET && program & SERVERS)
		return program == PROGRAM_DC   ? "/run/ntm/dc.sock"
		       : program == PROGRAM_RS ? "/run/ntm/rs.sock"
					       : "/run/ntm/server.sock";
	if (program == PROGRAM_EXIT) /* beside a node and servers, as they are beside each other */
		return id == OPTION_STATE    ? "/var/lib/ntm/exit"
		       : id == OPTION_SOCKET ? "/run/ntm/exit.sock"
		       : id == OPTION_TUN    ? "ntm-exit0"
		       : id == OPTION_NAME   ? "exit"
					     : row->fallback;
	return row->fallback;
}

/* Only what this program would take is suggested. */
const char *option_suggest(const char *name, unsigned programs)
{
	const char *best = NULL;
	size_t best_distance = SUGGEST_WORD_MAX;

	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		size_t distance = suggest_distance(name, options_table[i].name);

		if (options_table[i].programs & programs && distance < best_distance &&
		    suggest_is_near(distance, options_table[i].name)) {
			best = options_table[i].name;
			best_distance = distance;
		}
	}
	return best;
}

/* As installed. */
const char *program_name(enum program program)
{
	switch (program) {
	case PROGRAM_NTM: return "ntm";
	case PROGRAM_NTMD: return "ntmd";
	case PROGRAM_SERVER: return "ntm-server";
	case PROGRAM_AS: return "ntm-as";
	case PROGRAM_DC: return "ntm-dc";
	case PROGRAM_RS: return "ntm-rs";
	case PROGRAM_EXIT: return "ntm-exit";
	}
	return "ntm";
}
