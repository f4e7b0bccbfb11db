#include "io/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PRIVILEGE_CAPABILITIES = 64, PRIVILEGE_NAMES = 16384 };

/* Before any secret is read. */
void privilege_harden(void)
{
	struct rlimit none = {0, 0};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
}

/* Future mappings too: keys are made later. */
enum err privilege_lock_memory(void)
{
	return mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? OK : ERR_IO;
}

/* Effective and permitted become `kept`, nothing is inherited. */
static bool privilege_set_capabilities(uint64_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
		{.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
	};

	return syscall(SYS_capset, &header, data) == 0;
}

static bool privilege_get_permitted(uint64_t *ret)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) != 0)
		return false;
	*ret = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return true;
}

/* The numbers behind the names. Group overrides the user's primary one. */
static enum err privilege_look_up(const char *user, const char *group, uid_t *ret_uid, gid_t *ret_gid,
				  char error[PRIVILEGE_ERROR_MAX])
{
	char names[PRIVILEGE_NAMES];
	struct passwd user_entry, *user_found = NULL;
	struct group group_entry, *group_found = NULL;
	gid_t gid;

	if (getpwnam_r(user, &user_entry, names, sizeof(names), &user_found) != 0 || !user_found) {
		snprintf(error, PRIVILEGE_ERROR_MAX, "no user %.64s: make it, or choose another with --user", user);
		return ERR_UNKNOWN;
	}
	*ret_uid = user_entry.pw_uid;
	gid = user_entry.pw_gid;
	if (group) {
		if (getgrnam_r(group, &group_entry, names, sizeof(names), &group_found) != 0 || !group_found) {
			snprintf(error, PRIVILEGE_ERROR_MAX, "no group %.64s: make it, or choose another with --group",
				 group);
			return ERR_UNKNOWN;
		}
		gid = group_entry.gr_gid;
	}
	*ret_gid = gid;
	return OK;
}

static bool privilege_become(uid_t uid, gid_t gid)
{
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 && setresgid(gid, gid, gid) == 0 &&
	       setresuid(uid, uid, uid) == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0;
}

/* Checks at the end that there is no way back. */
enum err privilege_drop(const char *user, const char *group, bool keep_net_admin, char error[PRIVILEGE_ERROR_MAX])
{
	uint64_t kept = keep_net_admin ? UINT64_C(1) << CAP_NET_ADMIN : 0, permitted = 0;
	uid_t uid = 0;
	gid_t gid = 0;
	enum err err;

	if (user && geteuid() == 0) {
		err = privilege_look_up(user, group, &uid, &gid, error);
		if (err != OK)
			return err;
	}
	for (unsigned long i = 0; i < PRIVILEGE_CAPABILITIES; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0,
		      0); /* needs CAP_SETPCAP; no_new_privs has the same effect for those without */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (user && geteuid() == 0 && !privilege_become(uid, gid)) {
		snprintf(error, PRIVILEGE_ERROR_MAX, "cannot become user %.64s: %s", user, strerror(errno));
		return ERR_IO;
	}
	if (!privilege_get_permitted(&permitted) || !privilege_set_capabilities(kept & permitted)) {
		snprintf(error, PRIVILEGE_ERROR_MAX, "cannot drop capabilities: %s", strerror(errno));
		return ERR_IO;
	}
	if (uid != 0 && setresuid(0, 0, 0) == 0) { /* what must not be possible any more */
		snprintf(error, PRIVILEGE_ERROR_MAX, "privileges could be regained: refusing to go on");
		return ERR_STATE;
	}
	return OK;
}

/* All that changes files, as far as this version of landlock knows it. */
static uint64_t privilege_write_accesses(long version)
{
	uint64_t accesses = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
			    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
			    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
			    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

	if (version >= 2)
		accesses |= UINT64_C(1) << 13; /* refer: move between directories */
	if (version >= 3)
		accesses |= UINT64_C(1) << 14; /* truncate */
	return accesses;
}

static bool privilege_allow_beneath(int ruleset, const char *directory, uint64_t accesses)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = accesses};
	long failed;

	rule.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return false;
	failed = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return failed == 0;
}

/* Only accesses that this kernel knows are asked for, so that older ones take part. */
enum err privilege_restrict_files(const char *const *writable, size_t count, bool *ret_active)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	uint64_t accesses = privilege_write_accesses(version);
	int ruleset;
	bool good;

	if (version < 1) {
		*ret_active = false;
		return OK;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &accesses, sizeof(accesses), 0);
	if (ruleset < 0)
		return ERR_IO;
	good = true;
	for (size_t i = 0; i < count && good; i++)
		good = privilege_allow_beneath(ruleset, writable[i], accesses);
	good = good && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	if (!good)
		return ERR_IO;
	*ret_active = true;
	return OK;
}
