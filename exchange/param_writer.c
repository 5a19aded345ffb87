#include "exchange/param_writer.h"

#include "formats/half.h"
#include "formats/shards_write.h"
#include "ops/quantize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ae_param_writer {
    ae_param_writer_options o;
    ae_shards_writer *to;
    float *rounded;   /* [AE_PARAM_PIECE]: sums as float32 */
    uint16_t *narrow; /* [AE_PARAM_PIECE] */
    ptrdiff_t at;     /* the tensor that is written */
    int64_t put;      /* of its numbers */
    int64_t done, all;
};

static bool is_bf16(const ae_param_writer_options *o, const ae_param *p) {
    return o->like != NULL ? ae_tensors_is_bf16(o->like, p->name) : o->bf16 && !p->added;
}

static bool is_f16(const ae_param_writer_options *o, const ae_param *p) {
    return o->like == NULL && o->f16 && !p->added;
}

static ae_safetensor_entry entry_of(const ae_param_writer_options *o, const ae_param *p) {
    ae_safetensor_entry e = {.dtype = is_bf16(o, p) ? "BF16" : is_f16(o, p) ? "F16" : "F32", .rank = p->rank};
    snprintf(e.name, sizeof e.name, "%s", p->name);
    memcpy(e.shape, p->shape, sizeof p->shape);
    return e;
}

static ae_status create_files(ae_param_writer *w) {
    const size_t n = (size_t)w->o.params->n;
    ae_safetensor_entry *entries = calloc(n, sizeof *entries);
    if (entries == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", w->o.folder);
    for (size_t i = 0; i < n; i++) {
        entries[i] = entry_of(&w->o, &w->o.params->items[i]);
        w->all += ae_safetensor_entry_bytes(&entries[i]);
    }
    const ae_status st = ae_shards_create(&w->to, w->o.folder, entries, n, w->o.shard_bytes);
    free(entries);
    return st;
}

ae_status ae_param_writer_create(ae_param_writer **out, const ae_param_writer_options *o) {
    ae_param_writer *w = calloc(1, sizeof *w);
    ae_status st;
    *out = NULL;
    if (w == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", o->folder);
    w->o = *o;
    w->rounded = malloc(AE_PARAM_PIECE * sizeof *w->rounded);
    w->narrow = malloc(AE_PARAM_PIECE * sizeof *w->narrow);
    if (w->rounded == NULL || w->narrow == NULL)
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", o->folder));
    AE_TRY(create_files(w));
    *out = w;
out:
    if (st != AE_OK) ae_param_writer_discard(w);
    return st;
}

ae_status ae_param_writer_ask(const ae_param_writer *w) {
    return w->o.watch.ask != NULL ? w->o.watch.ask(w->o.watch.context, w->done, w->all) : AE_OK;
}

static const ae_param *current(const ae_param_writer *w) {
    return &w->o.params->items[w->at];
}

static void advance(ae_param_writer *w, int64_t n, size_t bytes) {
    w->done += (int64_t)bytes;
    w->put += n;
    if (w->put < current(w)->n) return;
    w->at++;
    w->put = 0;
}

static ae_status check_half(const ae_param *p, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= AE_HALF_MAX))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: expected numbers of at most %g in magnitude, which f16 holds, found %g; "
                           "export in bf16 or f32",
                           p->name, (double)AE_HALF_MAX, (double)x[i]);
    return AE_OK;
}

ae_status ae_param_writer_put(ae_param_writer *w, const float *x, int64_t n) {
    const bool bf16 = is_bf16(&w->o, current(w)), f16 = is_f16(&w->o, current(w)), narrow = bf16 || f16;
    const size_t bytes = (size_t)n * (narrow ? sizeof *w->narrow : sizeof *x);
    const ae_status fits = f16 ? check_half(current(w), x, n) : AE_OK;
    if (fits != AE_OK) return fits;
    if (bf16) ae_round_to_bf16(w->narrow, x, (ptrdiff_t)n);
    if (f16) ae_round_to_half(w->narrow, x, (ptrdiff_t)n);
    const ae_status st = ae_shards_write(w->to, narrow ? (const void *)w->narrow : x, bytes);
    if (st != AE_OK) return st;
    advance(w, n, bytes);
    return ae_param_writer_ask(w);
}

/* Towards zero, with the last bit set where something was cut off: rounding this to fewer bits is rounding x
 * itself, once. */
static float round_to_odd(double x) {
    float f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits -= fabs((double)f) > fabs(x);
    bits |= (double)f != x;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Whether all stay below the largest number of the type and half a unit of it, from where on there is
 * infinity. */
static bool stay_finite(const double *x, int64_t n, double limit) {
    int beyond = 0;
    for (int64_t i = 0; i < n; i++) beyond |= !(fabs(x[i]) < limit);
    return beyond == 0;
}

ae_status ae_param_writer_put_sums(ae_param_writer *w, const double *x, int64_t n) {
    const ae_param *p = current(w);
    const bool narrow = is_bf16(&w->o, p);
    if (!stay_finite(x, n, narrow ? 0x1.ffp127 : 0x1.ffffffp127))
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected finite numbers, found one that is none or too big for %s; are the models "
            "whole, and what they came from finite?",
            p->name, narrow ? "bf16" : "f32");
    if (narrow)
        for (int64_t i = 0; i < n; i++) w->rounded[i] = round_to_odd(x[i]);
    else
        for (int64_t i = 0; i < n; i++) w->rounded[i] = (float)x[i];
    return ae_param_writer_put(w, w->rounded, n);
}

ae_status ae_param_writer_finish(ae_param_writer *w) {
    const ae_status st = ae_shards_finish(w->to);
    w->to = NULL;
    ae_param_writer_discard(w);
    return st;
}

void ae_param_writer_discard(ae_param_writer *w) {
    if (w == NULL) return;
    ae_shards_discard(w->to);
    free(w->rounded);
    free(w->narrow);
    free(w);
}
