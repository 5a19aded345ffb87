#include "core/json.h"
#include "data/tokenizer_json.h"
#include "tests/core/scratch.h"

#include <limits.h>
#include <stdlib.h>

TestSuite(tokenizer_json, .init = scratch_make, .fini = scratch_remove);

/* A model of another kind than this project makes, by the trainer's options. */
static ae_tokenizer *make(const char *options) {
    char command[1024], text[4096] = "";
    ae_tokenizer *t = NULL;
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "the %d birds of hill %d sing\n",
                 i * 7 % 60, i);
    const char *lines = scratch_write("lines.txt", text, strlen(text));
    snprintf(command, sizeof command, "%s %s/odd.model '%s' %s", ODD_MODEL, scratch_folder, options, lines);
    cr_assert_eq(system(command), 0, "%s", command);
    cr_assert_eq(ae_tokenizer_open(&t, scratch_path("odd.model")), AE_OK, "%s", ae_error_message());
    return t;
}

static json_t *json_of(const ae_tokenizer *t, bool approximate) {
    char *text = NULL;
    const char *what = NULL;
    json_t *root = NULL;
    bool needs = false;
    cr_assert_eq(ae_tokenizer_needs_json(t, &needs), AE_OK);
    cr_assert(needs);
    cr_assert_eq(ae_tokenizer_json(t, &text, &what), AE_OK, "%s", ae_error_message());
    cr_assert_eq(what != NULL, approximate);
    cr_assert_eq(ae_json_parse(&root, text, strlen(text), "tokenizer.json"), AE_OK, "%s", ae_error_message());
    free(text);
    return root;
}

static const char *text_at(const json_t *o, const char *a, const char *b) {
    return json_string_value(json_object_get(json_object_get(o, a), b));
}

/* The steps of the normaliser, by their types and what they look for. */
static void expect_steps(const json_t *root, const char *want) {
    char found[512] = "";
    size_t i;
    const json_t *step;
    json_array_foreach(json_object_get(json_object_get(root, "normalizer"), "normalizers"), i, step) {
        const json_t *pattern = json_object_get(step, "pattern");
        const char *what = json_string_value(json_object_get(pattern, "Regex"));
        if (!what) what = json_string_value(json_object_get(pattern, "String"));
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s(%s) ",
                 json_string_value(json_object_get(step, "type")), what ? what : "");
    }
    cr_assert_str_eq(found, want);
}

Test(tokenizer_json, a_unigram_has_its_pieces_and_scores) {
    ae_tokenizer *t = make("--model_type=unigram --vocab_size=60");
    json_t *root = json_of(t, true);
    const json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab");
    cr_assert_str_eq(text_at(root, "model", "type"), "Unigram");
    cr_assert_eq(json_array_size(vocab), (size_t)ae_tokenizer_size(t));
    for (int32_t i = 0; i < ae_tokenizer_size(t); i++)
        cr_assert_str_eq(json_string_value(json_array_get(json_array_get(vocab, (size_t)i), 0)),
                         ae_tokenizer_piece(t, i));
    cr_assert_eq(json_integer_value(json_object_get(model, "unk_id")), 0);
    cr_assert(json_is_false(json_object_get(model, "byte_fallback")));
    expect_steps(root, "Precompiled() Replace(\\A +| +\\z) Replace( {2,}) Prepend() Replace( ) ");
    cr_assert(json_is_null(json_object_get(root, "pre_tokenizer")));
    const json_t *map = json_object_get(
        json_array_get(json_object_get(json_object_get(root, "normalizer"), "normalizers"), 0),
        "precompiled_charsmap");
    cr_assert_gt(json_string_length(map), 100000);
    cr_assert_eq(json_string_length(map) % 4, 0);
    json_decref(root);
    ae_tokenizer_delete(t);
}

/* Merges stand by the scores of what they make, and every pair that makes a piece is there. */
Test(tokenizer_json, a_bpe_merges_by_score) {
    ae_tokenizer *t = make(
        "--model_type=bpe --vocab_size=60 --normalization_rule_name=identity --user_defined_symbols=<td> "
        "--add_dummy_prefix=false --remove_extra_whitespaces=false");
    json_t *root = json_of(t, false);
    const json_t *model = json_object_get(root, "model"), *merges = json_object_get(model, "merges"),
                 *ids = json_object_get(model, "vocab");
    json_int_t last = 0;
    bool found = false;
    cr_assert_gt(json_array_size(merges), 20);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        char piece[256];
        const char *left = json_string_value(json_array_get(json_array_get(merges, i), 0)),
                   *right = json_string_value(json_array_get(json_array_get(merges, i), 1));
        snprintf(piece, sizeof piece, "%s%s", left, right);
        const json_t *id = json_object_get(ids, piece);
        cr_assert(id && json_object_get(ids, left) && json_object_get(ids, right), "%s + %s", left, right);
        cr_assert_geq(json_integer_value(id), last, "the trainer gives ids by falling score");
        last = json_integer_value(id);
        found = found || strcmp(piece, "the") == 0 ||
                strcmp(piece, "\xe2\x96\x81"
                              "the") == 0;
    }
    cr_assert(found);
    expect_steps(root, "Replace( ) ");
    const json_t *token = json_array_get(json_object_get(root, "added_tokens"), 3);
    cr_assert_str_eq(json_string_value(json_object_get(token, "content")), "<td>");
    cr_assert(json_is_false(json_object_get(token, "special")) &&
              json_is_true(json_object_get(token, "normalized")));
    json_decref(root);
    ae_tokenizer_delete(t);
}

Test(tokenizer_json, spelt_out_bytes_are_parted_for_a_unigram) {
    ae_tokenizer *t =
        make("--model_type=unigram --vocab_size=400 --byte_fallback=true --normalization_rule_name=identity");
    json_t *root = json_of(t, false);
    cr_assert_str_eq(text_at(root, "pre_tokenizer", "behavior"), "Isolated");
    json_decref(root);
    ae_tokenizer_delete(t);
}

Test(tokenizer_json, gemmas_kind_needs_none) {
    ae_tokenizer *t =
        make("--model_type=bpe --vocab_size=400 --byte_fallback=true --normalization_rule_name=identity "
             "--add_dummy_prefix=false --remove_extra_whitespaces=false");
    bool needs = true;
    cr_assert_eq(ae_tokenizer_needs_json(t, &needs), AE_OK);
    cr_assert(!needs);
    ae_tokenizer_delete(t);
}

static void refuse(const char *options, const char *says) {
    char *text = NULL;
    const char *what = NULL;
    ae_tokenizer *t = make(options);
    cr_assert_eq(ae_tokenizer_json(t, &text, &what), AE_ERR_INPUT, "%s", options);
    cr_assert_null(text);
    cr_assert_message(says);
    ae_tokenizer_delete(t);
}

Test(tokenizer_json, what_cannot_be_said_is_refused_by_name) {
    refuse("--model_type=word --vocab_size=60", "found a model of whole words or single characters");
    refuse("--model_type=char --vocab_size=30", "found a model of whole words or single characters");
    refuse("--model_type=bpe --vocab_size=60 --treat_whitespace_as_suffix=true",
           "spaces belong to the word before them");
    refuse("--model_type=bpe --vocab_size=60 --user_defined_symbols=<td>",
           "symbols of the user's and a space before the text");
}

/* ---- without memory ---- */

static long allocations_left;

static void *limited_malloc(size_t n) {
    return allocations_left-- == 0 ? NULL : malloc(n);
}

/* The text when the library's allocation number `fails_at` finds no memory; NULL where that is a failure. */
static char *json_without(const ae_tokenizer *t, long fails_at) {
    char *text = NULL;
    const char *what = NULL;
    allocations_left = fails_at;
    const ae_status st = ae_tokenizer_json(t, &text, &what);
    cr_assert(text ? st == AE_OK : st == AE_ERR_RESOURCE);
    return text;
}

/* Those before the value is written: the library itself comes to grief when it reads or writes without memory. */
static long allocations_of_the_value(const ae_tokenizer *t) {
    json_t *root = NULL;
    char *text = json_without(t, LONG_MAX), *again;
    const long all = LONG_MAX - allocations_left;
    cr_assert_eq(ae_json_parse(&root, text, strlen(text), "tokenizer.json"), AE_OK);
    allocations_left = LONG_MAX;
    again = ae_json_text(root);
    const long writing = LONG_MAX - allocations_left;
    cr_assert_str_eq(text, again);
    free(text);
    free(again);
    json_decref(root);
    return all - writing;
}

/* The JSON is whole or there is none, whichever part of it finds no memory. */
static void starve(const char *options) {
    ae_tokenizer *t = make(options);
    json_set_alloc_funcs(limited_malloc, free);
    const long n = allocations_of_the_value(t);
    char *whole = json_without(t, LONG_MAX);
    cr_assert_gt(n, 300);
    for (long k = 0; k < n; k++) {
        char *text = json_without(t, k);
        cr_assert(!text || strcmp(text, whole) == 0, "allocation %ld of %ld", k, n);
        free(text);
    }
    free(whole);
    json_set_alloc_funcs(malloc, free);
    ae_tokenizer_delete(t);
}

Test(tokenizer_json, pieces_that_find_no_memory_are_no_shifted_ids) {
    starve("--model_type=unigram --vocab_size=50 --normalization_rule_name=identity");
    starve("--model_type=bpe --vocab_size=50 --normalization_rule_name=identity");
}
