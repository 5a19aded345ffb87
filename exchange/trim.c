#include "exchange/trim.h"

#include "model/params_match.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const ae_model_trim_request *r;
    ae_params before, after; /* alike but for the rows of the table */
    ae_tensors *from;
    ae_param_writer *to;
    float *values; /* [AE_PARAM_PIECE] */
} trimming;

/* bfloat16 numbers come back as they were: rounding them is exact. */
static ae_status copy_range(trimming *t, const ae_param *p, int64_t first, int64_t n) {
    ae_status st = AE_OK;
    for (int64_t at = 0; at < n; at += AE_PARAM_PIECE) {
        const int64_t piece = n - at < AE_PARAM_PIECE ? n - at : AE_PARAM_PIECE;
        AE_TRY(ae_tensors_read_part(t->from, p->name, p->rank, p->shape, first + at, piece, t->values));
        AE_TRY(ae_param_writer_put(t->to, t->values, piece));
    }
out:
    return st;
}

/* Rows that lay side by side are read together. */
static ae_status copy_rows(trimming *t, const ae_param *p) {
    const int32_t *old_id = t->r->old_id;
    const int64_t D = t->r->config->D;
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0, rows; st == AE_OK && i < t->r->n; i += rows) {
        for (rows = 1; i + rows < t->r->n; rows++)
            if (old_id[i + rows] != old_id[i] + rows) break;
        st = copy_range(t, p, old_id[i] * D, rows * D);
    }
    return st;
}

static ae_status open_both(trimming *t, const char *folder) {
    const ae_model_trim_request *r = t->r;
    ae_model_config after = *r->config;
    const ae_params_options options = {.score_head = r->score_head};
    ae_status st;
    after.V = r->n;
    AE_TRY(ae_params_init_with(&t->before, r->config, &options));
    AE_TRY(ae_params_init_with(&t->after, &after, &options));
    AE_TRY(ae_tensors_open(&t->from, r->tensors));
    AE_TRY(ae_params_fit(&t->before, t->from, r->tensors, NULL));
    AE_TRY(ae_param_writer_create(&t->to, &(ae_param_writer_options){.folder = folder,
                                                                     .params = &t->after,
                                                                     .like = t->from,
                                                                     .shard_bytes = r->shard_bytes,
                                                                     .watch = r->watch}));
out:
    return st;
}

ae_status ae_model_trim(const char *folder, const ae_model_trim_request *r) {
    trimming t = {.r = r, .values = malloc(AE_PARAM_PIECE * sizeof *t.values)};
    ae_status st;
    if (t.values == NULL) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder));
    AE_TRY(open_both(&t, folder));
    for (ptrdiff_t i = 0; i < t.before.n; i++) {
        const ae_param *p = &t.before.items[i];
        const bool table = strcmp(p->name, "model.embed_tokens.weight") == 0;
        AE_TRY(table ? copy_rows(&t, p) : copy_range(&t, p, 0, p->n));
    }
    st = ae_param_writer_finish(t.to);
    t.to = NULL;
out:
    ae_param_writer_discard(t.to);
    ae_tensors_close(t.from);
    ae_params_free(&t.before);
    ae_params_free(&t.after);
    free(t.values);
    return st;
}
