#include "core/rng.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* Known answers that Random123 publishes for philox4x32-10 ("digits" are those of pi). */
Test(rng, philox_known_answers) {
    ae_rng zeros = ae_rng_make(0, 0);
    cr_assert_eq(ae_rng_u64(&zeros), 0xe169c58d6627e8d5u);
    ae_rng ones = {.seed = UINT64_MAX, .stream = UINT64_MAX, .counter = UINT64_MAX};
    cr_assert_eq(ae_rng_u64(&ones), 0x41c83b0e408f276du);
    ae_rng digits = {
        .seed = 0x299f31d0a4093822u, .stream = 0x0370734413198a2eu, .counter = 0x85a308d3243f6a88u};
    cr_assert_eq(ae_rng_u64(&digits), 0x94fdccebd16cfe09u);
}

Test(rng, value_depends_on_seed_stream_and_counter_only) {
    ae_rng a = ae_rng_make(7, 3), b = ae_rng_make(7, 3), other_seed = ae_rng_make(8, 3),
           other = ae_rng_make(7, 4);
    for (int i = 0; i < 100; i++) ae_rng_u64(&a);
    b.counter = 100;
    other_seed.counter = other.counter = 100;
    uint64_t x = ae_rng_u64(&a);
    cr_assert_eq(ae_rng_u64(&b), x);
    cr_assert_neq(ae_rng_u64(&other_seed), x);
    cr_assert_neq(ae_rng_u64(&other), x);
    cr_assert_eq(a.counter, 101);
}

Test(rng, uniform_moments) {
    enum { N = 200000 };
    ae_rng r = ae_rng_make(1, 2);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        double x = ae_rng_uniform(&r);
        cr_assert(x >= 0 && x < 1);
        sum += x;
        squares += x * x;
    }
    cr_assert_float_eq(sum / N, 0.5, 0.003);
    cr_assert_float_eq(squares / N, 1.0 / 3, 0.003);
}

Test(rng, normal_moments) {
    enum { N = 400000 };
    ae_rng r = ae_rng_make(11, 0);
    double m[5] = {0};
    int beyond_two = 0;
    for (int i = 0; i < N; i++) {
        double x = ae_rng_normal(&r), power = 1;
        cr_assert(isfinite(x));
        beyond_two += fabs(x) > 2;
        for (int k = 1; k <= 4; k++) m[k] += power *= x;
    }
    cr_assert_float_eq(m[1] / N, 0, 0.01);
    cr_assert_float_eq(m[2] / N, 1, 0.015);
    cr_assert_float_eq(m[3] / N, 0, 0.04);
    cr_assert_float_eq(m[4] / N, 3, 0.12);
    cr_assert_float_eq((double)beyond_two / N, 0.0455, 0.002);
}

Test(rng, below_is_even_and_in_range) {
    enum { N = 70000, SIDES = 7 };
    ae_rng r = ae_rng_make(5, 5);
    int count[SIDES] = {0};
    for (int i = 0; i < N; i++) {
        uint64_t x = ae_rng_below(&r, SIDES);
        cr_assert_lt(x, SIDES);
        count[x]++;
    }
    for (int i = 0; i < SIDES; i++)
        cr_assert(abs(count[i] - N / SIDES) < 500, "%d came %d times", i, count[i]);
    cr_assert_eq(ae_rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++) cr_assert_lt(ae_rng_below(&r, (uint64_t)3 << 62), (uint64_t)3 << 62);
}

Test(rng, hash_separates_names_and_seeds) {
    cr_assert_eq(ae_rng_hash(1, "train"), ae_rng_hash(1, "train"));
    cr_assert_neq(ae_rng_hash(1, "train"), ae_rng_hash(2, "train"));
    cr_assert_neq(ae_rng_hash(1, "train"), ae_rng_hash(1, "trian"));
    cr_assert_neq(ae_rng_hash(1, ""), ae_rng_hash(2, ""));
}

static void assert_permutation(uint64_t seed, uint64_t stream, uint64_t n) {
    char *seen = calloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t x = ae_rng_permute(seed, stream, n, i);
        cr_assert_lt(x, n);
        cr_assert_eq(seen[x], 0, "%llu comes twice of %llu", (unsigned long long)x, (unsigned long long)n);
        seen[x] = 1;
    }
    free(seen);
}

Test(rng, permutation_hits_every_value_once) {
    for (uint64_t n = 1; n <= 300; n++) assert_permutation(3, n % 4, n);
    assert_permutation(9, 0, 65536);
    assert_permutation(9, 0, 65537);
    assert_permutation(9, 1, 100003);
}

Test(rng, permutation_of_big_ranges) {
    const uint64_t sizes[] = {((uint64_t)1 << 32) + 1, (uint64_t)1 << 63, UINT64_MAX};
    for (int s = 0; s < 3; s++) {
        uint64_t first = ae_rng_permute(1, 1, sizes[s], 0), second = ae_rng_permute(1, 1, sizes[s], 1);
        cr_assert_neq(first, second);
        for (uint64_t i = 0; i < 200; i++)
            cr_assert_lt(ae_rng_permute(1, 1, sizes[s], sizes[s] - 1 - i), sizes[s]);
    }
}

/* Every value at every place about equally often: 24 orders of 4 over many seeds. */
Test(rng, permutations_are_spread) {
    enum { SEEDS = 12000 };
    int count[4][4] = {{0}};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (uint64_t i = 0; i < 4; i++) count[i][ae_rng_permute(seed, 0, 4, i)]++;
    }
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 4; k++)
            cr_assert(abs(count[i][k] - SEEDS / 4) < 250, "%d at %d: %d", k, i, count[i][k]);
    }
    int moved = 0;
    for (uint64_t i = 0; i < 1000; i++)
        moved += ae_rng_permute(0, 0, 1000, i) != ae_rng_permute(0, 1, 1000, i);
    cr_assert_gt(moved, 980);
}
