#include "train/config.h"

#include "core/json.h"
#include "ops/backend.h"

#include <stdlib.h>
#include <string.h>

#define AT(type, member) offsetof(type, member)
#define COUNT(table)     (sizeof(table) / sizeof *(table))

static const ae_field run_fields[] = {
    {"dir", AE_FIELD_TEXT, AT(ae_run_keys, dir), "", 0, 0, NULL,
     "folder of the run; the same command again resumes what is there", AE_KEY_FREE},
    {"seed", AE_FIELD_INT, AT(ae_run_keys, seed), "1", 0, 9e15, NULL,
     "of initial values, the order of rows and samples", AE_KEY_FIXED | AE_KEY_WORK},
    {"from", AE_FIELD_TEXT, AT(ae_run_keys, from), "", 0, 0, NULL,
     "set by every start: its working directory, which relative paths in RUN/config.yaml count from",
     AE_KEY_FREE},
    {"override", AE_FIELD_TEXT, AT(ae_run_keys, override), "", 0, 0, NULL,
     "KEY,KEY: what may differ, when the run goes on, from what it was started with", AE_KEY_FREE},
};

static const ae_field data_fields[] = {
    {"train", AE_FIELD_TREE, AT(ae_data_keys, train), "", 0, 0, NULL,
     "token set; or a list of {path, weight}; or phases [{from_step, sets: [..]}, ..]",
     AE_KEY_FIXED | AE_KEY_DERIVED | AE_KEY_PLACE},
    {"heldout", AE_FIELD_TEXT, AT(ae_data_keys, heldout), "", 0, 0, NULL,
     "token set to evaluate on; empty: no evaluation",
     AE_KEY_FIXED | AE_KEY_DERIVED | AE_KEY_SCORE | AE_KEY_PLACE},
    {"shuffle", AE_FIELD_BOOL, AT(ae_data_keys, shuffle), "true", 0, 0, NULL,
     "a new order of rows each epoch; false: the order of the file", AE_KEY_FIXED | AE_KEY_WORK},
};

static const ae_field train_fields[] = {
    {"dtype", AE_FIELD_CHOICE, AT(ae_train_keys, dtype), "f32", 0, 0, "f32|bf16|auto",
     "type of products and activations", AE_KEY_FIXED | AE_KEY_MEMORY},
    {"row_tokens", AE_FIELD_INT, AT(ae_train_keys, row_tokens), "8192", 1, 1e9, NULL, "T, tokens of a row",
     AE_KEY_FIXED | AE_KEY_WORK | AE_KEY_MEMORY},
    {"batch_rows", AE_FIELD_INT, AT(ae_train_keys, batch_rows), "8", 1, 1e6, NULL, "rows of a global step",
     AE_KEY_FIXED | AE_KEY_MEMORY},
    {"micro_rows", AE_FIELD_INT, AT(ae_train_keys, micro_rows), "0", 0, 1e6, NULL,
     "rows in memory at once; 0: chosen by the memory there is", AE_KEY_FREE},
    {"carry_state", AE_FIELD_BOOL, AT(ae_train_keys, carry_state), "false", 0, 0, NULL,
     "row b of a step goes on where row b of the step before ended, state and positions; needs "
     "data.shuffle=false",
     AE_KEY_FIXED | AE_KEY_WORK | AE_KEY_MEMORY},
    {"steps", AE_FIELD_INT, AT(ae_train_keys, steps), "1000", 1, 1e12, NULL, "updates of the whole run",
     AE_KEY_FIXED | AE_KEY_DERIVED},
    {"eval_every", AE_FIELD_INT, AT(ae_train_keys, eval_every), "500", 0, 1e12, NULL,
     "steps between evaluations; 0: at the end only", AE_KEY_FREE},
    {"checkpoint_every", AE_FIELD_INT, AT(ae_train_keys, checkpoint_every), "500", 0, 1e12, NULL,
     "steps between checkpoints; 0: at the end only", AE_KEY_FREE},
    {"threads", AE_FIELD_INT, AT(ae_train_keys, threads), "0", 0, 1024, NULL,
     "0: OMP_NUM_THREADS, else the usable cores", AE_KEY_FREE},
    {"recompute", AE_FIELD_INT, AT(ae_train_keys, recompute), "-1", -1, AE_BLOCKS_MAX, NULL,
     "blocks that keep their input only and run forward twice; -1: as few as memory allows", AE_KEY_FREE},
    {"recompute_mlps", AE_FIELD_INT, AT(ae_train_keys, recompute_mlps), "-1", -1, AE_BLOCKS_MAX, NULL,
     "blocks whose MLP makes two of its products twice; -1: as few as memory allows", AE_KEY_FREE},
    {"memory_gb", AE_FIELD_REAL, AT(ae_train_keys, memory_gb), "0", 0, 1e6, NULL,
     "memory the run may take; 0: what the machine has", AE_KEY_FREE},
    {"keep", AE_FIELD_INT, AT(ae_train_keys, keep), "3", 0, 1e9, NULL,
     "newest checkpoints that are kept; 0: all", AE_KEY_FREE},
    {"keep_best", AE_FIELD_BOOL, AT(ae_train_keys, keep_best), "true", 0, 0, NULL,
     "the checkpoint of the best evaluation is kept as well, as checkpoints/best", AE_KEY_FREE},
    {"keep_every", AE_FIELD_INT, AT(ae_train_keys, keep_every), "0", 0, 1e12, NULL,
     "steps between checkpoints that are kept for good; 0: none", AE_KEY_FREE},
    {"skip_limit", AE_FIELD_INT, AT(ae_train_keys, skip_limit), "5", 1, 1e9, NULL,
     "skipped steps in a row (loss or gradient not finite) that stop the run", AE_KEY_FREE},
    {"sample_prompt", AE_FIELD_TEXT, AT(ae_train_keys, sample_prompt), "", 0, 0, NULL,
     "what the sample after each evaluation continues", AE_KEY_FREE},
    {"sample_tokens", AE_FIELD_INT, AT(ae_train_keys, sample_tokens), "200", 0, 1e6, NULL,
     "length of that sample; 0: none", AE_KEY_FREE},
    {"sample_temperature", AE_FIELD_REAL, AT(ae_train_keys, sample_temperature), "0.8", 0, 100, NULL,
     "of that sample; 0: the likeliest token each time", AE_KEY_FREE},
};

const ae_field ae_optim_fields[] = {
    {"lr", AE_FIELD_REAL, AT(ae_optim_keys, lr), "1e-3", 0, 100, NULL, "highest learning rate", AE_KEY_FIXED},
    {"schedule", AE_FIELD_CHOICE, AT(ae_optim_keys, schedule), "cosine", 0, 0, AE_SCHEDULE_CHOICES,
     "course of the learning rate after the warm-up", AE_KEY_FIXED},
    {"warmup_steps", AE_FIELD_INT, AT(ae_optim_keys, warmup_steps), "0", 0, 1e12, NULL,
     "the rate rises in a straight line up to this step", AE_KEY_FIXED},
    {"decay_steps", AE_FIELD_INT, AT(ae_optim_keys, decay_steps), "0", 0, 1e12, NULL,
     "wsd: the rate falls over so many last steps", AE_KEY_FIXED},
    {"lr_final_ratio", AE_FIELD_REAL, AT(ae_optim_keys, lr_final_ratio), "0.1", 0, 1, NULL,
     "rate of the last step over lr (linear, cosine, wsd)", AE_KEY_FIXED},
    {"beta1", AE_FIELD_REAL, AT(ae_optim_keys, beta1), "0.9", 0, 0.999999, NULL, "AdamW: decay of the mean",
     AE_KEY_FIXED},
    {"beta2", AE_FIELD_REAL, AT(ae_optim_keys, beta2), "0.95", 0, 0.999999, NULL,
     "AdamW: decay of the mean square", AE_KEY_FIXED},
    {"eps", AE_FIELD_REAL, AT(ae_optim_keys, eps), "1e-8", 1e-30, 1, NULL, "AdamW: added to the root",
     AE_KEY_FIXED},
    {"weight_decay", AE_FIELD_REAL, AT(ae_optim_keys, weight_decay), "0.1", 0, 100, NULL,
     "AdamW: decoupled; not on embeddings, norms, biases and the recurrence", AE_KEY_FIXED},
    {"clip_norm", AE_FIELD_REAL, AT(ae_optim_keys, clip_norm), "1", 0, 1e30, NULL,
     "largest global norm of the gradient; 0: off", AE_KEY_FIXED},
};

const size_t ae_optim_n_fields = COUNT(ae_optim_fields);

static const ae_field eval_fields[] = {
    {"tasks", AE_FIELD_TEXT, AT(ae_eval_keys, tasks), "", 0, 0, NULL,
     "TASK,..: benchmarks (aerie eval ls) that each evaluation asks beside the held-out set; empty: none",
     AE_KEY_FREE},
    {"data", AE_FIELD_TEXT, AT(ae_eval_keys, data), ".", 0, 0, NULL,
     "folder with the files of the benchmarks", AE_KEY_PLACE},
    {"limit", AE_FIELD_INT, AT(ae_eval_keys, limit), "100", -1, 1e9, NULL,
     "documents of each task, the first ones; -1: all", AE_KEY_FREE},
    {"num_fewshot", AE_FIELD_INT, AT(ae_eval_keys, num_fewshot), "-1", -1, 1000, NULL,
     "examples before each question; -1: as many as the task says", AE_KEY_FREE},
    {"apply_chat_template", AE_FIELD_BOOL, AT(ae_eval_keys, apply_chat_template), "false", 0, 0, NULL,
     "questions as a dialogue in turns", AE_KEY_FREE},
};

ae_status ae_train_config_init(ae_train_config *c) {
    ae_status st = AE_OK;
    *c = (ae_train_config){0};
    AE_TRY(ae_config_add(&c->table, "run", run_fields, COUNT(run_fields), &c->run));
    AE_TRY(ae_config_add(&c->table, "model", ae_model_fields, ae_model_n_fields, &c->model));
    AE_TRY(ae_config_add(&c->table, "data", data_fields, COUNT(data_fields), &c->data));
    AE_TRY(ae_config_add(&c->table, "train", train_fields, COUNT(train_fields), &c->train));
    AE_TRY(ae_config_add(&c->table, "optim", ae_optim_fields, ae_optim_n_fields, &c->optim));
    AE_TRY(ae_config_add(&c->table, "eval", eval_fields, COUNT(eval_fields), &c->eval));
out:
    if (st != AE_OK) ae_train_config_free(c);
    return st;
}

void ae_train_config_free(ae_train_config *c) {
    ae_config_free(&c->table);
}

ae_schedule ae_train_schedule(const ae_train_config *c) {
    const ae_optim_keys *o = &c->optim;
    return (ae_schedule){.kind = (ae_schedule_kind)o->schedule,
                         .lr = o->lr,
                         .final_ratio = o->lr_final_ratio,
                         .warmup_steps = o->warmup_steps,
                         .decay_steps = o->decay_steps,
                         .steps = c->train.steps};
}

ae_adamw_options ae_train_adamw(const ae_train_config *c) {
    const ae_optim_keys *o = &c->optim;
    return (ae_adamw_options){.beta1 = o->beta1,
                              .beta2 = o->beta2,
                              .eps = o->eps,
                              .weight_decay = o->weight_decay,
                              .clip_norm = o->clip_norm};
}

ae_dtype ae_train_dtype(const ae_train_config *c) {
    if (c->train.dtype != AE_DTYPE_AUTO) return (ae_dtype)c->train.dtype;
    return ae_dtype_auto();
}

/* The section `model` of a resolved configuration; the caller releases *root. */
static ae_status model_section(const ae_config *table, json_t **root, json_t **section) {
    char *text = NULL;
    ae_status st = ae_config_json(table, &text);
    if (st == AE_OK) st = ae_json_parse(root, text, strlen(text), "configuration");
    if (st == AE_OK) *section = json_object_get(*root, "model");
    free(text);
    return st;
}

static const char *first_difference(json_t *ours, json_t *defaults) {
    for (size_t i = 0; i < ae_model_n_fields; i++) {
        const char *key = ae_model_fields[i].key;
        if (strcmp(key, "init") == 0) continue;
        if (!json_equal(json_object_get(ours, key), json_object_get(defaults, key))) return key;
    }
    return NULL;
}

/* model.init brings its shape: a key that differs from its default contradicts it. */
static ae_status check_init(const ae_train_config *c) {
    ae_status st = AE_OK;
    ae_train_config plain = {0};
    json_t *our_root = NULL, *plain_root = NULL, *ours = NULL, *defaults = NULL;
    if (!c->model.init[0]) return AE_OK;
    AE_TRY(ae_train_config_init(&plain));
    AE_TRY(model_section(&c->table, &our_root, &ours));
    AE_TRY(model_section(&plain.table, &plain_root, &defaults));
    const char *key = first_difference(ours, defaults);
    if (key)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "model.%s: the shape comes from model.init; leave this key out", key));
out:
    json_decref(our_root);
    json_decref(plain_root);
    ae_train_config_free(&plain);
    return st;
}

static ae_status check_needed(const ae_train_config *c) {
    if (!c->run.dir[0])
        return AE_FAIL(AE_ERR_USAGE,
                       "run.dir: expected the folder of the run, found none; add run.dir=FOLDER");
    if (!c->data.train[0])
        return AE_FAIL(AE_ERR_USAGE,
                       "data.train: expected a token set, found none; `aerie data prepare` makes one");
    return AE_OK;
}

ae_status ae_train_config_check_keys(const ae_train_config *c, bool needs_run) {
    ae_status st = needs_run ? check_needed(c) : AE_OK;
    if (st == AE_OK) st = check_init(c);
    if (st != AE_OK) return st;
    if (c->train.carry_state && c->data.shuffle)
        return AE_FAIL(
            AE_ERR_USAGE,
            "train.carry_state: expected data.shuffle=false, found true: only in the order of the file "
            "does a row go on where the one before it ended");
    if (c->train.micro_rows > c->train.batch_rows)
        return AE_FAIL(AE_ERR_USAGE, "train.micro_rows: expected at most train.batch_rows (%lld), found %lld",
                       (long long)c->train.batch_rows, (long long)c->train.micro_rows);
    if (c->train.micro_rows * c->train.row_tokens > INT32_MAX)
        return AE_FAIL(AE_ERR_USAGE,
                       "train.micro_rows: expected at most %lld rows of %lld tokens at once, found %lld",
                       (long long)(INT32_MAX / c->train.row_tokens), (long long)c->train.row_tokens,
                       (long long)c->train.micro_rows);
    return AE_OK;
}

ae_status ae_train_config_check(const ae_train_config *c, bool needs_run) {
    const ae_schedule schedule = ae_train_schedule(c);
    const ae_status st = ae_train_config_check_keys(c, needs_run);
    return st == AE_OK ? ae_schedule_check(&schedule) : st;
}
