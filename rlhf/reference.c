#include "rlhf/reference.h"

#include "core/dims.h"
#include "core/file.h"
#include "core/log.h"
#include "data/row_name.h"
#include "train/run_model.h"
#include "train/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- which model ---- */

static const char *init_of(const ae_reference *r) {
    return r->tuned->config->train.model.init;
}

/* Whether it is the policy as it starts. */
static bool is_start(const ae_reference *r) {
    return !r->keys->rl.reference[0] || strcmp(r->keys->rl.reference, init_of(r)) == 0;
}

const char *ae_reference_path(const ae_reference *r) {
    return is_start(r) ? init_of(r) : r->keys->rl.reference;
}

static ae_status open_source(const ae_reference *r, ae_run_model *s) {
    const ae_status st = ae_run_model_open(s, ae_reference_path(r), NULL);
    if (st != AE_OK && !is_start(r)) ae_fail_prefix("rl.reference");
    return st;
}

static ae_status check_vocabulary(const ae_reference *r, const ae_run_model *s) {
    const ptrdiff_t want = r->tuned->inputs.shape.V;
    if (s->base.config.V == want) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "rl.reference: %s: expected the vocabulary of the model, %td, found %td",
                   ae_reference_path(r), want, s->base.config.V);
}

/* Ids mean the same to both. */
static ae_status check_tokenizer(const ae_reference *r, const ae_run_model *s) {
    bool same = true;
    const ae_status st = ae_run_model_same_tokenizer(s, r->tuned->inputs.tokenizer, &same);
    if (st != AE_OK || same) return st;
    return AE_FAIL(AE_ERR_INPUT, "rl.reference: %s: expected the tokenizer of the model, found another",
                   ae_reference_path(r));
}

static ae_status check_identity(ae_reference *r, const ae_run_model *s) {
    char found[AE_REFERENCE_IDENTITY_BYTES];
    const ae_status st = ae_reference_identity(found, &s->base, s->adapted ? s->adapter.tensors : NULL);
    if (st != AE_OK) return st;
    if (r->identity[0] && strcmp(r->identity, found) != 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: %s: expected the reference that the run began with, found another model",
                       is_start(r) ? "model.init" : "rl.reference", ae_reference_path(r));
    snprintf(r->identity, sizeof r->identity, "%s", found);
    return AE_OK;
}

ae_status ae_reference_check(ae_reference *r) {
    ae_status st = AE_OK;
    ae_run_model s = {0};
    if (r->identity[0] && !ae_path_exists(ae_reference_path(r))) return AE_OK;
    AE_TRY(open_source(r, &s));
    if (!is_start(r)) AE_TRY(check_vocabulary(r, &s));
    if (!is_start(r)) AE_TRY(check_tokenizer(r, &s));
    AE_TRY(check_identity(r, &s));
out:
    ae_run_model_free(&s);
    return st;
}

/* ---- scoring ---- */

static ae_status check_stop(const ae_reference *r) {
    return *r->tuned->run->stop ? AE_FAIL(AE_ERR_INTERRUPTED, "reference: interrupted") : AE_OK;
}

static ae_reference_part *part_of(ae_reference *r, const ae_pair_set *set) {
    size_t i = 0;
    while (r->parts[i].set != set) i++;
    return &r->parts[i];
}

const ae_pair_scores *ae_reference_of(const ae_reference *r, const ae_pair_set *set) {
    return part_of((ae_reference *)r, set)->scores;
}

static char *file_of(const ae_reference *r) {
    return ae_path_join(r->tuned->run->config->run.dir, ae_reference_file);
}

static ae_status save(ae_reference *r) {
    char *file = file_of(r);
    ae_status st = ae_folder_make(r->tuned->run->config->run.dir);
    if (st == AE_OK) st = ae_reference_write(file, r->made_with, r->parts, r->n_parts);
    if (st == AE_OK) r->saved = r->done;
    free(file);
    return st;
}

/* Those of the batch that was scored last; of a pair that has some already, the ones from before. What a kill or a
 * failure of the machine may cost is an eighth of the work. */
static ae_status keep_scores(ae_reference *r, const ae_pair_scorer *s) {
    enum { SAVES = 8 };
    char name[1024];
    for (ptrdiff_t i = 0; i < s->pairs.n_pairs; i++) {
        const ae_pair_choice *c = &s->choices[s->pairs.pairs[i].choice];
        const ae_pair_scores now = s->scored[i].now;
        ae_reference_part *part = part_of(r, c->set);
        if (!isfinite(now.chosen) || !isfinite(now.rejected)) {
            ae_row_name(name, sizeof name, c->set->set, c->set->usable[c->pair], "pair");
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: expected log-probabilities of the reference, found what is no number",
                           ae_reference_path(r), name);
        }
        if (ae_reference_is_scored(part, c->pair)) continue;
        part->scores[c->pair] = now;
        r->done++;
    }
    ae_progress_show(&r->bar, r->done, "");
    return r->done - r->saved >= ae_ceil_div(r->missing, SAVES) ? save(r) : AE_OK;
}

static int64_t count_missing(const ae_reference *r) {
    int64_t missing = 0;
    for (size_t i = 0; i < r->n_parts; i++) missing += ae_reference_missing(&r->parts[i]);
    return missing;
}

static int64_t missing_in_training(const ae_reference *r) {
    const size_t n = r->order->mixture->n_sets;
    int64_t missing = 0;
    for (size_t i = 0; i < n; i++) missing += ae_reference_missing(&r->parts[i]);
    return missing;
}

static int64_t pairs_in_training(const ae_reference *r) {
    int64_t pairs = 0;
    for (size_t i = 0; i < r->order->mixture->n_sets; i++) pairs += r->sets[i].count.pairs;
    return pairs;
}

static bool are_scored(ae_reference *r, const ae_pair_choice *choices, ptrdiff_t n) {
    ptrdiff_t scored = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        scored += ae_reference_is_scored(part_of(r, choices[i].set), choices[i].pair);
    return scored == n;
}

/* Steps of the first epoch, as training will take them, those left out that an earlier start has scored. Where sets
 * are drawn by weight pairs may be left. */
static ae_status score_steps(ae_reference *r, ae_pair_scorer *s) {
    const int64_t steps =
        ae_min(r->tuned->run->config->train.steps, ae_ceil_div(pairs_in_training(r), r->order->per_step));
    ae_order order = *r->order;
    ae_status st = ae_order_begin(&order, 1, NULL);
    for (int64_t step = 0; step < steps && st == AE_OK; step++) {
        for (ptrdiff_t i = 0; i < order.per_step; i++) {
            const ae_ordered o = ae_order_next(&order, i);
            s->choices[i] = (ae_pair_choice){.set = &r->sets[o.set], .pair = o.piece};
        }
        ae_order_end_step(&order);
        if (are_scored(r, s->choices, order.per_step)) continue;
        st = check_stop(r);
        if (st == AE_OK) st = ae_pair_scorer_run(s, order.per_step);
        if (st == AE_OK) st = keep_scores(r, s);
    }
    return st;
}

ae_status ae_pair_scorer_next(ae_pair_scorer *s, const ae_pair_set *set, const ae_reference_part *part,
                              int64_t *first, ptrdiff_t *n) {
    *n = 0;
    for (int64_t i = *first; i < set->count.pairs && *n < s->most; i++)
        if (!part || !ae_reference_is_scored(part, i))
            s->choices[(*n)++] = (ae_pair_choice){.set = set, .pair = i};
    *first = set->count.pairs;
    if (*n == 0) return AE_OK;
    const ae_status st = ae_pair_batch_fit(&s->pairs, s->choices, n);
    if (st != AE_OK) return st;
    *first = s->choices[*n - 1].pair + 1;
    return ae_pair_scorer_run(s, *n);
}

/* What a set has left, in file order. */
static ae_status score_rest(ae_reference *r, ae_pair_scorer *s, const ae_pair_set *set) {
    ae_reference_part *part = part_of(r, set);
    int64_t first = 0;
    for (;;) {
        ptrdiff_t n = 0;
        ae_status st = check_stop(r);
        if (st == AE_OK) st = ae_pair_scorer_next(s, set, part, &first, &n);
        if (st == AE_OK && n > 0) st = keep_scores(r, s);
        if (st != AE_OK || n == 0) return st;
    }
}

static ae_status score_training(ae_reference *r, const ae_model *m, ae_pass *pass) {
    ae_status st = AE_OK;
    ae_pair_scorer s = {.keys = r->keys, .model = m, .pass = pass, .micro_rows = r->tuned->plan.micro_rows};
    if (missing_in_training(r) == 0) return AE_OK;
    AE_TRY(ae_pair_scorer_init(&s, r->order->per_step, r->order->per_step, r->sets[0].T));
    AE_TRY(score_steps(r, &s));
    for (size_t i = 0; i < r->order->mixture->n_sets; i++) AE_TRY(score_rest(r, &s, &r->sets[i]));
out:
    ae_pair_scorer_free(&s);
    return st;
}

ae_status ae_heldout_scorer_init(ae_pair_scorer *s, const ae_tuned *t, const ae_pair_set *heldout) {
    const ptrdiff_t rows = t->plan.evaluation_rows;
    const int64_t tokens = rows * heldout->T, mean = heldout->count.tokens / heldout->count.pairs;
    s->micro_rows = rows;
    return ae_pair_scorer_init(s, (ptrdiff_t)ae_min(heldout->count.pairs, ae_max(rows, tokens / mean)), rows,
                               heldout->T);
}

static ae_status score_heldout(ae_reference *r, const ae_model *m, ae_pass *pass) {
    ae_pair_scorer s = {.keys = r->keys, .model = m, .pass = pass};
    if (r->heldout->count.pairs == 0) return AE_OK;
    ae_status st = ae_heldout_scorer_init(&s, r->tuned, r->heldout);
    if (st == AE_OK) st = score_rest(r, &s, r->heldout);
    ae_pair_scorer_free(&s);
    return st;
}

static ae_status score_missing(ae_reference *r, const ae_model *m, ae_pass *pass) {
    ae_stop_actions before;
    r->missing = count_missing(r);
    ae_log("reference: %s scores %lld pair%s", ae_reference_path(r), (long long)r->missing,
           ae_plural(r->missing));
    ae_progress_init(&r->bar, "reference", 0, r->missing);
    r->bar.unit = "pair";
    ae_stop_catch(&before);
    ae_status st = score_training(r, m, pass);
    if (st == AE_OK) st = score_heldout(r, m, pass);
    ae_progress_end(&r->bar);
    if (st == AE_OK && r->done > r->saved) st = save(r);
    if (st == AE_ERR_INTERRUPTED && save(r) == AE_OK)
        st = AE_FAIL(AE_ERR_INTERRUPTED, "reference: interrupted; the same command goes on with its scores");
    ae_stop_signals_restore(&before);
    return st;
}

/* ---- a model of its own ---- */

static ae_pass_dims dims_of(const ae_reference *r) {
    return (ae_pass_dims){.B = r->tuned->plan.micro_rows,
                          .T = (ptrdiff_t)r->tuned->run->config->train.row_tokens};
}

/* It is gone before the policy takes its memory, which is more in most cases. */
static ae_status check_memory(const ae_reference *r, const ae_run_model *s, const ae_model_options *options) {
    char need[32], have[32];
    ae_params params = {0};
    const ae_backend *be = r->tuned->run->be;
    const ae_model_options o = ae_run_model_options(s, options);
    const ae_status st = ae_params_init_with(&params, &s->base.config, &o.params);
    if (st != AE_OK) return st;
    ae_pass_dims dims = dims_of(r);
    dims.adapter_rank = params.adapter_rank;
    const size_t bytes = ae_model_value_bytes(&params, be, &o) + ae_model_packed_bytes(&params, be, &o) +
                         ae_pass_bytes(be, &s->base.config, dims, false);
    ae_params_free(&params);
    if (bytes <= r->tuned->request.available_bytes) return AE_OK;
    ae_format_bytes(need, sizeof need, bytes);
    ae_format_bytes(have, sizeof have, r->tuned->request.available_bytes);
    return AE_FAIL(AE_ERR_RESOURCE, "rl.reference: %s: scoring the pairs needs %s, found %s available",
                   ae_reference_path(r), need, have);
}

static ae_status score_with_other(ae_reference *r) {
    ae_status st = AE_OK;
    ae_run_model s = {0};
    ae_model m = {0};
    ae_pass *pass = NULL;
    const ae_model_options options = {.weights = (ae_weight_type)r->tuned->config->base.base_dtype};
    AE_TRY(open_source(r, &s));
    AE_TRY(ae_run_model_verify(&s));
    AE_TRY(check_memory(r, &s, &options));
    AE_TRY(ae_run_model_load(&m, r->tuned->run->be, &s, &options));
    AE_TRY(ae_pass_new(&pass, &m, dims_of(r), false));
    AE_TRY(score_missing(r, &m, pass));
out:
    ae_pass_delete(pass);
    ae_model_free(&m);
    ae_run_model_free(&s);
    return st;
}

/* ---- the policy as it starts ---- */

/* Of a run that goes on: the weights that it began with, for a while. */
static ae_status load_start(ae_reference *r) {
    ae_status st = AE_OK;
    ae_run_model s = {0};
    ae_model *m = &r->tuned->model;
    const ae_params_match_options lacks = {.lacks_added = true};
    AE_TRY(open_source(r, &s));
    AE_TRY(ae_run_model_verify(&s));
    AE_TRY(ae_model_set_added_initial(m, r->tuned->run->seed));
    AE_TRY(ae_model_load(m, s.base.tensors, &lacks));
out:
    ae_run_model_free(&s);
    return st;
}

static ae_status load_checkpoint(ae_reference *r) {
    const ae_params_match_options trained = {.lacks_frozen = true};
    char *path = ae_path_join(r->tuned->run->checkpoint, "weights.h5");
    const ae_status st = ae_model_load(&r->tuned->model, path, &trained);
    free(path);
    return st;
}

static ae_status score_with_start(ae_reference *r) {
    const bool goes_on = r->tuned->run->checkpoint != NULL;
    ae_status st = goes_on ? load_start(r) : AE_OK;
    if (st == AE_OK) st = score_missing(r, &r->tuned->model, r->tuned->pass);
    return st == AE_OK && goes_on ? load_checkpoint(r) : st;
}

/* ---- the run ---- */

static ae_status make_parts(ae_reference *r) {
    char role[32];
    ae_status st = AE_OK;
    for (size_t i = 0; i < r->order->mixture->n_sets; i++) {
        snprintf(role, sizeof role, "train-%zu", i + 1);
        AE_TRY(ae_reference_part_init(&r->parts[r->n_parts++], &r->sets[i], role));
    }
    if (r->heldout->count.pairs > 0)
        AE_TRY(ae_reference_part_init(&r->parts[r->n_parts++], r->heldout, "heldout"));
out:
    return st;
}

/* Scores that were made otherwise would differ in their last bits at least. */
static void describe(ae_reference *r) {
    const ae_backend *be = r->tuned->run->be;
    snprintf(
        r->made_with, sizeof r->made_with,
        "{\"model\": \"%s\", \"temperature\": %.9g, \"weights\": %d, \"dtype\": %d, \"kernels\": \"%s\"}",
        r->identity, r->keys->rl.temperature, r->tuned->config->base.base_dtype, (int)be->dtype, be->kernels);
}

ae_status ae_reference_before_start(ae_reference *r) {
    char *file = file_of(r);
    ae_status st = make_parts(r);
    describe(r);
    if (st == AE_OK) st = ae_reference_read(file, r->made_with, r->parts, r->n_parts);
    free(file);
    if (st != AE_OK || is_start(r) || count_missing(r) == 0) return st;
    return score_with_other(r);
}

ae_status ae_reference_after_start(ae_reference *r) {
    return count_missing(r) > 0 ? score_with_start(r) : AE_OK;
}

void ae_reference_free(ae_reference *r) {
    for (size_t i = 0; i < r->n_parts; i++) ae_reference_part_free(&r->parts[i]);
    *r = (ae_reference){0};
}
