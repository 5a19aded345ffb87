#include "model/fingerprint.h"

#include "ops/quantize.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 1 << 16, SAMPLE_PARTS = 4, SAMPLE = 64 };

typedef struct {
    uint64_t hash;
    float values[PIECE];
    uint16_t rounded[PIECE];
} hasher;

typedef ae_status fetch_values(void *from, const ae_param *p, int64_t first, int64_t n, float *out);

static void add_byte(hasher *h, unsigned byte) {
    h->hash = (h->hash ^ byte) * 0x100000001B3u;
}

static void add_name(hasher *h, const char *name) {
    for (const char *c = name; *c != '\0'; c++) add_byte(h, (unsigned char)*c);
    add_byte(h, 0);
}

static void add_values(hasher *h, int64_t n) {
    ae_round_to_bf16(h->rounded, h->values, (ptrdiff_t)n);
    for (int64_t i = 0; i < n; i++) {
        add_byte(h, h->rounded[i] & 0xFF);
        add_byte(h, h->rounded[i] >> 8);
    }
}

/* Elements [first, first + n), in pieces. */
static ae_status add_range(hasher *h, const ae_param *p, int64_t first, int64_t n, fetch_values *fetch,
                           void *from) {
    ae_status st = AE_OK;
    for (int64_t at = first; at < first + n; at += PIECE) {
        const int64_t some = first + n - at < PIECE ? first + n - at : PIECE;
        AE_TRY(fetch(from, p, at, some, h->values));
        add_values(h, some);
    }
out:
    return st;
}

static ae_status add_param(hasher *h, const ae_param *p, fetch_values *fetch, void *from) {
    add_name(h, p->name);
    return add_range(h, p, 0, p->n, fetch, from);
}

/* A small one whole, of another one some parts that lie evenly. */
static ae_status add_sample(hasher *h, const ae_param *p, fetch_values *fetch, void *from) {
    ae_status st = AE_OK;
    if (p->n <= (int64_t)SAMPLE_PARTS * SAMPLE) return add_param(h, p, fetch, from);
    add_name(h, p->name);
    for (int64_t k = 0; k < SAMPLE_PARTS; k++)
        AE_TRY(add_range(h, p, k * (p->n - SAMPLE) / (SAMPLE_PARTS - 1), SAMPLE, fetch, from));
out:
    return st;
}

/* The table may grow or shrink with its vocabulary. */
static bool is_sampled(const ae_param *p) {
    return p->product && !p->often && !p->added;
}

static bool is_no_product(const ae_param *p) {
    return !p->product && !p->added;
}

typedef ae_status add(hasher *h, const ae_param *p, fetch_values *fetch, void *from);

static ae_status hash_params(const ae_params *params, bool (*is_meant)(const ae_param *), add *add_one,
                             fetch_values *fetch, void *from, char out[AE_FINGERPRINT_BYTES]) {
    hasher *h = malloc(sizeof *h);
    ae_status st = AE_OK;
    if (h == NULL) return AE_FAIL(AE_ERR_RESOURCE, "the fingerprint of a model: out of memory");
    h->hash = 0xCBF29CE484222325u;
    for (ptrdiff_t i = 0; st == AE_OK && i < params->n; i++)
        if (is_meant(&params->items[i])) st = add_one(h, &params->items[i], fetch, from);
    snprintf(out, AE_FINGERPRINT_BYTES, "%016llx", (unsigned long long)h->hash);
    free(h);
    return st;
}

static ae_status from_model(void *from, const ae_param *p, int64_t first, int64_t n, float *out) {
    const ae_backend *be = ((const ae_model *)from)->be;
    be->download(be, out, ae_f32_from(p->value, (ptrdiff_t)first), (size_t)n * sizeof *out);
    return AE_OK;
}

static ae_status from_file(void *from, const ae_param *p, int64_t first, int64_t n, float *out) {
    return ae_tensors_read_part(from, p->name, p->rank, p->shape, first, n, out);
}

ae_status ae_model_fingerprint(const ae_model *m, char out[AE_FINGERPRINT_BYTES]) {
    ae_model same = *m;
    const ae_status st = hash_params(&m->params, is_no_product, add_param, from_model, &same, out);
    return st == AE_OK ? m->be->sync(m->be) : st;
}

ae_status ae_tensors_fingerprint(const ae_params *p, ae_tensors *t, char out[AE_FINGERPRINT_BYTES]) {
    return hash_params(p, is_no_product, add_param, from_file, t, out);
}

ae_status ae_tensors_sample(const ae_params *p, ae_tensors *t, char out[AE_FINGERPRINT_BYTES]) {
    out[0] = '\0';
    for (const ae_param *x = p->items; x < p->items + p->n; x++) {
        int bits = 0;
        int64_t group = 0;
        if (!is_sampled(x)) continue;
        const ae_status st = ae_tensors_integers(t, x->name, x->rank, x->shape, &bits, &group);
        if (st != AE_OK || bits > 0) return st;
    }
    return hash_params(p, is_sampled, add_sample, from_file, t, out);
}
