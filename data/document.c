#include "data/document.h"

#include <stdlib.h>

static ae_status make_room(ae_document *d, const ae_token_set *s, int64_t n) {
    const int64_t room = n > 0 ? n : 1;
    if (room <= d->room) return AE_OK;
    ae_document_free(d);
    d->ids = malloc((size_t)room * (sizeof *d->ids + 1));
    if (!d->ids)
        return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory for a document of %lld tokens",
                       ae_token_set_path(s), (long long)n);
    d->mask = (uint8_t *)(d->ids + room);
    d->room = room;
    return AE_OK;
}

ae_status ae_document_read(ae_document *d, ae_token_set *s, int64_t document, int64_t most) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    const int64_t first = starts[document], length = starts[document + 1] - first;
    const int64_t n = length < most ? length : most;
    const ae_status st = make_room(d, s, n);
    if (st != AE_OK) return st;
    d->n = n;
    return ae_token_set_read(s, first, n, d->ids, d->mask);
}

void ae_document_free(ae_document *d) {
    free(d->ids);
    *d = (ae_document){0};
}
