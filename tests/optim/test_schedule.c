#include "optim/schedule.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const ae_schedule base = {
    .lr = 4e-3, .final_ratio = 0.25, .warmup_steps = 10, .decay_steps = 20, .steps = 110};

static ae_schedule of(ae_schedule_kind kind) {
    ae_schedule s = base;
    s.kind = kind;
    return s;
}

#define EQUAL(a, b) cr_assert_float_eq((a), (b), 1e-15, "%.17g is not %.17g", (a), (b))

Test(schedule, rises_in_a_straight_line) {
    for (int kind = AE_SCHEDULE_CONSTANT; kind <= AE_SCHEDULE_WSD; kind++) {
        ae_schedule s = of((ae_schedule_kind)kind);
        for (int64_t step = 1; step <= 10; step++) EQUAL(ae_schedule_lr(&s, step), 4e-3 * (double)step / 10);
    }
}

Test(schedule, constant_stays) {
    ae_schedule s = of(AE_SCHEDULE_CONSTANT);
    for (int64_t step = 10; step <= 200; step++) EQUAL(ae_schedule_lr(&s, step), 4e-3);
}

Test(schedule, linear_and_cosine_end_at_the_ratio_at_the_last_step) {
    ae_schedule line = of(AE_SCHEDULE_LINEAR), cosine = of(AE_SCHEDULE_COSINE);
    for (int64_t step = 10; step <= 110; step++) {
        double x = (double)(step - 10) / 100;
        EQUAL(ae_schedule_lr(&line, step), 4e-3 - 3e-3 * x);
        EQUAL(ae_schedule_lr(&cosine, step), 1e-3 + 3e-3 * (1 + cos(acos(-1.0) * x)) / 2);
    }
    EQUAL(ae_schedule_lr(&line, 110), 1e-3);
    EQUAL(ae_schedule_lr(&cosine, 110), 1e-3);
}

Test(schedule, wsd_falls_over_the_last_steps) {
    ae_schedule s = of(AE_SCHEDULE_WSD);
    for (int64_t step = 10; step <= 90; step++) EQUAL(ae_schedule_lr(&s, step), 4e-3);
    for (int64_t step = 90; step <= 110; step++)
        EQUAL(ae_schedule_lr(&s, step), 4e-3 - 3e-3 * (double)(step - 90) / 20);
}

Test(schedule, without_warmup_starts_at_the_full_rate) {
    ae_schedule s = of(AE_SCHEDULE_CONSTANT);
    s.warmup_steps = 0;
    EQUAL(ae_schedule_lr(&s, 1), 4e-3);
}

Test(schedule, names_the_key_that_does_not_fit) {
    ae_schedule s = of(AE_SCHEDULE_COSINE);
    s.warmup_steps = 111;
    cr_assert_eq(ae_schedule_check(&s), AE_ERR_USAGE);
    cr_assert_not_null(strstr(ae_error_message(), "give optim.warmup_steps=11, or train for more steps"));
    s = of(AE_SCHEDULE_WSD);
    s.decay_steps = 101;
    cr_assert_eq(ae_schedule_check(&s), AE_ERR_USAGE);
    cr_assert_not_null(strstr(ae_error_message(), "optim.decay_steps"));
    s.decay_steps = 0;
    cr_assert_eq(ae_schedule_check(&s), AE_ERR_USAGE);
    s = of(AE_SCHEDULE_CONSTANT);
    s.warmup_steps = 111;
    cr_assert_eq(ae_schedule_check(&s), AE_OK);
    for (int kind = AE_SCHEDULE_CONSTANT; kind <= AE_SCHEDULE_WSD; kind++) {
        s = of((ae_schedule_kind)kind);
        cr_assert_eq(ae_schedule_check(&s), AE_OK);
    }
}
