#include "data/set_notes.h"

#include "core/h5.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status no_memory(const char *path) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

static ae_status read_kind(ae_set_notes *n, hid_t file, const char *path, int64_t documents) {
    char *text = NULL;
    if (!ae_h5_has_attr(file, "kind")) return AE_OK;
    ae_status st = ae_h5_attr_text(file, path, "kind", &text);
    if (st != AE_OK) return st;
    if (ae_data_kind_parse(text, &n->kind) != AE_OK)
        st = AE_FAIL(AE_ERR_INPUT, "%s: kind: expected chat, pairs or prompts, found \"%.40s\"", path, text);
    else if (n->kind == AE_KIND_PAIRS && documents % 2)
        st = AE_FAIL(AE_ERR_INPUT, "%s: doc_starts: expected two documents a pair, found %lld", path,
                     (long long)documents);
    free(text);
    return st;
}

static ae_status expect_length(hid_t file, const char *path, const char *name, const char *each,
                               int64_t want) {
    int64_t n = 0;
    const ae_status st = ae_h5_length(file, path, name, &n);
    if (st != AE_OK || n == want) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %lld entries, %s, found %lld", path, name, (long long)want,
                   each, (long long)n);
}

static ae_status read_margins(ae_set_notes *n, hid_t file, const char *path, int64_t pairs) {
    if (n->kind != AE_KIND_PAIRS || !ae_h5_has(file, "margin")) return AE_OK;
    ae_status st = expect_length(file, path, "margin", "one a pair", pairs);
    if (st != AE_OK) return st;
    n->margins = malloc((size_t)pairs * sizeof *n->margins);
    if (!n->margins) return no_memory(path);
    st = ae_h5_read(file, path, "margin", H5T_NATIVE_FLOAT, 1, &pairs, n->margins);
    for (int64_t i = 0; i < pairs && st == AE_OK; i++)
        if (!isfinite(n->margins[i]))
            st = AE_FAIL(AE_ERR_INPUT, "%s: margin: expected numbers, found %g at %lld", path,
                         (double)n->margins[i], (long long)i);
    return st;
}

static ae_status check_meta_starts(const ae_set_notes *n, const char *path, int64_t documents,
                                   int64_t bytes) {
    const int64_t *starts = n->meta_starts;
    bool rising = starts[0] == 0 && starts[documents] == bytes;
    for (int64_t i = 0; i < documents; i++) rising = rising && starts[i] <= starts[i + 1];
    if (rising) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: meta_starts: expected ascending entries from 0 to the %lld bytes of meta, found others", path,
        (long long)bytes);
}

static ae_status read_meta(ae_set_notes *n, hid_t file, const char *path, int64_t documents) {
    const int64_t entries = documents + 1;
    int64_t bytes = 0;
    ae_status st = AE_OK;
    if (n->kind != AE_KIND_PROMPTS || !ae_h5_has(file, "meta")) return AE_OK;
    AE_TRY(expect_length(file, path, "meta_starts", "one more than documents", entries));
    AE_TRY(ae_h5_length(file, path, "meta", &bytes));
    n->meta_starts = malloc((size_t)entries * sizeof *n->meta_starts);
    n->meta = malloc((size_t)bytes + 1);
    if (!n->meta_starts || !n->meta) AE_TRY(no_memory(path));
    AE_TRY(ae_h5_read(file, path, "meta_starts", H5T_NATIVE_INT64, 1, &entries, n->meta_starts));
    if (bytes > 0) AE_TRY(ae_h5_read(file, path, "meta", H5T_NATIVE_UINT8, 1, &bytes, n->meta));
    AE_TRY(check_meta_starts(n, path, documents, bytes));
out:
    return st;
}

ae_status ae_set_notes_read(ae_set_notes *n, hid_t file, const char *path, int64_t documents) {
    ae_status st;
    *n = (ae_set_notes){0};
    AE_TRY(read_kind(n, file, path, documents));
    AE_TRY(read_margins(n, file, path, documents / 2));
    AE_TRY(read_meta(n, file, path, documents));
out:
    if (st != AE_OK) ae_set_notes_free(n);
    return st;
}

void ae_set_notes_free(ae_set_notes *n) {
    free(n->margins);
    free(n->meta);
    free(n->meta_starts);
    *n = (ae_set_notes){0};
}

void ae_set_notes_hash_margin(ae_content_hash *h, float margin) {
    uint32_t bits;
    memcpy(&bits, &margin, sizeof bits);
    h->notes = ae_hash_mix(h->notes, bits);
}

void ae_set_notes_hash_meta(ae_content_hash *h, const char *meta, size_t bytes) {
    h->notes = ae_hash_mix(ae_hash_mix(h->notes, bytes), ae_fnv(AE_FNV_START, meta, bytes));
}

void ae_set_notes_hash(ae_content_hash *h, const ae_set_notes *n, int64_t documents) {
    h->kind = n->kind;
    for (int64_t i = 0; n->margins && i < documents / 2; i++) ae_set_notes_hash_margin(h, n->margins[i]);
    for (int64_t i = 0; n->meta && i < documents; i++)
        ae_set_notes_hash_meta(h, n->meta + n->meta_starts[i],
                               (size_t)(n->meta_starts[i + 1] - n->meta_starts[i]));
}
