#include "formats/done.h"

#include "core/file.h"
#include "core/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

/* Nobody reads it soon, so its pages go: the next save finds them free instead of asking the machine for new
 * ones. */
static ae_status describe(json_t *files, const char *folder, const char *name) {
    uint32_t crc;
    int64_t bytes;
    char *path = ae_path_join(folder, name);
    ae_status st = ae_path_sync(path);
    if (st == AE_OK) st = ae_file_crc32(path, &crc, &bytes);
    ae_file_uncache(path);
    if (st == AE_OK)
        json_object_set_new(files, name,
                            json_pack("{s:I, s:I}", "crc32", (json_int_t)crc, "bytes", (json_int_t)bytes));
    free(path);
    return st;
}

ae_status ae_done_write(const char *folder, const char *const *names, size_t n) {
    ae_status st = AE_OK;
    char *text = NULL, *path = ae_path_join(folder, "DONE");
    json_t *files = json_object();
    for (size_t i = 0; i < n; i++) AE_TRY(describe(files, folder, names[i]));
    text = json_dumps(files, JSON_INDENT(1));
    if (!text) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path));
    AE_TRY(ae_file_write(path, text, strlen(text)));
    AE_TRY(ae_path_sync(folder));
out:
    json_decref(files);
    free(text);
    free(path);
    return st;
}

/* ---- reading ---- */

static ae_status read_number(const json_t *entry, const char *name, const char *key, const char *path,
                             int64_t most, int64_t *out) {
    char where[PATH_MAX + 128];
    snprintf(where, sizeof where, "%s: %.100s", path, name);
    const ae_status st = ae_json_int(entry, key, where, out);
    if (st != AE_OK || (*out >= 0 && *out <= most)) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected 0 to %lld, found %lld", where, key, (long long)most,
                   (long long)*out);
}

static ae_status read_entry(ae_done_file *f, const char *path, const char *name, const json_t *entry) {
    int64_t crc = 0;
    if (!*name || *name == '.' || strchr(name, '/'))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected names of files beside it, found '%.100s'", path, name);
    ae_status st = read_number(entry, name, "crc32", path, UINT32_MAX, &crc);
    if (st == AE_OK) st = read_number(entry, name, "bytes", path, INT64_MAX, &f->want_bytes);
    if (st != AE_OK) return st;
    f->want_crc = (uint32_t)crc;
    f->name = strdup(name);
    return f->name ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

ae_status ae_done_read(ae_done *d, const char *folder) {
    json_t *root = NULL, *entry;
    const char *name;
    ae_status st;
    *d = (ae_done){.path = ae_path_join(folder, "DONE")};
    AE_TRY(ae_json_load(&root, d->path));
    d->files = calloc(json_object_size(root) + 1, sizeof *d->files);
    if (!d->files) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", d->path));
    json_object_foreach(root, name, entry) {
        AE_TRY(read_entry(&d->files[d->n], d->path, name, entry));
        d->n++;
    }
out:
    if (st != AE_OK) ae_done_free(d);
    json_decref(root);
    return st;
}

void ae_done_free(ae_done *d) {
    for (size_t i = 0; i < d->n; i++) free(d->files[i].name);
    free(d->files);
    free(d->path);
    *d = (ae_done){0};
}

/* ---- comparing ---- */

void ae_done_look(ae_done_file *f, const char *folder, bool thorough) {
    char *path = ae_path_join(folder, f->name);
    f->bytes = ae_file_size(path);
    f->whole = f->bytes == f->want_bytes;
    if (f->whole && thorough && ae_file_crc32(path, &f->crc, &f->bytes) != AE_OK) f->bytes = -1;
    if (thorough) f->whole = f->whole && f->bytes == f->want_bytes && f->crc == f->want_crc;
    free(path);
}

ae_status ae_done_fault(const ae_done_file *f, const char *folder) {
    if (f->whole) return AE_OK;
    if (f->bytes < 0)
        return AE_FAIL(AE_ERR_INPUT, "%s/%s: expected a file of %lld bytes, found none that can be read",
                       folder, f->name, (long long)f->want_bytes);
    if (f->bytes != f->want_bytes)
        return AE_FAIL(AE_ERR_INPUT, "%s/%s: expected %lld bytes, found %lld: the file is damaged", folder,
                       f->name, (long long)f->want_bytes, (long long)f->bytes);
    return AE_FAIL(AE_ERR_INPUT, "%s/%s: expected CRC-32 %08lx, found %08lx: the file is damaged", folder,
                   f->name, (unsigned long)f->want_crc, (unsigned long)f->crc);
}

static ae_done_file *find(const ae_done *d, const char *name) {
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->files[i].name, name) == 0) return &d->files[i];
    return NULL;
}

bool ae_done_lists(const ae_done *d, const char *name) {
    return find(d, name) != NULL;
}

static ae_status check_unlisted(const ae_done *d, const char *folder, const char *name, bool optional) {
    char *path = ae_path_join(folder, name);
    const bool there = ae_path_exists(path);
    free(path);
    if (optional && !there) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected its CRC-32 and size, found none", d->path, name);
}

ae_status ae_done_check(ae_done *d, const char *folder, const char *name, bool optional, bool thorough) {
    ae_done_file *f = find(d, name);
    if (!f) return check_unlisted(d, folder, name, optional);
    ae_done_look(f, folder, thorough);
    return ae_done_fault(f, folder);
}
