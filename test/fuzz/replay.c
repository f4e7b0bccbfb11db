/* Runs a fuzz target over committed inputs, whole, cut at every length and with bits flipped: usage: replay_NAME
 * DIRECTORY */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { INPUT_MAX = 65536, FLIPS_MAX = 4096 };

/* On the heap and of the exact size, so that a sanitizer sees one byte too many. */
static void run(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, bytes, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_all(uint8_t *bytes, size_t size)
{
	run(bytes, size);
	for (size_t cut = 0; cut < size && cut < FLIPS_MAX; cut++)
		run(bytes, cut);
	for (size_t bit = 0; bit < 8 * size && bit < 8 * FLIPS_MAX; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		run(bytes, size);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static int replay_file(const char *directory, const char *name)
{
	static uint8_t bytes[INPUT_MAX];
	char path[4096];
	FILE *file;
	size_t size;

	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	run_all(bytes, size);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *directory = argc == 2 ? opendir(argv[1]) : NULL;
	const struct dirent *entry;
	int files = 0;

	if (!directory) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(argv[1], entry->d_name) != 0)
			return 1;
		files++;
	}
	closedir(directory);
	printf("%d inputs\n", files);
	return files > 0 ? 0 : 1;
}
