/* render_document.h: the documents of the control socket as a person reads them. Missing or odd members show as "-":
 * what another version sends never breaks this one. */
#pragma once

#include <jansson.h>

#include "cmd/render_text.h"

void render_status(const struct render *render, const json_t *document);
/* One answer or timeout; the summary is render_ping_summary. */
void render_ping(const struct render *render, const json_t *document);
void render_ping_summary(const struct render *render, const char *name, const json_t *summary);
void render_why(const struct render *render, const json_t *document);
void render_event(const struct render *render, const json_t *event);
void render_handover(const struct render *render, const json_t *document);
void render_nodes(const struct render *render, const json_t *document);

/* "" when absent or not a string. */
const char *document_text(const json_t *object, const char *key);
/* -1 when absent or not an integer. */
int64_t document_integer(const json_t *object, const char *key);
