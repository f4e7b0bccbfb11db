/* zones.h: the scenario of two zones. */
#pragma once

#include "overlay.h"

/* Failures by world_fail. */
void zones_run(struct overlay *overlay);
