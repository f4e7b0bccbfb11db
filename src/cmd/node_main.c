/* The main of node daemons, ntmd and ntm-exit: joins when there is a code and no membership yet, then carries tunnels
 * until told to stop. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/exit_host.h"
#include "cmd/node_host.h"
#include "cmd/options_table.h"
#include "io/log.h"
#include "io/spawn.h"

static int fail(const struct host *host, const char *error, int code)
{
	spawn_failed(error);
	fprintf(stderr, "%s: %s\n", program_name(host->settings.program), error);
	return code;
}

/* Keys and membership; joins when there is a code for it. */
static int load(struct host *host, char error[HOST_ERROR_MAX])
{
	const struct settings *settings = &host->settings;
	enum err err = server_state_open(settings->state, error);

	if (err == OK)
		err = server_keys_open(settings->state, "node.key", &host->keys, NULL, error);
	if (err != OK)
		return EXIT_USAGE;
	err = membership_load(settings->state, &host->membership, error);
	if (err == OK)
		return EXIT_DONE;
	if (err != ERR_UNKNOWN)
		return EXIT_FAILED;
	if (settings->join && settings->join[0])
		return membership_join(settings, &host->keys, &host->membership, error);
	snprintf(error, HOST_ERROR_MAX,
		 "%s: this device has not joined a network; get a code with `ntm invite%s` and run `%s`",
		 settings->state, settings->program == PROGRAM_EXIT ? " --role exit" : "",
		 settings->program == PROGRAM_EXIT ? "ntm-exit --join CODE" : "ntm up CODE");
	return EXIT_NOT_JOINED;
}

/* The whole of a node program's main. */
int node_main(enum program program, int argc, char **argv)
{
	static struct host host;
	char error[HOST_ERROR_MAX] = "";
	char listen[ADDR_TEXT_MAX];
	int code = settings_start(&host.settings, program, argc, argv);
	enum err err;

	if (code >= 0)
		return code;
	log_setup((enum log_severity)host.settings.log_level, host.settings.log_format == LOG_FORMAT_JSON, 2);
	if (!crypto_init())
		return fail(&host, "the crypto library does not work on this machine", EXIT_FAILED);
	code = load(&host, error);
	unsetenv("NTM_JOIN");
	if (code != EXIT_DONE)
		return fail(&host, error, code);
	err = program == PROGRAM_EXIT ? exit_host_open(&host, error) : OK;
	if (err == OK)
		err = host_open(&host, error);
	if (err != OK) {
		code = fail(&host, error, err == ERR_EXISTS || err == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED);
		host_close(&host);
		return code;
	}
	log_print(LOG_SEVERITY_INFO, "start", "%s %s: UDP %s, zone %s", program_name(program), NTM_VERSION,
		  addr_format(&(struct addr){host.settings.listen.ip, udp_port(host.udp)}, listen),
		  host.membership.network.coordinators[0].zone);
	code = host_run(&host);
	host_close(&host);
	return code;
}
