#include "../eval/small_tokenizer.h"
#include "data/render.h"
#include "rlhf/rewards.h"
#include "rlhf/rule_text.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static ae_tokenizer *tokenizer;

static void setup(void) {
    tokenizer = small_tokenizer();
}

static void teardown(void) {
    ae_tokenizer_delete(tokenizer);
}

TestSuite(rewards, .init = setup, .fini = teardown);

static ae_rewards *opened(const char *list) {
    ae_rewards *r = NULL;
    const ae_rewards_facts facts = {.tokenizer = tokenizer};
    cr_assert_eq(ae_rewards_open(&r, list, &facts), AE_OK, "%s: %s", list, ae_error_message());
    return r;
}

/* Messages of a list that is refused. */
static void refused(const char *list, const char *words) {
    ae_rewards *r = NULL;
    const ae_rewards_facts facts = {.tokenizer = tokenizer};
    cr_assert_eq(ae_rewards_open(&r, list, &facts), AE_ERR_USAGE, "%s", list);
    cr_assert_null(r);
    cr_assert_not_null(strstr(ae_error_message(), words), "%s: expected \"%s\", found \"%s\"", list, words,
                       ae_error_message());
}

static ae_rewarded_answer answered(const char *text, const char *meta) {
    return (ae_rewarded_answer){.prompt = "",
                                .answer = text,
                                .answer_bytes = strlen(text),
                                .meta = meta,
                                .meta_bytes = meta ? strlen(meta) : 0};
}

/* The reward of one answer by a list of one source. */
static double reward(const char *list, const char *text, const char *meta) {
    ae_rewards *r = opened(list);
    const ae_rewarded_answer a = answered(text, meta);
    double part = -1;
    ae_reward_of out = {.parts = &part};
    cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_OK, "%s: %s", list, ae_error_message());
    cr_assert(out.has);
    ae_rewards_close(r);
    return out.total;
}

static void expect(double wanted, const char *list, const char *text, const char *meta) {
    const double found = reward(list, text, meta);
    cr_assert_float_eq(found, wanted, 1e-12, "%s of \"%s\": expected %g, found %g", list, text, wanted,
                       found);
}

Test(rewards, exact_text) {
    const char *list = "[{\"kind\": \"exact\"}]", *meta = "{\"answer\": \"a red ball\"}";
    expect(1, list, "a red ball", meta);
    expect(1, list, " a red ball\n", meta);
    expect(0, list, "a red  ball", meta);
    expect(0, list, "A red ball", meta);
    expect(0, list, "", meta);
    expect(1, list, "42", "{\"answer\": 42}");
    expect(1, "[{\"kind\": \"exact\", \"ignore_case\": true}]", "A RED Ball", meta);
    expect(0, "[{\"kind\": \"exact\", \"strip\": false}]", "a red ball\n", meta);
    expect(1, "[{\"kind\": \"exact\", \"field\": \"is\", \"ignore_case\": true}]", "\xc3\x84rger",
           "{\"is\": \"\xc3\xa4RGER\"}");
}

Test(rewards, numbers_of_texts) {
    static const struct {
        const char *text;
        double last, first;
    } cases[] = {
        {"it is 72.", 72, 72},
        {"3 + 4 = 7", 7, 3},
        {"$1,234.50 in all", 1234.5, 1234.5},
        {"1,2 and 10,000,000", 1e7, 1},
        {"from 10 to -5", -5, 10},
        {"10-5", 5, 10},
        {"x=-5", -5, -5},
        {"(3)-4", 4, 3},
        {"-$3.20", -3.2, -3.2},
        {"\xe2\x88\x92"
         "7",
         -7, -7},
        {"\\boxed{.5}", .5, .5},
        {"2e3", 2000, 2000},
        {"2e-3,", .002, .002},
        {"2em", 2, 2},
        {"3.", 3, 3},
        {"4 of H2O and x_1", 4, 4},
        {"so 5 - 2\n#### 72 of 90", 72, 5},
        {"#### 1\n#### -2", -2, 1},
        {"12345,678", 678, 12345},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double x = 0;
        const char *text = cases[i].text;
        cr_assert(ae_number_in(text, strlen(text), true, &x), "%s", text);
        cr_assert_eq(x, cases[i].last, "last of \"%s\": %g", text, x);
        cr_assert(ae_number_in(text, strlen(text), false, &x), "%s", text);
        cr_assert_eq(x, cases[i].first, "first of \"%s\": %g", text, x);
    }
    double x = 0;
    cr_assert_not(ae_number_in("none. H2O, x_1", 14, true, &x));
    cr_assert_not(ae_number_in("5 ####", 6, true, &x));
    cr_assert_not(ae_number_in("123", 0, true, &x));
}

Test(rewards, numbers) {
    const char *list = "[{\"kind\": \"number\"}]";
    expect(1, list, "That makes 6 * 12 = 72 apples.", "{\"answer\": \"a long way\\n#### 72\"}");
    expect(1, list, "72.00", "{\"answer\": 72}");
    expect(0, list, "-72", "{\"answer\": 72}");
    expect(0, list, "many", "{\"answer\": 72}");
    expect(0, list, "72, not 71", "{\"answer\": 72}");
    expect(1, "[{\"kind\": \"number\", \"last\": false}]", "72, not 71", "{\"answer\": 72}");
}

Test(rewards, regular_expressions) {
    const char *list = "[{\"kind\": \"regex\", \"pattern\": \"^(yes|no)[.!]?$\"}]";
    expect(1, list, "yes.", NULL);
    expect(0, list, "yes, it is", NULL);
    expect(0, list, "Yes", NULL);
    expect(1, "[{\"kind\": \"regex\", \"pattern\": \"^yes\", \"ignore_case\": true}]", "Yes", NULL);
    list = "[{\"kind\": \"regex\", \"field\": \"like\"}]";
    expect(1, list, "abc", "{\"like\": \"b\"}");
    expect(0, list, "abc", "{\"like\": \"d\"}");
}

Test(rewards, lengths) {
    static const struct {
        const char *list;
        ptrdiff_t n;
        double wanted;
    } cases[] = {
        {"[{\"kind\": \"length\", \"target\": 10}]", 10, 1},
        {"[{\"kind\": \"length\", \"target\": 10}]", 5, .5},
        {"[{\"kind\": \"length\", \"target\": 10}]", 100, 0},
        {"[{\"kind\": \"length\", \"target\": 10, \"scale\": 4}]", 11, .75},
        {"[{\"kind\": \"length\", \"max\": 10}]", 10, 0},
        {"[{\"kind\": \"length\", \"max\": 10}]", 15, -.5},
        {"[{\"kind\": \"length\", \"max\": 10, \"scale\": 2}]", 15, -1},
        {"[{\"kind\": \"length\", \"min\": 4, \"max\": 10, \"scale\": 2}]", 3, -.5},
        {"[{\"kind\": \"length\", \"min\": 4}]", 3, -.25},
        {"[{\"kind\": \"length\", \"min\": 4}]", 400, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_rewards *r = opened(cases[i].list);
        double part = -2;
        ae_reward_of out = {.parts = &part};
        const ae_rewarded_answer a = {.n = cases[i].n};
        cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_OK, "%s", ae_error_message());
        cr_assert_float_eq(out.total, cases[i].wanted, 1e-12, "%s of %td: %g", cases[i].list, a.n, out.total);
        ae_rewards_close(r);
    }
}

Test(rewards, words) {
    const char *count = "[{\"kind\": \"words\", \"list\": [\"Lily\", \"red ball\", \"park\"]}]";
    expect(1, count, "LILY's red ball was in the park.", NULL);
    expect(1. / 3, count, "Lily found a red balloon in the car-parking", NULL);
    expect(0, count, "", NULL);
    expect(1, "[{\"kind\": \"words\", \"list\": [\"a\", \"b\"], \"mode\": \"all\"}]", "b, a", NULL);
    expect(0, "[{\"kind\": \"words\", \"list\": [\"a\", \"b\"], \"mode\": \"all\"}]", "b, c", NULL);
    expect(1, "[{\"kind\": \"words\", \"list\": [\"a\", \"b\"], \"mode\": \"any\"}]", "b, c", NULL);
    expect(0, "[{\"kind\": \"words\", \"list\": [\"a\", \"b\"], \"mode\": \"none\"}]", "b, c", NULL);
    expect(1, "[{\"kind\": \"words\", \"list\": [\"a\", \"b\"], \"mode\": \"none\"}]", "ab", NULL);
    expect(.5, "[{\"kind\": \"words\", \"field\": \"of\"}]",
           "\xc3\x9c"
           "BUNG \xe2\x80\x9cmacht\xe2\x80\x9d",
           "{\"of\": [\"\xc3\xbc"
           "bung\", \"mach\"]}");
    expect(1, "[{\"kind\": \"words\", \"list\": [42, 1.5]}]", "42 or 1.5", NULL);
    expect(1, "[{\"kind\": \"words\", \"field\": \"of\"}]", "it cost $5", "{\"of\": \"$5\"}");
}

Test(rewards, case_is_folded_in_pairs) {
    /* one of each range: Latin, its additions, Greek, Cyrillic; signs stay */
    char text[] = "AZ\xc3\x80\xc3\x9e\xc3\x97\xc5\x81\xc5\xa0\xc5\xb8\xc5\xbd\xce\x86\xce\xa9\xcf\x82\xd0\x81"
                  "\xd0\xaf\xd2\x90",
         wanted[] = "az\xc3\xa0\xc3\xbe\xc3\x97\xc5\x82\xc5\xa1\xc3\xbf\xc5\xbe\xce\xac\xcf\x89\xcf\x83\xd1"
                    "\x91\xd1\x8f\xd2\x91";
    ae_fold_case(text, sizeof text - 1);
    cr_assert_str_eq(text, wanted);
}

/* ---- sums ---- */

Test(rewards, weighted_sums_and_names) {
    ae_rewards *r =
        opened("[{\"kind\": \"exact\", \"weight\": 2}, {\"kind\": \"regex\", \"pattern\": \"a\"}, "
               "{\"kind\": \"regex\", \"pattern\": \"b\", \"weight\": -0.5}, "
               "{\"kind\": \"length\", \"max\": 3, \"name\": \"short\"}]");
    static const char *const names[] = {"exact", "regex", "regex2", "short"};
    const ae_rewarded_answer answers[] = {answered("ab", "{\"answer\": \"ab\"}"),
                                          answered("b", "{\"answer\": \"a\"}")};
    double parts[2][4];
    ae_reward_of out[] = {{.parts = parts[0]}, {.parts = parts[1]}};
    cr_assert_eq(ae_rewards_sources(r), 4);
    for (size_t i = 0; i < 4; i++) cr_assert_str_eq(ae_rewards_name(r, i), names[i]);
    cr_assert_eq(ae_rewards_give(r, answers, 2, out), AE_OK, "%s", ae_error_message());
    cr_assert_eq(out[0].total, 2 + 1 - .5);
    cr_assert_eq(out[1].total, -.5);
    cr_assert(out[0].has && out[1].has);
    cr_assert_eq(parts[0][0], 1);
    cr_assert_eq(parts[1][2], 1);
    ae_rewards_close(r);
}

/* Finite parts whose weighted sum is not: by one product, and by the sum of two. */
Test(rewards, a_sum_that_overflows_names_its_source) {
    static const struct {
        const char *list, *says;
    } cases[] = {
        {"[{\"kind\": \"length\", \"target\": 9},"
         " {\"kind\": \"program\", \"name\": \"judge\", \"weight\": -1e9,"
         " \"command\": \"while read -r l; do echo '{\\\"id\\\": 0, \\\"reward\\\": 1e300}'; done\"}]",
         "rl.rewards[1] (judge): expected a finite sum of rewards, found that weight -1e+09 times reward "
         "1e+300"},
        {"[{\"kind\": \"program\", \"command\":"
         " \"while read -r l; do echo '{\\\"id\\\": 0, \\\"reward\\\": 1.5e308}'; done\"},"
         " {\"kind\": \"program\", \"command\":"
         " \"while read -r l; do echo '{\\\"id\\\": 0, \\\"reward\\\": 1.5e308}'; done\"}]",
         "rl.rewards[1] (program2): expected a finite sum of rewards, found that weight 1 times reward "
         "1.5e+308"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_rewards *r = opened(cases[i].list);
        const ae_rewarded_answer a = answered("x", NULL);
        double parts[2];
        ae_reward_of out = {.parts = parts};
        cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_ERR_INPUT);
        cr_assert_not_null(strstr(ae_error_message(), cases[i].says), "%s", ae_error_message());
        ae_rewards_close(r);
    }
}

Test(rewards, none_gives_nothing) {
    ae_rewards *r = opened("");
    const ae_rewarded_answer a = {.n = 1};
    ae_reward_of out = {.total = 7};
    cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_OK);
    cr_assert(out.has);
    cr_assert_eq(out.total, 0);
    ae_rewards_close(r);
}

/* ---- texts ---- */

Test(rewards, texts_come_from_tokens) {
    ae_rewards *r = opened("[{\"kind\": \"exact\"}]");
    ae_ids ids = {0};
    static const char first[] = "the hill", second[] = "the bird\nsings?";
    cr_assert_eq(ae_render_user(tokenizer, true, NULL, 0, first, strlen(first), &ids), AE_OK);
    cr_assert_eq(ae_render_answer(tokenizer, "no", 2, &ids), AE_OK);
    cr_assert_eq(ae_render_user(tokenizer, false, NULL, 0, second, strlen(second), &ids), AE_OK);
    const ptrdiff_t n_prompt = ids.n;
    cr_assert_eq(ae_render_answer(tokenizer, "it sings", 8, &ids), AE_OK);
    const ae_rewarded_answer a = {.tokens = ids.ids,
                                  .n_prompt = n_prompt,
                                  .n = ids.n - n_prompt,
                                  .meta = "{\"answer\": \"it sings\"}!",
                                  .meta_bytes = 22};
    double part = 0;
    ae_reward_of out = {.parts = &part};
    cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_OK, "%s", ae_error_message());
    cr_assert_eq(out.total, 1);
    char *text = NULL;
    size_t n = 0;
    cr_assert_eq(ae_rewarded_text(tokenizer, ids.ids, n_prompt, &text, &n), AE_OK);
    cr_assert_str_eq(text, second);
    cr_assert_eq(n, strlen(second));
    free(text);
    cr_assert_eq(ae_rewarded_text(tokenizer, ids.ids + n_prompt, ids.n - n_prompt, &text, &n), AE_OK);
    cr_assert_str_eq(text, "it sings", "no turns: all of it, found %s", text);
    free(text);
    ae_ids_free(&ids);
    ae_rewards_close(r);
}

/* ---- faults ---- */

Test(rewards, lists_that_are_refused) {
    refused("{}", "rl.rewards: expected a list [{kind: ..., ...}, ...], found an object");
    refused("[3]", "rl.rewards[0]: expected {kind: ..., ...}, found a whole number");
    refused("[{\"weight\": 1}]",
            "rl.rewards[0].kind: expected the kind of the reward, such as exact, found no such");
    refused("[{\"kind\": \"exact\"}, {\"kind\": \"lenght\"}]",
            "rl.rewards[1].kind: expected one of exact, number");
    refused("[{\"kind\": \"lenght\"}]", "found 'lenght'; did you mean length?");
    refused("[]", "expected at least one entry, such as {kind: exact}, found an empty list");
    refused("{\"kind\": \"exact\"}", "found one mapping; put it in [ ]");
    refused("[{\"kind\": \"prm\"}]", "process reward models) are not in this version");
    refused("[{\"kind\": \"tools\"}]", "tools are not in this version");
    refused("[{\"kind\": \"exact\", \"feild\": \"a\"}]",
            "unknown key 'feild' of kind exact; did you mean field");
    refused("[{\"kind\": \"exact\", \"weight\": \"a\"}]",
            "rl.rewards[0].weight: expected a number, found text");
    refused("[{\"kind\": \"exact\", \"name\": \"a b\"}]", "expected letters, digits");
    refused("[{\"kind\": \"exact\", \"name\": \"std\"}]", "expected another name");
    refused("[{\"kind\": \"exact\"}, {\"kind\": \"number\", \"name\": \"exact\"}]", "found 'exact' again");
    refused("[{\"kind\": \"exact\", \"strip\": 1}]", "rl.rewards[0].strip: expected true or false");
    refused("[{\"kind\": \"regex\"}]",
            "expected pattern, or field for a pattern in each prompt's meta, found neither");
    refused("[{\"kind\": \"regex\", \"pattern\": \"(\"}]",
            "expected a POSIX extended regular expression, found \"(\"");
    refused("[{\"kind\": \"length\"}]", "expected target, or min and max or one of them, found neither");
    refused("[{\"kind\": \"length\", \"target\": 0}]", "rl.rewards[0].target: expected 1 to");
    refused("[{\"kind\": \"length\", \"min\": 5, \"max\": 4}]", "max: expected at least min, 5, found 4");
    refused("[{\"kind\": \"words\", \"list\": []}]", "expected a list of words");
    refused("[{\"kind\": \"words\", \"list\": [\"a\"], \"mode\": \"som\"}]",
            "expected one of count, all, any, none");
}

Test(rewards, rules_of_text_want_a_tokenizer) {
    ae_rewards *r = NULL;
    const ae_rewards_facts facts = {.vocab_size = 300};
    cr_assert_eq(ae_rewards_open(&r, "[{\"kind\": \"exact\"}]", &facts), AE_ERR_USAGE);
    cr_assert_not_null(strstr(ae_error_message(), "expected a tokenizer"), "%s", ae_error_message());
    cr_assert_eq(ae_rewards_open(&r, "[{\"kind\": \"length\", \"max\": 3}]", &facts), AE_OK);
    ae_rewards_close(r);
}

Test(rewards, prompts_lack_what_rules_ask_for) {
    static const struct {
        const char *list, *meta, *words;
    } cases[] = {
        {"[{\"kind\": \"exact\"}]", NULL,
         "rl.rewards[0]: meta.answer: expected text or a number, found no meta"},
        {"[{\"kind\": \"exact\"}]", "{\"a\": 1}", "found no such key"},
        {"[{\"kind\": \"exact\"}]", "{\"answer\": []}", "found a list"},
        {"[{\"kind\": \"number\"}]", "{\"answer\": \"none\"}", "found \"none\""},
        {"[{\"kind\": \"number\"}]", "[]", "found a list"},
        {"[{\"kind\": \"regex\", \"field\": \"p\"}]", "{\"p\": \"[\"}", "regular expression"},
        {"[{\"kind\": \"words\", \"field\": \"w\"}]", "{\"w\": [true]}",
         "expected a word or a list of words"},
        {"[{\"kind\": \"exact\"}]", "{", "meta: expected JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_rewards *r = opened(cases[i].list);
        const ae_rewarded_answer a = answered("x", cases[i].meta);
        double part;
        ae_reward_of out = {.parts = &part};
        cr_assert_eq(ae_rewards_check_meta(r, a.meta, a.meta_bytes), AE_ERR_INPUT);
        cr_assert_not_null(strstr(ae_error_message(), cases[i].words), "%zu: %s", i, ae_error_message());
        cr_assert_eq(ae_rewards_give(r, &a, 1, &out), AE_ERR_INPUT);
        cr_assert_not_null(strstr(ae_error_message(), cases[i].words), "%zu: %s", i, ae_error_message());
        ae_rewards_close(r);
    }
    ae_rewards *r = opened("[{\"kind\": \"regex\", \"field\": \"p\"}]");
    cr_assert_eq(ae_rewards_check_meta(r, "{\"p\": \"a\"}", 10), AE_OK);
    ae_rewards_close(r);
}
