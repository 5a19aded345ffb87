#ifndef AE_TRAIN_REPORT_H
#define AE_TRAIN_REPORT_H
#include "train/run.h"
#include "train/step.h"

/* What a run tells: lines for people, metrics.jsonl and events. */

/* Model, machine, data and memory, before the first step. */
void ae_report_plan(const ae_run *run);

/* One step, already counted in the state; `tokens` inputs without padding, `seconds` with the wait for the loader. */
ae_status ae_report_step(ae_run *run, const ae_step_result *r, int64_t tokens, double seconds);
/* "loss 3.21  812 tok/s" for the bar. */
void ae_report_detail(char *out, size_t n, const ae_step_result *r, double tokens_per_s);

/* An evaluation of the state's step: a line of metrics, events, the best so far. */
ae_status ae_report_evaluation(ae_run *run, const ae_perplexity *r);

#endif
