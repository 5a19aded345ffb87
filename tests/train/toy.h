#ifndef AE_TESTS_TRAIN_TOY_H
#define AE_TESTS_TRAIN_TOY_H
#include "train/objective.h"

/* An objective that has nothing to do with language: a scalar head over fixed embeddings learns how often a token comes in a sequence. It has
 * work, numbers, an evaluation and a file of its own, and shows what an objective needs. */

enum { TOY_TOKENS = 8, TOY_WIDTH = 12, TOY_LENGTH = 16, TOY_BATCH = 32 };

/* A section of its own. */
typedef struct {
    int64_t counted; /* which token */
} toy_keys;

typedef struct {
    toy_keys keys; /* set before `open` */
    const ae_run_facts *run;
    int64_t drawn; /* sequences so far, by the thread that makes work ahead */
    float embeddings[TOY_TOKENS * TOY_WIDTH];
    double worst; /* error of the sequences that were looked at last */
    ae_f32 *head; /* device: [TOY_WIDTH], and what else there is behind it */
    ae_f32 *grad, *sums, *values;
    ae_act *room, *dz;
} toy;

ae_objective toy_objective(toy *t);

#endif
