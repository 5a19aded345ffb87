#include "tests/train/toy.h"

#include "core/file.h"
#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

enum { N = TOY_BATCH * TOY_WIDTH, HEAD_BYTES = TOY_WIDTH * sizeof(float) };
enum { MEMORY_BYTES = 2 * HEAD_BYTES + (TOY_BATCH + 3 * N) * sizeof(float) };
static const int64_t FIRST_HELD_OUT = (int64_t)1 << 40; /* no run draws so many */

typedef struct {
    float sums[TOY_BATCH][TOY_WIDTH]; /* of the embeddings of a sequence */
    float counts[TOY_BATCH];
} work;

static ae_status open_it(void *self, const ae_run_facts *run) {
    ((toy *)self)->run = run;
    return AE_OK;
}

static ae_status load_head(const toy *t) {
    char *bytes = NULL, *path = ae_path_join(t->run->checkpoint, "head.f32");
    size_t n = 0;
    ae_status st = ae_file_read(path, &bytes, &n);
    if (st == AE_OK && n != HEAD_BYTES)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected %d bytes, found %zu", path, HEAD_BYTES, n);
    if (st == AE_OK) t->run->be->upload(t->run->be, t->head, bytes, n);
    free(bytes);
    free(path);
    return st;
}

static ae_status start(void *self) {
    toy *t = self;
    const ae_backend *be = t->run->be;
    ae_rng rng = ae_rng_make(t->run->seed, ae_rng_hash(t->run->seed, "toy.embeddings"));
    for (int i = 0; i < TOY_TOKENS * TOY_WIDTH; i++) t->embeddings[i] = (float)ae_rng_normal(&rng);
    t->drawn = t->run->step * TOY_BATCH;
    const ae_status st = be->alloc(be, (void **)&t->head, MEMORY_BYTES);
    if (st != AE_OK) return st;
    be->zero(be, t->head, MEMORY_BYTES);
    t->grad = ae_f32_at(t->head, TOY_WIDTH);
    t->values = ae_f32_at(t->grad, TOY_WIDTH);
    t->sums = ae_f32_at(t->values, TOY_BATCH);
    t->room = (ae_act *)ae_f32_at(t->sums, N);
    t->dz = (ae_act *)ae_f32_at(t->sums, 2 * N);
    return t->run->checkpoint ? load_head(t) : AE_OK;
}

static ae_status parameters(void *self, ae_optim_param **params, ptrdiff_t *n) {
    const toy *t = self;
    *n = 1;
    *params = calloc(1, sizeof **params);
    if (!*params) return AE_FAIL(AE_ERR_RESOURCE, "toy: out of memory");
    **params = (ae_optim_param){.name = "score.weight", .value = t->head, .grad = t->grad, .n = TOY_WIDTH};
    return AE_OK;
}

/* Sequence s is a function of the seed and of s. */
static void draw(const toy *t, int64_t first, work *w) {
    *w = (work){0};
    for (int s = 0; s < TOY_BATCH; s++) {
        ae_rng rng = ae_rng_make(t->run->seed, (uint64_t)(first + s));
        for (int i = 0; i < TOY_LENGTH; i++) {
            const int token = (int)ae_rng_below(&rng, TOY_TOKENS);
            w->counts[s] += token == t->keys.counted;
            for (int d = 0; d < TOY_WIDTH; d++) w->sums[s][d] += t->embeddings[token * TOY_WIDTH + d];
        }
    }
}

static ae_status next(void *self, void *piece) {
    toy *t = self;
    draw(t, t->drawn, piece);
    t->drawn += TOY_BATCH;
    return AE_OK;
}

/* Mean of (head . sum - count)^2 / 2; where the head learns, its gradient. */
static double regress(toy *t, const work *w, bool learns) {
    const ae_backend *be = t->run->be;
    float values[TOY_BATCH];
    double loss = t->worst = 0;
    be->upload(be, t->sums, w->sums, sizeof w->sums);
    const ae_act *z = ae_act_of(be, t->room, t->sums, N);
    be->head_scalar_forward(be, t->values, z, t->head, TOY_BATCH, TOY_WIDTH);
    be->download(be, values, t->values, sizeof values);
    for (int s = 0; s < TOY_BATCH; s++) {
        const double error = (double)values[s] - (double)w->counts[s];
        loss += 0.5 * error * error / TOY_BATCH;
        t->worst = fmax(t->worst, fabs(error));
        values[s] = (float)(error / TOY_BATCH);
    }
    be->upload(be, t->values, values, sizeof values);
    if (learns)
        be->head_scalar_backward(be, t->dz, t->grad, false, t->values, z, t->head, TOY_BATCH, TOY_WIDTH);
    return loss;
}

static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    const double loss = regress(self, piece, true);
    ae_numbers_add(&g->numbers, "squared_error", loss);
    ae_numbers_add(&g->numbers, "worst_error", ((toy *)self)->worst);
    g->finite = isfinite(loss);
    g->tokens = TOY_BATCH * TOY_LENGTH;
    return AE_OK;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    work held_out;
    draw(self, FIRST_HELD_OUT, &held_out);
    regress(self, &held_out, false);
    ae_numbers_add(&e->numbers, "eval_closeness", 1 / (1 + ((toy *)self)->worst));
    return AE_OK;
}

static ae_status save(void *self, ae_checkpoint_job *job) {
    const toy *t = self;
    float head[TOY_WIDTH];
    t->run->be->download(t->run->be, head, t->head, HEAD_BYTES);
    return ae_checkpoint_add_bytes(job, "head.f32", head, HEAD_BYTES);
}

static void close_it(void *self) {
    toy *t = self;
    t->run->be->release(t->run->be, t->head, MEMORY_BYTES);
    *t = (toy){.keys = t->keys};
}

ae_objective toy_objective(toy *t) {
    static const ae_checkpoint_name files[] = {{"head.f32", false}, {NULL, false}};
    return (ae_objective){.self = t,
                          .name = "toy",
                          .files = files,
                          .score = "eval_closeness",
                          .higher = true,
                          .open = open_it,
                          .start = start,
                          .parameters = parameters,
                          .piece_bytes = sizeof(work),
                          .next = next,
                          .gradients = gradients,
                          .evaluate = evaluate,
                          .save = save,
                          .close = close_it};
}
