#ifndef AE_TESTS_RLHF_METHOD_RIG_H
#define AE_TESTS_RLHF_METHOD_RIG_H
#include "rlhf/method.h"

/* A method, a batch of random answers as it wants them, and what it makes of them. */

enum { RIG_ANSWERS = 96, RIG_TOKENS = 8 };

typedef float rig_array[RIG_ANSWERS][RIG_TOKENS];

typedef struct {
    const ae_rl_method *method;
    const ae_rl_keys *keys;
    ae_rl_answer answers[RIG_ANSWERS];
    rig_array now, before, sampled, reference, anchor, kl, values, values_now; /* of the answers */
    rig_array ds, dk, dv;                                                      /* zeroed by each run */
    double memory[AE_RL_MEMORY];
    ae_rl_batch batch;
    double loss;
    ae_numbers numbers;
} method_rig;

/* Answers of 2 to RIG_TOKENS tokens, the first pass, rewards without ties. */
void rig_init(method_rig *r, const ae_rl_method *method, const ae_rl_keys *keys, int prompts, uint64_t seed);
void rig_run(method_rig *r);
double rig_number(const method_rig *r, const char *name);
/* Takes answer i out of the batch. */
void rig_remove(method_rig *r, ptrdiff_t i);
void rig_free(method_rig *r);

#endif
