#include "core/rng.h"
#include "data/documents.h"
#include "data/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A growing text of at most `limit` bytes besides the ends of documents, a NUL each. */
typedef struct {
    char *text;
    size_t n, capacity;
    double share; /* of the lines that are taken */
    int64_t room;
    ae_rng rng;
} sample;

static ae_status count_text(const ae_documents_options *o, int64_t *bytes) {
    ae_documents *d = NULL;
    ae_block block = {0};
    ae_status st = AE_OK;
    AE_TRY(ae_documents_open(&d, o));
    do {
        AE_TRY(ae_documents_next(d, &block));
    } while (block.n_pieces);
    *bytes = ae_documents_counted(d).text_bytes;
out:
    ae_block_free(&block);
    ae_documents_close(d);
    return st;
}

static ae_status append(sample *s, const char *text, size_t n) {
    if (s->n + n > s->capacity) {
        const size_t capacity = 2 * (s->n + n) + 4096;
        char *grown = realloc(s->text, capacity);
        if (!grown)
            return AE_FAIL(AE_ERR_RESOURCE, "tokenizer sample: out of memory for %zu bytes", capacity);
        s->text = grown;
        s->capacity = capacity;
    }
    if (n) memcpy(s->text + s->n, text, n);
    s->n += n;
    return AE_OK;
}

/* A line keeps the run of line ends after it. */
static size_t line_bytes(const char *text, size_t n) {
    const char *end = memchr(text, '\n', n);
    if (!end) return n;
    size_t length = (size_t)(end - text) + 1;
    while (length < n && (text[length] == '\n' || text[length] == '\r')) length++;
    return length;
}

static ae_status sample_piece(sample *s, const char *text, const ae_piece *p) {
    ae_status st = AE_OK;
    for (size_t at = 0; at < p->n && st == AE_OK;) {
        const size_t n = line_bytes(text + at, p->n - at);
        const bool chosen = s->share >= 1 || ae_rng_uniform(&s->rng) < s->share;
        if (chosen && (int64_t)n <= s->room) {
            st = append(s, text + at, n);
            s->room -= (int64_t)n;
        }
        at += n;
    }
    return st == AE_OK && p->ends ? append(s, "", 1) : st;
}

ae_status ae_documents_sample(const ae_documents_options *o, int64_t bytes, uint64_t seed, char **text,
                              size_t *n) {
    ae_documents *d = NULL;
    ae_block block = {0};
    sample s = {.room = bytes, .rng = ae_rng_make(seed, ae_rng_hash(seed, "tokenizer.sample"))};
    int64_t total = 0;
    ae_status st = AE_OK;
    *text = NULL;
    *n = 0;
    ae_documents_options again = *o;
    again.bad = NULL; /* told in the first pass */
    AE_TRY(count_text(o, &total));
    s.share = total <= bytes ? 1 : (double)bytes / (double)total;
    AE_TRY(ae_documents_open(&d, &again));
    do {
        AE_TRY(ae_documents_next(d, &block));
        for (size_t i = 0; i < block.n_pieces; i++)
            AE_TRY(sample_piece(&s, block.text + block.pieces[i].offset, &block.pieces[i]));
    } while (block.n_pieces);
    *text = s.text;
    *n = s.n;
    s.text = NULL;
out:
    free(s.text);
    ae_block_free(&block);
    ae_documents_close(d);
    return st;
}
