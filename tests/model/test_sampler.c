#include "model/logits.h"
#include "model/lot.h"
#include "model/sampler.h"
#include "tests/model/random_logits.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { V = 8, DRAWS = 40000 };
static const float logits[V] = {0.5f, 2.0f, -1.0f, 2.0f, 0.0f, 1.0f, -3.0f, 1.0f};

static int32_t sample(const float *x, ptrdiff_t n, const ae_sampling *how, ae_rng *rng, double *logprob) {
    void *room = malloc(ae_sample_room_bytes(n));
    ae_draw d = {.logits = x, .how = how, .rng = rng, .wants_logprob = logprob != NULL};
    ae_sample(&d, n, room, 1);
    free(room);
    if (logprob) *logprob = d.logprob;
    return d.id;
}

static double share(int id, double temperature) {
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)logits[v] / temperature);
    return exp((double)logits[id] / temperature) / sum;
}

/* How often each id came, and that no log-probability lies. */
static void draw_many(const ae_sampling *how, double seen[V]) {
    ae_rng r = ae_rng_make(11, 5);
    memset(seen, 0, V * sizeof *seen);
    for (int i = 0; i < DRAWS; i++) {
        double logprob;
        const int32_t id = sample(logits, V, how, &r, &logprob);
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

Test(sampler, tempered_logprobs_are_those_of_the_law_that_is_drawn_from) {
    char room[8192];
    ae_rng r = ae_rng_make(4, 1);
    cr_assert_leq(ae_sample_room_bytes(V), sizeof room);
    for (int i = 0; i < 100; i++) {
        const ae_sampling how = {i % 2 ? 0.5 : 3, 0, 1, 0};
        ae_draw d = {.logits = logits, .how = &how, .rng = &r, .wants_logprob = true, .tempered = true};
        ae_sample(&d, V, room, 1);
        cr_assert_float_eq(d.logprob, log(share(d.id, how.temperature)), 1e-9);
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
    cr_assert_eq(sample(logits, V, &(ae_sampling){0, 5, 0.3, 0}, &r, &logprob), 1);
    cr_assert_float_eq(logprob, log(share(1, 1)), 1e-9);
    cr_assert_eq(r.counter, before.counter);
}

Test(sampler, one_token) {
    const float only = -7;
    for (int i = 0; i < 4; i++) {
        const ae_sampling how =
            ((const ae_sampling[]){{1, 0, 1, 0}, {0, 0, 1, 0}, {0.1, 1, 0.5, 0}, {5, 9, 0, 0}})[i];
        ae_rng r = ae_rng_make(2, 2);
        double logprob = 1;
        cr_assert_eq(sample(&only, 1, &how, &r, &logprob), 0);
        cr_assert_float_eq(logprob, 0, 1e-12);
    }
}

Test(sampler, not_finite_logits_are_survived) {
    static const float rows[][3] = {{NAN, 1, 0},
                                    {NAN, NAN, NAN},
                                    {-INFINITY, -INFINITY, -INFINITY},
                                    {INFINITY, 0, -INFINITY},
                                    {FLT_MAX, -FLT_MAX, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int h = 0; h < 4; h++) {
            const ae_sampling how =
                ((const ae_sampling[]){{0, 0, 1, 0}, {1, 0, 1, 0}, {1, 2, 0.9, 0}, {1e-30, 0, 0.5, 0}})[h];
            ae_rng r = ae_rng_make(3, i);
            double logprob = NAN;
            const int32_t id = sample(rows[i], 3, &how, &r, &logprob);
            cr_assert(id >= 0 && id < 3);
            cr_assert(isfinite(logprob) && logprob <= 0, "row %zu: %g", i, logprob);
        }
    }
    ae_rng r = ae_rng_make(3, 3);
    cr_assert_eq(sample(rows[0], 3, &(ae_sampling){1e-9, 0, 1, 0}, &r, NULL), 1);
}

/* The cut against a sorted list, on many random rows with many ties. */
static int descending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

Test(sampler, cuts_agree_with_sorting) {
    enum { N = 257 };
    float x[N], sorted[N];
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
            const int32_t id = sample(x, N, &(ae_sampling){50, k, 1, 0}, &r, NULL);
            int64_t earlier = 0;
            for (int32_t v = 0; v < id; v++) earlier += x[v] <= least && x[v] >= least;
            cr_assert(x[id] > least || (x[id] >= least && earlier < ties));
        }
    }
}

/* Rows of a table beyond its tokenizer: never drawn, however likely, but counted in the log-probability. */
Test(sampler, ids_without_a_piece_are_never_drawn) {
    const float x[] = {0.5f, 1, 0.25f, 9, 9};
    double sum = 0, logprob;
    for (int v = 0; v < 5; v++) sum += exp((double)x[v]);
    ae_rng r = ae_rng_make(1, 2);
    const ae_sampling greedy = {.top_p = 1, .ids = 3};
    cr_assert_eq(sample(x, 5, &greedy, &r, &logprob), 1);
    cr_assert_float_eq(logprob, 1 - log(sum), 1e-9);
    int seen[3] = {0};
    for (int i = 0; i < 3000; i++) seen[sample(x, 5, &(ae_sampling){1, 0, 1, 3}, &r, NULL)]++;
    const double three = exp(0.5) + exp(1) + exp(0.25);
    cr_assert_float_eq(seen[1] / 3000.0, exp(1) / three, 0.04);
    for (int i = 0; i < 300; i++) cr_assert_lt(sample(x, 5, &(ae_sampling){2, 4, 0.9, 3}, &r, NULL), 3);
}

/* ---- against what the draw is defined by: a sorted list and exact sums in double, id after id ---- */

enum { LARGE = 5000 };

typedef struct {
    float x;
    int32_t id;
} ranked;

static int better_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->x > y->x ? -1 : x->x < y->x ? 1 : x->id - y->id;
}

static double weight(float x, double top, double temperature) {
    return exp(((double)x - top) / temperature);
}

/* Sets kept[id] for the first of a sorted list. */
static void naive_keep(bool *kept, const float *x, ptrdiff_t n, const ae_sampling *how) {
    ranked *all = malloc((size_t)n * sizeof *all);
    double total = 0, sum = 0;
    for (ptrdiff_t v = 0; v < n; v++) all[v] = (ranked){x[v], (int32_t)v};
    qsort(all, (size_t)n, sizeof *all, better_first);
    const double top = (double)all[0].x;
    const ptrdiff_t most = how->top_k > 0 && how->top_k < n ? (ptrdiff_t)how->top_k : n;
    for (ptrdiff_t i = 0; i < most; i++) total += weight(all[i].x, top, how->temperature);
    for (ptrdiff_t i = 0; i < most && (i == 0 || sum < how->top_p * total || how->top_p >= 1); i++) {
        kept[all[i].id] = true;
        sum += weight(all[i].x, top, how->temperature);
    }
    free(all);
}

/* The id at `uniform` among those kept. */
static int32_t naive_find(const float *x, const bool *kept, ptrdiff_t n, double temperature, double uniform) {
    double top = (double)x[0], total = 0;
    int32_t id = 0;
    for (ptrdiff_t v = 1; v < n; v++) top = fmax(top, (double)x[v]);
    for (ptrdiff_t v = 0; v < n; v++) total += kept[v] ? weight(x[v], top, temperature) : 0;
    double left = uniform * total;
    for (int32_t v = 0; v < n && left >= 0; v++) {
        if (!kept[v]) continue;
        id = v;
        left -= weight(x[v], top, temperature);
    }
    return id;
}

static int32_t naive_sample(const float *x, ptrdiff_t n, const ae_sampling *how, double uniform) {
    bool *kept = calloc((size_t)n, sizeof *kept);
    naive_keep(kept, x, n, how);
    const int32_t id = naive_find(x, kept, n, how->temperature, uniform);
    free(kept);
    return id;
}

static double naive_logprob(const float *x, ptrdiff_t n, int32_t id) {
    double top = (double)x[0], sum = 0;
    for (ptrdiff_t v = 1; v < n; v++) top = fmax(top, (double)x[v]);
    for (ptrdiff_t v = 0; v < n; v++) sum += exp((double)x[v] - top);
    return (double)x[id] - (top + log(sum));
}

Test(sampler, draws_what_sums_in_order_define) {
    static float x[LARGE];
    static const ptrdiff_t sizes[] = {1, 2, 63, 64, 65, 1023, 1025, LARGE};
    static const ae_sampling ways[] = {
        {1, 0, 1, 0},     {0.7, 0, 0.9, 0}, {0.8, 40, 1, 0},  {1.2, 40, 0.8, 0}, {2, 0, 0.5, 0},
        {0.3, 200, 1, 0}, {1, 0, 0.999, 0}, {50, 0, 0.95, 0}, {1, 0, 0.05, 0},   {1, 3000, 0.99, 0}};
    void *room = malloc(ae_sample_room_bytes(LARGE));
    ae_rng r = ae_rng_make(21, 4);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < 5; kind++) {
            const ptrdiff_t n = sizes[i];
            random_logits(x, n, kind, &r);
            for (size_t h = 0; h < sizeof ways / sizeof *ways; h++)
                for (uint64_t k = 0; k < 6; k++) {
                    ae_rng a = ae_rng_make(h, k), b = a;
                    ae_draw d = {.logits = x, .how = &ways[h], .rng = &a, .wants_logprob = true};
                    ae_sample(&d, n, room, 1);
                    cr_assert_eq(d.id, naive_sample(x, n, &ways[h], ae_rng_uniform(&b)),
                                 "%td logits of kind %d, way %zu", n, kind, h);
                    cr_assert_eq(a.counter, b.counter);
                    const float got = (float)d.logprob, want = (float)naive_logprob(x, n, d.id);
                    cr_assert(got >= want && got <= want, "%td logits of kind %d: %.9g, expected %.9g", n,
                              kind, (double)got, (double)want);
                }
        }
    free(room);
}

/* The likelier the token, the finer is float32 near its log-probability, down to what sums in order can tell. */
Test(sampler, the_logprob_of_a_token_that_is_nearly_certain_is_that_of_sums_in_order) {
    static float x[LARGE];
    void *room = malloc(ae_sample_room_bytes(LARGE));
    ae_rng r = ae_rng_make(25, 4);
    for (int round = 0; round < 400; round++) {
        const ptrdiff_t n = round % 2 ? LARGE : 100;
        const ae_sampling how = {round % 3 ? 1 : 0.7, 0, round % 5 ? 1 : 0.9, 0};
        random_logits(x, n, 0, &r);
        x[ae_rng_below(&r, (uint64_t)n)] = (float)(6 + 0.05 * round);
        ae_draw d = {.logits = x, .how = &how, .rng = &r, .wants_logprob = true};
        ae_sample(&d, n, room, 1);
        const float got = (float)d.logprob, want = (float)naive_logprob(x, n, d.id);
        cr_assert(got >= want && got <= want, "round %d: %.9g, expected %.9g", round, (double)got,
                  (double)want);
    }
    free(room);
}

/* Where the cut of top_p is looked for between two bounds that a sample gives: many logits, flat ones, peaked ones, ties, and those whose
 * sample (as sample_of in model/sweep.c takes it) is far from all others, so that the cut is not between the bounds. */
Test(sampler, the_cut_is_found_between_bounds) {
    enum { N = 16384 + 1061, KINDS = 8 };
    static float x[N];
    static const double shares[] = {0.02, 0.5, 0.95, 0.999};
    void *room = malloc(ae_sample_room_bytes(N));
    ae_rng r = ae_rng_make(22, 4);
    for (int kind = 0; kind < KINDS; kind++) {
        random_logits(x, N, kind < 5 ? kind : 0, &r);
        for (ptrdiff_t g = 0; kind >= 5 && g < N / 64; g++) {
            const double near = 0.05 * ae_rng_normal(&r);
            x[g * 64 + (ptrdiff_t)(((uint32_t)g * 2654435761u) >> 16) % 64] =
                kind == 7 ? NAN : (float)(kind == 5 ? 3 + near : near - 9);
        }
        for (size_t h = 0; h < 8; h++) {
            const ae_sampling how = {h < 4 ? 0.8 : 2, 0, shares[h % 4], 0};
            for (uint64_t k = 0; k < 3; k++) {
                ae_rng a = ae_rng_make(h, k), b = a;
                ae_draw d = {.logits = x, .how = &how, .rng = &a};
                ae_sample(&d, N, room, 1 + (int)k);
                float usable[N];
                for (ptrdiff_t v = 0; v < N; v++) usable[v] = ae_logit_usable(x[v]);
                cr_assert_eq(d.id, naive_sample(usable, N, &how, ae_rng_uniform(&b)), "kind %d, way %zu",
                             kind, h);
            }
        }
    }
    free(room);
}

/* A penalty is a draw from other logits; the log-probability stays that of the given ones. */
Test(sampler, a_penalty_falls_on_what_was_seen) {
    enum { N = 1500 };
    static float x[N], y[N];
    static const ae_sampling ways[] = {{0, 0, 1, 0}, {1, 0, 1, 0}, {0.7, 40, 1, 0}, {1, 0, 0.9, N - 7}};
    uint8_t seen[N / 8 + 1] = {0};
    void *room = malloc(ae_sample_room_bytes(N));
    ae_rng r = ae_rng_make(24, 4);
    for (int round = 0; round < 20; round++) {
        const double penalty = round % 3 == 0 ? 0.8 : 1.4;
        random_logits(x, N, round % 3, &r);
        for (size_t i = 0; i < sizeof seen; i++) seen[i] = (uint8_t)ae_rng_u32(&r);
        for (int v = 0; v < N; v++) {
            const bool is_seen = seen[v / 8] & (1 << v % 8);
            const double z = (double)x[v];
            y[v] = !is_seen ? x[v] : (float)(z > 0 ? z / penalty : z * penalty);
        }
        for (size_t h = 0; h < sizeof ways / sizeof *ways; h++) {
            ae_rng a = ae_rng_make(h, (uint64_t)round), b = a;
            ae_draw got = {.logits = x,
                           .how = &ways[h],
                           .rng = &a,
                           .wants_logprob = true,
                           .seen = seen,
                           .penalty = penalty};
            ae_draw want = {.logits = y, .how = &ways[h], .rng = &b};
            ae_sample(&got, N, room, 1);
            ae_sample(&want, N, room, 1);
            cr_assert_eq(got.id, want.id, "round %d, way %zu", round, h);
            cr_assert_float_eq(got.logprob, naive_logprob(x, N, got.id), 1e-6);
        }
    }
    free(room);
}

/* ---- near the edges between tokens and of the set ---- */

typedef struct {
    const float *x;
    ptrdiff_t n;
    void *room;
    ptrdiff_t sure; /* draws that were not in doubt */
} edges;

/* The draw is right or in doubt. */
static void expect_right_or_doubt(edges *e, const ae_sampling *how, const bool *kept, double uniform) {
    size_t bytes;
    ae_lot l = {
        .logits = e->x, .n = e->n, .how = how, .room = ae_lot_room_of(e->room, e->n, &bytes), .threads = 1};
    const ae_logit_groups groups = ae_lot_groups(&l, false);
    ae_logit_tops(&groups, 1);
    l.weight = (ae_measure){(double)ae_logit_top(e->x, e->n), how->temperature};
    l.law = ae_logit_law_of(l.weight.top, 1 / how->temperature);
    const ptrdiff_t id = ae_lot_draw_nucleus(&l, uniform);
    if (id >= 0)
        cr_assert_eq(id, naive_find(e->x, kept, e->n, how->temperature, uniform),
                     "top_p %.17g, uniform %.17g", how->top_p, uniform);
    e->sure += id >= 0;
}

static const double offsets[] = {0, 1e-12, -1e-12, 1e-9, -1e-9, 1e-8, -1e-8, 1e-7, -1e-7, 1e-6, -1e-6};
enum { OFFSETS = sizeof offsets / sizeof *offsets };

/* Near the edges before `count` ids, random ones of the first `most`, from the share `from` of the sum on. */
static void draw_at_edges(edges *e, const ae_sampling *how, int count, ptrdiff_t most, double from) {
    bool *kept = calloc((size_t)e->n, sizeof *kept);
    ae_rng r = ae_rng_make(33, 5);
    naive_keep(kept, e->x, e->n, how);
    const double top = (double)ae_logit_top(e->x, e->n);
    double total = 0;
    for (ptrdiff_t v = 0; v < e->n; v++) total += kept[v] ? weight(e->x[v], top, how->temperature) : 0;
    for (int i = 0; i < count;) {
        const ptrdiff_t edge = (ptrdiff_t)ae_rng_below(&r, (uint64_t)most);
        double before = 0;
        for (ptrdiff_t v = 0; v < edge; v++) before += kept[v] ? weight(e->x[v], top, how->temperature) : 0;
        if (before < from * total) continue;
        for (int k = 0; k < OFFSETS; k++) {
            const double uniform = before / total + offsets[k];
            if (uniform >= 0 && uniform < 1) expect_right_or_doubt(e, how, kept, uniform);
        }
        i++;
    }
    free(kept);
}

Test(sampler, random_numbers_at_the_edge_of_a_token_draw_it_or_are_in_doubt) {
    enum { N = 30011, EDGES = 60 };
    static float x[N];
    const ae_sampling how = {0.8, 0, 0.9, 0};
    edges e = {x, N, malloc(ae_sample_room_bytes(N)), 0};
    ae_rng r = ae_rng_make(33, 4);
    random_logits(x, N, 0, &r);
    draw_at_edges(&e, &how, EDGES, N, 0);
    cr_assert(e.sure > EDGES * OFFSETS / 2, "%td", e.sure);
    free(e.room);
}

/* The sums of blocks are rough, those within a block are not, so errors of the sum do not cancel those of edges in the last block. Its
 * logits are alike: so are their errors, which then add up. */
Test(sampler, random_numbers_at_edges_in_a_block_with_nearly_all_weight_draw_it_or_are_in_doubt) {
    enum { N = 1 << 15, ROUNDS = 30, EDGES = 4, FAR = 2 };
    static float x[N];
    const double heavy = log(99.0 * (N - AE_LOGIT_BLOCK) / AE_LOGIT_BLOCK) + 0.5;
    const ae_sampling how = {1, 0, 0.995, 0};
    edges e = {x, N, malloc(ae_sample_room_bytes(N)), 0};
    ae_rng r = ae_rng_make(37, 4);
    for (int round = 0; round < ROUNDS; round++) {
        random_logits(x, N, 0, &r);
        for (ptrdiff_t v = 0; v < AE_LOGIT_BLOCK; v++) x[v] = (float)(heavy + 0.01 * round);
        draw_at_edges(&e, &how, EDGES, AE_LOGIT_BLOCK, 0.95);
    }
    cr_assert(e.sure >= ROUNDS * EDGES * FAR, "%td", e.sure);
    free(e.room);
}

Test(sampler, shares_at_the_edge_of_the_set_keep_the_token_or_are_in_doubt) {
    enum { N = 20011, EDGES = 12 };
    static float x[N];
    static bool kept[N];
    edges e = {x, N, malloc(ae_sample_room_bytes(N)), 0};
    ae_rng r = ae_rng_make(34, 4);
    random_logits(x, N, 0, &r);
    const double top = (double)ae_logit_top(x, N);
    double total = 0;
    for (ptrdiff_t v = 0; v < N; v++) total += weight(x[v], top, 1);
    for (int i = 0; i < EDGES; i++) {
        const float least = x[ae_rng_below(&r, N)];
        double share = 0;
        for (ptrdiff_t v = 0; v < N; v++) share += x[v] >= least ? weight(x[v], top, 1) / total : 0;
        for (int k = 0; k < OFFSETS; k++) {
            const ae_sampling how = {1, 0, share + offsets[k], 0};
            if (how.top_p >= 1) continue;
            memset(kept, 0, sizeof kept);
            naive_keep(kept, x, N, &how);
            /* the last token that is kept */
            double before = 0, all = 0;
            for (ptrdiff_t v = 0; v < N; v++) {
                if (kept[v] && x[v] < least + 1e-3f && before <= 0) before = all;
                all += kept[v] ? weight(x[v], top, 1) : 0;
            }
            expect_right_or_doubt(&e, &how, kept, before / all + 1e-6);
        }
    }
    cr_assert(e.sure > EDGES * OFFSETS / 2, "%td", e.sure);
    free(e.room);
}

/* A draw takes the groups of the next one's logits. Rows of their own, some with a penalty, some of fewer ids, some drawn otherwise. */
Test(sampler, draws_in_a_row_are_those_of_each_alone) {
    enum { N = 9000, ROWS = 40 };
    static float x[ROWS][N];
    static uint8_t seen[N / 8 + 1];
    static const ae_sampling ways[] = {{1, 0, 0.9, 0}, {0.8, 0, 0.5, 0}, {1, 0, 0.9, N - 500},
                                       {1, 40, 1, 0},  {0, 0, 1, 0},     {1, 0, 1, 0}};
    ae_draw draws[2][ROWS];
    ae_rng rngs[2][ROWS], r = ae_rng_make(35, 4);
    memset(seen, 0x5a, sizeof seen);
    for (int threads = 1; threads <= 3; threads += 2) {
        void *room = malloc(ae_sample_each_room_bytes(N, ROWS, threads));
        for (int i = 0; i < ROWS; i++) {
            const bool again = i > 0 && ae_rng_below(&r, 4) == 0; /* the row before it */
            random_logits(x[i], N, i % 3, &r);
            const ae_draw d = {.logits = again ? draws[0][i - 1].logits : x[i],
                               .how = &ways[ae_rng_below(&r, 10) % 6],
                               .wants_logprob = i % 4 == 0,
                               .seen = ae_rng_below(&r, 5) == 0 ? seen : NULL,
                               .penalty = 1.3};
            for (int k = 0; k < 2; k++) {
                draws[k][i] = d;
                draws[k][i].rng = &rngs[k][i];
                rngs[k][i] = ae_rng_make(36, (uint64_t)i);
            }
            ae_sample(&draws[0][i], N, room, 1);
        }
        ae_sample_each(draws[1], ROWS, N, room, threads);
        for (int i = 0; i < ROWS; i++) {
            cr_assert_eq(draws[0][i].id, draws[1][i].id, "row %d of %d threads", i, threads);
            if (draws[0][i].wants_logprob)
                cr_assert_eq(memcmp(&draws[0][i].logprob, &draws[1][i].logprob, sizeof(double)), 0);
        }
        free(room);
    }
}

/* Draws of one row in one way, several at once, by several threads. */
static void expect_draws(const float *x, const bool *kept, ptrdiff_t n, const ae_sampling *how, int threads) {
    enum { EACH_WAY = 20 };
    ae_draw draws[EACH_WAY];
    ae_rng rngs[EACH_WAY];
    static float usable[1 << 16];
    void *room = malloc(ae_sample_each_room_bytes(n, EACH_WAY, threads));
    for (uint64_t k = 0; k < EACH_WAY; k++) {
        rngs[k] = ae_rng_make(31, k);
        draws[k] = (ae_draw){.logits = x, .how = how, .rng = &rngs[k]};
    }
    ae_sample_each(draws, EACH_WAY, n, room, threads);
    for (ptrdiff_t v = 0; v < n; v++) usable[v] = ae_logit_usable(x[v]);
    for (uint64_t k = 0; k < EACH_WAY; k++) {
        ae_rng r = ae_rng_make(31, k);
        cr_assert_eq(draws[k].id, naive_find(usable, kept, n, how->temperature, ae_rng_uniform(&r)),
                     "temperature %g, top_p %g, draw %d", how->temperature, how->top_p, (int)k);
    }
    free(room);
}

/* Laws of logits with the share that top_p keeps, from most of the weight in one id to all alike; of two laws a part of the ids is not
 * finite. */
Test(sampler, top_p_alone_draws_what_sums_in_order_define) {
    enum { N = 20011, LAWS = 8 };
    static float x[N], usable[N];
    static bool kept[N];
    static const double temperatures[] = {0.02, 0.8, 3}, shares[] = {0.1, 0.6, 0.95};
    ae_rng r = ae_rng_make(32, 4);
    for (int law = 0; law < LAWS; law++) {
        random_logits(x, N, law % 5, &r);
        for (ptrdiff_t v = 0; v < N; v++) {
            if (law == 5) x[v] = 20 - 3 * logf(1 + (float)v) + x[v];
            if (law == 6 && v % 3) x[v] = v % 2 ? NAN : -INFINITY;
            if (law == 7) x[v] = v % 64 < 60 ? -INFINITY : 500 + x[v];
            usable[v] = ae_logit_usable(x[v]);
        }
        for (int way = 0; way < 9; way++) {
            const ae_sampling how = {temperatures[way / 3], 0, shares[way % 3], 0};
            memset(kept, 0, sizeof kept);
            naive_keep(kept, usable, N, &how);
            expect_draws(x, kept, N, &how, 1);
            expect_draws(x, kept, N, &how, 3);
        }
    }
}

Test(sampler, threads_change_nothing) {
    enum { MANY = 70000, DRAWN = 9 };
    float *x = malloc(MANY * sizeof *x);
    ae_rng r = ae_rng_make(3, 1);
    random_logits(x, MANY, 1, &r);
    static const ae_sampling ways[] = {{0, 0, 1, 0}, {3, 0, 1, 0}, {3, 0, 0.9, 0}};
    for (ptrdiff_t n = 1; n <= DRAWN; n += 4) {
        ae_draw draws[2][DRAWN] = {0};
        ae_rng rngs[2][DRAWN];
        for (int threads = 1; threads <= 5; threads += 4) {
            const int t = threads > 1;
            void *room = malloc(ae_sample_each_room_bytes(MANY, n, threads));
            for (ptrdiff_t i = 0; i < n; i++) {
                rngs[t][i] = ae_rng_make(7, (uint64_t)i);
                draws[t][i] =
                    (ae_draw){.logits = x, .how = &ways[i % 3], .rng = &rngs[t][i], .wants_logprob = true};
            }
            ae_sample_each(draws[t], n, MANY, room, threads);
            free(room);
        }
        for (ptrdiff_t i = 0; i < n; i++) {
            cr_assert_eq(draws[0][i].id, draws[1][i].id);
            cr_assert(!(draws[0][i].logprob < draws[1][i].logprob) &&
                      !(draws[0][i].logprob > draws[1][i].logprob));
        }
    }
    free(x);
}
