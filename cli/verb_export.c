#include "cli/args.h"
#include "cli/hf_files.h"
#include "cli/interrupt.h"
#include "cli/model_card.h"
#include "cli/output_folder.h"
#include "cli/piece_bar.h"
#include "cli/verbs.h"
#include "cli/weights_size.h"
#include "core/log.h"
#include "exchange/export.h"
#include "train/run_folder.h"

#include <string.h>

static const char usage[] =
    "aerie export --model M --output DIR [--dtype f32|bf16] [--shard-bytes N] [--flags]\n\n"
    "Writes a folder that transformers loads as RecurrentGemmaForCausalLM: config.json, weights in "
    "safetensors, "
    "the tokenizer\n"
    "with its chat template, generation_config.json and a model card, README.md. In f32 the bits stay the "
    "same.";

typedef struct {
    const char *model, *output, *dtype;
    int64_t shard_bytes;
    bool no_tokenizer, force, quiet;
} options;

typedef struct {
    const options *options;
    const ae_model_source *source;
    ae_tokenizer *tokenizer; /* NULL: none */
    ae_weight_type type;
} job;

static ae_status parse_type(const char *name, ae_weight_type *type) {
    *type = strcmp(name, "bf16") == 0 ? AE_WEIGHT_BF16 : AE_WEIGHT_F32;
    if (*type == AE_WEIGHT_BF16 || strcmp(name, "f32") == 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "--dtype: expected f32 or bf16, found %s", name);
}

static ae_status fill_folder(void *context, const char *folder) {
    job *j = context;
    ae_piece_bar bar = {.verb = "export"};
    const ae_export_request request = {.config = &j->source->config,
                                       .bf16 = j->type == AE_WEIGHT_BF16,
                                       .tensors = j->source->tensors,
                                       .shard_bytes = j->options->shard_bytes,
                                       .watch = ae_piece_bar_watch(&bar)};
    ae_status st;
    AE_TRY(ae_hf_files_write(folder, &j->source->config, j->type, j->tokenizer));
    AE_TRY(ae_model_card_write(folder, j->source, j->type));
    AE_TRY(ae_model_export(folder, &request));
out:
    return st;
}

static ae_status write_folder(job *j) {
    static const char *const names[] = {AE_HF_FILES, "README.md"};
    const char *const sources[] = {j->source->folder};
    const ae_output_folder f = {.verb = "export",
                                .output = j->options->output,
                                .force = j->options->force,
                                .sources = sources,
                                .n_sources = 1,
                                .names = names,
                                .n_names = sizeof names / sizeof *names,
                                .fill = fill_folder,
                                .context = j};
    return ae_output_folder_write(&f);
}

static ae_status run(const options *o) {
    ae_model_source source = {0};
    job j = {.options = o, .source = &source};
    char size[32];
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(parse_type(o->dtype, &j.type));
    AE_TRY(ae_run_source_open(&source, o->model));
    AE_TRY(ae_model_source_verify(&source));
    if (source.tokenizer && !o->no_tokenizer) AE_TRY(ae_tokenizer_open(&j.tokenizer, source.tokenizer));
    AE_TRY(write_folder(&j));
    ae_weights_size(o->output, size, sizeof size);
    ae_log("%s: %s in %s, %s a tokenizer, %s", o->output, source.folder, o->dtype,
           j.tokenizer ? "with" : "without", size);
out:
    ae_tokenizer_delete(j.tokenizer);
    ae_model_source_free(&source);
    return st;
}

ae_status ae_verb_export(int argc, char **argv) {
    options o = {.dtype = "f32", .shard_bytes = AE_SHARD_BYTES};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_model(&o.model),
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "the folder to write"},
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &o.dtype,
         .value = "f32|bf16",
         .fallback = "f32",
         .help = "of all tensors; bf16 rounds to the nearest"},
        ae_arg_shard_bytes(&o.shard_bytes),
        {.name = "no-tokenizer",
         .type = AE_ARG_FLAG,
         .to = &o.no_tokenizer,
         .help = "leave it out, where transformers cannot be told of its kind"},
        {.name = "force",
         .type = AE_ARG_FLAG,
         .to = &o.force,
         .help = "replace a folder that holds nothing but files of the names that export writes"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st != AE_OK) return st;
    if (help) {
        ae_args_help(usage, table, n, stdout);
        return AE_OK;
    }
    AE_TRY(ae_args_require(table, n, "model", !o.model));
    AE_TRY(ae_args_require(table, n, "output", !o.output));
    st = run(&o);
out:
    return st;
}
