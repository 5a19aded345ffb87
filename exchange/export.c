#include "exchange/export.h"

#include "model/params_match.h"

#include <stdlib.h>
#include <string.h>

/* A head that an adapter brings is not in the file: the amendment gives its values. */
static ae_status copy_tensor(ae_param_writer *to, ae_tensors *from, const ae_param *p,
                             const ae_model_amendment *a, float *piece) {
    const bool there = ae_tensors_find(from, p->name) >= 0;
    ae_status st = AE_OK;
    for (int64_t at = 0; at < p->n; at += AE_PARAM_PIECE) {
        const int64_t n = p->n - at < AE_PARAM_PIECE ? p->n - at : AE_PARAM_PIECE;
        if (there)
            AE_TRY(ae_tensors_read_part(from, p->name, p->rank, p->shape, at, n, piece));
        else
            memset(piece, 0, (size_t)n * sizeof *piece);
        if (a != NULL) AE_TRY(a->amend(a->context, p, at, n, piece));
        AE_TRY(ae_param_writer_put(to, piece, n));
    }
out:
    return st;
}

ae_status ae_model_export(const char *folder, const ae_export_request *r) {
    ae_params params = {0};
    ae_tensors *from = NULL;
    ae_param_writer *to = NULL;
    float *piece = malloc(AE_PARAM_PIECE * sizeof *piece);
    const ae_params_options options = {.score_head = r->score_head};
    const ae_params_match_options match = {.lacks_added = r->amendment != NULL};
    ae_status st;
    if (piece == NULL) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", folder));
    AE_TRY(ae_params_init_with(&params, r->config, &options));
    AE_TRY(ae_tensors_open(&from, r->tensors));
    AE_TRY(ae_params_fit(&params, from, r->tensors, &match));
    AE_TRY(ae_param_writer_create(&to, &(ae_param_writer_options){.folder = folder,
                                                                  .params = &params,
                                                                  .bf16 = r->bf16,
                                                                  .f16 = r->f16,
                                                                  .shard_bytes = r->shard_bytes,
                                                                  .watch = r->watch}));
    for (ptrdiff_t i = 0; i < params.n; i++)
        AE_TRY(copy_tensor(to, from, &params.items[i], r->amendment, piece));
    st = ae_param_writer_finish(to);
    to = NULL;
out:
    ae_param_writer_discard(to);
    ae_tensors_close(from);
    ae_params_free(&params);
    free(piece);
    return st;
}
