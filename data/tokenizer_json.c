#include "data/tokenizer_json.h"

#include "core/json.h"
#include "data/pieces.h"

#include <stdlib.h>
#include <string.h>

static const char mark[] = "\xe2\x96\x81"; /* U+2581, a space in pieces */

static bool is_plain_bpe(const ae_tokenizer_rules *r) {
    return r->kind == AE_TOKENIZER_BPE && r->byte_fallback && !r->space_behind && !r->prefix &&
           !r->folds_spaces && r->marks_spaces && !r->charsmap && !r->rewrites_decoded;
}

static size_t characters(const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

/* Symbols of several characters stay whole, which a BPE of Gemma's class does not know. */
static bool has_symbols(const ae_pieces *p) {
    for (int32_t i = 0; i < p->n; i++)
        if (p->items[i].kind == AE_PIECE_USER_DEFINED && characters(p->items[i].text, p->items[i].n) > 1)
            return true;
    return false;
}

static ae_status read_pieces(ae_pieces *p, const ae_tokenizer *t) {
    size_t n;
    const void *bytes = ae_tokenizer_bytes(t, &n);
    return ae_pieces_read(p, bytes, n, "tokenizer");
}

ae_status ae_tokenizer_needs_json(const ae_tokenizer *t, bool *needs) {
    ae_pieces p;
    *needs = false;
    const ae_status st = read_pieces(&p, t);
    if (st != AE_OK) return st;
    *needs = !is_plain_bpe(&p.rules) || has_symbols(&p);
    ae_pieces_free(&p);
    return AE_OK;
}

/* ---- what cannot be said ---- */

static const char *unsayable(const ae_pieces *p) {
    const ae_tokenizer_rules *r = &p->rules;
    if (r->kind != AE_TOKENIZER_UNIGRAM && r->kind != AE_TOKENIZER_BPE)
        return "a model of whole words or single characters";
    if (r->space_behind) return "a model whose spaces belong to the word before them";
    if (!r->marks_spaces) return "a model that keeps spaces as they are";
    if (r->rewrites_decoded) return "a model that rewrites decoded text";
    for (int32_t i = 0; i < p->n; i++) {
        if (p->items[i].kind == AE_PIECE_UNUSED) return "a model with unused pieces";
        if (p->items[i].n > 0 && memchr(p->items[i].text, '\0', p->items[i].n))
            return "a model with a NUL in a piece";
        if (p->items[i].kind == AE_PIECE_USER_DEFINED && r->prefix)
            return "a model with symbols of the user's and a space before the text";
    }
    return NULL;
}

/* ---- parts ---- */

/* Appends to a list; one that could not be made or cannot grow is NULL, and so is what is packed of it. */
static void add(json_t **list, json_t *value) {
    if (json_array_append_new(*list, value) == 0) return;
    json_decref(*list);
    *list = NULL;
}

static json_t *piece_text(const ae_sentence_piece *p) {
    return json_stringn(p->text, p->n);
}

/* Control tokens are found in text as it is, symbols of the user's once spaces are marked. A symbol with a
 * plain space in it never comes up. */
static json_t *added_tokens(const ae_pieces *p) {
    json_t *list = json_array();
    for (int32_t i = 0; i < p->n; i++) {
        const ae_sentence_piece *s = &p->items[i];
        const bool special = s->kind == AE_PIECE_CONTROL || s->kind == AE_PIECE_UNKNOWN;
        const bool users = s->kind == AE_PIECE_USER_DEFINED && !memchr(s->text, ' ', s->n);
        if (special || users)
            add(&list, json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (int)i, "content",
                                 piece_text(s), "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized",
                                 !special, "special", special));
    }
    return list;
}

static json_t *base64(const unsigned char *b, size_t n) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = malloc((n + 2) / 3 * 4 + 1), *to = out;
    for (size_t i = 0; out && i < n; i += 3) {
        const unsigned x =
            (unsigned)b[i] << 16 | (i + 1 < n ? (unsigned)b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0);
        *to++ = letters[x >> 18];
        *to++ = letters[x >> 12 & 63];
        *to++ = i + 1 < n ? letters[x >> 6 & 63] : '=';
        *to++ = i + 2 < n ? letters[x & 63] : '=';
    }
    json_t *text = out ? json_stringn(out, (size_t)(to - out)) : NULL;
    free(out);
    return text;
}

static json_t *replace_pattern(const char *pattern, const char *content) {
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "Regex", pattern, "content",
                     content);
}

static json_t *replace_text(const char *text, const char *content) {
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", text, "content", content);
}

/* In the order of the library: normal forms, spaces folded, a space in front, spaces marked. */
static json_t *normalizer(const ae_tokenizer_rules *r) {
    json_t *steps = json_array();
    if (r->charsmap)
        add(&steps, json_pack("{s:s, s:o}", "type", "Precompiled", "precompiled_charsmap",
                              base64(r->charsmap, r->charsmap_bytes)));
    if (r->folds_spaces) {
        add(&steps, replace_pattern("\\A +| +\\z", ""));
        add(&steps, replace_pattern(" {2,}", " "));
    }
    if (r->prefix) add(&steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", mark));
    add(&steps, replace_text(" ", mark));
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
}

/* A byte piece spelt out in text ("<0x41>") is text. A BPE never puts one together; the likeliest split would
 * take it, so it is parted. */
static json_t *pre_tokenizer(const ae_tokenizer_rules *r) {
    if (r->kind != AE_TOKENIZER_UNIGRAM || !r->byte_fallback) return json_null();
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", "<(?=0x[0-9A-F]{2}>)",
                     "behavior", "Isolated", "invert", 0);
}

static json_t *token_at(const char *name, const char *id, int type) {
    return json_pack("{s:{s:s, s:i}}", name, "id", id, "type_id", type);
}

/* <bos> in front, as everything here reads text. */
static json_t *post_processor(const ae_tokenizer *t) {
    const int32_t bos = ae_tokenizer_special(t).bos;
    if (bos < 0) return json_null();
    const char *piece = ae_tokenizer_piece(t, bos);
    return json_pack(
        "{s:s, s:[o, o], s:[o, o, o, o], s:{s:{s:s, s:[i], s:[s]}}}", "type", "TemplateProcessing", "single",
        token_at("SpecialToken", piece, 0), token_at("Sequence", "A", 0), "pair",
        token_at("SpecialToken", piece, 0), token_at("Sequence", "A", 0), token_at("SpecialToken", piece, 1),
        token_at("Sequence", "B", 1), "special_tokens", piece, "id", piece, "ids", (int)bos, "tokens", piece);
}

static json_t *decoder(const ae_tokenizer_rules *r) {
    json_t *steps = json_array();
    add(&steps, replace_text(mark, " "));
    add(&steps, json_pack("{s:s}", "type", "ByteFallback"));
    add(&steps, json_pack("{s:s}", "type", "Fuse"));
    if (r->prefix)
        add(&steps,
            json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

/* ---- models ---- */

static int32_t unknown_id(const ae_pieces *p) {
    for (int32_t i = 0; i < p->n; i++)
        if (p->items[i].kind == AE_PIECE_UNKNOWN) return i;
    return 0;
}

static json_t *unigram(const ae_pieces *p) {
    json_t *vocab = json_array();
    for (int32_t i = 0; i < p->n; i++)
        add(&vocab, json_pack("[o, f]", piece_text(&p->items[i]), (double)p->items[i].score));
    return json_pack("{s:s, s:i, s:o, s:b}", "type", "Unigram", "unk_id", (int)unknown_id(p), "vocab", vocab,
                     "byte_fallback", (int)p->rules.byte_fallback);
}

/* Two pieces that make another. */
typedef struct {
    int32_t piece;
    size_t left_bytes;
    float score;
} merge;

/* The best score first; of one piece those with the shorter left part. */
static int by_rank(const void *a, const void *b) {
    const merge *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->piece != y->piece) return x->piece < y->piece ? -1 : 1;
    return x->left_bytes < y->left_bytes ? -1 : x->left_bytes > y->left_bytes;
}

static bool is_normal(const json_t *ids, const ae_pieces *p, const char *text, size_t n) {
    char name[512];
    if (n >= sizeof name) return false;
    memcpy(name, text, n);
    name[n] = '\0';
    const json_t *id = strlen(name) == n ? json_object_get(ids, name) : NULL;
    return id && p->items[json_integer_value(id)].kind == AE_PIECE_NORMAL;
}

/* Every way to put a piece together from two others. */
static size_t find_merges(const ae_pieces *p, const json_t *ids, merge *out) {
    size_t n = 0;
    for (int32_t i = 0; i < p->n; i++) {
        const ae_sentence_piece *s = &p->items[i];
        for (size_t k = 1; s->kind == AE_PIECE_NORMAL && k < s->n; k++) {
            const bool inside = ((unsigned char)s->text[k] & 0xc0) == 0x80; /* of a character */
            if (inside || !is_normal(ids, p, s->text, k) || !is_normal(ids, p, s->text + k, s->n - k))
                continue;
            if (out) out[n] = (merge){i, k, s->score};
            n++;
        }
    }
    return n;
}

static json_t *merges_json(const ae_pieces *p, const merge *m, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        const ae_sentence_piece *s = &p->items[m[i].piece];
        add(&list, json_pack("[o, o]", json_stringn(s->text, m[i].left_bytes),
                             json_stringn(s->text + m[i].left_bytes, s->n - m[i].left_bytes)));
    }
    return list;
}

/* Every piece with its id, or NULL. */
static json_t *ids_of(const ae_pieces *p) {
    json_t *ids = json_object();
    for (int32_t i = 0; i < p->n; i++) {
        char *name = strndup(p->items[i].text, p->items[i].n);
        if (name) json_object_set_new(ids, name, json_integer(i));
        free(name);
    }
    if (json_object_size(ids) == (size_t)p->n) return ids;
    json_decref(ids);
    return NULL;
}

static json_t *bpe(const ae_pieces *p) {
    json_t *ids = ids_of(p);
    if (!ids) return NULL;
    const size_t n = find_merges(p, ids, NULL);
    merge *m = malloc((n + 1) * sizeof *m);
    if (!m) {
        json_decref(ids);
        return NULL;
    }
    (void)find_merges(p, ids, m);
    qsort(m, n, sizeof *m, by_rank);
    const ae_sentence_piece *unknown = &p->items[unknown_id(p)];
    json_t *list = merges_json(p, m, n);
    free(m);
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                     "unk_token", piece_text(unknown), "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", 1, "byte_fallback", (int)p->rules.byte_fallback, "ignore_merges", 0, "vocab",
                     ids, "merges", list);
}

/* ---- the whole ---- */

ae_status ae_tokenizer_json(const ae_tokenizer *t, char **text, const char **approximate) {
    ae_pieces p;
    *text = NULL;
    *approximate = NULL;
    const ae_status st = read_pieces(&p, t);
    if (st != AE_OK) return st;
    const char *why = unsayable(&p);
    json_t *root = NULL;
    if (!why)
        root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation",
                         "padding", "added_tokens", added_tokens(&p), "normalizer", normalizer(&p.rules),
                         "pre_tokenizer", pre_tokenizer(&p.rules), "post_processor", post_processor(t),
                         "decoder", decoder(&p.rules), "model", p.bpe ? bpe(&p) : unigram(&p));
    if (p.rules.charsmap)
        *approximate = "normal forms of rare sequences (a letter with a mark that has no character of its "
                       "own, half-width kana "
                       "with a sound mark)";
    *text = root ? ae_json_text(root) : NULL;
    json_decref(root);
    ae_pieces_free(&p);
    if (why)
        return AE_FAIL(
            AE_ERR_INPUT,
            "tokenizer: expected one that transformers can be told of, found %s: it would give other ids",
            why);
    return *text ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "tokenizer.json: out of memory");
}
