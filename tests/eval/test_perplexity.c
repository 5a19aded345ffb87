#include "core/file.h"
#include "core/h5.h"
#include "core/rng.h"
#include "data/rows.h"
#include "data/tokenizer.h"
#include "eval/perplexity.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { V = 300, B = 4, T = 16, DOCUMENTS = 11 };
#define ASSERT_OK(expr) cr_assert_eq((expr), AE_OK, "%s", ae_error_message())

static const ae_model_config shape = {.V = V,
                                      .D = 32,
                                      .C = 32,
                                      .E = 64,
                                      .N = 2,
                                      .G = 1,
                                      .H = 16,
                                      .W = 10,
                                      .K = 4,
                                      .blocks = 3,
                                      .pattern = {AE_RECURRENT, AE_RECURRENT, AE_ATTENTION},
                                      .rope_theta = 10000,
                                      .rope_share = 0.5,
                                      .norm_eps = 1e-6,
                                      .soft_cap = 30,
                                      .scale_embeddings = true};

static char folder[256], path[300];
static ae_backend be;
static ae_model model;
static ae_pass *pass;

static void open_it(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/aerie-test-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/set.h5", folder);
    ASSERT_OK(ae_backend_cpu(&be, &(ae_backend_options){.threads = 2}));
    ASSERT_OK(ae_model_init(&model, &be, &shape, &(ae_model_options){0}));
    ASSERT_OK(ae_model_set_initial(&model, 5));
    ASSERT_OK(ae_pass_new(&pass, &model, (ae_pass_dims){.B = B, .T = T}, false));
}

static void close_it(void) {
    ae_pass_delete(pass);
    ae_model_free(&model);
    ae_backend_free(&be);
    ASSERT_OK(ae_folder_remove(folder));
}

TestSuite(perplexity, .init = open_it, .fini = close_it);

/* Documents of 2 to 60 tokens that say they have 3 bytes a token; with `masked` every third token does not count. */
static void write_set(bool masked) {
    ae_token_writer *w;
    ae_token_set_info info = {.vocab_size = V, .has_mask = masked};
    ASSERT_OK(ae_token_writer_open(&w, path, &info));
    for (uint64_t d = 0; d < DOCUMENTS; d++) {
        int32_t tokens[60];
        uint8_t mask[60];
        ae_rng rng = ae_rng_make(11, d);
        int64_t n = 2 + (int64_t)ae_rng_below(&rng, 59);
        for (int64_t i = 0; i < n; i++) {
            tokens[i] = i == 0 ? 2 : (int32_t)ae_rng_below(&rng, V);
            mask[i] = i % 3 != 2;
        }
        ASSERT_OK(ae_token_writer_add(w, tokens, masked ? mask : NULL, n, 3 * n));
    }
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
}

static ae_perplexity measure(ptrdiff_t rows) {
    ae_token_set *set;
    ae_perplexity_plan plan;
    ae_perplexity r;
    ASSERT_OK(ae_token_set_open(&set, path));
    ASSERT_OK(ae_perplexity_prepare(&plan, set, rows, T));
    ASSERT_OK(ae_perplexity_measure(&r, &plan, &model, pass, NULL));
    ae_token_set_close(set);
    return r;
}

/* Tokens, and those that count: all but the first of each document. */
static void count_set(int64_t *tokens, int64_t *documents) {
    ae_token_set *set;
    ASSERT_OK(ae_token_set_open(&set, path));
    *tokens = ae_token_set_tokens(set);
    *documents = ae_token_set_documents(set);
    ae_token_set_close(set);
}

Test(perplexity, drops_nothing_and_does_not_depend_on_the_batch) {
    int64_t tokens, documents;
    write_set(false);
    count_set(&tokens, &documents);
    ae_perplexity one = measure(1), three = measure(3), four = measure(4);
    cr_assert_eq(one.targets, tokens - documents);
    cr_assert_eq(four.targets, one.targets);
    cr_assert_float_eq(one.nats, four.nats, 1e-6 * one.nats);
    cr_assert_float_eq(three.nats, four.nats, 1e-6 * one.nats);
    cr_assert_float_eq(one.loss, one.nats / (double)one.targets, 1e-12);
    cr_assert_float_eq(one.loss, log(V), 2.0);
    cr_assert_float_eq(one.bits_per_byte, one.nats / log(2) / (double)(3 * tokens), 1e-12,
                       "documents open with a token that, without a tokenizer, is taken for <bos>");
}

/* The first row by hand: the same loss as one pass over it. */
Test(perplexity, is_the_loss_of_the_rows) {
    write_set(false);
    ae_token_set *set;
    ae_batch batch;
    double sum = 0, part;
    ASSERT_OK(ae_token_set_open(&set, path));
    ASSERT_OK(ae_batch_init(&batch, 1, T));
    for (int64_t row = 0; row < ae_rows_in_set(ae_token_set_tokens(set), T); row++) {
        ASSERT_OK(ae_row_read(set, row, &batch, 0));
        ae_micro_batch b = {batch.tokens, batch.targets, batch.positions, batch.weights, 1, T, NULL};
        ae_model_score_pass(&model, pass, &b, &part, NULL, 0, NULL, NULL);
        sum += part;
    }
    ae_batch_free(&batch);
    ae_token_set_close(set);
    cr_assert_float_eq(measure(B).nats, sum, 1e-6 * sum);
}

Test(perplexity, stops_when_asked) {
    write_set(false);
    ae_token_set *set;
    ae_perplexity_plan plan;
    ae_perplexity r;
    const atomic_int stop = 1;
    ASSERT_OK(ae_token_set_open(&set, path));
    ASSERT_OK(ae_perplexity_prepare(&plan, set, B, T));
    cr_assert_eq(ae_perplexity_measure(&r, &plan, &model, pass, &stop), AE_ERR_INTERRUPTED);
    ae_token_set_close(set);
}

Test(perplexity, masked_tokens_without_a_tokenizer_leave_bytes_unknown) {
    write_set(true);
    ae_perplexity r = measure(B);
    cr_assert_gt(r.targets, 0);
    cr_assert(isfinite(r.loss));
    cr_assert(isnan(r.bits_per_byte));
}

/* A set as other programs may make one: only what is required. */
Test(perplexity, a_set_without_text_lengths_has_no_bits_per_byte) {
    const uint16_t tokens[40] = {2, 7, 9};
    const int64_t starts[] = {0, 25, 40}, n = 40, two = 3;
    hid_t file;
    ASSERT_OK(ae_h5_create(&file, path));
    ASSERT_OK(ae_h5_write(file, path, "tokens", H5T_NATIVE_UINT16, 1, &n, tokens));
    ASSERT_OK(ae_h5_write(file, path, "doc_starts", H5T_NATIVE_INT64, 1, &two, starts));
    ASSERT_OK(ae_h5_set_attr_int(file, path, "vocab_size", V));
    ASSERT_OK(ae_h5_close(file, path));
    ae_perplexity r = measure(B);
    cr_assert_eq(r.targets, 38);
    cr_assert(isnan(r.bits_per_byte));
}

/* ---- bytes, with a tokenizer ---- */

static ae_tokenizer *train_tokenizer(void) {
    char text[300], output[300];
    snprintf(text, sizeof text, "%s/text.txt", folder);
    snprintf(output, sizeof output, "%s/t.model", folder);
    FILE *f = fopen(text, "w");
    for (int i = 0; i < 400; i++) fprintf(f, "the %d birds of the hill sing %d songs to a river\n", i, i * i);
    fclose(f);
    const char *inputs[] = {text};
    ae_tokenizer_training a = {.inputs = inputs,
                               .n_inputs = 1,
                               .output = output,
                               .text_key = "text",
                               .vocab_size = V,
                               .kind = "bpe",
                               .sample_bytes = 1 << 20,
                               .seed = 1};
    ae_tokenizer *t;
    ASSERT_OK(ae_tokenizer_train(&a));
    ASSERT_OK(ae_tokenizer_open(&t, output));
    return t;
}

/* One document of the text; the first `masked` of its tokens do not count, and `bos` opens it or not. */
static int64_t target_bytes(ae_tokenizer *t, const char *text, int64_t masked, bool bos) {
    ae_ids ids = {0};
    ae_token_writer *w;
    ae_token_set *set;
    uint8_t mask[256];
    int64_t bytes;
    ae_token_set_info info = {.vocab_size = V, .has_mask = masked > 0};
    info.tokenizer = ae_tokenizer_bytes(t, &info.tokenizer_bytes);
    if (bos) ae_ids_append(&ids, ae_tokenizer_special(t).bos);
    ASSERT_OK(ae_tokenizer_encode(t, text, strlen(text), &ids));
    for (ptrdiff_t i = 0; i < ids.n; i++) mask[i] = i >= masked;
    ASSERT_OK(ae_token_writer_open(&w, path, &info));
    ASSERT_OK(ae_token_writer_add(w, ids.ids, masked > 0 ? mask : NULL, ids.n, (int64_t)strlen(text)));
    ASSERT_OK(ae_token_writer_finish(w, "{}"));
    ASSERT_OK(ae_token_set_open(&set, path));
    ASSERT_OK(ae_token_set_target_bytes(set, &bytes));
    ae_token_set_close(set);
    ae_ids_free(&ids);
    return bytes;
}

Test(perplexity, counts_the_bytes_of_counted_tokens_only) {
    static const char text[] = "the hill sings  12 songs \xe2\x82\xac\n to the birds";
    ae_tokenizer *t = train_tokenizer();
    int64_t all = (int64_t)strlen(text);
    cr_assert_eq(target_bytes(t, text, 0, true), all, "<bos> has no text");
    ae_ids ids = {0};
    ASSERT_OK(ae_tokenizer_encode(t, text, strlen(text), &ids));
    cr_assert_gt(ids.n, 8);
    int64_t cut = 0;
    for (ptrdiff_t i = 0; i < ids.n; i++) {
        int32_t id = ids.ids[i];
        char *piece = NULL;
        size_t n = 1;
        if (!ae_tokenizer_is_byte(t, id)) ASSERT_OK(ae_tokenizer_decode(t, &id, 1, &piece, &n));
        free(piece);
        cut += (int64_t)n;
        cr_assert_eq(target_bytes(t, text, i + 1, false), all - cut, "the first %td tokens masked", i + 1);
    }
    cr_assert_eq(cut, all);
    ae_ids_free(&ids);
    ae_tokenizer_delete(t);
}
