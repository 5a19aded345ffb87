#include "data/pieces.h"
#include "data/trim.h"
#include "tests/data/text.h"

TestSuite(trim, .init = scratch_make, .fini = scratch_remove, .timeout = 200);

static ae_tokenizer *train(const char *kind) {
    text_buffer t = text_make(3, 1500);
    const char *input = scratch_write("corpus.txt", t.s, t.n);
    ae_tokenizer *k = NULL;
    const ae_tokenizer_training a = {.inputs = &input,
                                     .n_inputs = 1,
                                     .output = scratch_path("t.model"),
                                     .kind = kind,
                                     .vocab_size = 600,
                                     .sample_bytes = 1 << 24,
                                     .seed = 1};
    free(t.s);
    cr_assert_eq(ae_tokenizer_train(&a), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tokenizer_open(&k, a.output), AE_OK, "%s", ae_error_message());
    return k;
}

/* A corpus of `lines` lines, other ones than those of the training. */
static const char *corpus(int lines) {
    text_buffer t = text_make(11, lines);
    const char *path = scratch_write("used.txt", t.s, t.n);
    free(t.s);
    return path;
}

static ae_trimmed trimmed_to(const ae_tokenizer *k, const char *input, int64_t min_count, const char *keep) {
    ae_trimmed t;
    const ae_trim_request r = {.tokenizer = k,
                               .where = "t.model",
                               .input = {.inputs = &input, .n_inputs = 1},
                               .min_count = min_count,
                               .keep = keep};
    cr_assert_eq(ae_trim(&t, &r), AE_OK, "%s", ae_error_message());
    return t;
}

static ae_ids encode(const ae_tokenizer *k, const char *text, size_t n) {
    ae_ids ids = {0};
    cr_assert_eq(ae_tokenizer_encode(k, text, n, &ids), AE_OK, "%s", ae_error_message());
    return ids;
}

static int32_t new_id(const ae_trimmed *t, int32_t old) {
    for (int32_t i = 0; i < t->n; i++)
        if (t->old_id[i] == old) return i;
    return -1;
}

/* Texts that nobody counted: those whose pieces all stay must be encoded alike. Gives their number. */
static int check_kept_texts(const ae_tokenizer *k, const ae_trimmed *t, uint64_t seed) {
    int kept = 0;
    for (int i = 0; i < 400; i++) {
        text_buffer text = text_make(seed + (uint64_t)i, 1);
        ae_ids before = encode(k, text.s, text.n), after = encode(t->tokenizer, text.s, text.n);
        bool whole = true;
        for (ptrdiff_t p = 0; p < before.n; p++) {
            before.ids[p] = new_id(t, before.ids[p]);
            whole = whole && before.ids[p] >= 0;
        }
        if (whole) {
            cr_assert_eq(after.n, before.n, "'%s'", text.s);
            cr_assert_arr_eq(after.ids, before.ids, (size_t)after.n * sizeof *after.ids, "'%s'", text.s);
        }
        kept += whole;
        ae_ids_free(&before);
        ae_ids_free(&after);
        free(text.s);
    }
    return kept;
}

static void check_back(const ae_tokenizer *k) {
    static const char text[] = "  caf\xC3\xA9 \xE2\x96\x81 \xF0\x9F\x98\x80 <bos>\t1987\r\n Zq";
    ae_ids ids = encode(k, text, sizeof text - 1);
    char *back = NULL;
    size_t n = 0;
    cr_assert_eq(ae_tokenizer_decode(k, ids.ids, ids.n, &back, &n), AE_OK);
    cr_assert_eq(n, sizeof text - 1);
    cr_assert_arr_eq(back, text, n);
    free(back);
    ae_ids_free(&ids);
}

static void check_trim(const char *kind, int64_t min_count, int least_kept) {
    ae_tokenizer *k = train(kind);
    ae_trimmed t = trimmed_to(k, corpus(25), min_count, NULL);
    cr_assert(t.n > 262 && t.n < 560, "%s: %d pieces stay", kind, t.n);
    cr_assert_eq(ae_tokenizer_size(t.tokenizer), t.n);
    for (int32_t i = 0; i < t.n; i++)
        cr_assert_str_eq(ae_tokenizer_piece(t.tokenizer, i), ae_tokenizer_piece(k, t.old_id[i]));
    for (int32_t id = 0; id < ae_tokenizer_size(k); id++)
        if (ae_tokenizer_is_control(k, id) || ae_tokenizer_is_byte(k, id)) cr_assert_geq(new_id(&t, id), 0);
    const ae_special_ids s = ae_tokenizer_special(t.tokenizer);
    cr_assert(s.pad == 0 && s.eos == 1 && s.bos == 2 && s.unk == 3 && s.start_of_turn > 3 &&
              s.end_of_turn > 3);
    cr_assert(min_count > 1 ? t.tokens_after >= t.tokens_before : t.tokens_after == t.tokens_before);
    const int kept = check_kept_texts(k, &t, 1000);
    cr_assert_geq(kept, least_kept, "%s: only %d texts of kept pieces", kind, kept);
    check_back(t.tokenizer);
    ae_trimmed_free(&t);
    ae_tokenizer_delete(k);
}

Test(trim, bpe_encodes_kept_text_alike) {
    check_trim("bpe", 1, 50);
}

Test(trim, bpe_with_a_least_count) {
    check_trim("bpe", 3, 20);
}

Test(trim, unigram_encodes_kept_text_alike) {
    check_trim("unigram", 1, 50);
    scratch_remove();
    scratch_make();
    check_trim("unigram", 3, 20);
}

/* Merging reaches the longest piece over others that no text of the corpus ends in. */
Test(trim, what_merging_passes_through_stays) {
    ae_tokenizer *k = train("bpe");
    int32_t longest = 0;
    for (int32_t id = 0; id < ae_tokenizer_size(k); id++)
        if (!ae_tokenizer_is_control(k, id) &&
            strlen(ae_tokenizer_piece(k, id)) > strlen(ae_tokenizer_piece(k, longest)))
            longest = id;
    char *line = strdup(ae_tokenizer_piece(k, longest));
    const char *input = scratch_write("one.txt", "1", 1);
    const char *keep = scratch_write("keep.txt", line, strlen(line));
    ae_trimmed t = trimmed_to(k, input, 1, keep);
    const int32_t id = new_id(&t, longest);
    cr_assert_geq(id, 0);
    cr_assert_lt(t.n, 300);
    char *text = NULL;
    size_t n = 0;
    cr_assert_eq(ae_tokenizer_decode(k, &longest, 1, &text, &n), AE_OK);
    ae_ids ids = encode(t.tokenizer, text, n);
    cr_assert(ids.n == 1 && ids.ids[0] == id, "'%s' becomes %td pieces", text, ids.n);
    ae_ids_free(&ids);
    free(text);
    free(line);
    ae_trimmed_free(&t);
    ae_tokenizer_delete(k);
}

Test(trim, a_piece_that_is_none_is_named) {
    ae_tokenizer *k = train("bpe");
    const char *input = corpus(5);
    const char *keep = scratch_write("keep.txt", "the\nno such\n", 12);
    ae_trimmed t;
    const ae_trim_request r = {.tokenizer = k,
                               .where = "t.model",
                               .input = {.inputs = &input, .n_inputs = 1},
                               .min_count = 1,
                               .keep = keep};
    cr_assert_eq(ae_trim(&t, &r), AE_ERR_INPUT);
    cr_assert_message("keep.txt:2: expected a piece of t.model, found 'no such'");
    ae_tokenizer_delete(k);
}

/* Cut anywhere, a model's file is refused, or holds fewer whole fields: never read beyond its end. */
Test(trim, files_that_are_cut) {
    ae_tokenizer *k = train("bpe");
    ae_pieces p;
    size_t n = 0, refused = 0;
    const unsigned char *bytes = ae_tokenizer_bytes(k, &n);
    for (size_t cut = 0; cut < n; cut += 7) {
        unsigned char *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        const ae_status st = ae_pieces_read(&p, part, cut, "cut.model");
        cr_assert(st == AE_OK || st == AE_ERR_INPUT);
        refused += st != AE_OK;
        ae_pieces_free(&p);
        free(part);
    }
    cr_assert_gt(refused, n / 7 / 2);
    ae_tokenizer_delete(k);
}
