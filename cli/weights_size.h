#ifndef AE_CLI_WEIGHTS_SIZE_H
#define AE_CLI_WEIGHTS_SIZE_H
#include <stddef.h>

/* "1.51 GB": the safetensors files of a folder together, or one file of weights. */
void ae_weights_size(const char *path, char *out, size_t n);

#endif
