#ifndef AE_DATA_INPUTS_H
#define AE_DATA_INPUTS_H
#include "core/file.h"
#include "core/json.h"

/* Files that are read, and the rows of JSON lines in them. */

/* AE_ERR_USAGE for one that can be read only once: standard input, a pipe, a device. */
ae_status ae_inputs_check(const char *const *paths, size_t n);
/* [{"path", "bytes", "crc32"}, ...] for the manifest of a token set; the caller owns it. */
ae_status ae_inputs_describe(json_t **list, const char *const *paths, size_t n);

/* Lines that are not blank, of one file after the other. */
typedef struct {
    const char *const *paths;
    size_t n, next;
    ae_reader *reader;
    int64_t rows;               /* of the current file so far */
    bool told_key;              /* a key of it that no row has was told of; the caller's to set */
    char where[AE_WHERE_BYTES]; /* "FILE:LINE" of the last one */
} ae_lines;
/* *line is NULL at the end, else valid until the next call. AE_ERR_INPUT for a file without a row, and for
 * one that holds a JSON list. */
ae_status ae_lines_next(ae_lines *l, char **line, size_t *n);
void ae_lines_close(ae_lines *l);

#endif
