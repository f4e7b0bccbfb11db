#include "disk.h"

#include <string.h>

#include "base/mem.h"

/* Leaves it empty. */
void disk_finish(struct disk *disk)
{
	mem_free(disk->records);
	*disk = (struct disk){0};
}

static struct record *disk_find(struct disk *disk, const struct record *record)
{
	for (size_t i = 0; i < disk->count; i++)
		if (disk->records[i].table == record->table && disk->records[i].key_size == record->key_size &&
		    !memcmp(disk->records[i].key, record->key, record->key_size))
			return &disk->records[i];
	return NULL;
}

static void append(struct disk *disk, const struct record *record)
{
	if (disk->count == disk->capacity) {
		struct record *larger = mem_alloc(disk->capacity * 2 + 8, sizeof *larger);

		if (disk->count)
			memcpy(larger, disk->records, disk->count * sizeof *larger);
		mem_free(disk->records);
		disk->records = larger;
		disk->capacity = disk->capacity * 2 + 8;
	}
	disk->records[disk->count++] = *record;
}

/* A record to erase takes its key's place away. */
void disk_write(struct disk *disk, const struct record *record)
{
	struct record *old = disk_find(disk, record);

	if (record->erase) {
		if (old)
			*old = disk->records[--disk->count];
	} else if (old) {
		*old = *record;
	} else {
		append(disk, record);
	}
}
