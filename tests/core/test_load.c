#include "core/clock.h"
#include "core/load.h"

#include <criterion/criterion.h>

Test(load, a_line_of_the_kernel) {
    ae_load l;
    cr_assert(ae_load_parse(&l, "cpu  100 20 30 400 50 6 7 37 11 3\n", 100));
    cr_assert_float_eq(l.busy, 2.0, 1e-12);
    cr_assert_float_eq(l.all, 6.5, 1e-12);
    cr_assert_not(ae_load_parse(&l, "cpu  100 20 30\n", 100));
    cr_assert_not(ae_load_parse(&l, "intr 1 2 3 4 5 6 7 8\n", 100));
}

Test(load, others_are_what_this_process_did_not_take) {
    const ae_load before = {.busy = 10, .all = 40, .own = 3}, after = {.busy = 16, .all = 48, .own = 7};
    cr_assert_float_eq(ae_load_others(&before, &after), 0.25, 1e-12);
    cr_assert_eq(ae_load_others(&before, &before), 0, "no time has passed");
}

Test(load, own_work_is_not_that_of_others) {
    ae_load before, after;
    volatile double x = 1;
    cr_assert(ae_load_read(&before));
    for (const double end = ae_now_s() + 0.2; ae_now_s() < end;) x = x * 1.0000001;
    cr_assert(ae_load_read(&after));
    cr_assert_gt(after.own, before.own);
    cr_assert_geq(after.all, before.all);
    const double others = ae_load_others(&before, &after);
    cr_assert(others >= 0 && others <= 1, "%g", others);
}
