#include "cli/args.h"
#include "cli/hf_files.h"
#include "cli/interrupt.h"
#include "cli/output_folder.h"
#include "cli/piece_bar.h"
#include "cli/results.h"
#include "cli/verbs.h"
#include "cli/weights_size.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process.h"
#include "data/trim.h"
#include "exchange/trim.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "train/run_folder.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "aerie tokenizer trim (--tokenizer T.model | --model M) --input F... --output OUT [--flags]\n\n"
    "Keeps the pieces that a corpus uses, control tokens and bytes. Text of kept pieces is encoded to the "
    "same "
    "pieces as before.\n"
    "With --model the table is cut to match: OUT is a Hugging Face folder, whose scores of kept text differ "
    "only by the smaller\nvocabulary's normalisation.";

typedef struct {
    const char *tokenizer, *model, *output, *keep, *text_key;
    ae_arg_list inputs;
    int64_t min_count, shard_bytes;
    bool force, json, quiet;
} options;

typedef struct {
    const options *o;
    ae_model_source source; /* with --model */
    bool score_head;        /* of a reward model */
    ae_tokenizer *tokenizer;
    ae_trimmed trimmed;
    int64_t parameters, bytes_each; /* before; of a number in the table */
    ae_weight_type type;            /* BF16 where every tensor is, else F32 */
} trim;

static ae_status find_pieces(trim *t) {
    const options *o = t->o;
    const char *where = o->model ? t->source.tokenizer : o->tokenizer;
    const ae_trim_request r = {.tokenizer = t->tokenizer,
                               .where = where,
                               .input = {.inputs = o->inputs.items,
                                         .n_inputs = o->inputs.n,
                                         .text_key = o->text_key,
                                         .check = ae_interrupt_check},
                               .min_count = o->min_count,
                               .keep = o->keep};
    return ae_trim(&t->trimmed, &r);
}

/* ---- what it saves ---- */

static int64_t parameters_saved(const trim *t) {
    return t->o->model ? (int64_t)(t->source.config.V - t->trimmed.n) * t->source.config.D : 0;
}

static ae_status report_json(const trim *t) {
    const int64_t saved = parameters_saved(t);
    json_t *o =
        json_pack("{s:s, s:i, s:i, s:I, s:I}", "output", t->o->output, "pieces_before",
                  (int)ae_tokenizer_size(t->tokenizer), "pieces_after", (int)t->trimmed.n, "tokens_before",
                  (json_int_t)t->trimmed.tokens_before, "tokens_after", (json_int_t)t->trimmed.tokens_after);
    if (!o) return AE_FAIL(AE_ERR_USAGE, "--output: expected a name in UTF-8");
    if (t->o->model) {
        json_object_set_new(o, "parameters_before", json_integer(t->parameters));
        json_object_set_new(o, "parameters_after", json_integer(t->parameters - saved));
        json_object_set_new(o, "bytes_saved", json_integer(saved * t->bytes_each));
    }
    const ae_status st = ae_stdout_is_closed() ? AE_OK : ae_json_write_line(o, stdout, "standard output");
    json_decref(o);
    return st;
}

static void report_size(const trim *t, int64_t saved) {
    char before[32], after[32], less[32], size[32];
    ae_format_count(before, sizeof before, (double)t->parameters);
    ae_format_count(after, sizeof after, (double)(t->parameters - saved));
    ae_format_bytes(less, sizeof less, (size_t)(saved * t->bytes_each));
    ae_weights_size(t->o->output, size, sizeof size);
    ae_log("%s: %s parameters in %s, before %s: %.1f %% and %s less", t->o->output, after, size, before,
           100 * (double)saved / (double)t->parameters, less);
}

static ae_status report(const trim *t) {
    const int64_t saved = parameters_saved(t);
    ae_log("%s: %d of %d pieces stay; the corpus takes %lld tokens, before %lld", t->o->output, t->trimmed.n,
           ae_tokenizer_size(t->tokenizer), (long long)t->trimmed.tokens_after,
           (long long)t->trimmed.tokens_before);
    if (t->o->model) report_size(t, saved);
    return t->o->json ? report_json(t) : AE_OK;
}

/* ---- a tokenizer alone ---- */

static ae_status write_tokenizer(const trim *t, const char *path) {
    size_t n = 0;
    const void *bytes = ae_tokenizer_bytes(t->trimmed.tokenizer, &n);
    return ae_file_write(path, bytes, n);
}

/* --force is for what trim wrote, not for a file that was named by mistake. */
static ae_status check_replaceable(const char *output) {
    ae_tokenizer *old = NULL;
    if (!ae_path_exists(output)) return AE_OK;
    const ae_status st = ae_tokenizer_open(&old, output);
    ae_tokenizer_delete(old);
    if (st == AE_OK) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: expected a tokenizer to replace, found another file; name another",
                   output);
}

static ae_status trim_tokenizer(trim *t) {
    const options *o = t->o;
    ae_status st;
    AE_TRY(ae_results_check_file(o->output, o->force));
    AE_TRY(check_replaceable(o->output));
    AE_TRY(ae_tokenizer_open(&t->tokenizer, o->tokenizer));
    AE_TRY(find_pieces(t));
    AE_TRY(ae_parent_make(o->output));
    AE_TRY(write_tokenizer(t, o->output));
    AE_TRY(report(t));
out:
    return st;
}

/* ---- a model ---- */

/* The ends of answers under their new ids. */
static void keep_ends(ae_model_config *c, const trim *t) {
    const ae_model_config *old = &t->source.config;
    c->n_ends = 0;
    for (ptrdiff_t i = 0; i < old->n_ends; i++)
        for (int32_t id = 0; id < t->trimmed.n; id++)
            if (t->trimmed.old_id[id] == old->ends[i]) ae_model_config_add_end(c, id);
}

static ae_status fill_folder(void *context, const char *folder) {
    trim *t = context;
    ae_model_config c = t->source.config;
    ae_piece_bar bar = {.verb = "trim"};
    ae_status st;
    AE_TRY(find_pieces(t));
    c.V = t->trimmed.n;
    keep_ends(&c, t);
    AE_TRY(ae_hf_files_write(folder, &c, t->type == AE_WEIGHT_BF16 ? AE_FILE_BF16 : AE_FILE_F32,
                             t->trimmed.tokenizer));
    AE_TRY(ae_model_trim(folder, &(ae_model_trim_request){.config = &t->source.config,
                                                          .score_head = t->score_head,
                                                          .tensors = t->source.tensors,
                                                          .old_id = t->trimmed.old_id,
                                                          .n = t->trimmed.n,
                                                          .shard_bytes = t->o->shard_bytes,
                                                          .watch = ae_piece_bar_watch(&bar)}));
out:
    return st;
}

static ae_status count_parameters(trim *t) {
    ae_params params;
    ae_tensors *tensors = NULL;
    ae_status st = ae_params_init(&params, &t->source.config);
    if (st != AE_OK) return st;
    st = ae_tensors_open(&tensors, t->source.tensors);
    if (st == AE_OK) {
        t->parameters = params.total;
        t->bytes_each = ae_tensors_is_bf16(tensors, "model.embed_tokens.weight") ? 2 : 4;
        t->type = AE_WEIGHT_BF16;
        for (ptrdiff_t i = 0; i < params.n; i++)
            if (!ae_tensors_is_bf16(tensors, params.items[i].name)) t->type = AE_WEIGHT_F32;
    }
    ae_tensors_close(tensors);
    ae_params_free(&params);
    return st;
}

static ae_status check_source(const trim *t) {
    const ae_model_source *s = &t->source;
    if (s->weights != AE_WEIGHT_F32)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected real numbers, found integers; trim the model they were made from, then "
                       "quantize",
                       s->folder);
    if (!s->tokenizer)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a model with tokenizer.model, found none", s->folder);
    return AE_OK;
}

static ae_status check_vocabulary(const trim *t) {
    const int32_t n = ae_tokenizer_size(t->tokenizer);
    if (n <= t->source.config.V) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected at most %td pieces, the rows of the table, found %d",
                   t->source.tokenizer, t->source.config.V, n);
}

static ae_status trim_model(trim *t) {
    static const char *const names[] = {AE_HF_FILES};
    ae_status st;
    AE_TRY(ae_run_source_open(&t->source, t->o->model));
    AE_TRY(check_source(t));
    AE_TRY(ae_model_source_verify_head(&t->source, &t->score_head));
    AE_TRY(ae_tokenizer_open(&t->tokenizer, t->source.tokenizer));
    AE_TRY(check_vocabulary(t));
    AE_TRY(count_parameters(t));
    const char *sources[] = {t->source.folder};
    AE_TRY(ae_output_folder_write(&(ae_output_folder){.verb = "tokenizer trim",
                                                      .output = t->o->output,
                                                      .force = t->o->force,
                                                      .sources = sources,
                                                      .n_sources = 1,
                                                      .names = names,
                                                      .n_names = sizeof names / sizeof *names,
                                                      .fill = fill_folder,
                                                      .context = t}));
    AE_TRY(report(t));
out:
    return st;
}

static ae_status run(const options *o) {
    trim t = {.o = o};
    if (!o->model == !o->tokenizer)
        return AE_FAIL(AE_ERR_USAGE, "expected either --tokenizer or --model, found %s",
                       o->model ? "both" : "neither");
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    const ae_status st = o->model ? trim_model(&t) : trim_tokenizer(&t);
    ae_trimmed_free(&t.trimmed);
    ae_tokenizer_delete(t.tokenizer);
    ae_model_source_free(&t.source);
    return st;
}

ae_status ae_verb_tokenizer_trim(int argc, char **argv) {
    options o = {.text_key = "text", .min_count = 1, .shard_bytes = AE_SHARD_BYTES};
    bool help = false;
    const ae_arg table[] = {
        {.name = "tokenizer",
         .type = AE_ARG_TEXT,
         .to = &o.tokenizer,
         .value = "T.model",
         .help = "a sentencepiece model"},
        {.name = "model",
         .type = AE_ARG_TEXT,
         .to = &o.model,
         .value = "M",
         .help = "a Hugging Face folder, a checkpoint, or a run (its newest checkpoint), with its tokenizer"},
        {.name = "input",
         .type = AE_ARG_WORDS,
         .to = &o.inputs,
         .value = "F",
         .help = "text or JSONL files, plain or .gz"},
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "OUT",
         .help = "the sentencepiece model, or with --model the folder, to write"},
        {.name = "min-count",
         .type = AE_ARG_INT,
         .to = &o.min_count,
         .min = 1,
         .max = 1e15,
         .fallback = "1",
         .help = "pieces that the corpus uses so often stay"},
        {.name = "keep",
         .type = AE_ARG_TEXT,
         .to = &o.keep,
         .value = "FILE",
         .help = "pieces that stay in any case, one a line"},
        {.name = "text-key",
         .type = AE_ARG_TEXT,
         .to = &o.text_key,
         .value = "KEY",
         .fallback = "text",
         .help = "the JSONL field that holds the text"},
        ae_arg_shard_bytes(&o.shard_bytes),
        {.name = "force",
         .type = AE_ARG_FLAG,
         .to = &o.force,
         .help =
             "replace a tokenizer, or a folder that holds nothing but files of the names that trim writes"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &o.json, .help = "what it saves as JSON on stdout"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, NULL, &help);
    if (st == AE_OK && help) {
        ae_args_help(usage, table, n, stdout);
    } else if (st == AE_OK) {
        AE_TRY(ae_args_require(table, n, "input", o.inputs.n == 0));
        AE_TRY(ae_args_require(table, n, "output", !o.output));
        st = run(&o);
    }
out:
    ae_arg_list_free(&o.inputs);
    return st;
}
