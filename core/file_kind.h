#ifndef AE_CORE_FILE_KIND_H
#define AE_CORE_FILE_KIND_H
#include <stddef.h>

/* What a file is by what it begins with, for messages about files that are not what was asked for. */
typedef struct {
    const char *name; /* with its article: "a GGUF file of llama.cpp" */
    /* what to do with it, where text or a model was wanted: "take the Hugging Face folder that it was made
     * from" */
    const char *hint;
} ae_file_kind;

/* NULL for text, and for what is not known here. `n`: bytes there are, some hundred are enough. */
const ae_file_kind *ae_bytes_kind(const void *bytes, size_t n);
/* The same of a file; NULL when it cannot be read. */
const ae_file_kind *ae_file_kind_of(const char *path);

#endif
