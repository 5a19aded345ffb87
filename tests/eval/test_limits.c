#include "eval/limits.h"

#include <criterion/criterion.h>
#include <math.h>
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

Test(limits, both_libraries_multiply) {
    for (int library = 0; library < 2; library++) {
        double seconds[3] = {0};
        char name[128] = "";
        cr_assert_eq(ae_measure_sgemm((ae_sgemm_library)library, 96, 3, seconds), AE_OK);
        for (int i = 0; i < 3; i++) cr_assert(seconds[i] > 0);
        ae_sgemm_name((ae_sgemm_library)library, name, sizeof name);
        cr_assert_not_null(strstr(name, library == AE_SGEMM_OPENBLAS ? "OpenBLAS" : "oneDNN"));
    }
}
