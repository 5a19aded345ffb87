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
#include "exchange/peft_write.h"
#include "train/run_model.h"

#include <string.h>

static const char usage[] =
    "aerie export --model M [--adapter A] --output DIR [--dtype f32|bf16|f16] [--shard-bytes N] [--flags]\n\n"
    "Writes a folder that transformers loads as RecurrentGemmaForCausalLM: config.json, weights in "
    "safetensors, the "
    "tokenizer\n"
    "with its chat template, generation_config.json and a model card, README.md. In f32 the bits stay the "
    "same. An "
    "adapter\n"
    "is merged into the weights; with --peft it is written by itself, as PEFT keeps one.";

typedef struct {
    const char *model, *adapter, *output, *dtype;
    int64_t shard_bytes;
    bool peft, no_tokenizer, force, quiet;
} options;

typedef struct {
    const options *options;
    const ae_run_model *source;
    ae_tokenizer *tokenizer; /* NULL: none */
    ae_file_dtype type;
} job;

static ae_status parse_type(const char *name, ae_file_dtype *type) {
    static const char *const names[] = {
        [AE_FILE_F32] = "f32", [AE_FILE_BF16] = "bf16", [AE_FILE_F16] = "f16"};
    for (int i = AE_FILE_F32; i <= AE_FILE_F16; i++)
        if (strcmp(name, names[i]) == 0) {
            *type = (ae_file_dtype)i;
            return AE_OK;
        }
    return AE_FAIL(AE_ERR_USAGE, "--dtype: expected f32, bf16 or f16, found %s", name);
}

/* The run that a card tells of is that of what trained last. */
static ae_status write_card(const job *j, const char *folder) {
    ae_model_source told = j->source->base;
    if (j->source->adapted) {
        told.kind = AE_SOURCE_CHECKPOINT;
        told.folder = j->source->adapter.folder;
    }
    return ae_model_card_write(folder, &told, j->type, j->source->score_head);
}

static ae_status write_weights(const job *j, const char *folder) {
    const ae_model_source *base = &j->source->base;
    ae_adapter_merger *merger = NULL;
    ae_model_amendment merged = {0};
    ae_piece_bar bar = {.verb = "export"};
    ae_status st =
        j->source->adapted ? ae_adapter_merger_new(&merger, &j->source->adapter, &base->config) : AE_OK;
    if (st != AE_OK) return st;
    if (merger) merged = ae_adapter_merger_amendment(merger);
    st = ae_model_export(folder, &(ae_export_request){.config = &base->config,
                                                      .score_head = j->source->score_head,
                                                      .bf16 = j->type == AE_FILE_BF16,
                                                      .f16 = j->type == AE_FILE_F16,
                                                      .tensors = base->tensors,
                                                      .amendment = merger ? &merged : NULL,
                                                      .shard_bytes = j->options->shard_bytes,
                                                      .watch = ae_piece_bar_watch(&bar)});
    ae_adapter_merger_delete(merger);
    return st;
}

static ae_status fill_folder(void *context, const char *folder) {
    const job *j = context;
    ae_status st;
    AE_TRY(ae_hf_files_write(folder, &j->source->base.config, j->type, j->tokenizer));
    AE_TRY(write_card(j, folder));
    AE_TRY(write_weights(j, folder));
out:
    return st;
}

static ae_status write_folder(job *j) {
    static const char *const names[] = {AE_HF_FILES, "README.md"};
    const char *const sources[] = {j->source->base.folder, j->source->adapter.folder};
    const ae_output_folder f = {.verb = "export",
                                .output = j->options->output,
                                .force = j->options->force,
                                .sources = sources,
                                .n_sources = 2,
                                .names = names,
                                .n_names = sizeof names / sizeof *names,
                                .fill = fill_folder,
                                .context = j};
    return ae_output_folder_write(&f);
}

/* ---- an adapter by itself ---- */

static ae_status fill_peft(void *context, const char *folder) {
    const ae_run_model *r = context;
    return ae_adapter_write_peft(folder, &r->adapter, &r->base);
}

static ae_status write_peft(const options *o, ae_run_model *r) {
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    const char *const sources[] = {r->base.folder, r->adapter.folder};
    const ae_output_folder f = {.verb = "export",
                                .output = o->output,
                                .force = o->force,
                                .sources = sources,
                                .n_sources = 2,
                                .names = names,
                                .n_names = 2,
                                .fill = fill_peft,
                                .context = r};
    if (!r->adapted)
        return AE_FAIL(AE_ERR_USAGE,
                       "--peft: expected an adapter (--adapter A, or a run that has one), found none");
    const ae_status st = ae_output_folder_write(&f);
    if (st == AE_OK) ae_log("%s: %s for PEFT, in f32", o->output, r->adapter.folder);
    return st;
}

/* ---- the verb ---- */

static void report(const job *j) {
    const ae_run_model *r = j->source;
    char size[32];
    ae_weights_size(j->options->output, size, sizeof size);
    ae_log("%s: %s%s%s in %s, %s a tokenizer, %s", j->options->output, r->base.folder,
           r->adapted ? " merged with " : "", r->adapted ? r->adapter.folder : "", j->options->dtype,
           j->tokenizer ? "with" : "without", size);
}

static ae_status run(const options *o) {
    ae_run_model source = {0};
    job j = {.options = o, .source = &source};
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(parse_type(o->dtype, &j.type));
    AE_TRY(ae_run_model_open(&source, o->model, o->adapter));
    AE_TRY(ae_run_model_verify(&source));
    if (o->peft) {
        st = write_peft(o, &source);
        goto out;
    }
    const char *tokenizer = ae_run_model_tokenizer(&source);
    if (tokenizer && !o->no_tokenizer) AE_TRY(ae_tokenizer_open(&j.tokenizer, tokenizer));
    AE_TRY(write_folder(&j));
    report(&j);
out:
    ae_tokenizer_delete(j.tokenizer);
    ae_run_model_free(&source);
    return st;
}

ae_status ae_verb_export(int argc, char **argv) {
    options o = {.dtype = "f32", .shard_bytes = AE_SHARD_BYTES};
    bool help = false;
    const ae_arg table[] = {
        ae_arg_model(&o.model),
        ae_arg_adapter(&o.adapter),
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "the folder to write"},
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &o.dtype,
         .value = "f32|bf16|f16",
         .fallback = "f32",
         .help = "of all tensors; bf16 and f16 round to the nearest"},
        ae_arg_shard_bytes(&o.shard_bytes),
        {.name = "peft",
         .type = AE_ARG_FLAG,
         .to = &o.peft,
         .help = "write the adapter alone, in f32, as PEFT keeps one"},
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
    if (o.peft && strcmp(o.dtype, "f32") != 0)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "--dtype: expected f32 with --peft, found %s", o.dtype));
    st = run(&o);
out:
    return st;
}
