#include "benchmark/python_random.h"

#include <criterion/criterion.h>
#include <string.h>

/* The numbers are what Python 3.11 printed. */

Test(python_random, bits) {
    ae_python_random r;
    const uint32_t first[] = {4150886329u, 3342196574u, 1892932127u, 501869158u, 32175636u};
    ae_python_random_seed(&r, 1234);
    for (int i = 0; i < 5; i++) cr_assert_eq(ae_python_random_bits(&r), first[i]);
    ae_python_random_seed(&r, 0);
    cr_assert_eq(ae_python_random_bits(&r), 3626764237u);
    for (int i = 0; i < 1001; i++) ae_python_random_bits(&r); /* twice through the state */
    cr_assert_eq(ae_python_random_bits(&r), 1494123482u);
}

static void assert_sample(ae_python_random *r, size_t n, size_t k, const size_t *expected) {
    size_t places[64], scratch[8192];
    ae_python_random_sample(r, n, k, places, scratch);
    for (size_t i = 0; i < k; i++) cr_assert_eq(places[i], expected[i], "%zu of %zu: entry %zu", k, n, i);
}

/* One sequence through pools on both sides of the sizes at which Python goes over to the other method: 21 for up to
 * five, 85 for eight. */
Test(python_random, samples) {
    ae_python_random r;
    ae_python_random_seed(&r, 1234);
    assert_sample(&r, 7473, 5, (const size_t[]){6374, 3610, 957, 61, 742});
    assert_sample(&r, 7473, 5, (const size_t[]){7462, 6610, 4769, 286, 5501});
    assert_sample(&r, 20, 5, (const size_t[]){2, 3, 11, 7, 0});
    assert_sample(&r, 85, 8, (const size_t[]){3, 2, 44, 79, 61, 78, 59, 19});
    assert_sample(&r, 86, 8, (const size_t[]){11, 23, 14, 1, 64, 62, 31, 8});
    assert_sample(&r, 30, 30, (const size_t[]){21, 17, 14, 2, 19, 29, 26, 16, 18, 1,  8,  28, 23, 9,  15,
                                               13, 5,  4,  3, 10, 11, 7,  0,  12, 25, 27, 24, 6,  20, 22});
    assert_sample(&r, 1, 1, (const size_t[]){0});
}

Test(python_random, the_largest_seed) {
    ae_python_random r;
    ae_python_random_seed(&r, 4294967295u);
    assert_sample(&r, 100, 10, (const size_t[]){81, 79, 26, 27, 77, 66, 37, 43, 48, 86});
}
