#include "data/trim.h"

#include "core/file.h"
#include "data/hash.h"
#include "data/pieces.h"

#include <stdlib.h>
#include <string.h>

static const char space_mark[] = "\xE2\x96\x81"; /* U+2581, how sentencepiece writes a space */
enum { MARK_BYTES = 3 };

typedef struct {
    const ae_trim_request *r;
    ae_pieces pieces;
    int32_t *slots;  /* ids by the hash of their text; -1: free */
    size_t n_slots;  /* a power of two */
    int64_t *count;  /* [pieces] */
    bool *keep;      /* [pieces] */
    int32_t *new_id; /* [pieces], -1: left out */
} trim;

static ae_status no_memory(const trim *t) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", t->r->where);
}

/* ---- pieces by their text ---- */

static int32_t find(const trim *t, const char *text, size_t n) {
    for (size_t i = (size_t)ae_fnv(AE_FNV_START, text, n);; i++) {
        const int32_t id = t->slots[i & (t->n_slots - 1)];
        if (id < 0) return -1;
        const ae_sentence_piece *p = &t->pieces.items[id];
        if (p->n == n && memcmp(p->text, text, n) == 0) return id;
    }
}

static ae_status make_index(trim *t) {
    for (t->n_slots = 1; t->n_slots < 2 * (size_t)t->pieces.n;) t->n_slots *= 2;
    t->slots = malloc(t->n_slots * sizeof *t->slots);
    if (!t->slots) return no_memory(t);
    for (size_t i = 0; i < t->n_slots; i++) t->slots[i] = -1;
    for (int32_t id = 0; id < t->pieces.n; id++) {
        const ae_sentence_piece *p = &t->pieces.items[id];
        size_t i = (size_t)ae_fnv(AE_FNV_START, p->text, p->n);
        while (t->slots[i & (t->n_slots - 1)] >= 0) i++;
        t->slots[i & (t->n_slots - 1)] = id;
    }
    return AE_OK;
}

static ae_status start(trim *t, const ae_trim_request *r) {
    size_t n = 0;
    const void *bytes = ae_tokenizer_bytes(r->tokenizer, &n);
    *t = (trim){.r = r};
    ae_status st = ae_pieces_read(&t->pieces, bytes, n, r->where);
    if (st != AE_OK) return st;
    if (t->pieces.n != ae_tokenizer_size(r->tokenizer))
        return AE_FAIL(AE_ERR_DEFECT, "%s: expected %d pieces, found %d", r->where,
                       ae_tokenizer_size(r->tokenizer), t->pieces.n);
    t->count = calloc((size_t)t->pieces.n, sizeof *t->count);
    t->keep = calloc((size_t)t->pieces.n, sizeof *t->keep);
    t->new_id = malloc((size_t)t->pieces.n * sizeof *t->new_id);
    return t->count && t->keep && t->new_id ? make_index(t) : no_memory(t);
}

static void finish(trim *t) {
    ae_pieces_free(&t->pieces);
    free(t->slots);
    free(t->count);
    free(t->keep);
    free(t->new_id);
}

/* ---- what the corpus uses ---- */

typedef ae_status text_function(trim *t, ae_trimmed *out, const char *text, size_t n);

static ae_status each_text(trim *t, ae_trimmed *out, text_function *f) {
    ae_documents *d = NULL;
    ae_block b = {0};
    ae_status st;
    AE_TRY(ae_documents_open(&d, &t->r->input));
    do {
        AE_TRY(ae_documents_next(d, &b));
        for (size_t i = 0; i < b.n_pieces; i++) AE_TRY(f(t, out, b.text + b.pieces[i].offset, b.pieces[i].n));
    } while (b.n_pieces > 0);
out:
    ae_block_free(&b);
    ae_documents_close(d);
    return st;
}

static ae_status count_text(trim *t, ae_trimmed *out, const char *text, size_t n) {
    ae_ids ids = {0};
    const ae_status st = ae_tokenizer_encode(t->r->tokenizer, text, n, &ids);
    for (ptrdiff_t i = 0; i < ids.n; i++) t->count[ids.ids[i]]++;
    out->tokens_before += ids.n;
    ae_ids_free(&ids);
    return st;
}

/* ---- what stays ---- */

/* The one of the lowest or the highest score, from which sentencepiece counts other costs. */
static void keep_extremes(trim *t) {
    int32_t low = -1, high = -1;
    for (int32_t id = 0; id < t->pieces.n; id++) {
        const ae_sentence_piece *p = &t->pieces.items[id];
        if (p->kind != AE_PIECE_NORMAL) continue;
        if (low < 0 || p->score < t->pieces.items[low].score) low = id;
        if (high < 0 || p->score > t->pieces.items[high].score) high = id;
    }
    if (low >= 0) t->keep[low] = t->keep[high] = true;
}

static void keep_used(trim *t) {
    const ae_special_ids s = ae_tokenizer_special(t->r->tokenizer);
    const int32_t named[] = {s.start_of_turn, s.end_of_turn, find(t, space_mark, MARK_BYTES)};
    for (int32_t id = 0; id < t->pieces.n; id++) {
        const ae_piece_kind kind = t->pieces.items[id].kind;
        const bool text = kind == AE_PIECE_NORMAL || kind == AE_PIECE_USER_DEFINED;
        t->keep[id] = !text || t->count[id] >= t->r->min_count;
    }
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (named[i] >= 0) t->keep[named[i]] = true;
    if (!t->pieces.bpe) keep_extremes(t);
}

/* A line with its spaces as sentencepiece writes them. */
static char *marked(const char *line, size_t n, size_t *bytes) {
    char *text = malloc(MARK_BYTES * n + 1);
    *bytes = 0;
    for (size_t i = 0; text && i < n; i++) {
        const bool space = line[i] == ' ';
        memcpy(text + *bytes, space ? space_mark : line + i, space ? MARK_BYTES : 1);
        *bytes += space ? MARK_BYTES : 1;
    }
    return text;
}

static ae_status keep_line(trim *t, const ae_reader *in, const char *line, size_t n) {
    size_t bytes = 0;
    char *text = marked(line, n, &bytes);
    if (!text) return no_memory(t);
    const int32_t id = find(t, text, bytes);
    free(text);
    if (id >= 0) {
        t->keep[id] = true;
        return AE_OK;
    }
    return AE_FAIL(AE_ERR_INPUT, "%s:%lld: expected a piece of %s, found '%.*s', which it has not",
                   ae_reader_name(in), (long long)ae_reader_line_number(in), t->r->where,
                   (int)(n < 100 ? n : 100), line);
}

static ae_status keep_listed(trim *t) {
    ae_reader *in = NULL;
    char *line = NULL;
    size_t n = 0;
    ae_status st;
    if (!t->r->keep) return AE_OK;
    AE_TRY(ae_reader_open(&in, t->r->keep));
    for (;;) {
        AE_TRY(ae_reader_line(in, &line, &n));
        if (!line) break;
        if (n > 0) AE_TRY(keep_line(t, in, line, n));
    }
out:
    ae_reader_close(in);
    return st;
}

/* ---- what merging passes through ---- */

static size_t char_bytes(const char *s, size_t n) {
    const unsigned char c = (unsigned char)s[0];
    const size_t length = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return length < n ? length : n;
}

static bool is_text(const ae_sentence_piece *p) {
    return p->kind == AE_PIECE_NORMAL || p->kind == AE_PIECE_USER_DEFINED || p->kind == AE_PIECE_UNUSED;
}

/* A piece that text may become: control tokens and bytes are not found in text. */
static int32_t find_text(const trim *t, const char *s, size_t n) {
    const int32_t id = find(t, s, n);
    return id >= 0 && is_text(&t->pieces.items[id]) ? id : -1;
}

static void keep_text(trim *t, const char *s, size_t n) {
    const int32_t id = find_text(t, s, n);
    if (id >= 0) t->keep[id] = true;
}

static size_t split_chars(trim *t, const ae_sentence_piece *p, size_t *ends) {
    size_t n = 0;
    for (size_t at = 0; at < p->n;) {
        const size_t length = char_bytes(p->text + at, p->n - at);
        keep_text(t, p->text + at, length);
        at += length;
        ends[n++] = at;
    }
    return n;
}

/* The two neighbours to be merged next: those whose piece has the highest score, the leftmost of them; n when
 * there are none. */
static size_t best_pair(const trim *t, const ae_sentence_piece *p, const size_t *ends, size_t n) {
    size_t best = n;
    float score = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        const size_t from = i > 0 ? ends[i - 1] : 0;
        const int32_t id = find_text(t, p->text + from, ends[i + 1] - from);
        if (id < 0 || (best < n && t->pieces.items[id].score <= score)) continue;
        best = i;
        score = t->pieces.items[id].score;
    }
    return best;
}

static ae_status keep_parts(trim *t, const ae_sentence_piece *p) {
    size_t *ends = malloc((p->n + 1) * sizeof *ends);
    if (!ends) return no_memory(t);
    size_t n = split_chars(t, p, ends);
    for (size_t i; t->pieces.bpe && (i = best_pair(t, p, ends, n)) < n; n--) {
        const size_t from = i > 0 ? ends[i - 1] : 0;
        keep_text(t, p->text + from, ends[i + 1] - from);
        memmove(ends + i, ends + i + 1, (n - i - 1) * sizeof *ends);
    }
    free(ends);
    return AE_OK;
}

/* The parts of a part are among the parts: one round is enough. */
static ae_status keep_all_parts(trim *t) {
    ae_status st = AE_OK;
    bool *wanted = malloc((size_t)t->pieces.n * sizeof *wanted);
    if (!wanted) return no_memory(t);
    memcpy(wanted, t->keep, (size_t)t->pieces.n * sizeof *wanted);
    for (int32_t id = 0; st == AE_OK && id < t->pieces.n; id++) {
        const ae_sentence_piece *p = &t->pieces.items[id];
        if (wanted[id] && is_text(p)) st = keep_parts(t, p);
    }
    free(wanted);
    return st;
}

/* ---- the smaller model ---- */

static ae_status make_tokenizer(trim *t, ae_trimmed *out) {
    void *bytes = NULL;
    size_t n = 0;
    out->old_id = malloc((size_t)t->pieces.n * sizeof *out->old_id);
    if (!out->old_id) return no_memory(t);
    for (int32_t id = 0; id < t->pieces.n; id++) {
        t->new_id[id] = t->keep[id] ? out->n : -1;
        if (t->keep[id]) out->old_id[out->n++] = id;
    }
    ae_status st = ae_pieces_subset(&t->pieces, t->keep, &bytes, &n);
    if (st == AE_OK) st = ae_tokenizer_from_bytes(&out->tokenizer, bytes, n, t->r->where);
    free(bytes);
    return st;
}

/* Whether all pieces stay; then they are renumbered. */
static bool renumber(const trim *t, ae_ids *ids) {
    for (ptrdiff_t i = 0; i < ids->n; i++) {
        ids->ids[i] = t->new_id[ids->ids[i]];
        if (ids->ids[i] < 0) return false;
    }
    return true;
}

static ae_status check_line(trim *t, ae_trimmed *out, const char *text, size_t n) {
    ae_ids before = {0}, after = {0};
    ae_status st;
    AE_TRY(ae_tokenizer_encode(t->r->tokenizer, text, n, &before));
    AE_TRY(ae_tokenizer_encode(out->tokenizer, text, n, &after));
    out->tokens_after += after.n;
    if (renumber(t, &before) &&
        (before.n != after.n || memcmp(before.ids, after.ids, (size_t)after.n * sizeof *after.ids) != 0))
        st = AE_FAIL(AE_ERR_DEFECT, "%s: the smaller model encodes kept text otherwise: '%.*s'", t->r->where,
                     (int)(n < 80 ? n : 80), text);
out:
    ae_ids_free(&before);
    ae_ids_free(&after);
    return st;
}

/* With all line ends after it, which may be one piece. */
static size_t line_bytes(const char *text, size_t n) {
    const char *end = memchr(text, '\n', n);
    size_t i = end ? (size_t)(end - text) : n;
    while (i < n && (text[i] == '\n' || text[i] == '\r')) i++;
    return i;
}

/* Line by line: where pieces have gone, most lines still hold none of them. */
static ae_status check_text(trim *t, ae_trimmed *out, const char *text, size_t n) {
    ae_status st = AE_OK;
    while (st == AE_OK && n > 0) {
        const size_t line = line_bytes(text, n);
        st = check_line(t, out, text, line);
        text += line;
        n -= line;
    }
    return st;
}

ae_status ae_trim(ae_trimmed *out, const ae_trim_request *r) {
    trim t;
    ae_status st;
    *out = (ae_trimmed){0};
    AE_TRY(start(&t, r));
    AE_TRY(each_text(&t, out, count_text));
    keep_used(&t);
    AE_TRY(keep_listed(&t));
    AE_TRY(keep_all_parts(&t));
    AE_TRY(make_tokenizer(&t, out));
    AE_TRY(each_text(&t, out, check_text));
out:
    finish(&t);
    if (st != AE_OK) ae_trimmed_free(out);
    return st;
}

void ae_trimmed_free(ae_trimmed *t) {
    ae_tokenizer_delete(t->tokenizer);
    free(t->old_id);
    *t = (ae_trimmed){0};
}
