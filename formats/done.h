#ifndef AE_FORMATS_DONE_H
#define AE_FORMATS_DONE_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DONE of a checkpoint, {"weights.h5": {"crc32": c, "bytes": n}, ...}: each file with what it says of it and,
 * once looked at, what is there. */
typedef struct {
    char *name;
    int64_t want_bytes, bytes; /* bytes -1: missing, or it cannot be read */
    uint32_t want_crc, crc;    /* crc is 0 unless it was computed */
    bool whole;
} ae_done_file;

typedef struct {
    char *path; /* of DONE */
    ae_done_file *files;
    size_t n;
} ae_done;

/* Syncs the files and describes them in FOLDER/DONE. */
ae_status ae_done_write(const char *folder, const char *const *names, size_t n);

/* Reads DONE and no other file. AE_ERR_INPUT for one that is missing or malformed: names of files beside it,
 * a CRC-32 and a size for each. */
ae_status ae_done_read(ae_done *d, const char *folder);
void ae_done_free(ae_done *d);

bool ae_done_lists(const ae_done *d, const char *name);
/* Fills bytes, crc and whole; `thorough` computes the CRC-32, which reads the file, else sizes are
 * compared. */
void ae_done_look(ae_done_file *f, const char *folder, bool thorough);
/* Of a file that was looked at: AE_ERR_INPUT says what is wrong with it. */
ae_status ae_done_fault(const ae_done_file *f, const char *folder);

/* Whether FOLDER/name is listed and as DONE says: AE_ERR_INPUT where not. `optional`: it may be absent from
 * both. */
ae_status ae_done_check(ae_done *d, const char *folder, const char *name, bool optional, bool thorough);

#endif
