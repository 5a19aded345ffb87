#include "train/done.h"

#include "core/file.h"
#include "core/json.h"

#include <stdlib.h>
#include <string.h>

static ae_status read_entry(ae_done_file *f, const char *path, const char *name, const json_t *entry) {
    int64_t crc = 0;
    if (!*name || *name == '.' || strchr(name, '/'))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected names of files beside it, found '%.100s'", path, name);
    ae_status st = ae_json_int(entry, "crc32", path, &crc);
    if (st == AE_OK) st = ae_json_int(entry, "bytes", path, &f->want_bytes);
    if (st != AE_OK) return st;
    f->want_crc = (uint32_t)crc;
    f->name = strdup(name);
    return f->name ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

static void look_at(ae_done_file *f, const char *folder, bool thorough) {
    char *path = ae_path_join(folder, f->name);
    f->bytes = ae_file_size(path);
    f->whole = f->bytes == f->want_bytes;
    if (f->whole && thorough && ae_file_crc32(path, &f->crc, &f->bytes) != AE_OK) f->bytes = -1;
    if (thorough) f->whole = f->whole && f->bytes == f->want_bytes && f->crc == f->want_crc;
    free(path);
}

ae_status ae_done_read(ae_done *d, const char *folder, bool thorough) {
    char *path = ae_path_join(folder, "DONE");
    json_t *root = NULL, *entry;
    const char *name;
    ae_status st;
    *d = (ae_done){0};
    AE_TRY(ae_json_load(&root, path));
    d->files = calloc(json_object_size(root) + 1, sizeof *d->files);
    if (!d->files) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path));
    json_object_foreach(root, name, entry) {
        AE_TRY(read_entry(&d->files[d->n], path, name, entry));
        look_at(&d->files[d->n++], folder, thorough);
    }
out:
    if (st != AE_OK) ae_done_free(d);
    json_decref(root);
    free(path);
    return st;
}

void ae_done_free(ae_done *d) {
    for (size_t i = 0; i < d->n; i++) free(d->files[i].name);
    free(d->files);
    *d = (ae_done){0};
}
