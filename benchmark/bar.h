#ifndef AE_BENCHMARK_BAR_H
#define AE_BENCHMARK_BAR_H
#include "benchmark/run.h"
#include "core/log.h"

/* The line of progress of an evaluation. Begins as all 0. */
typedef struct {
    ae_progress line;
    bool begun;
} ae_evaluation_bar;

void ae_evaluation_bar_show(ae_evaluation_bar *b, const ae_evaluation_progress *p);
void ae_evaluation_bar_end(ae_evaluation_bar *b);

#endif
