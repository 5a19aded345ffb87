#include "model/trim.h"

#include "model/params.h"
#include "model/safetensors_write.h"
#include "model/tensors.h"
#include "ops/quantize.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 };

static const char table_name[] = "model.embed_tokens.weight", tied_name[] = "lm_head.weight";

typedef struct {
    const ae_model_trim_request *r;
    ae_params params;
    ae_tensors *from;
    ae_safetensors_writer *to;
    float *values; /* [piece, at least a row of the table] */
    uint16_t *narrow;
} trimming;

static bool is_table(const ae_param *p) {
    return strcmp(p->name, table_name) == 0;
}

/* A tensor that has no place would be dropped in silence. */
static ae_status check_names(const trimming *t) {
    bool same = true;
    for (ptrdiff_t i = 0; i < ae_tensors_count(t->from); i++) {
        const char *name = ae_tensors_name(t->from, i);
        if (strcmp(name, tied_name) != 0 && !ae_params_find(&t->params, name))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: a tensor that this model has no place for; does the configuration "
                           "belong to these weights?",
                           t->r->tensors, name);
    }
    if (ae_tensors_find(t->from, tied_name) < 0) return AE_OK;
    const ae_status st = ae_tensors_same(t->from, tied_name, table_name, &same);
    if (st != AE_OK || same) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected the values of %s, found others", t->r->tensors, tied_name,
                   table_name);
}

static ae_status create(trimming *t, const char *path) {
    const size_t n = (size_t)t->params.n;
    ae_safetensor_entry *entries = calloc(n, sizeof *entries);
    if (!entries) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    for (size_t i = 0; i < n; i++) {
        const ae_param *p = &t->params.items[i];
        snprintf(entries[i].name, sizeof entries[i].name, "%s", p->name);
        entries[i].dtype = ae_tensors_is_bf16(t->from, p->name) ? "BF16" : "F32";
        entries[i].rank = p->rank;
        memcpy(entries[i].shape, p->shape, sizeof entries[i].shape);
        if (is_table(p)) entries[i].shape[0] = t->r->n;
    }
    const ae_status st = ae_safetensors_create(&t->to, path, entries, n);
    free(entries);
    return st;
}

static ae_status copy_part(trimming *t, const ae_param *p, int64_t first, int64_t n) {
    if (t->r->check && t->r->check() != AE_OK) return AE_ERR_INTERRUPTED;
    const ae_status st = ae_tensors_read_part(t->from, p->name, p->rank, p->shape, first, n, t->values);
    if (st != AE_OK) return st;
    if (!ae_tensors_is_bf16(t->from, p->name))
        return ae_safetensors_write(t->to, t->values, (size_t)n * sizeof *t->values);
    ae_round_to_bf16(t->narrow, t->values, (ptrdiff_t)n); /* exact: the values were bfloat16 */
    return ae_safetensors_write(t->to, t->narrow, (size_t)n * sizeof *t->narrow);
}

static ae_status copy_whole(trimming *t, const ae_param *p) {
    ae_status st = AE_OK;
    for (int64_t at = 0; st == AE_OK && at < p->n; at += PIECE)
        st = copy_part(t, p, at, p->n - at < PIECE ? p->n - at : PIECE);
    return st;
}

/* Rows that lay side by side are read together. */
static ae_status copy_rows(trimming *t, const ae_param *p) {
    const int32_t *old_id = t->r->old_id;
    const int64_t D = t->r->config->D;
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0, rows; st == AE_OK && i < t->r->n; i += rows) {
        for (rows = 1; i + rows < t->r->n && (rows + 1) * D <= PIECE; rows++)
            if (old_id[i + rows] != old_id[i] + rows) break;
        st = copy_part(t, p, old_id[i] * D, rows * D);
    }
    return st;
}

static ae_status take_rooms(trimming *t) {
    const size_t n = (size_t)(t->r->config->D > PIECE ? t->r->config->D : PIECE);
    t->values = malloc(n * sizeof *t->values);
    t->narrow = malloc(n * sizeof *t->narrow);
    return t->values && t->narrow ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", t->r->tensors);
}

ae_status ae_model_trim(const char *path, const ae_model_trim_request *r) {
    trimming t = {.r = r};
    ae_status st;
    AE_TRY(ae_params_init(&t.params, r->config));
    AE_TRY(take_rooms(&t));
    AE_TRY(ae_tensors_open(&t.from, r->tensors));
    AE_TRY(check_names(&t));
    AE_TRY(create(&t, path));
    for (ptrdiff_t i = 0; i < t.params.n; i++) {
        const ae_param *p = &t.params.items[i];
        AE_TRY(is_table(p) ? copy_rows(&t, p) : copy_whole(&t, p));
    }
    st = ae_safetensors_finish(t.to);
    t.to = NULL;
out:
    ae_safetensors_discard(t.to);
    ae_tensors_close(t.from);
    ae_params_free(&t.params);
    free(t.values);
    free(t.narrow);
    return st;
}
