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

static double number_of(const json_t *line, const char *key) {
    const json_t *v = json_object_get(line, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static ae_status add_known(ae_curve *c, double x, double y) {
    return isfinite(y) ? ae_curve_add(c, x, y) : AE_OK;
}

static ae_status take_evaluation(ae_run_curves *r, const json_t *line, double step) {
    const double loss = number_of(line, "eval_loss");
    if (isfinite(loss) && !(loss >= r->best_loss)) {
        r->best_loss = loss;
        r->best_bits = number_of(line, "bits_per_byte");
        r->best_step = (int64_t)step;
    }
    return add_known(&r->curves[AE_PLOT_EVAL], step, loss);
}

static ae_status take_step(ae_run_curves *r, const json_t *line, double step) {
    static const struct {
        int curve;
        const char *key;
    } keys[] = {{AE_PLOT_LOSS, "loss"},
                {AE_PLOT_LR, "lr"},
                {AE_PLOT_NORM, "grad_norm"},
                {AE_PLOT_SPEED, "tokens_per_s"}};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < sizeof keys / sizeof *keys; i++)
        st = add_known(&r->curves[keys[i].curve], step, number_of(line, keys[i].key));
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
    if (!isfinite(step))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected an object with a number \"step\", found none", where);
    else
        st = json_object_get(line, "eval_loss") ? take_evaluation(r, line, step) : take_step(r, line, step);
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

/* The last part of a path, without what gnuplot would read as its own and what is no UTF-8, which pictures and reports are in. */
static char *label_of(const char *folder) {
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    size_t from = n;
    while (from > 0 && folder[from - 1] != '/') from--;
    char *name = strndup(folder + from, n - from);
    for (char *c = name; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || strchr("\"\\`$'", *c)) *c = '_';
    size_t valid = 0;
    while (name && (valid += ae_utf8_prefix(name + valid, strlen(name + valid)), name[valid]))
        name[valid] = '_';
    return name;
}

ae_status ae_run_curves_read(ae_run_curves *r, const char *folder) {
    const double unknown = (double)NAN;
    ae_reader *in = NULL;
    char *path = ae_path_join(folder, "metrics.jsonl");
    ae_status st;
    *r = (ae_run_curves){
        .folder = folder, .best_loss = unknown, .best_bits = unknown, .flops_fraction = unknown};
    r->name = label_of(folder);
    if (!r->name) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "plot: out of memory"));
    if (!ae_path_is_folder(folder))
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: expected the folder of a run, found none", folder));
    AE_TRY(ae_reader_open(&in, path));
    AE_TRY(read_lines(r, in));
    if (r->curves[AE_PLOT_LOSS].n + r->curves[AE_PLOT_EVAL].n == 0)
        AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: expected lines of a run's steps, found none yet", path));
out:
    if (st != AE_OK) ae_run_curves_free(r);
    ae_reader_close(in);
    free(path);
    return st;
}

void ae_run_curves_free(ae_run_curves *r) {
    for (size_t i = 0; i < AE_PLOT_CURVES; i++) ae_curve_free(&r->curves[i]);
    free(r->name);
    *r = (ae_run_curves){0};
}
