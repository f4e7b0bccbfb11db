/* fuzz.h: what libFuzzer calls, and the replaying program too. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns 0; aborts when something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
