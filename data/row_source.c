#include "data/row_source.h"

void ae_row_source_free(ae_row_source *s) {
    if (s->free) s->free(s->self);
    *s = (ae_row_source){0};
}
