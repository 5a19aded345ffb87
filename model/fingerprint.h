#ifndef AE_MODEL_FINGERPRINT_H
#define AE_MODEL_FINGERPRINT_H
#include "formats/tensors.h"
#include "model/model.h"

/* By which the base of an adapter is known: 16 hexadecimal digits, the FNV-1a hash (64 bits) of the names
 * and values of all that is no product: norms, biases, the convolution, the parameter of the recurrence, in
 * the order of the table. Values are rounded to bfloat16 first, so that a model, its export in bfloat16 and
 * its quantised forms have one fingerprint. Adapters and heads do not count. */
enum { AE_FINGERPRINT_BYTES = 17 };

/* Of the values as they are now: where some of them train, to be asked for before the first step. */
ae_status ae_model_fingerprint(const ae_model *m, char out[AE_FINGERPRINT_BYTES]);
/* Of the same tensors in a file. */
ae_status ae_tensors_fingerprint(const ae_params *p, ae_tensors *t, char out[AE_FINGERPRINT_BYTES]);
/* Which of the models with that fingerprint a file holds, such as a base or what an adapter was merged into:
 * the hash of some values of each matrix but the table, rounded to bfloat16. "" where matrices are kept in
 * integers, whose values are others than those of the model that they were made from. */
ae_status ae_tensors_sample(const ae_params *p, ae_tensors *t, char out[AE_FINGERPRINT_BYTES]);

#endif
