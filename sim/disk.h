/* disk.h: everything that a server has fsynced; the scenario keeps it across restarts. */
#pragma once

#include <stddef.h>

#include "base/record.h"

struct disk {
	struct record *records;
	size_t count, capacity;
};

/* The latest value of a key wins, as in every store. */
void disk_write(struct disk *disk, const struct record *record);
void disk_finish(struct disk *disk);
