#include "core/machine.h"
#include "ops/limits/limits.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(limits, the_median_is_the_middle) {
    double odd[] = {5, 1, 3}, even[] = {4, 1, 2, 8}, one[] = {7};
    cr_assert_eq(ae_median(odd, 3), 3);
    cr_assert_eq(ae_median(even, 4), 3);
    cr_assert_eq(ae_median(one, 1), 7);
    cr_assert(isnan(ae_median(one, 0)));
}

Test(limits, rates_of_this_machine_are_numbers) {
    const double peak = ae_measure_peak_f32_flops(), read = ae_measure_read_bandwidth(1 << 24);
    const double update = ae_measure_update_bandwidth(1 << 24);
    cr_assert(peak > 1e8 && peak < 1e14, "%g", peak);
    cr_assert(read > 1e7 && read < 1e13, "%g", read);
    cr_assert(update > 1e7 && update < 1e13, "%g", update);
}

Test(limits, rates_of_bf16_are_there_where_the_machine_has_it) {
    const double dots = ae_measure_bf16_dot_flops(), tiles = ae_measure_bf16_tile_flops();
    const double peak = ae_measure_peak_bf16_flops();
    cr_assert_eq(dots > 1e8, ae_machine_has_bf16(), "%g", dots);
    cr_assert_eq(tiles > 1e8, ae_machine_has_amx(), "%g", tiles);
    cr_assert_eq(peak > 1e8, ae_machine_has_bf16() || ae_machine_has_amx(), "%g", peak);
}

Test(limits, vector_functions_have_rates_on_either_instruction_set) {
    for (ae_vector_function f = 0; f < AE_FUNCTIONS; f++) {
        setenv("AERIE_ISA", "avx2", 1);
        const double narrow = ae_measure_function_rate(f);
        unsetenv("AERIE_ISA");
        const double wide = ae_measure_function_rate(f);
        cr_assert(narrow > 1e6 && narrow < 1e12 && wide > 1e6 && wide < 1e12, "%g %g", narrow, wide);
    }
}

Test(limits, memory_is_measured_in_caches_too) {
    const double read = ae_measure_read_bandwidth(1 << 20), update = ae_measure_update_bandwidth(1 << 20);
    cr_assert(read > 1e7 && read < 1e14, "%g", read);
    cr_assert(update > 1e7 && update < 1e14, "%g", update);
}
