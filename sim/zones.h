/* zones.h: the scenarios of two zones, of one network and of two. */
#pragma once

#include "overlay.h"

/* Failures by world_fail. */
void zones_run(struct overlay *overlay);
void zones_run_partners(struct overlay *overlay);
