#ifndef AE_RLHF_GUARDS_H
#define AE_RLHF_GUARDS_H
#include "core/status.h"
#include "rlhf/keys.h"

/* What a step's answers say of the policy's health, against the bounds of rl.guard_*. Past a bound the run stops with
 * AE_ERR_GUARD, a message that names the number, its bound and what to do; or, with rl.guard_action=slow, it goes on:
 * with rl.beta 1.5 times as high for the divergence, and half the learning rate for the others, and for the divergence
 * where no beta matters. Then the bound counts again AE_GUARD_REST steps later. */

enum { AE_GUARD_REST = 20 };

typedef struct {
    double kl;      /* nats an answer */
    double entropy; /* nats a token */
    double length;  /* tokens an answer */
} ae_guarded;

typedef struct {
    double beta, rate; /* the weight as it is; factor of the learning rate */
    int64_t slowed;    /* step of the last change; 0: none */
} ae_guard_state;

typedef enum { AE_GUARD_STOP, AE_GUARD_SLOW } ae_guard_action;

ae_status ae_guards_check(const ae_rl_common_keys *k, const ae_guarded *now, int64_t step, bool beta_matters,
                          ae_guard_state *s);

#endif
