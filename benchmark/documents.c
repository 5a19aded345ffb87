#include "benchmark/documents_parts.h"
#include "benchmark/python_random.h"
#include "core/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ae_status no_memory(const ae_task_documents *d) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", d->task->file);
}

ptrdiff_t ae_task_documents_all(const ae_task_documents *d) {
    return (ptrdiff_t)d->documents.n;
}

ptrdiff_t ae_task_documents_count(const ae_task_documents *d) {
    return d->n;
}

const char *ae_task_documents_path(const ae_task_documents *d) {
    return d->documents.rows.files[0];
}

void ae_task_documents_where(char *where, size_t n, const ae_task_documents *d, ptrdiff_t i) {
    ae_rows_where(where, n, &d->documents.rows, d->documents.kept[i]);
}

int ae_task_documents_shots(const ae_task_documents *d) {
    return d->shots;
}

void ae_task_documents_close(ae_task_documents *d) {
    if (d == NULL) return;
    ae_kept_rows_free(&d->documents);
    ae_kept_rows_free(&d->pool);
    json_decref(d->more);
    free(d->drawn);
    free(d);
}

static size_t pool_size(const ae_task_documents *d) {
    const struct ae_task_text *t = d->task->text;
    return t->examples != NULL    ? json_array_size(t->examples)
           : t->shots.n_files > 0 ? d->pool.n
                                  : d->documents.n;
}

json_t *ae_task_documents_example(const ae_task_documents *d, size_t i) {
    const struct ae_task_text *t = d->task->text;
    if (t->examples != NULL) return json_array_get(t->examples, i);
    return ae_kept_row(t->shots.n_files > 0 ? &d->pool : &d->documents, i);
}

static ae_status too_few(const ae_task_documents *d, size_t wanted) {
    const struct ae_task_text *t = d->task->text;
    const char *file = t->examples != NULL    ? d->task->file
                       : t->shots.n_files > 0 ? d->pool.rows.files[0]
                                              : d->documents.rows.files[0];
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %zu rows for %d few-shot examples of %s%s, found %zu", file,
                   wanted, d->shots, d->task->name,
                   wanted > (size_t)d->shots ? " and the document itself" : "", pool_size(d));
}

/* The first rows that are not the document itself. */
static ae_status take_first(const ae_task_documents *d, const json_t *own, size_t *places) {
    const size_t n = pool_size(d), k = (size_t)d->shots;
    size_t found = 0;
    for (size_t i = 0; i < n && found < k; i++)
        if (own == NULL || !json_equal(ae_task_documents_example(d, i), own)) places[found++] = i;
    return found == k ? AE_OK : too_few(d, own != NULL ? k + 1 : k);
}

/* What lm-eval does: with the document to leave out, one more is drawn. Where more than one of those equals it, the draw
 * is made anew from the others. */
static ae_status draw_others(const ae_task_documents *d, ae_python_random *r, const json_t *own,
                             size_t *places, size_t *scratch) {
    const size_t n = pool_size(d), k = (size_t)d->shots;
    size_t *others = scratch + n, kept = 0, found = 0;
    size_t *drawn = others + n;
    if (n < k + 1) return too_few(d, k + 1);
    ae_python_random_sample(r, n, k + 1, drawn, scratch);
    for (size_t i = 0; i <= k && found < k; i++)
        if (!json_equal(ae_task_documents_example(d, drawn[i]), own)) places[found++] = drawn[i];
    if (found == k) return AE_OK;
    for (size_t i = 0; i < n; i++)
        if (!json_equal(ae_task_documents_example(d, i), own)) others[kept++] = i;
    if (kept < k) return too_few(d, k + 1);
    ae_python_random_sample(r, kept, k, drawn, scratch);
    for (size_t i = 0; i < k; i++) places[i] = others[drawn[i]];
    return AE_OK;
}

static ae_status draw_one(const ae_task_documents *d, ae_python_random *r, ptrdiff_t i, size_t *places,
                          size_t *scratch) {
    const struct ae_task_text *t = d->task->text;
    const size_t k = (size_t)d->shots;
    const bool from_rows = t->examples == NULL && t->shots.n_files == 0;
    const json_t *own = t->leave_out_self || from_rows ? ae_kept_row(&d->documents, (size_t)i) : NULL;
    if (t->pick == AE_SHOTS_FIRST) return take_first(d, own, places);
    if (own != NULL) return draw_others(d, r, own, places, scratch);
    if (pool_size(d) < k) return too_few(d, k);
    ae_python_random_sample(r, pool_size(d), k, places, scratch);
    return AE_OK;
}

/* One sequence of random numbers goes through the documents in their order. */
ae_status ae_task_documents_draw(ae_task_documents *d, uint32_t seed) {
    ae_python_random r;
    const size_t k = (size_t)d->shots;
    if (k == 0) return AE_OK;
    size_t *scratch = calloc(3 * pool_size(d) + k + 2, sizeof *scratch);
    d->drawn = calloc((size_t)d->n * k + 1, sizeof *d->drawn);
    ae_status st = scratch != NULL && d->drawn != NULL ? AE_OK : no_memory(d);
    ae_python_random_seed(&r, seed);
    for (ptrdiff_t i = 0; i < d->n && st == AE_OK; i++)
        st = draw_one(d, &r, i, d->drawn + (size_t)i * k, scratch);
    free(scratch);
    return st;
}

static ae_status read_all(ae_task_documents *d, const char *data, const ae_task_options *o) {
    const struct ae_task_text *t = d->task->text;
    ae_status st;
    d->shots = o->shots < 0 ? d->task->shots : o->shots;
    d->more = json_pack("{s:s}", "part", d->task->part);
    if (d->more == NULL) return no_memory(d);
    AE_TRY(ae_kept_rows_read(&d->documents, &t->rows, d->task, d->more, data, "rows"));
    d->n = (ptrdiff_t)d->documents.n;
    if (o->limit >= 0 && o->limit < d->n) d->n = o->limit;
    if (d->shots > 0 && t->shots.n_files > 0)
        AE_TRY(ae_kept_rows_read(&d->pool, &t->shots, d->task, d->more, data, "rows of few-shot examples"));
    st = ae_task_documents_draw(d, o->seed);
out:
    return st;
}

ae_status ae_task_documents_open(ae_task_documents **documents, const ae_task *leaf, const char *data,
                                 const ae_task_options *options) {
    ae_task_documents *d = *documents = calloc(1, sizeof *d);
    if (d == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", data);
    d->task = leaf;
    ae_status st = read_all(d, data, options);
    if (st == AE_OK) return AE_OK;
    ae_task_documents_close(d);
    *documents = NULL;
    return st;
}
