#include "cli/bench_products.h"
#include "core/machine.h"

#include <criterion/criterion.h>
#include <string.h>

Test(bench_products, products_of_bf16_are_timed_or_refused) {
    double seconds[3] = {0};
    const ae_status st = ae_measure_bf16_product(96, 3, seconds);
    cr_assert(st == AE_OK || (st == AE_ERR_RESOURCE && !ae_machine_has_bf16()));
    for (int i = 0; i < 3; i++) cr_assert_eq(seconds[i] > 0, st == AE_OK);
}

Test(bench_products, both_libraries_multiply) {
    for (int library = 0; library < 2; library++) {
        double seconds[3] = {0};
        char name[128] = "";
        cr_assert_eq(ae_measure_sgemm((ae_sgemm_library)library, 96, 3, seconds), AE_OK);
        for (int i = 0; i < 3; i++) cr_assert(seconds[i] > 0);
        cr_assert_eq(ae_sgemm_name((ae_sgemm_library)library, name, sizeof name), AE_OK);
        cr_assert_not_null(strstr(name, library == AE_SGEMM_OPENBLAS ? "OpenBLAS" : "oneDNN"));
    }
}
