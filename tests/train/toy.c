#include "tests/train/toy.h"

#include "core/file.h"
#include "core/h5.h"
#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

enum { HEAD_BYTES = TOY_WIDTH * sizeof(float) };
static const int64_t FIRST_HELD_OUT = (int64_t)1 << 40; /* no run draws so many */

typedef struct {
    float sums[TOY_BATCH][TOY_WIDTH]; /* of the embeddings of a sequence */
    float counts[TOY_BATCH];
} work;

static ae_status open_it(void *self, const ae_run_facts *run) {
    ((toy *)self)->run = run;
    return AE_OK;
}

/* Between the device and head.h5. */
static ae_status move_head(const toy *t, const char *path, bool writes) {
    const int64_t shape[] = {TOY_WIDTH};
    float head[TOY_WIDTH];
    hid_t file = -1;
    ae_status st = writes ? ae_h5_create(&file, path) : ae_h5_open(&file, path);
    if (st != AE_OK) return st;
    if (writes) t->run->be->download(t->run->be, head, t->head, HEAD_BYTES);
    st = writes ? ae_h5_write(file, path, "score.weight", H5T_NATIVE_FLOAT, 1, shape, head)
                : ae_h5_read(file, path, "score.weight", H5T_NATIVE_FLOAT, 1, shape, head);
    if (st == AE_OK && !writes) t->run->be->upload(t->run->be, t->head, head, HEAD_BYTES);
    const ae_status closed = ae_h5_close(file, path);
    return st == AE_OK ? closed : st;
}

static ae_status write_head(void *self, const char *path) {
    return move_head(self, path, true);
}

static ae_status start(void *self) {
    toy *t = self;
    ae_rng rng = ae_rng_make(t->run->seed, ae_rng_hash(t->run->seed, "toy.embeddings"));
    for (int i = 0; i < TOY_TOKENS * TOY_WIDTH; i++) t->embeddings[i] = (float)ae_rng_normal(&rng);
    ae_status st = t->run->be->alloc(t->run->be, (void **)&t->memory, 2 * HEAD_BYTES);
    if (st != AE_OK) return st;
    t->drawn = t->run->step * TOY_BATCH;
    t->head = t->memory;
    t->grad = ae_f32_at(t->memory, TOY_WIDTH);
    t->run->be->zero(t->run->be, t->memory, 2 * HEAD_BYTES);
    if (!t->run->checkpoint) return AE_OK;
    char *path = ae_path_join(t->run->checkpoint, "head.h5");
    st = move_head(t, path, false);
    free(path);
    return st;
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
            w->counts[s] += token == TOY_COUNTED;
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

typedef struct {
    double loss, worst; /* mean of (head . sum - count)^2 / 2, largest error */
    float grad[TOY_WIDTH];
} outcome;

static outcome regress(const toy *t, const work *w) {
    float head[TOY_WIDTH];
    outcome o = {0};
    t->run->be->download(t->run->be, head, t->head, HEAD_BYTES);
    for (int s = 0; s < TOY_BATCH; s++) {
        float error = -w->counts[s];
        for (int d = 0; d < TOY_WIDTH; d++) error += head[d] * w->sums[s][d];
        for (int d = 0; d < TOY_WIDTH; d++) o.grad[d] += error * w->sums[s][d] / TOY_BATCH;
        o.loss += 0.5 * (double)error * (double)error / TOY_BATCH;
        o.worst = fmax(o.worst, (double)fabsf(error));
    }
    return o;
}

static ae_status gradients(void *self, void *piece, ae_gradients *g) {
    const toy *t = self;
    const outcome o = regress(t, piece);
    t->run->be->upload(t->run->be, t->grad, o.grad, HEAD_BYTES);
    ae_numbers_add(&g->numbers, "squared_error", o.loss);
    ae_numbers_add(&g->numbers, "worst_error", o.worst);
    g->finite = isfinite(o.loss);
    g->tokens = TOY_BATCH * TOY_LENGTH;
    return AE_OK;
}

static ae_status evaluate(void *self, ae_evaluation *e) {
    work held_out;
    draw(self, FIRST_HELD_OUT, &held_out);
    ae_numbers_add(&e->numbers, "eval_closeness", 1 / (1 + regress(self, &held_out).worst));
    return AE_OK;
}

static ae_status save(void *self, ae_checkpoint_job *job) {
    return ae_checkpoint_add_later(job, "head.h5", write_head, self);
}

static void close_it(void *self) {
    toy *t = self;
    t->run->be->release(t->run->be, t->memory, 2 * HEAD_BYTES);
    *t = (toy){0};
}

ae_objective toy_objective(toy *t) {
    static const ae_checkpoint_name files[] = {{"head.h5", false}, {NULL, false}};
    return (ae_objective){t,
                          files,
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
