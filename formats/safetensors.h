#ifndef AE_FORMATS_SAFETENSORS_H
#define AE_FORMATS_SAFETENSORS_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One safetensors file:  [8 bytes: length n][n bytes: JSON][data]. The JSON names dtype, shape and the place
 * of every tensor in the data. Nothing of it is believed: places must tile the data exactly and agree with
 * shape and type. */

typedef enum { AE_FILE_F32, AE_FILE_BF16, AE_FILE_F16, AE_FILE_I8, AE_FILE_U8 } ae_file_dtype;
enum { AE_SAFETENSORS_RANK_MAX = 8 };

typedef struct {
    char *name;
    ae_file_dtype dtype;
    int rank;
    int64_t shape[AE_SAFETENSORS_RANK_MAX];
    int64_t n;          /* elements */
    int64_t begin, end; /* bytes of the data */
} ae_safetensor;

typedef struct {
    char *path;
    int fd;
    int64_t data_at, data_bytes; /* of the file */
    ae_safetensor *items;
    size_t n;
    bool has_crc;
    uint32_t crc; /* of the data, as the metadata says */
} ae_safetensors;

/* Of the metadata that this program writes: the CRC-32 of all bytes behind the header, 8 hexadecimal digits.
 * Files of others have none. */
extern const char ae_safetensors_crc_key[];

ae_status ae_safetensors_open(ae_safetensors *f, const char *path);
void ae_safetensors_close(ae_safetensors *f);
const ae_safetensor *ae_safetensors_find(const ae_safetensors *f,
                                         const char *name); /* NULL when there is none */

/* Elements [first, first + n) in row-major order, as float32; integers by their value. */
ae_status ae_safetensors_read(const ae_safetensors *f, const ae_safetensor *t, int64_t first, int64_t n,
                              float *out);
/* Reads the data, and compares its CRC-32 with the one that the file says, if it says one. AE_ERR_INPUT. */
ae_status ae_safetensors_check_data(const ae_safetensors *f);

#endif
