#include "exchange/source.h"

#include "core/file.h"
#include "exchange/hf_config.h"
#include "formats/done.h"
#include "formats/stranger.h"
#include "model/params_match.h"

#include <stdlib.h>
#include <string.h>

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

static ae_status check_file(ae_done *d, const char *folder, const char *name, bool optional, bool thorough) {
    const ae_status st = ae_done_check(d, folder, name, optional, thorough);
    if (st != AE_ERR_INPUT) return st;
    return AE_FAIL(st, "%s; copy the checkpoint again or take another one", ae_error_message());
}

/* What is read here is read from files that are as they were written; weights are only as long. */
static ae_status check_small_files(const ae_model_source *s) {
    ae_done d;
    ae_status st;
    AE_TRY(ae_done_read(&d, s->folder));
    AE_TRY(check_file(&d, s->folder, "model.json", false, true));
    AE_TRY(check_file(&d, s->folder, "tokenizer.model", true, true));
    AE_TRY(check_file(&d, s->folder, "weights.h5", false, false));
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

static ae_status open_folder(ae_model_source *s) {
    if (ae_path_has(s->folder, "model.json") || ae_path_has(s->folder, "DONE")) return open_checkpoint(s);
    if (ae_path_has(s->folder, "config.json")) return open_hf(s);
    return ae_no_model(s->folder);
}

/* Without slashes at its end. */
static char *copy_folder(const char *path) {
    char *folder = copy_text(path);
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--) folder[n - 1] = '\0';
    return folder;
}

static ae_status open_by(ae_model_source *s, const char *path, ae_status (*open)(ae_model_source *s)) {
    *s = (ae_model_source){.folder = copy_folder(path)};
    const ae_status st = ae_path_is_folder(path) ? open(s) : ae_no_model(path);
    if (st != AE_OK) ae_model_source_free(s);
    return st;
}

ae_status ae_model_source_open(ae_model_source *s, const char *path) {
    return open_by(s, path, open_folder);
}

ae_status ae_model_source_open_checkpoint(ae_model_source *s, const char *path) {
    return open_by(s, path, open_checkpoint);
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
    if (st == AE_OK) st = check_file(&d, s->folder, "weights.h5", false, true);
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
        if (want == 0 || !p->product || p->parts > 0 || p->added) continue;
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

/* Of an adapter the weights are a part only. */
static ae_status check_whole(const ae_model_source *s) {
    if (s->kind != AE_SOURCE_CHECKPOINT || !ae_path_has(s->folder, "adapter.json")) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected a whole model, found what trained beside a base (adapter.json); make one of the "
        "two: aerie export --model %s --output DIR",
        s->folder, s->folder);
}

/* Against the table with these options. */
static ae_status verify(const ae_model_source *s, const ae_params_options *o,
                        const ae_params_match_options *match) {
    ae_params params = {0};
    ae_tensors *t = NULL;
    ae_status st;
    AE_TRY(check_whole(s));
    AE_TRY(check_weights_file(s));
    AE_TRY(ae_params_init_with(&params, &s->config, o));
    AE_TRY(ae_tensors_open(&t, s->tensors));
    AE_TRY(ae_params_fit(&params, t, s->tensors, match));
    AE_TRY(check_integers(s, &params, t));
out:
    ae_tensors_close(t);
    ae_params_free(&params);
    return st;
}

ae_status ae_model_source_verify(const ae_model_source *s) {
    return verify(s, &(ae_params_options){0}, NULL);
}

/* What the options add to the shape may be in the folder or not. */
static const ae_params_match_options base = {.lacks_added = true};

ae_status ae_model_source_verify_with(const ae_model_source *s, const ae_params_options *o) {
    return verify(s, o, &base);
}

ae_status ae_model_source_verify_head(const ae_model_source *s, bool *has_head) {
    ae_tensors *t = NULL;
    ae_status st;
    *has_head = false;
    AE_TRY(verify(s, &(ae_params_options){.score_head = true}, &base));
    AE_TRY(ae_tensors_open(&t, s->tensors));
    *has_head = ae_tensors_find(t, "score.weight") >= 0;
out:
    ae_tensors_close(t);
    return st;
}

ae_status ae_model_open_source(ae_model *m, const ae_backend *be, const ae_model_source *s,
                               const ae_model_options *options) {
    *m = (ae_model){0};
    ae_status st = ae_model_init(m, be, &s->config, options);
    if (st == AE_OK) st = ae_model_set_added_initial(m, 0);
    if (st == AE_OK) st = ae_model_load(m, s->tensors, &base);
    if (st != AE_OK) ae_model_free(m);
    return st;
}

ae_status ae_model_open(ae_model *m, const ae_backend *be, const char *path,
                        const ae_model_options *options) {
    ae_model_source s;
    *m = (ae_model){0};
    ae_status st = ae_model_source_open(&s, path);
    if (st != AE_OK) return st;
    st = ae_model_source_verify_with(&s, &options->params);
    if (st == AE_OK) st = ae_model_open_source(m, be, &s, options);
    ae_model_source_free(&s);
    return st;
}
