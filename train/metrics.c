#include "train/metrics.h"

#include "core/file.h"
#include "core/json.h"
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
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected the %lld bytes that were there at the checkpoint, found %lld: put the "
                       "file back, or go on from the weights alone in another run.dir with model.init=",
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

ae_status ae_metrics_find_evaluation(const char *path, int64_t step, int64_t *offset, json_t **line) {
    char *bytes = NULL;
    size_t n = 0, at = (size_t)*offset;
    *line = NULL;
    if (ae_file_size(path) <= *offset) return AE_OK;
    ae_status st = ae_file_read(path, &bytes, &n);
    if (st != AE_OK) return st;
    const char *end = at < n ? memchr(bytes + at, '\n', n - at) : NULL;
    json_t *found =
        end ? json_loadb(bytes + at, (size_t)(end - bytes) - at, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool belongs = json_is_number(json_object_get(found, "eval_loss")) &&
                   json_integer_value(json_object_get(found, "step")) == step;
    if (belongs) {
        *line = json_incref(found);
        *offset = (int64_t)(end - bytes) + 1;
    }
    json_decref(found);
    free(bytes);
    return AE_OK;
}
