#include "model/decode.h"
#include "tests/model/rig.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows that go on from a state: what two halves give beside the row they were cut from. */

enum { ROWS = 3, WHOLE = 40, CUT = 17, REST = WHOLE - CUT };

typedef struct {
    ae_model m;
    rig_batch whole, halves[2];
    ae_decode_state states[3]; /* before the first half, between the two, after the second */
} split;

static rig_batch half_of(const rig_batch *b, ptrdiff_t from, ptrdiff_t T) {
    rig_batch half = rig_batch_new(b->B, T);
    for (ptrdiff_t row = 0; row < b->B; row++) {
        const ptrdiff_t to = row * T, at = row * b->T + from;
        memcpy(half.tokens + to, b->tokens + at, (size_t)T * sizeof *b->tokens);
        memcpy(half.targets + to, b->targets + at, (size_t)T * sizeof *b->targets);
        memcpy(half.positions + to, b->positions + at, (size_t)T * sizeof *b->positions);
        memcpy(half.weights + to, b->weights + at, (size_t)T * sizeof *b->weights);
    }
    return half;
}

static void open_split(split *s, const ae_backend *be, const char *fixture, uint64_t seed) {
    rig_model(&s->m, be, fixture, true);
    s->whole = rig_batch_random(ROWS, WHOLE, s->m.config.V, seed);
    for (ptrdiff_t t = 0; t < WHOLE; t++)
        s->whole.positions[t] = (int32_t)t; /* one document, longer than the window */
    s->halves[0] = half_of(&s->whole, 0, CUT);
    s->halves[1] = half_of(&s->whole, CUT, REST);
    for (int i = 0; i < 3; i++) cr_assert_eq(ae_decode_state_init(&s->states[i], &s->m, ROWS), AE_OK);
}

static void close_split(split *s) {
    for (int i = 0; i < 3; i++) ae_decode_state_free(&s->states[i]);
    for (int i = 0; i < 2; i++) rig_batch_free(&s->halves[i]);
    rig_batch_free(&s->whole);
    ae_model_free(&s->m);
}

/* Both halves after each other, `rows` of them at a time. The sum of each half; nll of its places where not NULL. */
static void train_halves(split *s, ae_pass *p, ptrdiff_t rows, double sums[2], float *nll[2]) {
    for (int i = 0; i < 2; i++) {
        sums[i] = 0;
        for (ptrdiff_t at = 0; at < ROWS; at += rows) {
            const ae_carried_rows carried = {&s->states[i], &s->states[i + 1], at};
            ae_micro_batch b = rig_rows(&s->halves[i], at, ae_min(rows, ROWS - at));
            double sum = NAN;
            b.carried = &carried;
            ae_model_train_pass(&s->m, p, &b, 1, &sum, nll ? nll[i] + at * b.T : NULL);
            sums[i] += sum;
        }
    }
}

static const rig_backend_kind kinds[] = {RIG_CPU_BEST, RIG_CPU_AVX2, RIG_STRICT};

Test(carried, two_halves_are_the_row_they_were_cut_from) {
    static const char *const fixtures[] = {"tiny", "window", "hawk", "attention"};
    for (size_t k = 0; k < 3; k++)
        for (size_t f = 0; f < 4; f++) {
            split s;
            float nll[ROWS * WHOLE], first[ROWS * CUT], second[ROWS * REST];
            double sum = NAN, sums[2];
            open_split(&s, rig_backend(kinds[k], 2), fixtures[f], 5 + f);
            ae_pass *p = rig_pass(&s.m, ROWS, WHOLE, 0, true);
            const ae_micro_batch all = rig_rows(&s.whole, 0, ROWS);
            ae_model_score_pass(&s.m, p, &all, &sum, nll, 0, NULL, NULL);
            train_halves(&s, p, ROWS, sums, (float *[]){first, second});
            for (ptrdiff_t i = 0; i < ROWS * WHOLE; i++) {
                const ptrdiff_t row = i / WHOLE, t = i % WHOLE;
                const float got = t < CUT ? first[row * CUT + t] : second[row * REST + t - CUT];
                cr_assert_float_eq(got, nll[i], 2e-5f * (1 + nll[i]), "%s: place %td: %g, whole %g",
                                   fixtures[f], i, (double)got, (double)nll[i]);
            }
            cr_assert_float_eq(sums[0] + sums[1], sum, 1e-5 * sum);
            for (ptrdiff_t row = 0; row < ROWS; row++)
                cr_assert_eq(s.states[2].positions[row], s.whole.positions[(row + 1) * WHOLE - 1] + 1);
            ae_pass_delete(p);
            close_split(&s);
        }
}

/* A state belongs to its row; recomputed blocks start from it again. */
Test(carried, micro_batches_and_recomputing_give_the_same_gradient) {
    split s;
    double sums[2], again[2];
    open_split(&s, rig_backend(RIG_STRICT, 2), "tiny", 11);
    const size_t n = s.m.grad_bytes / sizeof(float);
    ae_pass *kept = rig_pass(&s.m, ROWS, WHOLE, 0, true), *recomputed = rig_pass(&s.m, ROWS, WHOLE, 99, true);
    train_halves(&s, kept, ROWS, sums, NULL);
    float *want = rig_gradients(&s.m);
    rig_clear_gradients(&s.m);
    train_halves(&s, recomputed, ROWS, again, NULL);
    float *got = rig_gradients(&s.m);
    cr_assert_arr_eq(got, want, n * sizeof *got, "recomputing changes no bit");
    cr_assert_arr_eq(again, sums, sizeof sums);
    free(got);
    rig_clear_gradients(&s.m);
    train_halves(&s, kept, 2, again, NULL);
    got = rig_gradients(&s.m);
    cr_assert(rig_relative(got, want, n) < 1e-6, "%g", rig_relative(got, want, n));
    free(got);
    free(want);
    ae_pass_delete(kept);
    ae_pass_delete(recomputed);
    close_split(&s);
}

/* All values moved along a direction, given like the gradients. */
static void move_values(ae_model *m, const float *direction, double by) {
    ptrdiff_t at = 0;
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        float *values = malloc(bytes);
        m->be->download(m->be, values, p->value, bytes);
        for (int64_t j = 0; j < p->n; j++) values[j] += (float)(by * (double)direction[at + j]);
        m->be->upload(m->be, p->value, values, bytes);
        at += (p->n + 15) / 16 * 16;
        free(values);
    }
    ae_model_values_changed(m);
}

static double loss_of_rest(split *s, ae_pass *p) {
    const ae_carried_rows carried = {&s->states[1], &s->states[2], 0};
    ae_micro_batch b = rig_rows(&s->halves[1], 0, ROWS);
    double sum = NAN;
    b.carried = &carried;
    ae_model_score_pass(&s->m, p, &b, &sum, NULL, 0, NULL, NULL);
    return sum;
}

/* The second half's loss along its gradient, the state between held still: truncated backpropagation is its derivative. */
Test(carried, the_gradient_is_that_of_a_loss_whose_state_stands_still) {
    static const char *const fixtures[] = {"tiny", "window", "attention"};
    for (size_t f = 0; f < 3; f++) {
        split s;
        double sums[2], squares = 0;
        open_split(&s, rig_backend(RIG_CPU_BEST, 2), fixtures[f], 21 + f);
        ae_pass *p = rig_pass(&s.m, ROWS, WHOLE, 0, true);
        train_halves(&s, p, ROWS, sums, NULL);
        rig_clear_gradients(&s.m);
        const ae_carried_rows carried = {&s.states[1], &s.states[2], 0};
        ae_micro_batch b = rig_rows(&s.halves[1], 0, ROWS);
        b.carried = &carried;
        ae_model_train_pass(&s.m, p, &b, 1, &sums[1], NULL);
        float *g = rig_gradients(&s.m);
        for (size_t i = 0; i < s.m.grad_bytes / sizeof *g; i++) squares += (double)g[i] * (double)g[i];
        const double by = 0.02 / squares; /* a change of the loss by 0.02 either way */
        move_values(&s.m, g, by);
        const double above = loss_of_rest(&s, p);
        move_values(&s.m, g, -2 * by);
        const double below = loss_of_rest(&s, p), slope = (above - below) / (2 * by) / squares;
        cr_assert_float_eq(slope, 1, 5e-3, "%s: %g", fixtures[f], slope);
        free(g);
        ae_pass_delete(p);
        close_split(&s);
    }
}
