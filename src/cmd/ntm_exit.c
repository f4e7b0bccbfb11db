/* ntm_exit.c: an exit to general hosts; a node whose certificate says so. See exit_host.h. */
#include "cmd/node_host.h"

int main(int argc, char **argv)
{
	return node_main(PROGRAM_EXIT, argc, argv);
}
