/* ntm_server.c: see server_host.h. */
#include "cmd/server_host.h"

int main(int argc, char *argv[])
{
	return server_main(PROGRAM_SERVER, SERVER_ACCOUNT | SERVER_COORDINATOR | SERVER_RELAY, argc, argv);
}
