#include "train/run_model.h"

#include "core/file.h"
#include "train/run_folder.h"

#include <stdlib.h>

/* The folder of the adapter that `path` is or has as its newest checkpoint (the caller frees it); NULL:
 * none. */
static ae_status find_adapter(char **folder, const char *path) {
    *folder = NULL;
    if (ae_adapter_is_there(path)) {
        *folder = ae_path_join("", path);
        return AE_OK;
    }
    const bool is_model = ae_path_has(path, "model.json") || ae_path_has(path, "config.json");
    if (is_model || !ae_path_has(path, "checkpoints")) return AE_OK;
    const ae_status st = ae_checkpoint_newest_complete(folder, NULL, path);
    if (*folder != NULL && ae_adapter_is_there(*folder)) return st;
    free(*folder);
    *folder = NULL;
    return st;
}

/* Of a base that stands in adapter.json; `path` is how the adapter was given. */
static ae_status open_recorded(ae_run_model *r, const char *path) {
    const char *base = r->adapter.base;
    if (base == NULL)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: an adapter that names no base; say where it is: --model BASE --adapter %s", path,
                       path);
    if (!ae_path_exists(base))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: an adapter of %s: expected its base there, found nothing; say where it is: --model BASE "
            "--adapter %s",
            path, base, path);
    const ae_status st = ae_run_source_open(&r->base, base);
    if (st != AE_OK) ae_fail_prefix("%s: the base of this adapter", path);
    return st;
}

static ae_status refuse_two(const char *model, const char *adapter) {
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected the base of %s, found another adapter; export it as a model first (aerie export "
        "--model %s)",
        model, adapter, model);
}

static ae_status refuse_stranger(const char *path) {
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected an adapter: a checkpoint with %s, a run of such, or a folder of PEFT with %s; "
        "found %s",
        path, ae_adapter_file, ae_peft_config_file, ae_path_exists(path) ? "none" : "nothing there");
}

/* The head that rewards come from brings its scale. */
static void take_reward_scale(ae_run_model *r) {
    if (!r->adapted || !r->adapter.options.score_head) return;
    r->base.config.reward_shift = r->adapter.reward_shift;
    r->base.config.reward_std = r->adapter.reward_std;
}

ae_status ae_run_model_open(ae_run_model *r, const char *model, const char *adapter) {
    char *of_model = NULL, *given = NULL;
    ae_status st;
    *r = (ae_run_model){0};
    AE_TRY(find_adapter(&of_model, model));
    if (adapter != NULL) AE_TRY(find_adapter(&given, adapter));
    if (adapter != NULL && given == NULL) AE_TRY(refuse_stranger(adapter));
    if (adapter != NULL && of_model != NULL) AE_TRY(refuse_two(model, adapter));
    r->adapted = given != NULL || of_model != NULL;
    if (r->adapted) AE_TRY(ae_adapter_source_open(&r->adapter, given != NULL ? given : of_model));
    AE_TRY(of_model != NULL ? open_recorded(r, model) : ae_run_source_open(&r->base, model));
    take_reward_scale(r);
out:
    free(of_model);
    free(given);
    if (st != AE_OK) ae_run_model_free(r);
    return st;
}

ae_status ae_run_model_verify(ae_run_model *r) {
    const ae_status st = ae_model_source_verify_head(&r->base, &r->score_head);
    if (!r->adapted || st != AE_OK) return st;
    r->score_head |= r->adapter.options.score_head;
    return ae_adapter_source_verify(&r->adapter, &r->base);
}

void ae_run_model_free(ae_run_model *r) {
    ae_model_source_free(&r->base);
    ae_adapter_source_free(&r->adapter);
    *r = (ae_run_model){0};
}

const char *ae_run_model_tokenizer(const ae_run_model *r) {
    return r->base.tokenizer != NULL ? r->base.tokenizer : r->adapter.tokenizer;
}

ae_status ae_run_model_same_tokenizer(const ae_run_model *r, const ae_tokenizer *ours, bool *same) {
    char *bytes = NULL;
    size_t n = 0;
    const char *path = ae_run_model_tokenizer(r);
    *same = true;
    if (!path || !ours) return AE_OK;
    const ae_status st = ae_file_read(path, &bytes, &n);
    if (st == AE_OK) *same = ae_tokenizer_is(ours, bytes, n);
    free(bytes);
    return st;
}

ae_model_options ae_run_model_options(const ae_run_model *r, const ae_model_options *o) {
    ae_model_options whole = r->adapted ? ae_adapter_model_options(&r->adapter, o) : *o;
    whole.params.score_head |= r->score_head;
    return whole;
}

ae_status ae_run_model_load(ae_model *m, const ae_backend *be, const ae_run_model *r,
                            const ae_model_options *o) {
    ae_model_options with_head = *o;
    with_head.params.score_head |= r->score_head;
    return r->adapted ? ae_adapter_open_model(m, be, &r->base, &r->adapter, &with_head)
                      : ae_model_open_source(m, be, &r->base, &with_head);
}
