#include "formats/integers.h"

#include "core/threads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP_MIN = 8, GROUP_MAX = 256 };

int ae_integers_bits(const ae_safetensor *t) {
    return t->dtype == AE_FILE_I8 ? 8 : t->dtype == AE_FILE_U8 ? 4 : 0;
}

static int64_t stored_cols(const ae_integers *c) {
    return c->bits == 8 ? c->cols : (c->cols + 1) / 2;
}

static ae_status check_shape(const ae_safetensors *f, const ae_safetensor *t, int64_t rows, int64_t cols) {
    if (t->rank == 2 && t->shape[0] == rows && t->shape[1] == cols) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: %s: expected shape [%" PRId64 ", %" PRId64 "], found another of %d sizes and %" PRId64
                   " elements",
                   f->path, t->name, rows, cols, t->rank, t->n);
}

/* The width of the scales says how many columns share one. */
static ae_status find_group(ae_integers *c) {
    const ae_safetensor *s = c->scales;
    c->groups = s->rank == 2 ? s->shape[1] : 0;
    for (c->group = GROUP_MIN; c->group <= GROUP_MAX; c->group *= 2)
        if ((c->cols + c->group - 1) / c->group == c->groups) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: %s: expected one scale for 8, 16, ... or 256 of %" PRId64 " columns, found %" PRId64
                   " in a row",
                   c->scale_file->path, s->name, c->cols, c->groups);
}

ae_status ae_integers_open(ae_integers *c, int rank, const int64_t *shape) {
    ae_status st;
    c->bits = ae_integers_bits(c->integers);
    if (rank != 2)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected real numbers, found integers", c->file->path,
                       c->integers->name);
    c->rows = shape[0];
    c->cols = shape[1];
    AE_TRY(check_shape(c->file, c->integers, c->rows, stored_cols(c)));
    AE_TRY(find_group(c));
    AE_TRY(check_shape(c->scale_file, c->scales, c->rows, c->groups));
    if (c->scales->dtype != AE_FILE_BF16)
        st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected BF16, found another type", c->scale_file->path,
                     c->scales->name);
out:
    return st;
}

static float nibble_value(unsigned bits) {
    return (float)(bits < 8 ? (int)bits : (int)bits - 16);
}

static void unpack_row(const ae_integers *c, float *out, const float *stored, const float *scales) {
    for (int64_t i = 0; i < c->cols; i++) {
        const unsigned byte = c->bits == 4 ? (unsigned)stored[i / 2] : 0;
        const float q = c->bits == 8 ? stored[i] : nibble_value(i % 2 == 0 ? byte & 15u : byte >> 4);
        out[i] = q * scales[i / c->group];
    }
}

ae_status ae_integers_read(const ae_integers *c, int64_t first, int64_t n, float *out) {
    const int64_t width = stored_cols(c);
    float *stored = malloc((size_t)(n * (width + c->groups)) * sizeof *stored + 1),
          *scales = stored + n * width;
    ae_status st = AE_OK;
    if (stored == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", c->file->path);
    AE_TRY(ae_safetensors_read(c->file, c->integers, first * width, n * width, stored));
    AE_TRY(ae_safetensors_read(c->scale_file, c->scales, first * c->groups, n * c->groups, scales));
#pragma omp parallel for num_threads(ae_threads())
    for (int64_t r = 0; r < n; r++)
        unpack_row(c, out + r * c->cols, stored + r * width, scales + r * c->groups);
out:
    free(stored);
    return st;
}

ae_status ae_integers_read_scales(const ae_integers *c, int64_t first, int64_t n, uint16_t *out) {
    float *scales = malloc((size_t)(n * c->groups) * sizeof *scales + 1);
    if (scales == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", c->scale_file->path);
    const ae_status st =
        ae_safetensors_read(c->scale_file, c->scales, first * c->groups, n * c->groups, scales);
    for (int64_t i = 0; st == AE_OK && i < n * c->groups; i++) {
        uint32_t bits;
        memcpy(&bits, &scales[i], sizeof bits);
        out[i] = (uint16_t)(bits >> 16);
    }
    free(scales);
    return st;
}
