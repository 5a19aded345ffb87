#include "benchmark/classifier_parts.h"
#include "benchmark/words.h"
#include "core/json.h"
#include "core/logistic.h"
#include "core/rng.h"
#include "data/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ae_classifier_settings ae_classifier_defaults(void) {
    return (ae_classifier_settings){
        .heldout = 0.1, .epochs = 5, .rate = 0.5, .l2 = 1e-6, .bits = 18, .seed = 1};
}

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "classifier: out of memory");
}

typedef struct {
    ae_classifier *c;
    const ae_labelled *rows;
    const ae_classifier_settings *s;
    ptrdiff_t *sides[2]; /* numbers of the rows that are trained on, and of those that are held out */
    ptrdiff_t n[2];
    float *squares; /* [2^bits + 1] of gradients */
    int64_t done;
} training;

/* ---- two sides ---- */

static ae_status share_out(training *t, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        char *lower = ae_words_lower(t->rows[i].text);
        if (!lower) return out_of_memory();
        ae_rng r = ae_rng_make(t->s->seed, ae_fnv(AE_FNV_START, lower, strlen(lower)));
        const int side = ae_rng_uniform(&r) < t->s->heldout;
        free(lower);
        t->sides[side][t->n[side]++] = i;
    }
    return AE_OK;
}

static ae_status check_sides(const training *t, const char *data) {
    static const char *const names[] = {"to train on", "held out"};
    for (int side = 0; side < 2; side++) {
        ptrdiff_t positive = 0;
        for (ptrdiff_t k = 0; k < t->n[side]; k++) positive += t->rows[t->sides[side][k]].positive;
        if (positive == 0 || positive == t->n[side])
            return AE_FAIL(AE_ERR_INPUT, "%s: expected rows of both labels %s, found %td of 1 and %td of 0",
                           data, names[side], positive, t->n[side] - positive);
    }
    return AE_OK;
}

/* ---- steps ---- */

static void move(float *w, float *squares, double gradient, double rate) {
    const double sum = (double)*squares + gradient * gradient;
    *squares = (float)sum;
    if (sum > 0) *w = (float)((double)*w - rate * gradient / sqrt(sum + 1e-8));
}

static ae_status learn(training *t, const ae_labelled *row) {
    ae_classifier *c = t->c;
    const ae_features *f = &c->features;
    const size_t bias = (size_t)1 << c->bits;
    const ae_status st = ae_features_of(&c->features, row->text);
    if (st != AE_OK) return st;
    const double slope = ae_sigmoid(ae_classifier_margin(c)) - row->positive;
    for (size_t i = 0; i < f->n; i++) {
        float *w = &c->weights[f->places[i]];
        move(w, &t->squares[f->places[i]], slope * (double)f->x[i] + t->s->l2 * (double)*w, t->s->rate);
    }
    move(&c->weights[bias], &t->squares[bias], slope, t->s->rate);
    return AE_OK;
}

static ae_status tell(training *t) {
    enum { EVERY = 512 };
    if (++t->done % EVERY != 0) return AE_OK;
    if (t->s->progress) t->s->progress(t->s->context, t->done, (int64_t)t->n[0] * t->s->epochs);
    return t->s->check ? t->s->check() : AE_OK;
}

static ae_status learn_all(training *t) {
    ae_status st = AE_OK;
    for (int e = 0; e < t->s->epochs; e++)
        for (ptrdiff_t k = 0; st == AE_OK && k < t->n[0]; k++) {
            const uint64_t at = ae_rng_permute(t->s->seed, (uint64_t)e, (uint64_t)t->n[0], (uint64_t)k);
            st = learn(t, &t->rows[t->sides[0][at]]);
            if (st == AE_OK) st = tell(t);
        }
    return st;
}

/* ---- what is said about it ---- */

static ae_status judge_heldout(training *t, ae_classifier_figures *figures) {
    double *p = calloc((size_t)t->n[1] + 1, sizeof *p);
    bool *truth = calloc((size_t)t->n[1] + 1, sizeof *truth);
    ae_status st = p && truth ? AE_OK : out_of_memory();
    for (ptrdiff_t k = 0; st == AE_OK && k < t->n[1]; k++) {
        const ae_labelled *row = &t->rows[t->sides[1][k]];
        p[k] = ae_classifier_probability(t->c, row->text);
        truth[k] = row->positive;
        if (isnan(p[k])) st = out_of_memory();
    }
    if (st == AE_OK) st = ae_classifier_judge(figures, p, truth, t->n[1]);
    free(p);
    free(truth);
    return st;
}

static ae_status say(training *t, const char *data) {
    const ae_classifier_settings *s = t->s;
    ptrdiff_t positive = 0;
    const ae_status st = judge_heldout(t, &t->c->heldout);
    if (st != AE_OK) return st;
    for (ptrdiff_t k = 0; k < t->n[0]; k++) positive += t->rows[t->sides[0][k]].positive;
    t->c->about =
        json_pack("{s:s, s:{s:I, s:I}, s:{s:f, s:i, s:f, s:f, s:i, s:I}, s:o}", "data", data, "trained", "n",
                  (json_int_t)t->n[0], "positive", (json_int_t)positive, "settings", "heldout", s->heldout,
                  "epochs", s->epochs, "rate", s->rate, "l2", s->l2, "bits", s->bits, "seed",
                  (json_int_t)s->seed, "heldout", ae_classifier_figures_json(&t->c->heldout));
    return t->c->about ? AE_OK : out_of_memory();
}

ae_status ae_classifier_train(ae_classifier **out, const ae_labelled *rows, ptrdiff_t n, const char *data,
                              const ae_classifier_settings *s) {
    training t = {.rows = rows, .s = s};
    ae_status st = ae_classifier_new(&t.c, s->bits);
    *out = NULL;
    if (st != AE_OK) return st;
    for (int i = 0; i < 2; i++) t.sides[i] = calloc((size_t)n + 1, sizeof *t.sides[i]);
    t.squares = calloc(((size_t)1 << s->bits) + 1, sizeof *t.squares);
    if (!t.sides[0] || !t.sides[1] || !t.squares) st = out_of_memory();
    if (st == AE_OK) st = share_out(&t, n);
    if (st == AE_OK) st = check_sides(&t, data);
    if (st == AE_OK) st = learn_all(&t);
    if (st == AE_OK) st = say(&t, data);
    for (int i = 0; i < 2; i++) free(t.sides[i]);
    free(t.squares);
    if (st == AE_OK)
        *out = t.c;
    else
        ae_classifier_free(t.c);
    return st;
}
