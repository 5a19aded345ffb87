#include "core/probe.h"

#include <criterion/criterion.h>
#include <omp.h>
#include <time.h>

enum { OUTER, INNER, OTHER };

static void spend(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void op_inside(void) {
    const ae_probe p = ae_probe_begin(INNER);
    spend(4);
    ae_probe_end(&p, &(ae_work){.flops = 10, .read_bytes = 3});
}

static void op_around(void) {
    const ae_probe p = ae_probe_begin(OUTER);
    op_inside();
    op_inside();
    spend(2);
    ae_probe_end(&p, NULL);
}

Test(probe, nothing_is_counted_while_it_is_off) {
    op_around();
    cr_assert_eq(ae_probe_read(OUTER).calls, 0);
    ae_probe_start();
    ae_probe_stop();
    op_around();
    const int64_t part = ae_probe_part_begin();
    ae_probe_part_end(part);
    cr_assert_eq(ae_probe_read(INNER).calls, 0);
    cr_assert_eq(ae_probe_read(INNER).work.flops, 0);
}

Test(probe, self_times_add_up_to_the_time_of_the_outermost) {
    ae_probe_start();
    op_around();
    op_inside();
    ae_probe_stop();
    const ae_probe_sum outer = ae_probe_read(OUTER), inner = ae_probe_read(INNER);
    cr_assert_eq(outer.calls, 1);
    cr_assert_eq(inner.calls, 3);
    cr_assert_eq(inner.work.flops, 30);
    cr_assert_eq(inner.work.read_bytes, 9);
    cr_assert_eq(inner.work.tanhs, 0);
    cr_assert(inner.self_s >= 0.012 && inner.self_s == inner.total_s, "%g", inner.self_s);
    cr_assert(outer.total_s >= 0.010 && outer.self_s >= 0.002, "%g %g", outer.total_s, outer.self_s);
    cr_assert_float_eq(outer.self_s + inner.self_s * 2 / 3, outer.total_s, 0.5 * outer.total_s);
    cr_assert_lt(outer.self_s, outer.total_s - 0.0079, "what ops inside took is left out");
}

Test(probe, an_op_goes_on_after_one_inside_it) {
    ae_probe_start();
    const ae_probe p = ae_probe_begin(OUTER);
    op_inside();
    const int64_t start = ae_probe_part_begin();
    spend(2);
    ae_probe_part_end(start);
    ae_probe_end(&p, NULL);
    ae_probe_part_end(ae_probe_part_begin()); /* no op is open */
    ae_probe_stop();
    cr_assert_geq(ae_probe_read(OUTER).part_thread_s, 0.002);
    cr_assert_eq(ae_probe_read(INNER).part_thread_s, 0);
}

Test(probe, parts_of_all_threads_count_to_the_open_op) {
    ae_probe_start();
    const ae_probe p = ae_probe_begin(OTHER);
    int threads = 0;
#pragma omp parallel num_threads(3) reduction(+ : threads)
    {
        threads++;
        const int64_t start = ae_probe_part_begin();
        spend(2);
        ae_probe_part_end(start);
    }
    ae_probe_end(&p, NULL);
    ae_probe_stop();
    const ae_probe_sum s = ae_probe_read(OTHER);
    cr_assert_eq(s.calls, 1);
    cr_assert_geq(s.part_thread_s, 0.002 * threads);
}

Test(probe, starting_again_starts_from_zero) {
    ae_probe_start();
    op_around();
    ae_probe_start();
    op_inside();
    ae_probe_stop();
    cr_assert_eq(ae_probe_read(OUTER).calls, 0);
    cr_assert_eq(ae_probe_read(INNER).calls, 1);
}
