#ifndef AE_FORMATS_SAFETENSORS_WRITE_H
#define AE_FORMATS_SAFETENSORS_WRITE_H
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Writes one safetensors file from front to back: the header from the list of tensors, then their bytes in
 * the order of the list, piece by piece, and a CRC-32 of these (formats/safetensors.h). The file is written
 * aside and takes its name, synced, at the end. */

typedef struct {
    char name[112];
    const char *dtype; /* "F32", "BF16", "F16", "I8", "U8" */
    int rank;
    int64_t shape[4];
} ae_safetensor_entry;

int64_t ae_safetensor_entry_bytes(const ae_safetensor_entry *e);

typedef struct ae_safetensors_writer ae_safetensors_writer;

ae_status ae_safetensors_create(ae_safetensors_writer **w, const char *path,
                                const ae_safetensor_entry *entries, size_t n);
ae_status ae_safetensors_write(ae_safetensors_writer *w, const void *bytes, size_t n);
/* AE_ERR_DEFECT when fewer or more bytes came than the header says. Frees the writer in any case. */
ae_status ae_safetensors_finish(ae_safetensors_writer *w);
/* Gives up: nothing is left behind. NULL is fine. */
void ae_safetensors_discard(ae_safetensors_writer *w);

#endif
