#include "model/export.h"

#include "model/params_match.h"
#include "model/shards_write.h"
#include "ops/quantize.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

typedef struct {
    const ae_export_request *r;
    ae_params params;
    ae_tensors *from;
    ae_shards_writer *to;
    float *values;     /* [PIECE] */
    uint16_t *rounded; /* [PIECE] */
    int64_t done;      /* bytes */
} writer;

static ae_status create(writer *w, const char *folder) {
    const size_t n = (size_t)w->params.n;
    ae_safetensor_entry *entries = calloc(n, sizeof *entries);
    if (entries == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder);
    for (size_t i = 0; i < n; i++) {
        const ae_param *p = &w->params.items[i];
        snprintf(entries[i].name, sizeof entries[i].name, "%s", p->name);
        entries[i].dtype = w->r->type == AE_WEIGHT_BF16 ? "BF16" : "F32";
        entries[i].rank = p->rank;
        memcpy(entries[i].shape, p->shape, sizeof p->shape);
    }
    const ae_status st = ae_shards_create(&w->to, folder, entries, n, w->r->shard_bytes);
    free(entries);
    return st;
}

static ae_status write_piece(writer *w, int64_t n) {
    const bool narrow = w->r->type == AE_WEIGHT_BF16;
    const size_t bytes = (size_t)n * (narrow ? sizeof *w->rounded : sizeof *w->values);
    if (narrow) ae_round_to_bf16(w->rounded, w->values, (ptrdiff_t)n);
    const ae_status st = ae_shards_write(w->to, narrow ? (const void *)w->rounded : w->values, bytes);
    w->done += (int64_t)bytes;
    return st == AE_OK && w->r->step != NULL ? w->r->step(w->r->context, w->done) : st;
}

static ae_status write_tensor(writer *w, const ae_param *p) {
    ae_status st = AE_OK;
    for (int64_t at = 0; at < p->n; at += PIECE) {
        const int64_t n = p->n - at < PIECE ? p->n - at : PIECE;
        AE_TRY(ae_tensors_read_part(w->from, p->name, p->rank, p->shape, at, n, w->values));
        AE_TRY(write_piece(w, n));
    }
out:
    return st;
}

static ae_status take_rooms(writer *w) {
    w->values = malloc(PIECE * sizeof *w->values);
    w->rounded = malloc(PIECE * sizeof *w->rounded);
    if (w->values != NULL && w->rounded != NULL) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "exporting: out of memory");
}

ae_status ae_model_export(const char *folder, const ae_export_request *r) {
    writer w = {.r = r};
    ae_status st;
    AE_TRY(ae_params_init(&w.params, r->config));
    AE_TRY(take_rooms(&w));
    AE_TRY(ae_tensors_open(&w.from, r->tensors));
    AE_TRY(ae_params_match(&w.params, w.from, r->tensors));
    AE_TRY(create(&w, folder));
    for (ptrdiff_t i = 0; i < w.params.n; i++) AE_TRY(write_tensor(&w, &w.params.items[i]));
    st = ae_shards_finish(w.to);
    w.to = NULL;
out:
    ae_shards_discard(w.to);
    ae_tensors_close(w.from);
    ae_params_free(&w.params);
    free(w.values);
    free(w.rounded);
    return st;
}
