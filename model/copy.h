#ifndef AE_MODEL_COPY_H
#define AE_MODEL_COPY_H
#include "model/model.h"

/* The values of a model with the same table, in the form of this one: a copy in bfloat16 or integers that
 * decodes beside a model that trains. To be called again after updates. AE_ERR_DEFECT for a parameter that
 * `from` lacks or keeps in a compact form. */
ae_status ae_model_copy_values(ae_model *m, const ae_model *from);

#endif
