#ifndef AE_CLI_PLAN_INFERENCE_H
#define AE_CLI_PLAN_INFERENCE_H
#include "core/status.h"
#include "train/config.h"

#include <stdbool.h>
#include <stdint.h>

/* What using the model of a configuration takes, its weights kept as `dtype` names it (--dtype of score and
 * generate), `batch` sequences of `tokens` tokens at once: printed, and refused with AE_ERR_RESOURCE where the machine has
 * less. */
ae_status ae_plan_inference(const ae_train_config *config, const char *dtype, int64_t batch, int64_t tokens,
                            bool json);

#endif
