/* footprint.h: what a daemon that has started does not need any more. */
#pragma once

/*
 * Gives back the memory that only the start has used: pages of code and of constants, which the kernel has in its cache
 * and maps again where they are used, and free memory at the end of the heap. Takes well under a millisecond.
 */
void footprint_release(void);
