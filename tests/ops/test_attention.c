#include "tests/ops/rig.h"

/* Of values stored in float32, of activations, and of gradients. In bfloat16 an activation is rounded by up to 2^-9; o is rounded before
 * delta is made of it, and products of that type take rounded probabilities. */
enum { STORED, FORWARD, BACKWARD };
static double tolerance(const rig *r, int of) {
    static const double f32[] = {1e-5, 1e-5, 1e-5}, bf16[] = {1e-5, 0x1.8p-8, 0x1p-6};
    return rig_tolerance(r, f32[of], bf16[of]);
}

/* Small enough for every element: lengths 1 to 11 around windows of 0 to 6; head sizes beside the vector width. */
static const ae_attention_dims small[] = {
    {1, 1, 1, 1, 1, 5, 0},  {1, 2, 1, 1, 5, 0, 0},  {2, 3, 2, 1, 4, 1, 0},  {1, 4, 3, 3, 5, 2, 0},
    {1, 4, 4, 2, 3, 5, 0},  {1, 5, 2, 1, 16, 5, 0}, {1, 6, 2, 1, 17, 5, 0}, {2, 7, 2, 2, 5, 5, 0},
    {1, 11, 6, 2, 3, 6, 0}, {1, 7, 2, 1, 8, -1, 0}, {3, 3, 2, 1, 7, -1, 0}, {1, 4, 2, 1, 24, 3, 0},
    {1, 5, 1, 1, 40, 3, 0}, {1, 4, 3, 1, 5, 3, 0},  {1, 4, 10, 1, 4, 2, 0},
};

/* Around blocks of 64 queries, 256 queries and 256 keys. */
static const ae_attention_dims large[] = {
    {1, 63, 2, 1, 5, 7, 0},     {1, 64, 2, 1, 8, 63, 0},   {2, 65, 3, 1, 24, 64, 0},
    {1, 127, 2, 2, 16, 65, 0},  {1, 129, 2, 1, 17, -1, 0}, {1, 255, 2, 1, 8, 100, 0},
    {1, 256, 1, 1, 16, 255, 0}, {1, 257, 4, 2, 5, 256, 0}, {2, 258, 2, 1, 8, 30, 0},
    {1, 300, 2, 1, 40, 257, 0}, {1, 511, 2, 1, 5, 255, 0}, {1, 513, 2, 1, 8, 300, 0},
    {1, 520, 1, 1, 8, -1, 0},   {1, 600, 2, 1, 5, 128, 0}, {1, 300, 10, 1, 4, 64, 0},
};

typedef struct {
    ae_attention_dims n;
    rig_ints positions;
    rig_array q, k, v, o, lse, d_o, dq, dk, dv;
    ae_room scratch;
    void *k_ring, *v_ring; /* what lies before the rows, or NULL */
} attention;

static attention make(rig *r, ae_attention_dims n, rig_layout layout, double scale) {
    rig_next(r, "B %td T %td N %td G %td H %td W %td layout %d", n.B, n.T, n.N, n.G, n.H, n.W, (int)layout);
    const ptrdiff_t M = n.B * n.T, Q = M * n.N * n.H, KV = M * n.G * n.H;
    n.rooms = r->be.threads; /* the tables say 0 */
    return (attention){n,
                       rig_positions(r, layout, n.B, n.T),
                       rig_act_normal(r, scale, Q),
                       rig_act_normal(r, scale, KV),
                       rig_act_normal(r, 1, KV),
                       rig_act_output(r, Q),
                       rig_output(r, M * n.N),
                       rig_act_normal(r, 1, Q),
                       rig_act_output(r, Q),
                       rig_act_output(r, KV),
                       rig_act_output(r, KV),
                       rig_room(r, r->be.attention_scratch_bytes(&r->be, n, 0)),
                       NULL,
                       NULL};
}

static double complex loss(void *context) {
    attention *k = context;
    const ae_attention_dims n = k->n;
    cref_attention(k->o.c, k->lse.c, k->q.c, k->k.c, k->v.c, k->positions.x, n.B, n.T, n.N, n.G, n.H, n.W);
    return rig_dot(k->d_o.d, k->o.c, k->o.n);
}

static void forward(rig *r, void *context) {
    attention *k = context;
    r->be.attention_forward(&r->be, k->o.dev, k->lse.dev, NULL, NULL, k->q.dev, k->k.dev, k->v.dev,
                            k->positions.dev, k->n, k->scratch);
}

static void backward(rig *r, void *context) {
    attention *k = context;
    r->be.attention_backward(&r->be, k->dq.dev, k->dk.dev, k->dv.dev, k->d_o.dev, k->q.dev, k->k.dev,
                             k->v.dev, k->k_ring, k->v_ring, k->o.dev, k->lse.dev, k->positions.dev, k->n,
                             k->scratch);
}

static void reference(attention *k) {
    const ae_attention_dims n = k->n;
    ref_attention(k->o.d, k->lse.d, k->q.d, k->k.d, k->v.d, k->positions.x, n.B, n.T, n.N, n.G, n.H, n.W);
}

static void expect_forward(rig *r, ae_attention_dims n, rig_layout layout) {
    attention k = make(r, n, layout, 1.5);
    reference(&k);
    forward(r, &k);
    const float *o = rig_read(r, &k.o), *lse = rig_read(r, &k.lse);
    rig_expect(r, "o", o, k.o.d, k.o.n, tolerance(r, FORWARD));
    rig_expect(r, "lse", lse, k.lse.d, k.lse.n, tolerance(r, STORED));
    k.scratch = rig_room(r, r->be.attention_scratch_bytes(&r->be, k.n, 1));
    rig_write(r, &k.o);
    forward(r, &k);
    rig_expect_bits(r, "o with scratch for inference", rig_read(r, &k.o), o, k.o.n);
}

static void expect_gradients(rig *r, attention *k) {
    r->floor = 1; /* one key: no gradient reaches its score */
    forward(r, k);
    backward(r, k);
    rig_expect_gradient(r, "dq", rig_read(r, &k->dq), &k->q, loss, k, tolerance(r, BACKWARD));
    rig_expect_gradient(r, "dk", rig_read(r, &k->dk), &k->k, loss, k, tolerance(r, BACKWARD));
    rig_expect_gradient(r, "dv", rig_read(r, &k->dv), &k->v, loss, k, tolerance(r, BACKWARD));
}

static void expect_backward(rig *r, ae_attention_dims n, rig_layout layout) {
    attention k = make(r, n, layout, 1);
    expect_gradients(r, &k);
}

ON_EVERY_TYPE(attention, small_forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(small); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_LAYOUTS; layout++) expect_forward(r, small[i], layout);
}

ON_EVERY_TYPE(attention, small_backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(small); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_LAYOUTS; layout++)
            expect_backward(r, small[i], layout);
}

ON_EVERY_TYPE(attention, large_forward_is_the_reference) {
    for (size_t i = 0; i < COUNT(large); i++) {
        expect_forward(r, large[i], RIG_ONE);
        expect_forward(r, large[i], i % 2 ? RIG_LONG : RIG_SHORT);
        expect_forward(r, large[i], i % 2 ? RIG_MIDDLE : RIG_LONG);
        expect_forward(r, large[i], RIG_FORKED);
    }
}

/* The reference takes the time: in bfloat16 a third of the sizes, of every kind one. */
ON_EVERY_TYPE(attention, large_backward_is_the_complex_step) {
    for (size_t i = 0; i < COUNT(large); i += r->bf16 ? 3 : 1) {
        expect_backward(r, large[i], i % 3 == 0 ? RIG_ONE : i % 3 == 1 ? RIG_LONG : RIG_MIDDLE);
        if (large[i].T < 260) expect_backward(r, large[i], i % 2 ? RIG_LONG : RIG_MIDDLE);
    }
}

/* Trunks and continuations across blocks of 256: one document, and continuations to the row's end. */
ON_EVERY_TYPE(attention, large_forked_backward_is_the_complex_step) {
    static const struct {
        ae_attention_dims n;
        ptrdiff_t trunk, each;
    } forked[] = {
        {{1, 600, 2, 1, 5, 128, 0}, 280, 300},
        {{1, 520, 1, 1, 8, -1, 0}, 100, 170},
        {{1, 700, 1, 1, 4, 400, 0}, 280, 300},
    };
    for (size_t i = 0; i < COUNT(forked); i++) {
        const ptrdiff_t T = forked[i].n.T, trunk = forked[i].trunk;
        attention k = make(r, forked[i].n, RIG_ONE, 1);
        for (ptrdiff_t t = trunk; t < T; t++)
            k.positions.x[t] = (int32_t)(trunk + (t - trunk) % forked[i].each);
        k.positions = rig_numbers(r, k.positions.x, T);
        expect_gradients(r, &k);
    }
}

/* Scores of some hundreds: the softmax neither overflows nor forgets the greatest. */
ON_EVERY_TYPE(attention, large_scores) {
    static const ae_attention_dims dims[] = {
        {1, 9, 2, 1, 8, 4, 0}, {1, 300, 2, 1, 8, -1, 0}, {1, 520, 2, 1, 8, 270, 0}};
    for (size_t i = 0; i < COUNT(dims); i++) {
        attention k = make(r, dims[i], RIG_ONE, 12);
        reference(&k);
        forward(r, &k);
        rig_expect(r, "o", rig_read(r, &k.o), k.o.d, k.o.n, rig_tolerance(r, 1e-4, 0x1.8p-8));
        rig_expect(r, "lse", rig_read(r, &k.lse), k.lse.d, k.lse.n, tolerance(r, STORED));
    }
}

/* Change one document: its neighbours keep their bits, and their gradients. */
ON_EVERY_TYPE(attention, documents_do_not_leak) {
    static const ptrdiff_t lengths[] = {12, 70, 330};
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (int spoilt = 0; spoilt < 3; spoilt++) {
            const ptrdiff_t T = lengths[i], third = T / 3;
            attention k = make(r, (ae_attention_dims){1, T, 2, 1, 8, T, 0}, RIG_ONE, 1);
            for (ptrdiff_t t = 0; t < T; t++) k.positions.x[t] = (int32_t)(t % third);
            k.positions = rig_numbers(r, k.positions.x, T);
            forward(r, &k);
            backward(r, &k);
            const float *o = rig_read(r, &k.o), *dq = rig_read(r, &k.dq), *dv = rig_read(r, &k.dv);
            for (ptrdiff_t j = spoilt * third * 16; j < (spoilt + 1) * third * 16; j++) {
                k.q.x[j] = 3 - 2 * k.q.x[j];
                k.d_o.x[j] = 1 + 4 * k.d_o.x[j];
                k.k.x[j / 2] = 2 - 3 * k.k.x[j / 2];
                k.v.x[j / 2] = 5 - 4 * k.v.x[j / 2];
            }
            rig_write(r, &k.q);
            rig_write(r, &k.k);
            rig_write(r, &k.v);
            rig_write(r, &k.d_o);
            forward(r, &k);
            backward(r, &k);
            const float *o2 = rig_read(r, &k.o), *dq2 = rig_read(r, &k.dq), *dv2 = rig_read(r, &k.dv);
            for (int other = 0; other < 3; other++) {
                const ptrdiff_t at = other * third * 8;
                if (other == spoilt) continue;
                rig_expect_bits(r, "o", o2 + 2 * at, o + 2 * at, 2 * third * 8);
                rig_expect_bits(r, "dq", dq2 + 2 * at, dq + 2 * at, 2 * third * 8);
                rig_expect_bits(r, "dv", dv2 + at, dv + at, third * 8);
            }
        }
}

/* The keys of position p of the last document lie at p mod W. */
static void expect_ring(rig *r, const char *what, const attention *k, const rig_array *ring,
                        const rig_array *keys) {
    const ae_attention_dims n = k->n;
    const float *got = rig_read(r, ring);
    const ptrdiff_t width = n.G * n.H;
    for (ptrdiff_t b = 0; b < n.B; b++) {
        const ptrdiff_t last = k->positions.x[(b + 1) * n.T - 1];
        for (ptrdiff_t back = 0; back < ae_min(n.W, ae_min(last + 1, n.T)); back++)
            rig_expect_bits(r, what, got + (b * n.W + (last - back) % n.W) * width,
                            keys->x + ((b + 1) * n.T - 1 - back) * width, width);
    }
}

static void step(rig *r, attention *k, const rig_array *k_ring, const rig_array *v_ring, ptrdiff_t from,
                 ptrdiff_t T, float *o) {
    const ae_attention_dims n = k->n, part = {n.B, T, n.N, n.G, n.H, n.W, n.rooms};
    const rig_array q = rig_cut(r, &k->q, n.B, n.T, from, T), keys = rig_cut(r, &k->k, n.B, n.T, from, T);
    const rig_array values = rig_cut(r, &k->v, n.B, n.T, from, T), out = rig_act_output(r, q.n);
    const rig_array lse = rig_output(r, n.B * T * n.N);
    const rig_ints positions = rig_cut_numbers(r, &k->positions, n.B, n.T, from, T);
    r->be.attention_forward(&r->be, out.dev, lse.dev, k_ring->dev, v_ring->dev, q.dev, keys.dev, values.dev,
                            positions.dev, part, k->scratch);
    rig_paste(o, rig_read(r, &out), n.B, n.T, from, T, n.N * n.H);
}

/* In calls of the given lengths, again and again, with rings that hold NaN at first. */
static void expect_in_parts(rig *r, ae_attention_dims n, rig_layout layout, const ptrdiff_t *lengths,
                            size_t count) {
    attention k = make(r, n, layout, 1.5);
    k.scratch = rig_room(r, r->be.attention_scratch_bytes(&r->be, k.n, 1));
    const rig_array k_ring = rig_act_output(r, n.B * n.W * n.G * n.H), v_ring = rig_act_output(r, k_ring.n);
    float *o = rig_host(r, (size_t)k.o.n * sizeof *o);
    size_t turn = 0;
    for (ptrdiff_t from = 0; from < n.T;) {
        const ptrdiff_t T = ae_min(lengths[turn++ % count], n.T - from);
        step(r, &k, &k_ring, &v_ring, from, T, o);
        from += T;
    }
    reference(&k);
    rig_expect(r, "o in parts", o, k.o.d, k.o.n, tolerance(r, FORWARD));
    expect_ring(r, "ring of keys", &k, &k_ring, &k.k);
    expect_ring(r, "ring of values", &k, &v_ring, &k.v);
}

ON_EVERY_TYPE(attention, calls_with_rings_are_one_call) {
    static const ae_attention_dims dims[] = {
        {1, 6, 1, 1, 4, 1, 0},     {2, 14, 2, 1, 5, 4, 0},  {3, 17, 4, 2, 8, 5, 0}, {2, 40, 3, 3, 3, 7, 0},
        {1, 70, 10, 1, 16, 33, 0}, {2, 40, 3, 3, 3, 64, 0}, /* room for all: no window */
        {1, 30, 4, 1, 5, 256, 0}};
    for (size_t i = 0; i < COUNT(dims); i++)
        for (rig_layout layout = RIG_ONE; layout < RIG_MIDDLE; layout++) {
            const ptrdiff_t W = dims[i].W;
            const ptrdiff_t ones[] = {1}, twos[] = {2}, window[] = {W}, beside[] = {W + 1, ae_max(W - 1, 1)};
            const ptrdiff_t mixed[] = {3, 1, 1, 2 * W + 3, 1, W, 2};
            expect_in_parts(r, dims[i], layout, ones, 1);
            expect_in_parts(r, dims[i], layout, twos, 1);
            expect_in_parts(r, dims[i], layout, window, 1);
            expect_in_parts(r, dims[i], layout, beside, 2);
            expect_in_parts(r, dims[i], layout, mixed, 7);
        }
}

ON_EVERY_TYPE(attention, long_calls_with_rings_are_one_call) {
    static const ptrdiff_t prefill[] = {257, 1, 64, 300}, blocks[] = {256}, queries[] = {64, 65};
    expect_in_parts(r, (ae_attention_dims){1, 700, 2, 1, 8, 300, 0}, RIG_ONE, prefill, 4);
    expect_in_parts(r, (ae_attention_dims){1, 700, 2, 1, 8, 256, 0}, RIG_LONG, blocks, 1);
    expect_in_parts(r, (ae_attention_dims){2, 400, 2, 1, 8, 100, 0}, RIG_LONG, queries, 2);
}

/* The second part of rows as a call that goes on with the rings of the first. */
typedef struct {
    attention whole, part;
    ptrdiff_t from;
} continued;

/* What the part holds, in the place of the whole it was cut from. */
static void put_back(double complex *whole, const rig_array *part, const continued *c) {
    const ptrdiff_t T = c->whole.n.T, rest = T - c->from, width = part->n / (c->whole.n.B * rest);
    for (ptrdiff_t b = 0; b < c->whole.n.B; b++)
        memcpy(whole + (b * T + c->from) * width, part->c + b * rest * width,
               (size_t)(rest * width) * sizeof *whole);
}

static double complex loss_of_part(void *context) {
    continued *c = context;
    put_back(c->whole.q.c, &c->part.q, c);
    put_back(c->whole.k.c, &c->part.k, c);
    put_back(c->whole.v.c, &c->part.v, c);
    return loss(&c->whole);
}

static attention cut(rig *r, const attention *k, ptrdiff_t from, ptrdiff_t T) {
    const ptrdiff_t B = k->n.B, whole = k->n.T;
    attention part = *k;
    part.n.T = T;
    part.positions = rig_cut_numbers(r, &k->positions, B, whole, from, T);
    part.q = rig_cut(r, &k->q, B, whole, from, T);
    part.k = rig_cut(r, &k->k, B, whole, from, T);
    part.v = rig_cut(r, &k->v, B, whole, from, T);
    part.d_o = rig_cut(r, &k->d_o, B, whole, from, T);
    part.o = rig_act_output(r, part.q.n);
    part.lse = rig_output(r, B * T * k->n.N);
    part.dq = rig_act_output(r, part.q.n);
    part.dk = rig_act_output(r, part.k.n);
    part.dv = rig_act_output(r, part.k.n);
    part.scratch = rig_room(r, r->be.attention_scratch_bytes(&r->be, part.n, 0));
    return part;
}

static void forward_on(rig *r, const attention *k) {
    r->be.attention_forward(&r->be, k->o.dev, k->lse.dev, k->k_ring, k->v_ring, k->q.dev, k->k.dev, k->v.dev,
                            k->positions.dev, k->n, k->scratch);
}

/* Gradients of the second part's loss; the keys of the first are there, and take none. */
static void expect_continued(rig *r, ae_attention_dims n, rig_layout layout, ptrdiff_t from) {
    continued c = {.from = from};
    attention *whole = &c.whole;
    *whole = make(r, n, layout, 1);
    const rig_array k_ring = rig_act_output(r, n.B * n.W * n.G * n.H), v_ring = rig_act_output(r, k_ring.n);
    whole->k_ring = k_ring.dev;
    whole->v_ring = v_ring.dev;
    for (ptrdiff_t i = 0; i < whole->d_o.n; i++)
        if (i / (n.N * n.H) % n.T < from) whole->d_o.x[i] = 0;
    whole->d_o = rig_act_values(r, whole->d_o.x, whole->d_o.n);
    const attention first = cut(r, whole, 0, from);
    forward_on(r, &first);
    rig_array before[] = {k_ring, v_ring};
    for (int i = 0; i < 2; i++) before[i].x = rig_read(r, &before[i]);
    c.part = cut(r, whole, from, n.T - from);
    forward_on(r, &c.part);
    for (int i = 0; i < 2; i++) rig_write(r, &before[i]);
    backward(r, &c.part);
    r->floor = 1;
    rig_expect_gradient(r, "dq", rig_read(r, &c.part.dq), &c.part.q, loss_of_part, &c,
                        tolerance(r, BACKWARD));
    rig_expect_gradient(r, "dk", rig_read(r, &c.part.dk), &c.part.k, loss_of_part, &c,
                        tolerance(r, BACKWARD));
    rig_expect_gradient(r, "dv", rig_read(r, &c.part.dv), &c.part.v, loss_of_part, &c,
                        tolerance(r, BACKWARD));
}

ON_EVERY_TYPE(attention, backward_behind_rings_is_the_complex_step) {
    static const ae_attention_dims dims[] = {
        {1, 6, 1, 1, 4, 1, 0}, {2, 14, 2, 1, 5, 4, 0}, {3, 17, 4, 2, 8, 5, 0}, {2, 30, 3, 3, 3, 7, 0}};
    for (size_t i = 0; i < COUNT(dims); i++) {
        const ptrdiff_t T = dims[i].T, cuts[] = {1, dims[i].W, dims[i].W + 2, T / 2};
        for (size_t j = 0; j < COUNT(cuts); j++) {
            expect_continued(r, dims[i], RIG_ONE, cuts[j]);
            expect_continued(r, dims[i], RIG_LONG, cuts[j]);
        }
    }
    expect_continued(r, (ae_attention_dims){2, 30, 3, 3, 3, 64, 0}, RIG_LONG, 13); /* room for all */
    expect_continued(r, (ae_attention_dims){1, 300, 2, 1, 8, 512, 0}, RIG_ONE, 130);
    expect_continued(r, (ae_attention_dims){1, 700, 2, 1, 8, 300, 0}, RIG_ONE, 399);
    expect_continued(r, (ae_attention_dims){2, 600, 2, 1, 8, 100, 0}, RIG_LONG, 259);
}

/* A step of decoding, sequences at different places: the bits of each do not depend on how many there are. */
ON_EVERY_TYPE(attention, a_step_has_the_same_bits_in_any_batch) {
    const ptrdiff_t W = 70;
    attention k = make(r, (ae_attention_dims){6, 1, 4, 1, 24, W, 0}, RIG_ONE, 1);
    const int32_t positions[] = {5, 69, 70, 0, 1000, 71, 0};
    k.positions = rig_numbers(r, positions, 6);
    const rig_array k_ring = rig_act_normal(r, 1, 6 * W * 24), v_ring = rig_act_normal(r, 1, 6 * W * 24);
    const float *all = NULL;
    for (k.n.B = 6; k.n.B > 0; k.n.B--) {
        rig_write(r, &k_ring);
        rig_write(r, &v_ring);
        r->be.attention_forward(&r->be, k.o.dev, k.lse.dev, k_ring.dev, v_ring.dev, k.q.dev, k.k.dev, k.v.dev,
                                k.positions.dev, k.n, k.scratch);
        const float *o = rig_read(r, &k.o);
        if (!all) all = o;
        rig_expect_bits(r, "o", o, all, k.n.B * 4 * 24);
    }
}

/* Decoding far on, where scores are kept of a stretch of keys at a time (8192 in ops/cpu); all is seen, as without a window. */
ON_EVERY_TYPE(attention, a_step_over_several_stretches_is_the_reference) {
    enum { ROOM = 16500, H = 8, N = 2 };
    static const int32_t far[] = {8191, 8192, 8193, 16384, ROOM - 1};
    attention k = make(r, (ae_attention_dims){1, 1, N, 1, H, -1, 0}, RIG_ONE, 1.5);
    const rig_array k_ring = rig_act_normal(r, 1.5, ROOM * H), v_ring = rig_act_normal(r, 1, ROOM * H);
    double *keys = rig_host(r, (size_t)(ROOM * H) * sizeof *keys),
           *values = rig_host(r, (size_t)(ROOM * H) * sizeof *values),
           *room = rig_host(r, (size_t)ROOM * sizeof *room);
    ptrdiff_t *places = rig_host(r, (size_t)ROOM * sizeof *places);
    for (ptrdiff_t i = 0; i < ROOM; i++) places[i] = i;
    for (size_t i = 0; i < COUNT(far); i++) {
        memcpy(keys, k_ring.d, (size_t)(far[i] * H) * sizeof *keys);
        memcpy(keys + far[i] * H, k.k.d, H * sizeof *keys);
        memcpy(values, v_ring.d, (size_t)(far[i] * H) * sizeof *values);
        memcpy(values + far[i] * H, k.v.d, H * sizeof *values);
        for (ptrdiff_t n = 0; n < N; n++)
            k.lse.d[n] =
                ref_attend(k.o.d + n * H, k.q.d + n * H, keys, values, places, far[i] + 1, H, H, room);
        k.positions = rig_numbers(r, &far[i], 1);
        rig_write(r, &k_ring);
        rig_write(r, &v_ring);
        ae_attention_dims n = k.n; /* scratch for rings of any length; this one's */
        n.W = ROOM;
        r->be.attention_forward(&r->be, k.o.dev, k.lse.dev, k_ring.dev, v_ring.dev, k.q.dev, k.k.dev, k.v.dev,
                                k.positions.dev, n, k.scratch);
        rig_expect(r, "o", rig_read(r, &k.o), k.o.d, k.o.n, tolerance(r, FORWARD));
        rig_expect(r, "lse", rig_read(r, &k.lse), k.lse.d, k.lse.n, tolerance(r, STORED));
    }
}

ON_EVERY_TYPE(attention, bits_do_not_depend_on_threads) {
    for (size_t i = 0; i < COUNT(large); i++) {
        attention k = make(r, large[i], i % 2 ? RIG_LONG : RIG_ONE, 1);
        rig_expect_same_on_threads(r, "forward", forward, &k, (rig_array[]){k.o, k.lse}, 2);
        forward(r, &k);
        rig_expect_same_on_threads(r, "backward", backward, &k, (rig_array[]){k.dq, k.dk, k.dv}, 3);
    }
}
