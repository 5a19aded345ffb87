#include "cli/plan_inference.h"

#include "cli/dtype.h"
#include "core/json.h"
#include "core/log.h"
#include "core/machine.h"
#include "model/decode.h"
#include "train/plan.h"
#include "train/run_model.h"

#include <string.h>

enum { PIECE_ELEMENTS = 1 << 20 };
/* Packing buffers of the products and the stack, for each thread. */
static const size_t THREAD_BYTES = (size_t)10 << 20;

typedef struct {
    int64_t parameters;
    size_t weights, state, decoder, loading, program, peak, available;
} table;

/* model.init may bring an adapter, which the options then have. */
static ae_status shape_of(const ae_train_config *config, ae_run_model *run, ae_model_config *c,
                          ae_model_options *o) {
    if (!config->model.init[0]) return ae_model_config_resolve(c, &config->model, 0);
    const ae_status st = ae_run_model_open(run, config->model.init, NULL);
    if (st != AE_OK) return st;
    *c = run->base.config;
    *o = ae_run_model_options(run, o);
    return AE_OK;
}

static ae_status measure(table *t, const ae_model_config *c, const ae_backend *be, const ae_model_options *o,
                         ptrdiff_t batch, ptrdiff_t tokens) {
    ae_params params;
    const ae_status st = ae_params_init_with(&params, c, &o->params);
    if (st != AE_OK) return st;
    t->parameters = params.total;
    t->weights = ae_model_value_bytes(&params, be, o);
    t->state = ae_decode_state_bytes(be, c, batch, tokens);
    t->decoder = ae_decoder_bytes(be, c, params.adapter_rank, batch, AE_PREFILL_CHUNK) +
                 (size_t)(batch * c->V) * sizeof(float);
    t->loading = PIECE_ELEMENTS * (sizeof(float) + sizeof(uint16_t));
    t->program = ae_rss_bytes() + THREAD_BYTES * (size_t)be->threads;
    t->available = ae_memory_available_bytes();
    const size_t use = t->state + t->decoder;
    t->peak = t->program + t->weights + (use > t->loading ? use : t->loading);
    ae_params_free(&params);
    return AE_OK;
}

static void row(const char *what, size_t bytes) {
    char text[32];
    ae_format_bytes(text, sizeof text, bytes);
    printf("  %-28s %10s\n", what, text);
}

static void print_text(const table *t, const ae_model_options *o, ptrdiff_t batch) {
    char have[32];
    ae_format_bytes(have, sizeof have, t->available);
    printf("parameters  %lld in %s, %td sequences at once\nmemory      %s available\n",
           (long long)t->parameters, ae_weight_type_name(o->weights), batch, have);
    row("weights", t->weights);
    row("states of the sequences", t->state);
    row("prefill and decoding", t->decoder);
    row("program", t->program);
    row("peak", t->peak);
}

static ae_status print_json(const table *t, const ae_model_options *o, ptrdiff_t batch) {
    json_t *root = json_pack(
        "{s:I, s:s, s:I, s:{s:I, s:I, s:I, s:I, s:I, s:I}}", "parameters", (json_int_t)t->parameters, "dtype",
        ae_weight_type_name(o->weights), "batch", (json_int_t)batch, "memory_bytes", "weights",
        (json_int_t)t->weights, "state", (json_int_t)t->state, "decoder", (json_int_t)t->decoder, "program",
        (json_int_t)t->program, "peak", (json_int_t)t->peak, "available", (json_int_t)t->available);
    if (!root) return AE_FAIL(AE_ERR_RESOURCE, "plan: out of memory");
    const ae_status st = ae_json_write_line(root, stdout, "standard output");
    json_decref(root);
    return st;
}

ae_status ae_plan_inference(const ae_train_config *config, const char *dtype, int64_t batch, int64_t tokens,
                            bool json) {
    ae_model_options options = {0};
    ae_run_model run = {0};
    ae_model_config c;
    ae_backend be = {0};
    table t = {0};
    ae_status st;
    AE_TRY(ae_weights_parse(dtype, &options));
    AE_TRY(shape_of(config, &run, &c, &options));
    AE_TRY(ae_backend_cpu(&be, &(ae_backend_options){.dtype = ae_dtype_beside(options.weights)}));
    AE_TRY(measure(&t, &c, &be, &options, (ptrdiff_t)batch, (ptrdiff_t)tokens));
    if (json)
        AE_TRY(print_json(&t, &options, (ptrdiff_t)batch));
    else
        print_text(&t, &options, (ptrdiff_t)batch);
    if (t.peak - t.program > t.available)
        st = AE_FAIL(AE_ERR_RESOURCE,
                     "memory: expected %.1f GB, found %.1f GB available; a smaller --dtype needs less",
                     (double)(t.peak - t.program) / 1e9, (double)t.available / 1e9);
out:
    ae_run_model_free(&run);
    ae_backend_free(&be);
    return st;
}
