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

ae_status ae_weights_parse(const char *text, ae_model_options *options) {
    if (strcmp(text, "auto") == 0) return AE_OK;
    for (int i = AE_WEIGHT_F32; i <= AE_WEIGHT_INT4; i++) {
        if (strcmp(text, ae_weight_type_name((ae_weight_type)i)) != 0) continue;
        if (options->weights != (ae_weight_type)i) options->group = 0; /* that of what is stored */
        options->weights = (ae_weight_type)i;
        return AE_OK;
    }
    return AE_FAIL(AE_ERR_USAGE, "--dtype: expected one of " AE_WEIGHT_CHOICES ", found '%s'", text);
}

ae_arg ae_arg_weights(const char **to) {
    return (ae_arg){.name = "dtype",
                    .type = AE_ARG_TEXT,
                    .to = to,
                    .value = AE_WEIGHT_CHOICES,
                    .fallback = "auto",
                    .help = "type of the weights in memory; auto: integers that are stored, else f32"};
}
