#include "exchange/quantize.h"

#include "core/threads.h"
#include "formats/safetensors_write.h"
#include "model/params_match.h"
#include "ops/quantize.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

typedef struct {
    const ae_quantize_request *r;
    ptrdiff_t group;
    ae_params params;
    ae_tensors *from; /* NULL: initial values */
    ae_safetensors_writer *to;
    float *values; /* [piece] */
    void *bytes;   /* what becomes of them */
    uint16_t *scales;
    int64_t done, all; /* bytes written, and to write */
} writer;

static bool in_integers(const writer *w, const ae_param *p) {
    return p->product && p->parts == 0 && w->r->type != AE_WEIGHT_BF16;
}

static int64_t groups_of(const writer *w, const ae_param *p) {
    return (p->cols + w->group - 1) / w->group;
}

static int64_t row_bytes(const writer *w, const ae_param *p) {
    return w->r->type == AE_WEIGHT_INT8 ? p->cols : (p->cols + 1) / 2;
}

/* ---- the list ---- */

static size_t describe(const writer *w, const ae_param *p, ae_safetensor_entry *e) {
    snprintf(e[0].name, sizeof e[0].name, "%s", p->name);
    e[0].rank = p->rank;
    memcpy(e[0].shape, p->shape, sizeof p->shape);
    e[0].dtype = p->product ? "BF16" : "F32";
    if (!in_integers(w, p)) return 1;
    e[0].dtype = w->r->type == AE_WEIGHT_INT8 ? "I8" : "U8";
    e[0].shape[1] = row_bytes(w, p);
    e[1] = (ae_safetensor_entry){.dtype = "BF16", .rank = 2, .shape = {p->rows, groups_of(w, p)}};
    snprintf(e[1].name, sizeof e[1].name, "%s_scale", p->name);
    return 2;
}

static ae_status create(writer *w, const char *path) {
    ae_safetensor_entry *entries = calloc(2 * (size_t)w->params.n, sizeof *entries);
    size_t n = 0;
    if (entries == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    for (ptrdiff_t i = 0; i < w->params.n; i++) n += describe(w, &w->params.items[i], entries + n);
    for (size_t i = 0; i < n; i++) w->all += ae_safetensor_entry_bytes(&entries[i]);
    const ae_status st = ae_safetensors_create(&w->to, path, entries, n);
    free(entries);
    return st;
}

/* ---- values ---- */

static ae_status ask(const writer *w) {
    const ae_watch *watch = &w->r->watch;
    return watch->ask != NULL ? watch->ask(watch->context, w->done, w->all) : AE_OK;
}

static ae_status put(writer *w, const void *bytes, size_t n) {
    w->done += (int64_t)n;
    return ae_safetensors_write(w->to, bytes, n);
}

static ae_status fetch(writer *w, const ae_param *p, int64_t first, int64_t n) {
    const ae_status st = ask(w);
    if (st != AE_OK) return st;
    if (w->from != NULL)
        return ae_tensors_read_part(w->from, p->name, p->rank, p->shape, first, n, w->values);
    ae_param_initial_part(p, w->r->seed, first, n, w->values);
    return AE_OK;
}

static void pack_row(const writer *w, const ae_param *p, int8_t *q, uint8_t *out) {
    if (w->r->type == AE_WEIGHT_INT8) {
        memcpy(out, q, (size_t)p->cols);
        return;
    }
    for (int64_t i = 0; i < p->cols; i += 2) {
        const int high = i + 1 < p->cols ? q[i + 1] : 0;
        out[i / 2] = (uint8_t)((q[i] & 15) | (high & 15) << 4);
    }
}

static ae_status quantise_rows(const writer *w, const ae_param *p, int64_t rows, uint16_t *scales) {
    bool whole = true;
#pragma omp parallel for num_threads(ae_threads())
    for (int64_t r = 0; r < rows; r++) {
        int8_t *q = malloc((size_t)p->cols);
        if (q == NULL) {
#pragma omp atomic write
            whole = false;
            continue;
        }
        ae_quantize_row(q, scales + r * groups_of(w, p), w->values + r * p->cols, (ptrdiff_t)p->cols,
                        w->group, w->r->type);
        pack_row(w, p, q, (uint8_t *)w->bytes + r * row_bytes(w, p));
        free(q);
    }
    return whole ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", p->name);
}

static ae_status write_integers(writer *w, const ae_param *p) {
    const int64_t each = ae_param_piece_rows(p), groups = groups_of(w, p);
    ae_status st = AE_OK;
    for (int64_t row = 0; row < p->rows; row += each) {
        const int64_t rows = p->rows - row < each ? p->rows - row : each;
        AE_TRY(fetch(w, p, row * p->cols, rows * p->cols));
        AE_TRY(quantise_rows(w, p, rows, w->scales + row * groups));
        AE_TRY(put(w, w->bytes, (size_t)(rows * row_bytes(w, p))));
    }
    st = put(w, w->scales, (size_t)(p->rows * groups) * sizeof *w->scales);
out:
    return st;
}

static ae_status write_reals(writer *w, const ae_param *p) {
    ae_status st = AE_OK;
    for (int64_t at = 0; at < p->n; at += PIECE) {
        const int64_t n = p->n - at < PIECE ? p->n - at : PIECE;
        AE_TRY(fetch(w, p, at, n));
        if (p->product) ae_round_to_bf16(w->bytes, w->values, (ptrdiff_t)n);
        AE_TRY(put(w, p->product ? w->bytes : w->values,
                   (size_t)n * (p->product ? sizeof(uint16_t) : sizeof(float))));
    }
out:
    return st;
}

static ae_status take_rooms(writer *w) {
    int64_t piece = PIECE, scales = 1;
    for (ptrdiff_t i = 0; i < w->params.n; i++) {
        const ae_param *p = &w->params.items[i];
        if (!in_integers(w, p)) continue;
        const int64_t n = ae_param_piece_rows(p) * p->cols;
        piece = n > piece ? n : piece;
        scales = p->rows * groups_of(w, p) > scales ? p->rows * groups_of(w, p) : scales;
    }
    w->values = malloc((size_t)piece * sizeof *w->values);
    w->bytes = malloc((size_t)piece * sizeof(uint16_t));
    w->scales = malloc((size_t)scales * sizeof *w->scales);
    if (w->values != NULL && w->bytes != NULL && w->scales != NULL) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "quantising: out of memory");
}

ae_status ae_model_quantize(const char *path, const ae_quantize_request *r) {
    writer w = {.r = r, .group = ae_weight_group(r->type, r->group)};
    ae_status st;
    AE_TRY(ae_params_init_with(&w.params, r->config, &(ae_params_options){.score_head = r->score_head}));
    AE_TRY(take_rooms(&w));
    if (r->tensors != NULL) AE_TRY(ae_tensors_open(&w.from, r->tensors));
    if (w.from != NULL) AE_TRY(ae_params_match(&w.params, w.from, r->tensors, NULL));
    AE_TRY(create(&w, path));
    for (ptrdiff_t i = 0; i < w.params.n; i++) {
        const ae_param *p = &w.params.items[i];
        AE_TRY(in_integers(&w, p) ? write_integers(&w, p) : write_reals(&w, p));
    }
    AE_TRY(ask(&w));
    st = ae_safetensors_finish(w.to);
    w.to = NULL;
out:
    ae_safetensors_discard(w.to);
    ae_tensors_close(w.from);
    ae_params_free(&w.params);
    free(w.values);
    free(w.bytes);
    free(w.scales);
    return st;
}
