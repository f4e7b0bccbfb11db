/* reborn.h: the scenario of a single packet to or from a node that has just begun anew. */
#pragma once

#include "overlay.h"

/* Failures by world_fail. */
void reborn_run(struct overlay *overlay);
