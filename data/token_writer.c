#include "core/file.h"
#include "core/h5.h"
#include "data/hash.h"
#include "data/set_notes.h"
#include "data/token_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 14, VERSION = 1 };

/* A data set that grows by whole chunks. */
typedef struct {
    const char *name;
    hid_t memory_type;
    size_t bytes; /* of an entry */
    int64_t held;
    char *entries; /* [CHUNK] */
} column;

struct ae_token_writer {
    char *path, *aside;
    hid_t file;
    bool has_mask, has_text_bytes, has_margins, has_meta;
    int64_t vocab_size, tokens, documents, meta_bytes;
    column ids, mask, starts, text_bytes, margins, meta, meta_starts;
    ae_content_hash hash;
};

static ae_status column_open(ae_token_writer *w, column *c, const char *name, hid_t file_type,
                             hid_t memory_type, size_t bytes) {
    c->name = name;
    c->memory_type = memory_type;
    c->bytes = bytes;
    c->entries = malloc(CHUNK * c->bytes);
    if (!c->entries) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", w->path);
    return ae_h5_create_growing(w->file, w->aside, name, file_type, CHUNK);
}

static ae_status column_flush(ae_token_writer *w, column *c) {
    if (c->held == 0) return AE_OK;
    const ae_status st = ae_h5_append(w->file, w->aside, c->name, c->memory_type, c->held, c->entries);
    c->held = 0;
    return st;
}

static ae_status column_add(ae_token_writer *w, column *c, const void *entries, int64_t n) {
    const char *from = entries;
    for (int64_t left = n; left > 0;) {
        const int64_t take = left < CHUNK - c->held ? left : CHUNK - c->held;
        const size_t bytes = (size_t)take * c->bytes;
        memcpy(c->entries + (size_t)c->held * c->bytes, from, bytes);
        c->held += take;
        from += bytes;
        left -= take;
        const ae_status st = c->held == CHUNK ? column_flush(w, c) : AE_OK;
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

static ae_status set_hash_attr(ae_token_writer *w, const char *name, uint64_t hash) {
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    return ae_h5_set_attr_text(w->file, w->aside, name, text);
}

static ae_status write_tokenizer(ae_token_writer *w, const void *bytes, size_t n) {
    ae_status st = ae_h5_create_growing(w->file, w->aside, "tokenizer", H5T_NATIVE_UINT8, CHUNK);
    if (st == AE_OK) st = ae_h5_append(w->file, w->aside, "tokenizer", H5T_NATIVE_UINT8, (int64_t)n, bytes);
    return st == AE_OK ? set_hash_attr(w, AE_TOKENIZER_HASH, ae_fnv(AE_FNV_START, bytes, n)) : st;
}

static ae_status create_notes(ae_token_writer *w, ae_data_kind kind) {
    ae_status st = AE_OK;
    w->hash.kind = kind;
    if (kind != AE_KIND_TEXT) AE_TRY(ae_h5_set_attr_text(w->file, w->aside, "kind", ae_data_kind_name(kind)));
    if (w->has_margins)
        AE_TRY(column_open(w, &w->margins, "margin", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, sizeof(float)));
    if (!w->has_meta) return AE_OK;
    AE_TRY(column_open(w, &w->meta, "meta", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1));
    AE_TRY(column_open(w, &w->meta_starts, "meta_starts", H5T_STD_I64LE, H5T_NATIVE_INT64, sizeof(int64_t)));
    AE_TRY(column_add(w, &w->meta_starts, &w->meta_bytes, 1));
out:
    return st;
}

static ae_status create(ae_token_writer *w, const ae_token_set_info *info) {
    const int64_t zero = 0;
    const bool is_short = info->vocab_size <= 65536;
    ae_status st = AE_OK;
    AE_TRY(ae_h5_create(&w->file, w->aside));
    AE_TRY(ae_h5_set_attr_int(w->file, w->aside, "version", VERSION));
    AE_TRY(ae_h5_set_attr_int(w->file, w->aside, "vocab_size", info->vocab_size));
    AE_TRY(column_open(w, &w->ids, "tokens", is_short ? H5T_STD_U16LE : H5T_STD_U32LE, H5T_NATIVE_INT32,
                       sizeof(int32_t)));
    AE_TRY(column_open(w, &w->starts, "doc_starts", H5T_STD_I64LE, H5T_NATIVE_INT64, sizeof(int64_t)));
    if (w->has_text_bytes)
        AE_TRY(column_open(w, &w->text_bytes, "doc_bytes", H5T_STD_I64LE, H5T_NATIVE_INT64, sizeof(int64_t)));
    if (w->has_mask) AE_TRY(column_open(w, &w->mask, "loss_mask", H5T_STD_U8LE, H5T_NATIVE_UINT8, 1));
    AE_TRY(create_notes(w, info->kind));
    if (info->tokenizer) AE_TRY(write_tokenizer(w, info->tokenizer, info->tokenizer_bytes));
    ae_content_hash_start_at(&w->hash, zero);
    AE_TRY(column_add(w, &w->starts, &zero, 1));
out:
    return st;
}

ae_status ae_token_writer_open(ae_token_writer **writer, const char *path, const ae_token_set_info *info) {
    *writer = NULL;
    ae_token_writer *w = calloc(1, sizeof *w);
    if (!w) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    w->file = H5I_INVALID_HID;
    w->vocab_size = info->vocab_size;
    w->has_mask = info->has_mask;
    w->has_text_bytes = !info->no_text_bytes;
    w->has_margins = info->has_margins;
    w->has_meta = info->has_meta;
    w->hash = ae_content_hash_start();
    const size_t n = strlen(path) + sizeof ".partial";
    w->path = strdup(path);
    w->aside = malloc(n);
    if (w->aside) snprintf(w->aside, n, "%s.partial", path);
    const ae_status st =
        w->path && w->aside ? create(w, info) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (st != AE_OK) {
        ae_token_writer_abandon(w);
        return st;
    }
    *writer = w;
    return AE_OK;
}

static ae_status add_mask(ae_token_writer *w, const uint8_t *mask, int64_t n) {
    if (!w->has_mask) return AE_OK;
    if (mask) return column_add(w, &w->mask, mask, n);
    const uint8_t counted = 1;
    ae_status st = AE_OK;
    for (int64_t i = 0; i < n && st == AE_OK; i++) st = column_add(w, &w->mask, &counted, 1);
    return st;
}

ae_status ae_token_writer_part(ae_token_writer *w, const int32_t *tokens, const uint8_t *mask, int64_t n) {
    if (mask && !w->has_mask) return AE_FAIL(AE_ERR_DEFECT, "%s: a mask for a set without one", w->path);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= w->vocab_size)
            return AE_FAIL(AE_ERR_DEFECT, "%s: expected ids below %lld, found %d", w->path,
                           (long long)w->vocab_size, tokens[i]);
    const ae_status st = column_add(w, &w->ids, tokens, n);
    w->tokens += n;
    ae_content_hash_tokens(&w->hash, tokens, mask, n);
    return st == AE_OK ? add_mask(w, mask, n) : st;
}

ae_status ae_token_writer_end_document(ae_token_writer *w, int64_t text_bytes) {
    w->documents++;
    ae_content_hash_start_at(&w->hash, w->tokens);
    const ae_status st = column_add(w, &w->starts, &w->tokens, 1);
    return st == AE_OK && w->has_text_bytes ? column_add(w, &w->text_bytes, &text_bytes, 1) : st;
}

ae_status ae_token_writer_margin(ae_token_writer *w, float margin) {
    ae_set_notes_hash_margin(&w->hash, margin);
    return column_add(w, &w->margins, &margin, 1);
}

ae_status ae_token_writer_meta(ae_token_writer *w, const char *json) {
    const size_t n = json ? strlen(json) : 0;
    ae_set_notes_hash_meta(&w->hash, json ? json : "", n);
    w->meta_bytes += (int64_t)n;
    const ae_status st = column_add(w, &w->meta, json, (int64_t)n);
    return st == AE_OK ? column_add(w, &w->meta_starts, &w->meta_bytes, 1) : st;
}

ae_status ae_token_writer_add(ae_token_writer *w, const int32_t *tokens, const uint8_t *mask, int64_t n,
                              int64_t text_bytes) {
    const ae_status st = ae_token_writer_part(w, tokens, mask, n);
    return st == AE_OK ? ae_token_writer_end_document(w, text_bytes) : st;
}

int64_t ae_token_writer_tokens(const ae_token_writer *w) {
    return w->tokens;
}

int64_t ae_token_writer_documents(const ae_token_writer *w) {
    return w->documents;
}

static ae_status close_file(ae_token_writer *w) {
    const ae_status st = w->file >= 0 ? ae_h5_close(w->file, w->aside) : AE_OK;
    w->file = H5I_INVALID_HID;
    return st;
}

static void writer_free(ae_token_writer *w) {
    free(w->ids.entries);
    free(w->mask.entries);
    free(w->starts.entries);
    free(w->text_bytes.entries);
    free(w->margins.entries);
    free(w->meta.entries);
    free(w->meta_starts.entries);
    free(w->path);
    free(w->aside);
    free(w);
}

static ae_status write_manifest(ae_token_writer *w, const char *text) {
    const int64_t hash = (int64_t)ae_fnv(AE_FNV_START, text, strlen(text));
    const ae_status st = ae_h5_set_attr_text(w->file, w->aside, "manifest", text);
    return st == AE_OK ? ae_h5_set_attr_int(w->file, w->aside, AE_MANIFEST_HASH, hash) : st;
}

ae_status ae_token_writer_finish(ae_token_writer *w, const char *manifest_json) {
    ae_status st = AE_OK;
    AE_TRY(column_flush(w, &w->ids));
    AE_TRY(column_flush(w, &w->starts));
    AE_TRY(column_flush(w, &w->text_bytes));
    AE_TRY(column_flush(w, &w->mask));
    AE_TRY(column_flush(w, &w->margins));
    AE_TRY(column_flush(w, &w->meta));
    AE_TRY(column_flush(w, &w->meta_starts));
    AE_TRY(set_hash_attr(w, AE_CONTENT_HASH, ae_content_hash_end(&w->hash)));
    if (manifest_json) AE_TRY(write_manifest(w, manifest_json));
    AE_TRY(close_file(w));
    AE_TRY(ae_path_sync(w->aside));
    AE_TRY(ae_path_rename(w->aside, w->path));
    writer_free(w);
    return AE_OK;
out:
    ae_token_writer_abandon(w);
    return st;
}

void ae_token_writer_abandon(ae_token_writer *w) {
    if (!w) return;
    if (w->file >= 0) close_file(w);
    if (w->aside) unlink(w->aside);
    writer_free(w);
}
