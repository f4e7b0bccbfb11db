/* options_table.h: the one table of options, and the verbs of ntm that each row belongs to. For the parser, help,
 * completion and tests. */
#pragma once

#include "cmd/options.h"

enum option_kind {
	KIND_TEXT,
	KIND_ZONE,  /* a DNS name; lower-cased */
	KIND_IFACE, /* interface name */
	KIND_PATH,  /* made absolute */
	KIND_ADDR,
	KIND_ADDRS, /* list: comma-separated, or the option repeated */
	KIND_PREFIX,
	KIND_DURATION,
	KIND_NUMBER,
	KIND_ENUM,
	KIND_FLAG,
	KIND_RULES, /* list of prefixes, with ports when max is not 0; text */
	KIND_SIZE,  /* bytes */
	KIND_TRUST, /* list of other networks; text */
	KIND_SET,   /* list of choices; one bit each */
};

enum verb_id {
	VERB_UP,
	VERB_DOWN,
	VERB_STATUS,
	VERB_PING,
	VERB_WHY,
	VERB_WATCH,
	VERB_HANDOVER,
	VERB_SERVE,
	VERB_INVITE,
	VERB_NODES,
	VERB_REVOKE,
	VERB_CONFIG,
	VERB_VERSION,
	VERB_BUGREPORT,
	VERB_HELP,
	VERBS_MAX
};

struct option_row {
	const char *name; /* without dashes; also the key of the file */
	enum option_kind kind;
	size_t offset;		    /* of the field in struct settings */
	const char *fallback;	    /* default as text; NULL: none */
	unsigned programs;	    /* bits of enum program */
	uint32_t verbs;		    /* of ntm: 1 << enum verb_id; 0: any */
	char letter;		    /* short form; 0: none */
	const char *argument;	    /* what help calls the value */
	int64_t min, max;	    /* number: range; duration: range in us; text: most bytes; prefix: family in min */
	const char *const *choices; /* enum and set: NULL-terminated, index is the value or the bit */
	const char *host;	    /* address: taken when only a port is given; NULL: not allowed */
	uint16_t port;		    /* address: taken when none is given */
	bool secret;		    /* never printed */
	const char *help;
};

extern const struct option_row options_table[OPTIONS_MAX];

/* NULL when there is none of this name for any of these programs. */
const struct option_row *option_find(const char *name, unsigned programs);
const struct option_row *option_find_letter(char letter, unsigned programs);
enum option_id option_id(const struct option_row *row);
/* "NTM_LOG_LEVEL"; writes into text. */
const char *option_environment(const struct option_row *row, char text[48]);
/* The default as text, which differs between node and servers for a few; NULL: none. */
const char *option_fallback(const struct option_row *row, enum program program);
/* The name nearest to a mistyped one, or NULL when none is near. */
const char *option_suggest(const char *name, unsigned programs);
/* "ntm", "ntmd", ... */
const char *program_name(enum program program);

/* Converts text into the row's field of *settings. On ERR_USAGE, why says what text should have been ("a duration like
 * 30s"). */
must_use enum err option_convert(struct settings *settings, const struct option_row *row, const char *text,
				 char why[160]);

/* Usage lines of the options of a program, and for ntm of one verb. */
void options_print(FILE *out, enum program program, enum verb_id verb);
/* What a daemon prints for --help. */
void options_print_program(FILE *out, enum program program);
