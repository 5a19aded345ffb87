#include "benchmark/filters.h"
#include "benchmark/scoring.h"
#include "tests/benchmark/rig.h"

TestSuite(filters, .init = scratch_make, .fini = scratch_remove);

/* What (a+)+$ cannot decide in the steps that PCRE2 allows, and what it can. */
static const char hard[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", easy[] = "baaa";

static void assert_filtered(const char *pattern, int match, const char *answer, const char *expected) {
    ae_filter_step step = {
        .kind = AE_FILTER_REGEX, .pattern = (char *)pattern, .match = match, .fallback = (char *)"[none]"};
    const ae_filter filter = {.name = (char *)"f", .steps = &step, .n_steps = 1};
    ae_filter_chain *chain = NULL;
    ae_texts out;
    cr_assert_eq(ae_filter_chain_new(&chain, &filter, "task"), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_filter_apply(&out, chain, &answer, 1), AE_OK, "%s", ae_error_message());
    cr_assert_eq(out.n, 1);
    cr_assert_str_eq(out.items[0], expected);
    ae_texts_free(&out);
    ae_filter_chain_delete(chain);
}

Test(filters, a_match_by_its_number) {
    assert_filtered("[0-9]+", 0, "1 and 22, then 333", "1");
    assert_filtered("[0-9]+", 1, "1 and 22, then 333", "22");
    assert_filtered("[0-9]+", -1, "1 and 22, then 333", "333");
    assert_filtered("[0-9]+", 3, "1 and 22, then 333", "[none]");
    assert_filtered("[0-9]+", -1, "none", "[none]");
    assert_filtered("x*", -1, "\xc3\xa4\xc3\xb6", "");
    assert_filtered("(a+)+$", 0, easy, "aaa");
}

/* A task whose metric or filter has a search that takes exponential time. */
static void assert_given_up(const char *lines) {
    char text[512];
    const char *answers[] = {easy};
    snprintf(text, sizeof text,
             "format: 1\ntask: mine\nversion: 1\nkind: generate\nrows: {file: rows.jsonl}\nprompt: '{{q}}'\n"
             "answer: x\n%s\n",
             lines);
    write_rows("rows.jsonl", "{\"q\": \"?\"}\n{\"q\": \"!\"}\n");
    asked a = ask(scratch_write("mine.yaml", text, strlen(text)), 1, default_options());
    ae_scoring *s = NULL;
    cr_assert_eq(ae_scoring_new(&s, a.task, a.documents, &(ae_judges){0}), AE_OK, "%s", ae_error_message());
    const ae_outcome o = {.answers = answers, .n_answers = 1};
    cr_assert_eq(ae_scoring_add(s, 1, &a.request, &o), AE_OK, "%s", ae_error_message());
    answers[0] = hard;
    cr_assert_eq(ae_scoring_add(s, 1, &a.request, &o), AE_ERR_INPUT);
    cr_assert_message("mine: answer to ");
    cr_assert_message("rows.jsonl:2: filter ");
    cr_assert_message(
        "pattern (a+)+$: expected to find out whether it matches an answer of 41 bytes, found: match "
        "limit exceeded");
    ae_scoring_delete(s);
    asked_free(&a);
}

Test(filters, a_search_that_is_given_up_is_no_missing_match) {
    assert_given_up("metrics: [exact_match]\nfilters: [{name: f, steps: [{regex: '(a+)+$'}]}]");
    assert_given_up("metrics: [{metric: exact_match, ignore: ['(a+)+$']}]");
}
