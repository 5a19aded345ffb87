#include "data/ids.h"

#include <stdlib.h>
#include <string.h>

static ae_status reserve(ae_ids *a, ptrdiff_t n) {
    if (n <= a->capacity - a->n) return AE_OK;
    const ptrdiff_t capacity = 2 * (a->n + n) + 64;
    int32_t *grown = realloc(a->ids, (size_t)capacity * sizeof *grown);
    if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "token ids: out of memory for %td", a->n + n);
    a->ids = grown;
    a->capacity = capacity;
    return AE_OK;
}

ae_status ae_ids_append(ae_ids *a, int32_t id) {
    return ae_ids_extend(a, &id, 1);
}

ae_status ae_ids_extend(ae_ids *a, const int32_t *ids, ptrdiff_t n) {
    const ae_status st = reserve(a, n);
    if (st != AE_OK || n == 0) return st;
    memcpy(a->ids + a->n, ids, (size_t)n * sizeof *ids);
    a->n += n;
    return AE_OK;
}

void ae_ids_free(ae_ids *a) {
    free(a->ids);
    *a = (ae_ids){0};
}
