#ifndef AE_EXCHANGE_ADAPTER_H
#define AE_EXCHANGE_ADAPTER_H
#include "exchange/source.h"
#include "model/fingerprint.h"

/* What was trained beside a base, on the disk: a checkpoint with adapter.json, whose weights.h5 holds only
 * what trained (train/run_model.h finds the checkpoint of a run), or a folder of PEFT with
 * adapter_config.json and adapter_model.safetensors. Of a checkpoint:
 *
 *   {"format": 1, "rank": r, "alpha": x, "rslora": bool,
 *    "targets": [patterns of the weights that have adapters],
 *    "whole": [patterns of the other parameters that trained], "score_head": bool,
 *    "base": path, "base_fingerprint": 16 hexadecimal digits, and where known
 *    "base_sample": the same (model/fingerprint.h)}
 *
 * Patterns are those of fnmatch over the names of parameters. */

extern const char ae_adapter_file[], ae_peft_config_file[]; /* adapter.json, adapter_config.json */

typedef enum { AE_ADAPTER_CHECKPOINT, AE_ADAPTER_PEFT } ae_adapter_kind;

typedef struct {
    ae_adapter_kind kind;
    char *folder;
    char *tensors;             /* of what trained, for ae_model_load with .lacks_frozen */
    char *tokenizer;           /* tokenizer.model there; NULL when there is none */
    ae_params_options options; /* of the table: adapters, head, and what trained; the strings are owned */
    char *base;                /* where the base lay; NULL: not said */
    char fingerprint[AE_FINGERPRINT_BYTES]; /* of the base; of PEFT "": not known */
    char sample[AE_FINGERPRINT_BYTES];      /* of its matrices; "": not known */
    double reward_shift, reward_std;        /* of a head (model/config.h) */
    char **targets, **train;                /* what the options point to, each up to a NULL */
    /* Of PEFT: target_modules, where all of them have adapters ("": every linear map), and modules_to_save. */
    char **modules, **saved;
} ae_adapter_source;

/* Whether a folder says that it holds an adapter: one that is no model by itself. */
bool ae_adapter_is_there(const char *folder);

/* Reads what describes the adapter, and names of tensors, not the weights. AE_ERR_INPUT for a folder
 * without it, for a checkpoint that is half-written or whose small files and sizes are not those in its
 * DONE, and for an adapter of PEFT that asks for what is not done here. */
ae_status ae_adapter_source_open(ae_adapter_source *s, const char *folder);
/* Before weights are used or memory for them is taken: whether they are whole, and have the names and shapes
 * that adapter.json and the base ask for, and whether the base is the one that they were trained on.
 * AE_ERR_INPUT. */
ae_status ae_adapter_source_verify(const ae_adapter_source *s, const ae_model_source *base);
void ae_adapter_source_free(ae_adapter_source *s);
/* The tensors under the names that the parameters have here. */
ae_status ae_adapter_tensors_open(ae_tensors **out, const ae_adapter_source *s);

/* The text of adapter.json (the caller frees it) for checkpoints of a model of which a part trains. `base`:
 * where the base was opened, best the folder of its ae_model_source; recorded as an absolute path.
 * `fingerprint`: of the base, by ae_model_fingerprint before the first step; `sample`: of its file, by
 * ae_tensors_sample. AE_ERR_USAGE where an adapter
 * or the head does not train: checkpoints would lack it. */
ae_status ae_adapter_json(char **text, const ae_model *m, const char *base, const char *fingerprint,
                          const char *sample);

#endif
