#include "cli/loaded.h"

#include "cli/dtype.h"
#include "core/log.h"
#include "model/source.h"

#include <omp.h>

static ae_status check_room(const char *path, const ae_model_config *c, const ae_backend *be,
                            int64_t *parameters) {
    ae_params params;
    const ae_status st = ae_params_init(&params, c);
    if (st != AE_OK) return st;
    const double needed = (double)ae_model_value_bytes(&params, be);
    const double there = (double)ae_memory_available_bytes();
    *parameters = params.total;
    ae_params_free(&params);
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "%s: %.2f G parameters need %.1f GB of memory in %s, %.1f GB are available%s", path,
                   (double)*parameters / 1e9, needed / 1e9, ae_weights_name(be->weights), there / 1e9,
                   be->weights == AE_WEIGHT_INT4 ? "" : "; a smaller --dtype needs less");
}

ae_status ae_loaded_open(ae_loaded *l, const char *path, const char *dtype, int64_t threads) {
    ae_model_source source = {0};
    int64_t parameters = 0;
    ae_status st;
    *l = (ae_loaded){0};
    ae_backend_options options = {.threads = (int)threads};
    AE_TRY(ae_weights_parse(dtype, &options));
    AE_TRY(ae_model_source_open(&source, path));
    options.weights = source.weights;
    options.group = source.group;
    AE_TRY(ae_weights_parse(dtype, &options));
    AE_TRY(ae_backend_cpu(&l->be, &options));
    AE_TRY(ae_model_source_verify(&source));
    AE_TRY(check_room(path, &source.config, &l->be, &parameters));
    if (source.tokenizer) AE_TRY(ae_tokenizer_open(&l->tokenizer, source.tokenizer));
    AE_TRY(ae_model_open_source(&l->model, &l->be, &source, false));
    ae_log("%s: %.1f M parameters in %s, %s, %d threads, %s kernels", source.folder, (double)parameters / 1e6,
           ae_weights_name(l->be.weights), l->tokenizer ? "with a tokenizer" : "without a tokenizer",
           omp_get_max_threads(), l->be.kernels);
out:
    ae_model_source_free(&source);
    if (st != AE_OK) ae_loaded_close(l);
    return st;
}

void ae_loaded_close(ae_loaded *l) {
    ae_model_free(&l->model);
    ae_tokenizer_delete(l->tokenizer);
    *l = (ae_loaded){0};
}
