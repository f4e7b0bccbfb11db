/* renewals.h: the scenario of certificates that run out and are renewed under way. */
#pragma once

#include "overlay.h"

/* Failures by world_fail. */
void renewals_run(struct overlay *overlay);
