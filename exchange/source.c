#include "exchange/source.h"

#include "core/file.h"
#include "exchange/hf_config.h"
#include "formats/done.h"
#include "formats/stranger.h"
#include "model/params_match.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* step-000123 -> 123; -1 for another name, such as one still being written aside, or one that we would not give. */
static int64_t step_of(const char *name) {
    static const char prefix[] = "step-";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return -1;
    const char *digits = name + sizeof prefix - 1;
    const size_t n = strlen(digits);
    if (n < 6 || n > 18 || strspn(digits, "0123456789") != n || (n > 6 && digits[0] == '0')) return -1;
    return strtoll(digits, NULL, 10);
}

static bool add_step(ae_checkpoint_list *l, size_t *capacity, int64_t step) {
    if (l->n == *capacity) {
        *capacity = 2 * *capacity + 8;
        int64_t *steps = realloc(l->steps, *capacity * sizeof *steps);
        if (steps == NULL) return false;
        l->steps = steps;
    }
    l->steps[l->n++] = step;
    return true;
}

static int by_step(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

char *ae_checkpoint_path(const char *run, int64_t step) {
    char name[64];
    snprintf(name, sizeof name, "checkpoints/step-%06lld", (long long)step);
    return ae_path_join(run, name);
}

ae_status ae_checkpoint_list_steps(ae_checkpoint_list *l, const char *run) {
    char *all = ae_path_join(run, "checkpoints");
    size_t capacity = 0;
    bool whole = true;
    *l = (ae_checkpoint_list){0};
    DIR *d = opendir(all);
    ae_status st = d != NULL || errno == ENOENT
                       ? AE_OK
                       : AE_FAIL(AE_ERR_INPUT, "%s: cannot be listed: %s", all, strerror(errno));
    for (struct dirent *e; d != NULL && whole && (e = readdir(d)) != NULL;) {
        const int64_t step = step_of(e->d_name);
        if (step >= 0) whole = add_step(l, &capacity, step);
    }
    if (d != NULL) closedir(d);
    if (!whole) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", all);
    if (l->n > 1) qsort(l->steps, l->n, sizeof *l->steps, by_step);
    free(all);
    return st;
}

void ae_checkpoint_list_free(ae_checkpoint_list *l) {
    free(l->steps);
    *l = (ae_checkpoint_list){0};
}

ae_status ae_newest_checkpoint(char **folder, int64_t *step, const char *run) {
    ae_checkpoint_list l;
    *folder = NULL;
    const ae_status st = ae_checkpoint_list_steps(&l, run);
    while (st == AE_OK && l.n > 0 && *folder == NULL) {
        char *candidate = ae_checkpoint_path(run, l.steps[--l.n]);
        if (step != NULL) *step = l.steps[l.n];
        if (ae_path_has(candidate, "DONE"))
            *folder = candidate;
        else
            free(candidate);
    }
    if (step != NULL && *folder == NULL) *step = -1;
    ae_checkpoint_list_free(&l);
    return st;
}

static char *copy_text(const char *text) {
    return ae_path_join("", text); /* aborts when out of memory, like every path */
}

static void find_tokenizer(ae_model_source *s) {
    if (ae_path_has(s->folder, "tokenizer.model")) s->tokenizer = ae_path_join(s->folder, "tokenizer.model");
}

static ae_status open_hf(ae_model_source *s) {
    char *config = ae_path_join(s->folder, "config.json");
    s->kind = AE_SOURCE_HF;
    s->tensors = copy_text(s->folder);
    find_tokenizer(s);
    ae_status st = ae_model_config_from_hf(&s->config, config);
    if (st == AE_OK) st = ae_quantization_from_hf(&s->weights, &s->group, config);
    free(config);
    return st;
}

/* What is read here is read from files that are as they were written; weights are only as long. */
static ae_status check_small_files(const ae_model_source *s) {
    ae_done d;
    ae_status st;
    AE_TRY(ae_done_read(&d, s->folder));
    AE_TRY(ae_done_check(&d, s->folder, "model.json", false, true));
    AE_TRY(ae_done_check(&d, s->folder, "tokenizer.model", true, true));
    AE_TRY(ae_done_check(&d, s->folder, "weights.h5", false, false));
out:
    ae_done_free(&d);
    return st;
}

static ae_status open_checkpoint(ae_model_source *s) {
    if (!ae_path_has(s->folder, "DONE"))
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a complete checkpoint, found one without DONE: its writing was cut "
                       "off; take an earlier one",
                       s->folder);
    char *config = ae_path_join(s->folder, "model.json"), *text = NULL;
    size_t n = 0;
    s->kind = AE_SOURCE_CHECKPOINT;
    s->tensors = ae_path_join(s->folder, "weights.h5");
    find_tokenizer(s);
    ae_status st = check_small_files(s);
    if (st == AE_OK) st = ae_file_read(config, &text, &n);
    if (st == AE_OK) st = ae_model_config_from_json(&s->config, text, config);
    free(text);
    free(config);
    return st;
}

static ae_status open_run(ae_model_source *s, const char *run) {
    const ae_status st = ae_newest_checkpoint(&s->folder, NULL, run);
    if (st != AE_OK) return st;
    if (s->folder == NULL)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected a run with a complete checkpoint, found none in checkpoints", run);
    return open_checkpoint(s);
}

static ae_status open_folder(ae_model_source *s, const char *path) {
    s->folder = copy_text(path);
    for (size_t n = strlen(s->folder); n > 1 && s->folder[n - 1] == '/'; n--) s->folder[n - 1] = '\0';
    if (ae_path_has(s->folder, "model.json") || step_of(ae_path_last(s->folder)) >= 0)
        return open_checkpoint(s);
    if (ae_path_has(s->folder, "config.json")) return open_hf(s);
    if (ae_path_has(s->folder, "checkpoints")) {
        free(s->folder);
        s->folder = NULL;
        return open_run(s, path);
    }
    return ae_no_model(path);
}

ae_status ae_model_source_open(ae_model_source *s, const char *path) {
    *s = (ae_model_source){0};
    const ae_status st = ae_path_is_folder(path) ? open_folder(s, path) : ae_no_model(path);
    if (st != AE_OK) ae_model_source_free(s);
    return st;
}

void ae_model_source_free(ae_model_source *s) {
    free(s->folder);
    free(s->tensors);
    free(s->tokenizer);
    *s = (ae_model_source){0};
}

/* ---- weights ---- */

static ae_status check_weights_file(const ae_model_source *s) {
    ae_done d;
    if (s->kind != AE_SOURCE_CHECKPOINT) return AE_OK;
    ae_status st = ae_done_read(&d, s->folder);
    if (st == AE_OK) st = ae_done_check(&d, s->folder, "weights.h5", false, true);
    ae_done_free(&d);
    return st;
}

/* Where the configuration speaks of other integers than there are, values would be rounded once more. */
static ae_status check_integers(const ae_model_source *s, const ae_params *params, ae_tensors *t) {
    const int want = s->weights == AE_WEIGHT_INT8 ? 8 : s->weights == AE_WEIGHT_INT4 ? 4 : 0;
    for (ptrdiff_t i = 0; i < params->n; i++) {
        const ae_param *p = &params->items[i];
        int bits = 0;
        int64_t group = 0;
        if (want == 0 || !p->product || p->parts > 0) continue;
        const ae_status st = ae_tensors_integers(t, p->name, p->rank, p->shape, &bits, &group);
        if (st != AE_OK) return st;
        const bool same = bits == want && ae_ceil_div((ptrdiff_t)p->cols, (ptrdiff_t)group) ==
                                              ae_ceil_div((ptrdiff_t)p->cols, s->group);
        if (!same)
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: expected %d bits in groups of %td as quantization_config says, found %d "
                           "in groups of %lld",
                           s->tensors, p->name, want, s->group, bits, (long long)group);
    }
    return AE_OK;
}

ae_status ae_model_source_verify(const ae_model_source *s) {
    ae_params params = {0};
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(check_weights_file(s));
    AE_TRY(ae_params_init(&params, &s->config));
    AE_TRY(ae_tensors_open(&t, s->tensors));
    AE_TRY(ae_params_fit(&params, t, s->tensors));
    AE_TRY(check_integers(s, &params, t));
out:
    ae_tensors_close(t);
    ae_params_free(&params);
    return st;
}

ae_status ae_model_open_source(ae_model *m, const ae_backend *be, const ae_model_source *s, bool training) {
    *m = (ae_model){0};
    ae_status st = ae_model_init(m, be, &s->config, training);
    if (st == AE_OK) st = ae_model_load(m, s->tensors);
    if (st != AE_OK) ae_model_free(m);
    return st;
}

ae_status ae_model_open(ae_model *m, const ae_backend *be, const char *path, bool training) {
    ae_model_source s;
    *m = (ae_model){0};
    ae_status st = ae_model_source_open(&s, path);
    if (st != AE_OK) return st;
    st = ae_model_source_verify(&s);
    if (st == AE_OK) st = ae_model_open_source(m, be, &s, training);
    ae_model_source_free(&s);
    return st;
}
