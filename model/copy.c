#include "model/copy.h"

#include <stdlib.h>

enum { PIECE = 1 << 20 }; /* elements that go through the host at once */

/* Elements of a piece: of a compact product whole rows. */
static int64_t piece_of(const ae_param *p) {
    return p->value != NULL ? PIECE : ae_param_piece_rows(p) * p->cols;
}

static int64_t largest_piece(const ae_params *params) {
    int64_t most = PIECE;
    for (ptrdiff_t i = 0; i < params->n; i++)
        if (piece_of(&params->items[i]) > most) most = piece_of(&params->items[i]);
    return most;
}

static ae_status check(const ae_param *p, const ae_param *from) {
    if (from != NULL && from->value != NULL && from->n == p->n) return AE_OK;
    return AE_FAIL(AE_ERR_DEFECT, "%s: expected %lld float32 values to copy, found %s", p->name,
                   (long long)p->n,
                   from == NULL          ? "no such parameter"
                   : from->value == NULL ? "a compact form"
                                         : "another number of them");
}

static void copy_param(const ae_model *m, const ae_param *p, const ae_backend *from_be, const ae_param *from,
                       float *room) {
    const int64_t each = piece_of(p);
    for (int64_t at = 0; at < p->n; at += each) {
        const int64_t n = p->n - at < each ? p->n - at : each;
        const size_t bytes = (size_t)n * sizeof *room;
        from_be->download(from_be, room, ae_f32_from(from->value, (ptrdiff_t)at), bytes);
        if (p->value != NULL)
            m->be->upload(m->be, ae_f32_at(p->value, (ptrdiff_t)at), room, bytes);
        else
            m->be->compact_put(m->be, p->packed, (ptrdiff_t)(at / p->cols), (ptrdiff_t)(n / p->cols), room,
                               NULL);
    }
}

ae_status ae_model_copy_values(ae_model *m, const ae_model *from) {
    float *room = malloc((size_t)largest_piece(&m->params) * sizeof *room);
    ae_status st = room != NULL ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "copying a model: out of memory");
    for (ptrdiff_t i = 0; st == AE_OK && i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i], *q = ae_params_find(&from->params, p->name);
        if (ae_model_is_shared(&m->options, p)) continue;
        st = check(p, q);
        if (st == AE_OK) copy_param(m, p, from->be, q, room);
    }
    free(room);
    if (st != AE_OK) return st;
    ae_model_values_changed(m);
    return m->be->sync(m->be);
}
