/*
 * options.h: the settings of every program, from one table (options_table.c): --long-option, NTM_LONG_OPTION and a key
 * of one INI file. The command line wins over the environment, the environment over the file, the file over the
 * default. Adding an option is one field below and one row of the table; help, manual check, completion and `ntm config
 * check` follow from the row.
 *
 * The file has keys before any section for all programs, and keys under [ntmd], [ntm-server], ... for one program,
 * which win over those.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "wire/credential.h"

enum { SETTINGS_ERROR_MAX = 512, ADVERTISE_MAX = 4, OPERANDS_MAX = 8, PORT_DEFAULT = 7367 };

/* What each program exits with (cli.md section 5). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2, /* usage or configuration */
	EXIT_NO_DAEMON = 3,
	EXIT_NOT_JOINED = 4,
	EXIT_DENIED = 5, /* unknown or denied */
	EXIT_UNREACHABLE = 6,
	EXIT_RELAYED = 7, /* reachable, but relayed, when --direct was asked */
	EXIT_TIMED_OUT = 8,
};

enum program {
	PROGRAM_NTM = 1 << 0,
	PROGRAM_NTMD = 1 << 1,
	PROGRAM_SERVER = 1 << 2, /* ntm-server */
	PROGRAM_AS = 1 << 3,
	PROGRAM_DC = 1 << 4,
	PROGRAM_RS = 1 << 5,
	PROGRAM_EXIT = 1 << 6, /* ntm-exit */
	PROGRAM_LAST = PROGRAM_EXIT,
};

/* Abilities of the kernel that a daemon can be told to do without: bits of settings.without, as the table names them.
 */
enum without {
	WITHOUT_SEGMENT = 1 << 0,
	WITHOUT_LONG_TRAINS = 1 << 1,
	WITHOUT_GRO = 1 << 2,
	WITHOUT_HEADER = 1 << 3,
	WITHOUT_TSO = 1 << 4,
	WITHOUT_USO = 1 << 5,
};

enum portmap_mode { PORTMAP_AUTO, PORTMAP_OFF };
enum filter_mode { FILTER_ON, FILTER_OFF };
enum cipher_choice { CIPHER_AUTO, CIPHER_CHACHA20 };
enum xdp_wish { XDP_WISH_AUTO, XDP_WISH_NATIVE, XDP_WISH_GENERIC, XDP_WISH_OFF };
enum dns_mode { DNS_AUTO, DNS_STUB, DNS_OFF };
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum invite_role { INVITE_NODE, INVITE_COORDINATOR, INVITE_RELAY, INVITE_EXIT };

/* One per row of the table, in its order. */
enum option_id {
	OPTION_CONFIG,
	OPTION_STATE,
	OPTION_SOCKET,
	OPTION_USER,
	OPTION_GROUP,
	OPTION_FOREGROUND,
	OPTION_LOG_LEVEL,
	OPTION_LOG_FORMAT,
	OPTION_METRICS,
	OPTION_LISTEN,
	OPTION_ADVERTISE,
	OPTION_JOIN,
	OPTION_NAME,
	OPTION_TUN,
	OPTION_DNS,
	OPTION_CIPHER,
	OPTION_PORTMAP,
	OPTION_FILTER,
	OPTION_WITHOUT,
	OPTION_THREADS,
	OPTION_MARK,
	OPTION_TABLE,
	OPTION_EXIT,
	OPTION_EXIT_VIA,
	OPTION_EXIT_ROUTE,
	OPTION_EXIT_FOR,
	OPTION_EXIT_ALLOW,
	OPTION_EXIT_DENY,
	OPTION_EXIT_QUOTA,
	OPTION_EXIT_RATE,
	OPTION_ZONE,
	OPTION_POOL4,
	OPTION_POOL6,
	OPTION_CERTIFICATE_TIME,
	OPTION_DNS_LISTEN,
	OPTION_RELAY_MEMORY,
	OPTION_XDP,
	OPTION_RESOLVER,
	OPTION_TRUST,
	OPTION_JSON,
	OPTION_WAIT,
	OPTION_NEW,
	OPTION_SERVER,
	OPTION_CHECK,
	OPTION_COUNT_PINGS,
	OPTION_INTERVAL,
	OPTION_DIRECT,
	OPTION_TO,
	OPTION_USES,
	OPTION_EXPIRES,
	OPTION_ROLE,
	OPTION_OUTPUT,
	OPTION_HELP,
	OPTION_VERSION,
	OPTIONS_MAX
};

enum setting_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_COMMAND_LINE };

/* Where an option's value came from, and its text as given there. */
struct setting_origin {
	enum setting_source source;
	unsigned line; /* of the file, for SOURCE_FILE */
	char *text;    /* owned; NULL: no value and no default */
};

/*
 * Everything a program was told, per instance: no global holds any of it. Strings are owned; NULL where nothing was
 * said and there is no default. origin[OPTION_X].source tells a default from a wish, for instance to look for another
 * port when 7367 is taken.
 */
struct settings {
	enum program program;

	/* Every program. */
	char *config;	 /* the file that was read; NULL: none */
	char *state;	 /* directory, 0700 */
	char *socket;	 /* control socket: ntm.sock for the node, server.sock for servers */
	char *user;	 /* to drop privileges to after set-up, when started by root */
	char *group;	 /* group that may use the control socket */
	bool foreground; /* up, serve, daemons: stay attached to the terminal */
	enum log_level log_level;
	enum log_format log_format;
	struct addr metrics; /* port 0: off */

	/* Daemons. */
	struct addr listen;		      /* UDP, and TCP for the account server */
	struct addr advertise[ADVERTISE_MAX]; /* servers: what is told to others; none: the host's own addresses. Port 0
						 was replaced by listen's */
	size_t advertise_count;
	uint32_t without; /* bits of enum without */
	char *join;	  /* join code: secret, so never in argv of a process we start */
	char *name;	  /* wished name of a node or relay; `invite`: name that the code is bound to */

	/* Node. */
	char *tun;
	enum dns_mode dns;
	enum cipher_choice cipher;
	enum portmap_mode portmap;
	enum filter_mode filter;
	uint32_t threads; /* that move packets; 0: as the machine has processors */
	uint32_t mark;	  /* fwmark of own sockets (T2) */
	uint32_t table;	  /* routing table (T1) */

	/* Node: what leaves the overlay. */
	bool exit;	  /* everything goes through an exit */
	char *exit_via;	  /* names of exits between commas, in order of preference */
	char *exit_route; /* prefixes that go there; see setting_rule_next */

	/* Exit. */
	char *exit_for;			/* names and @groups of nodes, separated by commas; NULL: all */
	char *exit_allow, *exit_deny;	/* see setting_rule_next */
	uint64_t exit_quota, exit_rate; /* bytes of a node, a day and a second; 0: no limit */

	/* Servers. */
	char *zone;
	struct prefix pool4, pool6;
	int64_t certificate_time_us; /* how long devices' certificates hold */
	struct addr dns_listen;	     /* port 0: the zone is not served to the public */
	uint64_t relay_memory;	     /* bytes of what was forwarded of late, to be sent again to who moves; 0: none */
	enum xdp_wish xdp;	     /* does the kernel forward for the relay? */
	struct addr resolver;	     /* whom to ask for other networks' zones; port 0: nobody */
	char *trust;		     /* see setting_trust_next */

	/* Verbs of ntm. */
	bool json, new_network, server, check, direct, help, version;
	int64_t wait_us, interval_us, expires_us;
	uint32_t count; /* pings; 0: until interrupted */
	uint32_t uses;
	enum invite_role role;
	char *to;     /* interface */
	char *output; /* bugreport's file */

	/* What is not an option. operands[0] is ntm's verb. Borrowed from argv. */
	const char *operands[OPERANDS_MAX];
	size_t operand_count;

	struct setting_origin origin[OPTIONS_MAX];
};

/*
 * Reads file, environment and command line (argv[0] is skipped). On ERR_USAGE, error holds one line for a person: what
 * is wrong, where it came from, how to fix it; *ret is then empty. envp NULL: no environment.
 */
must_use enum err settings_load(struct settings *ret, enum program program, int argc, char *const argv[],
				char *const envp[], char error[SETTINGS_ERROR_MAX]);
/* Frees what settings_load filled in; harmless when empty or repeated. Wipes the join code. */
void settings_finish(struct settings *settings);

/*
 * What every daemon's main begins with: settings_load with the process's environment; prints usage for --help, the
 * version for --version and mistakes. Returns -1 to go on, otherwise the code to exit with; *ret is then empty.
 */
int settings_start(struct settings *ret, enum program program, int argc, char *const argv[]);

/* One entry of a list like "10.1.0.0/16,0.0.0.0/0@25": which destinations. Ports 0 and 0: all of them. */
enum { SETTING_VIA_MAX = 256 };
struct setting_rule {
	struct prefix prefix;
	uint16_t port_min, port_max;
	char via[SETTING_VIA_MAX]; /* what stands behind "="; empty: nothing */
};
/* Takes the next one from *text, which goes on behind it; false at the end, or when it is not one (*text stays). */
bool setting_rule_next(const char **text, struct setting_rule *ret);

enum { TRUST_TEXT_MAX = 400 };

/* One entry of a list like "partner.example=KEY@198.19.0.0/16@fd12:3456::/32", KEY in hex: another network. As above.
 */
bool setting_trust_next(const char **text, struct trusted_entry *ret);

/* "command line", "environment variable NTM_X", "/etc/ntm/ntm.conf:3" or "default". Writes into text. */
const char *settings_origin_format(const struct settings *settings, enum option_id id, char *text, size_t size);
