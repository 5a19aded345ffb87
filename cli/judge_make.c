#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/interrupt.h"
#include "cli/judge_answers.h"
#include "cli/judge_prompts.h"
#include "cli/judge_verbs.h"
#include "core/file.h"
#include "core/lock.h"
#include "core/log.h"
#include "judge/study.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "aerie judge make PROMPTS [NAME=]MODEL [NAME=]MODEL [..] --output DIR [--flags]\n\n"
    "PROMPTS has lines {\"prompt\": s} or {\"messages\": [..]}, with \"id\"? and answers that are there "
    "already,\n"
    "\"completions\"?: [{\"model\": s, \"completion\": s}]. MODEL is a model to be asked, or a file of its "
    "answers,\n"
    "lines {\"answer\": s, \"id\"?: s} in the order of the prompts or by id. All of them make a study, to be "
    "judged in\n"
    "pairs: `aerie judge serve DIR`. The same command goes on where it was broken off.";

typedef struct {
    const char *output, *dtype;
    int64_t batch, threads, limit;
    ae_sampling_flags sampling;
    bool plain, quiet;
    ae_arg_list words;
} options;

/* A study that is being made. */
typedef struct {
    const options *o;
    ae_judge_prompts prompts;
    json_t *making; /* what decides what it will hold */
    json_t *models; /* entries of study.json */
    char *notes;    /* DIR/making.json */
    int lock;
} workshop;

/* ---- models ---- */

/* "NAME=PATH", or a path alone, whose last part is the name. */
static void split_word(const char *word, char *name, size_t bytes, const char **path) {
    const char *equals = ae_path_exists(word) ? NULL : strchr(word, '=');
    *path = equals ? equals + 1 : word;
    if (equals)
        snprintf(name, bytes, "%.*s", (int)(equals - word), word);
    else
        snprintf(name, bytes, "%s", ae_path_last(word));
    size_t n = strlen(name);
    while (n > 1 && name[n - 1] == '/') name[--n] = '\0';
    char *end = equals ? NULL : strstr(name, ".jsonl");
    if (end && end > name) *end = '\0';
}

static ae_status add_model(workshop *w, const char *name, const char *source, const char *kind) {
    json_t *model = json_pack("{s:s, s:s, s:s}", "name", name, "source", source, "kind", kind);
    size_t i;
    json_t *other;
    if (!model || !*name)
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected a name in UTF-8 of each model, found another; give NAME=%s", source,
                       source);
    json_array_foreach(w->models, i, other) {
        if (strcmp(json_string_value(json_object_get(other, "name")), name) != 0) continue;
        json_decref(model);
        return AE_FAIL(AE_ERR_USAGE,
                       "%s: expected a name of its own for each model, found a second %s; give NAME=%s",
                       source, name, source);
    }
    json_array_append_new(w->models, model);
    return AE_OK;
}

static ae_status add_word(workshop *w, const char *word) {
    char name[256];
    const char *path;
    uint32_t crc = 0;
    int64_t size;
    split_word(word, name, sizeof name, &path);
    if (!ae_path_exists(path))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a model or a file of answers, found nothing there", path);
    const bool is_model = ae_path_is_folder(path);
    ae_status st = is_model ? AE_OK : ae_file_crc32(path, &crc, &size);
    if (st == AE_OK) st = add_model(w, name, path, is_model ? "model" : "answers");
    if (st == AE_OK && !is_model)
        json_object_set_new(json_array_get(w->models, json_array_size(w->models) - 1), "crc32",
                            json_integer(crc));
    return st;
}

static ae_status list_models(workshop *w) {
    size_t i;
    json_t *name;
    ae_status st = AE_OK;
    json_array_foreach(w->prompts.models, i, name) if (st == AE_OK) st =
        add_model(w, json_string_value(name), w->o->words.items[0], "completions");
    for (i = 1; st == AE_OK && i < w->o->words.n; i++) st = add_word(w, w->o->words.items[i]);
    const size_t n = json_array_size(w->models);
    if (st != AE_OK || (n >= 2 && n <= AE_STUDY_MODELS_MAX)) return st;
    return AE_FAIL(AE_ERR_USAGE, "expected 2 to %d models or files of answers, found %zu",
                   AE_STUDY_MODELS_MAX, n);
}

/* ---- the folder ---- */

static ae_status note_making(workshop *w) {
    const options *o = w->o;
    const ae_sampling_flags *s = &o->sampling;
    uint32_t crc = 0;
    int64_t size;
    const ae_status st = ae_file_crc32(o->words.items[0], &crc, &size);
    if (st != AE_OK) return st;
    json_t *sampling =
        json_pack("{s:I, s:f, s:I, s:f, s:f, s:I}", "max_new", (json_int_t)s->max_new, "temperature",
                  s->temperature, "top_k", (json_int_t)s->top_k, "top_p", s->top_p, "repetition_penalty",
                  s->repetition_penalty, "seed", (json_int_t)s->seed);
    json_t *models = json_deep_copy(w->models); /* entries of the study get more */
    w->making = json_pack("{s:s, s:I, s:I, s:b, s:s, s:o, s:o}", "prompts", o->words.items[0],
                          "prompts_crc32", (json_int_t)crc, "limit", (json_int_t)o->limit, "plain", o->plain,
                          "dtype", o->dtype, "sampling", sampling, "models", models);
    return w->making ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "judge make: out of memory");
}

static bool is_empty(const char *folder) {
    DIR *d = opendir(folder);
    int others = 0;
    for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        others += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d) closedir(d);
    return others == 0;
}

/* What was begun there goes on only with the same words; `found` is what that was begun with. */
static ae_status check_same(const workshop *w, const json_t *found) {
    if (json_equal(found, w->making)) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: holds a study of other prompts, models or settings; name another --output",
                   w->o->output);
}

/* *whole: nothing is left to do. */
static ae_status open_folder(workshop *w, bool *whole) {
    const char *folder = w->o->output;
    json_t *before = NULL;
    ae_status st;
    w->notes = ae_path_join(folder, "making.json");
    AE_TRY(ae_folder_make(folder));
    AE_TRY(ae_folder_lock(&w->lock, folder));
    *whole = ae_study_exists(folder);
    if (*whole) {
        ae_study study;
        AE_TRY(ae_study_open(&study, folder));
        st = check_same(w, json_object_get(study.about, "made"));
        ae_study_free(&study);
    } else if (ae_path_exists(w->notes)) {
        AE_TRY(ae_json_load(&before, w->notes));
        st = check_same(w, before);
    } else if (!is_empty(folder)) {
        st = AE_FAIL(AE_ERR_USAGE, "%s: expected an empty folder or none, found files; name another --output",
                     folder);
    } else {
        st = ae_json_write_file(w->making, folder, "making.json");
    }
out:
    json_decref(before);
    return st;
}

/* ---- making ---- */

static char *answers_file(const workshop *w, size_t model) {
    char name[64];
    snprintf(name, sizeof name, "answers-%zu.jsonl", model + 1);
    return ae_path_join(w->o->output, name);
}

static ae_status ask_model(const workshop *w, size_t i, json_t *model, const char *path) {
    char *file = answers_file(w, i);
    const ae_judge_asked asked = {.name = json_string_value(json_object_get(model, "name")),
                                  .path = path,
                                  .dtype = w->o->dtype,
                                  .sampling = &w->o->sampling,
                                  .batch = w->o->batch,
                                  .threads = w->o->threads,
                                  .plain = w->o->plain,
                                  .file = file};
    const ae_status st = ae_judge_answers_make(&asked, w->prompts.items, model);
    free(file);
    return st;
}

/* Files first: what is wrong in them shows at once. Answers stand in the order of the models, though. */
static ae_status collect_answers(const workshop *w) {
    size_t i;
    json_t *model;
    ae_status st = AE_OK;
    json_array_foreach(w->models, i, model) {
        const char *kind = json_string_value(json_object_get(model, "kind"));
        const char *path = json_string_value(json_object_get(model, "source"));
        if (st != AE_OK || strcmp(kind, "completions") == 0) continue;
        st = strcmp(kind, "model") == 0 ? ask_model(w, i, model, path)
                                        : ae_judge_answers_read(&w->prompts, path, w->o->limit > 0);
    }
    return st;
}

static ae_status write_study(const workshop *w) {
    json_t *about = json_pack("{s:I, s:O, s:O}", "seed", (json_int_t)w->o->sampling.seed, "models", w->models,
                              "made", w->making);
    const ae_status st = about ? ae_study_write(w->o->output, about, w->prompts.items)
                               : AE_FAIL(AE_ERR_RESOURCE, "judge make: out of memory");
    json_decref(about);
    if (st != AE_OK) return st;
    for (size_t i = 0; i < json_array_size(w->models); i++) {
        char *file = answers_file(w, i);
        unlink(file);
        free(file);
    }
    unlink(w->notes);
    return AE_OK;
}

/* Opened again, so that what is told is what is there. */
static ae_status tell(const char *folder, bool again) {
    ae_study study;
    const ae_status st = ae_study_open(&study, folder);
    if (st != AE_OK) return st;
    printf("%s: %td prompt%s, %d models, %td pairs to judge%s\n", folder, study.n_items,
           ae_plural(study.n_items), study.n_models, study.n_comparisons,
           again ? "; it was whole already" : "");
    ae_study_free(&study);
    return AE_OK;
}

static ae_status make(const options *o) {
    workshop w = {.o = o, .models = json_array()};
    bool whole = false;
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(ae_judge_prompts_read(&w.prompts, o->words.items[0], (ptrdiff_t)o->limit));
    AE_TRY(list_models(&w));
    AE_TRY(note_making(&w));
    AE_TRY(open_folder(&w, &whole));
    if (!whole) {
        AE_TRY(collect_answers(&w));
        AE_TRY(write_study(&w));
    }
    AE_TRY(tell(o->output, whole));
out:
    if (w.lock > 0) close(w.lock);
    ae_judge_prompts_free(&w.prompts);
    json_decref(w.making);
    json_decref(w.models);
    free(w.notes);
    return st;
}

static ae_status check_words(const options *o) {
    if (o->words.n > 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "expected PROMPTS and models or files of answers, found nothing");
}

ae_status ae_judge_make(int argc, char **argv) {
    options o = {.dtype = "auto", .sampling = AE_SAMPLING_FLAGS, .batch = 8};
    bool help = false;
    const ae_arg table[] = {
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "the folder of the study"},
        {.name = "limit",
         .type = AE_ARG_INT,
         .to = &o.limit,
         .min = 0,
         .max = 1e9,
         .fallback = "0",
         .help = "the first N prompts only; 0: all"},
        {.name = "plain",
         .type = AE_ARG_FLAG,
         .to = &o.plain,
         .help = "models go on with a prompt of text, which else is a turn of the user"},
        AE_SAMPLING_ARGS(&o.sampling),
        {.name = "batch",
         .type = AE_ARG_INT,
         .to = &o.batch,
         .min = 1,
         .max = 1024,
         .fallback = "8",
         .help = "prompts answered at once; changes the speed only"},
        ae_arg_weights(&o.dtype),
        ae_arg_threads(&o.threads),
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &o.words, &help);
    if (st == AE_OK && help) ae_args_help(usage, table, n, stdout);
    if (st == AE_OK && !help) st = check_words(&o);
    if (st == AE_OK && !help) st = ae_args_require(table, n, "output", !o.output);
    if (st == AE_OK && !help) st = make(&o);
    ae_arg_list_free(&o.words);
    return st;
}
