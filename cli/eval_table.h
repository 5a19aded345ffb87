#ifndef AE_CLI_EVAL_TABLE_H
#define AE_CLI_EVAL_TABLE_H
#include "benchmark/result_folder.h"
#include "eval/bootstrap.h"

#include <stdbool.h>

/* Folders of results side by side: a row for each metric of a task, a cell for each folder. */
typedef struct {
    const char *task, *alias; /* borrowed from the folders, as are metric and filter where they are kept */
    char *metric, *filter;
    const char *top;        /* the task itself, or the outermost group that has it */
    bool is_group, is_main; /* main: the one metric that stands for the task */
    bool higher_is_better;
    int shots;      /* -1: not known */
    ptrdiff_t rows; /* of the first folder that has it */
    /* [folders]: values with intervals of 95 %, of shares of right answers those of Wilson (1927), of others value -+
     * 1.96 standard errors; NaN where a folder has none */
    ae_estimate *cells;
} ae_eval_row;

typedef struct {
    const ae_result_folder *folders; /* borrowed */
    size_t n_folders;
    ae_eval_row *rows; /* [n]: groups before their parts */
    size_t n, room;
} ae_eval_table;

ae_status ae_eval_table_make(ae_eval_table *t, const ae_result_folder *folders, size_t n);
void ae_eval_table_free(ae_eval_table *t);

/* How a folder is called beside the others: the last part of its name, all of it where two end alike. */
const char *ae_eval_folder_label(const ae_result_folder *folders, size_t n, size_t i);

#endif
