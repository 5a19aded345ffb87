#include "core/h5.h"
#include "data/examples.h"
#include "tests/data/sets.h"

TestSuite(examples, .init = scratch_make, .fini = scratch_remove);

/* Rows in token ids need no tokenizer. */
static ae_status prepare(const char *rows, ae_data_kind kind, double heldout, bool skip_bad,
                         ae_examples_report *r) {
    ae_record_map map;
    cr_assert_eq(ae_record_map_init(&map, NULL), AE_OK);
    char input[512], output[512], held[512];
    snprintf(input, sizeof input, "%s", scratch_write("rows.jsonl", rows, strlen(rows)));
    snprintf(output, sizeof output, "%s", scratch_path("train.h5"));
    snprintf(held, sizeof held, "%s", scratch_path("held.h5"));
    const char *inputs[] = {input};
    const ae_examples_options o = {.inputs = inputs,
                                   .n_inputs = 1,
                                   .rules = {.kind = kind, .map = &map, .vocab_size = 64},
                                   .output = output,
                                   .held_path = heldout > 0 ? held : NULL,
                                   .heldout = heldout,
                                   .skip_bad = skip_bad};
    const ae_status st = ae_examples_prepare(&o, r);
    ae_record_map_free(&map);
    return st;
}

static void expect_document(ae_token_set *s, int64_t document, const char *tokens, const char *mask) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    const int64_t n = starts[document + 1] - starts[document];
    int32_t ids[64];
    uint8_t bits[64];
    char found[512] = "", found_mask[128] = "";
    cr_assert_leq(n, 64);
    cr_assert_eq(ae_token_set_read(s, starts[document], n, ids, bits), AE_OK);
    for (int64_t i = 0; i < n; i++) {
        snprintf(found + strlen(found), sizeof found - strlen(found), "%d ", ids[i]);
        found_mask[i] = (char)('0' + bits[i]);
    }
    cr_assert_str_eq(found, tokens);
    cr_assert_str_eq(found_mask, mask);
}

Test(examples, chat_is_a_document_a_row) {
    ae_examples_report r;
    const char *rows = "{\"tokens\": [2, 5, 6], \"loss_mask\": [0, 0, 1]}\n\n"
                       "{\"tokens\": [2, 7], \"loss_mask\": [1, 0]}\n"
                       "{\"tokens\": [2, 8, 9, 10], \"loss_mask\": [0, 1, 1, 0]}\n";
    cr_assert_eq(prepare(rows, AE_KIND_CHAT, 0.1, false, &r), AE_OK, "%s", ae_error_message());
    cr_assert(r.train.rows == 2 && r.train.documents == 2 && r.train.tokens == 5 && r.train.targets == 1);
    cr_assert(r.train.longest == 3 && r.held.rows == 1 && r.held.targets == 2 && r.held.longest == 4 &&
              r.untrained == 1);
    ae_token_set *s = set_open(scratch_path("train.h5"));
    cr_assert(ae_token_set_kind(s) == AE_KIND_CHAT && ae_token_set_has_mask(s));
    cr_assert(ae_token_set_doc_bytes(s) == NULL && ae_token_set_margins(s) == NULL &&
              ae_token_set_vocab_size(s) == 64);
    expect_document(s, 0, "2 5 6 ", "001");
    expect_document(s, 1, "2 7 ", "10");
    cr_assert_eq(ae_token_set_verify(s), AE_OK, "%s", ae_error_message());
    ae_token_set_close(s);
    s = set_open(scratch_path("held.h5"));
    expect_document(s, 0, "2 8 9 10 ", "0110");
    ae_token_set_close(s);
}

Test(examples, a_pair_is_two_documents) {
    ae_examples_report r;
    const char *rows =
        "{\"prompt_tokens\": [2, 5], \"chosen_tokens\": [6], \"rejected_tokens\": [7, 8]}\n"
        "{\"prompt_tokens\": [2], \"chosen_tokens\": [9, 9], \"rejected_tokens\": [9], \"margin\": 0.5}\n";
    cr_assert_eq(prepare(rows, AE_KIND_PAIRS, 0, false, &r), AE_OK, "%s", ae_error_message());
    cr_assert(r.train.rows == 2 && r.train.documents == 4 && r.train.tokens == 12 && r.train.targets == 6);
    ae_token_set *s = set_open(scratch_path("train.h5"));
    cr_assert_eq(ae_token_set_kind(s), AE_KIND_PAIRS);
    expect_document(s, 0, "2 5 6 ", "001");
    expect_document(s, 1, "2 5 7 8 ", "0011");
    expect_document(s, 2, "2 9 9 ", "011");
    expect_document(s, 3, "2 9 ", "01");
    const float *margins = ae_token_set_margins(s);
    cr_assert(margins && margins[0] == 0.0f && margins[1] == 0.5f);
    cr_assert_eq(ae_token_set_verify(s), AE_OK, "%s", ae_error_message());
    ae_token_set_close(s);
}

static void expect_meta(const ae_token_set *s, int64_t document, const char *want) {
    size_t n = 0;
    const char *meta = ae_token_set_meta(s, document, &n);
    cr_assert_eq(meta != NULL, want != NULL);
    if (want) cr_assert(n == strlen(want) && memcmp(meta, want, n) == 0, "%.*s", (int)n, meta);
}

Test(examples, prompts_keep_their_meta) {
    ae_examples_report r;
    const char *rows = "{\"tokens\": [2, 5], \"meta\": {\"b\": 0.1, \"a\": [1, null, \"\\u00e9\"]}}\n"
                       "{\"tokens\": [2, 6]}\n"
                       "{\"tokens\": [2, 7], \"meta\": 0.12345678901234568}\n"
                       "{\"tokens\": [2, 7], \"meta\": \"\"}\n";
    cr_assert_eq(prepare(rows, AE_KIND_PROMPTS, 0, false, &r), AE_OK, "%s", ae_error_message());
    cr_assert(r.train.rows == 4 && r.train.targets == 0);
    ae_token_set *s = set_open(scratch_path("train.h5"));
    cr_assert(ae_token_set_kind(s) == AE_KIND_PROMPTS && !ae_token_set_has_mask(s));
    expect_document(s, 1, "2 6 ", "11");
    expect_meta(s, 0, "{\"b\":0.1,\"a\":[1,null,\"\xC3\xA9\"]}");
    expect_meta(s, 1, NULL);
    expect_meta(s, 2, "0.12345678901234568");
    expect_meta(s, 3, "\"\"");
    cr_assert_eq(ae_token_set_verify(s), AE_OK, "%s", ae_error_message());
    ae_token_set_close(s);
    cr_assert_eq(prepare("{\"tokens\": [2, 5]}", AE_KIND_PROMPTS, 0, false, &r), AE_OK);
    s = set_open(scratch_path("train.h5"));
    expect_meta(s, 0, NULL);
    ae_token_set_close(s);
}

static void refuse(const char *rows, ae_data_kind kind, double heldout, const char *says) {
    ae_examples_report r;
    cr_assert_eq(prepare(rows, kind, heldout, false, &r), AE_ERR_INPUT, "%s", rows);
    cr_assert_message(says);
    cr_assert_not(ae_path_exists(scratch_path("train.h5")));
    cr_assert_not(ae_path_exists(scratch_path("train.h5.partial")));
    ae_bad_lines_free(&r.bad);
}

Test(examples, faults_leave_nothing_behind) {
    const char *good = "{\"tokens\": [2, 5], \"loss_mask\": [0, 1]}\n";
    char rows[512];
    snprintf(rows, sizeof rows, "%s{\"tokens\": [2, 64], \"loss_mask\": [0, 1]}\n", good);
    refuse(rows, AE_KIND_CHAT, 0, "rows.jsonl:2: tokens[1]: expected 0 to 63, found 64");
    refuse("{\"tokens\": [2, 5], \"loss_mask\": [0]}", AE_KIND_CHAT, 0,
           "rows.jsonl:1: loss_mask: expected an entry for each of the 2 tokens, found 1");
    refuse("{\"tokens\": [2, 5], \"loss_mask\": [0, 2]}", AE_KIND_CHAT, 0,
           "loss_mask[1]: expected 0 to 1, found 2");
    refuse("{\"tokens\": [2, -1]}", AE_KIND_PROMPTS, 0, "tokens[1]: expected 0 to 63, found -1");
    refuse("{\"tokens\": [2, 1.0]}", AE_KIND_PROMPTS, 0,
           "tokens[1]: expected a whole number, found a number");
    refuse("{\"tokens\": []}", AE_KIND_PROMPTS, 0, "tokens: expected token ids, found an empty list");
    refuse("{\"tokens\": \"2\"}", AE_KIND_PROMPTS, 0, "tokens: expected a list of token ids, found text");
    refuse("{\"prompt_tokens\": [2], \"chosen_tokens\": [5]}", AE_KIND_PAIRS, 0,
           "rejected_tokens: expected a list of token ids, found no such key");
    refuse("{\"prompt_tokens\": [2], \"chosen_tokens\": [5], \"rejected_tokens\": [5]}", AE_KIND_PAIRS, 0,
           "rows.jsonl:1: expected chosen and rejected to differ, found the same");
    refuse("{\"prompt_tokens\": [2], \"chosen_tokens\": [5], \"rejected_tokens\": [6], \"margin\": 1e39}",
           AE_KIND_PAIRS, 0, "margin: expected a number that float32 holds");
    refuse("{\"prompt\": \"a\", \"completion\": \"b\"}", AE_KIND_CHAT, 0,
           "rows.jsonl:1: expected tokens and loss_mask, since there is no tokenizer for text");
    refuse("{\"tokens\": [2, 5], \"loss_mask\": [1, 0]}\n", AE_KIND_CHAT, 0,
           "expected answers to learn from in the training part, found none that counts");
    snprintf(rows, sizeof rows, "%s{\"tokens\": [2, 5], \"loss_mask\": [0, 0]}\n", good);
    refuse(rows, AE_KIND_CHAT, 0.1, "expected answers to learn from in the held-out part");
    refuse(good, AE_KIND_CHAT, 0.1, "expected two rows or more to hold one out, found one");
    refuse("[1]", AE_KIND_CHAT, 0, "rows.jsonl:1: expected an object a line, found a JSON list");
    refuse("\n \n", AE_KIND_CHAT, 0, "rows.jsonl: expected JSON lines, found an empty file");
}

Test(examples, bad_rows_are_left_out_when_asked) {
    ae_examples_report r;
    const char *rows = "{\"tokens\": [2, 5]}\nnonsense\n{\"tokens\": []}\n{\"tokens\": [2, 6]}\n";
    cr_assert_eq(prepare(rows, AE_KIND_PROMPTS, 0, true, &r), AE_OK, "%s", ae_error_message());
    cr_assert(r.train.rows == 2 && r.bad.n == 2);
    cr_assert_not_null(strstr(r.bad.first[0], "rows.jsonl:2: expected JSON"));
    cr_assert_not_null(strstr(r.bad.first[1], "rows.jsonl:3: tokens: expected token ids"));
    ae_bad_lines_free(&r.bad);
    cr_assert_eq(prepare("nonsense\n", AE_KIND_PROMPTS, 0, true, &r), AE_ERR_INPUT);
    cr_assert_message("expected rows of prompts, found none that is sound");
    ae_bad_lines_free(&r.bad);
}

/* ---- token sets of a kind ---- */

static uint64_t hash_of(const char *rows, ae_data_kind kind) {
    ae_examples_report r;
    cr_assert_eq(prepare(rows, kind, 0, false, &r), AE_OK, "%s", ae_error_message());
    ae_token_set *s = set_open(scratch_path("train.h5"));
    const uint64_t hash = set_hash(s);
    ae_token_set_close(s);
    return hash;
}

/* The same without the hash that the writer kept. */
static uint64_t hash_anew(void) {
    hid_t f = H5Fopen(scratch_path("train.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    cr_assert_geq(H5Adelete(f, "content_hash"), 0);
    cr_assert_geq(H5Fclose(f), 0);
    ae_token_set *s = set_open(scratch_path("train.h5"));
    const uint64_t hash = set_hash(s);
    ae_token_set_close(s);
    return hash;
}

#define PAIR "{\"prompt_tokens\": [2, 5], \"chosen_tokens\": [6], \"rejected_tokens\": [7]"

Test(examples, the_hash_covers_kind_margin_and_meta) {
    const uint64_t pairs = hash_of(PAIR "}", AE_KIND_PAIRS);
    cr_assert_eq(hash_anew(), pairs);
    const uint64_t one = hash_of(PAIR ", \"margin\": 1}", AE_KIND_PAIRS);
    cr_assert_eq(hash_anew(), one);
    const uint64_t two = hash_of(PAIR ", \"margin\": 2}", AE_KIND_PAIRS);
    cr_assert(pairs != one && one != two);
    const uint64_t chat = hash_of("{\"tokens\": [2, 5, 6], \"loss_mask\": [0, 0, 1]}\n"
                                  "{\"tokens\": [2, 5, 7], \"loss_mask\": [0, 0, 1]}",
                                  AE_KIND_CHAT);
    cr_assert_neq(chat, pairs);
    const uint64_t a = hash_of("{\"tokens\": [2], \"meta\": 1}\n{\"tokens\": [3]}", AE_KIND_PROMPTS);
    cr_assert_eq(hash_anew(), a);
    const uint64_t b = hash_of("{\"tokens\": [2]}\n{\"tokens\": [3], \"meta\": 1}", AE_KIND_PROMPTS);
    cr_assert_neq(a, b);
}

/* What sets without a kind had before there were kinds: runs that trained on them must go on. */
Test(examples, the_hash_of_text_stays) {
    static const int32_t ids[] = {2, 5, 6, 2, 7};
    static const uint8_t mask[] = {0, 1, 1, 0, 1};
    ae_token_writer *w = NULL;
    const ae_token_set_info info = {.vocab_size = 64, .has_mask = true};
    const char *path = scratch_path("text.h5");
    cr_assert_eq(ae_token_writer_open(&w, path, &info), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids, mask, 3, 6), AE_OK);
    cr_assert_eq(ae_token_writer_add(w, ids + 3, mask + 3, 2, 4), AE_OK);
    cr_assert_eq(ae_token_writer_finish(w, "{}"), AE_OK);
    ae_token_set *s = set_open(path);
    cr_assert(ae_token_set_kind(s) == AE_KIND_TEXT);
    cr_assert_eq(set_hash(s), UINT64_C(0x4a49bd77fd77c844));
    ae_token_set_close(s);
}

/* Attributes and lists that do not go together. */
static void refuse_set(const char *says) {
    ae_token_set *s = NULL;
    cr_assert_eq(ae_token_set_open(&s, scratch_path("train.h5")), AE_ERR_INPUT);
    cr_assert_message(says);
}

static void set_kind(const char *kind) {
    hid_t f = H5Fopen(scratch_path("train.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    if (ae_h5_has_attr(f, "kind")) cr_assert_geq(H5Adelete(f, "kind"), 0);
    cr_assert_eq(ae_h5_set_attr_text(f, "train.h5", "kind", kind), AE_OK);
    cr_assert_geq(H5Fclose(f), 0);
}

static void shorten(const char *name, int64_t n) {
    hid_t f = H5Fopen(scratch_path("train.h5"), H5F_ACC_RDWR, H5P_DEFAULT),
          set = H5Dopen2(f, name, H5P_DEFAULT);
    const hsize_t length = (hsize_t)n;
    cr_assert_geq(H5Dset_extent(set, &length), 0);
    H5Dclose(set);
    cr_assert_geq(H5Fclose(f), 0);
}

Test(examples, sets_of_a_kind_are_checked) {
    ae_examples_report r;
    cr_assert_eq(prepare("{\"tokens\": [2], \"meta\": [1, 2]}", AE_KIND_PROMPTS, 0, false, &r), AE_OK);
    set_kind("poems");
    refuse_set("train.h5: kind: expected chat, pairs or prompts, found \"poems\"");
    set_kind("pairs");
    refuse_set("train.h5: doc_starts: expected two documents a pair, found 1");
    set_kind("prompts");
    shorten("meta", 3);
    refuse_set("train.h5: meta_starts: expected ascending entries from 0 to the 3 bytes of meta");
    shorten("meta_starts", 1);
    refuse_set("train.h5: meta_starts: expected 2 entries, one more than documents, found 1");
    cr_assert_eq(prepare(PAIR ", \"margin\": 1}\n" PAIR "}", AE_KIND_PAIRS, 0, false, &r), AE_OK);
    shorten("margin", 1);
    refuse_set("train.h5: margin: expected 2 entries, one a pair, found 1");
}

/* Tokens and mask alone do not tell dialogues from pairs. */
Test(examples, another_kind_is_a_changed_set) {
    ae_examples_report r;
    cr_assert_eq(prepare(PAIR "}", AE_KIND_PAIRS, 0, false, &r), AE_OK);
    set_kind("chat");
    ae_token_set *s = set_open(scratch_path("train.h5"));
    cr_assert_eq(ae_token_set_verify(s), AE_ERR_INPUT);
    cr_assert_message("train.h5: content_hash: expected ");
    ae_token_set_close(s);
}
