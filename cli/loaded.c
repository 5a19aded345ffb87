#include "cli/loaded.h"

#include "core/log.h"
#include "model/source.h"

#include <omp.h>
#include <string.h>

static ae_status check_dtype(const char *dtype) {
    if (strcmp(dtype, "f32") == 0 || strcmp(dtype, "auto") == 0) return AE_OK;
    if (strcmp(dtype, "bf16") == 0)
        return AE_FAIL(AE_ERR_USAGE, "--dtype: bf16 is not in this version; use f32 or auto");
    return AE_FAIL(AE_ERR_USAGE, "--dtype: expected f32 or auto, found '%s'", dtype);
}

static ae_status check_room(const char *path, const ae_model_config *c, int64_t *parameters) {
    ae_params params;
    const ae_status st = ae_params_init(&params, c);
    if (st != AE_OK) return st;
    const double needed = (double)sizeof(float) * (double)ae_params_padded_elements(&params, false);
    const double there = (double)ae_memory_available_bytes();
    *parameters = params.total;
    ae_params_free(&params);
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "%s: %.2f G parameters need %.1f GB of memory in f32, %.1f GB are available", path,
                   (double)*parameters / 1e9, needed / 1e9, there / 1e9);
}

ae_status ae_loaded_open(ae_loaded *l, const char *path, const char *dtype, int64_t threads) {
    ae_model_source source = {0};
    int64_t parameters = 0;
    ae_status st;
    *l = (ae_loaded){0};
    AE_TRY(check_dtype(dtype));
    AE_TRY(ae_model_source_open(&source, path));
    AE_TRY(check_room(path, &source.config, &parameters));
    if (source.tokenizer) AE_TRY(ae_tokenizer_open(&l->tokenizer, source.tokenizer));
    AE_TRY(ae_backend_cpu(&l->be, &(ae_backend_options){.threads = (int)threads}));
    AE_TRY(ae_model_open(&l->model, &l->be, path, false));
    ae_log("%s: %.1f M parameters in f32, %s, %d threads, %s kernels", source.folder,
           (double)parameters / 1e6, l->tokenizer ? "with a tokenizer" : "without a tokenizer",
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
