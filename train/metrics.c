#include "train/metrics.h"

#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "train/append.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

ae_status ae_metrics_lock(ae_metrics *m, const char *path, bool make) {
    *m = (ae_metrics){0};
    return ae_append_lock(&m->file, path, make);
}

ae_status ae_metrics_open(ae_metrics *m, const char *path, int64_t offset) {
    m->offset = offset;
    int64_t size = ae_file_size(path);
    if (offset > 0 && size < offset) {
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected at least %lld bytes, found %lld: something else is changing it; the same "
            "command again goes on",
            path, (long long)offset, (long long)(size < 0 ? 0 : size));
    }
    ae_status st = ae_append_open(&m->file, path, offset);
    if (st != AE_OK) return st;
    m->path = strdup(path);
    if (m->path) return AE_OK;
    ae_metrics_close(m);
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

ae_status ae_metrics_add(ae_metrics *m, json_t *line) {
    if (!line) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", m->path);
    ae_status st = ae_json_write_line(line, m->file, m->path);
    json_decref(line);
    ae_status committed = ae_append_commit(m->file, m->path, st == AE_OK, &m->offset);
    return st == AE_OK ? committed : st;
}

ae_status ae_metrics_sync(ae_metrics *m) {
    return ae_append_sync(m->file, m->path);
}

void ae_metrics_close(ae_metrics *m) {
    if (m->file) fclose(m->file);
    free(m->path);
    *m = (ae_metrics){0};
}

/* ---- what is left of a file ---- */

typedef struct {
    int64_t step;
    bool evaluates;
} record;

static bool read_record(record *r, const char *score, const char *line, size_t n) {
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *step = json_object_get(o, "step");
    const bool is_one = json_is_integer(step);
    *r = (record){json_integer_value(step), json_object_get(o, score) != NULL};
    json_decref(o);
    return is_one;
}

/* Whether the line that the checkpoint wrote last ends where it says; then so do all before it. */
static bool ends_at(const char *bytes, size_t n, const char *score, const ae_metrics_mark *m) {
    record r;
    if (m->offset == 0) return m->step == 0;
    if ((uint64_t)m->offset > n || bytes[m->offset - 1] != '\n') return false;
    size_t end = (size_t)m->offset - 1, at = end;
    while (at > 0 && bytes[at - 1] != '\n') at--;
    return read_record(&r, score, bytes + at, end - at) && r.step == m->step;
}

static void miss(ae_metrics_gap *g, int64_t first, int64_t last) {
    if (first > last) return;
    if (g->missing == 0) g->first = first;
    g->last = last;
    g->missing += last - first + 1;
}

/* The longest beginning of whole lines that the run wrote before the checkpoint, no step twice. */
static void find_beginning(const char *bytes, size_t n, const char *score, ae_metrics_mark *m,
                           ae_metrics_gap *g) {
    int64_t step = 0, evaluated = -1; /* step 0 may be evaluated */
    size_t at = 0;
    record r;
    for (const char *end; (end = memchr(bytes + at, '\n', n - at)) != NULL; at = (size_t)(end - bytes) + 1) {
        g->cuts = !read_record(&r, score, bytes + at, (size_t)(end - bytes) - at) ||
                  r.step <= (r.evaluates ? evaluated : step);
        if (g->cuts) break;
        if (r.step > (r.evaluates ? m->evaluated_step : m->step)) break;
        if (!r.evaluates) miss(g, step + 1, r.step - 1);
        *(r.evaluates ? &evaluated : &step) = r.step;
    }
    miss(g, step + 1, m->step);
    if (evaluated < m->evaluated_step) g->evaluation = m->evaluated_step;
    m->offset = (int64_t)at;
}

ae_status ae_metrics_find_end(const char *path, const char *score, ae_metrics_mark *m, ae_metrics_gap *g) {
    char *bytes = NULL;
    size_t n = 0;
    *g = (ae_metrics_gap){0};
    ae_status st = ae_path_exists(path) ? ae_file_read(path, &bytes, &n) : AE_OK;
    if (st != AE_OK) return st;
    if (!bytes || !ends_at(bytes, n, score, m)) find_beginning(bytes ? bytes : "", n, score, m, g);
    free(bytes);
    return AE_OK;
}

ae_status ae_metrics_find_evaluation(const char *path, const char *score, int64_t step, int64_t *offset,
                                     json_t **line) {
    char *bytes = NULL;
    size_t n = 0, at = (size_t)*offset;
    *line = NULL;
    if (ae_file_size(path) <= *offset) return AE_OK;
    ae_status st = ae_file_read(path, &bytes, &n);
    if (st != AE_OK) return st;
    const char *end = at < n ? memchr(bytes + at, '\n', n - at) : NULL;
    json_t *found =
        end ? json_loadb(bytes + at, (size_t)(end - bytes) - at, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool belongs = json_is_number(json_object_get(found, score)) &&
                   json_integer_value(json_object_get(found, "step")) == step;
    if (belongs) {
        *line = json_incref(found);
        *offset = (int64_t)(end - bytes) + 1;
    }
    json_decref(found);
    free(bytes);
    return AE_OK;
}

void ae_metrics_tell_gap(const char *metrics, const ae_metrics_gap *g) {
    static const char whole[] = "missing or unreadable; the training state is whole and the run goes on";
    const long long first = (long long)g->first, last = (long long)g->last, n = (long long)g->missing;
    if (n == 0 && g->evaluation > 0)
        ae_warn("%s: the evaluation of step %lld is not in it: %s", metrics, (long long)g->evaluation, whole);
    else if (n == 1)
        ae_warn("%s: step %lld is not in it: %s", metrics, first, whole);
    else if (n == last - first + 1 && n > 0)
        ae_warn("%s: steps %lld to %lld are not in it: %s", metrics, first, last, whole);
    else if (n > 0)
        ae_warn("%s: %lld of the steps %lld to %lld are not in it: %s", metrics, n, first, last, whole);
}
