#include "exchange/merge.h"

#include "model/params_match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = AE_PARAM_PIECE, OPEN_MAX = 32, LANES = 8 };

/* ---- factors ---- */

static void add_mean(double *c, const ae_merge_request *r, double share) {
    double sum = 0;
    for (size_t k = 0; k < r->n; k++) sum += r->weights ? r->weights[k] : 1;
    for (size_t k = 0; k < r->n; k++) c[1 + k] = share * ((r->weights ? r->weights[k] : 1) / sum);
}

void ae_merge_factors(double *c, const ae_merge_request *r) {
    c[0] = 0;
    if (r->method == AE_MERGE_EMA) {
        double left = 1;
        for (size_t k = r->n; k-- > 1; left *= r->decay) c[1 + k] = (1 - r->decay) * left;
        c[1] = left;
    } else {
        const double share = r->method == AE_MERGE_LERP ? r->amount : 1;
        add_mean(c, r, share);
        c[0] = r->method == AE_MERGE_LERP ? 1 - share : 0;
    }
}

/* Factors of u and v in slerp(u, v; t) from <u,u>, <v,v> and <u,v>. */
static void slerp(double *of_u, double *of_v, double uu, double vv, double uv, double t) {
    const double lengths = sqrt(uu) * sqrt(vv);
    const double cosine = lengths > 0 ? fmin(fmax(uv / lengths, -1), 1) : 1;
    const double angle = acos(cosine);
    *of_u = 1 - t;
    *of_v = t;
    if (!(angle >= AE_SLERP_PARALLEL && angle <= acos(-1.0) - AE_SLERP_OPPOSITE)) return;
    *of_u = sin((1 - t) * angle) / sin(angle);
    *of_v = sin(t * angle) / sin(angle);
}

/* s = sum_j a_j d_j of the first k task vectors: <s, s> when v is NULL, else <s, d_v>. */
static double product(const double *a, const double *gram, size_t n, size_t k, const size_t *v) {
    double sum = 0;
    for (size_t i = 0; i < k; i++) {
        if (v) sum += a[i] * gram[i * n + *v];
        for (size_t j = 0; !v && j < k; j++) sum += a[i] * a[j] * gram[i * n + j];
    }
    return sum;
}

void ae_merge_slerp_factors(double *c, const double *gram, size_t n, double t) {
    double *a = c + 1, left = 1;
    a[0] = 1;
    for (size_t k = 1; k < n; k++) {
        double of_s, of_d;
        const double ss = product(a, gram, n, k, NULL), sd = product(a, gram, n, k, &k);
        slerp(&of_s, &of_d, ss, gram[k * n + k], sd, t < 0 ? 1 / (double)(k + 1) : t);
        for (size_t j = 0; j < k; j++) a[j] *= of_s;
        a[k] = of_d;
    }
    for (size_t k = 0; k < n; k++) left -= a[k];
    c[0] = left;
}

/* ---- sources ---- */

typedef struct {
    const ae_merge_request *r;
    ae_params params;
    ae_tensors *open[OPEN_MAX];
    ae_param_writer *to;    /* from the moment on at which all is checked */
    float *values;          /* [PIECE] */
    double *sums, *vectors; /* [PIECE] each; vectors for slerp: pieces of all task vectors */
    double *factors, *gram; /* [n + 1], [n, n] */
} merger;

/* Source 0 is the base. The first ones stay open, so that their number is bounded too. */
static const char *path_of(const merger *m, size_t k) {
    return k == 0 ? m->r->base : m->r->models[k - 1];
}

static ae_status take(merger *m, size_t k, ae_tensors **t) {
    if (k >= OPEN_MAX) return ae_tensors_open(t, path_of(m, k));
    const ae_status st = m->open[k] ? AE_OK : ae_tensors_open(&m->open[k], path_of(m, k));
    *t = m->open[k];
    return st;
}

static void give_back(size_t k, ae_tensors *t) {
    if (k >= OPEN_MAX) ae_tensors_close(t);
}

static ae_status read_piece(merger *m, size_t k, const ae_param *p, int64_t first, int64_t n) {
    ae_tensors *t = NULL;
    ae_status st = ae_param_writer_ask(m->to);
    if (st == AE_OK) st = take(m, k, &t);
    if (st != AE_OK) return st;
    st = ae_tensors_read_part(t, p->name, p->rank, p->shape, first, n, m->values);
    give_back(k, t);
    return st;
}

/* Before anything is written. */
static ae_status check_source(merger *m, size_t k) {
    ae_tensors *t = NULL;
    ae_status st = take(m, k, &t);
    if (st != AE_OK) return st;
    st = ae_params_fit(&m->params, t, path_of(m, k), NULL);
    give_back(k, t);
    return st;
}

/* ---- the angles of a tensor ---- */

static double dot(const double *x, const double *y, int64_t n) {
    double lanes[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lanes[l] += x[i + l] * y[i + l];
    for (; i < n; i++) sum += x[i] * y[i];
    for (int l = 0; l < LANES; l++) sum += lanes[l];
    return sum;
}

static void subtract(double *d, const float *x, const double *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) d[i] = (double)x[i] - from[i];
}

/* Task vectors [M, each] of a piece. */
static ae_status read_vectors(merger *m, const ae_param *p, int64_t first, int64_t n, int64_t each) {
    ae_status st = read_piece(m, 0, p, first, n);
    for (int64_t i = 0; st == AE_OK && i < n; i++) m->sums[i] = m->values[i];
    for (size_t k = 0; st == AE_OK && k < m->r->n; k++) {
        st = read_piece(m, k + 1, p, first, n);
        if (st == AE_OK) subtract(m->vectors + (int64_t)k * each, m->values, m->sums, n);
    }
    return st;
}

/* The pieces are the smaller the more models there are. */
static ae_status sum_gram(merger *m, const ae_param *p) {
    const int64_t M = (int64_t)m->r->n, each = PIECE / M;
    memset(m->gram, 0, (size_t)(M * M) * sizeof *m->gram);
    for (int64_t at = 0; at < p->n; at += each) {
        const int64_t n = p->n - at < each ? p->n - at : each;
        const ae_status st = read_vectors(m, p, at, n, each);
        if (st != AE_OK) return st;
        for (int64_t pair = 0; pair < M * M; pair++) {
            const int64_t i = pair / M, j = pair % M;
            if (i <= j) m->gram[pair] += dot(m->vectors + i * each, m->vectors + j * each, n);
        }
    }
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < i; j++) m->gram[i * M + j] = m->gram[j * M + i];
    return AE_OK;
}

/* ---- writing ---- */

static ae_status add_piece(merger *m, size_t k, const ae_param *p, int64_t first, int64_t n) {
    const double c = m->factors[k];
    if (c == 0) return AE_OK;
    const ae_status st = read_piece(m, k, p, first, n);
    if (st != AE_OK) return st;
    for (int64_t i = 0; i < n; i++) m->sums[i] += c * (double)m->values[i];
    return AE_OK;
}

static ae_status write_tensor(merger *m, const ae_param *p) {
    ae_status st = AE_OK;
    if (m->r->method == AE_MERGE_SLERP) {
        AE_TRY(sum_gram(m, p));
        ae_merge_slerp_factors(m->factors, m->gram, m->r->n, m->r->amount);
    }
    for (int64_t at = 0; at < p->n; at += PIECE) {
        const int64_t n = p->n - at < PIECE ? p->n - at : PIECE;
        for (int64_t i = 0; i < n; i++) m->sums[i] = -0.0; /* so that a sum of nothing but -0 is -0 */
        for (size_t k = 0; k <= m->r->n; k++) AE_TRY(add_piece(m, k, p, at, n));
        AE_TRY(ae_param_writer_put_sums(m->to, m->sums, n));
    }
out:
    return st;
}

static ae_status take_rooms(merger *m) {
    const size_t n = m->r->n;
    m->values = malloc(PIECE * sizeof *m->values);
    m->sums = malloc(PIECE * sizeof *m->sums);
    m->factors = malloc((n + 1) * sizeof *m->factors);
    const bool turns = m->r->method == AE_MERGE_SLERP;
    m->vectors = turns ? malloc(PIECE * sizeof *m->vectors) : NULL;
    m->gram = turns ? malloc(n * n * sizeof *m->gram) : NULL;
    const bool whole = m->values && m->sums && m->factors;
    if (whole && (!turns || (m->vectors && m->gram))) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "merging: out of memory");
}

static void release(merger *m) {
    ae_param_writer_discard(m->to);
    for (size_t k = 0; k < OPEN_MAX; k++) ae_tensors_close(m->open[k]);
    ae_params_free(&m->params);
    free(m->values);
    free(m->sums);
    free(m->vectors);
    free(m->factors);
    free(m->gram);
}

ae_status ae_model_merge(const char *folder, const ae_merge_request *r) {
    merger m = {.r = r};
    ae_status st;
    if (r->n < 1 || r->n > PIECE || (r->method == AE_MERGE_SLERP && r->n < 2))
        return AE_FAIL(AE_ERR_USAGE, "merging: expected %d models or more, found %zu",
                       r->method == AE_MERGE_SLERP ? 2 : 1, r->n);
    AE_TRY(ae_params_init_with(&m.params, r->config, &(ae_params_options){.score_head = r->score_head}));
    AE_TRY(take_rooms(&m));
    if (r->method != AE_MERGE_SLERP) ae_merge_factors(m.factors, r);
    for (size_t k = r->base ? 0 : 1; k <= r->n; k++) AE_TRY(check_source(&m, k));
    AE_TRY(ae_param_writer_create(&m.to, &(ae_param_writer_options){.folder = folder,
                                                                    .params = &m.params,
                                                                    .bf16 = r->bf16,
                                                                    .shard_bytes = r->shard_bytes,
                                                                    .watch = r->watch}));
    for (ptrdiff_t i = 0; i < m.params.n; i++) AE_TRY(write_tensor(&m, &m.params.items[i]));
    st = ae_param_writer_finish(m.to);
    m.to = NULL;
out:
    release(&m);
    return st;
}
