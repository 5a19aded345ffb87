#include "corpus/plots.h"
#include "corpus/stories.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { N = 3000 };

static int by_hash(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(stories, a_function_of_seed_and_number) {
    for (uint64_t k = 0; k < 100; k++) {
        ae_text a, b, other;
        ae_story(5, k, &a);
        ae_story(6, k, &other);
        ae_story(5, k, &b);
        cr_assert_str_eq(a.text, b.text);
        cr_assert_str_neq(a.text, other.text);
    }
}

Test(stories, nearly_all_are_distinct) {
    static uint64_t hashes[N];
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        ae_story(1, k, &s);
        hashes[k] = ae_rng_hash(0, s.text);
        cr_assert(k == 0 || hashes[k] != hashes[k - 1], "stories %d and %d are equal", (int)k - 1, (int)k);
    }
    qsort(hashes, N, sizeof *hashes, by_hash);
    int distinct = 1;
    for (size_t k = 1; k < N; k++) distinct += hashes[k] != hashes[k - 1];
    cr_assert_gt(distinct, N * 99 / 100);
}

Test(stories, are_plain_and_of_a_size) {
    static const char *const never[] = {"  ",     " .",         " ,",         "..",  "{",        "}",
                                        "[",      "]",          "|",          "^",   "@",        "\n\n",
                                        "\n ",    " \n",        ".,",         "!.",  " a apple", " a orange",
                                        " a owl", "one shells", "two shell ", "zero"};
    size_t bytes = 0;
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        ae_story(2, k, &s);
        cr_assert_eq(s.n, strlen(s.text));
        cr_assert(s.n > 700 && s.n < 2600, "%d bytes", (int)s.n);
        int quotes = 0;
        for (size_t i = 0; i < s.n; i++) {
            quotes += s.text[i] == '"';
            cr_assert(s.text[i] == '\n' || (s.text[i] >= ' ' && s.text[i] <= '~'));
        }
        cr_assert_eq(quotes % 2, 0, "open quotes: %s", s.text);
        cr_assert_eq(s.text[s.n - 1], '.');
        for (size_t i = 0; i < sizeof never / sizeof *never; i++)
            cr_assert_null(strstr(s.text, never[i]), "\"%s\" in: %s", never[i], s.text);
        bytes += s.n;
    }
    cr_assert(bytes / N > 1000 && bytes / N < 1800, "%d bytes on average", (int)(bytes / N));
}

/* Every sentence starts with a capital. */
Test(stories, sentences_start_with_capitals) {
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        ae_story(3, k, &s);
        for (size_t i = 0; i + 2 < s.n; i++) {
            const bool ends = (s.text[i] == '.' && s.text[i + 1] == ' ') || s.text[i + 1] == '\n';
            if (ends)
                cr_assert_null(strchr("abcdefghijklmnopqrstuvwxyz", s.text[i + 2]), "%.40s", s.text + i);
        }
    }
}

/* Where everyone is of one sex, no pronoun of the other is there. */
Test(stories, pronouns_agree) {
    int checked = 0;
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        static ae_grammar slots;
        ae_story_with(4, k, &s, &slots);
        const char *he = ae_slot_get(&slots, "a.he");
        if (strcmp(he, ae_slot_get(&slots, "b.he")) != 0 || strcmp(he, ae_slot_get(&slots, "c.he")) != 0 ||
            strcmp(he, ae_slot_get(&slots, "elder.he")) != 0 || strstr(s.text, "baker") ||
            strstr(s.text, "a man "))
            continue;
        static const char *const male[] = {" he ", " him ", " his ", "He ", "His ", " him."},
                                 *const female[] = {" she ", " her ", "She ", "Her ", " her."};
        const bool she = strcmp(he, "she") == 0;
        const char *const *wrong = she ? male : female;
        for (size_t i = 0; i < (she ? sizeof male / sizeof *male : sizeof female / sizeof *female); i++)
            cr_assert_null(strstr(s.text, wrong[i]), "\"%s\" in: %s", wrong[i], s.text);
        checked++;
    }
    cr_assert_gt(checked, N / 20);
}

static int number_before(const char *text, const char *noun) {
    static const char *const numbers[] = {"zero",  "one",   "two",  "three", "four",   "five",  "six",
                                          "seven", "eight", "nine", "ten",   "eleven", "twelve"};
    const char *space = strchr(text, ' ');
    cr_assert(space && strncmp(space + 1, noun, 3) == 0, "\"%s\" is no count of %s", text, noun);
    for (int i = 0; i < 13; i++)
        if (strlen(numbers[i]) == (size_t)(space - text) &&
            strncmp(numbers[i], text, (size_t)(space - text)) == 0)
            return i;
    return -1;
}

Test(stories, counts_add_up) {
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        static ae_grammar slots;
        ae_story_with(7, k, &s, &slots);
        const char *food = ae_slot_get(&slots, "food"), *find = ae_slot_get(&slots, "find");
        const int have = number_before(ae_slot_get(&slots, "have"), food);
        const int left = number_before(ae_slot_get(&slots, "left"), food);
        cr_assert_eq(number_before(ae_slot_get(&slots, "gave"), food) + left, have);
        cr_assert_geq(left, 1);
        cr_assert_eq(have + number_before(ae_slot_get(&slots, "more"), find),
                     number_before(ae_slot_get(&slots, "sum"), find));
    }
}

/* One colour a story: what is red at first is red to the last. */
Test(stories, colours_stay) {
    static const char *const colours[] = {"purple", "yellow", "pink"};
    int seen = 0;
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        static ae_grammar slots;
        ae_story_with(8, k, &s, &slots);
        const char *colour = ae_slot_get(&slots, "colour");
        for (size_t i = 0; i < 3; i++) {
            const bool there = strstr(s.text, colours[i]) != NULL;
            if (strcmp(colour, colours[i]) == 0)
                seen += there;
            else
                cr_assert(!there || strstr(s.text, "yellow duck"), "%s besides %s: %s", colours[i], colour,
                          s.text);
        }
    }
    cr_assert_gt(seen, N / 10);
}

Test(stories, every_plot_is_told) {
    static int told[64];
    for (uint64_t k = 0; k < N; k++) {
        ae_text s;
        static ae_grammar slots;
        ae_story_with(9, k, &s, &slots);
        cr_assert_not_null(strstr(s.text, ae_slot_get(&slots, "moral")));
        for (size_t i = 0; i < ae_n_plots; i++)
            told[i] += strcmp(ae_plots[i].name, ae_slot_get(&slots, "plot")) == 0;
    }
    for (size_t i = 0; i < ae_n_plots; i++)
        cr_assert(told[i] > N / 20, "%s: %d times", ae_plots[i].name, told[i]);
}
