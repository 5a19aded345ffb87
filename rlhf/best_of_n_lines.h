#ifndef AE_RLHF_BEST_OF_N_LINES_H
#define AE_RLHF_BEST_OF_N_LINES_H
#include "data/tokenizer.h"
#include "rlhf/answers.h"

#include <jansson.h>

/* Lines of answers.jsonl, one a prompt: its answers, the best first, and the row of chat that the best one is.
 *
 *   {"prompt": TEXT, "answer": TEXT, "reward": x, "all": [x, ...], "answers": [TEXT, ...], "tokens": [n, ...],
 *    "truncated": [false, ...], "row": {"messages": [...]}}
 *
 * Texts are null without a tokenizer, rewards where there is none. "row" is null where the best answer did not end or
 * has no text; a prompt without turns, or without a tokenizer, gives a row of token ids. */

/* The line of n answers to one prompt. `rewards` [n]: NaN where there is none. The caller releases *line. */
ae_status ae_best_of_n_line(json_t **line, const ae_tokenizer *t, const ae_written *answers,
                            const double *rewards, ptrdiff_t n);

/* Whole lines of the file, and where the last of them ends; both 0 where there is no file. */
ae_status ae_best_of_n_count_lines(const char *path, int64_t *lines, int64_t *end);

/* What all lines say: of each prompt whose N answers have a reward those, upwards. */
typedef struct {
    double *sorted; /* [prompts, N] */
    ptrdiff_t prompts;
    int64_t left_out, rows; /* prompts without all rewards; rows written */
} ae_best_of_n_rewards;

/* Reads them, and writes the rows of the best answers to `rows` on the way. AE_ERR_INPUT for a line that is none of
 * these. The caller frees `sorted`. */
ae_status ae_best_of_n_read(ae_best_of_n_rewards *r, const char *path, int64_t N, const char *rows);

#endif
