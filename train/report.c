#include "train/report.h"

#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/machine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- before the first step ---- */

static void describe_model(const ae_run *run) {
    const ae_model_config *c = &run->shape;
    char count[32];
    ptrdiff_t attention = 0;
    for (ptrdiff_t i = 0; i < c->blocks; i++) attention += c->pattern[i] == AE_ATTENTION;
    ae_format_count(count, sizeof count, (double)run->plan.parameters);
    ae_log("model: %s parameters; width %td, %td recurrent and %td attention blocks, vocabulary %td", count,
           c->D, c->blocks - attention, attention, c->V);
}

static void describe_data(const ae_run *run) {
    const ae_train_config *c = run->config;
    char count[32], heldout[32];
    double tokens = 0, step = (double)ae_run_step_tokens(run);
    for (size_t i = 0; i < run->data.n_sets; i++) tokens += (double)ae_token_set_tokens(run->data.sets[i]);
    ae_format_count(count, sizeof count, tokens);
    ae_format_count(heldout, sizeof heldout, run->heldout ? (double)ae_token_set_tokens(run->heldout) : 0);
    ae_log("data: %s tokens in %zu %s, %s held out; %lld steps of %lld tokens are %.3g epochs", count,
           run->data.n_sets, run->data.n_sets == 1 ? "set" : "sets", heldout, (long long)c->train.steps,
           (long long)ae_run_step_tokens(run), (double)c->train.steps * step / tokens);
}

static void describe_memory(const ae_run *run) {
    char *table = NULL, *rest = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&table, &n);
    if (!out) return;
    ae_plan_print(&run->plan, &run->request, out);
    if (fclose(out) == 0) {
        ae_log("memory:");
        for (char *line = strtok_r(table, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            ae_log("%s", line);
    }
    free(table);
}

void ae_report_plan(const ae_run *run) {
    describe_model(run);
    const bool bf16 = run->be.dtype == AE_DTYPE_BF16;
    ae_log("machine: %s; %d %s, %s kernels, oneDNN products, %s", ae_cpu_name(), run->be.threads,
           run->be.threads == 1 ? "thread" : "threads", run->be.kernels, bf16 ? "bfloat16" : "float32");
    if (bf16 && !ae_machine_has_bf16() && !ae_machine_has_amx())
        ae_log("bfloat16: this processor has no instructions for it; it saves memory here, not time");
    describe_data(run);
    describe_memory(run);
}

/* ---- steps ---- */

static json_t *step_line(const ae_run *run, const ae_step_result *r, double tokens_per_s, double seconds) {
    double flops = run->plan.flops_per_token * tokens_per_s;
    json_t *line = json_pack("{s:I, s:I, s:o, s:o, s:f, s:f, s:f, s:f, s:I}", "step",
                             (json_int_t)run->state.step, "tokens", (json_int_t)run->state.tokens, "loss",
                             ae_json_number(r->loss), "grad_norm", ae_json_number(r->grad_norm), "lr", r->lr,
                             "tokens_per_s", tokens_per_s, "flops_fraction", flops / run->peak_flops,
                             "step_s", seconds, "peak_rss_bytes", (json_int_t)ae_peak_rss_bytes());
    if (line && r->skipped) json_object_set_new(line, "skipped", json_true());
    return line;
}

static ae_status step_events(ae_run *run, const ae_step_result *r, double tokens_per_s) {
    static const char *const tags[] = {"train/lr", "train/tokens_per_s", "train/loss", "train/grad_norm"};
    const double values[] = {r->lr, tokens_per_s, r->loss, r->grad_norm};
    return ae_events_scalars(&run->events, run->state.step, ae_wall_s(), r->skipped ? 2 : 4, tags, values);
}

ae_status ae_report_step(ae_run *run, const ae_step_result *r, int64_t tokens, double seconds) {
    double tokens_per_s = (double)tokens / seconds;
    ae_status st = ae_metrics_add(&run->metrics, step_line(run, r, tokens_per_s, seconds));
    return st == AE_OK ? step_events(run, r, tokens_per_s) : st;
}

void ae_report_detail(char *out, size_t n, const ae_step_result *r, double tokens_per_s) {
    if (r->skipped) {
        snprintf(out, n, "skipped");
    } else {
        snprintf(out, n, "loss %.4f  norm %.2f  lr %.2e  %.0f tok/s", r->loss, r->grad_norm, r->lr,
                 tokens_per_s);
    }
}

/* ---- evaluations ---- */

ae_status ae_report_evaluation(ae_run *run, const ae_perplexity *r) {
    char bits[48] = "";
    ae_status st = ae_metrics_add(
        &run->metrics, json_pack("{s:I, s:o, s:o}", "step", (json_int_t)run->state.step, "eval_loss",
                                 ae_json_number(r->loss), "bits_per_byte", ae_json_number(r->bits_per_byte)));
    if (st == AE_OK) ae_run_state_evaluated(&run->state, r->loss);
    if (st == AE_OK) st = ae_events_evaluation(&run->events, run->state.step, r->loss, r->bits_per_byte);
    if (isfinite(r->bits_per_byte)) snprintf(bits, sizeof bits, ", %.4f bits per byte", r->bits_per_byte);
    if (st == AE_OK)
        ae_log("step %lld: held-out loss %.4f%s%s", (long long)run->state.step, r->loss, bits,
               run->state.best_step == run->state.step ? " (best so far)" : "");
    return st;
}
