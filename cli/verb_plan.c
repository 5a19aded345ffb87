#include "cli/dtype.h"
#include "cli/plan_inference.h"
#include "cli/train_args.h"
#include "cli/verbs.h"
#include "core/json.h"
#include "core/log.h"
#include "data/documents.h"
#include "data/packing.h"
#include "ops/limits/limits.h"
#include "rlhf/config.h"
#include "train/engine.h"
#include "train/pretrain.h"
#include "train/reward.h"
#include "train/sft.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "aerie plan [CONFIG.yaml] [section.key=value ...] [--json]\n"
    "what a run will need, before it starts: parameters, memory, FLOPs and time on this machine\n"
    "  aerie plan model.preset=recurrentgemma-2b train.row_tokens=2048\n"
    "  aerie plan model.preset=recurrentgemma-2b lora.rank=16 model.base_dtype=int4";

/* Share of the measured peak that training reaches on small models; the estimate of the time rests on it. */
static const double EXPECTED_SHARE = 0.6;

/* Beside adapters the weights have no gradients of their own: two products of three. */
static const double ADAPTER_FLOPS = 2.0 / 3;

typedef struct {
    double step_flops, total_flops, peak_flops, step_s, total_s;
    bool steps_open; /* they are counted from the examples: there are no totals */
} work;

static work estimate(const ae_pretraining *p, bool steps_open) {
    work w = {.steps_open = steps_open};
    const double share = p->planned->params.adapters.rank > 0 ? ADAPTER_FLOPS : 1;
    w.step_flops = share * p->plan.flops_per_token * (double)ae_pretrain_step_tokens(p->run->config);
    w.total_flops = w.step_flops * (double)p->run->config->train.steps;
    w.peak_flops = ae_measure_peak_flops(p->run->be->dtype);
    w.step_s = w.step_flops / (EXPECTED_SHARE * w.peak_flops);
    w.total_s = w.step_s * (double)p->run->config->train.steps;
    return w;
}

static void format_time(char *out, size_t n, double s) {
    if (s < 120) {
        snprintf(out, n, "%.3g s", s);
    } else if (s < 7200) {
        snprintf(out, n, "%.0f min", s / 60);
    } else if (s < 172800) {
        snprintf(out, n, "%.1f h", s / 3600);
    } else {
        snprintf(out, n, "%.1f days", s / 86400);
    }
}

static void print_text(const ae_pretraining *p, const work *w) {
    char have[32], step[32], total[32];
    const ae_model_config *c = &p->inputs.shape;
    ae_format_bytes(have, sizeof have, p->request.available_bytes);
    format_time(step, sizeof step, w->step_s);
    format_time(total, sizeof total, w->total_s);
    printf("parameters  %lld (vocabulary %td, width %td, %td blocks)\n", (long long)p->plan.parameters, c->V,
           c->D, c->blocks);
    printf("memory      %s available\n", have);
    ae_plan_print(&p->plan, &p->request, stdout);
    printf("work        %.3g GFLOPs a token, %.3g TFLOPs a step of %lld tokens",
           w->step_flops / 1e9 / (double)ae_pretrain_step_tokens(p->run->config), w->step_flops / 1e12,
           (long long)ae_pretrain_step_tokens(p->run->config));
    if (w->steps_open)
        printf(
            "; the steps of train.epochs depend on the data: --dry-run of the verb that tunes counts them\n");
    else
        printf(", %.3g TFLOPs in %lld steps\n", w->total_flops / 1e12,
               (long long)p->run->config->train.steps);
    printf("time        %s a step, %s%sat %.0f %% of the measured %.0f GFLOP/s of %d %s\n", step,
           w->steps_open ? "" : total, w->steps_open ? "" : " in all, ", 100 * EXPECTED_SHARE,
           w->peak_flops / 1e9, p->run->be->threads, p->run->be->threads == 1 ? "thread" : "threads");
}

static ae_status print_json(const ae_pretraining *run, const work *w) {
    const ae_plan *p = &run->plan;
    json_t *memory =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "parameters",
                  (json_int_t)p->values_bytes, "gradients", (json_int_t)p->gradients_bytes, "optimizer",
                  (json_int_t)p->optimizer_bytes, "activations", (json_int_t)p->pass_bytes, "loader",
                  (json_int_t)p->loader_bytes, "program", (json_int_t)p->program_bytes, "saving",
                  (json_int_t)p->checkpoint_bytes, "evaluating", (json_int_t)p->evaluation_bytes, "peak",
                  (json_int_t)p->peak_bytes, "available", (json_int_t)run->request.available_bytes);
    json_t *root =
        json_pack("{s:I, s:b, s:I, s:I, s:I, s:o, s:f, s:f, s:o, s:f, s:f, s:o}", "parameters",
                  (json_int_t)p->parameters, "pack_at_use", (int)p->pack_at_use, "recompute_mlps",
                  (json_int_t)p->recompute_mlps, "micro_rows", (json_int_t)p->micro_rows, "recompute_blocks",
                  (json_int_t)p->recompute_blocks, "memory_bytes", memory, "flops_per_token",
                  p->flops_per_token, "step_flops", w->step_flops, "total_flops",
                  w->steps_open ? json_null() : json_real(w->total_flops), "peak_flops_per_s", w->peak_flops,
                  "step_s", w->step_s, "total_s", w->steps_open ? json_null() : json_real(w->total_s));
    if (!root) return AE_FAIL(AE_ERR_RESOURCE, "plan: out of memory");
    ae_status st = ae_json_write_line(root, stdout, "standard output");
    json_decref(root);
    return st;
}

/* Whether a tree of data.train names a file of JSON lines. */
static bool has_lines(const json_t *tree) {
    const char *key;
    size_t i;
    json_t *item;
    if (json_is_string(tree)) return ae_path_names_jsonl(json_string_value(tree));
    json_array_foreach(tree, i, item) if (has_lines(item)) return true;
    json_object_foreach((json_t *)tree, key, item) if (has_lines(item)) return true;
    return false;
}

static bool names_lines(const char *text) {
    json_t *tree = text[0] && strchr("\"[{", text[0]) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    const bool has = tree ? has_lines(tree) : ae_path_names_jsonl(text);
    json_decref(tree);
    return has;
}

static void leave_out(const char *key, char *text) {
    if (text[0])
        ae_log("%s: left out of the plan: verbs that tune make token sets of JSON lines when they begin",
               key);
    text[0] = '\0';
}

/* The shape and the rows say what training takes, whether the examples are there yet or not. */
static void leave_out_lines(ae_data_keys *data) {
    const bool in_train = names_lines(data->train);
    if (in_train) leave_out("data.train", data->train);
    if (in_train || names_lines(data->heldout)) leave_out("data.heldout", data->heldout);
}

/* Whether all sets are of dialogues, each read once an epoch. */
static bool are_countable(const ae_mixture *m) {
    for (size_t i = 0; i < m->n_sets; i++)
        if (ae_token_set_kind(m->sets[i]) != AE_KIND_CHAT) return false;
    return m->n_sets > 0 && !m->weighted && m->n_phases == 1;
}

/* The steps of train.epochs as sft counts them, where the sets are there; else *open stays true. */
static ae_status count_steps(ae_tune_config *tune, const ae_mixture *m, bool *open) {
    const ae_train_keys *k = &tune->train.train;
    const ae_packing_options o = {.T = (ptrdiff_t)k->row_tokens,
                                  .too_long = (ae_too_long)tune->examples.too_long,
                                  .alone = !tune->examples.pack};
    int64_t rows = 0;
    if (!*open || !are_countable(m)) return AE_OK;
    for (size_t i = 0; i < m->n_sets; i++) {
        ae_packing p = {0};
        const ae_status st = ae_packing_make(&p, m->sets[i], &o);
        rows += p.count.rows;
        ae_packing_free(&p);
        if (st != AE_OK) return st;
    }
    *open = false;
    return ae_tune_config_set_steps(tune, (double)rows / (double)k->batch_rows);
}

/* A plan that does not fit is shown too, and then refused. */
static ae_status tell(ae_tune_config *tune, bool json) {
    const ae_train_config *config = &tune->train;
    bool steps_open = tune->length.epochs > 0 && !ae_config_is_set(&config->table, "train.steps");
    ae_tuned tuned = {.config = tune};
    ae_model_options options;
    ae_pretraining p = {.planned = &options};
    ae_engine engine = {0};
    const ae_objective objective = ae_pretraining_objective(&p);
    leave_out_lines(&tune->train.data);
    ae_status st = (steps_open ? ae_train_config_check_keys : ae_train_config_check)(config, false);
    if (st == AE_OK) st = ae_tuned_options(&tuned, &options);
    if (st == AE_OK) st = ae_engine_open(&engine, config, &objective, false);
    if (st == AE_OK) st = count_steps(tune, &p.inputs.data, &steps_open);
    if (st == AE_OK || (st == AE_ERR_RESOURCE && p.plan.peak_bytes > 0)) {
        work w = estimate(&p, steps_open);
        if (!json) print_text(&p, &w);
        ae_status printed = json ? print_json(&p, &w) : AE_OK;
        if (st == AE_OK) st = printed;
    }
    ae_engine_close(&engine);
    ae_tuned_close(&tuned);
    return st;
}

ae_status ae_verb_plan(int argc, char **argv) {
    ae_status st = AE_OK;
    bool json = false, help = false;
    const char *dtype = NULL;
    int64_t batch = 1, tokens = 8192;
    ae_arg_list words = {0};
    ae_sft_config config = {0};
    ae_reward_keys reward;
    ae_rl_keys rl;
    ae_tune_config *tune = &config.tune;
    const ae_arg flags[] = {
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &dtype,
         .value = AE_WEIGHT_CHOICES,
         .help = "what using the model takes instead, its weights in this type"},
        {.name = "batch",
         .type = AE_ARG_INT,
         .to = &batch,
         .min = 1,
         .max = 4096,
         .fallback = "1",
         .help = "with --dtype: sequences at once"},
        {.name = "tokens",
         .type = AE_ARG_INT,
         .to = &tokens,
         .min = 1,
         .max = 1e9,
         .fallback = "8192",
         .help = "with --dtype: tokens of each, which count where attention has no window"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &json, .help = "one JSON object"},
    };
    AE_TRY(ae_sft_config_init(&config));
    AE_TRY(ae_reward_add_keys(&tune->train.table, &reward));
    AE_TRY(ae_rl_add_keys(&tune->train.table, &rl));
    AE_TRY(ae_args_parse(argc, argv, flags, sizeof flags / sizeof *flags, &words, &help));
    if (help) {
        ae_train_help(&tune->train, NULL, usage, flags, sizeof flags / sizeof *flags);
        goto out;
    }
    AE_TRY(ae_train_words(&tune->train, &words));
    st = dtype ? ae_plan_inference(&tune->train, dtype, batch, tokens, json) : tell(tune, json);
out:
    ae_tune_config_free(tune);
    ae_arg_list_free(&words);
    return st;
}
