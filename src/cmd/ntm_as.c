/* ntm_as.c: see server_host.h. */
#include "cmd/server_host.h"

int main(int argc, char *argv[])
{
	return server_main(PROGRAM_AS, SERVER_ACCOUNT, argc, argv);
}
