/* ntmd.c: the node daemon. See node_host.h. */
#include "cmd/node_host.h"

int main(int argc, char **argv)
{
	return node_main(PROGRAM_NTMD, argc, argv);
}
