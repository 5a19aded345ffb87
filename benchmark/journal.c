#include "benchmark/journal.h"

#include "core/clock.h"
#include "core/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ae_journal {
    FILE *file;
    char *path;
    ptrdiff_t waiting; /* lines that are not synced */
    double since_s;    /* when the first of them came */
};

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "requests.jsonl: out of memory");
}

/* ---- what is there ---- */

static char *value_text(const json_t *v) {
    return v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("nothing");
}

/* Of a setting that is a hash: what differs, in words. NULL: its values say it. */
static const char *meaning(const char *key) {
    return strcmp(key, "probe") == 0      ? "of another model"
           : strcmp(key, "requests") == 0 ? "of other prompts, from other rows or tasks"
                                          : NULL;
}

static ae_status other_setting(const char *folder, const char *key, const json_t *wanted,
                               const json_t *found) {
    if (meaning(key))
        return AE_FAIL(AE_ERR_USAGE, "%s: holds an evaluation %s; take another folder or remove this one",
                       folder, meaning(key));
    char *a = value_text(wanted), *b = value_text(found);
    const ae_status st =
        AE_FAIL(AE_ERR_USAGE,
                "%s: holds an evaluation with other settings: %s: expected %s, found %s; take another "
                "folder or remove this one",
                folder, key, a ? a : "?", b ? b : "?");
    free(a);
    free(b);
    return st;
}

static ae_status check_settings(const char *folder, const json_t *wanted, const json_t *found) {
    const json_t *type = json_object_get(wanted, "dtype");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, key, value) {
        const json_t *there = json_object_get(found, key);
        if (there && json_equal(value, there)) continue;
        /* another type of weights is told by its name, which comes next */
        if (strcmp(key, "probe") == 0 && type && !json_equal(type, json_object_get(found, "dtype"))) continue;
        return other_setting(folder, key, value, there);
    }
    return AE_OK;
}

typedef struct {
    const char *folder;
    const json_t *settings;
    bool begun; /* the line of settings is there */
    ae_status (*line)(void *context, const json_t *line, const char *where);
    void *context;
} reading;

static ae_status take_line(void *context, json_t *line, const char *where) {
    reading *r = context;
    if (r->begun) return r->line(r->context, line, where);
    r->begun = true;
    return check_settings(r->folder, r->settings, line);
}

/* ---- opening ---- */

static ae_status open_end(ae_journal *j, size_t n) {
    j->file = fopen(j->path, "ae");
    if (!j->file || ftruncate(fileno(j->file), (off_t)n) != 0) return ae_output_failed(j->path);
    return AE_OK;
}

static ae_status begin(ae_journal *j, const reading *r) {
    ae_status st = ae_journal_add(j, json_deep_copy(r->settings));
    if (st == AE_OK) st = ae_journal_sync(j);
    return st == AE_OK ? ae_path_sync(r->folder) : st;
}

ae_status ae_journal_open(ae_journal **out, const char *folder, const json_t *settings,
                          ae_status (*line)(void *context, const json_t *line, const char *where),
                          void *context) {
    ae_journal *j = *out = calloc(1, sizeof *j);
    reading r = {.folder = folder, .settings = settings, .line = line, .context = context};
    size_t whole = 0;
    ae_status st;
    if (!j) return out_of_memory();
    j->path = ae_path_join(folder, "requests.jsonl");
    AE_TRY(ae_json_whole_lines(j->path, take_line, &r, &whole));
    AE_TRY(ae_folder_make(folder));
    AE_TRY(open_end(j, whole));
    if (!r.begun) AE_TRY(begin(j, &r));
    return AE_OK;
out:
    ae_journal_close(j);
    *out = NULL;
    return st;
}

void ae_journal_close(ae_journal *j) {
    if (!j) return;
    if (j->file) fclose(j->file);
    free(j->path);
    free(j);
}

/* ---- adding ---- */

ae_status ae_journal_sync(ae_journal *j) {
    j->waiting = 0;
    if (fflush(j->file) != 0 || fdatasync(fileno(j->file)) != 0) return ae_output_failed(j->path);
    return AE_OK;
}

ae_status ae_journal_add(ae_journal *j, json_t *line) {
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(line);
    if (!text) return out_of_memory();
    const bool failed = fputs(text, j->file) == EOF || fputc('\n', j->file) == EOF;
    free(text);
    if (failed) return ae_output_failed(j->path);
    if (j->waiting++ == 0) j->since_s = ae_now_s();
    const bool full = j->waiting >= AE_JOURNAL_GROUP || ae_now_s() - j->since_s > AE_JOURNAL_SECONDS;
    return full ? ae_journal_sync(j) : AE_OK;
}
