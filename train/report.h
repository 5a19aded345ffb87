#ifndef AE_TRAIN_REPORT_H
#define AE_TRAIN_REPORT_H
#include "train/engine.h"
#include "train/step.h"

/* What a run tells: lines for people, metrics.jsonl and events. */

/* Processor, threads, kernels and type, before the first step. */
void ae_report_machine(const ae_backend *be);

/* One step, already counted in the state: a line of metrics with the objective's numbers after "tokens",
 * and events. `seconds` with the wait for the work. */
ae_status ae_report_step(ae_engine *e, const ae_step_result *r, double seconds);
/* "loss 3.21  812 tok/s" for the bar. */
void ae_report_detail(char *out, size_t n, const ae_engine *e, const ae_step_result *r, double seconds);

/* An evaluation of the state's step: a line of metrics, events, the best so far. AE_ERR_DEFECT: the
 * objective's score is not among its numbers. */
ae_status ae_report_evaluation(ae_engine *e, const ae_evaluation *r);

#endif
