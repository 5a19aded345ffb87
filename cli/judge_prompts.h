#ifndef AE_CLI_JUDGE_PROMPTS_H
#define AE_CLI_JUDGE_PROMPTS_H
#include "core/json.h"

#include <stdbool.h>
#include <stddef.h>

/* The prompts of a study, and answers that were given elsewhere. */

typedef struct {
    json_t *items;  /* list of {"id", "prompt", "answers": [text or null, in the order of `models`]} */
    json_t *by_id;  /* id -> item */
    json_t *models; /* names of those whose answers the rows have */
} ae_judge_prompts;

/* Rows {"prompt": text or messages} or {"messages"}, with "id"? (else the number of the line) and "completions"?:
 * [{"model", "completion"}], of the same or of different models.
 * Rows of one id and one prompt, each with other completions, are one item. `limit` rows at most; 0: all. AE_ERR_INPUT "F:LINE: ..." */
ae_status ae_judge_prompts_read(ae_judge_prompts *p, const char *path, ptrdiff_t limit);
void ae_judge_prompts_free(ae_judge_prompts *p);

/* Adds an answer to each item: from rows {"answer" | "completion" | "text": s, "id"?, "prompt"?}, in the order of the
 * items, or by "id" where the rows have it. With `limit` the file may go on after the last item. */
ae_status ae_judge_answers_read(const ae_judge_prompts *p, const char *path, bool limited);

#endif
