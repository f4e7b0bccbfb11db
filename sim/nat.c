#include "nat.h"

#include "base/mem.h"

/* What of the remote a mapping or a filter looks at: this is all that makes the kinds of RFC 4787 differ. */
static struct addr key_of(enum nat_dependence dependence, const struct addr *remote)
{
	switch (dependence) {
	case NAT_ADDRESS_DEPENDENT: return (struct addr){.ip = remote->ip};
	case NAT_ADDRESS_PORT_DEPENDENT: return *remote;
	default: return (struct addr){0};
	}
}

/* external is only used when the box translates. */
void nat_init(struct nat *nat, const struct nat_config *config, struct ip external)
{
	*nat = (struct nat){.config = *config, .external = external, .next_port = NAT_PORT_FIRST};
	nat->random = stream_for(0, "nat ports", (uint64_t)external.bytes[1]);
	nat->mappings = mem_alloc(NAT_MAPPINGS_MAX, sizeof *nat->mappings);
	if (!nat->config.timeout_us)
		nat->config.timeout_us = 120 * USEC_PER_SEC;
}

/* Accepts a zeroed one. */
void nat_finish(struct nat *nat)
{
	mem_free(nat->mappings);
	*nat = (struct nat){0};
}

static bool is_fresh(const struct nat *nat, struct time_us now, struct time_us last)
{
	return time_since(now, last) < nat->config.timeout_us;
}

static void drop_old(struct nat *nat, struct time_us now)
{
	for (uint32_t i = 0; i < nat->mapping_count;)
		if (is_fresh(nat, now, nat->mappings[i].last))
			i++;
		else
			nat->mappings[i] = nat->mappings[--nat->mapping_count];
}

static bool port_is_free(const struct nat *nat, uint16_t port)
{
	for (uint32_t i = 0; i < nat->mapping_count; i++)
		if (nat->mappings[i].outside.port == port)
			return false;
	return true;
}

static uint16_t take_port(struct nat *nat, uint16_t wanted)
{
	uint16_t step = nat->config.port_step ? nat->config.port_step : 1;

	if (nat->config.preserves_ports && port_is_free(nat, wanted))
		return wanted;
	if (nat->config.draws_ports)
		nat->next_port = (uint16_t)stream_range(&nat->random, 1024, 65535);
	while (!port_is_free(nat, nat->next_port))
		nat->next_port = nat->next_port == 65535 ? NAT_PORT_FIRST : (uint16_t)(nat->next_port + 1);
	wanted = nat->next_port;
	nat->next_port = wanted > 65535 - step ? NAT_PORT_FIRST : (uint16_t)(wanted + step);
	return wanted;
}

static struct nat_mapping *mapping_for(struct nat *nat, const struct addr *inside, const struct addr *key)
{
	struct nat_mapping *mapping;

	for (uint32_t i = 0; i < nat->mapping_count; i++) {
		mapping = &nat->mappings[i];
		if (addr_equal(&mapping->inside, inside) && addr_equal(&mapping->key, key))
			return mapping;
	}
	if (nat->mapping_count == NAT_MAPPINGS_MAX)
		return NULL;
	mapping = &nat->mappings[nat->mapping_count];
	*mapping = (struct nat_mapping){.inside = *inside, .outside = *inside, .key = *key};
	if (nat->config.translates)
		mapping->outside = (struct addr){.ip = nat->external, .port = take_port(nat, inside->port)};
	nat->mapping_count++;
	return mapping;
}

/* The oldest permit makes room: real boxes are as forgetful. */
static void permit(struct nat_mapping *mapping, struct time_us now, const struct addr *key)
{
	uint32_t at = 0, oldest = 0;

	for (; at < mapping->permit_count && !addr_equal(&mapping->permits[at].key, key); at++)
		if (mapping->permits[at].last.us < mapping->permits[oldest].last.us)
			oldest = at;
	if (at == NAT_PERMITS_MAX)
		at = oldest;
	else if (at == mapping->permit_count)
		mapping->permit_count++;
	mapping->permits[at] = (struct nat_permit){*key, now};
}

/* Outbound packets refresh mapping and permit (RFC 4787 REQ-6). */
bool nat_out(struct nat *nat, struct time_us now, const struct addr *inside, const struct addr *remote,
	     struct addr *ret)
{
	struct addr key = key_of(nat->config.mapping, remote), permit_key = key_of(nat->config.filtering, remote);
	struct nat_mapping *mapping;

	drop_old(nat, now);
	mapping = mapping_for(nat, inside, &key);
	if (!mapping)
		return false;
	mapping->last = now;
	permit(mapping, now, &permit_key);
	*ret = mapping->outside;
	return true;
}

/* Inbound packets refresh nothing, the strictest reading. */
bool nat_in(struct nat *nat, struct time_us now, const struct addr *outside, const struct addr *remote,
	    struct addr *ret)
{
	struct addr key = key_of(nat->config.filtering, remote);

	drop_old(nat, now);
	for (uint32_t i = 0; i < nat->mapping_count; i++) {
		const struct nat_mapping *mapping = &nat->mappings[i];

		if (!addr_equal(&mapping->outside, outside))
			continue;
		for (uint32_t k = 0; k < mapping->permit_count; k++)
			if (addr_equal(&mapping->permits[k].key, &key) &&
			    is_fresh(nat, now, mapping->permits[k].last)) {
				*ret = mapping->inside;
				return true;
			}
	}
	return false;
}

/* A prime step, so that new ports meet no old ones for long. */
void nat_flush(struct nat *nat)
{
	nat->mapping_count = 0;
	nat->next_port = (uint16_t)(NAT_PORT_FIRST + (nat->next_port - NAT_PORT_FIRST + 4099) % 40000);
}

/* As RFC 4787 names them. */
const char *nat_dependence_text(enum nat_dependence dependence)
{
	static const char *const texts[NAT_DEPENDENCES] = {"endpoint-independent", "address-dependent",
							   "address-and-port-dependent"};

	return texts[dependence];
}
