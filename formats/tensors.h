#ifndef AE_FORMATS_TENSORS_H
#define AE_FORMATS_TENSORS_H
#include "core/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Files of named tensors, read one tensor at a time: safetensors (one file, or shards with an index; F32,
 * BF16, F16) and the HDF5 of native checkpoints. Safetensors with the names of Google's PyTorch release
 * (google_names.h) appear under the Hugging Face ones, and so do tensors whose names a wrapper of PyTorch has
 * lengthened, and a table that stands as lm_head.weight alone. Headers are never trusted: offsets, sizes,
 * overlaps, types and shapes are checked before anything is read. */
typedef struct ae_tensors ae_tensors;

/* A Hugging Face folder (model.safetensors, or model.safetensors.index.json and its shards) or one
 * .safetensors or .h5 file. */
ae_status ae_tensors_open(ae_tensors **out, const char *path);
/* One file of an adapter of PEFT (LoRA), which ae_tensors_open refuses: under the names of the model's
 * modules, without base_model.model. */
ae_status ae_tensors_open_adapter(ae_tensors **out, const char *path);
void ae_tensors_close(ae_tensors *t);

/* Whether a file is HDF5: by its name, *.h5, or by what it begins with. */
bool ae_file_is_h5(const char *path);

/* The index of a folder of shards. *files: the names of tensors and those of the files that hold them, which
 * are plain names; the caller drops it. AE_ERR_INPUT when it is unreadable, names none, or something else. */
extern const char ae_shard_index_name[];
ae_status ae_shard_index_read(json_t **files, const char *index);
/* *path of a file beside the index (the caller frees it, on failure too); AE_ERR_INPUT when there is none. */
ae_status ae_shard_find(char **path, const char *index, const char *file);

ptrdiff_t ae_tensors_count(const ae_tensors *t);
const char *ae_tensors_name(const ae_tensors *t, ptrdiff_t i);
ptrdiff_t ae_tensors_find(const ae_tensors *t, const char *name); /* -1 when there is none */

/* Whole tensor as float32. The shape must be the one given: AE_ERR_INPUT names file, tensor, expected, found.
 * Values that are no numbers (NaN, infinities) are refused by tensor and element. A matrix kept in integers
 * (docs/interfaces.md, "Quantised folders") gives the values they stand for. */
ae_status ae_tensors_read(ae_tensors *t, const char *name, int rank, const int64_t *shape, float *out);
/* Elements [first, first + n) of it. */
ae_status ae_tensors_read_part(ae_tensors *t, const char *name, int rank, const int64_t *shape, int64_t first,
                               int64_t n, float *out);
/* Only whether it has this shape, from headers alone. */
ae_status ae_tensors_expect(ae_tensors *t, const char *name, int rank, const int64_t *shape);
/* Of a matrix kept in integers, their bits and the columns that share a scale; both 0 when it is kept in real
 * numbers. */
ae_status ae_tensors_integers(ae_tensors *t, const char *name, int rank, const int64_t *shape, int *bits,
                              int64_t *group);
/* Its scales of rows [first, first + n): bfloat16 [n, groups]. */
ae_status ae_tensors_scales(ae_tensors *t, const char *name, const int64_t *shape, int64_t first, int64_t n,
                            uint16_t *out);

/* Whether it is kept in bfloat16; false when there is none of that name. */
bool ae_tensors_is_bf16(const ae_tensors *t, const char *name);

/* Reads every file once and compares with its checksum: AE_ERR_INPUT. Of files without one, and of HDF5
 * (whose checksums DONE has), nothing is read; *covered says whether all files have one. */
ae_status ae_tensors_check_data(const ae_tensors *t, bool *covered);

/* Whether two tensors have one shape and the same values; compared piece by piece. */
ae_status ae_tensors_same(ae_tensors *t, const char *a, const char *b, bool *same);

/* Writing native HDF5: one data set a tensor. */
ae_status ae_tensors_write_h5(const char *path, ptrdiff_t n, const char *const *names, const int *ranks,
                              const int64_t (*shapes)[3],
                              ae_status (*fetch)(void *context, ptrdiff_t i, const float **values),
                              void *context);

#endif
