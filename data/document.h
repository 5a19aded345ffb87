#ifndef AE_DATA_DOCUMENT_H
#define AE_DATA_DOCUMENT_H
#include "data/token_set.h"

/* One document of a token set after another in the same memory. Starts zeroed. */
typedef struct {
    int32_t *ids;  /* [n] */
    uint8_t *mask; /* [n] as ae_token_set_read gives it */
    int64_t n, room;
} ae_document;

/* The first `most` tokens of a document, or all of them where it has no more. */
ae_status ae_document_read(ae_document *d, ae_token_set *s, int64_t document, int64_t most);
void ae_document_free(ae_document *d);

#endif
