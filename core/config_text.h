#ifndef AE_CORE_CONFIG_TEXT_H
#define AE_CORE_CONFIG_TEXT_H
#include "core/config.h"

/* "1 to 1e12", "at least 0", "any number". */
void ae_config_format_range(const ae_field *field, char *out, size_t n);

#endif
