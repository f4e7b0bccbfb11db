/* UPnP through miniupnpc: a search by multicast, an XML description over HTTP, a SOAP call. */
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/portmap_ask.h"

#define DEVICE_TYPE "urn:schemas-upnp-org:device:InternetGatewayDevice:1" /* which those of version 2 answer to */
#define DESCRIPTION "NTMobile"

enum { SEARCH_MS = 1000, TTL = 2, LIFETIME_S = 3600, PORT_TRIES = 3, PERMANENT_ONLY = 725, CONFLICT = 718 };

struct upnp_device {
	struct UPNPUrls urls;
	struct IGDdatas data;
};

/* Whoever answers the search says where its description and its controls are; only the gateway itself is believed. */
static bool is_at(const char *url, const struct ip *gateway)
{
	char text[ADDR_TEXT_MAX], prefix[ADDR_TEXT_MAX + 10];
	size_t size = (size_t)snprintf(prefix, sizeof prefix, "http://%s", ip_format(gateway, text));

	return url && strncmp(url, prefix, size) == 0 && (url[size] == ':' || url[size] == '/');
}

/* The library goes through the whole list by itself: it gets the part that is believed. */
static struct upnp_device *describe(const struct UPNPDev *found)
{
	struct upnp_device *device = mem_alloc(1, sizeof *device);
	char own[ADDR_TEXT_MAX];

	if (UPNP_GetIGDFromUrl(found->descURL, &device->urls, &device->data, own, sizeof own) == 1)
		return device;
	mem_free(device);
	return NULL;
}

static struct upnp_device *search(const struct mapping *mapping)
{
	struct upnp_device *device = NULL;
	char local[ADDR_TEXT_MAX];
	struct UPNPDev *list;
	int error = 0;

	ip_format(&mapping->local.ip, local);
	list = upnpDiscoverDevice(DEVICE_TYPE, SEARCH_MS, local, NULL, UPNP_LOCAL_PORT_ANY, 0, TTL, &error);
	for (struct UPNPDev *found = list; found && !device; found = found->pNext) {
		if (is_at(found->descURL, &mapping->gateway))
			device = describe(found);
		if (device && !is_at(device->urls.controlURL, &mapping->gateway)) {
			upnp_finish(device);
			device = NULL;
		}
	}
	freeUPNPDevlist(list);
	return device;
}

static int add_mapping(const struct mapping *mapping, uint16_t port, uint16_t external, uint32_t lifetime_s)
{
	const struct upnp_device *device = mapping->device;
	char local[ADDR_TEXT_MAX], inside[8], outside[8], lifetime[12];

	snprintf(inside, sizeof inside, "%u", port);
	snprintf(outside, sizeof outside, "%u", external);
	snprintf(lifetime, sizeof lifetime, "%u", lifetime_s);
	return UPNP_AddPortMapping(device->urls.controlURL, device->data.first.servicetype, outside, inside,
				   ip_format(&mapping->local.ip, local), DESCRIPTION, "UDP", NULL, lifetime);
}

/* A port that is somebody else's is left to them; one that must be opened for ever is refreshed and withdrawn like any
 * other. */
static bool open_port(const struct mapping *mapping, uint16_t port, struct portmap_answer *ret)
{
	uint16_t external = mapping->is_mapped ? mapping->answer.external.port : port;
	uint32_t lifetime_s = LIFETIME_S;

	for (int i = 0; i < PORT_TRIES; i++) {
		int result = add_mapping(mapping, port, external, lifetime_s);

		if (result == UPNPCOMMAND_SUCCESS) {
			ret->external.port = external;
			ret->lifetime_s = LIFETIME_S;
			return true;
		}
		if (result == PERMANENT_ONLY)
			lifetime_s = 0;
		else if (result == CONFLICT)
			external = (uint16_t)(1024 + (external * 31u + 7919u) % (UINT16_MAX - 1024));
		else
			return false;
	}
	return false;
}

/* A device that does not answer any more is looked for again. */
bool upnp_ask(struct mapping *mapping, uint16_t port, struct portmap_answer *ret)
{
	struct portmap_answer answer = {.method = PORTMAP_UPNP};
	char outside[64] = "";
	bool done;

	if (!mapping->device)
		mapping->device = search(mapping);
	if (!mapping->device)
		return false;
	done = UPNP_GetExternalIPAddress(mapping->device->urls.controlURL, mapping->device->data.first.servicetype,
					 outside) == UPNPCOMMAND_SUCCESS &&
	       ip_parse(outside, &answer.external.ip) == OK && answer.external.ip.family == 4 &&
	       open_port(mapping, port, &answer);
	if (done) {
		*ret = answer;
		return true;
	}
	upnp_finish(mapping->device);
	mapping->device = NULL;
	return false;
}

/* By its port outside, which is all that UPnP knows it by. */
void upnp_withdraw(struct mapping *mapping)
{
	char outside[8];

	snprintf(outside, sizeof outside, "%u", mapping->answer.external.port);
	if (mapping->device)
		UPNP_DeletePortMapping(mapping->device->urls.controlURL, mapping->device->data.first.servicetype,
				       outside, "UDP", NULL);
}

/* Accepts NULL. */
void upnp_finish(struct upnp_device *device)
{
	if (!device)
		return;
	FreeUPNPUrls(&device->urls);
	mem_free(device);
}
