/* absent.c: in place of xdp.c where clang, bpftool or libbpf were missing when this was built. */
#include <stdio.h>

#include "io/xdp/xdp.h"

/* Contracts in xdp.h. */
enum err xdp_open(const struct xdp_params *params, struct xdp **ret, char why[XDP_TEXT_MAX])
{
	(void)params;
	(void)ret;
	snprintf(why, XDP_TEXT_MAX, "built without it (clang, bpftool or libbpf was missing)");
	return ERR_UNSUPPORTED;
}

/* There is none. */
void xdp_close(struct xdp *xdp)
{
	(void)xdp;
}

/* There is none. */
const char *xdp_describe(const struct xdp *xdp, char text[XDP_TEXT_MAX])
{
	(void)xdp;
	text[0] = 0;
	return text;
}

/* There is none. */
struct relay_copy *xdp_install(struct xdp *xdp, const struct relay_flow *flow, struct time_us now, struct time_us until)
{
	(void)xdp;
	(void)flow;
	(void)now;
	(void)until;
	return NULL;
}

/* There is none. */
bool xdp_renew(struct xdp *xdp, struct relay_copy *copy, struct time_us until)
{
	(void)xdp;
	(void)copy;
	(void)until;
	return false;
}

/* There is none. */
void xdp_remove(struct xdp *xdp, struct relay_copy *copy, struct time_us now)
{
	(void)xdp;
	(void)copy;
	(void)now;
}

/* There is none. */
bool xdp_next_reason(const struct xdp *xdp, unsigned reason, const char **ret_name, uint64_t *ret_count)
{
	(void)xdp;
	(void)reason;
	(void)ret_name;
	(void)ret_count;
	return false;
}
