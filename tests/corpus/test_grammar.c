#include "corpus/grammar.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static const ae_rule rules[] = {{"fruit", "[apple|pear]"}, {"two", "{fruit} and {fruit}"}, {0}};

static ae_grammar grammar_of(uint64_t seed) {
    return (ae_grammar){.rng = ae_rng_make(seed, 0), .rules = rules};
}

static void expect(ae_grammar *g, const char *pattern, const char *text) {
    ae_text out = {.n = 0};
    ae_expand(g, pattern, &out);
    cr_assert_str_eq(out.text, text);
    cr_assert_eq(out.n, strlen(text));
}

Test(grammar, capitals_and_articles) {
    ae_grammar g = grammar_of(1);
    expect(&g, "^yes, \"^no\".", "Yes, \"No\".");
    expect(&g, "@ball, @orange ball", "a ball, an orange ball");
    expect(&g, "^@owl", "An owl");
}

Test(grammar, choices_are_even_and_nest) {
    int count[4] = {0};
    for (uint64_t seed = 0; seed < 4000; seed++) {
        ae_grammar g = grammar_of(seed);
        ae_text out = {.n = 0};
        ae_expand(&g, "[a|[b|c]|]x", &out);
        cr_assert_eq(out.text[out.n - 1], 'x');
        count[out.n == 1 ? 3 : out.text[0] - 'a']++;
    }
    cr_assert(count[0] > 1200 && count[0] < 1470, "%d", count[0]);
    cr_assert(count[1] > 560 && count[1] < 780, "%d", count[1]);
    cr_assert(count[2] > 560 && count[2] < 780, "%d", count[2]);
    cr_assert_eq(count[0] + count[1] + count[2] + count[3], 4000);
}

Test(grammar, slots_stay_and_rules_vary) {
    int mixed = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        ae_grammar g = grammar_of(seed);
        ae_text out = {.n = 0};
        ae_slot_set(&g, "mine", "{fruit}");
        ae_expand(&g, "{mine} {mine}", &out);
        cr_assert(strcmp(out.text, "apple apple") == 0 || strcmp(out.text, "pear pear") == 0, "%s", out.text);
        out = (ae_text){.n = 0};
        ae_expand(&g, "{two}", &out);
        mixed += strcmp(out.text, "apple and pear") == 0;
    }
    cr_assert(mixed > 25 && mixed < 80, "%d", mixed);
}

Test(grammar, a_slot_hides_a_rule_and_is_replaced) {
    ae_grammar g = grammar_of(1);
    ae_slot_set(&g, "fruit", "plum");
    expect(&g, "{two}", "plum and plum");
    ae_slot_set(&g, "fruit", "fig");
    expect(&g, "{two}", "fig and fig");
    cr_assert_eq(g.n_slots, 1);
    ae_slot_set_part(&g, "fruit", "his", "her");
    cr_assert_str_eq(ae_slot_get(&g, "fruit.his"), "her");
    cr_assert_null(ae_slot_get(&g, "none"));
}

Test(grammar, unknown_name_stops_the_program, .signal = SIGABRT) {
    ae_grammar g = grammar_of(1);
    expect(&g, "{nobody}", "");
}
