#include "formats/shards_write.h"

#include "core/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ae_shards_writer {
    char *folder;
    ae_safetensor_entry *entries; /* [n] */
    size_t *ends;                 /* [files]: the entry behind each file's last */
    size_t n, files, at;          /* at: the file that is written */
    int64_t left;                 /* bytes that the file still waits for */
    ae_safetensors_writer *file;
};

static ae_status out_of_memory(const char *folder) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder);
}

/* As many tensors to a file as fit, at least one. */
static void divide(ae_shards_writer *w, int64_t shard_bytes) {
    int64_t bytes = 0;
    for (size_t i = 0; i < w->n; i++) {
        const int64_t more = ae_safetensor_entry_bytes(&w->entries[i]);
        if (shard_bytes > 0 && bytes > 0 && bytes + more > shard_bytes) {
            w->ends[w->files++] = i;
            bytes = 0;
        }
        bytes += more;
    }
    w->ends[w->files++] = w->n;
}

static size_t first_of(const ae_shards_writer *w, size_t file) {
    return file > 0 ? w->ends[file - 1] : 0;
}

static void name_file(const ae_shards_writer *w, size_t file, char *name, size_t n) {
    if (w->files == 1)
        snprintf(name, n, "model.safetensors");
    else
        snprintf(name, n, "model-%05zu-of-%05zu.safetensors", file + 1, w->files);
}

static ae_status begin_file(ae_shards_writer *w) {
    const size_t first = first_of(w, w->at), end = w->ends[w->at];
    char name[96];
    name_file(w, w->at, name, sizeof name);
    char *path = ae_path_join(w->folder, name);
    w->left = 0;
    for (size_t i = first; i < end; i++) w->left += ae_safetensor_entry_bytes(&w->entries[i]);
    const ae_status st = ae_safetensors_create(&w->file, path, w->entries + first, end - first);
    free(path);
    return st;
}

static ae_status end_file(ae_shards_writer *w) {
    ae_safetensors_writer *file = w->file;
    w->file = NULL;
    return ae_safetensors_finish(file);
}

ae_status ae_shards_create(ae_shards_writer **out, const char *folder, const ae_safetensor_entry *entries,
                           size_t n, int64_t shard_bytes) {
    ae_shards_writer *w = calloc(1, sizeof *w);
    ae_status st;
    *out = NULL;
    if (w == NULL) return out_of_memory(folder);
    w->folder = strdup(folder);
    w->entries = calloc(n + 1, sizeof *w->entries);
    w->ends = calloc(n + 1, sizeof *w->ends);
    if (w->folder == NULL || w->entries == NULL || w->ends == NULL) AE_TRY(out_of_memory(folder));
    memcpy(w->entries, entries, n * sizeof *entries);
    w->n = n;
    divide(w, shard_bytes);
    AE_TRY(begin_file(w));
    *out = w;
out:
    if (st != AE_OK) ae_shards_discard(w);
    return st;
}

ae_status ae_shards_write(ae_shards_writer *w, const void *bytes, size_t n) {
    ae_status st = AE_OK;
    if (w->left == 0 && w->at + 1 < w->files) {
        AE_TRY(end_file(w));
        w->at++;
        AE_TRY(begin_file(w));
    }
    AE_TRY(ae_safetensors_write(w->file, bytes, n));
    w->left -= (int64_t)n;
out:
    return st;
}

static json_t *index_of(const ae_shards_writer *w) {
    json_t *map = json_object();
    int64_t bytes = 0;
    for (size_t file = 0; file < w->files; file++) {
        char name[96];
        name_file(w, file, name, sizeof name);
        for (size_t i = first_of(w, file); i < w->ends[file]; i++) {
            json_object_set_new(map, w->entries[i].name, json_string(name));
            bytes += ae_safetensor_entry_bytes(&w->entries[i]);
        }
    }
    return json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map);
}

static ae_status write_index(const ae_shards_writer *w) {
    json_t *index = index_of(w);
    char *text = index != NULL ? json_dumps(index, JSON_INDENT(2)) : NULL;
    char *path = ae_path_join(w->folder, "model.safetensors.index.json");
    const ae_status st = text != NULL ? ae_file_write(path, text, strlen(text)) : out_of_memory(path);
    free(path);
    free(text);
    json_decref(index);
    return st;
}

ae_status ae_shards_finish(ae_shards_writer *w) {
    ae_status st;
    AE_TRY(end_file(w));
    if (w->at + 1 < w->files)
        AE_TRY(AE_FAIL(AE_ERR_DEFECT, "%s: expected the tensors of %zu files, found those of %zu", w->folder,
                       w->files, w->at + 1));
    if (w->files > 1) AE_TRY(write_index(w));
out:
    ae_shards_discard(w);
    return st;
}

void ae_shards_discard(ae_shards_writer *w) {
    if (w == NULL) return;
    ae_safetensors_discard(w->file);
    free(w->folder);
    free(w->entries);
    free(w->ends);
    free(w);
}
