#include "formats/safetensors_write.h"

#include "core/file.h"
#include "formats/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { LENGTH_BYTES = 8, HEADER_ALIGN = 64 };

struct ae_safetensors_writer {
    char *path, *aside;
    FILE *file;
    int64_t expected, written; /* bytes of data */
    uLong crc;                 /* of what is written */
    long crc_at;               /* where its digits stand in the file */
};

/* Digits that are overwritten when the data is known. */
static const char no_crc[] = "00000000";

int64_t ae_safetensor_entry_bytes(const ae_safetensor_entry *e) {
    int64_t n = strcmp(e->dtype, "F32") == 0                                    ? 4
                : strcmp(e->dtype, "BF16") == 0 || strcmp(e->dtype, "F16") == 0 ? 2
                                                                                : 1;
    for (int i = 0; i < e->rank; i++) n *= e->shape[i];
    return n;
}

static json_t *describe(const ae_safetensor_entry *e, int64_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < e->rank; i++) json_array_append_new(shape, json_integer(e->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", e->dtype, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + ae_safetensor_entry_bytes(e)));
}

static char *header_of(ae_safetensors_writer *w, const ae_safetensor_entry *entries, size_t n) {
    json_t *root =
        json_pack("{s:{s:s, s:s}}", "__metadata__", "format", "pt", ae_safetensors_crc_key, no_crc);
    for (size_t i = 0; root != NULL && i < n; i++) {
        json_object_set_new(root, entries[i].name, describe(&entries[i], w->expected));
        w->expected += ae_safetensor_entry_bytes(&entries[i]);
    }
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* The length, the text, and spaces up to where data lies well. */
static ae_status write_header(ae_safetensors_writer *w, const char *text) {
    const size_t n = strlen(text), end = (LENGTH_BYTES + n + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++) length[i] = (unsigned char)((end - LENGTH_BYTES) >> 8 * i & 255);
    w->crc_at = LENGTH_BYTES + (strstr(text, no_crc) - text); /* the metadata comes first */
    if (fwrite(length, 1, LENGTH_BYTES, w->file) != LENGTH_BYTES || fwrite(text, 1, n, w->file) != n ||
        fprintf(w->file, "%*s", (int)(end - LENGTH_BYTES - n), "") < 0)
        return ae_output_failed(w->path);
    return AE_OK;
}

ae_status ae_safetensors_create(ae_safetensors_writer **out, const char *path,
                                const ae_safetensor_entry *entries, size_t n) {
    ae_safetensors_writer *w = calloc(1, sizeof *w);
    char *text = w != NULL ? header_of(w, entries, n) : NULL;
    ae_status st = AE_OK;
    *out = NULL;
    if (text == NULL || (w->path = strdup(path)) == NULL || (w->aside = malloc(strlen(path) + 6)) == NULL)
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path));
    sprintf(w->aside, "%s.part", path);
    w->file = fopen(w->aside, "wbe");
    if (w->file == NULL) AE_TRY(ae_output_failed(path));
    AE_TRY(write_header(w, text));
    *out = w;
out:
    free(text);
    if (st != AE_OK) ae_safetensors_discard(w);
    return st;
}

ae_status ae_safetensors_write(ae_safetensors_writer *w, const void *bytes, size_t n) {
    if (fwrite(bytes, 1, n, w->file) != n) return ae_output_failed(w->path);
    w->written += (int64_t)n;
    w->crc = crc32_z(w->crc, bytes, n);
    return AE_OK;
}

static ae_status write_crc(ae_safetensors_writer *w) {
    if (fseek(w->file, w->crc_at, SEEK_SET) != 0 || fprintf(w->file, "%08lx", w->crc) < 0)
        return ae_output_failed(w->path);
    return AE_OK;
}

ae_status ae_safetensors_finish(ae_safetensors_writer *w) {
    ae_status st = AE_OK;
    if (w->written != w->expected)
        AE_TRY(AE_FAIL(AE_ERR_DEFECT, "%s: expected %lld bytes of tensors, found %lld", w->path,
                       (long long)w->expected, (long long)w->written));
    AE_TRY(write_crc(w));
    if (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0) AE_TRY(ae_output_failed(w->path));
    const int closed = fclose(w->file);
    w->file = NULL;
    if (closed != 0) AE_TRY(ae_output_failed(w->path));
    AE_TRY(ae_path_rename(w->aside, w->path));
    free(w->aside);
    w->aside = NULL;
out:
    ae_safetensors_discard(w);
    return st;
}

void ae_safetensors_discard(ae_safetensors_writer *w) {
    if (w == NULL) return;
    if (w->file != NULL) fclose(w->file);
    if (w->aside != NULL) unlink(w->aside);
    free(w->aside);
    free(w->path);
    free(w);
}
