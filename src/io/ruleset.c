#include "io/ruleset.h"

#include <errno.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ruleset {
	struct nft_ctx *nft;
};

/* On a kernel without the packet filter's socket the library would end the process. */
static bool kernel_has_filter(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What the library has to say goes to a buffer, not to our output. */
struct ruleset *ruleset_open(char error[RULESET_ERROR_MAX])
{
	struct ruleset *ruleset = calloc(1, sizeof *ruleset);

	if (!ruleset)
		abort();
	ruleset->nft = kernel_has_filter() ? nft_ctx_new(NFT_CTX_DEFAULT) : NULL;
	if (ruleset->nft && nft_ctx_buffer_error(ruleset->nft) == 0)
		return ruleset;
	snprintf(error, RULESET_ERROR_MAX, "cannot talk to the kernel's packet filter: %s", strerror(errno));
	ruleset_close(ruleset);
	return NULL;
}

/* Asking for what it said also empties the buffer: what failed before is not told again. */
enum err ruleset_apply(struct ruleset *ruleset, const char *text, char error[RULESET_ERROR_MAX])
{
	const char *said;

	if (nft_run_cmd_from_buffer(ruleset->nft, text) == 0)
		return OK;
	said = nft_ctx_get_error_buffer(ruleset->nft);
	snprintf(error, RULESET_ERROR_MAX, "nftables: %.160s", *said ? said : "the kernel refuses the rules");
	error[strcspn(error, "\n")] = '\0';
	return ERR_UNSUPPORTED;
}

/* The kernel drops the tables that it owned. */
void ruleset_close(struct ruleset *ruleset)
{
	if (!ruleset)
		return;
	if (ruleset->nft)
		nft_ctx_free(ruleset->nft);
	free(ruleset);
}
