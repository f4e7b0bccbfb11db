/* Writes every sample of every codec to DIRECTORY/NAME/sample-N. usage: make_corpus DIRECTORY */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "codec.h"

static int write_sample(const char *directory, const struct codec *codec, unsigned index)
{
	static uint8_t message[CODEC_MESSAGE_MAX], bytes[CODEC_BYTES_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);
	char path[4096];
	size_t size = 0;
	FILE *file;

	memset(message, 0, sizeof message);
	codec->sample(index, message);
	codec->encode(message, &w);
	(void)snprintf(path, sizeof path, "%s/%s/sample-%u", directory, codec->name, index);
	file = writer_finish(&w, &size) == OK ? fopen(path, "wb") : NULL;
	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
		fprintf(stderr, "make_corpus: cannot write %s\n", path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; i < codec_count; i++) {
		char path[4096];

		(void)snprintf(path, sizeof path, "%s/%s", argv[1], codecs[i].name);
		if (mkdir(path, 0777) != 0 && errno != EEXIST) {
			perror(path);
			return 1;
		}
		for (unsigned k = 0; k < codecs[i].samples; k++)
			if (write_sample(argv[1], &codecs[i], k))
				return 1;
	}
	return 0;
}
