#include "rlhf/answers.h"

#include <stdlib.h>

void ae_written_set_free(ae_written_set *s) {
    for (ptrdiff_t i = 0; i < s->n; i++) free(s->items[i].tokens);
    free(s->items);
    free(s->memory);
    *s = (ae_written_set){0};
}
