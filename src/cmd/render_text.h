/* render_text.h: numbers and tables as a person reads them. Everything that came over a socket is printed as plain
 * ASCII: no escape sequence survives. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { RENDER_CELL_MAX = 160, RENDER_COLUMNS_MAX = 10 };

enum render_colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_WAIT, COLOUR_BAD, COLOUR_FAINT };

struct render {
	FILE *out;
	bool colour;   /* a terminal, and NO_COLOR unset */
	int64_t now_s; /* wall clock, for ages */
};

/* Replaces what is not printable ASCII; returns text. */
const char *render_clean(const char *from, char *text, size_t size);
void render_print(const struct render *render, enum render_colour colour, const char *text);

/* "850 us", "21.0 ms", "1.25 s"; "-" when negative. */
const char *render_duration(int64_t us, char *text, size_t size);
/* "12 s", "5 min", "3 h", "2 d". */
const char *render_age(int64_t s, char *text, size_t size);
/* "812 B", "1.2 kB", "3.4 MB". */
const char *render_bytes(int64_t bytes, char *text, size_t size);
/* RFC 3339 text to seconds since the epoch; false when it is not. */
bool render_instant(const char *text, int64_t *ret_s, unsigned *ret_us);

struct render_cell {
	char text[RENDER_CELL_MAX];
	enum render_colour colour;
};

struct render_table {
	struct render_cell *cells;
	size_t columns, count, room;
};

/* Begins an empty table; headings are its first row. */
void render_table_init(struct render_table *table, size_t columns);
/* Fills the next cell, row by row. NULL or empty text shows as "-". */
void render_table_add(struct render_table *table, enum render_colour colour, const char *text);
/* Aligned columns, two spaces apart, each line behind indent; the table is finished afterwards. */
void render_table_finish(struct render_table *table, const struct render *render, const char *indent);
