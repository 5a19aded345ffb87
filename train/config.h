#ifndef AE_TRAIN_CONFIG_H
#define AE_TRAIN_CONFIG_H
#include "core/config.h"
#include "model/config.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

#include <stdint.h>

/* The keys of a training run: sections run, model, data, train, optim and eval (docs/interfaces.md, "Keys every
 * training verb shares"). */

typedef struct {
    char *dir;
    int64_t seed;
    char *from;     /* the working directory of the last start */
    char *override; /* keys, separated by commas (override.h) */
} ae_run_keys;

typedef struct {
    char *train; /* JSON text of the value: a path, a list, phases */
    char *heldout;
    bool shuffle;
} ae_data_keys;

enum {
    AE_DTYPE_AUTO = AE_DTYPE_BF16 + 1
}; /* beside ae_dtype: bf16 where the machine multiplies it, else f32 */

typedef struct {
    int dtype; /* ae_dtype, or AE_DTYPE_AUTO */
    int64_t row_tokens, batch_rows, micro_rows;
    int64_t steps, eval_every, checkpoint_every;
    int64_t threads;
    bool carry_state;                  /* rows go on from those of the step before */
    int64_t recompute, recompute_mlps; /* blocks that run forward again, or their MLP partly; -1: chosen */
    double memory_gb;                  /* 0: what there is */
    int64_t keep, keep_every;          /* checkpoints */
    bool keep_best;
    int64_t skip_limit;
    char *sample_prompt;
    int64_t sample_tokens;
    double sample_temperature;
} ae_train_keys;

typedef struct {
    int schedule; /* ae_schedule_kind */
    double lr, lr_final_ratio;
    int64_t warmup_steps, decay_steps;
    double beta1, beta2, eps, weight_decay, clip_norm;
} ae_optim_keys;

typedef struct {
    char *tasks; /* names, separated by commas; "": none */
    char *data;
    int64_t limit, num_fewshot; /* -1: all, what each task says */
    bool apply_chat_template;
} ae_eval_keys;

typedef struct {
    ae_run_keys run;
    ae_model_keys model;
    ae_data_keys data;
    ae_train_keys train;
    ae_optim_keys optim;
    ae_eval_keys eval;
    ae_config table; /* over the sections above: do not move the struct */
} ae_train_config;

/* The table of section optim. */
extern const ae_field ae_optim_fields[];
extern const size_t ae_optim_n_fields;

/* Defaults everywhere. */
ae_status ae_train_config_init(ae_train_config *c);
void ae_train_config_free(ae_train_config *c);
/* What no single range can say: needed keys, a type of this version, a shape given once,
 * a schedule that fits into the steps. `needs_run`: the command
 * writes, so run.dir and data.train must be there. */
ae_status ae_train_config_check(const ae_train_config *c, bool needs_run);
/* The same but for the schedule, where the steps are not counted yet. */
ae_status ae_train_config_check_keys(const ae_train_config *c, bool needs_run);

ae_schedule ae_train_schedule(const ae_train_config *c);
ae_adamw_options ae_train_adamw(const ae_train_config *c);
/* `auto` is bfloat16 where the machine has instructions for it, else float32. */
ae_dtype ae_train_dtype(const ae_train_config *c);

#endif
