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

/* Bytes of the file up to and with its last line end. */
static size_t whole_lines(const char *bytes, size_t n) {
    while (n > 0 && bytes[n - 1] != '\n') n--;
    return n;
}

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
    const char *folder, *path;
    const json_t *settings;
    ae_status (*line)(void *context, const json_t *line, const char *where);
    void *context;
} reading;

static ae_status take_line(const reading *r, const char *text, size_t n, int64_t number) {
    char where[AE_WHERE_BYTES];
    json_t *value = NULL;
    snprintf(where, sizeof where, "%s:%lld", r->path, (long long)number);
    ae_status st = ae_json_parse_answer(&value, text, n, where);
    if (st == AE_OK)
        st = number == 1 ? check_settings(r->folder, r->settings, value) : r->line(r->context, value, where);
    json_decref(value);
    return st;
}

static ae_status read_lines(const reading *r, const char *bytes, size_t n) {
    ae_status st = AE_OK;
    int64_t number = 1;
    for (size_t at = 0, end; st == AE_OK && at < n; at = end + 1, number++) {
        end = (size_t)((const char *)memchr(bytes + at, '\n', n - at) - bytes);
        st = take_line(r, bytes + at, end - at, number);
    }
    return st;
}

/* ---- opening ---- */

static ae_status open_end(ae_journal *j, size_t n) {
    j->file = fopen(j->path, "ae");
    if (!j->file || ftruncate(fileno(j->file), (off_t)n) != 0) return ae_output_failed(j->path);
    return AE_OK;
}

static ae_status begin(ae_journal *j, const char *folder, const json_t *settings) {
    ae_status st = ae_folder_make(folder);
    if (st == AE_OK) st = open_end(j, 0);
    if (st == AE_OK) st = ae_journal_add(j, json_deep_copy(settings));
    if (st == AE_OK) st = ae_journal_sync(j);
    return st == AE_OK ? ae_path_sync(folder) : st;
}

static ae_status go_on(ae_journal *j, const reading *r) {
    char *bytes = NULL;
    size_t n = 0;
    ae_status st = ae_file_read(j->path, &bytes, &n);
    if (st == AE_OK) n = whole_lines(bytes, n);
    if (st == AE_OK && n == 0)
        st = begin(j, r->folder, r->settings);
    else if (st == AE_OK) {
        st = read_lines(r, bytes, n);
        if (st == AE_OK) st = open_end(j, n);
    }
    free(bytes);
    return st;
}

ae_status ae_journal_open(ae_journal **out, const char *folder, const json_t *settings,
                          ae_status (*line)(void *context, const json_t *line, const char *where),
                          void *context) {
    ae_journal *j = *out = calloc(1, sizeof *j);
    if (!j) return out_of_memory();
    j->path = ae_path_join(folder, "requests.jsonl");
    const reading r = {folder, j->path, settings, line, context};
    const ae_status st = ae_path_exists(j->path) ? go_on(j, &r) : begin(j, folder, settings);
    if (st == AE_OK) return AE_OK;
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
