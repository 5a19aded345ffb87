#ifndef AE_DATA_DIALOGUE_H
#define AE_DATA_DIALOGUE_H
#include "core/json.h"
#include "data/kind.h"

#include <stdbool.h>
#include <stddef.h>

/* Dialogues, pairs and prompts from rows of JSON (docs/interfaces.md, "Dialogues, pairs and prompts").
 * Nothing here knows of tokens: data/render.h makes them.
 *
 * A fault is AE_ERR_INPUT, one line: "where: field: expected ..., found ...". */

typedef enum { AE_ROLE_SYSTEM, AE_ROLE_USER, AE_ROLE_MODEL } ae_role;
const char *ae_role_name(ae_role role); /* "system", "user", "model" */

typedef struct {
    ae_role role;
    bool counts; /* of an answer: whether it is learnt from (weight 1) */
    char *text;  /* UTF-8 without white space at its ends, and a NUL after it; it may hold NULs */
    size_t n;
} ae_message;

/* At most one system message, first; then user and model in turn, the user first. {0} is the empty one. */
typedef struct {
    ae_message *items;
    ptrdiff_t n, capacity;
} ae_dialogue;
void ae_dialogue_free(ae_dialogue *d);

/* Takes a copy of the text without white space at its ends. AE_ERR_INPUT for a role out of turn and for a
 * turn without text. An empty system message is passed over. */
ae_status ae_dialogue_add(ae_dialogue *d, ae_role role, bool counts, const char *text, size_t n,
                          const char *where);
/* Messages up to and with the last answer, 0 without one. */
ptrdiff_t ae_dialogue_answered(const ae_dialogue *d);

/* ---- rows ---- */

/* Every field that a row may have. */
typedef enum {
    AE_RECORD_TOKENS,
    AE_RECORD_LOSS_MASK,
    AE_RECORD_MESSAGES,
    AE_RECORD_CONVERSATIONS,
    AE_RECORD_PROMPT,
    AE_RECORD_COMPLETION,
    AE_RECORD_INSTRUCTION,
    AE_RECORD_INPUT,
    AE_RECORD_OUTPUT,
    AE_RECORD_INSTANCES,
    AE_RECORD_TEXT,
    AE_RECORD_CHOSEN,
    AE_RECORD_REJECTED,
    AE_RECORD_MARGIN,
    AE_RECORD_META,
    AE_RECORD_PROMPT_TOKENS,
    AE_RECORD_CHOSEN_TOKENS,
    AE_RECORD_REJECTED_TOKENS,
    AE_RECORD_SYSTEM,
    AE_RECORD_KEYS
} ae_record_key;

/* The keys under which a file has the fields: their own names unless a mapping says otherwise. */
typedef struct {
    const char *keys[AE_RECORD_KEYS];
    bool mapped[AE_RECORD_KEYS];
    char *text; /* after the mapped keys */
} ae_record_map;
/* `mapping`: "prompt=question,completion=answer", FIELD=KEY; NULL: none. AE_ERR_USAGE for an unknown
 * field. */
ae_status ae_record_map_init(ae_record_map *m, const char *mapping);
/* AE_ERR_USAGE where a field is mapped that rows of this kind do not have. */
ae_status ae_record_map_check(const ae_record_map *m, ae_data_kind kind);
void ae_record_map_free(ae_record_map *m);

/* The keys that rows of this kind may have, as the file names them; how many. */
size_t ae_record_keys_of(ae_data_kind kind, const ae_record_map *m, const char *keys[AE_RECORD_KEYS]);
/* The fields of one line that rows of this kind may have; the caller drops the object. Other fields are
 * not looked at (data/json_line.h). */
ae_status ae_record_read(json_t **row, ae_data_kind kind, const ae_record_map *m, const char *line, size_t n,
                         const char *where);
/* The value of a field; NULL where it is absent or null. */
const json_t *ae_record_get(const json_t *row, const ae_record_map *m, ae_record_key field);
/* Whether the row gives token ids instead of text. */
bool ae_record_has_tokens(const json_t *row, const ae_record_map *m, ae_data_kind kind);

/* A dialogue with at least one answer. It may end with a turn of the user, which nothing answers. Several
 * layouts are known; that of a mapped field is taken, else the first that the row has of: messages,
 * conversations, prompt and completion, instruction and output, text. */
ae_status ae_chat_parse(ae_dialogue *d, const json_t *row, const ae_record_map *m, const char *where);

/* Two dialogues that are alike but for the last turn, an answer. */
typedef struct {
    ae_dialogue chosen, rejected;
    bool has_margin;
    double margin;
} ae_pair;
ae_status ae_pair_parse(ae_pair *p, const json_t *row, const ae_record_map *m, const char *where);
void ae_pair_free(ae_pair *p);
/* The margin alone, of rows in token ids too; *margin stays where the row gives none. */
ae_status ae_pair_margin(const json_t *row, const ae_record_map *m, const char *where, bool *given,
                         double *margin);

/* A dialogue that ends with a turn of the user. */
ae_status ae_prompt_parse(ae_dialogue *d, const json_t *row, const ae_record_map *m, const char *where);

#endif
