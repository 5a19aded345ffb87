#ifndef AE_CLI_MODEL_CARD_H
#define AE_CLI_MODEL_CARD_H
#include "exchange/source.h"
#include "formats/safetensors.h"

/* FOLDER/README.md: what is known about the model. Its shape and parameters; of a checkpoint also steps,
 * tokens, data, held-out losses (the last from metrics.jsonl of its run, where that is there) and the
 * configuration. `score_head`: it is a reward model, which the card then says. */
ae_status ae_model_card_write(const char *folder, const ae_model_source *source, ae_file_dtype type,
                              bool score_head);

#endif
