/* ntm_rs.c: see server_host.h. */
#include "cmd/server_host.h"

int main(int argc, char *argv[])
{
	return server_main(PROGRAM_RS, SERVER_RELAY, argc, argv);
}
