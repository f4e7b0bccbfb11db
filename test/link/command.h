/*
 * command.h: the words with which wires are made and altered while they run; one command a line.
 *
 *   wire NAME IFACE IFACE                  a wire; "forward" is from the first interface to the second
 *   set NAME WAY [from P] [to P] KEY VALUE ...   alters a plan; with from or to that of a class, made if there is none
 *                                          KEY "clear", without a value: everything is nothing, first of all
 *   cut NAME WAY [from P] [to P]           nothing passes; short for `set ... cut on`
 *   heal NAME WAY [from P] [to P]          short for `set ... cut off`
 *   stats [NAME]                           lateness and counts, as JSON
 *   reset                                  counts and lateness begin anew
 *   seed NUMBER                            all dice begin anew
 *
 * WAY: forward reverse both. P: a prefix, an address, or any. Keys: see command.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/err.h"
#include "plan.h"

enum {
	COMMAND_MAX = 512,	/* bytes of a line, with its zero */
	COMMAND_WORDS_MAX = 48, /* a line has fewer */
	COMMAND_INTERFACE_MAX = 16,
};

enum command_verb { COMMAND_WIRE, COMMAND_SET, COMMAND_STATS, COMMAND_RESET, COMMAND_SEED };

struct command {
	enum command_verb verb;
	const char *wire; /* points into the line; NULL: none was named */
	const char *interfaces[2];
	bool ways[2];
	bool has_class;
	struct prefix from, to; /* family 0: any */
	uint64_t seed;
	bool clear;				/* all settings are nothing before the changes */
	const char *changes[COMMAND_WORDS_MAX]; /* keys and values in turn, each known to be good */
	unsigned change_count;
};

/* Cuts the line into words in place. ERR_USAGE, with the word that is wrong in *ret_wrong; *ret is undefined then. */
must_use enum err command_parse(char *line, struct command *ret, const char **ret_wrong);

/* Changes the settings as a parsed command says. */
void command_apply(const struct command *command, struct plan_settings *settings);
