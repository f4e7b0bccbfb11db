/* test_process.c: readiness of daemons, word to the service manager, and what a process cannot do any more once it gave
 * up its rights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/notify.h"
#include "io/privilege.h"
#include "io/spawn.h"

static char directory[40];
static const char *self;

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/ntm-process-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"log", "notify", "inside"};
	char name[80];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s/%s", directory, names[i]);
		unlink(name);
	}
	return rmdir(directory);
}

/* What this program does when it is started as a daemon by the tests below. */
static int act(const char *part)
{
	char byte;

	if (strcmp(part, "ready") == 0) {
		printf("session %d stdin %d\n", (int)getsid(0), (int)read(0, &byte, 1));
		fflush(stdout);
		spawn_ready();
		spawn_ready(); /* harmless */
		return getenv("NTM_READY_FD") != NULL;
	}
	if (strcmp(part, "fail") == 0) {
		spawn_failed("port 7367 is taken");
		return 1;
	}
	if (strcmp(part, "silent") == 0)
		pause();
	return 1; /* "die" */
}

static enum err spawn_self(const char *part, int64_t wait_us, pid_t *ret_pid, char message[SPAWN_MESSAGE_MAX])
{
	char log[80], first[] = "daemon";
	char *const argv[] = {first, (char *)part, NULL};
	struct spawn_params params = {.path = self, .argv = argv, .log_path = log};

	snprintf(log, sizeof(log), "%s/log", directory);
	params.deadline = time_add(clock_now(), wait_us);
	return spawn_daemon(&params, ret_pid, message);
}

static void test_spawn(void **state)
{
	char message[SPAWN_MESSAGE_MAX], name[80], text[80] = "";
	struct stat status;
	int session = 0, input = -1;
	pid_t pid = 0;
	FILE *log;

	(void)state;
	assert_int_equal(spawn_self("ready", 30 * USEC_PER_SEC, &pid, message), OK);
	assert_true(pid > 0 && pid != getpid());
	snprintf(name, sizeof(name), "%s/log", directory);
	assert_int_equal(stat(name, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	log = fopen(name, "r");
	assert_non_null(fgets(text, sizeof(text), log));
	fclose(log);
	assert_int_equal(sscanf(text, "session %d stdin %d", &session, &input), 2);
	assert_int_not_equal(session, getsid(0));
	assert_int_equal(input, 0);
	assert_int_equal(spawn_self("fail", 30 * USEC_PER_SEC, &pid, message), ERR_STATE);
	assert_string_equal(message, "port 7367 is taken");
	assert_int_equal(spawn_self("die", 30 * USEC_PER_SEC, &pid, message), ERR_STATE);
	assert_string_equal(message, "");
}

static void test_spawn_silent(void **state)
{
	char message[SPAWN_MESSAGE_MAX];
	pid_t pid = 0;

	(void)state;
	assert_int_equal(spawn_self("silent", USEC_PER_SEC / 5, &pid, message), ERR_EXPIRED);
	assert_true(pid > 0); /* known, so that it can be ended */
	assert_int_equal(kill(pid, SIGKILL), 0);
}

static void test_spawn_missing(void **state)
{
	char message[SPAWN_MESSAGE_MAX];
	char *const argv[] = {NULL};
	struct spawn_params params = {.path = "/nonexistent/program", .argv = argv, .deadline = TIME_NEVER};
	pid_t pid;

	(void)state;
	assert_int_equal(spawn_daemon(&params, &pid, message), ERR_IO);
	assert_int_equal(errno, ENOENT);
}

static int bind_notify(const char *name, bool is_abstract)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	strcpy(address.sun_path, name);
	if (is_abstract)
		address.sun_path[0] = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	return fd;
}

static void test_notify(void **state)
{
	char name[80], bytes[100] = "";
	int fd;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), OK);
	for (int abstract = 0; abstract < 2; abstract++) {
		snprintf(name, sizeof(name), "@ntm-test-%d", getpid());
		if (!abstract)
			snprintf(name, sizeof(name), "%s/notify", directory);
		fd = bind_notify(name, abstract);
		setenv("NOTIFY_SOCKET", name, 1);
		notify_ready("a is up");
		memset(bytes, 0, sizeof(bytes));
		assert_true(recv(fd, bytes, sizeof(bytes) - 1, 0) > 0);
		assert_string_equal(bytes, "READY=1\nSTATUS=a is up");
		close(fd);
	}
	assert_int_equal(notify_send("STOPPING=1"), ERR_IO);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_send("READY=1"), ERR_IO);
	unsetenv("NOTIFY_SOCKET");
}

/* Runs a check in a child of its own: what it gives up, the other tests keep. Returns its wait status. */
static int in_child(int (*check)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(check());
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static bool has_no_capability(uint64_t but)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	uint64_t permitted;

	if (syscall(SYS_capget, &header, data) != 0)
		return false;
	permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return (permitted & ~but) == 0 && data[0].effective == data[0].permitted && data[0].inheritable == 0;
}

static int check_harden(void)
{
	struct rlimit limit;

	privilege_harden();
	if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 ? 0 : 2;
}

static int check_drop(void)
{
	char error[PRIVILEGE_ERROR_MAX];
	bool is_root = geteuid() == 0;
	gid_t extra = 4;

	if (is_root && setgroups(1, &extra) != 0)
		return 6;
	if (privilege_drop("nobody", NULL, true, error) != OK)
		return 1;
	if (!has_no_capability(UINT64_C(1) << CAP_NET_ADMIN))
		return 2;
	if (is_root && (geteuid() == 0 || getegid() == 0 || getgroups(0, NULL) != 0 || setuid(0) == 0))
		return 3;
	if (is_root && has_no_capability(0))
		return 4; /* CAP_NET_ADMIN was to be kept */
	if (privilege_drop(NULL, NULL, false, error) != OK || !has_no_capability(0))
		return 5;
	return 0;
}

static int check_drop_unknown(void)
{
	char error[PRIVILEGE_ERROR_MAX] = "";

	if (geteuid() != 0)
		return 0;
	if (privilege_drop("no-such-user", NULL, false, error) != ERR_UNKNOWN || !strstr(error, "no-such-user"))
		return 1;
	return has_no_capability(0) ? 2 : 0; /* nothing was changed */
}

static int check_files(void)
{
	const char *writable[] = {directory};
	char inside[80];
	bool is_active = false;
	int fd;

	snprintf(inside, sizeof(inside), "%s/inside", directory);
	if (privilege_restrict_files(writable, 1, &is_active) != OK)
		return 1;
	if (!is_active)
		return 0; /* an older kernel */
	fd = open(inside, O_CREAT | O_RDWR | O_TRUNC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1)
		return 2;
	if (open("/tmp/ntm-outside", O_CREAT | O_WRONLY, 0600) >= 0 || errno != EACCES)
		return 3;
	return open("/etc/hostname", O_RDONLY) >= 0 || errno == ENOENT ? 0 : 4;
}

static int check_calls(void)
{
	int fd, copy;

	if (privilege_restrict_calls(PRIVILEGE_SERVER) != OK)
		return 1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	copy = dup(fd);
	if (fd < 0 || copy < 0 || close(fd) != 0)
		return 2;
	if (syscall(SYS_sethostname, "x", 1) != -1 || errno != EPERM)
		return 3;
	return syscall(SYS_acct, NULL) == -1 && errno == EPERM ? 0 : 4;
}

static int check_ptrace_ends(void)
{
	if (privilege_restrict_calls(PRIVILEGE_NODE) == OK)
		ptrace(PTRACE_TRACEME, 0, 0, 0);
	return 0;
}

static int check_exec_ends(void)
{
	if (privilege_restrict_calls(PRIVILEGE_SERVER) == OK)
		execl("/bin/true", "true", NULL);
	return 0;
}

static int check_node_exec(void)
{
	if (privilege_restrict_calls(PRIVILEGE_NODE) == OK)
		execl("/bin/true", "true", NULL);
	return 1;
}

static void test_privileges(void **state)
{
	int status;

	(void)state;
	assert_int_equal(in_child(check_harden), 0);
	assert_int_equal(in_child(check_drop), 0);
	assert_int_equal(in_child(check_drop_unknown), 0);
	assert_int_equal(in_child(check_files), 0);
	assert_int_equal(in_child(check_calls), 0);
	assert_int_equal(in_child(check_node_exec), 0);
	status = in_child(check_ptrace_ends);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = in_child(check_exec_ends);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_spawn, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_spawn_silent, make_directory, remove_directory),
		cmocka_unit_test(test_spawn_missing),
		cmocka_unit_test_setup_teardown(test_notify, make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_privileges, make_directory, remove_directory),
	};
	char path[4096];

	if (argc > 1)
		return act(argv[1]);
	self = realpath(argv[0], path);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
