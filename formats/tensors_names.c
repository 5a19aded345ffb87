#include "formats/tensors_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the names of wrappers ---- */

/* What torch.compile, DistributedDataParallel and PEFT put before the names of all tensors. */
static const char *const wrappers[] = {"_orig_mod.", "module.", "base_model.model."};
static const char table_name[] = "model.embed_tokens.weight", head_name[] = "lm_head.weight";

static bool all_begin_with(const ae_tensors *t, const char *prefix) {
    for (size_t i = 0; i < t->n; i++)
        if (strncmp(t->items[i].name, prefix, strlen(prefix)) != 0) return false;
    return t->n > 0;
}

static void drop_prefix(ae_tensors *t, const char *prefix) {
    const size_t n = strlen(prefix);
    for (size_t i = 0; i < t->n; i++)
        memmove(t->items[i].name, t->items[i].name + n, strlen(t->items[i].name + n) + 1);
}

static ae_status rename_item(ae_tensors *t, ae_located *at, const char *before, const char *name) {
    char *new_name = malloc(strlen(before) + strlen(name) + 1);
    if (new_name == NULL) return ae_tensors_out_of_memory(t->path);
    sprintf(new_name, "%s%s", before, name);
    free(at->name);
    at->name = new_name;
    return AE_OK;
}

/* Whether no tensor is there with and without what comes before the names: both would have one name. */
static ae_status check_free(const ae_tensors *t, const char *before) {
    const size_t n = strlen(before);
    for (size_t i = 0; i < t->n; i++) {
        const char *name = t->items[i].name;
        if (strncmp(name, before, n) == 0 && ae_tensors_find(t, name + n) >= 0)
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %.200s: expected this tensor once, found it with and without '%s'; keep one",
                           t->path, name, before);
    }
    return AE_OK;
}

/* AutoModel saves the model without its head, and the names without "model.". */
static ae_status add_prefix(ae_tensors *t) {
    if (ae_tensors_find(t, table_name + strlen("model.")) < 0) return AE_OK;
    ae_status st = check_free(t, "model.");
    for (size_t i = 0; st == AE_OK && i < t->n; i++)
        if (strcmp(t->items[i].name, head_name) != 0)
            st = rename_item(t, &t->items[i], "model.", t->items[i].name);
    return st;
}

/* Of two names of one tensor safetensors.torch.save_model keeps the first of the alphabet. */
static ae_status name_table(ae_tensors *t) {
    const ptrdiff_t head = ae_tensors_find(t, head_name);
    if (head < 0 || ae_tensors_find(t, table_name) >= 0) return AE_OK;
    return rename_item(t, &t->items[head], "", table_name);
}

/* Computed from the configuration when a model is made; older releases of transformers saved them. */
static void drop_buffers(ae_tensors *t) {
    static const char buffer[] = ".rotary_emb.inv_freq";
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        const size_t n = strlen(t->items[i].name), end = sizeof buffer - 1;
        if (n > end && strcmp(t->items[i].name + n - end, buffer) == 0)
            free(t->items[i].name);
        else
            t->items[kept++] = t->items[i];
    }
    t->n = kept;
}

static ae_status refuse_adapters(const ae_tensors *t) {
    for (size_t i = 0; i < t->n; i++)
        if (strstr(t->items[i].name, ".lora_") != NULL)
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: a tensor of an adapter (LoRA); give it beside its base (--adapter), or "
                           "export the two as a model first",
                           t->path, t->items[i].name);
    return AE_OK;
}

void ae_tensors_unwrap_adapter(ae_tensors *t) {
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (all_begin_with(t, wrappers[i])) drop_prefix(t, wrappers[i]);
}

/* From here on the tensors have the names that transformers gives them when it saves a whole model. */
ae_status ae_tensors_unwrap_names(ae_tensors *t) {
    if (t->h5 >= 0) return AE_OK;
    ae_tensors_unwrap_adapter(t);
    drop_buffers(t);
    ae_status st = refuse_adapters(t);
    if (st == AE_OK) st = add_prefix(t);
    return st == AE_OK ? name_table(t) : st;
}

/* ---- the names of Google's release ---- */

static ae_status add_once(ae_tensors *t, const ae_located *from, const char *name) {
    if (ae_tensors_find(t, name) < 0) return ae_tensors_add_item(t, name, from->file, from->item);
    return AE_FAIL(AE_ERR_INPUT, "%s: %.200s: expected this tensor once, found it under two names", t->path,
                   name);
}

static ae_status add_renamed(ae_tensors *t, const ae_located *from) {
    ae_google_tensor to[AE_GOOGLE_NAMES_MAX];
    const int n = ae_google_tensors(from->name, to);
    ae_status st = n > 0 ? AE_OK : add_once(t, from, from->name);
    for (int i = 0; st == AE_OK && i < n; i++) {
        st = add_once(t, from, to[i].name);
        if (st != AE_OK) break;
        t->items[t->n - 1].layout = to[i].layout;
        t->items[t->n - 1].half = to[i].half;
    }
    return st;
}

/* From here on the tensors have the names that Hugging Face gave them. */
ae_status ae_tensors_rename_google(ae_tensors *t) {
    if (t->h5 >= 0 || ae_tensors_find(t, ae_google_table_name) < 0) return AE_OK;
    ae_located *items = t->items;
    const size_t n = t->n;
    t->n = 0;
    t->items = NULL;
    ae_status st = ae_tensors_make_items(t, AE_GOOGLE_NAMES_MAX * n);
    for (size_t i = 0; st == AE_OK && i < n; i++) st = add_renamed(t, &items[i]);
    ae_tensors_free_items(items, n);
    return st;
}
