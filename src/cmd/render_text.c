/* render_text.c: units, ages, aligned tables. */
#include "cmd/render_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A name or an error text may come from a peer: it must not talk to the terminal. */
const char *render_clean(const char *from, char *text, size_t size)
{
	size_t at = 0;

	for (; from && *from && at + 1 < size; from++)
		text[at++] = *from >= ' ' && *from < 0x7f ? *from : '?';
	text[at] = 0;
	return text;
}

static const char *colour_code(enum render_colour colour)
{
	switch (colour) {
	case COLOUR_GOOD: return "\033[32m";
	case COLOUR_WAIT: return "\033[33m";
	case COLOUR_BAD: return "\033[31m";
	case COLOUR_FAINT: return "\033[2m";
	case COLOUR_NONE: break;
	}
	return "";
}

/* Cleans as it prints. */
void render_print(const struct render *render, enum render_colour colour, const char *text)
{
	bool coloured = render->colour && colour != COLOUR_NONE;

	if (coloured)
		fputs(colour_code(colour), render->out);
	for (; *text; text++)
		fputc(*text >= ' ' && *text < 0x7f ? *text : '?', render->out);
	if (coloured)
		fputs("\033[0m", render->out);
}

/* Three significant digits are what a person compares. */
const char *render_duration(int64_t us, char *text, size_t size)
{
	if (us < 0)
		snprintf(text, size, "-");
	else if (us < 1000)
		snprintf(text, size, "%lld us", (long long)us);
	else if (us < 100 * 1000)
		snprintf(text, size, "%.1f ms", (double)us / 1e3);
	else if (us < 1000 * 1000)
		snprintf(text, size, "%.0f ms", (double)us / 1e3);
	else
		snprintf(text, size, "%.2f s", (double)us / 1e6);
	return text;
}

/* One unit only: nobody acts on the minutes of three days. */
const char *render_age(int64_t s, char *text, size_t size)
{
	if (s < 0)
		s = 0;
	if (s < 120)
		snprintf(text, size, "%lld s", (long long)s);
	else if (s < 120 * 60)
		snprintf(text, size, "%lld min", (long long)(s / 60));
	else if (s < 48 * 3600)
		snprintf(text, size, "%lld h", (long long)(s / 3600));
	else
		snprintf(text, size, "%lld d", (long long)(s / 86400));
	return text;
}

/* Decimal units, as ip(8) and interface speeds have them. */
const char *render_bytes(int64_t bytes, char *text, size_t size)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
	double value = (double)bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(text, size, "%lld B", (long long)bytes);
		return text;
	}
	for (value /= 1000; value >= 999.95 && unit + 1 < sizeof units / sizeof *units; unit++)
		value /= 1000;
	snprintf(text, size, "%.1f %s", value, units[unit]);
	return text;
}

/* "2026-01-02T03:04:05.678901Z"; other offsets are read too. */
bool render_instant(const char *text, int64_t *ret_s, unsigned *ret_us)
{
	struct tm tm = {0};
	const char *at = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	unsigned us = 0, scale = 100000;
	int hours, minutes;
	int64_t offset = 0;

	if (!at)
		return false;
	if (*at == '.')
		for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10)
			us += (unsigned)(*at - '0') * scale;
	if ((*at == '+' || *at == '-') && sscanf(at + 1, "%2d:%2d", &hours, &minutes) == 2)
		offset = (*at == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
	else if (*at != 'Z' && *at != 'z')
		return false;
	*ret_s = (int64_t)timegm(&tm) - offset;
	*ret_us = us;
	return true;
}

/* Cells are allocated as they come. */
void render_table_init(struct render_table *table, size_t columns)
{
	*table = (struct render_table){.columns = columns};
}

/* Grows by doubling; a status of 256 peers is 2,500 cells. */
void render_table_add(struct render_table *table, enum render_colour colour, const char *text)
{
	struct render_cell *cell;

	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells = reallocarray(table->cells, table->room, sizeof *table->cells);
		if (!table->cells)
			abort();
	}
	cell = &table->cells[table->count++];
	cell->colour = colour;
	render_clean(text && *text ? text : "-", cell->text, sizeof cell->text);
}

static void print_line(const struct render_table *table, size_t row, const size_t *widths, const struct render *render,
		       const char *indent)
{
	fputs(indent, render->out);
	for (size_t column = 0; column < table->columns; column++) {
		const struct render_cell *cell = &table->cells[row * table->columns + column];

		render_print(render, cell->colour, cell->text);
		if (column + 1 < table->columns)
			fprintf(render->out, "%*s", (int)(widths[column] - strlen(cell->text) + 2), "");
	}
	fputc('\n', render->out);
}

/* Colour codes are outside the padding, so that widths are the same with and without. */
void render_table_finish(struct render_table *table, const struct render *render, const char *indent)
{
	size_t widths[RENDER_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < table->count; i++) {
		size_t width = strlen(table->cells[i].text);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t row = 0; row < table->count / table->columns; row++)
		print_line(table, row, widths, render, indent);
	free(table->cells);
	*table = (struct render_table){0};
}
