#ifndef AE_TRAIN_DONE_H
#define AE_TRAIN_DONE_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each file that a checkpoint's DONE names, with what it says of it and what is there. */
typedef struct {
    char *name;
    int64_t want_bytes, bytes; /* bytes -1: missing, or it cannot be read */
    uint32_t want_crc, crc;    /* crc is 0 unless it was computed */
    bool whole;
} ae_done_file;

typedef struct {
    ae_done_file *files;
    size_t n;
} ae_done;

/* `thorough` computes the CRC-32 of every file; else sizes are compared. A damaged file is no failure: `whole` says so. AE_ERR_INPUT for
 * a DONE that is missing or malformed. */
ae_status ae_done_read(ae_done *d, const char *folder, bool thorough);
void ae_done_free(ae_done *d);

#endif
