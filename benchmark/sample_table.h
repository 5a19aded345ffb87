#ifndef AE_BENCHMARK_SAMPLE_TABLE_H
#define AE_BENCHMARK_SAMPLE_TABLE_H
#include "benchmark/result_folder.h"
#include "benchmark/scoring.h"

/* What the samples of a task say, a column for each of its metrics and filters. */

/* A row of the benchmark. It is the same one where its document is, or prompt and target are, or all that the model was
 * asked: lm-eval hashes documents after its own changes, and says of some targets where others say the text. */
enum { AE_ROW_HASH_BYTES = 65 };
typedef struct {
    json_int_t number;
    char document[AE_ROW_HASH_BYTES], prompt[AE_ROW_HASH_BYTES], target[AE_ROW_HASH_BYTES];
    uint64_t asked; /* 0: the line does not say */
} ae_row_name;

typedef struct {
    ae_column column;
    char *filter;
    ae_row_name *rows;
    ptrdiff_t n, room;
} ae_sample_column;

typedef struct {
    const ae_result_folder *folder;
    const char *task;
    ae_sample_column *items;
    size_t n;
} ae_sample_table;

/* Of a task of the folder. AE_ERR_INPUT: it has no samples, or one that is none. */
ae_status ae_sample_table_read(ae_sample_table *t, const ae_result_folder *f, const char *task);
void ae_sample_table_free(ae_sample_table *t);

/* NULL where there is none. */
ae_sample_column *ae_sample_column_find(const ae_sample_table *t, const char *metric, const char *filter);
/* An empty one, as the configuration of the table's task in its folder describes the metric; *out is NULL where it makes
 * one number of many in a way that is not known here. */
ae_status ae_sample_column_add(ae_sample_column **out, ae_sample_table *t, const char *metric,
                               const char *filter);
/* AE_ERR_INPUT where b, a column of the table `of`, is not of the same rows as a. */
ae_status ae_sample_rows_check(const ae_sample_column *a, const ae_sample_column *b,
                               const ae_sample_table *of);

#endif
