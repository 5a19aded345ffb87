#include "cli/loaded.h"

#include "cli/dtype.h"
#include "core/file.h"
#include "core/log.h"
#include "core/threads.h"
#include "train/run_model.h"
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

static ae_status check_room(const char *path, const ae_model_config *c, const ae_backend *be,
                            const ae_model_options *o, int64_t *parameters) {
    ae_params params;
    const ae_status st = ae_params_init_with(&params, c, &o->params);
    if (st != AE_OK) return st;
    const size_t needed = ae_model_value_bytes(&params, be, o), there = ae_memory_available_bytes();
    char count[32], need[32], have[32];
    *parameters = params.total;
    ae_params_free(&params);
    if (needed <= there) return AE_OK;
    ae_format_count(count, sizeof count, (double)*parameters);
    ae_format_bytes(need, sizeof need, needed);
    ae_format_bytes(have, sizeof have, there);
    return AE_FAIL(AE_ERR_RESOURCE, "%s: %s parameters need %s of memory in %s, %s are available%s", path,
                   count, need, ae_weight_type_name(o->weights), have,
                   o->weights == AE_WEIGHT_INT4 ? "" : "; a smaller --dtype needs less");
}

/* Rows of padding are fine, another model's tokenizer is not, and numbers alone do not tell. */
static void warn_of_rows(const ae_tokenizer *t, const char *path, ptrdiff_t rows) {
    if (!t || ae_tokenizer_size(t) == rows) return;
    ae_warn("%s: %d pieces for a table of %td rows; is it the tokenizer of this model?", path,
            (int)ae_tokenizer_size(t), rows);
}

static void tell(const ae_loaded *l, const ae_run_model *r, int64_t parameters) {
    const ae_weight_type type = l->model.options.weights;
    const bool beside = l->model.params.adapter_rank > 0;
    char count[32];
    ae_format_count(count, sizeof count, (double)parameters);
    ae_log("%s%s%s%s: %s parameters in %s, %s, %d %s, %s kernels", r->base.folder, r->adapted ? " and " : "",
           r->adapted ? r->adapter.folder : "",
           !r->adapted ? ""
           : beside    ? " beside it"
                       : " merged into it",
           count, ae_weight_type_name(type), l->tokenizer ? "with a tokenizer" : "without a tokenizer",
           l->be.threads, l->be.threads == 1 ? "thread" : "threads", l->be.kernels);
}

static ae_status check_head(const ae_run_model *r, const char *path, bool reward) {
    if (!reward && r->score_head)
        ae_warn("%s: a reward model, of which this verb uses the language model alone; its rewards: aerie "
                "score --reward",
                path);
    if (!reward || r->score_head) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected a reward model, found none: the head score.weight is missing; train one: "
                   "aerie reward model.init=%s data.train=PAIRS run.dir=RUN",
                   path, path);
}

/* Of a checkpoint or an adapter of one. */
static char *objective_of(const ae_run_model *r) {
    ae_run_state state = {0};
    char *objective = NULL,
         *path = ae_path_join(r->adapted ? r->adapter.folder : r->base.folder, "state.json");
    if (path && ae_path_exists(path) && ae_run_state_read(&state, path) == AE_OK && state.objective)
        objective = strdup(state.objective);
    ae_run_state_free(&state);
    free(path);
    return objective;
}

static ae_status open_model(ae_loaded *l, const char *path, const char *adapter, const char *dtype,
                            int64_t threads, bool reward) {
    ae_run_model source = {0};
    int64_t parameters = 0;
    ae_status st;
    *l = (ae_loaded){0};
    ae_backend_options backend = {.threads = ae_threads_start((int)threads)};
    ae_model_options options = {0};
    AE_TRY(ae_weights_parse(dtype, &options));
    AE_TRY(ae_run_model_open(&source, path, adapter));
    options.weights = source.base.weights;
    options.group = source.base.group;
    AE_TRY(ae_weights_parse(dtype, &options));
    backend.dtype = ae_dtype_beside(options.weights);
    AE_TRY(ae_backend_cpu(&l->be, &backend));
    AE_TRY(ae_run_model_verify(&source));
    AE_TRY(check_head(&source, adapter ? adapter : path, reward));
    const ae_model_options whole = ae_run_model_options(&source, &options);
    AE_TRY(check_room(path, &source.base.config, &l->be, &whole, &parameters));
    const char *tokenizer = ae_run_model_tokenizer(&source);
    if (tokenizer) AE_TRY(ae_tokenizer_open(&l->tokenizer, tokenizer));
    warn_of_rows(l->tokenizer, tokenizer, source.base.config.V);
    AE_TRY(ae_run_model_load(&l->model, &l->be, &source, &options));
    l->objective = objective_of(&source);
    tell(l, &source, parameters);
out:
    ae_run_model_free(&source);
    if (st != AE_OK) ae_loaded_close(l);
    return st;
}

ae_status ae_loaded_open(ae_loaded *l, const char *path, const char *adapter, const char *dtype,
                         int64_t threads) {
    return open_model(l, path, adapter, dtype, threads, false);
}

ae_status ae_loaded_open_reward(ae_loaded *l, const char *path, const char *adapter, const char *dtype,
                                int64_t threads) {
    return open_model(l, path, adapter, dtype, threads, true);
}

void ae_loaded_close(ae_loaded *l) {
    ae_model_free(&l->model);
    ae_backend_free(&l->be);
    ae_tokenizer_delete(l->tokenizer);
    free(l->objective);
    *l = (ae_loaded){0};
}
