#include "data/token_set.h"

#include "core/file.h"
#include "core/h5.h"
#include "data/documents.h"
#include "data/hash.h"
#include "data/set_notes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_TOKENS = 1 << 16, BLOCK_TOKENS = 1 << 14, BLOCKS = 64 };

/* Tokens [index, index + 1) * BLOCK_TOKENS, as they are in the file. */
typedef struct {
    int64_t index; /* -1: nothing */
    int32_t *ids;  /* NULL until first used */
    uint8_t *mask;
} block;

struct ae_token_set {
    char *path, *manifest;
    hid_t file;
    int64_t tokens, documents, vocab_size;
    int64_t *doc_starts; /* [documents + 1] */
    int64_t *doc_bytes;  /* [documents] or NULL */
    bool has_mask, hashed;
    uint64_t hash;
    void *tokenizer;
    size_t tokenizer_bytes;
    ae_set_notes notes;
    pthread_mutex_t lock;
    block blocks[BLOCKS]; /* read last; block i at i % BLOCKS, under the lock */
};

static ae_status no_memory(const char *path) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

static ae_status check_doc_starts(const ae_token_set *s) {
    const int64_t *starts = s->doc_starts;
    if (starts[0] != 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: doc_starts: expected 0 first, found %lld", s->path,
                       (long long)starts[0]);
    for (int64_t i = 0; i < s->documents; i++)
        if (starts[i + 1] < starts[i])
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: doc_starts: expected ascending entries, found %lld after %lld at %lld",
                           s->path, (long long)starts[i + 1], (long long)starts[i], (long long)i + 1);
    if (starts[s->documents] == s->tokens) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: doc_starts: expected the number of tokens, %lld, as its last entry, found %lld",
                   s->path, (long long)s->tokens, (long long)starts[s->documents]);
}

static ae_status read_doc_starts(ae_token_set *s) {
    int64_t n = 0;
    ae_status st = ae_h5_length(s->file, s->path, "doc_starts", &n);
    if (st != AE_OK) return st;
    if (n < 2)
        return AE_FAIL(AE_ERR_INPUT, "%s: doc_starts: expected at least 2 entries, found %lld", s->path,
                       (long long)n);
    s->documents = n - 1;
    s->doc_starts = malloc((size_t)n * sizeof *s->doc_starts);
    if (!s->doc_starts) return no_memory(s->path);
    st = ae_h5_read(s->file, s->path, "doc_starts", H5T_NATIVE_INT64, 1, &n, s->doc_starts);
    return st == AE_OK ? check_doc_starts(s) : st;
}

static ae_status read_doc_bytes(ae_token_set *s) {
    if (!ae_h5_has(s->file, "doc_bytes")) return AE_OK;
    s->doc_bytes = malloc((size_t)s->documents * sizeof *s->doc_bytes);
    if (!s->doc_bytes) return no_memory(s->path);
    const ae_status st =
        ae_h5_read(s->file, s->path, "doc_bytes", H5T_NATIVE_INT64, 1, &s->documents, s->doc_bytes);
    if (st != AE_OK) return st;
    for (int64_t i = 0; i < s->documents; i++)
        if (s->doc_bytes[i] < 0)
            return AE_FAIL(AE_ERR_INPUT, "%s: doc_bytes: expected 0 or more, found %lld at %lld", s->path,
                           (long long)s->doc_bytes[i], (long long)i);
    return AE_OK;
}

/* 16 hexadecimal digits. */
static ae_status read_hash(const ae_token_set *s, const char *name, uint64_t *hash) {
    char *text = NULL;
    ae_status st = ae_h5_attr_text(s->file, s->path, name, &text);
    if (st != AE_OK) return st;
    if (strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16)
        *hash = strtoull(text, NULL, 16);
    else
        st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected 16 hexadecimal digits, found \"%.40s\"; remove it",
                     s->path, name, text);
    free(text);
    return st;
}

static ae_status check_tokenizer_hash(const ae_token_set *s) {
    uint64_t kept = 0;
    if (!ae_h5_has_attr(s->file, AE_TOKENIZER_HASH)) return AE_OK;
    const ae_status st = read_hash(s, AE_TOKENIZER_HASH, &kept);
    if (st != AE_OK || kept == ae_fnv(AE_FNV_START, s->tokenizer, s->tokenizer_bytes)) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: tokenizer: expected the bytes of hash %016llx, found others", s->path,
                   (unsigned long long)kept);
}

static ae_status read_tokenizer(ae_token_set *s) {
    int64_t n = 0;
    if (!ae_h5_has(s->file, "tokenizer")) return AE_OK;
    ae_status st = ae_h5_length(s->file, s->path, "tokenizer", &n);
    if (st != AE_OK || n == 0) return st;
    s->tokenizer = malloc((size_t)n);
    if (!s->tokenizer) return no_memory(s->path);
    s->tokenizer_bytes = (size_t)n;
    st = ae_h5_read(s->file, s->path, "tokenizer", H5T_NATIVE_UINT8, 1, &n, s->tokenizer);
    return st == AE_OK ? check_tokenizer_hash(s) : st;
}

/* Held against its hash where the set keeps one. */
static ae_status read_manifest(ae_token_set *s) {
    int64_t kept = 0;
    ae_status st;
    if (!ae_h5_has_attr(s->file, "manifest")) return AE_OK;
    AE_TRY(ae_h5_attr_text(s->file, s->path, "manifest", &s->manifest));
    if (!ae_h5_has_attr(s->file, AE_MANIFEST_HASH)) return AE_OK;
    AE_TRY(ae_h5_attr_int(s->file, s->path, AE_MANIFEST_HASH, &kept));
    if ((uint64_t)kept != ae_fnv(AE_FNV_START, s->manifest, strlen(s->manifest)))
        st = AE_FAIL(AE_ERR_INPUT, "%s: manifest: expected the text of hash %016llx, found another", s->path,
                     (unsigned long long)kept);
out:
    return st;
}

static ae_status read_vocab_size(ae_token_set *s) {
    const ae_status st = ae_h5_attr_int(s->file, s->path, "vocab_size", &s->vocab_size);
    if (st != AE_OK) return st;
    if (s->vocab_size >= 1 && s->vocab_size <= INT32_MAX) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: vocab_size: expected 1 to %d, found %lld", s->path, INT32_MAX,
                   (long long)s->vocab_size);
}

static ae_status read_mask_shape(ae_token_set *s) {
    int64_t n = 0;
    s->has_mask = ae_h5_has(s->file, "loss_mask");
    if (!s->has_mask) return AE_OK;
    const ae_status st = ae_h5_shape(s->file, s->path, "loss_mask", 1, &n);
    if (st != AE_OK || n == s->tokens) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: loss_mask: expected %lld entries, one a token, found %lld", s->path,
                   (long long)s->tokens, (long long)n);
}

static ae_status read_header(ae_token_set *s) {
    ae_status st = AE_OK;
    AE_TRY(read_vocab_size(s));
    AE_TRY(ae_h5_length(s->file, s->path, "tokens", &s->tokens));
    if (s->tokens == 0) AE_TRY(AE_FAIL(AE_ERR_INPUT, "%s: tokens: expected some, found none", s->path));
    AE_TRY(read_doc_starts(s));
    AE_TRY(read_mask_shape(s));
    AE_TRY(read_doc_bytes(s));
    AE_TRY(ae_set_notes_read(&s->notes, s->file, s->path, s->documents));
    AE_TRY(read_tokenizer(s));
    AE_TRY(read_manifest(s));
out:
    return st;
}

ae_status ae_token_set_open(ae_token_set **set, const char *path) {
    *set = NULL;
    if (ae_path_is_folder(path))
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a token set, found a folder; name a file such as %s/train.h5", path,
                       path);
    if (ae_path_names_jsonl(path) && ae_path_exists(path))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected a token set, found a file of JSON lines; `aerie data prepare` makes a set "
            "of it (only `sft` and `reward` train on JSON lines as they are)",
            path);
    ae_token_set *s = calloc(1, sizeof *s);
    if (!s) return no_memory(path);
    s->file = H5I_INVALID_HID;
    pthread_mutex_init(&s->lock, NULL);
    for (int i = 0; i < BLOCKS; i++) s->blocks[i].index = -1;
    s->path = strdup(path);
    ae_status st = s->path ? ae_h5_open(&s->file, path) : no_memory(path);
    if (st == AE_OK) st = read_header(s);
    if (st != AE_OK) {
        ae_token_set_close(s);
        return st;
    }
    *set = s;
    return AE_OK;
}

void ae_token_set_close(ae_token_set *s) {
    if (!s) return;
    if (s->file >= 0) ae_h5_close(s->file, s->path);
    for (int i = 0; i < BLOCKS; i++) {
        free(s->blocks[i].ids);
        free(s->blocks[i].mask);
    }
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s->manifest);
    free(s->doc_starts);
    free(s->doc_bytes);
    ae_set_notes_free(&s->notes);
    free(s->tokenizer);
    free(s);
}

const char *ae_token_set_path(const ae_token_set *s) {
    return s->path;
}

int64_t ae_token_set_tokens(const ae_token_set *s) {
    return s->tokens;
}

int64_t ae_token_set_documents(const ae_token_set *s) {
    return s->documents;
}

int64_t ae_token_set_vocab_size(const ae_token_set *s) {
    return s->vocab_size;
}

bool ae_token_set_has_mask(const ae_token_set *s) {
    return s->has_mask;
}

const int64_t *ae_token_set_doc_starts(const ae_token_set *s) {
    return s->doc_starts;
}

const int64_t *ae_token_set_doc_bytes(const ae_token_set *s) {
    return s->doc_bytes;
}

const void *ae_token_set_tokenizer(const ae_token_set *s, size_t *n) {
    *n = s->tokenizer_bytes;
    return s->tokenizer;
}

const char *ae_token_set_manifest(const ae_token_set *s) {
    return s->manifest ? s->manifest : "";
}

ae_data_kind ae_token_set_kind(const ae_token_set *s) {
    return s->notes.kind;
}

const float *ae_token_set_margins(const ae_token_set *s) {
    return s->notes.margins;
}

const char *ae_token_set_meta(const ae_token_set *s, int64_t document, size_t *n) {
    const int64_t *starts = s->notes.meta_starts;
    *n = starts ? (size_t)(starts[document + 1] - starts[document]) : 0;
    return *n ? s->notes.meta + starts[document] : NULL;
}

static ae_status load_block(ae_token_set *s, block *b, int64_t index) {
    const int64_t first = index * BLOCK_TOKENS, left = s->tokens - first;
    const int64_t n = left < BLOCK_TOKENS ? left : BLOCK_TOKENS;
    b->index = -1;
    if (!b->ids) b->ids = malloc(BLOCK_TOKENS * sizeof *b->ids);
    if (!b->mask) b->mask = malloc(BLOCK_TOKENS);
    if (!b->ids || !b->mask) return no_memory(s->path);
    ae_status st = ae_h5_read_range(s->file, s->path, "tokens", H5T_NATIVE_INT32, first, n, b->ids);
    if (st == AE_OK && s->has_mask)
        st = ae_h5_read_range(s->file, s->path, "loss_mask", H5T_NATIVE_UINT8, first, n, b->mask);
    if (st != AE_OK) return st;
    if (!s->has_mask) memset(b->mask, 1, (size_t)n);
    b->index = index;
    return AE_OK;
}

/* What is read is checked, not more: a fault far off does not stop what comes before it. */
static ae_status check_entries(const ae_token_set *s, int64_t first, int64_t n, const int32_t *ids,
                               const uint8_t *mask) {
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= s->vocab_size)
            return AE_FAIL(AE_ERR_INPUT, "%s: tokens: expected ids below %lld, found %d at %lld", s->path,
                           (long long)s->vocab_size, ids[i], (long long)(first + i));
        if (mask[i] > 1)
            return AE_FAIL(AE_ERR_INPUT, "%s: loss_mask: expected 0 or 1, found %d at %lld", s->path, mask[i],
                           (long long)(first + i));
    }
    return AE_OK;
}

static ae_status read_blocks(ae_token_set *s, int64_t first, int64_t n, int32_t *tokens, uint8_t *mask) {
    for (int64_t done = 0; done < n;) {
        const int64_t at = first + done, index = at / BLOCK_TOKENS, skip = at % BLOCK_TOKENS;
        const int64_t take = n - done < BLOCK_TOKENS - skip ? n - done : BLOCK_TOKENS - skip;
        block *b = &s->blocks[index % BLOCKS];
        ae_status st = b->index == index ? AE_OK : load_block(s, b, index);
        if (st == AE_OK) st = check_entries(s, at, take, b->ids + skip, b->mask + skip);
        if (st != AE_OK) return st;
        memcpy(tokens + done, b->ids + skip, (size_t)take * sizeof *tokens);
        if (mask) memcpy(mask + done, b->mask + skip, (size_t)take);
        done += take;
    }
    return AE_OK;
}

ae_status ae_token_set_read(ae_token_set *s, int64_t first, int64_t n, int32_t *tokens, uint8_t *mask) {
    if (first < 0 || n < 0 || first > s->tokens || n > s->tokens - first)
        return AE_FAIL(AE_ERR_INPUT, "%s: tokens: expected a range of %lld, found %lld from %lld on", s->path,
                       (long long)s->tokens, (long long)n, (long long)first);
    pthread_mutex_lock(&s->lock);
    const ae_status st = read_blocks(s, first, n, tokens, mask);
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* Reads the whole set. */
static ae_status hash_contents(ae_token_set *s, uint64_t *hash) {
    ae_status st = AE_OK;
    ae_content_hash h = ae_content_hash_start();
    int32_t *tokens = malloc(HASH_TOKENS * sizeof *tokens);
    uint8_t *mask = malloc(HASH_TOKENS);
    if (!tokens || !mask) AE_TRY(no_memory(s->path));
    for (int64_t i = 0; i <= s->documents; i++) ae_content_hash_start_at(&h, s->doc_starts[i]);
    for (int64_t at = 0; at < s->tokens; at += HASH_TOKENS) {
        const int64_t n = s->tokens - at < HASH_TOKENS ? s->tokens - at : HASH_TOKENS;
        AE_TRY(ae_token_set_read(s, at, n, tokens, mask));
        ae_content_hash_tokens(&h, tokens, mask, n);
    }
    ae_set_notes_hash(&h, &s->notes, s->documents);
    *hash = ae_content_hash_end(&h);
out:
    free(tokens);
    free(mask);
    return st;
}

bool ae_token_set_keeps_hash(const ae_token_set *s) {
    return ae_h5_has_attr(s->file, AE_CONTENT_HASH);
}

ae_status ae_token_set_verify(ae_token_set *s) {
    uint64_t kept = 0, found = 0;
    ae_status st = hash_contents(s, &found);
    if (st != AE_OK || !ae_token_set_keeps_hash(s)) return st;
    st = read_hash(s, AE_CONTENT_HASH, &kept);
    if (st != AE_OK || kept == found) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: " AE_CONTENT_HASH ": expected %016llx of what is there, found %016llx: changed since "
                   "it was written; copy or prepare it again",
                   s->path, (unsigned long long)found, (unsigned long long)kept);
}

/* What can be compared at no cost goes in beside the contents: a file changed by hand may have kept its
 * attribute. */
ae_status ae_token_set_hash(ae_token_set *s, uint64_t *hash) {
    uint64_t h = 0;
    if (!s->hashed) {
        const ae_status st =
            ae_token_set_keeps_hash(s) ? read_hash(s, AE_CONTENT_HASH, &h) : hash_contents(s, &h);
        if (st != AE_OK) return st;
        h = ae_hash_mix(h, (uint64_t)s->vocab_size);
        h = ae_hash_mix(h, (uint64_t)s->documents);
        s->hash = ae_hash_mix(h, (uint64_t)s->tokens << 1 | s->has_mask);
        s->hashed = true;
    }
    *hash = s->hash;
    return AE_OK;
}
