#include "data/tokenizer.h"
#include "tests/data/text.h"

#include <pthread.h>

TestSuite(tokenizer, .init = scratch_make, .fini = scratch_remove, .timeout = 200);

static ae_tokenizer_training training(const char *const *inputs, const char *output, const char *kind,
                                      int32_t vocab_size) {
    return (ae_tokenizer_training){.inputs = inputs,
                                   .n_inputs = 1,
                                   .output = output,
                                   .kind = kind,
                                   .vocab_size = vocab_size,
                                   .sample_bytes = 1 << 24,
                                   .seed = 1};
}

static ae_tokenizer *train(const char *kind, int32_t vocab_size) {
    text_buffer t = text_make(3, 1500);
    const char *input = scratch_write("corpus.txt", t.s, t.n);
    free(t.s);
    const ae_tokenizer_training a = training(&input, scratch_path("t.model"), kind, vocab_size);
    cr_assert_eq(ae_tokenizer_train(&a), AE_OK, "%s", ae_error_message());
    ae_tokenizer *k = NULL;
    cr_assert_eq(ae_tokenizer_open(&k, a.output), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tokenizer_size(k), vocab_size);
    return k;
}

static ae_ids encode(const ae_tokenizer *k, const char *text, size_t n) {
    ae_ids ids = {0};
    cr_assert_eq(ae_tokenizer_encode(k, text, n, &ids), AE_OK, "%s", ae_error_message());
    return ids;
}

static void check_round_trip(const ae_tokenizer *k, const char *text, size_t n) {
    ae_ids ids = encode(k, text, n);
    char *back = NULL;
    size_t m = 0;
    cr_assert_eq(ae_tokenizer_decode(k, ids.ids, ids.n, &back, &m), AE_OK, "%s", ae_error_message());
    cr_assert_eq(m, n, "'%s' from '%s'", back, text);
    cr_assert_arr_eq(back, text, n);
    for (ptrdiff_t i = 0; i < ids.n; i++)
        cr_assert(!ae_tokenizer_is_control(k, ids.ids[i]) && ids.ids[i] != ae_tokenizer_special(k).unk,
                  "'%s'", text);
    free(back);
    ae_ids_free(&ids);
}

static void check_special(const ae_tokenizer *k) {
    const ae_special_ids s = ae_tokenizer_special(k);
    cr_assert(s.pad == 0 && s.eos == 1 && s.bos == 2 && s.unk == 3);
    cr_assert_eq(s.start_of_turn, ae_tokenizer_id(k, "<start_of_turn>"));
    cr_assert(s.start_of_turn > 3 && s.end_of_turn > 3 && s.start_of_turn != s.end_of_turn);
    for (int32_t id = 0; id < 3; id++) cr_assert(ae_tokenizer_is_control(k, id));
    cr_assert(ae_tokenizer_is_control(k, s.start_of_turn) && ae_tokenizer_is_control(k, s.end_of_turn));
    cr_assert_str_eq(ae_tokenizer_piece(k, 2), "<bos>");
    cr_assert_eq(ae_tokenizer_id(k, "no such piece at all"), -1);
    int bytes = 0;
    for (int32_t id = 0; id < ae_tokenizer_size(k); id++) bytes += ae_tokenizer_is_byte(k, id);
    cr_assert_eq(bytes, 256);
    cr_assert(ae_tokenizer_is_wordwise(k));
}

static void check_whitespace_and_digits(const ae_tokenizer *k) {
    ae_ids ids = encode(k, "1987", 4);
    cr_assert_eq(ids.n, 4);
    ae_ids_free(&ids);
    ids = encode(k, "\n", 1);
    cr_assert(ids.n == 1 && ids.ids[0] == ae_tokenizer_id(k, "\n") && !ae_tokenizer_is_byte(k, ids.ids[0]));
    ae_ids_free(&ids);
    ids = encode(k, "\t", 1);
    cr_assert(ids.n == 1 && ids.ids[0] == ae_tokenizer_id(k, "\t"));
    ae_ids_free(&ids);
    ids = encode(k, "a    b", 6);
    cr_assert_lt(ids.n, 6);
    ae_ids_free(&ids);
    ids = encode(k, "", 0);
    cr_assert_eq(ids.n, 0);
}

/* Characters that tokenizers are known to trip over. */
static size_t add_odd(char *to, ae_rng *rng) {
    static const char *const odd[] = {"a",
                                      "mir",
                                      " ",
                                      "  ",
                                      "\n",
                                      "\n\n",
                                      "\r\n",
                                      "\r",
                                      "\t",
                                      "\t\t",
                                      "7",
                                      "42",
                                      "\xE2\x96\x81",
                                      "\xE2\x96\x85",
                                      "\xC3\xA9",
                                      "\xE6\x97\xA5",
                                      "\xF0\x9F\x98\x80",
                                      "\xEF\xBF\xBF",
                                      "\xEF\xBF\xBD",
                                      "\x01",
                                      "\x7F",
                                      "\xEF\xBB\xBF",
                                      "\xEF\xAC\x81",
                                      "\xEF\xBC\xA1",
                                      "\xCC\x81",
                                      "\xC2\xA0",
                                      "\xE2\x80\xA8",
                                      "<bos>",
                                      "<eos>",
                                      "<pad>",
                                      "<unk>",
                                      "<start_of_turn>",
                                      "<0x41>",
                                      "."};
    const char *s = odd[ae_rng_below(rng, sizeof odd / sizeof *odd)];
    memcpy(to, s, strlen(s));
    return strlen(s);
}

static void check_odd_texts(const ae_tokenizer *k) {
    ae_rng rng = ae_rng_make(17, 3);
    for (int i = 0; i < 1500; i++) {
        char text[64 * 16 + 1];
        size_t n = 0;
        for (uint64_t c = ae_rng_below(&rng, 64); c > 0; c--) n += add_odd(text + n, &rng);
        text[n] = '\0';
        check_round_trip(k, text, n);
    }
    check_round_trip(k, "a\0b\0", 4);
}

/* Any character of Unicode. */
static size_t add_any(char *to, ae_rng *rng) {
    uint32_t c = (uint32_t)ae_rng_below(rng, ae_rng_below(rng, 2) ? 0x110000 : 0x800);
    if (c >= 0xD800 && c < 0xE000) c -= 0x800;
    if (c < 0x80) return to[0] = (char)c, 1;
    const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xC0, 0xE0, 0xF0};
    to[0] = (char)(lead[more] | c >> (6 * more));
    for (int i = 1; i <= more; i++) to[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3F));
    return (size_t)more + 1;
}

static void check_any_texts(const ae_tokenizer *k) {
    ae_rng rng = ae_rng_make(18, 3);
    for (int i = 0; i < 500; i++) {
        char text[257];
        size_t n = 0;
        for (uint64_t c = ae_rng_below(&rng, 64); c > 0; c--) n += add_any(text + n, &rng);
        text[n] = '\0';
        check_round_trip(k, text, n);
    }
}

/* Cutting between words before encoding changes nothing. */
static void check_pieces(const ae_tokenizer *k) {
    text_buffer t = text_make(9, 200);
    ae_ids whole = encode(k, t.s, t.n), parts = {0};
    size_t from = 0;
    for (size_t at = 1; at <= t.n; at++) {
        const bool line = t.s[at - 1] == '\n' && t.s[at] != '\n';
        const bool word = t.s[at] == ' ' && t.s[at - 1] != ' ';
        if (at < t.n && !line && !word) continue;
        cr_assert_eq(ae_tokenizer_encode(k, t.s + from, at - from, &parts), AE_OK);
        from = at;
    }
    cr_assert_eq(whole.n, parts.n);
    cr_assert_arr_eq(whole.ids, parts.ids, (size_t)whole.n * sizeof *whole.ids);
    ae_ids_free(&whole);
    ae_ids_free(&parts);
    free(t.s);
}

static void check_all(const char *kind) {
    ae_tokenizer *k = train(kind, 400);
    check_special(k);
    check_whitespace_and_digits(k);
    check_odd_texts(k);
    check_any_texts(k);
    check_pieces(k);
    text_buffer t = text_make(4, 3000);
    check_round_trip(k, t.s, t.n);
    free(t.s);
    ae_tokenizer_delete(k);
}

Test(tokenizer, bpe_keeps_any_text) {
    check_all("bpe");
}

Test(tokenizer, unigram_keeps_any_text) {
    check_all("unigram");
}

Test(tokenizer, training_is_deterministic) {
    static const char *const kinds[] = {"bpe", "unigram"};
    for (int i = 0; i < 2; i++) {
        ae_tokenizer *a = train(kinds[i], 350), *b = train(kinds[i], 350);
        size_t n = 0, m = 0;
        const void *x = ae_tokenizer_bytes(a, &n), *y = ae_tokenizer_bytes(b, &m);
        cr_assert_eq(n, m);
        cr_assert_arr_eq(x, y, n);
        cr_assert_eq(ae_tokenizer_hash(a), ae_tokenizer_hash(b));
        ae_tokenizer_delete(a);
        ae_tokenizer_delete(b);
    }
}

Test(tokenizer, two_tokenizers_of_one_thread_do_not_mix) {
    ae_tokenizer *a = train("bpe", 300), *b = train("bpe", 420);
    text_buffer t = text_make(6, 50);
    ae_ids first = encode(a, t.s, t.n), other = encode(b, t.s, t.n), again = encode(a, t.s, t.n);
    cr_assert_lt(other.n, first.n);
    cr_assert_eq(first.n, again.n);
    cr_assert_arr_eq(first.ids, again.ids, (size_t)first.n * sizeof *first.ids);
    ae_ids_free(&first);
    ae_ids_free(&other);
    ae_ids_free(&again);
    free(t.s);
    ae_tokenizer_delete(a);
    ae_tokenizer_delete(b);
}

typedef struct {
    const ae_tokenizer *k;
    const text_buffer *t;
    ae_ids ids;
} encoding;

static void *encode_apart(void *arg) {
    encoding *e = arg;
    return ae_tokenizer_encode(e->k, e->t->s, e->t->n, &e->ids) == AE_OK ? e : NULL;
}

Test(tokenizer, threads_share_one) {
    ae_tokenizer *k = train("bpe", 400);
    text_buffer t = text_make(8, 800);
    encoding e[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        e[i] = (encoding){.k = k, .t = &t};
        cr_assert_eq(pthread_create(&threads[i], NULL, encode_apart, &e[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *done = NULL;
        pthread_join(threads[i], &done);
        cr_assert_not_null(done);
        cr_assert_eq(e[i].ids.n, e[0].ids.n);
        cr_assert_arr_eq(e[i].ids.ids, e[0].ids.ids, (size_t)e[0].ids.n * sizeof(int32_t));
    }
    for (int i = 0; i < 4; i++) ae_ids_free(&e[i].ids);
    free(t.s);
    ae_tokenizer_delete(k);
}

Test(tokenizer, text_that_is_not_utf8_is_refused) {
    ae_tokenizer *k = train("bpe", 300);
    ae_ids ids = {0};
    cr_assert_eq(ae_tokenizer_encode(k, "abc\xFFz", 5, &ids), AE_ERR_INPUT);
    cr_assert_message("expected UTF-8, found byte 0xFF at offset 3");
    cr_assert_eq(ids.n, 0);
    ae_tokenizer_delete(k);
}

Test(tokenizer, ids_beyond_the_vocabulary_are_refused) {
    ae_tokenizer *k = train("bpe", 300);
    const int32_t bad[] = {5, 300}, negative[] = {-1};
    char *text = NULL;
    size_t n = 0;
    cr_assert_eq(ae_tokenizer_decode(k, bad, 2, &text, &n), AE_ERR_INPUT);
    cr_assert_message("token 1: expected an id below 300, found 300");
    cr_assert_eq(ae_tokenizer_decode(k, negative, 1, &text, &n), AE_ERR_INPUT);
    cr_assert_null(text);
    const int32_t marks[] = {2, 0, 1, 4, 5};
    cr_assert_eq(ae_tokenizer_decode(k, marks, 5, &text, &n), AE_OK);
    cr_assert(n == 0 && text[0] == '\0');
    free(text);
    ae_tokenizer_delete(k);
}

static void refuse_training(const char *text, size_t n, const char *kind, int32_t vocab_size, ae_status st,
                            const char *message) {
    const char *input = scratch_write("small.txt", text, n);
    const ae_tokenizer_training a = training(&input, scratch_path("small.model"), kind, vocab_size);
    cr_assert_eq(ae_tokenizer_train(&a), st, "%s", ae_error_message());
    cr_assert_message(message);
    cr_assert_not(ae_path_exists(a.output));
}

Test(tokenizer, training_refuses_what_cannot_be) {
    static const char small[] = "the cat and the dog and the bird\nand the cat again 12\n";
    refuse_training(small, strlen(small), "words", 300, AE_ERR_USAGE,
                    "kind: expected bpe or unigram, found 'words'");
    refuse_training(small, strlen(small), "bpe", 100, AE_ERR_USAGE,
                    "vocabulary size: expected more than 262");
    refuse_training(small, strlen(small), "bpe", 265, AE_ERR_USAGE, "vocabulary size: expected at least ");
    refuse_training("", 0, "bpe", 300, AE_ERR_INPUT, "small.txt: expected text, found an empty file");
    refuse_training(" \n ", 3, "bpe", 300, AE_ERR_INPUT, "small.txt: expected text to train on, found none");
    refuse_training("\t\t.", 2, "unigram", 300, AE_ERR_INPUT,
                    "small.txt: expected text to train on, found none");
    refuse_training("ok \xC3(\n", 6, "bpe", 300, AE_ERR_INPUT,
                    "small.txt:1: expected UTF-8 text, found byte 0xC3 at offset 3");
}

static int checks_left;

static ae_status stop_after_some(void) {
    return checks_left-- > 0 ? AE_OK : AE_FAIL(AE_ERR_INTERRUPTED, "stopped");
}

/* Whatever was at work then: also the second training, which looks for the size that would do. */
Test(tokenizer, a_stop_is_told_as_one) {
    static const char small[] = "the cat and the dog and the bird\nand the cat again 12\n";
    const char *input = scratch_write("small.txt", small, strlen(small));
    ae_tokenizer_training a = training(&input, scratch_path("small.model"), "bpe", 5000);
    a.check = stop_after_some;
    for (int after = 0;; after++) {
        checks_left = after;
        const ae_status st = ae_tokenizer_train(&a);
        if (checks_left >= 0) break;
        cr_assert_eq(st, AE_ERR_INTERRUPTED, "after %d: %s", after, ae_error_message());
    }
}

/* The size named in the refusal is one that works. */
Test(tokenizer, a_text_too_small_names_the_size_it_gives) {
    static const char small[] = "the cat and the dog and the bird\nand the cat again 12\n";
    static const char *const kinds[] = {"bpe", "unigram"};
    for (int i = 0; i < 2; i++) {
        refuse_training(small, strlen(small), kinds[i], 5000, AE_ERR_USAGE,
                        "vocabulary size: expected at most ");
        const int most = atoi(strstr(ae_error_message(), "at most ") + 8);
        cr_assert(most > 262 && most < 400, "%d", most);
        const char *input = scratch_path("small.txt");
        const ae_tokenizer_training a = training(&input, scratch_path("small.model"), kinds[i], most);
        cr_assert_eq(ae_tokenizer_train(&a), AE_OK, "%s", ae_error_message());
        cr_assert_eq(unlink(a.output), 0);
    }
}

/* Such a model has no piece for a space. */
Test(tokenizer, trained_without_spaces_it_keeps_them) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(1, 1);
    for (int i = 0; i < 2000; i++) {
        text_add_word(&t, &rng);
        text_add(&t, "\n", 1);
    }
    const char *input = scratch_write("words.txt", t.s, t.n);
    const ae_tokenizer_training a = training(&input, scratch_path("words.model"), "bpe", 300);
    cr_assert_eq(ae_tokenizer_train(&a), AE_OK, "%s", ae_error_message());
    ae_tokenizer *k = NULL;
    cr_assert_eq(ae_tokenizer_open(&k, a.output), AE_OK);
    cr_assert_eq(ae_tokenizer_id(k, "\xE2\x96\x81"), -1);
    check_odd_texts(k);
    check_round_trip(k, " the  wood ", 11);
    ae_tokenizer_delete(k);
    free(t.s);
}

Test(tokenizer, long_lines_are_trained_on) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(1, 1);
    while (t.n < 200000) {
        text_add_word(&t, &rng);
        text_add(&t, " ", 1);
    }
    const char *input = scratch_write("line.txt", t.s, t.n);
    const ae_tokenizer_training a = training(&input, scratch_path("line.model"), "bpe", 500);
    cr_assert_eq(ae_tokenizer_train(&a), AE_OK, "%s", ae_error_message());
    ae_tokenizer *k = NULL;
    cr_assert_eq(ae_tokenizer_open(&k, a.output), AE_OK);
    ae_ids ids = encode(k, t.s, t.n);
    cr_assert_lt(2 * (size_t)ids.n, t.n);
    ae_ids_free(&ids);
    ae_tokenizer_delete(k);
    free(t.s);
}

Test(tokenizer, parts_of_a_model_are_refused) {
    ae_tokenizer *k = train("bpe", 300), *part = NULL;
    size_t n = 0;
    const char *bytes = ae_tokenizer_bytes(k, &n);
    for (size_t length = 0; length < n; length += n / 60 + 1) {
        cr_assert_eq(ae_tokenizer_from_bytes(&part, bytes, length, "cut.model"), AE_ERR_INPUT, "%zu of %zu",
                     length, n);
        cr_assert_message("cut.model: expected a sentencepiece model");
        cr_assert_null(part);
    }
    cr_assert_eq(ae_tokenizer_open(&part, scratch_path("none.model")), AE_ERR_INPUT);
    cr_assert_message("none.model: ");
    ae_tokenizer_delete(k);
    ae_tokenizer_delete(NULL);
}
