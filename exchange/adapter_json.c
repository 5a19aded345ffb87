#include "core/file.h"
#include "core/json.h"
#include "exchange/adapter.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char ae_adapter_file[] = "adapter.json";

/* ---- which parameters, as patterns ---- */

typedef bool choice(const ae_params *params, const ae_param *p);

static bool has_adapter(const ae_params *params, const ae_param *p) {
    return ae_params_find_adapter(params, p->name, 'A') != NULL;
}

static bool trains_whole(const ae_params *params, const ae_param *p) {
    (void)params;
    return p->trainable && !p->added;
}

/* What follows "model.layers.N."; NULL outside the blocks. */
static const char *within_block(const char *name) {
    static const char prefix[] = "model.layers.";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return NULL;
    const char *c = name + sizeof prefix - 1;
    while (isdigit((unsigned char)*c)) c++;
    return *c == '.' ? c + 1 : NULL;
}

static bool is_alike(const ae_param *a, const ae_param *b) {
    const char *x = within_block(a->name), *y = within_block(b->name);
    return x != NULL && y != NULL && strcmp(x, y) == 0;
}

/* Whether the parameter is chosen in every block that has it, and in none before this one. */
static bool is_chosen_everywhere(const ae_params *params, const ae_param *p, choice *chosen, bool *is_first) {
    bool all = true;
    *is_first = true;
    for (const ae_param *q = params->items; q < params->items + params->n; q++) {
        if (!is_alike(p, q)) continue;
        all = all && chosen(params, q);
        *is_first = *is_first && !(q < p && chosen(params, q));
    }
    return all;
}

/* One pattern for all blocks where that says the same. */
static json_t *patterns_of(const ae_params *params, choice *chosen) {
    json_t *list = json_array();
    for (const ae_param *p = params->items; p < params->items + params->n; p++) {
        const char *tail = within_block(p->name);
        bool is_first = true;
        if (!chosen(params, p)) continue;
        if (tail == NULL || !is_chosen_everywhere(params, p, chosen, &is_first))
            json_array_append_new(list, json_string(p->name));
        else if (is_first)
            json_array_append_new(list, json_sprintf("model.layers.*.%s", tail));
    }
    return list;
}

/* ---- the text ---- */

static ae_status check_trains(const ae_model *m) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        n += p->trainable;
        if (p->added && !p->trainable)
            return AE_FAIL(AE_ERR_USAGE, "%s: expected adapters and heads that train, found this one frozen",
                           p->name);
    }
    return n > 0 ? AE_OK : AE_FAIL(AE_ERR_USAGE, "an adapter: expected parameters that train, found none");
}

static json_t *object_of(const ae_model *m, const char *base, const char *fingerprint, const char *sample) {
    const ae_adapter_options *o = &m->options.params.adapters;
    return json_pack("{s:i, s:I, s:f, s:b, s:o, s:o, s:b, s:s, s:s, s:s*}", "format", 1, "rank",
                     (json_int_t)o->rank, "alpha", o->alpha, "rslora", (int)o->by_root, "targets",
                     patterns_of(&m->params, has_adapter), "whole", patterns_of(&m->params, trains_whole),
                     "score_head", (int)m->options.params.score_head, "base", base, "base_fingerprint",
                     fingerprint, "base_sample", sample[0] != '\0' ? sample : NULL);
}

ae_status ae_adapter_json(char **text, const ae_model *m, const char *base, const char *fingerprint,
                          const char *sample) {
    *text = NULL;
    const ae_status st = check_trains(m);
    if (st != AE_OK) return st;
    char *absolute = realpath(base, NULL);
    json_t *o = object_of(m, absolute != NULL ? absolute : base, fingerprint, sample);
    *text = o != NULL ? ae_json_text(o) : NULL;
    json_decref(o);
    free(absolute);
    if (*text != NULL) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory, or a path of the base that is no UTF-8: %s",
                   ae_adapter_file, base);
}
