#include "cli/args.h"

#include "core/config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ARGS_MAX = 64, HELP_COLUMN = 28 };

/* What is left of the command line, and the flags that came before. */
typedef struct {
    char **argv;
    int argc, at;
    bool given[ARGS_MAX];
} cursor;

void ae_arg_list_free(ae_arg_list *l) {
    free(l->items);
    *l = (ae_arg_list){0};
}

static ae_status list_add(ae_arg_list *l, const char *word) {
    const char **items = realloc(l->items, (l->n + 1) * sizeof *items);
    if (!items) return AE_FAIL(AE_ERR_RESOURCE, "command line: out of memory");
    items[l->n++] = word;
    l->items = items;
    return AE_OK;
}

static bool is_flag(const char *word) {
    return word[0] == '-' && word[1] != '\0';
}

static const ae_arg *find(const ae_arg *table, size_t n, const char *name, size_t length) {
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0) return &table[i];
    return NULL;
}

/* The name that begins as `word` does for the longest, by MIN letters or more: --max-tokens for --max-new. */
static const char *same_start(const char *word, const char *const *names, size_t n) {
    enum { MIN = 4 };
    const char *found = NULL;
    size_t longest = MIN - 1;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (word[same] && word[same] == names[i][same]) same++;
        if (same <= longest) continue;
        longest = same;
        found = names[i];
    }
    return found;
}

static ae_status unknown(const ae_arg *table, size_t n, const char *word) {
    const char *names[ARGS_MAX + 1];
    size_t count = 0;
    for (; count < n && count < ARGS_MAX; count++) names[count] = table[count].name;
    names[count++] = "help";
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *bare = name + strspn(name, "-");
    const char *near = ae_nearest_word(bare, names, count);
    if (!near) near = same_start(bare, names, count);
    if (near) return AE_FAIL(AE_ERR_USAGE, "%s: no such flag; did you mean --%s?", name, near);
    return AE_FAIL(AE_ERR_USAGE, "%s: no such flag; --help lists those there are", name);
}

/* The power of 1000 a suffix stands for; 0 when it is none. */
static double suffix_scale(const char *suffix) {
    if (!*suffix) return 1;
    if (suffix[1]) return 0;
    switch (*suffix) {
    case 'k':
    case 'K':
        return 1e3;
    case 'M':
        return 1e6;
    case 'G':
        return 1e9;
    default:
        return 0;
    }
}

static ae_status read_number(const ae_arg *a, const char *text, double *out) {
    char *end = NULL;
    errno = 0;
    const double x = strtod(text, &end);
    const double scale = end == text ? 0 : suffix_scale(end);
    if (scale == 0 || errno == ERANGE || !isfinite(x * scale))
        return AE_FAIL(AE_ERR_USAGE, "--%s: expected a number, found '%s'", a->name, text);
    *out = x * scale;
    if ((a->min != 0 || a->max != 0) && (*out < a->min || *out > a->max))
        return AE_FAIL(AE_ERR_USAGE, "--%s: expected %.10g to %.10g, found %s", a->name, a->min, a->max,
                       text);
    return AE_OK;
}

/* Plain digits are read as integers, since a double keeps 53 bits only (seeds have 63). */
static ae_status read_int(const ae_arg *a, const char *text, int64_t *out) {
    double x = 0;
    const ae_status st = read_number(a, text, &x);
    if (st != AE_OK) return st;
    char *end = NULL;
    errno = 0;
    const long long plain = strtoll(text, &end, 10);
    if (!*end && errno == 0) {
        *out = plain;
        return AE_OK;
    }
    if (x != floor(x) || fabs(x) >= 0x1p63)
        return AE_FAIL(AE_ERR_USAGE, "--%s: expected a whole number, found '%s'", a->name, text);
    *out = (int64_t)x;
    return AE_OK;
}

/* What a letter after a backslash stands for, or 0. */
static char escaped(char letter) {
    switch (letter) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case '\\':
        return '\\';
    default:
        return '\0';
    }
}

/* In place, in a word of argv. */
static void unescape(char *text) {
    char *to = text;
    for (const char *c = text; *c; c++) {
        const char known = *c == '\\' ? escaped(c[1]) : '\0';
        *to++ = known ? known : *c;
        c += known != '\0';
    }
    *to = '\0';
}

static ae_status store(const ae_arg *a, char *text) {
    if (a->escapes) unescape(text);
    switch (a->type) {
    case AE_ARG_INT:
        return read_int(a, text, a->to);
    case AE_ARG_REAL:
        return read_number(a, text, a->to);
    case AE_ARG_LIST:
    case AE_ARG_WORDS:
        return list_add(a->to, text);
    case AE_ARG_TEXT:
    case AE_ARG_FLAG:
        break;
    }
    *(const char **)a->to = text;
    return AE_OK;
}

static ae_status take_words(const ae_arg *a, cursor *c) {
    while (c->at < c->argc && !is_flag(c->argv[c->at])) {
        const ae_status st = list_add(a->to, c->argv[c->at++]);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* `equals` is the value of `--name=value`, or NULL. */
static ae_status take_flag(const ae_arg *a, char *equals, cursor *c) {
    if (a->given) *a->given = true;
    if (a->type == AE_ARG_FLAG) {
        if (equals) return AE_FAIL(AE_ERR_USAGE, "--%s takes no value, found '%s'", a->name, equals);
        *(bool *)a->to = true;
        return AE_OK;
    }
    const bool none = !equals && (c->at >= c->argc || (a->type == AE_ARG_WORDS && is_flag(c->argv[c->at])));
    if (none) return AE_FAIL(AE_ERR_USAGE, "--%s: expected a value after it, found none", a->name);
    if (equals) return store(a, equals);
    return a->type == AE_ARG_WORDS ? take_words(a, c) : store(a, c->argv[c->at++]);
}

/* A flag with a default needs no word, unless it is standard input or output. */
static bool wants_word(const ae_arg *a) {
    const bool takes_one = a->type == AE_ARG_TEXT || a->type == AE_ARG_LIST || a->type == AE_ARG_WORDS;
    return takes_one && !a->rare && (!a->fallback || strcmp(a->fallback, "-") == 0);
}

/* The first flags of the table that may have been meant: tables begin with what a verb reads. */
static ae_status stray(const cursor *c, const ae_arg *table, size_t n, const char *word) {
    const char *first = NULL, *second = NULL;
    for (size_t i = 0; i < n && i < ARGS_MAX && !second; i++) {
        if (!wants_word(&table[i]) || c->given[i]) continue;
        *(first ? &second : &first) = table[i].name;
    }
    if (!first) return AE_FAIL(AE_ERR_USAGE, "%s: unexpected '%s'; --help lists the flags", c->argv[0], word);
    if (!second)
        return AE_FAIL(AE_ERR_USAGE, "%s: unexpected '%s'; did you mean --%s %s?", c->argv[0], word, first,
                       word);
    return AE_FAIL(AE_ERR_USAGE, "%s: unexpected '%s'; did you mean --%s %s or --%s %s?", c->argv[0], word,
                   first, word, second, word);
}

/* Flags that come after the stray word are given too. */
static void note_given(cursor *c, const ae_arg *table, size_t n) {
    for (int i = c->at; i < c->argc; i++) {
        const char *word = c->argv[i];
        if (strncmp(word, "--", 2) != 0) continue;
        const ae_arg *a = find(table, n, word + 2, strcspn(word + 2, "="));
        if (a) c->given[a - table] = true;
    }
}

static bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_ino == y.st_ino &&
           x.st_dev == y.st_dev;
}

/* The flag whose value is this file. */
static const char *flag_of_file(const ae_arg *table, size_t n, const char *path) {
    for (size_t i = 0; i < n; i++) {
        const ae_arg *a = &table[i];
        if (strcmp(a->name, "output") == 0) continue;
        if (a->type == AE_ARG_TEXT && is_same_file(*(const char *const *)a->to, path)) return a->name;
        const ae_arg_list *list = a->type == AE_ARG_WORDS ? a->to : NULL;
        for (size_t k = 0; list && k < list->n; k++)
            if (is_same_file(list->items[k], path)) return a->name;
    }
    return NULL;
}

/* --force replaces an earlier result, never what is read. */
static ae_status check_output(const ae_arg *table, size_t n) {
    const ae_arg *a = find(table, n, "output", 6);
    const char *path = a && a->type == AE_ARG_TEXT ? *(const char *const *)a->to : NULL;
    const char *flag = path ? flag_of_file(table, n, path) : NULL;
    if (!flag) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "--output: %s is the file of --%s too; name another", path, flag);
}

ae_status ae_args_parse(int argc, char **argv, const ae_arg *table, size_t n, ae_arg_list *words,
                        bool *help) {
    cursor c = {.argv = argv, .argc = argc, .at = 1};
    bool only_words = false;
    ae_status st = AE_OK;
    while (c.at < argc && st == AE_OK) {
        char *word = argv[c.at++];
        if (only_words || !is_flag(word)) {
            if (!words) note_given(&c, table, n);
            st = words ? list_add(words, word) : stray(&c, table, n, word);
        } else if (strcmp(word, "--") == 0) {
            only_words = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *help = true;
            return AE_OK;
        } else {
            const size_t length = strncmp(word, "--", 2) == 0 ? strcspn(word + 2, "=") : 0;
            const ae_arg *a = length ? find(table, n, word + 2, length) : NULL;
            if (a) c.given[a - table] = true;
            st = a ? take_flag(a, word[2 + length] ? word + 3 + length : NULL, &c) : unknown(table, n, word);
        }
    }
    return st == AE_OK ? check_output(table, n) : st;
}

ae_arg ae_arg_quiet(bool *to) {
    return (ae_arg){
        .name = "quiet", .type = AE_ARG_FLAG, .to = to, .help = "nothing on stderr but warnings and errors"};
}

ae_arg ae_arg_model(const char **to) {
    return (ae_arg){.name = "model",
                    .type = AE_ARG_TEXT,
                    .to = to,
                    .value = "M",
                    .help = "a Hugging Face folder, a checkpoint, or a run (its newest checkpoint)"};
}

ae_arg ae_arg_adapter(const char **to) {
    return (ae_arg){.name = "adapter",
                    .rare = true,
                    .type = AE_ARG_TEXT,
                    .to = to,
                    .value = "A",
                    .fallback = "none",
                    .help = "what was trained beside the model: a run, a checkpoint, or a folder of PEFT"};
}

ae_arg ae_arg_threads(int64_t *to) {
    return (ae_arg){.name = "threads",
                    .type = AE_ARG_INT,
                    .to = to,
                    .max = 1024,
                    .fallback = "0",
                    .help = "0: OMP_NUM_THREADS, else the usable cores"};
}

ae_arg ae_arg_shard_bytes(int64_t *to) {
    return (ae_arg){.name = "shard-bytes",
                    .type = AE_ARG_INT,
                    .to = to,
                    .min = 0,
                    .max = 1e15,
                    .fallback = "5G",
                    .help = "tensors of a file, at most, where it holds more than one; 0: one file"};
}

ae_status ae_args_require(const ae_arg *table, size_t n, const char *name, bool missing) {
    if (!missing) return AE_OK;
    const ae_arg *a = find(table, n, name, strlen(name));
    return AE_FAIL(AE_ERR_USAGE, "--%s is missing: %s", name, a ? a->help : "");
}

static const char *placeholder(const ae_arg *a) {
    if (a->type == AE_ARG_FLAG) return "";
    if (a->value) return a->value;
    return a->type == AE_ARG_INT ? "N" : a->type == AE_ARG_REAL ? "X" : "STR";
}

static void help_line(const ae_arg *a, FILE *out) {
    const char *value = placeholder(a);
    const char *more = a->type == AE_ARG_WORDS ? "..." : "";
    const int used = fprintf(out, "  --%s%s%s%s", a->name, *value ? " " : "", value, more);
    fprintf(out, "%*s%s", used < HELP_COLUMN ? HELP_COLUMN - used : 2, "", a->help ? a->help : "");
    if (a->type == AE_ARG_LIST) fputs("; may be repeated", out);
    if (a->min != 0 || a->max != 0) fprintf(out, " [%.10g, %.10g]", a->min, a->max);
    if (a->fallback) fprintf(out, " (default: %s)", a->fallback);
    fputc('\n', out);
}

void ae_args_list(const char *usage, const ae_arg *table, size_t n, FILE *out) {
    fprintf(out, "usage: %s\n", usage);
    if (n) fputc('\n', out);
    for (size_t i = 0; i < n; i++) help_line(&table[i], out);
}

void ae_args_help(const char *usage, const ae_arg *table, size_t n, FILE *out) {
    bool has_whole_numbers = false;
    ae_args_list(usage, table, n, out);
    for (size_t i = 0; i < n; i++) has_whole_numbers |= table[i].type == AE_ARG_INT;
    if (has_whole_numbers) fputs(AE_ARGS_NUMBERS_NOTE, out);
}

static void list_subverbs(const char *verb, const ae_subverb *table, size_t n, FILE *out) {
    fprintf(out, "usage: aerie %s PART [--flags]\n\n", verb);
    for (size_t i = 0; i < n; i++)
        if (table[i].help) fprintf(out, "  %-10s %s\n", table[i].name, table[i].help);
    fprintf(out, "\naerie %s PART --help lists the flags.\n", verb);
}

ae_status ae_args_subverb(int argc, char **argv, const ae_subverb *table, size_t n) {
    const char *names[ARGS_MAX];
    for (size_t i = 0; i < n && i < ARGS_MAX; i++) {
        names[i] = table[i].name;
        if (argc > 1 && strcmp(argv[1], names[i]) == 0) return table[i].run(argc - 1, argv + 1);
    }
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        list_subverbs(argv[0], table, n, stdout);
        return AE_OK;
    }
    if (argc < 2) {
        list_subverbs(argv[0], table, n, stderr);
        return AE_FAIL(AE_ERR_USAGE, "%s", ""); /* all is said */
    }
    const char *near = ae_nearest_word(argv[1], names, n);
    if (near) return AE_FAIL(AE_ERR_USAGE, "%s %s: no such verb; did you mean %s?", argv[0], argv[1], near);
    return AE_FAIL(AE_ERR_USAGE, "%s %s: no such verb; aerie %s --help lists those there are", argv[0],
                   argv[1], argv[0]);
}
