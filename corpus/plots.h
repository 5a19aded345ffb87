#ifndef AE_CORPUS_PLOTS_H
#define AE_CORPUS_PLOTS_H
#include "corpus/grammar.h"

enum { AE_PARAGRAPHS_MAX = 6 };

/* A plot is its paragraphs, in order; the last is followed by its moral. */
typedef struct {
    const char *name;
    const char *paragraphs[AE_PARAGRAPHS_MAX + 1]; /* NULL after the last */
    const char *moral;
} ae_plot;

extern const ae_plot ae_plots[];
extern const size_t ae_n_plots;
extern const ae_rule ae_rules[]; /* phrases shared by the plots */

#endif
