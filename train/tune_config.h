#ifndef AE_TRAIN_TUNE_CONFIG_H
#define AE_TRAIN_TUNE_CONFIG_H
#include "train/config.h"

/* The keys that sft, reward and rlhf have beside those of training: parts of the sections model, data and
 * train, and the section lora (docs/interfaces.md, "Tuning"). */

typedef struct {
    int base_dtype; /* ae_weight_type: how weights that do not train are kept */
} ae_tune_model_keys;

typedef struct {
    bool pack;
    int too_long; /* ae_too_long */
    char *map;    /* of files of JSON lines: ae_record_map_init */
} ae_tune_data_keys;

typedef struct {
    double epochs; /* 0: train.steps says how long */
} ae_tune_train_keys;

typedef struct {
    int64_t rank; /* 0: all parameters train */
    double alpha;
    bool rslora;
    char *targets; /* names of projections, separated by commas; "all" */
    char *also;    /* groups of parameters that train whole beside the adapters */
} ae_lora_keys;

typedef struct {
    ae_train_config train; /* its table holds all of these */
    ae_tune_model_keys base;
    ae_tune_data_keys examples;
    ae_tune_train_keys length;
    ae_lora_keys lora;
} ae_tune_config; /* do not move it */

ae_status ae_tune_config_init(ae_tune_config *c);
void ae_tune_config_free(ae_tune_config *c);
/* As ae_train_config_check, but for the schedule where train.epochs counts the steps: ae_tune_config_set_steps
 * looks at it. model.init has to be there, and lora.* has to agree with itself: without a rank its
 * other keys say nothing, and AE_ERR_USAGE names one that is not as it is by default. */
ae_status ae_tune_config_check(const ae_tune_config *c);

/* What holds where no key says otherwise: `epochs`, and the learning rate, `rate` for small models and
 * `large_rate` for models as wide as the published ones, ten times that for adapters. Reads the shape of
 * model.init. To be called before ae_tune_config_check. */
ae_status ae_tune_config_defaults(ae_tune_config *c, double rate, double large_rate, double epochs);
/* Sets train.steps where train.epochs is given; AE_ERR_USAGE where both are and disagree, and for a schedule
 * that does not fit into the steps. */
ae_status ae_tune_config_set_steps(ae_tune_config *c, double steps_per_epoch);

/* Patterns of fnmatch for the parameters that get adapters, and for those that train whole, from lora.targets
 * and lora.also; each list ends with NULL and is owned. AE_ERR_USAGE names the word that means nothing. */
typedef struct {
    char **adapted; /* NULL: every projection */
    char **whole;
    size_t n_adapted, n_whole;
} ae_lora_patterns;
ae_status ae_lora_patterns_make(ae_lora_patterns *p, const ae_lora_keys *k);
void ae_lora_patterns_free(ae_lora_patterns *p);

#endif
