#include "optim/schedule.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

ae_status ae_schedule_check(const ae_schedule *s) {
    long long warmup = (long long)s->warmup_steps, decay = (long long)s->decay_steps,
              steps = (long long)s->steps;
    if (s->kind == AE_SCHEDULE_CONSTANT) return AE_OK;
    if (warmup > steps) {
        return AE_FAIL(AE_ERR_USAGE,
                       "optim.warmup_steps: expected at most train.steps (%lld), found %lld; give "
                       "optim.warmup_steps=%lld, or train for more steps",
                       steps, warmup, (steps + 9) / 10);
    }
    if (s->kind != AE_SCHEDULE_WSD) return AE_OK;
    if (decay < 1) {
        return AE_FAIL(AE_ERR_USAGE,
                       "optim.decay_steps: wsd falls over the last decay_steps steps: expected at least "
                       "1, found %lld",
                       decay);
    }
    if (warmup + decay > steps) {
        return AE_FAIL(AE_ERR_USAGE,
                       "optim.decay_steps: expected at most train.steps - optim.warmup_steps (%lld), found "
                       "%lld; give a smaller "
                       "one, or train for more steps",
                       steps - warmup, decay);
    }
    return AE_OK;
}

/* Where `step` lies between `from` (0) and `to` (1). */
static double share(int64_t step, int64_t from, int64_t to) {
    if (step <= from) return 0;
    if (step >= to) return 1;
    return (double)(step - from) / (double)(to - from);
}

double ae_schedule_lr(const ae_schedule *s, int64_t step) {
    if (step <= s->warmup_steps) return s->lr * (double)step / (double)s->warmup_steps;
    double fallen = 0;
    switch (s->kind) {
    case AE_SCHEDULE_CONSTANT:
        break;
    case AE_SCHEDULE_LINEAR:
        fallen = share(step, s->warmup_steps, s->steps);
        break;
    case AE_SCHEDULE_COSINE:
        fallen = 0.5 * (1 - cos(PI * share(step, s->warmup_steps, s->steps)));
        break;
    case AE_SCHEDULE_WSD:
        fallen = share(step, s->steps - s->decay_steps, s->steps);
        break;
    }
    return s->lr * (1 - fallen * (1 - s->final_ratio));
}
