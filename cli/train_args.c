#include "cli/train_args.h"

#include "core/file.h"
#include "core/log.h"
#include "train/places.h"
#include "train/resume.h"

#include <stdlib.h>
#include <string.h>

/* A second file would change keys of the first unseen. */
static ae_status find_file(const ae_arg_list *words, const char **file) {
    *file = NULL;
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->items[i];
        if (strchr(word, '=')) continue;
        if (*file)
            return AE_FAIL(AE_ERR_USAGE,
                           "%s: expected one CONFIG.yaml, found %s before it; give the keys of one of them "
                           "as section.key=value",
                           word, *file);
        *file = word;
    }
    if (*file && ae_path_is_folder(*file) && ae_path_has(*file, "config.yaml"))
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected a CONFIG.yaml, found a folder; did you mean %s/config.yaml?", *file,
                       *file);
    return AE_OK;
}

/* A run's own copy of its configuration means that run, wherever its folder was moved or copied. Whether
 * `file` is one; *folder is where it lies. */
static bool lies_in_run(const char *file, char **folder) {
    const char *name = ae_path_last(file);
    *folder = name == file ? strdup(".") : strndup(file, (size_t)(name - file) - (name - file > 1));
    return *folder && strcmp(name, "config.yaml") == 0 &&
           (ae_path_has(*folder, "checkpoints") || ae_path_has(*folder, "metrics.jsonl")) &&
           ae_run_is_there(*folder);
}

static bool gives(const ae_arg_list *words, const char *key) {
    const size_t n = strlen(key);
    for (size_t i = 0; i < words->n; i++)
        if (strncmp(words->items[i], key, n) == 0 && words->items[i][n] == '=') return true;
    return false;
}

/* How long a run is, is said in steps or in epochs: one of them on the command line drops the other of the file. */
static ae_status drop_length(ae_train_config *c, const ae_arg_list *words) {
    static const char steps[] = "train.steps", epochs[] = "train.epochs";
    const bool by_steps = gives(words, steps);
    if (by_steps == gives(words, epochs)) return AE_OK;
    return ae_config_reset(&c->table, by_steps ? epochs : steps);
}

/* Whether the file is that of a run. */
static bool find_run(ae_train_config *c, const char *file, const ae_arg_list *words) {
    char *folder = NULL;
    const bool is_run = lies_in_run(file, &folder);
    if (is_run && !gives(words, "run.dir") && !ae_path_same(folder, c->run.dir)) {
        ae_log("run.dir: %s, where %s lies; it was made as %s", folder, file, c->run.dir);
        free(c->run.dir);
        c->run.dir = folder;
        folder = NULL;
    }
    free(folder);
    return is_run;
}

ae_status ae_train_words(ae_train_config *c, const ae_arg_list *words) {
    const char *file = NULL;
    bool is_run = false;
    ae_status st = find_file(words, &file);
    if (st == AE_OK && file) st = ae_config_read(&c->table, file);
    if (st == AE_OK && file) is_run = find_run(c, file, words);
    if (st == AE_OK && file && !is_run) st = drop_length(c, words);
    for (size_t i = 0; i < words->n && st == AE_OK; i++)
        if (strchr(words->items[i], '=')) st = ae_config_set(&c->table, words->items[i], "command line");
    if (st == AE_OK && is_run) st = ae_places_find(c, words->items, words->n);
    return st == AE_OK ? ae_places_note(c) : st;
}

static void apply_hints(ae_field *f, const char *section, const ae_train_hint *hints) {
    const size_t n = strlen(section);
    for (; hints && hints->key; hints++)
        if (strncmp(hints->key, section, n) == 0 && hints->key[n] == '.' &&
            strcmp(hints->key + n + 1, f->key) == 0) {
            f->fallback = hints->fallback;
            f->help = hints->help;
        }
}

/* The table is shown from a copy of its fields: theirs are shared by all verbs. */
static void show_keys(const ae_config *table, const ae_train_hint *hints) {
    ae_config shown = *table;
    ae_field *fields = calloc(AE_CONFIG_FIELDS_MAX, sizeof *fields), *next = fields;
    for (ae_section *s = shown.sections; fields && s < shown.sections + shown.n_sections; s++) {
        memcpy(next, s->fields, s->n_fields * sizeof *next);
        for (size_t i = 0; i < s->n_fields; i++) apply_hints(&next[i], s->name, hints);
        s->fields = next;
        next += s->n_fields;
    }
    ae_config_help(&shown, stdout);
    free(fields);
}

void ae_train_help(const ae_train_config *c, const ae_train_hint *hints, const char *usage,
                   const ae_arg *flags, size_t n_flags) {
    ae_args_list(usage, flags, n_flags, stdout);
    puts("\nkeys (type, default, range)");
    show_keys(&c->table, hints);
    fputs(AE_ARGS_NUMBERS_NOTE, stdout);
}

ae_status ae_train_args(ae_train_command *command, ae_train_config *c, const ae_train_hint *hints,
                        const char *usage, int argc, char **argv) {
    ae_arg_list words = {0};
    bool quiet = false;
    *command = (ae_train_command){0};
    const ae_arg flags[] = {
        {.name = "dry-run",
         .type = AE_ARG_FLAG,
         .to = &command->dry_run,
         .help = "check everything, show the plan, write nothing"},
        ae_arg_quiet(&quiet),
    };
    const size_t n = sizeof flags / sizeof *flags;
    ae_status st = ae_args_parse(argc, argv, flags, n, &words, &command->helped);
    ae_log_quiet(quiet);
    if (st == AE_OK && command->helped)
        ae_train_help(c, hints, usage, flags, n);
    else if (st == AE_OK)
        st = ae_train_words(c, &words);
    ae_arg_list_free(&words);
    return st;
}
