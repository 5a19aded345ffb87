#ifndef AE_MODEL_PARAMS_MATCH_H
#define AE_MODEL_PARAMS_MATCH_H
#include "formats/tensors.h"
#include "model/params.h"

/* Whether a file's tensors are those of the table: every parameter is there, and nothing that the model has
 * no place for, but for what `o` allows (NULL: nothing); lm_head.weight may repeat the embeddings. Else
 * AE_ERR_INPUT names the first tensor at fault, and `path`. Shapes are checked where values are read. */
ae_status ae_params_match(const ae_params *p, ae_tensors *t, const char *path,
                          const ae_params_match_options *o);
/* The same, and every shape, from headers alone but for a repeated table: before memory for the values is
 * taken. */
ae_status ae_params_fit(const ae_params *p, ae_tensors *t, const char *path,
                        const ae_params_match_options *o);

#endif
