#ifndef AE_BENCHMARK_RUN_PARTS_H
#define AE_BENCHMARK_RUN_PARTS_H
#include "benchmark/run.h"

/* Between the files of a run only. */

typedef struct {
    const ae_task *task;
    ae_task_documents *documents;
    ptrdiff_t n;
    ptrdiff_t
        *first; /* [n + 1]: of choice and rolling the first of the document's pairs, of generate its prompt */
    ptrdiff_t *choices; /* [n], of choice: pairs without those of the continuations alone */
    int64_t unanswered, ended,
        written; /* answers that are missing, those of this process, and their tokens */
} ae_run_leaf;

/* A context with its continuation, and how likely that was found. */
typedef struct {
    ae_encoded at;
    bool done;
} ae_run_pair;

typedef struct {
    ae_encoded at;
    size_t leaf;
    ptrdiff_t document;
    ptrdiff_t answers; /* the first of its repeats */
    ptrdiff_t repeats; /* 0: it is not asked, as its text is too short to be recalled */
} ae_run_prompt;

struct ae_evaluation {
    ae_evaluation_options options;
    ae_run_leaf *leaves;
    size_t n_leaves;
    ae_ids ids; /* of all requests */
    ae_run_pair *pairs;
    ae_likelihood *found; /* [n_pairs] */
    ptrdiff_t n_pairs, pairs_room;
    ae_run_prompt *prompts;
    ptrdiff_t n_prompts, prompts_room;
    char **answers; /* [n_answers], NULL until they are there */
    ptrdiff_t n_answers;
    ae_journal *journal;
    int64_t done, done_before; /* pairs and answers; those that the journal had */
    ae_evaluation_counts counts;
    int64_t worked, unread; /* tokens of this process; those of pairs and prompts that are not read */
    int64_t growing, growing_tokens; /* answers that are being written */
};

/* Tells how far the run is. */
void ae_run_tell(const ae_evaluation *e);

/* One more is done: told, and kept. */
ae_status ae_run_keep_pair(ae_evaluation *e, ptrdiff_t pair, const ae_likelihood *l);
ae_status ae_run_keep_answer(ae_evaluation *e, ptrdiff_t answer, const char *text, size_t n);

/* Asks for what is not done: pairs, then answers. */
ae_status ae_run_pairs(ae_evaluation *e);
ae_status ae_run_prompts(ae_evaluation *e);

#endif
