/*
 * ruleset.h: the kernel's packet filter (nftables), spoken to in its own language. One thread at a time.
 */
#pragma once

#include "base/err.h"

enum { RULESET_ERROR_MAX = 256 };

/* A conversation: tables made in it with `flags owner` belong to it and go with it, however the process ends. */
struct ruleset;

/* NULL: this kernel has no packet filter; error holds one line. */
struct ruleset *ruleset_open(char error[RULESET_ERROR_MAX]);
/* All of the text's commands in one transaction. ERR_UNSUPPORTED: nothing has changed; error holds one line. */
must_use enum err ruleset_apply(struct ruleset *ruleset, const char *text, char error[RULESET_ERROR_MAX]);
void ruleset_close(struct ruleset *ruleset); /* accepts NULL */
