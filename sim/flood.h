/*
 * flood.h: an attacker who knows the coordinator's public key, as every member does, and sends first messages with a
 * valid mac1 from sources that he makes up (T5).
 */
#pragma once

#include "overlay.h"

void flood_run(struct overlay *overlay);
