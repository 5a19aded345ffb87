#include "model/sampler.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { V = 8, DRAWS = 40000 };
static const float logits[V] = {0.5f, 2.0f, -1.0f, 2.0f, 0.0f, 1.0f, -3.0f, 1.0f};

static double share(int id, double temperature) {
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)logits[v] / temperature);
    return exp((double)logits[id] / temperature) / sum;
}

/* How often each id came, and that no log-probability lies. */
static void draw_many(const ae_sampling *how, double seen[V]) {
    ae_rng r = ae_rng_make(11, 5);
    float room[V];
    memset(seen, 0, V * sizeof *seen);
    for (int i = 0; i < DRAWS; i++) {
        double logprob;
        const int32_t id = ae_sample(logits, V, how, &r, &logprob, room);
        cr_assert(id >= 0 && id < V);
        cr_assert_float_eq(logprob, log(share(id, 1)), 1e-9);
        seen[id]++;
    }
    for (int v = 0; v < V; v++) seen[v] /= DRAWS;
}

static void expect_only(const double seen[V], const bool kept[V], double temperature) {
    double mass = 0;
    for (int v = 0; v < V; v++) mass += kept[v] ? share(v, temperature) : 0;
    for (int v = 0; v < V; v++) {
        const double want = kept[v] ? share(v, temperature) / mass : 0;
        cr_assert(fabs(seen[v] - want) <= 5 * sqrt(want * (1 - want) / DRAWS) + 1e-12, "%d: %g, expected %g",
                  v, seen[v], want);
    }
}

Test(sampler, follows_the_softmax) {
    static const bool all[V] = {1, 1, 1, 1, 1, 1, 1, 1};
    double seen[V];
    for (int i = 0; i < 3; i++) {
        const double temperature = (double[]){1, 0.5, 3}[i];
        draw_many(&(ae_sampling){temperature, 0, 1, 0}, seen);
        expect_only(seen, all, temperature);
    }
}

Test(sampler, top_k_takes_the_smaller_id_among_equals) {
    double seen[V];
    draw_many(&(ae_sampling){1, 3, 1, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1, 0, 1, 0, 1, 0, 0}, 1);
    draw_many(&(ae_sampling){1, 1, 1, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1}, 1);
    draw_many(&(ae_sampling){2, 100, 1, 0}, seen);
    expect_only(seen, (const bool[V]){1, 1, 1, 1, 1, 1, 1, 1}, 2);
}

Test(sampler, top_p_takes_the_smallest_set) {
    double seen[V];
    const double first = share(1, 1), two = 2 * first;
    draw_many(&(ae_sampling){1, 0, first * 0.9, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1}, 1);
    draw_many(&(ae_sampling){1, 0, first * 1.1, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1, 0, 1}, 1);
    draw_many(&(ae_sampling){1, 0, two + share(5, 1) * 1.5, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1, 0, 1, 0, 1, 0, 1}, 1);
    draw_many(&(ae_sampling){1, 0, 0, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1}, 1);
    /* of the three that top_k leaves, the first two hold more than 0.7 */
    draw_many(&(ae_sampling){1, 3, 0.7, 0}, seen);
    expect_only(seen, (const bool[V]){0, 1, 0, 1}, 1);
}

Test(sampler, greedy_takes_the_smaller_id) {
    ae_rng r = ae_rng_make(1, 1);
    const ae_rng before = r;
    double logprob;
    float room[V];
    cr_assert_eq(ae_sample(logits, V, &(ae_sampling){0, 5, 0.3, 0}, &r, &logprob, room), 1);
    cr_assert_float_eq(logprob, log(share(1, 1)), 1e-12);
    cr_assert_eq(r.counter, before.counter);
}

Test(sampler, one_token) {
    const float only = -7;
    float room;
    for (int i = 0; i < 4; i++) {
        const ae_sampling how =
            ((const ae_sampling[]){{1, 0, 1, 0}, {0, 0, 1, 0}, {0.1, 1, 0.5, 0}, {5, 9, 0, 0}})[i];
        ae_rng r = ae_rng_make(2, 2);
        double logprob = 1;
        cr_assert_eq(ae_sample(&only, 1, &how, &r, &logprob, &room), 0);
        cr_assert_float_eq(logprob, 0, 1e-12);
    }
}

Test(sampler, not_finite_logits_are_survived) {
    static const float rows[][3] = {{NAN, 1, 0},
                                    {NAN, NAN, NAN},
                                    {-INFINITY, -INFINITY, -INFINITY},
                                    {INFINITY, 0, -INFINITY},
                                    {FLT_MAX, -FLT_MAX, 0}};
    float room[3];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int h = 0; h < 4; h++) {
            const ae_sampling how =
                ((const ae_sampling[]){{0, 0, 1, 0}, {1, 0, 1, 0}, {1, 2, 0.9, 0}, {1e-30, 0, 0.5, 0}})[h];
            ae_rng r = ae_rng_make(3, i);
            double logprob = NAN;
            const int32_t id = ae_sample(rows[i], 3, &how, &r, &logprob, room);
            cr_assert(id >= 0 && id < 3);
            cr_assert(isfinite(logprob) && logprob <= 0, "row %zu: %g", i, logprob);
        }
    }
    ae_rng r = ae_rng_make(3, 3);
    cr_assert_eq(ae_sample(rows[0], 3, &(ae_sampling){1e-9, 0, 1, 0}, &r, NULL, room), 1);
}

/* The cut against a sorted list, on many random rows with many ties. */
static int descending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

Test(sampler, cuts_agree_with_sorting) {
    enum { N = 257 };
    float x[N], sorted[N], room[N];
    ae_rng r = ae_rng_make(4, 4);
    for (int round = 0; round < 200; round++) {
        for (int v = 0; v < N; v++) x[v] = (float)ae_rng_below(&r, 20) * 0.25f;
        memcpy(sorted, x, sizeof x);
        qsort(sorted, N, sizeof *sorted, descending);
        const int64_t k = 1 + (int64_t)ae_rng_below(&r, N);
        const float least = sorted[k - 1];
        int64_t ties = 0;
        for (int64_t i = 0; i < k; i++) ties += sorted[i] <= least;
        for (int i = 0; i < 20; i++) {
            const int32_t id = ae_sample(x, N, &(ae_sampling){50, k, 1, 0}, &r, NULL, room);
            int64_t earlier = 0;
            for (int32_t v = 0; v < id; v++) earlier += x[v] <= least && x[v] >= least;
            cr_assert(x[id] > least || (x[id] >= least && earlier < ties));
        }
    }
}

/* Rows of a table beyond its tokenizer: never drawn, however likely, but counted in the log-probability. */
Test(sampler, ids_without_a_piece_are_never_drawn) {
    const float x[] = {0.5f, 1, 0.25f, 9, 9};
    float room[5];
    double sum = 0, logprob;
    for (int v = 0; v < 5; v++) sum += exp((double)x[v]);
    ae_rng r = ae_rng_make(1, 2);
    const ae_sampling greedy = {.top_p = 1, .ids = 3};
    cr_assert_eq(ae_sample(x, 5, &greedy, &r, &logprob, room), 1);
    cr_assert_float_eq(logprob, 1 - log(sum), 1e-12);
    int seen[3] = {0};
    for (int i = 0; i < 3000; i++) seen[ae_sample(x, 5, &(ae_sampling){1, 0, 1, 3}, &r, NULL, room)]++;
    const double three = exp(0.5) + exp(1) + exp(0.25);
    cr_assert_float_eq(seen[1] / 3000.0, exp(1) / three, 0.04);
    for (int i = 0; i < 300; i++)
        cr_assert_lt(ae_sample(x, 5, &(ae_sampling){2, 4, 0.9, 3}, &r, NULL, room), 3);
}
