#include "cli/args.h"
#include "cli/dtype.h"
#include "cli/interrupt.h"
#include "cli/output_folder.h"
#include "cli/piece_bar.h"
#include "cli/verbs.h"
#include "cli/weights_size.h"
#include "core/file.h"
#include "core/log.h"
#include "core/threads.h"
#include "exchange/hf_config.h"
#include "exchange/quantize.h"
#include "train/run_folder.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "aerie quantize (--model M | --preset P) --output DIR [--dtype bf16|int8|int4] [--flags]\n\n"
    "Writes a folder with config.json, model.safetensors and the tokenizer, whose matrices are bfloat16 "
    "numbers, or integers\n"
    "of 8 or 4 bits that share a scale by group; score, generate and bench read it. With --preset the "
    "weights are random.";

typedef struct {
    const char *model, *preset, *output, *dtype;
    int64_t group, seed, threads;
    bool force, quiet;
} options;

static ae_status check_options(const options *o, ae_weight_type *type) {
    ae_model_options m = {0};
    if (!o->model == !o->preset)
        return AE_FAIL(AE_ERR_USAGE, "expected either --model or --preset, found %s",
                       o->model ? "both" : "neither");
    if (o->group != 0 && (o->group < 8 || o->group > 256 || (o->group & (o->group - 1)) != 0))
        return AE_FAIL(AE_ERR_USAGE, "--group: expected 8, 16, 32, 64, 128 or 256, found %lld",
                       (long long)o->group);
    const ae_status st = ae_weights_parse(o->dtype, &m);
    *type = m.weights;
    if (st == AE_OK && m.weights != AE_WEIGHT_F32) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "--dtype: expected bf16, int8 or int4, found %s", o->dtype);
}

/* The preset's shape, with the vocabulary it suggests. */
static ae_status shape_of_preset(ae_model_config *c, const char *preset) {
    ae_model_keys keys;
    ae_config table = {0};
    ae_status st;
    AE_TRY(ae_config_add(&table, "model", ae_model_fields, ae_model_n_fields, &keys));
    free(keys.preset);
    keys.preset = strdup(preset);
    if (keys.preset == NULL) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "--preset: out of memory"));
    AE_TRY(ae_model_config_resolve(c, &keys, 0));
out:
    ae_config_free(&table);
    return st;
}

static ae_status write_config(const char *folder, const ae_quantize_request *r) {
    char *path = ae_path_join(folder, "config.json"), *text = NULL;
    ae_status st = ae_model_config_to_hf(r->config, r->type, ae_weight_group(r->type, r->group), &text);
    if (st == AE_OK) st = ae_file_write(path, text, strlen(text));
    free(text);
    free(path);
    return st;
}

typedef struct {
    const ae_quantize_request *request;
    const char *tokenizer; /* NULL: none */
} content;

static ae_status fill_folder(void *context, const char *folder) {
    const content *c = context;
    char *weights = ae_path_join(folder, "model.safetensors");
    ae_status st;
    AE_TRY(write_config(folder, c->request));
    if (c->tokenizer) AE_TRY(ae_output_folder_copy(folder, "tokenizer.model", c->tokenizer));
    AE_TRY(ae_model_quantize(weights, c->request));
out:
    free(weights);
    return st;
}

static ae_status write_folder(const options *o, const ae_quantize_request *r, const ae_model_source *source) {
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.model"};
    const char *const sources[] = {source->folder};
    content c = {r, source->tokenizer};
    const ae_output_folder f = {.verb = "quantize",
                                .output = o->output,
                                .force = o->force,
                                .sources = sources,
                                .n_sources = 1,
                                .names = names,
                                .n_names = sizeof names / sizeof *names,
                                .fill = fill_folder,
                                .context = &c};
    return ae_output_folder_write(&f);
}

/* `tensors`: what was read, NULL for nothing. */
static void report(const options *o, const char *tensors) {
    char size[32], before[32] = "";
    ae_weights_size(o->output, size, sizeof size);
    if (tensors) ae_weights_size(tensors, before, sizeof before);
    ae_log("%s: %s, %s%s%s", o->output, o->dtype, size, tensors ? ", before " : "", before);
}

static ae_status run(const options *o) {
    ae_weight_type type;
    ae_model_source source = {0};
    ae_model_config config;
    bool score_head = false;
    ae_piece_bar bar = {.verb = "quantize"};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(check_options(o, &type));
    (void)ae_threads_start((int)o->threads);
    if (o->model) {
        AE_TRY(ae_run_source_open(&source, o->model));
        AE_TRY(ae_model_source_verify_head(&source, &score_head));
        config = source.config;
    } else {
        AE_TRY(shape_of_preset(&config, o->preset));
    }
    const ae_quantize_request request = {.config = &config,
                                         .score_head = score_head,
                                         .type = type,
                                         .group = (ptrdiff_t)o->group,
                                         .tensors = source.tensors,
                                         .seed = (uint64_t)o->seed,
                                         .watch = ae_piece_bar_watch(&bar)};
    AE_TRY(write_folder(o, &request, &source));
    report(o, source.tensors);
out:
    ae_model_source_free(&source);
    return st;
}

ae_status ae_verb_quantize(int argc, char **argv) {
    options o = {.dtype = "int8"};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_model(&o.model),
        {.name = "preset",
         .type = AE_ARG_TEXT,
         .to = &o.preset,
         .value = "P",
         .help = "a shape, for random weights"},
        {.name = "seed",
         .type = AE_ARG_INT,
         .to = &o.seed,
         .min = 0,
         .max = 1e15,
         .fallback = "0",
         .help = "of the random weights"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "the folder to write"},
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &o.dtype,
         .value = "bf16|int8|int4",
         .fallback = "int8",
         .help = "what matrices become"},
        {.name = "group",
         .type = AE_ARG_INT,
         .to = &o.group,
         .min = 0,
         .max = 256,
         .fallback = "0",
         .help = "inputs that share a scale, a power of two; 0: 128 for int8, 64 for int4"},
        {.name = "force",
         .type = AE_ARG_FLAG,
         .to = &o.force,
         .help = "replace a folder that holds nothing but files of the names that quantize writes"},
        ae_arg_threads(&o.threads),
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    st = ae_args_require(table, n, "output", !o.output);
    return st == AE_OK ? run(&o) : st;
}
