#include "core/arena.h"
#include "core/dims.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

static ae_arena make(size_t capacity) {
    ae_arena a = {.base = aligned_alloc(AE_ARENA_ALIGN, capacity), .capacity = capacity};
    cr_assert_not_null(a.base);
    return a;
}

Test(arena, counting_and_taking_agree) {
    const size_t sizes[] = {1, 64, 65, 0, 1000, 63};
    ae_arena counting = {0}, real = make(4096);
    char *end = real.base;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_assert_null(ae_arena_take(&counting, sizes[i]));
        char *p = ae_arena_take(&real, sizes[i]);
        cr_assert_eq((uintptr_t)p % AE_ARENA_ALIGN, 0);
        cr_assert_geq(p, end);
        end = p + sizes[i];
    }
    cr_assert_eq(counting.used, real.used);
    cr_assert_eq(counting.high, real.high);
    free(real.base);
}

Test(arena, rewind_gives_back_and_high_stays) {
    ae_arena a = make(1024);
    ae_arena_take(&a, 100);
    size_t mark = ae_arena_mark(&a);
    void *first = ae_arena_take(&a, 700);
    ae_arena_rewind(&a, mark);
    cr_assert_eq(ae_arena_take(&a, 700), first);
    ae_arena_rewind(&a, mark);
    cr_assert_eq(a.used, 128);
    cr_assert_eq(a.high, 128 + 704);
    free(a.base);
}

Test(arena, whole_capacity_may_be_taken) {
    ae_arena a = make(256);
    cr_assert_not_null(ae_arena_take(&a, 256));
    free(a.base);
}

Test(arena, overrun_aborts, .signal = SIGABRT) {
    ae_arena a = make(256);
    ae_arena_take(&a, 200);
    ae_arena_take(&a, 1);
    free(a.base); /* not reached: 200 takes all 256 */
}

Test(dims, int_of_a_library) {
    cr_assert_eq(ae_int(INT_MAX), INT_MAX);
    cr_assert_eq(ae_int(-5), -5);
    cr_assert_eq(ae_ceil_div(7, 3), 3);
    cr_assert_eq(ae_ceil_div(6, 3), 2);
    cr_assert_eq(ae_min(2, 3) + ae_max(2, 3), 5);
}

Test(dims, too_big_an_int_aborts, .signal = SIGABRT) {
    cr_assert_eq(ae_int((ptrdiff_t)INT_MAX + 1), 0);
}
