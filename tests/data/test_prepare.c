#include "core/h5.h"
#include "core/json.h"
#include "core/log.h"
#include "data/documents.h"
#include "data/prepare.h"
#include "data/token_set.h"
#include "data/tokenizer.h"
#include "tests/data/sets.h"
#include "tests/data/text.h"

static ae_tokenizer *tokenizer;
static char model_path[512], output[512];

static void begin(void) {
    scratch_make();
    ae_log_quiet(true);
    snprintf(output, sizeof output, "%s", scratch_path("out"));
    snprintf(model_path, sizeof model_path, "%s", scratch_path("t.model"));
    text_buffer t = text_make(3, 800);
    const char *input = scratch_write("corpus.txt", t.s, t.n);
    const ae_tokenizer_training a = {.inputs = &input,
                                     .n_inputs = 1,
                                     .output = model_path,
                                     .vocab_size = 350,
                                     .kind = "bpe",
                                     .sample_bytes = 1 << 24};
    cr_assert_eq(ae_tokenizer_train(&a), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tokenizer_open(&tokenizer, model_path), AE_OK);
    free(t.s);
}

static void end(void) {
    ae_tokenizer_delete(tokenizer);
    scratch_remove();
}

TestSuite(prepare, .init = begin, .fini = end, .timeout = 120);

static ae_prepare_options options(const char *const *inputs, size_t n) {
    return (ae_prepare_options){.inputs = inputs,
                                .n_inputs = n,
                                .tokenizer = model_path,
                                .output = output,
                                .heldout = 0.1,
                                .threads = 2};
}

static ae_prepare_report prepare(const ae_prepare_options *o) {
    ae_prepare_report r;
    cr_assert_eq(ae_data_prepare(o, &r), AE_OK, "%s", ae_error_message());
    return r;
}

static ae_token_set *open_part(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", output, name);
    ae_token_set *s = NULL;
    cr_assert_eq(ae_token_set_open(&s, path), AE_OK, "%s", ae_error_message());
    return s;
}

static int32_t *read_tokens(ae_token_set *s) {
    const int64_t n = ae_token_set_tokens(s);
    int32_t *ids = malloc((size_t)n * sizeof *ids);
    cr_assert_eq(ae_token_set_read(s, 0, n, ids, NULL), AE_OK, "%s", ae_error_message());
    return ids;
}

/* The documents of one set, each encoded whole between <bos> and <eos>. */
static void expect_documents(const char *name, const char *const *texts, const size_t *lengths, int64_t n) {
    ae_token_set *s = open_part(name);
    int32_t *found = read_tokens(s);
    ae_ids ids = {0};
    cr_assert_eq(ae_token_set_documents(s), n);
    for (int64_t d = 0; d < n; d++) {
        cr_assert_eq(ae_token_set_doc_starts(s)[d], ids.n);
        cr_assert_eq(ae_token_set_doc_bytes(s)[d], (int64_t)lengths[d]);
        ae_ids_append(&ids, 2);
        cr_assert_eq(ae_tokenizer_encode(tokenizer, texts[d], lengths[d], &ids), AE_OK);
        ae_ids_append(&ids, 1);
    }
    cr_assert_eq(ae_token_set_tokens(s), ids.n);
    cr_assert_arr_eq(found, ids.ids, (size_t)ids.n * sizeof *found);
    free(found);
    ae_ids_free(&ids);
    ae_token_set_close(s);
}

static const char *write_jsonl(const char *name, const text_buffer *texts, int n) {
    text_buffer t = {0};
    for (int i = 0; i < n; i++) {
        json_t *o = json_pack("{s:s%}", "text", texts[i].s, texts[i].n);
        char *line = json_dumps(o, JSON_COMPACT);
        text_add(&t, line, strlen(line));
        text_add(&t, "\n", 1);
        free(line);
        json_decref(o);
    }
    const char *path = scratch_write(name, t.s, t.n);
    free(t.s);
    return path;
}

Test(prepare, the_last_tenth_of_the_documents_is_held_out) {
    enum { N = 25, HELD = 2 };
    text_buffer t[N];
    const char *s[N];
    size_t n[N];
    int64_t bytes = 0;
    for (int i = 0; i < N; i++) {
        t[i] = text_make(50 + (uint64_t)i, 1 + 7 * i);
        s[i] = t[i].s;
        n[i] = t[i].n;
        bytes += (int64_t)n[i];
    }
    const char *input = write_jsonl("docs.jsonl", t, N);
    const ae_prepare_options o = options(&input, 1);
    const ae_prepare_report r = prepare(&o);
    expect_documents("train.h5", s, n, N - HELD);
    expect_documents("heldout.h5", s + N - HELD, n + N - HELD, HELD);
    cr_assert(r.files == 1 && r.documents == N && r.train_documents == N - HELD &&
              r.heldout_documents == HELD);
    cr_assert(r.text_bytes == bytes && r.empty_documents == 0);
    ae_token_set *train = open_part("train.h5");
    cr_assert_eq(ae_token_set_tokens(train), r.train_tokens);
    ae_token_set_close(train);
    for (int i = 0; i < N; i++) free(t[i].s);
}

/* The cut lies behind the last line end of the first nine tenths, and the second part is a document of its own. */
Test(prepare, one_document_is_cut_at_a_line_end) {
    text_buffer t = text_make(5, 3000);
    const char *input = scratch_write("one.txt", t.s, t.n);
    const ae_prepare_options o = options(&input, 1);
    const ae_prepare_report r = prepare(&o);
    cr_assert(r.train_documents == 1 && r.heldout_documents == 1);
    size_t cut = t.n - t.n / 10;
    while (!(t.s[cut - 1] == '\n' && t.s[cut] != '\n')) cut--;
    expect_documents("train.h5", (const char *[]){t.s}, (const size_t[]){cut}, 1);
    expect_documents("heldout.h5", (const char *[]){t.s + cut}, (const size_t[]){t.n - cut}, 1);
    free(t.s);
}

/* Shares that put the cut at and around every block. */
Test(prepare, cuts_anywhere_lose_nothing) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(1, 1);
    while (t.n < 3 * AE_BLOCK_BYTES) text_add_lines(&t, &rng, 100);
    const char *input = scratch_write("one.txt", t.s, t.n);
    ae_prepare_options o = options(&input, 1);
    o.force = true;
    for (int i = 0; i < 12; i++) {
        const double kept = 2.0 * AE_BLOCK_BYTES - 300 + 50 * i;
        o.heldout = 1 - kept / (double)t.n;
        prepare(&o);
        ae_token_set *s = open_part("train.h5");
        const size_t cut = (size_t)ae_token_set_doc_bytes(s)[0];
        cr_assert((double)cut <= kept && t.s[cut - 1] == '\n', "%zu for %f", cut, kept);
        ae_token_set_close(s);
        expect_documents("train.h5", (const char *[]){t.s}, (const size_t[]){cut}, 1);
        expect_documents("heldout.h5", (const char *[]){t.s + cut}, (const size_t[]){t.n - cut}, 1);
    }
    free(t.s);
}

Test(prepare, one_line_is_cut_between_words) {
    static const char text[] = "kalo miran theka usran elwood quka kalo miran thelo mirmir";
    const char *input = scratch_write("one.txt", text, strlen(text));
    ae_prepare_options o = options(&input, 1);
    prepare(&o);
    expect_documents("heldout.h5", (const char *[]){" mirmir"}, (const size_t[]){7}, 1);
    static const char lines[] = "kalo miran theka usran elwood quka kalo miran thelo mirmir\nka\n";
    o.force = true;
    input = scratch_write("two.txt", lines, strlen(lines));
    prepare(&o);
    expect_documents("heldout.h5", (const char *[]){"ka\n"}, (const size_t[]){3}, 1);
}

static void same_sets(const char *name, const char *other) {
    ae_token_set *a = open_part(name), *b = NULL;
    cr_assert_eq(ae_token_set_open(&b, other), AE_OK);
    cr_assert_eq(set_hash(a), set_hash(b));
    const size_t n = (size_t)ae_token_set_documents(a) * sizeof(int64_t);
    cr_assert_arr_eq(ae_token_set_doc_bytes(a), ae_token_set_doc_bytes(b), n);
    cr_assert_str_eq(ae_token_set_manifest(a), ae_token_set_manifest(b));
    ae_token_set_close(a);
    ae_token_set_close(b);
}

Test(prepare, threads_change_nothing) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(2, 1);
    while (t.n < 7 * AE_BLOCK_BYTES) text_add_lines(&t, &rng, 100);
    const char *inputs[] = {scratch_write("a.txt", t.s, t.n), write_gz("b.txt.gz", t.s + t.n / 2, t.n / 3)};
    ae_prepare_options o = options(inputs, 2);
    o.split_on = "mirthe";
    char first[512];
    snprintf(first, sizeof first, "%s/first", scratch_folder);
    o.output = first;
    o.threads = 1;
    prepare(&o);
    o.output = output;
    o.force = true;
    for (int threads = 2; threads <= 5; threads++) {
        o.threads = threads;
        const ae_prepare_report r = prepare(&o);
        cr_assert_gt(r.documents, 20);
        char other[600];
        snprintf(other, sizeof other, "%s/train.h5", first);
        same_sets("train.h5", other);
        snprintf(other, sizeof other, "%s/heldout.h5", first);
        same_sets("heldout.h5", other);
    }
    free(t.s);
}

Test(prepare, the_manifest_tells_what_was_done) {
    text_buffer t = text_make(5, 300);
    const char *input = scratch_write("one.txt", t.s, t.n);
    const ae_prepare_options o = options(&input, 1);
    const ae_prepare_report r = prepare(&o);
    ae_token_set *s = open_part("train.h5");
    json_t *m = NULL;
    const char *text = ae_token_set_manifest(s);
    cr_assert_eq(ae_json_parse(&m, text, strlen(text), "manifest"), AE_OK);
    const json_t *source = json_array_get(json_object_get(m, "sources"), 0);
    uint32_t crc = 0;
    int64_t bytes = 0;
    char hex[16];
    cr_assert_eq(ae_file_crc32(input, &crc, &bytes), AE_OK);
    snprintf(hex, sizeof hex, "%08x", crc);
    cr_assert_str_eq(json_string_value(json_object_get(source, "path")), input);
    cr_assert_str_eq(json_string_value(json_object_get(source, "crc32")), hex);
    cr_assert_eq(json_integer_value(json_object_get(source, "bytes")), bytes);
    const json_t *counts = json_object_get(m, "counts");
    cr_assert_eq(json_integer_value(json_object_get(counts, "tokens")), r.train_tokens);
    size_t n = 0, k = 0;
    const void *model = ae_tokenizer_bytes(tokenizer, &k);
    cr_assert_arr_eq(ae_token_set_tokenizer(s, &n), model, k);
    cr_assert_eq(n, k);
    cr_assert_eq(ae_token_set_vocab_size(s), 350);
    json_decref(m);
    ae_token_set_close(s);
    free(t.s);
}

Test(prepare, nothing_is_held_out_when_not_asked) {
    text_buffer t = text_make(5, 30);
    const char *input = scratch_write("one.txt", t.s, t.n);
    ae_prepare_options o = options(&input, 1);
    prepare(&o);
    o.force = true;
    o.heldout = 0;
    const ae_prepare_report r = prepare(&o);
    cr_assert(r.heldout_documents == 0 && r.heldout_tokens == 0);
    expect_documents("train.h5", (const char *[]){t.s}, (const size_t[]){t.n}, 1);
    char path[600];
    snprintf(path, sizeof path, "%s/heldout.h5", output);
    cr_assert_not(ae_path_exists(path), "the one of the run before does not match");
    free(t.s);
}

Test(prepare, what_exists_is_kept_without_force) {
    text_buffer t = text_make(5, 30);
    const char *input = scratch_write("one.txt", t.s, t.n);
    ae_prepare_options o = options(&input, 1);
    ae_prepare_report r;
    prepare(&o);
    input = scratch_write("other.txt", "other text altogether\nand more\n", 31);
    cr_assert_eq(ae_data_prepare(&o, &r), AE_ERR_USAGE);
    cr_assert_message("out/train.h5: exists already; name another folder or replace it with --force");
    ae_token_set *s = open_part("train.h5");
    cr_assert_gt(ae_token_set_doc_bytes(s)[0], 31);
    ae_token_set_close(s);
    free(t.s);
}

/* One line, the right code, and nothing left behind. */
static void refuse(const ae_prepare_options *o, ae_status st, const char *message) {
    ae_prepare_report r;
    cr_assert_eq(ae_data_prepare(o, &r), st, "%s", ae_error_message());
    cr_assert_message(message);
    cr_assert_null(strchr(ae_error_message(), '\n'));
    cr_assert_not(ae_path_exists(output));
}

Test(prepare, malformed_input_leaves_nothing) {
    text_buffer t = {0};
    ae_rng rng = ae_rng_make(2, 1);
    while (t.n < 4 * AE_BLOCK_BYTES) text_add_lines(&t, &rng, 100);
    t.s[t.n - 5] = '\xFF';
    const char *inputs[] = {scratch_write("good.txt", "fine text\nindeed\n", 17),
                            scratch_write("bad.txt", t.s, t.n)};
    ae_prepare_options o = options(inputs, 2);
    refuse(&o, AE_ERR_INPUT, "expected UTF-8 text, found byte 0xFF");
    inputs[1] = scratch_write("empty.txt", "", 0);
    refuse(&o, AE_ERR_INPUT, "empty.txt: expected text, found an empty file");
    inputs[1] = scratch_path("none.txt");
    refuse(&o, AE_ERR_INPUT, "none.txt: expected a file");
    inputs[1] = scratch_write("bad.jsonl", "{\"text\": \"a\"}\n{}\n", 17);
    refuse(&o, AE_ERR_INPUT,
           "bad.jsonl:2: expected an object with text in the field 'text', found no such field");
    inputs[0] = scratch_write("blank.txt", " \n", 2);
    o.n_inputs = 1;
    refuse(&o, AE_ERR_INPUT, "blank.txt: expected documents with text, found none");
    inputs[0] = scratch_write("tiny.txt", "a", 1);
    refuse(&o, AE_ERR_INPUT, "tiny.txt: expected text enough to hold a part out, found 1 bytes");
    o.tokenizer = inputs[0];
    refuse(&o, AE_ERR_INPUT, "tiny.txt: expected a sentencepiece model");
    free(t.s);
}

Test(prepare, options_are_checked) {
    const char *input = scratch_write("good.txt", "fine text\nindeed\n", 17);
    ae_prepare_options o = options(&input, 1);
    o.heldout = 0.6;
    refuse(&o, AE_ERR_USAGE, "heldout: expected a share from 0 to 0.5, found 0.6");
    o = options(&input, 1);
    o.split_on = "";
    refuse(&o, AE_ERR_USAGE, "split-on: expected text");
    o = options(&input, 0);
    refuse(&o, AE_ERR_USAGE, "input: expected at least one file");
    o = options(&input, 1);
    char below[600];
    snprintf(below, sizeof below, "%s/out", input);
    o.output = below;
    refuse(&o, AE_ERR_USAGE, "good.txt");
}

/* What a broken run left is out of the way of the next. */
Test(prepare, leftovers_are_cleared) {
    const char *input = scratch_write("good.txt", "fine text\nindeed\n", 17);
    char path[600];
    snprintf(path, sizeof path, "%s/.partial", output);
    cr_assert_eq(ae_folder_make(path), AE_OK);
    const ae_prepare_options o = options(&input, 1);
    prepare(&o);
    cr_assert_not(ae_path_exists(path));
}
