#include "cli/method_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the runs left ---- */

typedef struct {
    ae_prompt_results before, after; /* before.n is 0 or after.n */
} run_results;

static void free_results(run_results *r, size_t n) {
    for (size_t i = 0; r && i < n; i++) {
        ae_prompt_results_free(&r[i].before);
        ae_prompt_results_free(&r[i].after);
    }
    free(r);
}

/* The last evaluation after step 0 that has lines. */
static ae_status read_after(ae_prompt_results *after, const ae_run_curves *run) {
    const ae_curve *kl = ae_curve_list_find(&run->evaluations, "eval_kl");
    ae_status st = AE_OK;
    for (size_t i = kl ? kl->n : 0; st == AE_OK && after->n == 0 && i-- > 0 && kl->points[i].x > 0;)
        st = ae_prompt_results_read(after, run->folder, (int64_t)kl->points[i].x);
    return st;
}

/* Other prompts than after cannot be compared. */
static ae_status read_results(run_results *r, const ae_run_curves *run) {
    if (run->stage.kind != AE_STAGE_RLHF) return AE_OK;
    ae_status st = read_after(&r->after, run);
    if (st == AE_OK) st = ae_prompt_results_read(&r->before, run->folder, 0);
    if (st == AE_OK && r->before.n != r->after.n) ae_prompt_results_free(&r->before);
    return st;
}

/* ---- figures of a resample ---- */

typedef struct {
    const run_results **runs;
} sample;

typedef struct {
    double sum, squares, n;
} moments;

static void take(moments *m, double x) {
    if (isnan(x)) return;
    m->sum += x;
    m->squares += x * x;
    m->n++;
}

static double mean_of(const moments *m) {
    return m->n > 0 ? m->sum / m->n : (double)NAN;
}

static double deviation_of(const moments *m) {
    const double mean = mean_of(m);
    return sqrt(fmax(0, m->squares / m->n - mean * mean));
}

static void gather(moments *m, moments *start, const run_results *run, const ptrdiff_t *prompts,
                   ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const ae_prompt_result *after = &run->after.items[prompts[i]];
        take(&m[AE_METHOD_AFTER], after->reward);
        take(&m[AE_METHOD_KL], after->kl);
        take(&m[AE_METHOD_LENGTH], after->tokens);
        take(&m[AE_METHOD_TRUNCATED], after->truncated);
        if (run->before.n > 0) take(start, run->before.items[prompts[i]].reward);
    }
}

/* One more than the figures: the deviation of the start. */
static void figures_of(double *out, const ae_resample *r, const void *data) {
    const sample *s = data;
    moments m[AE_METHOD_FIGURES] = {{0, 0, 0}}, start = {0, 0, 0};
    for (ptrdiff_t i = 0; i < r->n_runs; i++) gather(m, &start, s->runs[r->runs[i]], r->units, r->n_units);
    for (int k = 0; k < AE_METHOD_FIGURES; k++) out[k] = mean_of(&m[k]);
    out[AE_METHOD_BEFORE] = mean_of(&start);
    out[AE_METHOD_FIGURES] = deviation_of(&start);
    out[AE_METHOD_GAIN] = (out[AE_METHOD_AFTER] - out[AE_METHOD_BEFORE]) / out[AE_METHOD_FIGURES];
}

/* From the first point to the last: of best_of_n n = 1 and N, of WARP the start and the last merge. */
static void take_tradeoff(ae_method_row *row, const ae_tradeoff *t) {
    const double unknown = (double)NAN;
    const ae_tradeoff_point *first = t->points, *last = t->points + t->n - 1;
    row->prompts = t->answered;
    row->start_std = first->reward_std;
    row->figures[AE_METHOD_BEFORE] = (ae_estimate){first->reward, first->low, first->high};
    row->figures[AE_METHOD_AFTER] = (ae_estimate){last->reward, last->low, last->high};
    row->figures[AE_METHOD_GAIN] =
        (ae_estimate){(last->reward - first->reward) / first->reward_std, unknown, unknown};
    row->figures[AE_METHOD_KL] = (ae_estimate){last->kl, unknown, unknown};
    row->figures[AE_METHOD_LENGTH] = (ae_estimate){last->length, unknown, unknown};
    row->figures[AE_METHOD_TRUNCATED] = (ae_estimate){last->truncated, unknown, unknown};
}

static ae_status estimate(ae_method_row *row, const run_results *results) {
    ae_estimate found[AE_METHOD_FIGURES + 1];
    const double unknown = (double)NAN;
    for (int k = 0; k <= AE_METHOD_FIGURES; k++) found[k] = (ae_estimate){unknown, unknown, unknown};
    const run_results **list = calloc(row->n, sizeof *list);
    if (!list) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    for (size_t i = 0; i < row->n; i++) list[i] = &results[row->runs[i]];
    const sample s = {list};
    const ae_bootstrap_job job = {.units = (ptrdiff_t)row->prompts,
                                  .runs = (ptrdiff_t)row->n,
                                  .statistics = AE_METHOD_FIGURES + 1,
                                  .of = figures_of,
                                  .data = &s};
    const ae_status st = row->prompts > 0 ? ae_bootstrap(found, &job) : AE_OK;
    memcpy(row->figures, found, sizeof row->figures);
    row->start_std = found[AE_METHOD_FIGURES].value;
    free((void *)list);
    return st;
}

/* ---- rows ---- */

/* Not where a run of the row has the seed already. */
static bool belongs(const ae_method_row *row, const ae_run_curves *runs, const run_results *results,
                    size_t run) {
    const ae_run_stage *a = &runs[row->runs[0]].stage, *b = &runs[run].stage;
    if (!a->others || !b->others || strcmp(a->others, b->others) != 0) return false;
    if (results[row->runs[0]].before.n != results[run].before.n || row->prompts != results[run].after.n)
        return false;
    for (size_t i = 0; i < row->n; i++)
        if (runs[row->runs[i]].stage.seed == b->seed) return false;
    return true;
}

static ae_status add_run(ae_method_table *t, const ae_run_curves *runs, const run_results *results,
                         size_t n_runs, size_t run) {
    ae_method_row *row = t->rows;
    while (row < t->rows + t->n && !belongs(row, runs, results, run)) row++;
    if (row == t->rows + t->n) {
        *row = (ae_method_row){.prompts = results[run].after.n, .runs = calloc(n_runs, sizeof *row->runs)};
        if (!row->runs) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
        t->n++;
    }
    row->runs[row->n++] = run;
    return AE_OK;
}

static ae_status label(ae_method_table *t, ae_method_row *row, const ae_run_curves *runs) {
    const char *method = runs[row->runs[0]].stage.method;
    size_t same = 0;
    for (size_t i = 0; i < t->n; i++) same += strcmp(runs[t->rows[i].runs[0]].stage.method, method) == 0;
    const bool alone = same == 1;
    if (asprintf(&row->label, "%s%s%s", method, alone ? "" : ": ", alone ? "" : runs[row->runs[0]].name) >= 0)
        return AE_OK;
    row->label = NULL;
    return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
}

static bool lies_in(const ae_run_curves *run, const ae_run_curves *folder) {
    const char *outer = folder->folder, *inner = run->folder;
    size_t n = strlen(outer);
    while (n > 0 && outer[n - 1] == '/') n--;
    return strncmp(inner, outer, n) == 0 && inner[n] == '/' && inner[n + 1];
}

size_t ae_method_table_owner(const ae_run_curves *runs, size_t n, size_t run) {
    for (size_t i = 0; i < n; i++)
        if (i != run && runs[i].tradeoff.n > 0 && lies_in(&runs[run], &runs[i])) return i;
    return run;
}

ae_status ae_method_table_make(ae_method_table *t, const ae_run_curves *runs, size_t n) {
    run_results *results = calloc(n, sizeof *results);
    ae_status st = AE_OK;
    *t = (ae_method_table){.rows = calloc(n, sizeof *t->rows)};
    if (!results || !t->rows) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory"));
    for (size_t i = 0; i < n; i++) {
        if (runs[i].stage.kind != AE_STAGE_RLHF || ae_method_table_owner(runs, n, i) != i) continue;
        AE_TRY(read_results(&results[i], &runs[i]));
        AE_TRY(add_run(t, runs, results, n, i));
    }
    for (size_t i = 0; i < t->n; i++) {
        AE_TRY(label(t, &t->rows[i], runs));
        AE_TRY(estimate(&t->rows[i], results));
        const ae_tradeoff *tradeoff = &runs[t->rows[i].runs[0]].tradeoff;
        if (tradeoff->n > 0) take_tradeoff(&t->rows[i], tradeoff);
    }
out:
    free_results(results, n);
    if (st != AE_OK) ae_method_table_free(t);
    return st;
}

void ae_method_table_free(ae_method_table *t) {
    for (size_t i = 0; i < t->n; i++) {
        free(t->rows[i].label);
        free(t->rows[i].runs);
    }
    free(t->rows);
    *t = (ae_method_table){0};
}

const ae_method_row *ae_method_table_row_of(const ae_method_table *t, size_t run) {
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->rows[i].n; k++)
            if (t->rows[i].runs[k] == run) return &t->rows[i];
    return NULL;
}
