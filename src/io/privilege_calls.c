/* privilege_calls.c: the system calls that a daemon may still make once it is set up. */
#include "io/privilege.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>

/* What the packet path, the loop, stores, the C library and its threads need. */
static const char *const calls_common[] = {
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"lseek",
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"fstat",
	"newfstatat",
	"stat",
	"lstat",
	"statx",
	"fstatfs",
	"statfs",
	"access",
	"faccessat",
	"faccessat2",
	"open",
	"openat",
	"getdents64",
	"getcwd",
	"readlink",
	"readlinkat",
	"unlink",
	"unlinkat",
	"rename",
	"renameat",
	"renameat2",
	"mkdir",
	"mkdirat",
	"rmdir",
	"chmod",
	"fchmod",
	"fchmodat",
	"chown",
	"fchown",
	"fchownat",
	"umask",
	"fsync",
	"fdatasync",
	"sync_file_range",
	"ftruncate",
	"fallocate",
	"fadvise64",
	"flock",
	"utimensat",
	"link",
	"linkat",
	"socket",
	"socketpair",
	"bind",
	"listen",
	"accept",
	"accept4",
	"connect",
	"shutdown",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	"sendto",
	"sendmsg",
	"sendmmsg",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"pipe",
	"pipe2",
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd2",
	"signalfd4",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"ioctl",
	"mmap",
	"munmap",
	"mprotect",
	"mremap",
	"madvise",
	"brk",
	"mlock",
	"mlock2",
	"munlock",
	"msync",
	"membarrier",
	"mincore",
	"futex",
	"set_robust_list",
	"get_robust_list",
	"rseq",
	"set_tid_address",
	"sched_yield",
	"sched_getaffinity",
	"getcpu",
	"clone",
	"clone3",
	"exit",
	"exit_group",
	"restart_syscall",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigpending",
	"rt_sigtimedwait",
	"rt_sigsuspend",
	"sigaltstack",
	"tgkill",
	"kill",
	"wait4",
	"waitid",
	"gettid",
	"getpid",
	"getppid",
	"getpgrp",
	"getpgid",
	"getsid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getresuid",
	"getresgid",
	"getgroups",
	"getrandom",
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	"uname",
	"sysinfo",
	"prlimit64",
	"getrlimit",
	"getrusage",
	"times",
	"prctl",
	"arch_prctl",
	"capget",
	"capset",
	"landlock_create_ruleset",
	"landlock_add_rule",
	"landlock_restrict_self",
	"seccomp",
};

/*
 * A node hands its zone to systemd-resolved through resolvectl. The child is under the same filter and gains nothing.
 */
static const char *const calls_node[] = {"execve", "vfork", "setpgid", "setsid", "chdir", "setpriority", "getpriority"};

/* Nobody here has a reason for these: an attempt is an attack, and the process ends before the next instruction. */
static const char *const calls_fatal[] = {
	"ptrace",      "process_vm_readv", "process_vm_writev",
	"init_module", "finit_module",	   "delete_module",
	"kexec_load",  "kexec_file_load",  "mount",
	"umount2",     "pivot_root",	   "chroot",
	"move_mount",  "open_tree",	   "fsopen",
	"setns",       "unshare",	   "bpf",
	"reboot",      "swapon",	   "swapoff",
	"userfaultfd", "perf_event_open",  "keyctl",
	"add_key",     "request_key",	   "execveat",
};

/* Names that this architecture does not have are skipped. */
static int privilege_add(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int call = seccomp_syscall_resolve_name(names[i]), failed;

		if (call == __NR_SCMP_ERROR || call < 0)
			continue;
		failed = seccomp_rule_add(filter, action, call, 0);
		if (failed < 0)
			return failed;
	}
	return 0;
}

static int privilege_add_profile(scmp_filter_ctx filter, enum privilege_profile profile)
{
	static const char *const exec[] = {"execve"};
	int failed = privilege_add(filter, SCMP_ACT_ALLOW, calls_common, sizeof(calls_common) / sizeof(*calls_common));

	if (failed == 0)
		failed = privilege_add(filter, SCMP_ACT_KILL_PROCESS, calls_fatal,
				       sizeof(calls_fatal) / sizeof(*calls_fatal));
	if (failed == 0 && profile == PRIVILEGE_NODE)
		failed = privilege_add(filter, SCMP_ACT_ALLOW, calls_node, sizeof(calls_node) / sizeof(*calls_node));
	if (failed == 0 && profile == PRIVILEGE_SERVER)
		failed = privilege_add(filter, SCMP_ACT_KILL_PROCESS, exec, 1);
	return failed;
}

/* For all threads at once; cannot be undone. */
enum err privilege_restrict_calls(enum privilege_profile profile)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int failed;

	if (!filter)
		return ERR_IO;
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* threads that run already, too */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	failed = privilege_add_profile(filter, profile);
	if (failed == 0)
		failed = seccomp_load(filter);
	seccomp_release(filter);
	if (failed == 0)
		return OK;
	errno = -failed;
	return failed == -EINVAL || failed == -ENOSYS || failed == -EOPNOTSUPP ? ERR_UNSUPPORTED : ERR_IO;
}
