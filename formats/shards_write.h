#ifndef AE_FORMATS_SHARDS_WRITE_H
#define AE_FORMATS_SHARDS_WRITE_H
#include "formats/safetensors_write.h"

/* Tensors as a Hugging Face folder keeps them, written from front to back: model.safetensors, or, where they
 * are more than `shard_bytes`, model-00001-of-0000N.safetensors with model.safetensors.index.json. A tensor
 * lies in one file, whatever its size. */

typedef struct ae_shards_writer ae_shards_writer;

/* `shard_bytes` 0: one file. The list is copied. */
ae_status ae_shards_create(ae_shards_writer **w, const char *folder, const ae_safetensor_entry *entries,
                           size_t n, int64_t shard_bytes);
/* The bytes of the tensors in the order of the list, in pieces of one tensor each. */
ae_status ae_shards_write(ae_shards_writer *w, const void *bytes, size_t n);
/* The last file and the index. Frees the writer in any case. */
ae_status ae_shards_finish(ae_shards_writer *w);
/* Gives up; files that are whole stay. NULL is fine. */
void ae_shards_discard(ae_shards_writer *w);

#endif
