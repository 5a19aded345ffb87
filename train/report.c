#include "train/report.h"

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/machine.h"

#include <math.h>
#include <stdio.h>

void ae_report_machine(const ae_backend *be) {
    const bool bf16 = be->dtype == AE_DTYPE_BF16;
    ae_log("machine: %s; %d %s, %s kernels, %s", ae_cpu_name(), be->threads,
           be->threads == 1 ? "thread" : "threads", be->kernels, bf16 ? "bfloat16" : "float32");
    if (bf16 && !ae_machine_has_bf16() && !ae_machine_has_amx())
        ae_log("bfloat16: this processor has no instructions for it; it saves memory here, not time");
}

/* ---- steps ---- */

/* What the engine tells of every step, after the numbers of the objective. */
static ae_status add_engine_numbers(json_t *line, const ae_engine *e, const ae_step_result *r,
                                    double seconds) {
    const ae_gradients *g = &e->gradients;
    json_t *more = json_pack("{s:o, s:f, s:f, s:f, s:f, s:I}", "grad_norm", ae_json_number(r->grad_norm),
                             "lr", r->lr, "tokens_per_s", (double)g->tokens / seconds, "flops_fraction",
                             g->flops / seconds / e->peak_flops, "step_s", seconds, "peak_rss_bytes",
                             (json_int_t)ae_peak_rss_bytes());
    if (more && r->skipped) json_object_set_new(more, "skipped", json_true());
    const bool whole = more && json_object_update(line, more) == 0;
    json_decref(more);
    return whole ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "metrics: out of memory");
}

static ae_status add_step_line(ae_engine *e, const ae_step_result *r, double seconds) {
    ae_status st = AE_OK;
    json_t *line =
        json_pack("{s:I, s:I}", "step", (json_int_t)e->state.step, "tokens", (json_int_t)e->state.tokens);
    AE_TRY(ae_numbers_to_json(&e->gradients.numbers, line));
    AE_TRY(add_engine_numbers(line, e, r, seconds));
    return ae_metrics_add(&e->metrics, line);
out:
    json_decref(line);
    return st;
}

/* A skipped step shows only its rate and speed. */
static ae_status add_step_events(ae_engine *e, const ae_step_result *r, double seconds) {
    const ae_numbers *own = &e->gradients.numbers;
    ae_numbers shown = {0};
    ae_numbers_add(&shown, "lr", r->lr);
    ae_numbers_add(&shown, "tokens_per_s", (double)e->gradients.tokens / seconds);
    for (size_t i = 0; i < own->n && !r->skipped; i++)
        if (isfinite(own->items[i].value)) ae_numbers_add(&shown, own->items[i].name, own->items[i].value);
    if (!r->skipped) ae_numbers_add(&shown, "grad_norm", r->grad_norm);
    const ae_status st = ae_events_scalars(&e->events, e->state.step, ae_wall_s(), "train", &shown);
    ae_numbers_free(&shown);
    return st;
}

ae_status ae_report_step(ae_engine *e, const ae_step_result *r, double seconds) {
    const ae_status st = add_step_line(e, r, seconds);
    return st == AE_OK ? add_step_events(e, r, seconds) : st;
}

void ae_report_detail(char *out, size_t n, const ae_engine *e, const ae_step_result *r, double seconds) {
    const ae_gradients *g = &e->gradients;
    if (r->skipped)
        snprintf(out, n, "skipped");
    else
        snprintf(out, n, "%s %.4f  norm %.2f  lr %.2e  %.0f tok/s", g->numbers.items[0].name,
                 g->numbers.items[0].value, r->grad_norm, r->lr, (double)g->tokens / seconds);
}

/* ---- evaluations ---- */

/* "eval_error 0.25, eval_worst 3", where the objective has no words of its own. */
static void tell_numbers(char *out, size_t n, const ae_numbers *l) {
    size_t at = 0;
    for (size_t i = 0; i < l->n && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%s %.4g", i > 0 ? ", " : "", l->items[i].name,
                               l->items[i].value);
}

static ae_status add_evaluation_line(ae_engine *e, const ae_evaluation *r) {
    json_t *line = json_pack("{s:I}", "step", (json_int_t)e->state.step);
    const ae_status st = ae_numbers_to_json(&r->numbers, line);
    if (e->objective.higher) json_object_set_new(line, "higher_is_better", json_true());
    if (st == AE_OK) return ae_metrics_add(&e->metrics, line);
    json_decref(line);
    return st;
}

ae_status ae_report_evaluation(ae_engine *e, const ae_evaluation *r) {
    ae_status st = AE_OK;
    char told[sizeof r->told];
    double score = 0;
    if (!e->objective.score || !ae_numbers_find(&r->numbers, e->objective.score, &score))
        AE_TRY(AE_FAIL(AE_ERR_DEFECT, "evaluation: expected the number %s, found none",
                       e->objective.score ? e->objective.score : "that decides"));
    snprintf(told, sizeof told, "%s", r->told);
    if (!told[0]) tell_numbers(told, sizeof told, &r->numbers);
    AE_TRY(add_evaluation_line(e, r));
    if (e->state.step > 0) ae_run_state_evaluated(&e->state, score, e->objective.higher);
    AE_TRY(ae_events_evaluation(&e->events, e->state.step, &r->numbers));
    ae_log("step %lld: %s%s", (long long)e->state.step, told,
           e->state.step > 0 && e->state.best_step == e->state.step ? " (best so far)" : "");
out:
    return st;
}
