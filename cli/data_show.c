#include "cli/data_show.h"

#include "cli/token_print.h"
#include "core/json.h"
#include "core/log.h"
#include "data/packing.h"
#include "data/rows.h"
#include "data/token_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const ae_show_options *o;
    ae_token_set *set;
    ae_data_kind kind;
    ae_tokenizer *tokenizer; /* NULL: the set carries none */
    ae_token_print print;
} show;

/* A document in memory. */
typedef struct {
    int64_t number, n;
    int32_t *ids;
    uint8_t *mask; /* none of a prompt counts */
} document;

static ae_status write_line(json_t *o) {
    const ae_status st =
        o ? ae_json_write_line(o, stdout, "standard output") : AE_FAIL(AE_ERR_RESOURCE, "out of memory");
    json_decref(o);
    return st;
}

/* ---- documents ---- */

static ae_status document_read(document *d, const show *s, int64_t number) {
    const int64_t *starts = ae_token_set_doc_starts(s->set);
    *d = (document){.number = number, .n = starts[number + 1] - starts[number]};
    d->ids = malloc((size_t)d->n * sizeof *d->ids + 1);
    d->mask = malloc((size_t)d->n + 1);
    if (!d->ids || !d->mask)
        return AE_FAIL(AE_ERR_RESOURCE, "document %lld: out of memory", (long long)number);
    const ae_status st = ae_token_set_read(s->set, starts[number], d->n, d->ids, d->mask);
    if (st == AE_OK && s->kind == AE_KIND_PROMPTS) memset(d->mask, 0, (size_t)d->n);
    return st;
}

static void document_free(document *d) {
    free(d->ids);
    free(d->mask);
}

/* What the set notes of a document. */
static ae_status add_notes(json_t *o, const show *s, int64_t number) {
    size_t n = 0;
    const float *margins = ae_token_set_margins(s->set);
    const char *meta = ae_token_set_meta(s->set, number, &n);
    if (s->kind == AE_KIND_PAIRS) {
        json_object_set_new(o, "pair", json_integer(number / 2));
        json_object_set_new(o, "answer", json_string(number % 2 ? "rejected" : "chosen"));
        if (margins) json_object_set_new(o, "margin", json_real((double)margins[number / 2]));
    }
    if (s->kind != AE_KIND_PROMPTS) return AE_OK;
    json_t *value = meta ? json_loadb(meta, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : json_null();
    if (!value)
        return AE_FAIL(AE_ERR_INPUT, "%s: meta: expected JSON of document %lld, found something else",
                       s->o->path, (long long)number);
    json_object_set_new(o, "meta", value);
    return AE_OK;
}

static ae_status document_json(const show *s, const document *d) {
    const int64_t *bytes = ae_token_set_doc_bytes(s->set), most = s->o->tokens;
    const int64_t n = most && most < d->n ? most : d->n;
    json_t *o =
        json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "document", (json_int_t)d->number,
                  "first_token", (json_int_t)ae_token_set_doc_starts(s->set)[d->number], "length",
                  (json_int_t)d->n, "text_bytes", bytes ? json_integer(bytes[d->number]) : json_null(),
                  "tokens", ae_ints_json(d->ids, n), "loss_mask", ae_mask_json(d->mask, n), "pieces",
                  ae_pieces_json(&s->print, d->ids, n), "text", ae_text_json(&s->print, d->ids, n));
    const ae_status st = o ? add_notes(o, s, d->number) : AE_OK;
    if (st == AE_OK) return write_line(o);
    json_decref(o);
    return st;
}

static void document_text(const show *s, const document *d) {
    size_t n = 0;
    const char *meta = ae_token_set_meta(s->set, d->number, &n);
    const ae_token_run run = {.ids = d->ids, .mask = d->mask, .n = d->n, .begins = true};
    printf("%s %lld: %lld token%s", s->kind == AE_KIND_PROMPTS ? "prompt" : "document", (long long)d->number,
           (long long)d->n, ae_plural(d->n));
    if (ae_token_set_doc_bytes(s->set))
        printf(", %lld bytes", (long long)ae_token_set_doc_bytes(s->set)[d->number]);
    putchar('\n');
    ae_print_run(&s->print, &run);
    if (meta) printf("meta: %.*s\n", (int)n, meta);
    printf("\n");
}

static ae_status show_document(const show *s, int64_t number) {
    document d;
    ae_status st = document_read(&d, s, number);
    if (st == AE_OK && s->o->json)
        st = document_json(s, &d);
    else if (st == AE_OK)
        document_text(s, &d);
    document_free(&d);
    return st;
}

/* ---- pairs ---- */

/* Tokens before the first that is learnt. */
static int64_t prompt_tokens(const document *d) {
    const uint8_t *first = memchr(d->mask, 1, (size_t)d->n);
    return first ? first - d->mask : d->n;
}

static ae_token_run answer_of(const document *d, int64_t prompt) {
    return (ae_token_run){.ids = d->ids + prompt, .mask = d->mask + prompt, .n = d->n - prompt};
}

static void pair_text(const show *s, const document *a, const document *b) {
    const float *margins = ae_token_set_margins(s->set);
    const int64_t n = prompt_tokens(a);
    const bool shared = n == prompt_tokens(b) && memcmp(a->ids, b->ids, (size_t)n * sizeof *a->ids) == 0;
    const ae_token_run prompt = {.ids = a->ids, .n = shared ? n : 0};
    const ae_token_run chosen = answer_of(a, prompt.n), rejected = answer_of(b, prompt.n);
    printf("pair %lld: a prompt of %lld token%s", (long long)(a->number / 2), (long long)n, ae_plural(n));
    if (margins) printf(", margin %g", (double)margins[a->number / 2]);
    putchar('\n');
    ae_print_pair(&s->print, &prompt, &chosen, &rejected);
    printf("\n");
}

static ae_status show_pair(const show *s, int64_t pair) {
    document a = {0}, b = {0};
    ae_status st;
    AE_TRY(document_read(&a, s, 2 * pair));
    AE_TRY(document_read(&b, s, 2 * pair + 1));
    if (s->o->json) {
        AE_TRY(document_json(s, &a));
        AE_TRY(document_json(s, &b));
    } else {
        pair_text(s, &a, &b);
    }
out:
    document_free(&a);
    document_free(&b);
    return st;
}

/* ---- rows ---- */

static ae_status row_json(const show *s, int64_t row, const ae_batch *b) {
    json_t *weights = json_array();
    for (ptrdiff_t t = 0; t < b->T; t++) json_array_append_new(weights, json_integer(b->weights[t] > 0));
    return write_line(json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "row", (json_int_t)row, "tokens",
                                ae_ints_json(b->tokens, b->T), "targets", ae_ints_json(b->targets, b->T),
                                "positions", ae_ints_json(b->positions, b->T), "weights", weights, "pieces",
                                ae_pieces_json(&s->print, b->tokens, b->n_tokens)));
}

/* A token is shown as counted when the place before it has it as its target. */
static void row_text(const show *s, int64_t row, const ae_batch *b) {
    printf("row %lld: %lld token%s, %lld target%s\n", (long long)row, (long long)b->n_tokens,
           ae_plural(b->n_tokens), (long long)b->n_targets, ae_plural(b->n_targets));
    for (ptrdiff_t t = 0; t < b->n_tokens; t++)
        ae_print_token(&s->print, b->tokens[t], t > 0 && b->weights[t - 1] > 0, t);
    if (b->weights[b->T - 1] > 0) {
        fputs("  then ", stdout);
        ae_print_token(&s->print, b->targets[b->T - 1], true, b->T);
    }
    printf("\n\n");
}

/* The text as it lies, or the examples of chat as they are packed without a shuffle. */
typedef struct {
    ae_packing packing;
    bool packed;
    int64_t rows;
} row_list;

static ae_status list_rows(row_list *l, const show *s) {
    *l = (row_list){.packed = s->kind == AE_KIND_CHAT,
                    .rows = ae_rows_in_set(ae_token_set_tokens(s->set), s->o->row_tokens)};
    if (s->kind == AE_KIND_TEXT) return AE_OK;
    if (!l->packed)
        return AE_FAIL(AE_ERR_USAGE,
                       "--rows: expected a set of text or chat, found %s; --documents shows them",
                       ae_data_kind_name(s->kind));
    const ae_packing_options o = {.T = s->o->row_tokens, .too_long = AE_TOO_LONG_CUT};
    const ae_status st = ae_packing_make(&l->packing, s->set, &o);
    l->rows = l->packing.count.rows;
    return st;
}

static ae_status show_row(const show *s, const row_list *l, int64_t row, ae_batch *b) {
    b->n_tokens = b->n_targets = 0;
    const ae_status st =
        l->packed ? ae_packing_read(&l->packing, s->set, row, b, 0) : ae_row_read(s->set, row, b, 0);
    if (st != AE_OK) return st;
    if (s->o->json) return row_json(s, row, b);
    row_text(s, row, b);
    return AE_OK;
}

static ae_status show_rows(const show *s) {
    row_list l;
    ae_batch b = {0};
    ae_status st;
    AE_TRY(list_rows(&l, s));
    if (s->o->first >= l.rows)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "--first: expected a row below %lld, found %lld", (long long)l.rows,
                       (long long)s->o->first));
    AE_TRY(ae_batch_init(&b, 1, s->o->row_tokens));
    for (int64_t row = s->o->first; row < l.rows && row < s->o->first + s->o->rows; row++)
        AE_TRY(show_row(s, &l, row, &b));
out:
    ae_batch_free(&b);
    ae_packing_free(&l.packing);
    return st;
}

static ae_status show_documents(const show *s) {
    const bool pairs = s->kind == AE_KIND_PAIRS;
    const int64_t n = ae_token_set_documents(s->set) / (pairs ? 2 : 1), first = s->o->first;
    if (first >= n)
        return AE_FAIL(AE_ERR_USAGE, "--first: expected a %s below %lld, found %lld",
                       pairs ? "pair" : "document", (long long)n, (long long)first);
    ae_status st = AE_OK;
    for (int64_t d = first; d < n && d < first + s->o->documents && st == AE_OK; d++)
        st = pairs ? show_pair(s, d) : show_document(s, d);
    return st;
}

static void print_summary(const show *s) {
    printf("%s: %s, %lld tokens, %lld document%s, vocabulary of %lld%s%s\n\n", s->o->path,
           ae_data_kind_name(s->kind), (long long)ae_token_set_tokens(s->set),
           (long long)ae_token_set_documents(s->set), ae_plural(ae_token_set_documents(s->set)),
           (long long)ae_token_set_vocab_size(s->set),
           ae_token_set_has_mask(s->set) ? ", with a loss mask" : "",
           s->tokenizer ? "" : ", without a tokenizer");
}

ae_status ae_data_show(const ae_show_options *o) {
    show s = {.o = o};
    size_t n = 0;
    ae_status st = AE_OK;
    AE_TRY(ae_token_set_open(&s.set, o->path));
    const void *model = ae_token_set_tokenizer(s.set, &n);
    if (model) AE_TRY(ae_tokenizer_from_bytes(&s.tokenizer, model, n, o->path));
    s.kind = ae_token_set_kind(s.set);
    s.print = (ae_token_print){.tokenizer = s.tokenizer, .color = o->color, .most = o->tokens};
    if (!o->json) print_summary(&s);
    st = o->rows > 0 ? show_rows(&s) : show_documents(&s);
out:
    ae_tokenizer_delete(s.tokenizer);
    ae_token_set_close(s.set);
    return st;
}
