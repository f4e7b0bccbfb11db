/* rests.h: the scenario of a pair that has had nothing to say for a long time, and then has. */
#pragma once

#include "overlay.h"

/* Failures by world_fail. */
void rests_run(struct overlay *overlay);
