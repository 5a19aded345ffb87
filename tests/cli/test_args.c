#include "cli/args.h"
#include "tests/core/scratch.h"

typedef struct {
    bool force, force_given, help;
    const char *output;
    int64_t size;
    double share;
    ae_arg_list inputs, stops, words;
} parsed;

/* Parses `line`, split at spaces; `words` NULL when they are not allowed. */
static ae_status parse(parsed *p, const char *line, bool allow_words) {
    static char text[512];
    char *argv[64];
    int argc = 0;
    snprintf(text, sizeof text, "verb %s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    *p = (parsed){.size = 7, .share = 0.5};
    const ae_arg table[] = {
        {.name = "force", .type = AE_ARG_FLAG, .to = &p->force, .given = &p->force_given, .help = "replace"},
        {.name = "output", .type = AE_ARG_TEXT, .to = &p->output, .value = "F", .help = "where"},
        {.name = "size",
         .type = AE_ARG_INT,
         .to = &p->size,
         .min = 0,
         .max = 1e6,
         .fallback = "7",
         .help = "how many"},
        {.name = "seed", .type = AE_ARG_INT, .to = &p->size, .help = "any whole number"},
        {.name = "share", .type = AE_ARG_REAL, .to = &p->share, .min = 0, .max = 1, .help = "part"},
        {.name = "input", .type = AE_ARG_WORDS, .to = &p->inputs, .value = "F", .help = "files"},
        {.name = "stop", .type = AE_ARG_LIST, .to = &p->stops, .escapes = true, .help = "texts"},
    };
    return ae_args_parse(argc, argv, table, sizeof table / sizeof *table, allow_words ? &p->words : NULL,
                         &p->help);
}

static void release(parsed *p) {
    ae_arg_list_free(&p->inputs);
    ae_arg_list_free(&p->stops);
    ae_arg_list_free(&p->words);
}

static parsed accept(const char *line) {
    parsed p;
    cr_assert_eq(parse(&p, line, true), AE_OK, "%s: %s", line, ae_error_message());
    return p;
}

Test(args, nothing_given_changes_nothing) {
    parsed p = accept("");
    cr_assert(!p.force && !p.force_given && !p.help && !p.output && p.size == 7 && p.inputs.n == 0);
    cr_assert_float_eq(p.share, 0.5, 0);
    release(&p);
}

Test(args, values_stand_behind_or_after_an_equals_sign) {
    parsed p = accept("--output a --size=12 --share 0.25 --force");
    cr_assert(p.force && p.force_given && p.size == 12);
    cr_assert_str_eq(p.output, "a");
    cr_assert_float_eq(p.share, 0.25, 0);
    release(&p);
    p = accept("--output=a=b --output --odd");
    cr_assert_str_eq(p.output, "--odd", "a text value is the next word, whatever it is");
    release(&p);
}

Test(args, numbers) {
    static const struct {
        const char *line;
        int64_t size;
    } cases[] = {{"--size 1e3", 1000}, {"--size 64k", 64000}, {"--size 0.5M", 500000},
                 {"--size 0", 0},      {"--seed -3", -3},     {"--seed 9223372036854775807", INT64_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed p = accept(cases[i].line);
        cr_assert_eq(p.size, cases[i].size, "%s: %ld", cases[i].line, (long)p.size);
        release(&p);
    }
}

Test(args, lists_and_words) {
    parsed p = accept("one --input a - b --stop x --stop --y --force two -- --three");
    cr_assert(p.inputs.n == 3 && p.stops.n == 2 && p.words.n == 3);
    cr_assert_str_eq(p.inputs.items[1], "-");
    cr_assert_str_eq(p.stops.items[1], "--y");
    cr_assert_str_eq(p.words.items[1], "two");
    cr_assert_str_eq(p.words.items[2], "--three");
    release(&p);
}

Test(args, escapes_are_read_where_a_flag_takes_them) {
    parsed p = accept("--stop a\\nb --stop=\\t\\\\\\x\\ --output a\\nb");
    cr_assert_str_eq(p.stops.items[0], "a\nb");
    cr_assert_str_eq(p.stops.items[1], "\t\\\\x\\");
    cr_assert_str_eq(p.output, "a\\nb");
    release(&p);
}

Test(args, help_ends_the_reading) {
    parsed p = accept("--help --no-such-flag");
    cr_assert(p.help);
    release(&p);
}

Test(args, faults_are_named) {
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"--outptu a", "--outptu: no such flag; did you mean --output?"},
        {"--outptu=a", "--outptu: no such flag; did you mean --output?"},
        {"--inputs-of-all 1", "--inputs-of-all: no such flag; did you mean --input?"},
        {"--zzzzzz", "--zzzzzz: no such flag; --help lists those there are"},
        {"-x", "-x: no such flag"},
        {"--output", "--output: expected a value after it, found none"},
        {"--input --force", "--input: expected a value after it, found none"},
        {"--force=yes", "--force takes no value, found 'yes'"},
        {"--size 1.5", "--size: expected a whole number, found '1.5'"},
        {"--size ten", "--size: expected a number, found 'ten'"},
        {"--size 10x", "--size: expected a number, found '10x'"},
        {"--size=", "--size: expected a number, found ''"},
        {"--size 2M", "--size: expected 0 to 1000000, found 2M"},
        {"--size -1", "--size: expected 0 to 1000000, found -1"},
        {"--seed 1e30", "--seed: expected a whole number, found '1e30'"},
        {"--share nan", "--share: expected a number, found 'nan'"},
        {"--share 1.1", "--share: expected 0 to 1, found 1.1"},
        {"word", "verb: unexpected 'word'; did you mean --output word or --input word?"},
        {"--output a word", "verb: unexpected 'word'; did you mean --input word or --stop word?"},
        {"--output a --stop b --input=c word", "verb: unexpected 'word'; --help lists the flags"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        parsed p;
        cr_assert_eq(parse(&p, bad[i].line, false), AE_ERR_USAGE, "%s", bad[i].line);
        cr_assert_message(bad[i].message);
        release(&p);
    }
}

static ae_status answer(int argc, char **argv) {
    return argc == 2 && strcmp(argv[0], "do") == 0 && strcmp(argv[1], "it") == 0 ? AE_OK : AE_ERR_DEFECT;
}

Test(args, parts_of_a_verb) {
    static const ae_subverb parts[] = {{"do", answer, "does it"}, {"undo", answer, NULL}};
    char *good[] = {"verb", "do", "it"}, *near[] = {"verb", "undoo"}, *far[] = {"verb", "something"};
    cr_assert_eq(ae_args_subverb(3, good, parts, 2), AE_OK);
    cr_assert_eq(ae_args_subverb(2, near, parts, 2), AE_ERR_USAGE);
    cr_assert_message("verb undoo: no such verb; did you mean undo?");
    cr_assert_eq(ae_args_subverb(2, far, parts, 2), AE_ERR_USAGE);
    cr_assert_message("verb something: no such verb; aerie verb --help lists those there are");
}

Test(args, help_shows_type_range_and_default) {
    int64_t n = 0;
    ae_arg_list l = {0};
    const ae_arg table[] = {
        {.name = "size",
         .type = AE_ARG_INT,
         .to = &n,
         .min = 1,
         .max = 64,
         .fallback = "8",
         .help = "how many"},
        {.name = "stop", .type = AE_ARG_LIST, .to = &l, .help = "texts"},
    };
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    ae_args_help("aerie verb [--flags]", table, 2, f);
    fclose(f);
    cr_assert_not_null(strstr(text, "usage: aerie verb [--flags]\n"));
    cr_assert_not_null(strstr(text, "  --size N                  how many [1, 64] (default: 8)\n"), "%s",
                       text);
    cr_assert_not_null(strstr(text, "  --stop STR                texts; may be repeated\n"), "%s", text);
    free(text);
}
