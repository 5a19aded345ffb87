#include "train/tune_config.h"

#include "core/file.h"
#include "core/log.h"
#include "data/packing.h"
#include "ops/types.h"
#include "train/run_folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(type, member) offsetof(type, member)
#define COUNT(table)     (sizeof(table) / sizeof *(table))
#define LORA_ALPHA       32
#define TEXT_OF(number)  TEXT(number)
#define TEXT(number)     #number
#define SHAPE            (AE_KEY_FIXED | AE_KEY_FINAL)

static const ae_field model_fields[] = {
    {"base_dtype", AE_FIELD_CHOICE, AT(ae_tune_model_keys, base_dtype), "f32", 0, 0, "f32|bf16|int8|int4",
     "with lora.rank: how the weights that do not train are kept", SHAPE},
};

static const ae_field data_fields[] = {
    {"pack", AE_FIELD_BOOL, AT(ae_tune_data_keys, pack), "true", 0, 0, NULL,
     "several examples in a row, which do not see each other; false: an example a row",
     AE_KEY_FIXED | AE_KEY_WORK},
    {"too_long", AE_FIELD_CHOICE, AT(ae_tune_data_keys, too_long), "error", 0, 0, "error|cut|drop",
     "what becomes of an example that is longer than a row", AE_KEY_FIXED | AE_KEY_WORK | AE_KEY_SCORE},
    {"map", AE_FIELD_TEXT, AT(ae_tune_data_keys, map), "", 0, 0, NULL,
     "FIELD=KEY,..: the names that JSON lines have for fields, prompt=question,completion=answer",
     AE_KEY_FREE},
};

static const ae_field train_fields[] = {
    {"epochs", AE_FIELD_REAL, AT(ae_tune_train_keys, epochs), "0", 0, 1e6, NULL,
     "times that the examples are read; 0: train.steps says how long", AE_KEY_FREE},
};

static const ae_field lora_fields[] = {
    {"rank", AE_FIELD_INT, AT(ae_lora_keys, rank), "0", 0, 65536, NULL,
     "rank of the adapters, beside weights that do not train; 0: all parameters train", SHAPE},
    {"alpha", AE_FIELD_REAL, AT(ae_lora_keys, alpha), TEXT_OF(LORA_ALPHA), 1e-6, 1e6, NULL,
     "adapters are scaled by alpha / rank", SHAPE},
    {"rslora", AE_FIELD_BOOL, AT(ae_lora_keys, rslora), "false", 0, 0, NULL,
     "adapters are scaled by alpha / sqrt(rank)", SHAPE},
    {"targets", AE_FIELD_TEXT, AT(ae_lora_keys, targets), "all", 0, 0, NULL,
     "projections with an adapter: all, or names such as q_proj,v_proj", SHAPE},
    {"also", AE_FIELD_TEXT, AT(ae_lora_keys, also), "", 0, 0, NULL,
     "what trains whole beside them: conv, gates, recurrent, norms, "
     "embeddings: the whole table, the only way to train control tokens",
     SHAPE},
};

ae_status ae_tune_config_init(ae_tune_config *c) {
    ae_status st = AE_OK;
    *c = (ae_tune_config){0};
    AE_TRY(ae_train_config_init(&c->train));
    ae_config *t = &c->train.table;
    AE_TRY(ae_config_add(t, "model", model_fields, COUNT(model_fields), &c->base));
    AE_TRY(ae_config_add(t, "data", data_fields, COUNT(data_fields), &c->examples));
    AE_TRY(ae_config_add(t, "train", train_fields, COUNT(train_fields), &c->length));
    AE_TRY(ae_config_add(t, "lora", lora_fields, COUNT(lora_fields), &c->lora));
out:
    if (st != AE_OK) ae_tune_config_free(c);
    return st;
}

void ae_tune_config_free(ae_tune_config *c) {
    ae_train_config_free(&c->train);
}

/* Of the run's newest checkpoint; 0: there is none that tells it. */
static ptrdiff_t width_of_run(const char *run) {
    char *checkpoint = NULL, *path = NULL, *text = NULL;
    size_t n = 0;
    ae_model_config config = {0};
    ae_status st;
    AE_TRY(ae_checkpoint_newest_complete(&checkpoint, NULL, run));
    if (!checkpoint) goto out;
    path = ae_path_join(checkpoint, "model.json");
    AE_TRY(ae_file_read(path, &text, &n));
    AE_TRY(ae_model_config_from_json(&config, text, path));
out:
    free(checkpoint);
    free(path);
    free(text);
    return st == AE_OK ? config.D : 0;
}

/* A run that goes on need not have model.init for it, nor what lies there now. */
static ae_status find_width(const ae_train_config *c, ptrdiff_t *width) {
    ae_model_source source;
    *width = width_of_run(c->run.dir);
    if (*width > 0) return AE_OK;
    const ae_status st = ae_run_source_open(&source, c->model.init);
    if (st != AE_OK) return st;
    *width = source.config.D;
    ae_model_source_free(&source);
    return AE_OK;
}

/* Small models learn at higher rates than the published ones. */
ae_status ae_tune_config_defaults(ae_tune_config *c, double rate, double large_rate, double epochs) {
    enum { SMALL_WIDTH = 1024, ADAPTER_FACTOR = 10 };
    const ae_config *t = &c->train.table;
    ptrdiff_t width = 0;
    if (!ae_config_is_set(t, "train.steps") && !ae_config_is_set(t, "train.epochs"))
        c->length.epochs = epochs;
    if (ae_config_is_set(t, "optim.lr") || !c->train.model.init[0]) return AE_OK;
    const ae_status st = find_width(&c->train, &width);
    if (st != AE_OK) return st;
    c->train.optim.lr = width > SMALL_WIDTH ? large_rate : rate;
    if (c->lora.rank > 0) c->train.optim.lr *= ADAPTER_FACTOR;
    return AE_OK;
}

/* Without adapters their keys stay as they are where nobody gives them, which is how a run writes them down. */
static ae_status check_full(const ae_tune_config *c) {
    const ae_lora_keys *k = &c->lora;
    if (k->rank > 0) return AE_OK;
    if (c->base.base_dtype != AE_WEIGHT_F32)
        return AE_FAIL(AE_ERR_USAGE, "model.base_dtype: expected f32 where all parameters train, found "
                                     "another; set lora.rank, or leave it out");
    const char *stray = k->alpha != LORA_ALPHA           ? "alpha"
                        : k->rslora                      ? "rslora"
                        : strcmp(k->targets, "all") != 0 ? "targets"
                        : k->also[0]                     ? "also"
                                                         : NULL;
    if (!stray) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "lora.%s: expected lora.rank beside it, found 0: all parameters train; set lora.rank, or "
                   "leave lora.%s out",
                   stray, stray);
}

ae_status ae_tune_config_check(const ae_tune_config *c) {
    ae_lora_patterns patterns;
    if (!c->train.model.init[0])
        return AE_FAIL(AE_ERR_USAGE, "model.init: expected the model to start from, found none; add "
                                     "model.init=FOLDER (a run, a checkpoint or a Hugging Face folder)");
    if (c->train.train.carry_state)
        return AE_FAIL(AE_ERR_USAGE, "train.carry_state: expected false, found true: examples do not go on "
                                     "from row to row; leave it out");
    ae_status st = ae_lora_patterns_make(&patterns, &c->lora);
    if (st != AE_OK) return st;
    ae_lora_patterns_free(&patterns);
    st = check_full(c);
    if (st != AE_OK) return st;
    return (c->length.epochs > 0 ? ae_train_config_check_keys : ae_train_config_check)(&c->train, true);
}

/* ---- patterns ---- */

enum { PATTERNS_MAX = 16 };

typedef struct {
    const char *word;
    const char *patterns[2]; /* the second may be NULL */
} group;

static const char *const projections[] = {"linear_x", "linear_y", "linear_out", "q_proj",  "k_proj",
                                          "v_proj",   "o_proj",   "gate_proj",  "up_proj", "down_proj"};
static const group groups[] = {
    {"conv", {"*.conv_1d.*", NULL}},
    {"gates", {"*.rg_lru.input_gate_*", "*.rg_lru.recurrent_gate_*"}},
    {"recurrent", {"*.rg_lru.recurrent_param", NULL}},
    {"norms", {"*norm*.weight", NULL}},
    {"embeddings", {"model.embed_tokens.weight", NULL}},
};

typedef struct {
    char **items;
    size_t n;
} list;

static ae_status append(list *l, const char *pattern) {
    if (!l->items) l->items = calloc(PATTERNS_MAX + 1, sizeof *l->items);
    for (size_t i = 0; l->items && i < l->n; i++)
        if (strcmp(l->items[i], pattern) == 0) return AE_OK;
    char *copy = l->items ? strdup(pattern) : NULL;
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "lora: out of memory");
    l->items[l->n++] = copy;
    return AE_OK;
}

static ae_status add_projection(list *l, const char *word) {
    char pattern[64];
    for (size_t i = 0; i < COUNT(projections); i++) {
        if (strcmp(projections[i], word) != 0) continue;
        snprintf(pattern, sizeof pattern, "*.%s.weight", word);
        return append(l, pattern);
    }
    return AE_FAIL(AE_ERR_USAGE,
                   "lora.targets: expected all, or some of linear_x, linear_y, linear_out, q_proj, "
                   "k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, found \"%s\"",
                   word);
}

static ae_status add_group(list *l, const char *word) {
    for (size_t i = 0; i < COUNT(groups); i++) {
        if (strcmp(groups[i].word, word) != 0) continue;
        const ae_status st = append(l, groups[i].patterns[0]);
        return st == AE_OK && groups[i].patterns[1] ? append(l, groups[i].patterns[1]) : st;
    }
    return AE_FAIL(
        AE_ERR_USAGE, "lora.also: expected some of conv, gates, recurrent, norms, embeddings, found \"%s\"%s",
        word,
        strcmp(word, "control") == 0
            ? ": rows of control tokens do not train by themselves, embeddings trains the whole table"
            : "");
}

/* Each word of "a, b". */
static ae_status each_word(list *l, const char *text, ae_status (*add)(list *, const char *)) {
    ae_status st = AE_OK;
    char *rest = NULL, *copy = strdup(text);
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "lora: out of memory");
    for (char *w = strtok_r(copy, ", ", &rest); w && st == AE_OK; w = strtok_r(NULL, ", ", &rest))
        st = add(l, w);
    free(copy);
    return st;
}

ae_status ae_lora_patterns_make(ae_lora_patterns *p, const ae_lora_keys *k) {
    ae_status st = AE_OK;
    list adapted = {0}, whole = {0};
    *p = (ae_lora_patterns){0};
    if (k->rank == 0) return AE_OK;
    if (strcmp(k->targets, "all") != 0) {
        AE_TRY(each_word(&adapted, k->targets, add_projection));
        if (adapted.n == 0)
            AE_TRY(AE_FAIL(AE_ERR_USAGE, "lora.targets: expected all or names of projections, found none"));
    }
    AE_TRY(each_word(&whole, k->also, add_group));
out:
    *p = (ae_lora_patterns){adapted.items, whole.items, adapted.n, whole.n};
    if (st != AE_OK) ae_lora_patterns_free(p);
    return st;
}

static void free_list(char **items, size_t n) {
    for (size_t i = 0; i < n; i++) free(items[i]);
    free(items);
}

void ae_lora_patterns_free(ae_lora_patterns *p) {
    free_list(p->adapted, p->n_adapted);
    free_list(p->whole, p->n_whole);
    *p = (ae_lora_patterns){0};
}

/* ---- epochs ---- */

ae_status ae_tune_config_set_steps(ae_tune_config *c, double steps_per_epoch) {
    ae_train_keys *k = &c->train.train;
    if (c->length.epochs == 0) return AE_OK;
    const int64_t steps = (int64_t)fmax(1, ceil(c->length.epochs * steps_per_epoch));
    if (ae_config_is_set(&c->train.table, "train.steps") && k->steps != steps)
        return AE_FAIL(
            AE_ERR_USAGE,
            "train.steps: expected the %lld step%s of %g epoch%s, found %lld; leave out train.steps, or give "
            "train.epochs=0",
            (long long)steps, ae_plural(steps), c->length.epochs, c->length.epochs == 1 ? "" : "s",
            (long long)k->steps);
    k->steps = steps;
    const ae_schedule schedule = ae_train_schedule(&c->train);
    const ae_status st = ae_schedule_check(&schedule);
    if (st != AE_OK)
        ae_fail_prefix("train.epochs: %g of this data are %lld step%s", c->length.epochs, (long long)steps,
                       ae_plural(steps));
    return st;
}
