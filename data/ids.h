#ifndef AE_DATA_IDS_H
#define AE_DATA_IDS_H
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A growing list of token ids; {0} is the empty one. */
typedef struct {
    int32_t *ids;
    ptrdiff_t n, capacity;
} ae_ids;

/* Takes ids in at the end. Without memory for them the list stays as it was: AE_ERR_RESOURCE. */
ae_status ae_ids_append(ae_ids *a, int32_t id);
ae_status ae_ids_extend(ae_ids *a, const int32_t *ids, ptrdiff_t n);
void ae_ids_free(ae_ids *a);

#ifdef __cplusplus
}
#endif
#endif
