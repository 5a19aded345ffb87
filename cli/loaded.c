#include "cli/loaded.h"

#include "cli/dtype.h"
#include "core/log.h"
#include "core/threads.h"
#include "train/run_folder.h"

static ae_status check_room(const char *path, const ae_model_config *c, const ae_backend *be,
                            const ae_model_options *o, int64_t *parameters) {
    ae_params params;
    const ae_status st = ae_params_init(&params, c);
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
                   count, need, ae_weights_name(o->weights), have,
                   o->weights == AE_WEIGHT_INT4 ? "" : "; a smaller --dtype needs less");
}

/* Rows of padding are fine, another model's tokenizer is not, and numbers alone do not tell. */
static void warn_of_rows(const ae_tokenizer *t, const ae_model_source *s) {
    if (!t || ae_tokenizer_size(t) == s->config.V) return;
    ae_warn("%s: %d pieces for a table of %td rows; is it the tokenizer of this model?", s->tokenizer,
            (int)ae_tokenizer_size(t), s->config.V);
}

ae_status ae_loaded_open(ae_loaded *l, const char *path, const char *dtype, int64_t threads) {
    ae_model_source source = {0};
    int64_t parameters = 0;
    char count[32];
    ae_status st;
    *l = (ae_loaded){0};
    ae_backend_options backend = {.threads = ae_threads_start((int)threads)};
    ae_model_options options = {0};
    AE_TRY(ae_weights_parse(dtype, &options));
    AE_TRY(ae_run_source_open(&source, path));
    options.weights = source.weights;
    options.group = source.group;
    AE_TRY(ae_weights_parse(dtype, &options));
    backend.dtype = ae_dtype_beside(options.weights);
    AE_TRY(ae_backend_cpu(&l->be, &backend));
    AE_TRY(ae_model_source_verify(&source));
    AE_TRY(check_room(path, &source.config, &l->be, &options, &parameters));
    if (source.tokenizer) AE_TRY(ae_tokenizer_open(&l->tokenizer, source.tokenizer));
    warn_of_rows(l->tokenizer, &source);
    AE_TRY(ae_model_open_source(&l->model, &l->be, &source, &options));
    ae_format_count(count, sizeof count, (double)parameters);
    ae_log("%s: %s parameters in %s, %s, %d %s, %s kernels", source.folder, count,
           ae_weights_name(options.weights), l->tokenizer ? "with a tokenizer" : "without a tokenizer",
           l->be.threads, l->be.threads == 1 ? "thread" : "threads", l->be.kernels);
out:
    ae_model_source_free(&source);
    if (st != AE_OK) ae_loaded_close(l);
    return st;
}

void ae_loaded_close(ae_loaded *l) {
    ae_model_free(&l->model);
    ae_backend_free(&l->be);
    ae_tokenizer_delete(l->tokenizer);
    *l = (ae_loaded){0};
}
