#include "cli/bench_open.h"

#include "core/file.h"
#include "core/machine.h"
#include "train/run_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* The preset, with the vocabulary it suggests where the token set would decide. */
static ae_status find_shape(ae_bench *b, const char *name) {
    ae_model_keys keys;
    ae_config table = {0};
    ae_status st = ae_config_add(&table, "model", ae_model_fields, ae_model_n_fields, &keys);
    if (st == AE_OK) {
        free(keys.preset);
        keys.preset = strdup(name);
        st = keys.preset ? ae_model_config_resolve(&b->config, &keys, 0)
                         : AE_FAIL(AE_ERR_RESOURCE, "--shape: out of memory");
    }
    ae_config_free(&table);
    return st;
}

/* The model's own shape, and what its folder holds in integers for --dtype auto. */
static ae_status find_model(ae_bench *b, const char *name) {
    ae_model_source source;
    const ae_status st = ae_run_source_open(&source, name);
    if (st != AE_OK) return st;
    b->model = name;
    b->config = source.config;
    b->weights.weights = source.weights;
    b->weights.group = source.group;
    ae_model_source_free(&source);
    return AE_OK;
}

static bool is_preset(const char *name) {
    for (size_t i = 0; i < ae_n_presets; i++)
        if (strcmp(ae_presets[i].name, name) == 0) return true;
    return false;
}

ae_status ae_bench_find(ae_bench *b, const char *name) {
    if (!b->model && (is_preset(name) || !ae_path_is_folder(name))) return find_shape(b, name);
    return find_model(b, name);
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
