#include "cli/data_show.h"

#include "core/json.h"
#include "core/log.h"
#include "data/rows.h"
#include "data/token_set.h"
#include "data/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tokens that count as targets stand on two colours in turn, the others are grey, control tokens red. */
static const char *const COUNTED[] = {"\033[30;48;5;151m", "\033[30;48;5;117m"};
static const char MASKED[] = "\033[38;5;245m", CONTROL[] = "\033[1;31m", PLAIN[] = "\033[0m";

typedef struct {
    const ae_show_options *o;
    ae_token_set *set;
    ae_tokenizer *tokenizer; /* NULL: the set carries none */
} show;

static bool has_piece(const show *s, int32_t id) {
    return s->tokenizer && id < ae_tokenizer_size(s->tokenizer);
}

static bool is_control(const show *s, int32_t id) {
    return has_piece(s, id) && ae_tokenizer_is_control(s->tokenizer, id);
}

/* A piece as text: spaces as spaces, line ends seen and kept. */
static void print_piece(const show *s, int32_t id) {
    if (!has_piece(s, id)) {
        printf("%d", id);
        return;
    }
    for (const char *c = ae_tokenizer_piece(s->tokenizer, id); *c; c++) {
        const bool space = strncmp(c, "\xE2\x96\x81", 3) == 0;
        if (space)
            putchar(' ');
        else if (*c == '\n')
            fputs("\xE2\x8F\x8E\n", stdout);
        else if (*c == '\t')
            fputs("\xE2\x87\xA5\t", stdout);
        else if ((unsigned char)*c < 32)
            printf("\\x%02X", (unsigned)*c);
        else
            putchar(*c);
        if (space) c += 2;
    }
}

static void print_token(const show *s, int32_t id, bool counted, int64_t place) {
    if (s->o->color) {
        fputs(is_control(s, id) ? CONTROL : counted ? COUNTED[place % 2] : MASKED, stdout);
        print_piece(s, id);
        fputs(PLAIN, stdout);
        if (!s->tokenizer) putchar(' ');
        return;
    }
    putchar(counted ? '[' : '(');
    print_piece(s, id);
    putchar(counted ? ']' : ')');
}

/* ---- JSON ---- */

static json_t *ints_json(const int32_t *x, int64_t n) {
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(list, json_integer(x[i]));
    return list;
}

static json_t *pieces_json(const show *s, const int32_t *ids, int64_t n) {
    if (!s->tokenizer) return json_null();
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(
            list, has_piece(s, ids[i]) ? json_string(ae_tokenizer_piece(s->tokenizer, ids[i])) : json_null());
    return list;
}

static json_t *text_json(const show *s, const int32_t *ids, int64_t n) {
    char *text = NULL;
    size_t bytes = 0;
    if (!s->tokenizer || ae_tokenizer_decode(s->tokenizer, ids, n, &text, &bytes) != AE_OK)
        return json_null();
    json_t *value = json_stringn(text, bytes);
    free(text);
    return value ? value : json_null();
}

static ae_status write_line(json_t *o) {
    const ae_status st =
        o ? ae_json_write_line(o, stdout, "standard output") : AE_FAIL(AE_ERR_RESOURCE, "out of memory");
    json_decref(o);
    return st;
}

/* ---- documents ---- */

static ae_status document_json(const show *s, int64_t document, int64_t length, const int32_t *ids,
                               const uint8_t *mask, int64_t n) {
    json_t *bits = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(bits, json_integer(mask[i]));
    const int64_t *bytes = ae_token_set_doc_bytes(s->set);
    return write_line(json_pack(
        "{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "document", (json_int_t)document, "first_token",
        (json_int_t)ae_token_set_doc_starts(s->set)[document], "length", (json_int_t)length, "text_bytes",
        bytes ? json_integer(bytes[document]) : json_null(), "tokens", ints_json(ids, n), "loss_mask", bits,
        "pieces", pieces_json(s, ids, n), "text", text_json(s, ids, n)));
}

static void document_text(const show *s, int64_t document, int64_t length, const int32_t *ids,
                          const uint8_t *mask, int64_t n) {
    printf("document %lld: %lld token%s", (long long)document, (long long)length, ae_plural(length));
    if (ae_token_set_doc_bytes(s->set))
        printf(", %lld bytes", (long long)ae_token_set_doc_bytes(s->set)[document]);
    putchar('\n');
    for (int64_t i = 0; i < n; i++) print_token(s, ids[i], i > 0 && mask[i], i);
    printf("\n");
    if (n < length) printf("... %lld token%s more\n", (long long)(length - n), ae_plural(length - n));
    printf("\n");
}

static ae_status show_document(const show *s, int64_t document) {
    const int64_t *starts = ae_token_set_doc_starts(s->set);
    const int64_t length = starts[document + 1] - starts[document];
    const int64_t n = s->o->tokens && s->o->tokens < length ? s->o->tokens : length;
    int32_t *ids = malloc((size_t)n * sizeof *ids + 1);
    uint8_t *mask = malloc((size_t)n + 1);
    ae_status st = ids && mask
                       ? ae_token_set_read(s->set, starts[document], n, ids, mask)
                       : AE_FAIL(AE_ERR_RESOURCE, "document %lld: out of memory", (long long)document);
    if (st == AE_OK && s->o->json)
        st = document_json(s, document, length, ids, mask, n);
    else if (st == AE_OK)
        document_text(s, document, length, ids, mask, n);
    free(ids);
    free(mask);
    return st;
}

/* ---- rows ---- */

static ae_status row_json(const show *s, int64_t row, const ae_batch *b) {
    json_t *weights = json_array();
    for (ptrdiff_t t = 0; t < b->T; t++) json_array_append_new(weights, json_integer(b->weights[t] > 0));
    return write_line(json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}", "row", (json_int_t)row, "tokens",
                                ints_json(b->tokens, b->T), "targets", ints_json(b->targets, b->T),
                                "positions", ints_json(b->positions, b->T), "weights", weights, "pieces",
                                pieces_json(s, b->tokens, b->n_tokens)));
}

/* A token is shown as counted when the place before it has it as its target. */
static void row_text(const show *s, int64_t row, const ae_batch *b) {
    printf("row %lld: %lld token%s, %lld target%s\n", (long long)row, (long long)b->n_tokens,
           ae_plural(b->n_tokens), (long long)b->n_targets, ae_plural(b->n_targets));
    for (ptrdiff_t t = 0; t < b->n_tokens; t++)
        print_token(s, b->tokens[t], t > 0 && b->weights[t - 1] > 0, t);
    if (b->weights[b->T - 1] > 0) {
        fputs("  then ", stdout);
        print_token(s, b->targets[b->T - 1], true, b->T);
    }
    printf("\n\n");
}

static ae_status show_rows(const show *s) {
    const int64_t rows = ae_rows_in_set(ae_token_set_tokens(s->set), s->o->row_tokens);
    if (s->o->first >= rows)
        return AE_FAIL(AE_ERR_USAGE, "--first: expected a row below %lld, found %lld", (long long)rows,
                       (long long)s->o->first);
    ae_batch b;
    ae_status st = ae_batch_init(&b, 1, s->o->row_tokens);
    for (int64_t row = s->o->first; row < rows && row < s->o->first + s->o->rows && st == AE_OK; row++) {
        b.n_tokens = b.n_targets = 0;
        st = ae_row_read(s->set, row, &b, 0);
        if (st == AE_OK && s->o->json)
            st = row_json(s, row, &b);
        else if (st == AE_OK)
            row_text(s, row, &b);
    }
    ae_batch_free(&b);
    return st;
}

static ae_status show_documents(const show *s) {
    const int64_t n = ae_token_set_documents(s->set), first = s->o->first;
    if (first >= n)
        return AE_FAIL(AE_ERR_USAGE, "--first: expected a document below %lld, found %lld", (long long)n,
                       (long long)first);
    ae_status st = AE_OK;
    for (int64_t d = first; d < n && d < first + s->o->documents && st == AE_OK; d++)
        st = show_document(s, d);
    return st;
}

static void print_summary(const show *s) {
    printf("%s: %lld tokens, %lld document%s, vocabulary of %lld%s%s\n\n", s->o->path,
           (long long)ae_token_set_tokens(s->set), (long long)ae_token_set_documents(s->set),
           ae_plural(ae_token_set_documents(s->set)), (long long)ae_token_set_vocab_size(s->set),
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
    if (!o->json) print_summary(&s);
    st = o->rows > 0 ? show_rows(&s) : show_documents(&s);
out:
    ae_tokenizer_delete(s.tokenizer);
    ae_token_set_close(s.set);
    return st;
}
