#include "model/fingerprint.h"

#include "ops/quantize.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 1 << 16 };

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

static ae_status add_param(hasher *h, const ae_param *p, fetch_values *fetch, void *from) {
    ae_status st = AE_OK;
    add_name(h, p->name);
    for (int64_t at = 0; at < p->n; at += PIECE) {
        const int64_t n = p->n - at < PIECE ? p->n - at : PIECE;
        AE_TRY(fetch(from, p, at, n, h->values));
        add_values(h, n);
    }
out:
    return st;
}

static ae_status fingerprint(const ae_params *params, fetch_values *fetch, void *from,
                             char out[AE_FINGERPRINT_BYTES]) {
    hasher *h = malloc(sizeof *h);
    ae_status st = AE_OK;
    if (h == NULL) return AE_FAIL(AE_ERR_RESOURCE, "the fingerprint of a model: out of memory");
    h->hash = 0xCBF29CE484222325u;
    for (ptrdiff_t i = 0; st == AE_OK && i < params->n; i++) {
        const ae_param *p = &params->items[i];
        if (!p->product && !p->added) st = add_param(h, p, fetch, from);
    }
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
    const ae_status st = fingerprint(&m->params, from_model, &same, out);
    return st == AE_OK ? m->be->sync(m->be) : st;
}

ae_status ae_tensors_fingerprint(const ae_params *p, ae_tensors *t, char out[AE_FINGERPRINT_BYTES]) {
    return fingerprint(p, from_file, t, out);
}
