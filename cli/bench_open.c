#include "cli/bench_open.h"

#include "core/machine.h"
#include "train/run_folder.h"

#include <errno.h>
#include <stdlib.h>

ae_status ae_bench_read_list(const char *flag, const char *text, int64_t max, int64_t *list, size_t most,
                             size_t *n) {
    const char *at = text;
    for (*n = 0; *n < most;) {
        char *end = NULL;
        errno = 0;
        const long long value = strtoll(at, &end, 10);
        if (end == at || errno || value < 1 || value > max || (*end && *end != ',')) break;
        list[(*n)++] = value;
        if (!*end) return AE_OK;
        at = end + 1;
    }
    if (most == 1)
        return AE_FAIL(AE_ERR_USAGE, "--%s: expected one number from 1 to %lld, found '%s'", flag,
                       (long long)max, text);
    return AE_FAIL(AE_ERR_USAGE, "--%s: expected 1 to %zu numbers from 1 to %lld like 1,16,64, found '%s'",
                   flag, most, (long long)max, text);
}

static ae_status check_room(const ae_bench *b, size_t beside) {
    ae_params params;
    const ae_status st = ae_params_init(&params, &b->config);
    if (st != AE_OK) return st;
    const double needed = (double)ae_model_value_bytes(&params, &b->be, &b->weights) + (double)beside;
    const double there = (double)ae_memory_available_bytes();
    ae_params_free(&params);
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "%s needs %.1f GB of memory, %.1f GB are available; choose a smaller --%s", b->shape,
                   needed / 1e9, there / 1e9, b->model ? "dtype" : "shape");
}

ae_status ae_bench_open_model(ae_model *m, const ae_bench *b, size_t beside) {
    ae_model_source source = {0};
    ae_status st;
    AE_TRY(check_room(b, beside));
    if (b->model) {
        AE_TRY(ae_run_source_open(&source, b->model));
        AE_TRY(ae_model_source_verify(&source));
        AE_TRY(ae_model_open_source(m, &b->be, &source, &b->weights));
    } else {
        AE_TRY(ae_model_init(m, &b->be, &b->config, &b->weights));
        AE_TRY(ae_model_set_initial(m, 1));
    }
out:
    ae_model_source_free(&source);
    return st;
}
