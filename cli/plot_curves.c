#include "cli/plot.h"
#include "core/file.h"
#include "core/json.h"
#include "data/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ae_curve_free(ae_curve *c) {
    free(c->points);
    *c = (ae_curve){0};
}

ae_status ae_curve_add(ae_curve *c, double x, double y) {
    if (c->n == c->capacity) {
        const size_t capacity = c->capacity ? 2 * c->capacity : 256;
        ae_point *grown = realloc(c->points, capacity * sizeof *grown);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
        c->points = grown;
        c->capacity = capacity;
    }
    c->points[c->n++] = (ae_point){x, y};
    return AE_OK;
}

ae_status ae_curve_smooth(ae_curve *out, const ae_curve *in, double span) {
    double mean = 0;
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < in->n; i++) {
        const double early = 1 + (double)i / 10, width = span < early ? span : early;
        mean += (in->points[i].y - mean) / (width > 1 ? width : 1);
        st = ae_curve_add(out, in->points[i].x, mean);
    }
    return st;
}

void ae_curve_thin(ae_curve *c, size_t n) {
    if (c->n <= n) return;
    for (size_t k = 0; k < n; k++) {
        const size_t from = k * c->n / n, to = (k + 1) * c->n / n;
        ae_point mean = {0, 0};
        for (size_t i = from; i < to; i++) {
            mean.x += c->points[i].x;
            mean.y += c->points[i].y;
        }
        c->points[k] = (ae_point){mean.x / (double)(to - from), mean.y / (double)(to - from)};
    }
    c->n = n;
}

/* ---- lists of curves ---- */

const ae_curve *ae_curve_list_find(const ae_curve_list *l, const char *name) {
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].name, name) == 0) return &l->items[i].curve;
    return NULL;
}

static ae_status find_or_add(ae_curve_list *l, const char *name, ae_curve **curve) {
    *curve = (ae_curve *)ae_curve_list_find(l, name);
    if (*curve) return AE_OK;
    ae_named_curve *grown = realloc(l->items, (l->n + 1) * sizeof *grown);
    if (grown) l->items = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory");
    l->items[l->n] = (ae_named_curve){.name = copy};
    *curve = &l->items[l->n++].curve;
    return AE_OK;
}

static ae_status add_to_list(ae_curve_list *l, const char *name, double x, double y) {
    ae_curve *curve;
    const ae_status st = find_or_add(l, name, &curve);
    return st == AE_OK && isfinite(y) ? ae_curve_add(curve, x, y) : st;
}

static void free_list(ae_curve_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].name);
        ae_curve_free(&l->items[i].curve);
    }
    free(l->items);
    *l = (ae_curve_list){0};
}

/* ---- lines ---- */

static const char *const engine_keys[] = {"step",   "tokens",         "grad_norm",
                                          "lr",     "tokens_per_s",   "flops_fraction",
                                          "step_s", "peak_rss_bytes", "skipped"};

bool ae_plot_is_engine_key(const char *name) {
    for (size_t i = 0; i < sizeof engine_keys / sizeof *engine_keys; i++)
        if (strcmp(engine_keys[i], name) == 0) return true;
    return false;
}

/* Of the engine's keys those that are drawn. */
static bool is_drawn(const char *name) {
    return !ae_plot_is_engine_key(name) || strcmp(name, "grad_norm") == 0 || strcmp(name, "lr") == 0 ||
           strcmp(name, "tokens_per_s") == 0;
}

static double value_of(const json_t *v) {
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static double number_of(const json_t *line, const char *key) {
    return value_of(json_object_get(line, key));
}

/* The number that decides which evaluation is best, "eval_loss", comes first; NULL in the line of a step. */
static const char *score_of(const json_t *line) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)line, key, value) if (strncmp(key, "eval_", 5) == 0) return key;
    return NULL;
}

static ae_status take_evaluation(ae_run_curves *r, const json_t *line, const char *score_name, double step) {
    ae_status st = AE_OK;
    const char *key;
    json_t *value;
    const bool higher = json_is_true(json_object_get(line, "higher_is_better"));
    const double score = number_of(line, score_name);
    if (step > 0 && isfinite(score) && !(higher ? score <= r->best_score : score >= r->best_score)) {
        r->best_score = score;
        r->best_bits = number_of(line, "bits_per_byte");
        r->best_step = (int64_t)step;
    }
    json_object_foreach((json_t *)line, key, value) if (st == AE_OK && strncmp(key, "eval_", 5) == 0) st =
        add_to_list(&r->evaluations, key, step, value_of(value));
    return st;
}

static ae_status take_step(ae_run_curves *r, const json_t *line, double step) {
    ae_status st = AE_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)line, key, value) if (st == AE_OK && is_drawn(key) &&
                                                        (json_is_number(value) || json_is_null(value))) st =
        add_to_list(&r->steps, key, step, value_of(value));
    r->step = (int64_t)step;
    r->skipped += json_is_true(json_object_get(line, "skipped"));
    r->flops_fraction = number_of(line, "flops_fraction");
    r->tokens = json_integer_value(json_object_get(line, "tokens"));
    const int64_t peak = json_integer_value(json_object_get(line, "peak_rss_bytes"));
    if (peak > r->peak_rss_bytes) r->peak_rss_bytes = peak;
    return st;
}

static ae_status take_line(ae_run_curves *r, const char *text, size_t n, const char *where) {
    json_t *line = NULL;
    ae_status st = ae_json_parse(&line, text, n, where);
    if (st != AE_OK) return st;
    const double step = number_of(line, "step");
    const char *score = score_of(line);
    if (!isfinite(step))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected an object with a number \"step\", found none", where);
    else
        st = score ? take_evaluation(r, line, score, step) : take_step(r, line, step);
    json_decref(line);
    return st;
}

static ae_status read_lines(ae_run_curves *r, ae_reader *in) {
    ae_status bad = AE_OK;
    for (;;) {
        char *line = NULL, where[AE_WHERE_BYTES];
        size_t n = 0;
        const ae_status st = ae_reader_line(in, &line, &n);
        if (st != AE_OK) return st;
        if (!line) return AE_OK; /* a bad line before this was the last */
        if (bad != AE_OK) return bad;
        snprintf(where, sizeof where, "%s:%lld", ae_reader_name(in), (long long)ae_reader_line_number(in));
        bad = take_line(r, line, n, where);
    }
}

/* Where the last part of the first n bytes of a path begins. */
static size_t last_part(const char *path, size_t n) {
    while (n > 0 && path[n - 1] != '/') n--;
    return n;
}

/* The last part of a path, without what gnuplot would read as its own and what is no UTF-8, which pictures
 * and reports are in. Of a run of WARP the last two. */
static char *label_of(const char *folder) {
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    size_t from = last_part(folder, n);
    const size_t before = from > 0 ? last_part(folder, from - 1) : from;
    if (strncmp(folder + from, "member-", 7) == 0 && strncmp(folder + before, "round-", 6) == 0)
        from = before;
    char *name = strndup(folder + from, n - from);
    for (char *c = name; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || strchr("\"\\`$'", *c)) *c = '_';
    size_t valid = 0;
    while (name && (valid += ae_utf8_prefix(name + valid, strlen(name + valid)), name[valid]))
        name[valid] = '_';
    return name;
}

/* A number of the objective, in a step or an evaluation. */
static bool tells_anything(const ae_run_curves *r) {
    size_t points = 0;
    for (size_t i = 0; i < r->steps.n; i++)
        if (!ae_plot_is_engine_key(r->steps.items[i].name)) points += r->steps.items[i].curve.n;
    for (size_t i = 0; i < r->evaluations.n; i++) points += r->evaluations.items[i].curve.n;
    return points > 0;
}

ae_status ae_run_curves_read(ae_run_curves *r, const char *folder) {
    const double unknown = (double)NAN;
    ae_reader *in = NULL;
    char *path = ae_path_join(folder, "metrics.jsonl");
    ae_status st;
    *r = (ae_run_curves){
        .folder = folder, .best_score = unknown, .best_bits = unknown, .flops_fraction = unknown};
    r->name = label_of(folder);
    if (!r->name) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory"));
    if (!ae_path_is_folder(folder))
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: expected the folder of a run, found none", folder));
    AE_TRY(ae_tradeoff_read(&r->tradeoff, folder));
    if (r->tradeoff.method && !ae_path_exists(path)) {
        r->stage.kind = AE_STAGE_RLHF;
        r->stage.seed = ae_asked_seed(folder);
        snprintf(r->stage.method, sizeof r->stage.method, "%s", r->tradeoff.method);
        goto out;
    }
    AE_TRY(ae_reader_open(&in, path));
    AE_TRY(read_lines(r, in));
    AE_TRY(ae_calibration_curve_read(&r->calibration, folder));
    ae_run_stage_read(&r->stage, folder);
    if (!tells_anything(r))
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: expected lines of a run's steps, found none yet", path));
out:
    if (st != AE_OK) ae_run_curves_free(r);
    ae_reader_close(in);
    free(path);
    return st;
}

void ae_run_curves_free(ae_run_curves *r) {
    free_list(&r->steps);
    free_list(&r->evaluations);
    ae_run_stage_free(&r->stage);
    ae_tradeoff_free(&r->tradeoff);
    free(r->name);
    *r = (ae_run_curves){0};
}

const char *ae_plot_main_name(const ae_run_curves *runs, size_t n) {
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < runs[r].steps.n; i++)
            if (!ae_plot_is_engine_key(runs[r].steps.items[i].name)) return runs[r].steps.items[i].name;
    return "";
}
