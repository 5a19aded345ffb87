#ifndef AE_BENCHMARK_DOCUMENTS_PARTS_H
#define AE_BENCHMARK_DOCUMENTS_PARTS_H
#include "benchmark/task_parts.h"

/* Between the files of this folder only. */

/* Rows for which `where` of their source holds. */
typedef struct {
    ae_rows rows;
    size_t *kept; /* places in rows.list */
    size_t n;
} ae_kept_rows;

struct ae_task_documents {
    const ae_task *task;
    json_t *more; /* what templates may name beside the row: part */
    ae_kept_rows documents, pool;
    ptrdiff_t n; /* of documents, after `limit` */
    int shots;
    size_t *drawn; /* [n, shots]: places in the pool */
};

/* Reads a source below `data`; `what` is for messages. */
ae_status ae_kept_rows_read(ae_kept_rows *k, const ae_task_source *s, const ae_task *task, const json_t *more,
                            const char *data, const char *what);
void ae_kept_rows_free(ae_kept_rows *k);
json_t *ae_kept_row(const ae_kept_rows *k, size_t i);

/* The row of an example by its place in the pool. */
json_t *ae_task_documents_example(const ae_task_documents *d, size_t i);
/* Few-shot examples for each document. */
ae_status ae_task_documents_draw(ae_task_documents *d, uint32_t seed);

#endif
