#include "train/plan.h"

#include "core/log.h"
#include "core/machine.h"
#include "eval/generate.h"
#include "model/pass.h"
#include "train/carry.h"
#include "train/checkpoint.h"
#include "train/prefetch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_ENTRY_BYTES = 4 * sizeof(int32_t), FEWEST_ROW_TOKENS = 64 };

/* Room for what no table holds. */
static const double UNCOUNTED_SHARE = 0.02;
/* Packing buffers of the products and the stack, for each thread; measured. */
static const size_t THREAD_BYTES = (size_t)10 << 20;

void ae_plan_limit(ae_plan_request *r, const char *key, double memory_gb) {
    const size_t there = ae_memory_available_bytes(), taken = ae_rss_bytes();
    const double wanted = 1e9 * memory_gb;
    const bool limited = wanted > 0 && wanted < (double)(there + taken);
    r->program_bytes = taken;
    r->limit = limited ? key : NULL;
    r->available_bytes = there;
    if (limited) r->available_bytes = wanted > (double)taken ? (size_t)wanted - taken : 0;
}

/* ---- sizes ---- */

static ae_model_options options_of(const ae_plan_request *r, bool at_use) {
    ae_model_options o = r->options;
    o.training = true;
    o.pack_at_use = at_use;
    return o;
}

/* Where weights are packed at use the largest needs room, for one of its two orders. */
static size_t largest_packed(const ae_plan_request *r, const ae_params *params) {
    const ae_model_options o = options_of(r, false);
    size_t most = 0;
    for (ptrdiff_t i = 0; i < params->n; i++) {
        const ae_param *p = &params->items[i];
        if (!p->product || p->often || ae_model_is_compact(&o, p)) continue;
        const size_t one = r->be->weight_bytes(r->be, (ptrdiff_t)p->rows, (ptrdiff_t)p->cols, false) / 2;
        if (one > most) most = one;
    }
    return most;
}

static size_t values_bytes(const ae_plan_request *r, const ae_params *params, bool at_use) {
    const ae_model_options o = options_of(r, at_use);
    return ae_model_value_bytes(params, r->be, &o) + ae_model_packed_bytes(params, r->be, &o) +
           (at_use ? largest_packed(r, params) : 0);
}

/* What the choices below choose among: without and with pack_at_use. */
typedef struct {
    size_t values_bytes[2];
} sizes;

static sizes size_parameters(ae_plan *p, const ae_plan_request *r, const ae_params *params) {
    p->parameters = params->total;
    p->gradients_bytes = sizeof(float) * (size_t)ae_params_padded_elements(params, true);
    p->optimizer_bytes = 2 * p->gradients_bytes;
    p->checkpoint_bytes = ae_checkpoint_bytes(params);
    return (sizes){{values_bytes(r, params, false), values_bytes(r, params, true)}};
}

static size_t evaluation_bytes(const ae_plan_request *r, ptrdiff_t rows) {
    size_t pass = 0, samples = 0;
    /* where rows carry their state the rows of an evaluation are one long one */
    ae_pass_dims n = {.B = r->carry ? 1 : rows,
                      .T = r->carry ? rows * r->row_tokens : r->row_tokens,
                      .adapter_rank = r->options.params.adapters.rank};
    if (rows > 0) pass = ae_pass_bytes(r->be, r->model, n, false);
    if (rows > 0 && r->carry) pass += ae_decode_state_bytes(r->be, r->model, 1, 0);
    if (r->sample_tokens > 0)
        samples = ae_generate_bytes(r->be, r->model, n.adapter_rank, ae_max(1, r->sample_answers),
                                    r->sample_tokens, r->sample_new);
    return pass > samples ? pass : samples;
}

static size_t beside_bytes(const ae_plan_request *r, ae_pass_dims n, bool at_use) {
    const ae_plan_beside *b = &r->beside;
    size_t bytes = b->bytes[at_use];
    for (size_t i = 0; i < sizeof b->passes / sizeof *b->passes; i++) {
        if (!b->passes[i].model) continue;
        n.adapter_rank = b->passes[i].adapter_rank;
        bytes += ae_pass_bytes(r->be, b->passes[i].model, n, b->passes[i].training);
    }
    return bytes;
}

/* Weights packed at use; MLPs that recompute gate and up; blocks that recompute everything. */
typedef struct {
    bool pack_at_use;
    ptrdiff_t recompute_mlps, recompute_blocks;
} memory_choice;

/* Sizes that follow from the choices; whether all of it fits. */
static bool fits(ae_plan *p, const ae_plan_request *r, const sizes *s, ptrdiff_t micro_rows,
                 memory_choice t) {
    ae_pass_dims n = {.B = micro_rows,
                      .T = r->row_tokens,
                      .recompute_blocks = t.recompute_blocks,
                      .recompute_mlps = t.recompute_mlps,
                      .kl_width = r->beside.kl_width,
                      .adapter_rank = r->options.params.adapters.rank};
    p->micro_rows = micro_rows;
    p->recompute_blocks = t.recompute_blocks;
    p->recompute_mlps = t.recompute_mlps;
    p->pack_at_use = t.pack_at_use;
    p->values_bytes = s->values_bytes[t.pack_at_use];
    p->pass_bytes = ae_pass_bytes(r->be, r->model, n, true);
    n.kl_width = 0;
    p->beside_bytes = beside_bytes(r, n, t.pack_at_use);
    p->evaluation_rows = ae_min(micro_rows, ae_max(1, AE_PLAN_EVALUATION_TOKENS / r->row_tokens));
    p->evaluation_rows = ae_min(p->evaluation_rows, (ptrdiff_t)r->heldout_rows);
    p->evaluation_bytes = evaluation_bytes(r, p->evaluation_rows);
    p->loader_bytes = (size_t)(r->batch_rows * r->row_tokens) * AE_PREFETCH_PIECES * BATCH_ENTRY_BYTES;
    p->carry_bytes = r->carry ? ae_carry_bytes(r->be, r->model, r->batch_rows, r->row_tokens) : 0;
    size_t threads = THREAD_BYTES * (size_t)r->be->threads;
    size_t more = threads + p->values_bytes + p->gradients_bytes + p->optimizer_bytes + p->pass_bytes +
                  p->beside_bytes + p->loader_bytes + p->carry_bytes + p->checkpoint_bytes +
                  p->evaluation_bytes;
    p->program_bytes = r->program_bytes + threads;
    p->peak_bytes = r->program_bytes + more;
    return (double)more * (1 + UNCOUNTED_SHARE) <= (double)r->available_bytes;
}

/* ---- choices ---- */

/* Even splits of the batch, from the largest allowed down. */
static bool choose_rows(ae_plan *p, const ae_plan_request *r, const sizes *s, memory_choice t) {
    ptrdiff_t most = ae_min(r->batch_rows, ae_max(1, AE_PLAN_MICRO_TOKENS / r->row_tokens));
    for (ptrdiff_t parts = ae_ceil_div(r->batch_rows, most), before = 0; parts <= r->batch_rows; parts++) {
        ptrdiff_t rows = ae_ceil_div(r->batch_rows, parts);
        if (rows != before && fits(p, r, s, rows, t)) return true;
        before = rows;
    }
    return false;
}

/* The level-th of what may be chosen, from the quickest to the smallest; what the request fixes stays. */
static memory_choice choice_of(const ae_plan_request *r, bool packs, ptrdiff_t level) {
    const bool at_use = packs && level > 0;
    level -= at_use;
    const ptrdiff_t blocks = r->model->blocks;
    const bool free_mlps = r->recompute_mlps < 0;
    const ptrdiff_t mlps = free_mlps ? ae_min(level, blocks) : r->recompute_mlps;
    const ptrdiff_t more = free_mlps ? ae_max(0, level - blocks) : level;
    return (memory_choice){at_use, mlps,
                           r->recompute_blocks < 0 ? ae_min(more, blocks) : r->recompute_blocks};
}

static bool choose(ae_plan *p, const ae_plan_request *r, const sizes *s) {
    const ptrdiff_t free_choices = (r->recompute_mlps < 0) + (r->recompute_blocks < 0);
    const bool packs = s->values_bytes[true] < s->values_bytes[false];
    if (r->micro_rows == 0 && choose_rows(p, r, s, choice_of(r, packs, 0))) return true;
    for (ptrdiff_t level = 0; level <= packs + free_choices * r->model->blocks; level++)
        if (fits(p, r, s, ae_max(1, r->micro_rows), choice_of(r, packs, level))) return true;
    return false;
}

/* Halves the rows until they fit; with `keeps_step` there are twice as many each time. */
static bool shorten(ae_plan *trial, ae_plan_request *r, const sizes *s, bool keeps_step) {
    while (r->row_tokens > FEWEST_ROW_TOKENS) {
        r->row_tokens /= 2;
        if (keeps_step) r->batch_rows *= 2;
        if (choose(trial, r, s)) return true;
    }
    return false;
}

/* What to change: the first of the keys below that makes it fit. */
static void find_remedy(const ae_plan *p, const ae_plan_request *r, const sizes *s, char *out, size_t n) {
    ae_plan trial = *p;
    ae_plan_request freer = *r;
    freer.recompute_blocks = freer.recompute_mlps = -1;
    if (choose(&trial, &freer, s)) {
        snprintf(out, n, "train.recompute=%td train.recompute_mlps=%td would fit", trial.recompute_blocks,
                 trial.recompute_mlps);
        return;
    }
    freer.micro_rows = 0;
    if (choose(&trial, &freer, s)) {
        snprintf(out, n, "train.micro_rows=%td train.recompute=%td train.recompute_mlps=%td would fit",
                 trial.micro_rows, trial.recompute_blocks, trial.recompute_mlps);
        return;
    }
    ae_plan_request fewer = freer;
    if (shorten(&trial, &freer, s, true))
        snprintf(out, n, "train.row_tokens=%td train.batch_rows=%td would fit", freer.row_tokens,
                 freer.batch_rows);
    else if (shorten(&trial, &fewer, s, false))
        snprintf(out, n, "train.row_tokens=%td would fit, with fewer tokens a step", fewer.row_tokens);
    else
        snprintf(out, n, "no length of rows would fit: take a smaller model");
}

/* What the whole program would take at the least, "train.memory_gb=0.164 would fit; with less ", where a key
 * alone is in the way. A later start may take a little more before it plans. */
static void find_least(const ae_plan *p, const ae_plan_request *r, char *out, size_t n) {
    const double more = (double)(p->peak_bytes - r->program_bytes);
    const double least_mb = ceil(((double)r->program_bytes + more * (1 + UNCOUNTED_SHARE)) / 1e6) + 1;
    out[0] = '\0';
    if (!r->limit || 1e6 * least_mb > (double)(ae_memory_available_bytes() + r->program_bytes)) return;
    snprintf(out, n, "%s=%.3f would fit; with less ", r->limit, least_mb / 1e3);
}

/* "24 GB available", "35 MB left by train.memory_gb" */
static void tell_room(const ae_plan_request *r, char *out, size_t n) {
    char have[32];
    ae_format_bytes(have, sizeof have, r->available_bytes);
    if (!r->limit)
        snprintf(out, n, "%s available", have);
    else if (r->available_bytes > 0)
        snprintf(out, n, "%s left by %s", have, r->limit);
    else
        snprintf(out, n, "%s below what the program has taken", r->limit);
}

static ae_status refuse(const ae_plan *p, const ae_plan_request *r, const sizes *s) {
    char need[32], have[64], fixed[32], least[96], remedy[160];
    ae_format_bytes(need, sizeof need, p->peak_bytes - r->program_bytes);
    tell_room(r, have, sizeof have);
    ae_format_bytes(fixed, sizeof fixed, p->values_bytes + p->gradients_bytes + p->optimizer_bytes);
    find_least(p, r, least, sizeof least);
    find_remedy(p, r, s, remedy, sizeof remedy);
    return AE_FAIL(
        AE_ERR_RESOURCE,
        "memory: the run needs %s (%s of them for parameters, gradients and optimiser), found %s; %s%s", need,
        fixed, have, least, remedy);
}

ae_status ae_plan_make(ae_plan *p, const ae_plan_request *r) {
    ae_params params = {0};
    *p = (ae_plan){0};
    ae_status st = ae_params_init_with(&params, r->model, &r->options.params);
    if (st != AE_OK) return st;
    const sizes s = size_parameters(p, r, &params);
    ae_params_free(&params);
    p->flops_per_token = ae_model_flops_per_token(r->model, r->row_tokens, false);
    return choose(p, r, &s) ? AE_OK : refuse(p, r, &s);
}

/* ---- the table ---- */

static void row(FILE *out, const char *what, size_t bytes, const char *note) {
    char text[32];
    ae_format_bytes(text, sizeof text, bytes);
    fprintf(out, "  %-28s %10s%s%s\n", what, text, note[0] ? "  " : "", note);
}

void ae_plan_print(const ae_plan *p, const ae_plan_request *r, FILE *out) {
    char note[96];
    row(out, "parameters", p->values_bytes, p->pack_at_use ? "weights packed at each use" : "");
    row(out, "gradients", p->gradients_bytes, "");
    row(out, "optimiser", p->optimizer_bytes, "");
    snprintf(note, sizeof note, "%td x %td tokens, of %td blocks %td recomputed, %td MLPs", p->micro_rows,
             r->row_tokens, r->model->blocks, p->recompute_blocks, p->recompute_mlps);
    row(out, "activations and workspace", p->pass_bytes, note);
    if (p->beside_bytes > 0) row(out, "models beside it", p->beside_bytes, "");
    row(out, "loader", p->loader_bytes, "");
    if (p->carry_bytes > 0) row(out, "carried states", p->carry_bytes, "");
    row(out, "program and data", p->program_bytes, "");
    if (p->evaluation_bytes > 0) row(out, "evaluating", p->evaluation_bytes, "for a while");
    row(out, "saving", p->checkpoint_bytes, "for a while");
    row(out, "peak", p->peak_bytes, "");
}

void ae_plan_tell(const ae_plan *p, const ae_plan_request *r) {
    char *table = NULL, *rest = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&table, &n);
    if (!out) return;
    ae_plan_print(p, r, out);
    if (fclose(out) == 0) {
        ae_log("memory:");
        for (char *line = strtok_r(table, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            ae_log("%s", line);
    }
    free(table);
}
