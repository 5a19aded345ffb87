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
