#include "cli/args.h"
#include "cli/hf_files.h"
#include "cli/interrupt.h"
#include "cli/output_folder.h"
#include "cli/piece_bar.h"
#include "cli/verbs.h"
#include "cli/weights_size.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "exchange/merge.h"
#include "train/run_folder.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "aerie merge --output DIR [--method mean|ema|lerp|slerp] MODEL... [--flags]\n\n"
    "One model of several of one shape: Hugging Face folders, checkpoints, or runs (their newest "
    "checkpoint). Writes a Hugging\n"
    "Face folder, piece by piece in little memory.\n\n"
    "  mean   the average, with --weights a weighted one\n"
    "  ema    the moving average in the order given: m = decay m + (1 - decay) model\n"
    "  lerp   from --base a part of the way to the average: base + amount (mean - base)\n"
    "  slerp  the spherical average of what each model has added to --base, for each tensor by itself, "
    "folded in the order\n"
    "         given so that all count alike; of two models --amount says how far from the first to the "
    "second";

static const char *const methods[] = {
    [AE_MERGE_MEAN] = "mean", [AE_MERGE_EMA] = "ema", [AE_MERGE_LERP] = "lerp", [AE_MERGE_SLERP] = "slerp"};
enum { N_METHODS = sizeof methods / sizeof *methods };

typedef struct {
    const char *output, *method, *base, *weights, *dtype;
    double amount, decay;
    int64_t shard_bytes;
    bool has_amount, has_decay, force, quiet;
    ae_arg_list models;
} options;

/* What the options come to: request.models and base are the tensors of `sources`, the base after the
 * models. */
typedef struct {
    const options *o;
    ae_merge_request request;
    ae_model_source *sources;
    size_t n_sources;
    const char **tensors, **folders;
    double *weights;
    const char *tokenizer; /* of the first that has one */
} merging;

/* ---- options ---- */

static ae_status read_method(const options *o, ae_merge_request *r) {
    for (int i = 0; i < N_METHODS; i++) {
        if (strcmp(o->method, methods[i]) != 0) continue;
        r->method = (ae_merge_method)i;
        return AE_OK;
    }
    return AE_FAIL(AE_ERR_USAGE, "--method: expected mean, ema, lerp or slerp, found '%s'", o->method);
}

static ae_status read_weights(merging *m) {
    const char *at = m->o->weights;
    const size_t n = m->o->models.n;
    double sum = 0;
    size_t k = 0;
    bool more = true;
    if (!at) return AE_OK;
    m->weights = calloc(n, sizeof *m->weights);
    if (!m->weights) return AE_FAIL(AE_ERR_RESOURCE, "--weights: out of memory");
    for (; more && k < n; k++) {
        char *end;
        m->weights[k] = strtod(at, &end);
        if (end == at || !isfinite(m->weights[k]) || m->weights[k] < 0 || (*end && *end != ',')) break;
        sum += m->weights[k];
        more = *end == ',';
        at = more ? end + 1 : end;
    }
    m->request.weights = m->weights;
    if (k == n && !more && *at == '\0' && sum > 0 && isfinite(sum)) return AE_OK;
    return AE_FAIL(
        AE_ERR_USAGE,
        "--weights: expected %zu numbers like 1,2,1, one a model, not negative and not all 0, found '%s'", n,
        m->o->weights);
}

/* A flag that the method does not look at would be ignored in silence. */
static ae_status check_flags(const options *o, ae_merge_method method) {
    const bool has_base = method == AE_MERGE_LERP || method == AE_MERGE_SLERP;
    const bool weighs = method == AE_MERGE_MEAN || method == AE_MERGE_LERP;
    if (has_base && !o->base)
        return AE_FAIL(AE_ERR_USAGE, "--base is missing: --method %s starts from a model", o->method);
    if (!has_base && o->base)
        return AE_FAIL(AE_ERR_USAGE, "--base: --method %s has none; lerp and slerp do", o->method);
    if (o->weights && !weighs)
        return AE_FAIL(AE_ERR_USAGE, "--weights: --method %s has none; mean and lerp do", o->method);
    if (o->has_decay && method != AE_MERGE_EMA)
        return AE_FAIL(AE_ERR_USAGE, "--decay: --method %s has none; ema does", o->method);
    if (o->has_amount && !has_base)
        return AE_FAIL(AE_ERR_USAGE, "--amount: --method %s has none; lerp and slerp do", o->method);
    return AE_OK;
}

static ae_status check_numbers(const options *o, ae_merge_method method) {
    const size_t n = o->models.n;
    const bool takes_one = method == AE_MERGE_LERP; /* and the base */
    if (n < 1 || (n < 2 && !takes_one))
        return AE_FAIL(AE_ERR_USAGE,
                       "merge: expected %s, found %zu; aerie export writes one model as a folder",
                       takes_one ? "a model or more" : "two models or more", n);
    if (method == AE_MERGE_LERP && !o->has_amount)
        return AE_FAIL(AE_ERR_USAGE, "--amount is missing: how far lerp goes from --base to the average");
    if (method == AE_MERGE_SLERP && o->has_amount && n > 2)
        return AE_FAIL(AE_ERR_USAGE,
                       "--amount: slerp takes it for two models, found %zu, which all count alike", n);
    if (method == AE_MERGE_SLERP && o->has_amount && o->amount > 1)
        return AE_FAIL(AE_ERR_USAGE, "--amount: expected 0 to 1 for slerp, found %g", o->amount);
    return AE_OK;
}

static ae_status read_options(merging *m) {
    const options *o = m->o;
    ae_merge_request *r = &m->request;
    ae_status st;
    AE_TRY(read_method(o, r));
    AE_TRY(check_flags(o, r->method));
    AE_TRY(check_numbers(o, r->method));
    AE_TRY(read_weights(m));
    r->bf16 = strcmp(o->dtype, "bf16") == 0;
    if (!r->bf16 && strcmp(o->dtype, "f32") != 0)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "--dtype: expected f32 or bf16, found '%s'", o->dtype));
    r->shard_bytes = o->shard_bytes;
    r->n = o->models.n;
    r->amount = o->has_amount ? o->amount : -1;
    r->decay = o->decay;
out:
    return st;
}

/* ---- models ---- */

static ae_status same_bytes(const char *a, const char *b, bool *same) {
    char *x = NULL, *y = NULL;
    size_t n = 0, k = 0;
    ae_status st = ae_file_read(a, &x, &n);
    if (st == AE_OK) st = ae_file_read(b, &y, &k);
    *same = st == AE_OK && n == k && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return st;
}

/* Tokens of another tokenizer mean other things: no average of their embeddings is one. */
static ae_status check_tokenizer(merging *m, const char *tokenizer) {
    bool same = true;
    if (!tokenizer) return AE_OK;
    if (!m->tokenizer) m->tokenizer = tokenizer;
    const ae_status st = m->tokenizer != tokenizer ? same_bytes(m->tokenizer, tokenizer, &same) : AE_OK;
    if (st != AE_OK || same) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected the tokenizer of %s, found another one", tokenizer,
                   m->tokenizer);
}

/* Verifies the source. An average of rewards takes a head in every model. */
static ae_status check_head(merging *m, const ae_model_source *s) {
    bool has = false;
    const ae_status st = ae_model_source_verify_head(s, &has);
    if (m->n_sources == 1) m->request.score_head = has;
    if (st != AE_OK || has == m->request.score_head) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected %s as in %s, found %s: reward models and language models do not mix",
                   s->folder, has ? "no score.weight" : "score.weight, the head of a reward model,",
                   m->folders[0], has ? "that of a reward model" : "none");
}

static ae_status open_source(merging *m, const char *path) {
    ae_model_source *s = &m->sources[m->n_sources];
    const ae_status st = ae_run_source_open(s, path);
    if (st != AE_OK) return st;
    m->tensors[m->n_sources] = s->tensors;
    m->folders[m->n_sources++] = s->folder;
    ae_status same =
        ae_model_config_agree(&s->config, s->folder, &m->sources[0].config, m->sources[0].folder);
    if (same == AE_OK) same = check_tokenizer(m, s->tokenizer);
    return same == AE_OK ? check_head(m, s) : same;
}

static ae_status open_sources(merging *m) {
    const options *o = m->o;
    const size_t n = o->models.n + 1;
    ae_status st = AE_OK;
    m->sources = calloc(n, sizeof *m->sources);
    m->tensors = calloc(n, sizeof *m->tensors);
    m->folders = calloc(n, sizeof *m->folders);
    if (!m->sources || !m->tensors || !m->folders) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "merging: out of memory"));
    for (size_t k = 0; k < o->models.n; k++) AE_TRY(open_source(m, o->models.items[k]));
    if (o->base) AE_TRY(open_source(m, o->base));
    m->sources[0].config.reward_shift = m->sources[0].config.reward_std = 0; /* of that model alone */
    m->request.config = &m->sources[0].config;
    m->request.models = m->tensors;
    m->request.base = o->base ? m->tensors[n - 1] : NULL;
out:
    return st;
}

/* ---- the folder ---- */

static json_t *origin_of(const merging *m) {
    const ae_merge_request *r = &m->request;
    json_t *models = json_array(), *weights = r->weights ? json_array() : json_null();
    for (size_t k = 0; k < r->n; k++) {
        json_array_append_new(models, json_string(m->folders[k]));
        if (r->weights) json_array_append_new(weights, json_real(r->weights[k]));
    }
    return json_pack("{s:s, s:s, s:o, s:o, s:s?, s:o, s:o}", "made_by", "aerie merge " AERIE_VERSION,
                     "method", methods[r->method], "models", models, "weights", weights, "base",
                     r->base ? m->folders[r->n] : NULL, "amount",
                     r->amount >= 0 ? json_real(r->amount) : json_null(), "decay",
                     r->method == AE_MERGE_EMA ? json_real(r->decay) : json_null());
}

/* Where the model comes from, for aerie inspect. */
static ae_status write_origin(const merging *m, const char *folder) {
    json_t *o = origin_of(m);
    char *path = ae_path_join(folder, "merge.json"), *text = o ? ae_json_text(o) : NULL;
    const ae_status st = text ? ae_file_write(path, text, strlen(text))
                              : AE_FAIL(AE_ERR_USAGE, "MODEL: expected names in UTF-8, found other bytes");
    free(text);
    free(path);
    json_decref(o);
    return st;
}

static ae_status write_texts(const merging *m, const char *folder) {
    ae_tokenizer *t = NULL;
    ae_status st = m->tokenizer ? ae_tokenizer_open(&t, m->tokenizer) : AE_OK;
    if (st == AE_OK)
        st = ae_hf_files_write(folder, m->request.config, m->request.bf16 ? AE_FILE_BF16 : AE_FILE_F32, t);
    ae_tokenizer_delete(t);
    return st;
}

/* What the first model says about texts comes along in its own words. */
static ae_status copy_texts(const merging *m, const char *folder) {
    static const char *const names[] = {"tokenizer_config.json", "generation_config.json"};
    ae_status st = AE_OK;
    for (size_t i = 0; st == AE_OK && i < sizeof names / sizeof *names; i++) {
        char *path = ae_path_join(m->folders[0], names[i]);
        if (ae_path_exists(path)) st = ae_output_folder_copy(folder, names[i], path);
        free(path);
    }
    return st;
}

static ae_status fill_folder(void *context, const char *folder) {
    const merging *m = context;
    ae_piece_bar bar = {.verb = "merge"};
    ae_merge_request request = m->request;
    ae_status st;
    request.watch = ae_piece_bar_watch(&bar);
    AE_TRY(write_texts(m, folder));
    AE_TRY(write_origin(m, folder));
    AE_TRY(copy_texts(m, folder));
    AE_TRY(ae_model_merge(folder, &request));
out:
    return st;
}

static ae_status write_folder(merging *m) {
    static const char *const names[] = {AE_HF_FILES, "merge.json"};
    const ae_output_folder f = {.verb = "merge",
                                .output = m->o->output,
                                .force = m->o->force,
                                .sources = m->folders,
                                .n_sources = m->n_sources,
                                .names = names,
                                .n_names = sizeof names / sizeof *names,
                                .fill = fill_folder,
                                .context = m};
    return ae_output_folder_write(&f);
}

static ae_status run(const options *o) {
    merging m = {.o = o};
    char size[32];
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    AE_TRY(read_options(&m));
    AE_TRY(open_sources(&m));
    AE_TRY(write_folder(&m));
    ae_weights_size(o->output, size, sizeof size);
    ae_log("%s: the %s of %zu model%s in %s, %s", o->output, o->method, o->models.n,
           ae_plural((int64_t)o->models.n), o->dtype, size);
out:
    for (size_t k = 0; k < m.n_sources; k++) ae_model_source_free(&m.sources[k]);
    free(m.sources);
    free(m.tensors);
    free(m.folders);
    free(m.weights);
    return st;
}

ae_status ae_verb_merge(int argc, char **argv) {
    options o = {.method = "mean", .dtype = "f32", .decay = 0.9, .shard_bytes = AE_SHARD_BYTES};
    bool help = false;
    const ae_arg table[] = {
        {.name = "output",
         .type = AE_ARG_TEXT,
         .to = &o.output,
         .value = "DIR",
         .help = "the folder to write"},
        {.name = "method",
         .type = AE_ARG_TEXT,
         .to = &o.method,
         .value = "mean|ema|lerp|slerp",
         .fallback = "mean",
         .help = "how"},
        {.name = "weights",
         .type = AE_ARG_TEXT,
         .to = &o.weights,
         .value = "W,W...",
         .help = "mean, lerp: a weight for each model; they need not add up to 1"},
        {.name = "decay",
         .type = AE_ARG_REAL,
         .to = &o.decay,
         .min = 0,
         .max = 1,
         .given = &o.has_decay,
         .fallback = "0.9",
         .help = "ema: what is kept of the average at each model"},
        {.name = "base",
         .type = AE_ARG_TEXT,
         .to = &o.base,
         .value = "M",
         .help = "lerp, slerp: the model that the others started from"},
        {.name = "amount",
         .type = AE_ARG_REAL,
         .to = &o.amount,
         .min = 0,
         .max = 10,
         .given = &o.has_amount,
         .help = "lerp: 0 is the base, 1 the average, above 1 beyond it; slerp of two models: 0 is the "
                 "first, 1 the "
                 "second, default 0.5"},
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &o.dtype,
         .value = "f32|bf16",
         .fallback = "f32",
         .help = "of the tensors written"},
        ae_arg_shard_bytes(&o.shard_bytes),
        {.name = "force",
         .type = AE_ARG_FLAG,
         .to = &o.force,
         .help = "replace a folder that holds nothing but files of the names that merge writes"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &o.models, &help);
    if (st == AE_OK && help) {
        ae_args_help(usage, table, n, stdout);
    } else if (st == AE_OK) {
        st = ae_args_require(table, n, "output", !o.output);
        if (st == AE_OK) st = run(&o);
    }
    ae_arg_list_free(&o.models);
    return st;
}
