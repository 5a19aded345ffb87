#ifndef AE_CLI_METHOD_TABLE_H
#define AE_CLI_METHOD_TABLE_H
#include "cli/plot.h"
#include "cli/prompt_results.h"
#include "eval/bootstrap.h"

#include <jansson.h>

/* What each method of rlhf made of the held-out prompts: the answers to them before the first update and at the last
 * evaluation (cli/prompt_results.h). */

typedef enum {
    AE_METHOD_BEFORE, /* mean reward of the start */
    AE_METHOD_AFTER,
    AE_METHOD_GAIN,      /* (after - before) / standard deviation of the start's rewards */
    AE_METHOD_KL,        /* from the reference, nats an answer */
    AE_METHOD_LENGTH,    /* tokens an answer */
    AE_METHOD_TRUNCATED, /* share of the answers */
    AE_METHOD_FIGURES
} ae_method_figure;

/* The name of a figure in JSON and its heading. */
typedef struct {
    const char *name, *heading;
    int digits;
} ae_method_column;
extern const ae_method_column ae_method_columns[AE_METHOD_FIGURES];

/* A row: runs that differ in section `run` alone, each with a seed of its own. */
typedef struct {
    char *label;                            /* "grpo"; where several rows have the method, "grpo: NAME" */
    size_t *runs;                           /* [n] numbers in the list */
    size_t n;                               /* */
    size_t prompts;                         /* answered by each; 0: no evaluation has lines */
    double start_std;                       /* standard deviation of the start's rewards */
    ae_estimate figures[AE_METHOD_FIGURES]; /* NaN: not known */
} ae_method_row;

typedef struct {
    ae_method_row *rows;
    size_t n;
} ae_method_table;

/* The folder in the list that a run lies in, which has a tradeoff of its own (WARP); `run` itself: none has it. */
size_t ae_method_table_owner(const ae_run_curves *runs, size_t n, size_t run);

/* Of the runs of rlhf in the list, in its order; n is 0 where there are none. A folder stands for the runs in it. */
ae_status ae_method_table_make(ae_method_table *t, const ae_run_curves *runs, size_t n);
void ae_method_table_free(ae_method_table *t);
/* The row that a run is in; NULL: none. */
const ae_method_row *ae_method_table_row_of(const ae_method_table *t, size_t run);

/* {"rows": [{"method", "runs", "seeds", "prompts", "start_std", "before": {"value", "low", "high"}, ...}], ...}; NULL
 * without memory. */
json_t *ae_method_table_json(const ae_method_table *t, const ae_run_curves *runs);
/* The same for people: a line a row. */
void ae_method_table_print(FILE *f, const ae_method_table *t);
void ae_method_table_html(FILE *f, const ae_method_table *t);

#endif
