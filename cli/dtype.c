#include "cli/dtype.h"

#include <string.h>

ae_status ae_dtype_parse(const char *text, ae_backend_options *options) {
    if (strcmp(text, "f32") == 0)
        options->dtype = AE_DTYPE_F32;
    else if (strcmp(text, "bf16") == 0)
        options->dtype = AE_DTYPE_BF16;
    else if (strcmp(text, "auto") == 0)
        options->dtype = ae_dtype_auto();
    else
        return AE_FAIL(AE_ERR_USAGE, "--dtype: expected one of " AE_DTYPE_CHOICES ", found '%s'", text);
    return AE_OK;
}

static const char *const weight_names[] = {"f32", "bf16", "int8", "int4"};
enum { N_WEIGHTS = sizeof weight_names / sizeof *weight_names };

const char *ae_weights_name(ae_weight_type type) {
    return weight_names[type];
}

ae_status ae_weights_parse(const char *text, ae_model_options *options) {
    if (strcmp(text, "auto") == 0) return AE_OK;
    for (int i = 0; i < N_WEIGHTS; i++) {
        if (strcmp(text, weight_names[i]) != 0) continue;
        if (options->weights != (ae_weight_type)i) options->group = 0; /* that of what is stored */
        options->weights = (ae_weight_type)i;
        return AE_OK;
    }
    return AE_FAIL(AE_ERR_USAGE, "--dtype: expected one of " AE_WEIGHT_CHOICES ", found '%s'", text);
}
