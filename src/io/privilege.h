/*
 * privilege.h: giving up what a daemon does not need any more. Call in this order: privilege_drop,
 * privilege_restrict_files, privilege_restrict_calls. Each daemon calls them after set-up and before the first byte
 * of a stranger.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { PRIVILEGE_ERROR_MAX = 200 };

enum privilege_profile {
	PRIVILEGE_NODE,	  /* TUN, netlink, UDP, control socket, name resolution set-up through D-Bus or a child */
	PRIVILEGE_SERVER, /* UDP, TCP, control socket, SQLite */
};

/*
 * No core dump, no ptrace by others, no_new_privs. Always possible.
 */
void privilege_harden(void);
/*
 * Keeps all present and future memory out of swap. ERR_IO when the limit (RLIMIT_MEMLOCK) forbids it: the caller
 * decides.
 */
must_use enum err privilege_lock_memory(void);
/*
 * When root: becomes user (and its primary group; group overrides it) with no supplementary groups. Keeps
 * CAP_NET_ADMIN when asked, nothing else; the bounding set is emptied. When not root: only drops capabilities. user
 * NULL: stays root without capabilities but the kept one. ERR_UNKNOWN: no such user or group. error holds one line.
 */
must_use enum err privilege_drop(const char *user, const char *group, bool keep_net_admin,
				 char error[PRIVILEGE_ERROR_MAX]);
/*
 * Landlock: from now on writes only beneath these directories, reads everywhere. Best effort: OK on kernels without
 * it, *ret_active tells.
 */
must_use enum err privilege_restrict_files(const char *const *writable, size_t count, bool *ret_active);
/*
 * Seccomp allow-list: everything else fails with EPERM; exec, ptrace, module and mount calls end the process.
 * ERR_UNSUPPORTED on kernels without it.
 */
must_use enum err privilege_restrict_calls(enum privilege_profile profile);
