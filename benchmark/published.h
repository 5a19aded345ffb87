#ifndef AE_BENCHMARK_PUBLISHED_H
#define AE_BENCHMARK_PUBLISHED_H
#include <stddef.h>

/* What the authors of models report, in percent, by prompts and programs of their own; shown beside one's numbers. */
typedef struct {
    const char *model, *source;
} ae_published_model;

enum { AE_PUBLISHED_MODELS = 3 };
extern const ae_published_model ae_published_models[AE_PUBLISHED_MODELS];

/* One figure for each model, NaN where we know none; NULL: none of that task is known. */
const double *ae_published_find(const char *task);

#endif
