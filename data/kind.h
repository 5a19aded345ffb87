#ifndef AE_DATA_KIND_H
#define AE_DATA_KIND_H
#include "core/status.h"

/* What the documents of a token set are, and the rows of a file of JSON lines (docs/interfaces.md,
 * "Dialogues, pairs and prompts"). */
typedef enum { AE_KIND_TEXT, AE_KIND_CHAT, AE_KIND_PAIRS, AE_KIND_PROMPTS } ae_data_kind;

const char *ae_data_kind_name(ae_data_kind kind); /* "text", "chat", "pairs", "prompts" */
/* The kind that a flag names, of rows only: AE_ERR_USAGE for another word. */
ae_status ae_data_kind_parse(const char *name, ae_data_kind *kind);

#endif
