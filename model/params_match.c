#include "model/params_match.h"

#include <fnmatch.h>
#include <string.h>

static const char tied_name[] = "lm_head.weight";

/* NAME_scale, of a matrix kept in integers. */
static bool is_scale(const ae_params *params, const char *name) {
    static const char suffix[] = "_scale";
    const size_t n = strlen(name), end = sizeof suffix - 1;
    char matrix[96];
    if (n <= end || n - end >= sizeof matrix || strcmp(name + n - end, suffix) != 0) return false;
    memcpy(matrix, name, n - end);
    matrix[n - end] = '\0';
    const ae_param *p = ae_params_find(params, matrix);
    return p != NULL && p->product && p->parts == 0;
}

static bool may_lack(const ae_params_match_options *o, const ae_param *p) {
    return o->lacks_any || (o->lacks_added && p->added) || (o->lacks_frozen && !p->trainable);
}

static bool is_extra(const ae_params_match_options *o, const char *name) {
    for (size_t i = 0; o->extras != NULL && o->extras[i] != NULL; i++) {
        if (fnmatch(o->extras[i], name, 0) == 0) return true;
    }
    return false;
}

static bool is_known(const ae_params *params, const char *name) {
    return strcmp(name, tied_name) == 0 || ae_params_find(params, name) != NULL || is_scale(params, name);
}

/* A tensor that the table does not know would be dropped in silence: the configuration does not describe this file. */
static ae_status check_names(const ae_params *params, const ae_tensors *t, const char *path,
                             const ae_params_match_options *o) {
    for (ptrdiff_t i = 0; i < params->n; i++) {
        const ae_param *p = &params->items[i];
        if (ae_tensors_find(t, p->name) < 0 && !may_lack(o, p))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected this tensor, found none of that name", path,
                           p->name);
    }
    for (ptrdiff_t i = 0; i < ae_tensors_count(t); i++) {
        const char *name = ae_tensors_name(t, i);
        if (strcmp(name, "score.weight") == 0 && ae_params_find(params, name) == NULL && !is_extra(o, name))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: expected a model without the head of a reward model, found one; take the "
                           "model that it was trained from",
                           path, name);
        if (!is_known(params, name) && !is_extra(o, name))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: a tensor that this model has no place for; does the configuration "
                           "belong to these weights?",
                           path, name);
    }
    return AE_OK;
}

static ae_status check_tied(ae_tensors *t, const char *path) {
    bool same = true;
    if (ae_tensors_find(t, tied_name) < 0) return AE_OK;
    ae_status st = ae_tensors_same(t, tied_name, "model.embed_tokens.weight", &same);
    if (st != AE_OK || same) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: %s: expected the values of model.embed_tokens.weight, found others: input and "
                   "output embeddings are one table in this model",
                   path, tied_name);
}

static const ae_params_match_options nothing_else = {0};

ae_status ae_params_match(const ae_params *p, ae_tensors *t, const char *path,
                          const ae_params_match_options *o) {
    const ae_status st = check_names(p, t, path, o != NULL ? o : &nothing_else);
    return st == AE_OK ? check_tied(t, path) : st;
}

ae_status ae_params_fit(const ae_params *params, ae_tensors *t, const char *path,
                        const ae_params_match_options *o) {
    ae_status st = check_names(params, t, path, o != NULL ? o : &nothing_else);
    for (ptrdiff_t i = 0; st == AE_OK && i < params->n; i++) {
        const ae_param *p = &params->items[i];
        if (ae_tensors_find(t, p->name) < 0) continue;
        st = ae_tensors_expect(t, p->name, p->rank, p->shape);
    }
    return st == AE_OK ? check_tied(t, path) : st;
}
