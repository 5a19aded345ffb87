#ifndef AE_DATA_SET_NOTES_H
#define AE_DATA_SET_NOTES_H
#include "data/hash.h"
#include "data/kind.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>

/* What a token set says of its documents beside their tokens: attribute `kind`, /margin of pairs, /meta
 * and /meta_starts of prompts (data/token_set.h). */
typedef struct {
    ae_data_kind kind;
    float *margins;       /* [documents / 2] or NULL */
    char *meta;           /* the texts one after the other, or NULL */
    int64_t *meta_starts; /* [documents + 1] or NULL */
} ae_set_notes;

/* AE_ERR_INPUT for an unknown kind, for pairs with an odd number of documents, and for lists of other
 * lengths. */
ae_status ae_set_notes_read(ae_set_notes *n, hid_t file, const char *path, int64_t documents);
void ae_set_notes_free(ae_set_notes *n);

/* Their part of the content hash, mixed in as it is written or read. */
void ae_set_notes_hash_margin(ae_content_hash *h, float margin);
void ae_set_notes_hash_meta(ae_content_hash *h, const char *meta, size_t bytes);
void ae_set_notes_hash(ae_content_hash *h, const ae_set_notes *n, int64_t documents);

#endif
